"""`$filter`: what is understood, what is found, and what is refused."""

from typing import Any

import pytest

from joiner.errors import InvalidValueError
from joiner.graph.odata import equality, parse_filter

DANA: dict[str, Any] = {
    "id": "0b7c1a52-93d4-4e1f-8a60-2f5d9c3e7b18",
    "displayName": "Dana O'Neill",
    "department": None,
    "accountEnabled": True,
    "count": 3,
    "createdDateTime": "2024-05-06T07:08:09.000000Z",
    "proxyAddresses": ["SMTP:dana@fjord.example", "smtp:d@fjord.example"],
    "targetIdentity": {"displayName": "dana"},
    "roles": [{"name": "User"}],
}


@pytest.mark.parametrize(
    "text",
    [
        "displayName eq 'dana o''neill'",
        "DISPLAYNAME eq 'Dana O''Neill'",
        "displayName ne 'x'",
        "startswith(displayName,'DANA')",
        "endswith(displayName, 'neill')",
        "contains(displayName,' o''')",
        "tolower(displayName) eq 'dana o''neill'",
        "toupper(displayName) eq 'DANA O''NEILL'",
        "department eq null",
        "not (department ne null)",
        "accountEnabled eq true and count eq 3",
        "count ge 3 and count lt 4 and not count gt 3",
        "id eq 0b7c1a52-93d4-4e1f-8a60-2f5d9c3e7b18",
        "id in ('x', '0B7C1A52-93d4-4e1f-8a60-2f5d9c3e7b18')",
        "createdDateTime ge 2024-05-06T07:08:09Z",
        "createdDateTime le 2024-05-06T09:08:09.0000000+02:00",
        "createdDateTime gt 2024-05-06",
        "proxyAddresses/any(x:x eq 'smtp:D@fjord.example')",
        "proxyAddresses/any(c: startswith(c,'smtp:dana') or c eq 'y')",
        "roles/any(r:r/name eq 'User')",
        "targetIdentity/displayName eq 'DANA'",
        "false eq true or (true eq true and (false eq false))",
        "displayName eq 'x' or displayName eq 'y' or count eq 3 and accountEnabled eq true",
    ],
)
def test_a_filter_holds(text: str) -> None:
    assert parse_filter(text, ignore_case=True)(DANA) is True
    assert parse_filter(f"not ({text})", ignore_case=True)(DANA) is False


@pytest.mark.parametrize(
    "text",
    [
        "displayName eq 'Dana'",
        "department eq 'x'",
        "department ge 'a'",
        "startswith(department,'x')",
        "count gt '2'",
        "accountEnabled eq 'true'",
        "createdDateTime lt 2024-05-06T07:08:09Z",
        "department/any(x:x eq 'a')",
        "proxyAddresses/any(x:x eq 'd@fjord.example')",
    ],
)
def test_a_filter_does_not_hold(text: str) -> None:
    assert parse_filter(text, ignore_case=True)(DANA) is False


def test_the_log_compares_with_case() -> None:
    assert parse_filter("displayName eq 'Dana O''Neill'", ignore_case=False)(DANA)
    assert not parse_filter("displayName eq 'dana o''neill'", ignore_case=False)(DANA)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a value at the end"),
        ("displayName", "an operator at the end"),
        ("displayName is 'x'", "'is' is not an operator"),
        ("displayName eq 'x", "cannot be read"),
        ("displayName eq 'x')", r"unexpected '\)'"),
        ("(displayName eq 'x'", r"expected '\)', but it ends"),
        ("startswith(displayName 'x')", "expected ',', not ''x''"),
        ("id in 'x'", r"expected '\('"),
        ("createdDateTime gt 2024-13-45", "is not a date and time"),
        ("shoeSize eq 44", "there is no property 'shoeSize'"),
        ("tags/any(shoeSize:y eq 44)", "there is no property"),
        ("id/any(x:x/any(y:y eq 'z'))", "not nested"),
        ("count eq 4.4.4", "neither a property nor a value"),
        ("not " * 30 + "id eq 'x'", "nested 20 levels"),
        ("(" * 30 + "id eq 'x'" + ")" * 30, "nested 20 levels"),
        ("id eq 'x' or " * 400 + "id eq 'x'", "may have 4096 characters"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_the_reason(text: str, reason: str) -> None:
    names = frozenset(name.lower() for name in DANA)
    with pytest.raises(InvalidValueError, match=reason):
        parse_filter(text, ignore_case=True, known=names.__contains__)


@pytest.mark.parametrize("text", ["id eq 'x' or " * 300 + "id eq 'x'", "tolower(" * 400 + "id" + ")" * 400 + " eq 'x'"])
def test_a_long_filter_does_not_exhaust_the_stack(text: str) -> None:
    assert parse_filter(text, ignore_case=True)(DANA) is False


def test_an_equality_that_an_index_can_answer_is_recognised() -> None:
    assert equality(" userPrincipalName eq 'd''x@y' ", "userPrincipalName") == "d'x@y"
    assert equality("userPrincipalName eq 'a' or id eq 'b'", "userPrincipalName") is None
