"""PATCH of resources of any schema: what is immutable, required, read-only or never returned, and values of every kind
(RFC 7643 §2.2, §7; RFC 7644 §3.5.2)."""

from typing import Any

import pytest

from joiner.scim.core import COMMON
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidFilterError,
    InvalidPathError,
    MutabilityError,
    NoTargetError,
    ScimError,
)
from joiner.scim.messages import parse_patch
from joiner.scim.patches import secrets_in
from joiner.scim.schemas import Attribute, ResourceType, Schema
from tests.patching import NOTES_URN, SHELF_URN, THING, THINGS, patch, patch_thing, without

M3, M4 = THING["screws"]


def refused(*operations: dict[str, Any], resource: dict[str, Any] = THING) -> type[Exception]:
    """The error, which is the same in both profiles."""
    errors = set()
    for strict in (False, True):
        with pytest.raises(ScimError) as caught:
            patch(THINGS, resource, *operations, strict=strict)
        errors.add(caught.type)
    [error] = errors
    return error


# Immutable


@pytest.mark.req("REQ-S-033", "REQ-S-228")
@pytest.mark.parametrize(
    ("operation", "name", "value"),
    [
        ({"op": "add", "path": "serial", "value": "S-2"}, "serial", "S-2"),
        ({"op": "replace", "path": "serial", "value": "S-2"}, "serial", "S-2"),
        ({"op": "add", "value": {"Serial": "S-2"}}, "serial", "S-2"),
        ({"op": "add", "path": "stamps", "value": ["a", "a"]}, "stamps", ["a"]),
        ({"op": "replace", "path": "origin", "value": {"town": "Moss"}}, "origin", {"town": "Moss"}),
        ({"op": "add", "path": "origin.town", "value": "Moss"}, "origin", {"town": "Moss"}),
        ({"op": "add", "path": "owner.value", "value": "u-2"}, "owner", {"value": "u-2"}),
        ({"op": "add", "path": f"{NOTES_URN}:first", "value": "x"}, NOTES_URN, {"first": "x"}),
        ({"op": "remove", "path": "serial"}, "serial", None),
    ],
)
def test_what_is_immutable_can_be_set_once_and_to_the_same_again(
    operation: dict[str, Any], name: str, value: Any
) -> None:
    unset = {"label": "Lamp", "marks": ["x"]}
    once = patch(THINGS, unset, operation, strict=True).resource
    assert once == (unset if value is None else {**unset, name: value})
    assert patch(THINGS, once, operation, strict=True).resource == once


@pytest.mark.req("REQ-S-033", "REQ-S-237")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "serial", "value": "S-2"},
        {"op": "replace", "path": "serial", "value": None},
        {"op": "add", "path": "serial", "value": "S-2"},
        {"op": "add", "value": {"serial": "S-2"}},
        {"op": "remove", "path": "serial"},
        {"op": "add", "path": "stamps", "value": ["c"]},
        {"op": "replace", "path": "stamps", "value": ["a"]},
        {"op": "remove", "path": "stamps"},
        {"op": "remove", "path": 'stamps[value eq "a"]'},
        {"op": "replace", "path": 'stamps[value eq "a"]', "value": "c"},
        {"op": "add", "path": "origin.town", "value": "Moss"},
        {"op": "add", "path": "origin", "value": {"town": "Moss"}},
        {"op": "remove", "path": "origin.country"},
        {"op": "remove", "path": "origin"},
        {"op": "replace", "path": "owner.value", "value": "u-2"},
        {"op": "replace", "path": "owner", "value": {"value": "u-2"}},
        {"op": "replace", "path": "owner", "value": {"value": None, "note": "x"}},
        {"op": "remove", "path": "owner.value"},
        {"op": "remove", "path": "owner"},
        {"op": "replace", "path": 'screws[value eq "m3"].value', "value": "m5"},
        {"op": "replace", "path": 'screws[value eq "m3"]', "value": {"value": "m5"}},
        {"op": "add", "path": 'screws[value eq "m3"]', "value": {"value": "m5"}},
        {"op": "add", "path": "screws.value", "value": "m5"},
        {"op": "remove", "path": f"{NOTES_URN}:first"},
        {"op": "replace", "path": NOTES_URN, "value": {"first": "other"}},
        {"op": "remove", "path": NOTES_URN},
    ],
)
def test_what_is_immutable_cannot_be_changed_or_taken_away(operation: dict[str, Any]) -> None:
    assert refused(operation) is MutabilityError


