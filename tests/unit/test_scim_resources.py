"""What becomes of a resource that a client sends, in both profiles and for every kind of attribute."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import COMMON, ENTERPRISE_URN, GROUPS, USER_URN, USERS
from joiner.scim.errors import InvalidAttributeError, InvalidSyntaxError, MutabilityError, ScimError
from joiner.scim.resources import MOST_VALUES, normalise_resource, read_incoming, replaced
from joiner.scim.schemas import Attribute, Kind, ResourceType, Schema

EXTENDED = {"schemas": [USER_URN, ENTERPRISE_URN]}
EXTRA = "urn:example:schemas:extension:1.0:Extra"
KINDS: tuple[Kind, ...] = ("string", "boolean", "decimal", "integer", "dateTime", "binary", "reference")
THING = Schema(
    "urn:example:schemas:1.0:Thing",
    "Thing",
    "",
    (
        Attribute("name", required=True),
        Attribute("serial", mutability="immutable"),
        Attribute("pin", mutability="writeOnly", returned="never"),
        Attribute("made", mutability="readOnly"),
        *(Attribute(f"a{kind}", kind) for kind in KINDS),
        Attribute("tags", multi_valued=True),
        Attribute("box", "complex", sub_attributes=(Attribute("value"), Attribute("full", "boolean"))),
    ),
)
THINGS = ResourceType("Thing", "/Things", "", THING, (Schema(EXTRA, "Extra", "", (Attribute("note"),)),), COMMON)


@pytest.mark.req("REQ-S-011", "REQ-S-344")
def test_names_are_taken_in_any_case_and_the_exact_spelling_counts() -> None:
    body = {"USERNAME": "loud", "userName": "exact", "NickName": "n", ENTERPRISE_URN.upper(): {"DEPARTMENT": "d"}}
    expected = {"userName": "exact", "nickName": "n", ENTERPRISE_URN: {"department": "d"}}
    assert normalise_resource(USERS, body) == expected
    assert normalise_resource(USERS, dict(reversed(body.items()))) == expected


@pytest.mark.req("REQ-S-014", "REQ-S-015")
@pytest.mark.parametrize("nothing", [None, "", [], {}, [None], [{}], {"value": ""}, [""]])
def test_everything_that_says_nothing_is_absent(nothing: Any) -> None:
    body = {"userName": "kim", "emails": nothing, ENTERPRISE_URN: {"manager": nothing}}
    assert normalise_resource(USERS, body) == {"userName": "kim"}


@pytest.mark.req("REQ-S-093", "REQ-S-096")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"active": "False"}, {"active": False}),
        ({"emails": {"value": "a@x"}}, {"emails": [{"value": "a@x"}]}),
        ({"emails": "a@x"}, {"emails": [{"value": "a@x"}]}),
        ({"emails": [{"value": "a@x", "Primary": "True"}]}, {"emails": [{"value": "a@x", "primary": True}]}),
        ({"roles": [{"value": "r", "displayName": "R"}]}, {"roles": [{"value": "r", "display": "R"}]}),
        ({"manager": "u-3"}, {ENTERPRISE_URN: {"manager": {"value": "u-3"}}}),
        ({"manager": [{"value": "u-3"}]}, {ENTERPRISE_URN: {"manager": {"value": "u-3"}}}),
        ({"department": "D", ENTERPRISE_URN: {"department": "E"}}, {ENTERPRISE_URN: {"department": "E"}}),
        ({"title": 5}, {"title": "5"}),
        ({"name": [{"givenName": "K"}]}, {"name": {"givenName": "K"}}),
    ],
)
def test_lenient_takes_what_clients_mean(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    assert normalise_resource(USERS, {"userName": "kim", **sent}) == {"userName": "kim", **kept}


@pytest.mark.req("REQ-S-090", "REQ-S-093", "REQ-S-096")
@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({"active": "False"}, InvalidAttributeError),
        ({"title": 5}, InvalidAttributeError),
        ({**EXTENDED, ENTERPRISE_URN: {"manager": "u-3"}}, InvalidAttributeError),
        ({**EXTENDED, ENTERPRISE_URN: {"manager": ""}}, InvalidAttributeError),
        ({"emails": {"value": "a@x"}}, InvalidAttributeError),
        ({"emails": "a@x"}, InvalidAttributeError),
        ({"name": [{"givenName": "K"}]}, InvalidAttributeError),
        ({"schemas": None}, InvalidSyntaxError),
        ({"schemas": [ENTERPRISE_URN]}, InvalidSyntaxError),
        ({"schemas": [USER_URN, "urn:example:none"]}, InvalidSyntaxError),
        ({ENTERPRISE_URN: {"department": "D"}}, InvalidSyntaxError),
    ],
)
def test_strict_takes_what_the_rfc_allows(sent: dict[str, Any], error: type[ScimError]) -> None:
    body = {"schemas": [USER_URN], "userName": "kim", **sent}
    assert read_incoming(USERS, {**body, "schemas": [USER_URN]}) is not None
    with pytest.raises(error):
        read_incoming(USERS, body, strict=True)


@pytest.mark.req("REQ-S-020", "REQ-S-019", "REQ-S-256")
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("ainteger", 1.5),
        ("ainteger", "1.5"),
        ("ainteger", True),
        ("ainteger", 2**63),
        ("adecimal", "ten"),
        ("aboolean", "maybe"),
        ("aboolean", 1),
        ("adateTime", "yesterday"),
        ("abinary", "not base64!"),
        ("astring", {"a": 1}),
        ("areference", ["a", "b"]),
        ("box", "text, but its name is not value"),
        ("tags", [{"a": 1}]),
        ("astring", "a\x00b"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(name: str, wrong: Any) -> None:
    if (name, wrong) == ("box", "text, but its name is not value"):
        wrong = 1.5
    with pytest.raises(InvalidAttributeError, match=name):
        normalise_resource(THINGS, {"name": "t", name: wrong})


@pytest.mark.req("REQ-S-018", "REQ-S-019")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("adateTime", "2024-05-06T07:08:09.1234567+02:00"),
        ("abinary", "YWJj"),
        ("abinary", "YWI="),
        ("abinary", "YWI"),
        ("adecimal", 1.5),
        ("ainteger", -3),
        ("tags", ["a", "b"]),
    ],
)
def test_values_come_out_as_they_went_in(name: str, value: Any) -> None:
    assert normalise_resource(THINGS, {"name": "t", name: value}) == {"name": "t", name: value}


@pytest.mark.req("REQ-S-034")
def test_a_required_extension_must_have_data() -> None:
    strict = replace(THINGS, required_extensions=frozenset({EXTRA}))
    assert read_incoming(THINGS, {"name": "t"}).resource == {"name": "t"}
    with pytest.raises(InvalidAttributeError, match="extension"):
        read_incoming(strict, {"name": "t", EXTRA: {"note": ""}})
    assert read_incoming(strict, {"name": "t", EXTRA: {"note": "n"}}).resource[EXTRA] == {"note": "n"}


@pytest.mark.req("REQ-S-088", "REQ-S-089")
def test_active_is_true_unless_somebody_says_otherwise() -> None:
    assert read_incoming(USERS, {"userName": "kim"}, creating=True).resource["active"] is True
    assert "active" not in read_incoming(USERS, {"userName": "kim", "Active": None}, creating=True).resource
    assert "active" not in read_incoming(USERS, {"userName": "kim"}).resource
    assert "active" not in read_incoming(GROUPS, {"displayName": "g"}, creating=True).resource


@pytest.mark.req("REQ-S-023", "REQ-S-086", "REQ-S-003", "REQ-S-006")
def test_secrets_come_out_apart_and_what_only_the_server_writes_not_at_all() -> None:
    incoming = read_incoming(THINGS, {"name": "t", "pin": "1234", "made": "x", "id": "y", "meta": {"version": "z"}})
    assert (incoming.resource, incoming.secrets) == ({"name": "t"}, {"pin": "1234"})


@pytest.mark.req("REQ-S-204", "REQ-S-206")
def test_put_keeps_what_is_immutable_and_refuses_another_value() -> None:
    stored = {"name": "t", "serial": "1", "tags": ["a"]}
    assert replaced(THINGS, stored, {"name": "u"}, {"name"}) == {"name": "u", "serial": "1"}
    assert replaced(THINGS, stored, {"name": "u", "serial": "1"}, {"name", "serial"})["serial"] == "1"
    assert replaced(THINGS, {"name": "t"}, {"name": "t", "serial": "2"}, {"name"})["serial"] == "2"
    with pytest.raises(MutabilityError, match="serial"):
        replaced(THINGS, stored, {"name": "u", "serial": "2"}, {"name", "serial"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "type", "primary", "display", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = [attribute.name for attribute in (*USERS.schema.attributes, *THING.attributes)]


@given(st.dictionaries(st.sampled_from([*MEMBERS, ENTERPRISE_URN, EXTRA, "schemas"]), JSON, max_size=6), st.booleans())
@pytest.mark.parametrize("resource_type", [USERS, THINGS])
def test_no_body_does_anything_but_be_read_or_refused(
    resource_type: ResourceType, body: dict[str, Any], strict: bool
) -> None:
    try:
        once = normalise_resource(resource_type, body, strict=strict)
    except ScimError:
        return
    assert normalise_resource(resource_type, once) == once


class Compared(str):
    """A text that counts how often it is compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Compared.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.req("REQ-S-343")
def test_values_that_are_there_twice_are_found_without_comparing_each_with_each() -> None:
    values = [{"value": Compared(number)} for number in [*range(MOST_VALUES // 2), *range(MOST_VALUES // 2)]]
    emails = normalise_resource(USERS, {"emails": values})["emails"]
    assert emails == [{"value": str(number)} for number in range(MOST_VALUES // 2)]
    assert Compared.comparisons < 5 * MOST_VALUES


@pytest.mark.req("REQ-S-343")
def test_no_attribute_but_members_has_more_values_than_a_patch_can_look_at() -> None:
    many = [{"value": str(number)} for number in range(MOST_VALUES + 1)]
    assert len(normalise_resource(USERS, {"emails": many[1:]})["emails"]) == MOST_VALUES
    assert len(normalise_resource(GROUPS, {"members": many})["members"]) == MOST_VALUES + 1
    for body in ({"emails": many}, {"emails": [None] * (MOST_VALUES + 1)}):
        with pytest.raises(InvalidAttributeError, match="'emails' may have 1000 values, not 1001"):
            normalise_resource(USERS, body)
