"""Settings: file, environment, and what is refused."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from joiner.config import FIELDS, NAMES, Settings, is_loopback, load_settings, override
from joiner.errors import InvalidValueError
from tests.repository import ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "joiner.toml"


def test_a_missing_file_means_the_defaults(file: Path) -> None:
    assert load_settings(file, environ={}) == Settings()


def test_a_file_that_was_named_must_exist(file: Path) -> None:
    with pytest.raises(InvalidValueError, match="there is no settings file"):
        load_settings(file, required=True, environ={})


def test_the_environment_counts_more_than_the_file_and_a_file_it_names_too(file: Path, tmp_path: Path) -> None:
    file.write_text('host = "::1"\nport = 1\nlog_level = "error"\n', encoding="utf-8")
    (tmp_path / "level").write_text("debug\n", encoding="utf-8")
    environ = {"JOINER_PORT": "2", "JOINER_LOG_LEVEL_FILE": str(tmp_path / "level"), "JOINER_HOST": ""}
    assert load_settings(file, environ=environ) == Settings(host="::1", port=2, log_level="debug")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("prot = 1", r"joiner\.toml: there is no setting 'prot'; did you mean 'port'\?"),
        ("colour = 1", r"there is no setting 'colour'; the settings are host, port"),
        ("port = 70000", r"joiner\.toml: port = 70000 is not possible"),
        ('port = "many"', "port = 'many' is not possible"),
        ('host = ""', "host = '' is not possible"),
        ('log_level = "loud"', "log_level = 'loud' is not possible"),
        ("allow_private_targets = 3", "allow_private_targets = 3 is not possible"),
        ("port = ", r"joiner\.toml cannot be read"),
    ],
)
def test_what_is_not_possible_is_refused_by_name(file: Path, content: str, told: str) -> None:
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidValueError, match=told):
        load_settings(file, environ={})


def test_an_impossible_variable_is_refused_by_name(file: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"JOINER_PORT: port = 'x' is not possible"):
        load_settings(file, environ={"JOINER_PORT": "x"})
    with pytest.raises(InvalidValueError, match=r"JOINER_HOST_FILE: .* cannot be read"):
        load_settings(file, environ={"JOINER_HOST_FILE": str(file)})


def test_variables_that_are_no_settings_are_left_alone(file: Path) -> None:
    assert load_settings(file, environ={"JOINER_DATA": "x", "JOINER_SOMETHING": "y"}) == Settings()


def test_options_of_the_command_count_most(file: Path) -> None:
    assert override(Settings(port=1), port=2, host=None) == Settings(port=2)
    with pytest.raises(InvalidValueError, match="the command line: port = 70000"):
        override(Settings(), port=70000)


@pytest.mark.parametrize(
    ("settings", "loopback", "private"),
    [
        (Settings(), True, False),
        (Settings(host="::1"), True, False),
        (Settings(host="0.0.0.0"), False, False),  # noqa: S104 - nothing listens
        (Settings(host="0.0.0.0", allow_private_targets=True), True, True),  # noqa: S104
        (Settings(allow_private_targets=False), False, False),
    ],
)
def test_targets_on_this_machine_are_allowed_while_only_it_can_ask(
    settings: Settings, loopback: bool, private: bool
) -> None:
    assert (settings.allow_loopback, settings.allow_private) == (loopback, private)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.0.0.1", False), ("joiner.example", False)],
)
def test_loopback_is_recognised(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert set(documented) == set(NAMES)
    for name, told in documented.items():
        default = FIELDS[name].default
        assert default is not msgspec.NODEFAULT
        # As the settings file has it: JSON and TOML write numbers, texts and booleans alike.
        written = default if isinstance(default, str) else json.dumps(default)
        assert told.strip() == ("not set" if default is None else f"`{written}`"), name
