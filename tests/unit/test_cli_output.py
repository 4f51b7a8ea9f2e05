"""What is printed: nothing that data contains controls the terminal, and nothing is lost."""

import json

import pytest

from joiner.cli.output import Output, plain, short_time, validity


def test_characters_that_control_the_terminal_are_replaced() -> None:
    assert plain("a\x1b[31mb\x07c\rd\x9be") == "a\ufffd[31mb\ufffdc\ufffdd\ufffde"
    assert plain("Åse Ribeiro\tx") == "Åse Ribeiro\tx"


def test_markup_in_data_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("name",), [("[bold]x[/bold]",)])
    Output().say("[red]y")
    assert "[bold]x[/bold]" in (printed := capsys.readouterr().out)
    assert "[red]y" in printed


def test_an_empty_table_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("name",), [], empty="There are none yet.")
    assert capsys.readouterr().out == "There are none yet.\n"


def test_a_narrow_table_folds_values_instead_of_cutting_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    long = "abcdefghij" * 5
    Output().table(("name", "n#"), [(long, 7)])
    printed = capsys.readouterr().out
    assert "".join(printed.split()).replace("7", "").endswith(long)
    assert max(map(len, printed.splitlines())) <= 30


def test_json_is_for_programs_and_never_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"name": "ü" * 300, "none": None}
    Output(as_json=True).show(document, lambda output: output.say("for people"))
    assert json.loads(capsys.readouterr().out) == document


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2024-05-06T07:08:09.123456Z", "2024-05-06 07:08:09"),
        (None, "never"),
        ("0001-01-01T00:00:00Z", "never"),
    ],
)
def test_times_are_shortened(moment: str | None, shown: str) -> None:
    assert short_time(moment) == shown


def test_validity_is_told_in_words() -> None:
    day = "2024-05-06T07:08:09Z"
    assert validity({"revokedAt": None, "expiresAt": None}) == "valid"
    assert validity({"revokedAt": None, "expiresAt": day}) == "valid until 2024-05-06 07:08:09"
    assert validity({"revokedAt": day, "expiresAt": day}) == "revoked 2024-05-06 07:08:09"
