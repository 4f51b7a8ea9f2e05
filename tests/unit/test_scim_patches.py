"""PATCH on resources of custom types, in the strict profile, and what it promises of its input (RFC 7644 §3.5.2)."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import COMMON, ENTERPRISE_URN, USER_URN, USERS
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidFilterError,
    InvalidPathError,
    InvalidSyntaxError,
    MutabilityError,
    NoTargetError,
    ScimError,
)
from joiner.scim.messages import PREFIX, parse_patch
from joiner.scim.patches import apply_patch, secrets_in
from joiner.scim.schemas import Attribute, ResourceType, Schema

THINGS = ResourceType(
    "Thing",
    "/Things",
    "",
    Schema(
        "urn:example:schemas:1.0:Thing",
        "Thing",
        "",
        (
            Attribute("name", required=True),
            Attribute("serial", mutability="immutable"),
            Attribute("made", mutability="readOnly"),
            Attribute("tags", multi_valued=True),
            Attribute("count", "integer"),
            Attribute("box", "complex", sub_attributes=(Attribute("value"), Attribute("full", "boolean"))),
        ),
    ),
    (),
    COMMON,
)
USER: dict[str, Any] = {
    "userName": "kim",
    "active": True,
    "name": {"givenName": "K", "familyName": "L"},
    "emails": [{"type": "work", "value": "k@x", "primary": True}, {"type": "home", "value": "k@y"}],
    ENTERPRISE_URN: {"department": "d", "manager": {"value": "boss"}},
}


def patched(resource_type: ResourceType, resource: dict[str, Any], *operations: Any, strict: bool = False) -> Any:
    before = copy.deepcopy(resource)
    body = {"schemas": [f"{PREFIX}PatchOp"], "Operations": list(operations)}
    result = apply_patch(resource_type, resource, parse_patch(body, strict=strict), strict=strict).resource
    assert resource == before
    return result


@pytest.mark.req("REQ-S-206", "REQ-S-250")
@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ({"op": "add", "path": "serial", "value": "1"}, {"name": "t", "serial": "1"}),
        ({"op": "replace", "path": "serial", "value": "1"}, {"name": "t", "serial": "1"}),
        ({"op": "replace", "value": {"serial": "1", "made": "ignored", "id": "ignored"}}, {"name": "t", "serial": "1"}),
    ],
)
def test_what_is_immutable_can_be_set_once_and_to_the_same_again(operation: Any, after: Any) -> None:
    once = patched(THINGS, {"name": "t"}, operation)
    assert once == after
    assert patched(THINGS, once, operation) == after


@pytest.mark.req("REQ-S-206", "REQ-S-237", "REQ-S-255")
@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({"op": "replace", "path": "serial", "value": "2"}, MutabilityError),
        ({"op": "add", "value": {"serial": "2"}}, MutabilityError),
        ({"op": "remove", "path": "serial"}, MutabilityError),
        ({"op": "remove", "path": "name"}, MutabilityError),
        ({"op": "replace", "path": "name", "value": None}, InvalidAttributeError),
        ({"op": "replace", "path": "made", "value": "x"}, MutabilityError),
        ({"op": "replace", "path": "meta.created", "value": "x"}, MutabilityError),
        ({"op": "replace", "path": "nothing", "value": "x"}, InvalidPathError),
        ({"op": "replace", "path": "box.nothing", "value": "x"}, InvalidPathError),
        ({"op": "replace", "path": "tags[", "value": "x"}, InvalidPathError),
        ({"op": "replace", "path": 'box[value eq "x"]', "value": {}}, InvalidPathError),
        ({"op": "add", "path": "count", "value": "many"}, InvalidAttributeError),
        ({"op": "add", "value": "x"}, InvalidAttributeError),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_has_happened(operation: Any, error: type[ScimError]) -> None:
    with pytest.raises(error):
        patched(THINGS, {"name": "t", "serial": "1", "box": {"value": "v"}}, operation)


@pytest.mark.req("REQ-S-230", "REQ-S-236", "REQ-S-243", "REQ-S-231")
def test_simple_values_are_added_once_replaced_and_removed() -> None:
    thing = {"name": "t", "tags": ["a"]}
    assert patched(THINGS, thing, {"op": "add", "path": "tags", "value": ["a", "b"]})["tags"] == ["a", "b"]
    assert patched(THINGS, thing, {"op": "replace", "path": "tags", "value": ["c"]})["tags"] == ["c"]
    assert patched(THINGS, {"name": "t", "tags": ["a", "b"]}, {"op": "remove", "path": "tags", "value": ["a"]}) == {
        "name": "t",
        "tags": ["b"],
    }
    assert "tags" not in patched(THINGS, thing, {"op": "remove", "path": "tags"})


@pytest.mark.req("REQ-S-220", "REQ-S-222", "REQ-S-245", "REQ-S-246", "REQ-S-258")
@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({"op": "replace", "path": "active", "value": "False"}, InvalidAttributeError),
        ({"op": "replace", "path": 'phoneNumbers[type eq "work"].value', "value": "1"}, NoTargetError),
        ({"op": "replace", "path": 'phoneNumbers[type eq "work"]', "value": {"value": "1"}}, NoTargetError),
        ({"op": "replace", "path": "manager", "value": "u-3"}, InvalidPathError),
        ({"op": "replace", "path": f"{ENTERPRISE_URN}:manager", "value": "u-3"}, InvalidAttributeError),
    ],
)
def test_strict_refuses_what_only_lenient_understands(operation: Any, error: type[ScimError]) -> None:
    with pytest.raises(error):
        patched(USERS, USER, operation, strict=True)
    if error is not NoTargetError or ".value" in operation["path"]:
        assert patched(USERS, USER, operation) is not None


@pytest.mark.req("REQ-S-220", "REQ-S-222")
def test_strict_wants_the_message_and_something_to_do() -> None:
    something = {"op": "remove", "path": "title"}
    for body in (
        {"Operations": [something]},
        {"schemas": [f"{PREFIX}PatchOp"], "Operations": []},
        {"schemas": [USER_URN], "Operations": [something]},
    ):
        assert parse_patch(body) is not None
        with pytest.raises(InvalidSyntaxError):
            parse_patch(body, strict=True)


@pytest.mark.req("REQ-S-239")
def test_by_the_rfc_removing_with_a_value_removes_everything() -> None:
    operation = {"op": "remove", "path": "emails", "value": [{"value": "k@x"}]}
    assert patched(USERS, USER, operation)["emails"] == [{"type": "home", "value": "k@y"}]
    assert "emails" not in patched(USERS, USER, operation, strict=True)


@pytest.mark.req("REQ-S-023")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "password", "value": "s"},
        {"op": "Replace", "path": f"{USER_URN}:Password", "value": "s"},
        {"op": "replace", "value": {"PASSWORD": "s", "title": "t"}},
        {"op": "replace", "value": {f"{USER_URN}:password": "s"}},
    ],
)
def test_a_password_comes_out_apart(operation: Any) -> None:
    operations = parse_patch({"Operations": [operation]})
    assert secrets_in(USERS, operations) == {"password": "s"}
    result = apply_patch(USERS, USER, operations)
    assert "password" not in result.resource
    assert "password" in result.asserted


@pytest.mark.req("REQ-S-032", "REQ-S-252")
def test_what_was_written_is_told_by_name() -> None:
    operations = parse_patch(
        {
            "Operations": [
                {"op": "add", "path": 'emails[type eq "work"].value', "value": "x"},
                {"op": "add", "path": f"{ENTERPRISE_URN}:division", "value": "y"},
                {"op": "add", "value": {"name.givenName": "z"}},
            ]
        }
    )
    assert apply_patch(USERS, USER, operations).asserted == {"emails", ENTERPRISE_URN.lower(), "name"}


PATHS = st.sampled_from(
    [
        None,
        "title",
        "name.givenName",
        "emails",
        "emails.value",
        'emails[type eq "work"]',
        'emails[type eq "other"].value',
        "emails[not (primary eq true)].display",
        ENTERPRISE_URN,
        f"{ENTERPRISE_URN}:manager.value",
        "manager",
        "roles",
        "userName",
        "id",
        "groups",
        "x[",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "type", "primary", "title", "name.givenName"]), inner, max_size=3)
    ),
    max_leaves=6,
)
OPERATIONS = st.lists(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "Replace", "remove"]), "path": PATHS, "value": JSON}),
    min_size=1,
    max_size=4,
)


@pytest.mark.req("REQ-S-226", "REQ-S-228")
@given(OPERATIONS, st.booleans())
def test_any_patch_is_applied_or_refused_and_leaves_its_input_alone(operations: list[Any], strict: bool) -> None:
    before = copy.deepcopy(USER)
    body = {"schemas": [f"{PREFIX}PatchOp"], "Operations": operations}
    try:
        result = apply_patch(USERS, USER, parse_patch(body, strict=strict), strict=strict).resource
    except ScimError:
        assert before == USER
        return
    assert before == USER
    assert "password" not in result
    assert all(result.values()) or result["active"] is False


@given(OPERATIONS)
def test_replacing_twice_is_replacing_once(operations: list[Any]) -> None:
    replacing = parse_patch({"Operations": [{**each, "op": "replace"} for each in operations[:1]]})
    try:
        once = apply_patch(USERS, USER, replacing).resource
        twice = apply_patch(USERS, once, replacing).resource
    except (InvalidFilterError, ScimError):
        return
    assert twice == once


@pytest.mark.req("REQ-S-343")
def test_no_attribute_grows_beyond_what_a_patch_can_look_at() -> None:
    resource = {"userName": "kim", "emails": [{"value": str(number)} for number in range(1000)]}
    for path, value in (("emails", {"value": "more"}), ("emails", [{"value": "a"}, {"value": "b"}])):
        operations = parse_patch({"Operations": [{"op": "add", "path": path, "value": value}]})
        with pytest.raises(InvalidAttributeError, match="'emails' may have 1000 values"):
            apply_patch(USERS, resource, operations)
    again = parse_patch({"Operations": [{"op": "add", "path": "emails", "value": {"value": "7"}}]})
    assert len(apply_patch(USERS, resource, again).resource["emails"]) == 1000
