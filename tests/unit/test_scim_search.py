"""The search form of resources, and orders decided by it."""

import pytest

from joiner.scim.core import ENTERPRISE_URN, GROUPS, USERS
from joiner.scim.errors import InvalidAttributeError, InvalidPathError
from joiner.scim.evaluation import Facts
from joiner.scim.resources import normalise_resource
from joiner.scim.search import moment, search_document
from joiner.scim.sorting import parse_sort, sort_value
from tests.searching import THINGS

FACTS = Facts("id-1", "User", "2024-01-01T00:00:00.000000Z", "2024-01-02T00:00:00.000000Z", 'W/"1"')


@pytest.mark.req("REQ-S-134", "REQ-S-340", "REQ-S-155")
def test_a_search_document_has_every_value_as_it_is_compared() -> None:
    resource = normalise_resource(
        USERS,
        {
            "userName": "ＭARTA@x.example",
            "externalId": "MLopez",
            "password": "secret",
            "displayName": "Lo\u0301pez",
            "profileUrl": "https://X.example",
            "active": False,
            "emails": [{"value": "A@X.example", "type": "Work", "primary": True}],
            "x509Certificates": [{"value": "AbCd"}],
            ENTERPRISE_URN: {"department": "Straße", "manager": {"value": "Boss-1"}},
        },
    )
    assert search_document(
        USERS, {**resource, "groups": [{"value": "g"}], "meta": {}, "id": "i", "schemas": ["s"]}
    ) == {
        "userName": "marta@x.example",
        "externalId": "MLopez",
        "displayName": "lópez",
        "profileUrl": "https://X.example",
        "active": False,
        "emails": [{"value": "a@x.example", "type": "work", "primary": True}],
        "x509Certificates": [{"value": "AbCd"}],
        ENTERPRISE_URN: {"department": "strasse", "manager": {"value": "Boss-1"}},
    }
    assert search_document(GROUPS, {"displayName": "Team", "members": [{"value": "u"}]}) == {"displayName": "team"}


@pytest.mark.req("REQ-S-143")
def test_a_search_document_has_nothing_that_is_unassigned() -> None:
    resource = {"name": {"familyName": ""}, "title": "", "emails": [{}, {"value": None}], "nickName": None, "roles": []}
    assert search_document(USERS, resource) == {}
    numbers = {"size": 0, "weight": 0.0, "active": False, "sizes": [0], "flags": [False]}
    assert search_document(THINGS, numbers) == numbers


@pytest.mark.parametrize(
    ("value", "form"),
    [(5.0, 5), (2**63 - 1, 2**63 - 1), (2**64, float(2**64)), (10**400, 1.7976931348623157e308), (0.5, 0.5)],
)
def test_numbers_become_what_both_databases_can_hold(value: float, form: float) -> None:
    assert repr(search_document(THINGS, {"weight": value})) == repr({"weight": form})


@pytest.mark.req("REQ-S-146", "REQ-S-018")
@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09.000000Z"),
        ("2024-05-06T07:08:09.1234567Z", "2024-05-06T07:08:09.123456Z"),
        ("2024-05-06T07:08:09.5+02:00", "2024-05-06T05:08:09.500000Z"),
        ("2024-05-06T23:00:00-05:30", "2024-05-07T04:30:00.000000Z"),
        ("2024-05-06T07:08:09", "2024-05-06T07:08:09.000000Z"),
        ("2024-05-06", "2024-05-06T00:00:00.000000Z"),
        ("0001-01-03T00:00:00.0000000Z", "0001-01-03T00:00:00.000000Z"),
        ("0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_points_in_time_are_in_utc_and_of_one_length(text: str, form: str) -> None:
    assert moment(text) == form


EMAILS = [{"value": "B@x", "type": "work"}, {"value": "A@x", "type": "home", "primary": True}]


@pytest.mark.req("REQ-S-170", "REQ-S-172")
@pytest.mark.parametrize(
    ("sort_by", "body", "value"),
    [
        ("userName", {"userName": "Ann"}, "ann"),
        ("USERNAME", {"userName": "Ann"}, "ann"),
        ("externalId", {"externalId": "Ann"}, "Ann"),
        ("name.familyName", {"name": {"familyName": "Z"}}, "z"),
        ("title", {}, None),
        ("emails", {"emails": EMAILS}, "a@x"),
        ("emails.type", {"emails": EMAILS}, "home"),
        ("emails", {"emails": EMAILS[:1]}, "b@x"),
        ("emails.display", {"emails": EMAILS}, None),
        ("emails", {}, None),
        ("manager", {ENTERPRISE_URN: {"manager": {"value": "B-1"}}}, "B-1"),
        (f"{ENTERPRISE_URN}:department", {ENTERPRISE_URN: {"department": "D"}}, "d"),
        ("id", {}, "id-1"),
        ("meta.lastModified", {}, "2024-01-02T00:00:00.000000Z"),
    ],
)
def test_the_value_that_decides_is_the_primary_or_the_first(sort_by: str, body: dict[str, object], value: str) -> None:
    sort = parse_sort([USERS], sort_by, None)
    search = search_document(USERS, normalise_resource(USERS, body))
    assert sort_value(sort.keys["User"], search, FACTS) == value


@pytest.mark.req("REQ-S-170", "REQ-S-173")
def test_the_order_is_ascending_unless_it_is_said_to_be_descending() -> None:
    assert parse_sort([USERS], "userName", None).descending is False
    assert parse_sort([USERS], "userName", "ascending").descending is False
    assert parse_sort([USERS], "userName", "Descending").descending is True
    with pytest.raises(InvalidAttributeError, match="sideways"):
        parse_sort([USERS], "userName", "sideways")


@pytest.mark.req("REQ-S-173")
@pytest.mark.parametrize(
    "sort_by",
    [
        *("", "nothing", "name", "name.nothing", "userName.x", "a b", 'emails[type eq "work"]', "emails[type eq"),
        *("password", "schemas", "groups", "meta.location", "urn:example:2.0:User:userName", "\ud800"),
    ],
)
def test_what_nothing_can_be_sorted_by_is_refused(sort_by: str) -> None:
    with pytest.raises(InvalidPathError):
        parse_sort([USERS], sort_by, None)


@pytest.mark.req("REQ-S-117", "REQ-S-170")
def test_an_order_over_several_types_needs_one_that_has_the_attribute() -> None:
    assert set(parse_sort([USERS, GROUPS], "userName", None).keys) == {"User"}
    assert set(parse_sort([USERS, GROUPS], "displayName", None).keys) == {"User", "Group"}
    with pytest.raises(InvalidPathError):
        parse_sort([USERS, GROUPS], "size", None)
