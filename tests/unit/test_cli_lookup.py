"""Names that people type become roles and filters."""

import pytest

from joiner.cli.cycles import readable_duration
from joiner.cli.lookup import DEFAULT_ACCESS, find_role, literal
from joiner.errors import NotFoundError

APPLICATION = {
    "displayName": "ALVAO",
    "appRoles": [
        {"id": "1", "displayName": "Gone", "value": None, "isEnabled": False},
        {"id": "2", "displayName": "User", "value": None, "isEnabled": True},
        {"id": "3", "displayName": "Administrator", "value": "admin", "isEnabled": True},
    ],
}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        (None, "2"),
        ("user", "2"),
        ("ADMIN", "3"),
        ("Administrator", "3"),
        ("3", "3"),
        ("default access", DEFAULT_ACCESS),
    ],
)
def test_a_role_is_found_by_name_value_or_id(name: str | None, role: str) -> None:
    assert find_role(APPLICATION, name) == role


def test_an_application_without_roles_gives_default_access() -> None:
    assert find_role({"displayName": "X", "appRoles": []}, None) == DEFAULT_ACCESS


@pytest.mark.parametrize("name", ["Gone", "none", "None"])
def test_an_unknown_role_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(NotFoundError, match="it has User, Administrator, Default Access"):
        find_role(APPLICATION, name)


def test_a_quote_in_a_name_does_not_end_the_literal() -> None:
    assert literal("O'Brien") == "'O''Brien'"


@pytest.mark.parametrize(
    ("duration", "words"), [("PT40M", "40 min"), ("PT1H30M", "1 h 30 min"), ("PT5S", "5 s"), ("P1D", "P1D")]
)
def test_durations_are_readable(duration: str, words: str) -> None:
    assert readable_duration(duration) == words