@pytest.mark.req("REQ-S-033")
def test_an_immutable_value_cannot_be_changed_within_the_request_that_sets_it() -> None:
    first, second = ({"op": "add", "path": "serial", "value": value} for value in ("S-1", "S-2"))
    assert refused(first, second, resource=without(THING, "serial")) is MutabilityError


@pytest.mark.req("REQ-S-033", "REQ-S-268")
@pytest.mark.parametrize(
    ("operation", "screws"),
    [
        ({"op": "add", "path": "screws", "value": [{"value": "m5"}]}, [M3, M4, {"value": "m5"}]),
        ({"op": "replace", "path": "screws", "value": [{"value": "m5"}]}, [{"value": "m5"}]),
        ({"op": "remove", "path": 'screws[value eq "m3"]'}, [M4]),
        ({"op": "replace", "path": 'screws[value eq "m3"].value', "value": "m3"}, [M3, M4]),
        ({"op": "replace", "path": 'screws[value eq "m4"].length', "value": 5}, [M3, {**M4, "length": 5}]),
        # What cannot be changed and what the server writes stay when an element is replaced.
        (
            {"op": "replace", "path": 'screws[type eq "wood"]', "value": {"length": 5}},
            [{"value": "m3", "type": "wood", "length": 5, "checked": "today"}, M4],
        ),
        (
            {"op": "replace", "path": 'screws[type eq "wood"]', "value": {"length": 5, "checked": "never"}},
            [{"value": "m3", "type": "wood", "length": 5, "checked": "today"}, M4],
        ),
        ({"op": "replace", "path": 'screws[type eq "wood"]', "value": None}, [M4]),
    ],
)
def test_elements_come_and_go_while_what_is_immutable_in_them_stays(operation: dict[str, Any], screws: Any) -> None:
    for strict in (False, True):
        assert patch_thing(operation, strict=strict)["screws"] == screws


# Required


@pytest.mark.req("REQ-S-237")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "label"},
        {"op": "remove", "path": "marks"},
        {"op": "remove", "path": 'marks[value eq "x"]'},
        {"op": "remove", "path": f"{SHELF_URN}:row"},
        {"op": "remove", "path": "box.colour"},
        {"op": "remove", "path": 'screws[type eq "wood"].value'},
    ],
)
def test_what_is_required_cannot_be_removed(operation: dict[str, Any]) -> None:
    assert refused(operation, resource={**THING, "box": {"colour": "red", "full": True}}) is MutabilityError


@pytest.mark.req("REQ-S-237", "REQ-S-256")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "label", "value": None},
        {"op": "replace", "path": "marks", "value": []},
        {"op": "replace", "path": f"{SHELF_URN}:row", "value": ""},
        {"op": "replace", "path": "box.colour", "value": None},
        {"op": "replace", "path": "box", "value": {"full": True}},
        {"op": "add", "path": "box.full", "value": True},
        {"op": "add", "path": "screws", "value": [{"type": "wood"}]},
        {"op": "add", "path": 'screws[type eq "new"].length', "value": 3},
    ],
)
def test_what_is_required_cannot_be_left_out(operation: dict[str, Any]) -> None:
    assert refused(operation) is InvalidAttributeError


@pytest.mark.req("REQ-S-239")
def test_the_last_required_value_cannot_be_listed_away() -> None:
    with pytest.raises(MutabilityError):
        patch_thing({"op": "remove", "path": "marks", "value": ["x"]})
    two = {**THING, "marks": ["x", "y"]}
    assert patch(THINGS, two, {"op": "remove", "path": "marks", "value": ["x"]}).resource == {**THING, "marks": ["y"]}


@pytest.mark.req("REQ-S-225")
def test_an_element_may_be_completed_by_the_operations_that_follow() -> None:
    after = patch_thing(
        {"op": "add", "path": 'screws[type eq "new"].length', "value": 3},
        {"op": "add", "path": 'screws[type eq "new"].value', "value": "m5"},
        {"op": "add", "path": "box.full", "value": True},
        {"op": "add", "path": "box.colour", "value": "red"},
    )
    assert after["screws"][2] == {"type": "new", "length": 3, "value": "m5"}
    assert after["box"] == {"full": True, "colour": "red"}


