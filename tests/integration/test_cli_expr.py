"""`joiner expr` as a program: values, steps, errors, users of a directory, files of vectors."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refused, run
from tests.processes import joiner, serving

ADA = {"givenName": "Ada", "surname": "Lovelace", "country": "NO", "tags": ["a", "b"]}


@pytest.fixture
def ada(tmp_path: Path) -> str:
    file = tmp_path / "ada.json"
    file.write_text(json.dumps(ADA), "utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ('Join(" ", [givenName], [surname])', "Ada Lovelace\n"),
        ("[missing]", "null\n"),
        ('""', '""\n'),
        ("[tags]", "1. a\n2. b\n"),
        ("IsNull([tags])", "False\n"),
        ("IgnoreFlowIfNullOrEmpty([missing])", "ignored: the attribute takes no part in this flow\n"),
        ("IIF(True, IgnoreObjectFlow, 1)", "ignored: the whole object is skipped in this cycle\n"),
        ('SelectUniqueValue([givenName], "x")', "Ada\n"),
    ],
)
def test_a_value_is_printed_alone(ada: str, expression: str, printed: str) -> None:
    done = run("expr", expression, "--attributes", ada)
    value = "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("note:"))
    assert (done.returncode, value, done.stderr) == (0, printed, "")


def test_constants_need_no_attributes_and_the_clock_can_be_set() -> None:
    assert run("expr", 'DateAdd("d", 1, Now())', "--now", "2025-01-31T10:00:00Z").stdout == "2/1/2025 10:00:00 AM\n"
    assert "is not a time such as" in refused("expr", "Now()", "--now", "noon")


def test_steps_show_every_part_and_what_was_not_evaluated(ada: str) -> None:
    lines = run("expr", 'IIF([country] = "NO", [givenName], "x")', "--attributes", ada, "--steps").stdout.splitlines()
    assert lines[0] == "Ada"
    parts = [re.split(r"(?<=\S)  ", line)[0] for line in lines[4:]]
    assert parts == [
        'IIF([country] = "NO", [givenName], "x")',
        '  [country] = "NO"',
        "    [country]",
        '    "NO"',
        "  [givenName]",
        '  "x"',
    ]
    assert lines[-1].endswith("not evaluated")


def test_a_failed_evaluation_shows_the_steps_and_where_it_failed(ada: str) -> None:
    done = run("expr", "Append(CDate([surname]), [nmae])", "--attributes", ada)
    assert done.returncode == 1
    assert re.search(r'^    \[surname\] +"Lovelace"$', done.stdout, re.MULTILINE)
    assert "error: the argument of CDate is not a date: 'Lovelace'\n" in done.stdout
    assert "note: the source has no attribute 'nmae' (position 26)\n" in done.stdout


def test_a_mistake_is_told_with_its_place() -> None:
    done = run("expr", "Append([a], Jion([b]))")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "joiner: unknown function 'Jion'; did you mean 'Join'? (position 13)\n"
        "  Append([a], Jion([b]))\n"
        "              ^\n"
    )


def test_programs_get_json(ada: str) -> None:
    done = run("expr", "Append([surname], Now())", "--attributes", ada, "--now", "2025-01-31", "--output", "json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert (document["result"], document["value"]) == ("value", "Lovelace1/31/2025 12:00:00 AM")
    assert [step["text"] for step in document["steps"]] == ["Append([surname], Now())", "[surname]", "Now()"]
    failed = run("expr", 'CDate("x")', "--output", "json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["cautions"][0]["position"] == 6


def test_a_user_of_the_directory_is_seen_as_mappings_see_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    joiner("directory", "import", "--example", data=data)
    expression = 'Join("|", [userPrincipalName], [IsSoftDeleted], [telephoneNumber], [mobile])'
    told = joiner("expr", expression, "--user", "ingrid.dahl@fjordlight.example", data=data)
    assert told.startswith("ingrid.dahl@fjordlight.example|False|+")
    with serving(data):
        assert joiner("expr", expression, "--user", "ingrid.dahl@fjordlight.example", data=data) == told
        assert "nobody@x" in refused("expr", "[mail]", "--user", "nobody@x", "--data", str(data))


def test_a_file_of_vectors_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "vectors.json"
    good = {"id": "one", "expression": "Left([a], 1)", "attributes": {"a": "xy"}, "expected": "x"}
    file.write_text(json.dumps([good]), "utf-8")
    done = run("expr", "--vectors", str(file))
    assert (done.returncode, done.stdout) == (0, "1 of 1 vectors hold\n")
    bad = [
        {"id": "two", "expression": "Append([a],\n [b])", "expected": "x"},
        {"expression": "Left(", "expected": None},
    ]
    file.write_text(json.dumps([good, *bad]), "utf-8")
    done = run("expr", "--vectors", str(file))
    assert done.returncode == 1
    assert done.stdout == (
        "two: Append([a], [b])\n"
        '  expected  "x"\n'
        "  got       null\n"
        "\n"
        "a vector without id: Left(\n"
        "  expected  null\n"
        "  got       error: expected a function, [attribute], text or number, not the end (position 6)\n"
        "\n"
        "1 of 3 vectors hold, 2 do not\n"
    )
    document = json.loads(run("expr", "--vectors", str(file), "--output", "json").stdout)
    assert (document["vectors"], [failed["id"] for failed in document["failed"]]) == (3, ["two", ""])
    file.write_text('[{"id": "three", "expression": 5}]', "utf-8")
    assert "vectors.json: entry 1 (three): " in refused("expr", "--vectors", str(file))
    file.write_text("[", "utf-8")
    assert "is not JSON" in refused("expr", "--vectors", str(file))


def test_wrong_use_is_told(ada: str) -> None:
    assert refused("expr", code=2) == "give either an EXPRESSION or --vectors FILE.json"
    assert refused("expr", "[a]", "--vectors", "x", code=2) == "give either an EXPRESSION or --vectors FILE.json"
    assert refused("expr", "[a]", "--attributes", ada, "--user", "u", code=2) == "use either --attributes or --user"
    assert refused("expr", "--vectors", "x", "--user", "u", code=2) == "vectors bring their own attributes"
    assert refused("expr", "[a]", "--user", "u", code=2).startswith("say where to work")
    assert "cannot be read" in refused("expr", "[a]", "--attributes", "missing.json")
