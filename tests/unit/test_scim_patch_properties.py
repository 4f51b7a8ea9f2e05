"""What holds for every PATCH: it is done as a whole or not at all, on a resource of its own, and replacing twice is
replacing once (RFC 7644 §3.5.2)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import ENTERPRISE_URN, USERS
from joiner.scim.errors import NoTargetError, ScimError
from joiner.scim.messages import parse_patch
from joiner.scim.patches import secrets_in
from tests.patching import NOTES_URN, SHELF_URN, THING, THINGS, USER, patch

USER_PATHS = [
    *("title", "active", "userName", "name", "name.givenName", "emails", "emails.value", "roles", "addresses"),
    *('emails[type eq "work"]', 'emails[type eq "other"].value', "emails[not (primary eq true)].display", "manager"),
    *('phoneNumbers[type eq "work"].primary', 'ims[type eq "x" and primary eq "True"].value', "id", "groups", "x["),
    *(ENTERPRISE_URN, f"{ENTERPRISE_URN}:manager.value", f"{ENTERPRISE_URN}.department", "password", "schemas"),
]
THING_PATHS = [
    *("label", "serial", "made", "tags", "marks", "stamps", "sizes", "count", "owner", "owner.value", "owner.aliases"),
    *('tags[value eq "old"]', 'screws[value eq "m3"]', 'screws[type eq "new"].length', "screws.checked", "pin", "room"),
    *("origin", "box", "box.colour", SHELF_URN, f"{SHELF_URN}:row", NOTES_URN, f"{NOTES_URN}:first", "bought"),
]
NAMES = ["value", "type", "primary", "display", "$ref", "givenName", "note", "colour", "row", "department", "length"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "work", "m3", "True", "7", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


def operations_on(paths: list[str], verbs: list[str], most: int = 4) -> st.SearchStrategy[list[dict[str, Any]]]:
    with_path = st.fixed_dictionaries({"op": st.sampled_from(verbs), "path": st.sampled_from(paths), "value": VALUES})
    objects = st.dictionaries(st.sampled_from(paths), VALUES, max_size=3)
    without_path = st.fixed_dictionaries({"op": st.sampled_from(verbs), "value": objects | VALUES})
    return st.lists(st.one_of(with_path, without_path), max_size=most)


CASES = st.one_of(
    st.tuples(st.just(USERS), st.just(USER), operations_on(USER_PATHS, ["add", "remove", "replace"])),
    st.tuples(st.just(THINGS), st.just(THING), operations_on(THING_PATHS, ["add", "remove", "replace"])),
)
REPLACING = st.one_of(
    st.tuples(st.just(USERS), st.just(USER), operations_on(USER_PATHS, ["replace"], most=1)),
    st.tuples(st.just(THINGS), st.just(THING), operations_on(THING_PATHS, ["replace"], most=1)),
)


def is_assigned(value: Any) -> bool:
    """Whether neither it nor anything in it is another way to say that there is nothing."""
    if isinstance(value, (list, dict)):
        return bool(value) and all(map(is_assigned, value.values() if isinstance(value, dict) else value))
    return value is not None and value != ""


def primaries(value: Any) -> int:
    return sum(isinstance(each, dict) and each.get("primary") is True for each in value)


@pytest.mark.req("REQ-S-226", "REQ-S-228", "REQ-S-251", "REQ-S-014", "REQ-S-032")
@given(CASES, st.booleans())
def test_a_patch_is_done_as_a_whole_or_refused_and_leaves_its_input_alone(case: Any, strict: bool) -> None:
    resource_type, resource, operations = case
    try:
        result = patch(resource_type, resource, *operations, strict=strict)
    except ScimError:
        return
    after = result.resource
    assert is_assigned(after)
    assert after.keys().isdisjoint({"schemas", "id", "meta", "groups", "password", "pin"})
    assert all(primaries(value) <= 1 for value in after.values() if isinstance(value, list))
    changed = {name.lower() for name in resource | after if resource.get(name) != after.get(name)}
    assert changed <= result.asserted
    assert result.secrets == secrets_in(resource_type, parse_patch({"Operations": operations}), strict=strict)
    assert patch(resource_type, resource, *operations, strict=strict) == result


@pytest.mark.req("REQ-S-228", "REQ-S-243")
@given(REPLACING)
def test_replacing_twice_is_replacing_once(case: Any) -> None:
    resource_type, resource, operations = case
    try:
        once = patch(resource_type, resource, *operations).resource
    except ScimError:
        return
    try:
        twice = patch(resource_type, once, *operations).resource
    except NoTargetError:
        # What a filter chose is no longer what it chooses (RFC 7644 §3.5.2.3).
        return
    assert twice == once


@pytest.mark.req("REQ-S-225")
@given(CASES)
def test_operations_in_one_request_do_what_they_do_one_after_the_other(case: Any) -> None:
    resource_type, resource, operations = case
    step = resource
    try:
        together = patch(resource_type, resource, *operations).resource
        for operation in operations:
            step = patch(resource_type, step, operation).resource
    except ScimError:
        # An element may be completed by the operations that follow, so that not each can be done alone.
        return
    assert together == step