@pytest.mark.req("REQ-S-236")
def test_an_extension_can_be_removed_whole_although_it_requires_something() -> None:
    for operation in (
        {"op": "remove", "path": SHELF_URN},
        {"op": "replace", "path": SHELF_URN, "value": None},
        {"op": "replace", "value": {SHELF_URN: None}},
    ):
        assert patch_thing(operation, strict=True) == without(THING, SHELF_URN)


# Read-only


@pytest.mark.req("REQ-S-250")
@pytest.mark.parametrize("path", ["made", "owner.since", 'screws[type eq "wood"].checked', f"{SHELF_URN}:counted"])
def test_what_the_server_writes_is_refused_by_its_path_and_unless_strict_ignored_in_an_object(path: str) -> None:
    for verb in ("add", "replace", "remove"):
        assert refused({"op": verb, "path": path, "value": "x"}) is MutabilityError
    named = {"op": "replace", "value": {path: "x", "tags": ["y"]}}
    assert patch_thing(named) == {**THING, "tags": ["y"]}
    with pytest.raises(MutabilityError):
        patch_thing(named, strict=True)


@pytest.mark.req("REQ-S-250")
def test_what_the_server_writes_stays_beside_what_the_client_writes() -> None:
    held = {**THING, "owner": {"value": "u-1", "since": "May"}}
    value = {"note": "x", "since": "June"}
    after = patch(THINGS, held, {"op": "replace", "path": "owner", "value": value}).resource
    assert after["owner"] == {"value": "u-1", "since": "May", "note": "x"}
    chosen = {"op": "replace", "path": 'screws[type eq "wood" and checked eq "today"]', "value": {"length": 1}}
    assert patch_thing(chosen)["screws"][0] == {**M3, "length": 1}
    # No client can make an element of which only the server could say so.
    assert refused({**chosen, "op": "add", "path": 'screws[type eq "wood" and checked eq "never"]'}) is NoTargetError


# Simple values


@pytest.mark.req("REQ-S-230", "REQ-S-231", "REQ-S-236", "REQ-S-239", "REQ-S-241", "REQ-S-243")
@pytest.mark.parametrize(
    ("operation", "tags"),
    [
        ({"op": "add", "path": "tags", "value": ["loud", "new", "new"]}, ["old", "loud", "new"]),
        ({"op": "add", "path": "tags", "value": "new"}, ["old", "loud", "new"]),
        ({"op": "add", "path": 'tags[value eq "new"]', "value": "new"}, ["old", "loud", "new"]),
        ({"op": "replace", "path": "tags", "value": ["new"]}, ["new"]),
        ({"op": "replace", "path": "tags", "value": []}, None),
        ({"op": "replace", "path": 'tags[value eq "OLD"]', "value": "new"}, ["new", "loud"]),
        ({"op": "replace", "path": 'tags[value eq "old"]', "value": "loud"}, ["loud"]),
        ({"op": "replace", "path": 'tags[value eq "old"]', "value": None}, ["loud"]),
        ({"op": "remove", "path": "tags"}, None),
        ({"op": "remove", "path": 'tags[value sw "o"]'}, ["loud"]),
        ({"op": "remove", "path": 'tags[value pr]'}, None),
        ({"op": "remove", "path": 'tags[value eq "none"]'}, ["old", "loud"]),
    ],
)  # fmt: skip
def test_lists_of_simple_values(operation: dict[str, Any], tags: list[str] | None) -> None:
    for strict in (False, True):
        assert patch_thing(operation, strict=strict).get("tags") == tags


@pytest.mark.req("REQ-S-239", "REQ-S-241")
@pytest.mark.parametrize(("value", "tags"), [(["old"], ["loud"]), ("old", ["loud"]), ([], ["old", "loud"])])
def test_simple_values_are_listed_away(value: Any, tags: list[str]) -> None:
    operation = {"op": "remove", "path": "tags", "value": value}
    assert patch_thing(operation)["tags"] == tags
    assert "tags" not in patch_thing(operation, strict=True)


@pytest.mark.req("REQ-S-245", "REQ-S-255", "REQ-S-256")
@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({"op": "replace", "path": 'tags[value eq "none"]', "value": "x"}, NoTargetError),
        ({"op": "replace", "path": "tags", "value": [{"value": "x"}]}, InvalidAttributeError),
        ({"op": "replace", "path": 'tags[value eq "old"]', "value": ["x", "y"]}, InvalidAttributeError),
        ({"op": "remove", "path": 'tags[type eq "x"]'}, InvalidFilterError),
        ({"op": "remove", "path": 'tags[value eq "x"].value'}, InvalidPathError),
        ({"op": "add", "path": "sizes", "value": ["wide"]}, InvalidAttributeError),
        ({"op": "add", "path": "count", "value": 1.5}, InvalidAttributeError),
        ({"op": "add", "path": "weight", "value": "heavy"}, InvalidAttributeError),
        ({"op": "add", "path": "bought", "value": "yesterday"}, InvalidAttributeError),
        ({"op": "add", "path": "picture", "value": "§"}, InvalidAttributeError),
        ({"op": "add", "path": "owner.aliases", "value": [{"x": 1}]}, InvalidAttributeError),
    ],
)
def test_values_of_another_kind_are_refused(operation: dict[str, Any], error: type[ScimError]) -> None:
    assert refused(operation) is error


@pytest.mark.req("REQ-S-256", "REQ-S-020")
@pytest.mark.parametrize(
    ("path", "sent", "stored"),
    [("sizes", ["7", 8], [7, 8]), ("count", "9", 9), ("weight", "1.5", 1.5), (f"{SHELF_URN}:place", "4", 4)],
)
def test_numbers_may_be_texts_but_not_in_strict(path: str, sent: Any, stored: Any) -> None:
    operation = {"op": "replace", "path": path, "value": sent}
    assert patch_thing(operation) == patch_thing({"op": "replace", "path": path, "value": stored}, strict=True)
    with pytest.raises(InvalidAttributeError):
        patch_thing(operation, strict=True)


@pytest.mark.req("REQ-S-230", "REQ-S-236", "REQ-S-243")
def test_lists_inside_of_a_complex_value_are_lists_too() -> None:
    assert patch_thing(
        {"op": "add", "path": "owner.aliases", "value": ["a", "b"]},
        {"op": "add", "path": "owner.aliases", "value": ["b", "c"]},
        {"op": "remove", "path": "owner.aliases", "value": ["a"]},
    )["owner"] == {**THING["owner"], "aliases": ["b", "c"]}
    assert "aliases" not in patch_thing({"op": "remove", "path": "owner.aliases"})["owner"]


# Secrets, extensions, elements


@pytest.mark.req("REQ-S-033")
def test_what_is_never_returned_comes_out_apart_wherever_it_stands() -> None:
    operations = [
        {"op": "replace", "value": {"pin": 1234, NOTES_URN: {"seal": "wax", "room": "r"}}},
        {"op": "remove", "path": "pin"},
    ]
    result = patch(THINGS, THING, *operations)
    assert result.resource == {**THING, NOTES_URN: {**THING[NOTES_URN], "room": "r"}}
    assert result.secrets == {"pin": None, f"{NOTES_URN}:seal": "wax"}
    assert secrets_in(THINGS, parse_patch({"Operations": operations})) == result.secrets
    unsealed = without(THING, NOTES_URN)
    removal = {"op": "remove", "path": NOTES_URN}
    assert patch(THINGS, unsealed, removal).secrets == {f"{NOTES_URN}:seal": None}
    assert secrets_in(THINGS, parse_patch({"Operations": [removal]})) == {f"{NOTES_URN}:seal": None}


@pytest.mark.req("REQ-S-258", "REQ-S-253", "REQ-S-254")
def test_a_name_that_two_extensions_have_needs_its_urn() -> None:
    with pytest.raises(InvalidPathError):
        patch_thing({"op": "add", "path": "room", "value": "x"})
    assert patch_thing({"op": "add", "path": f"{SHELF_URN}:room", "value": "x"})[SHELF_URN]["room"] == "x"
    assert patch_thing({"op": "add", "path": f"{SHELF_URN.upper()}:ROOM", "value": "x"})[SHELF_URN]["room"] == "x"
    assert patch_thing({"op": "add", "path": "place", "value": 5})[SHELF_URN]["place"] == 5


def test_an_element_whose_parts_are_all_decoration_loses_no_more_than_it_is_told_to() -> None:
    signs = Attribute("signs", "complex", multi_valued=True, sub_attributes=(Attribute("type"), Attribute("display")))
    boards = ResourceType("Board", "/Boards", "", Schema("urn:example:Board", "Board", "", (signs,)), (), COMMON)
    after = patch(boards, {"signs": [{"type": "a", "display": "A"}]}, {"op": "remove", "path": "signs.display"})
    assert after.resource == {"signs": [{"type": "a"}]}
