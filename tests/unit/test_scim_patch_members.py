"""Members of a group as set arithmetic: the same as PATCH on a list in the resource (RFC 7644 §3.5.2)."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import GROUP_URN, GROUPS
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidFilterError,
    InvalidPathError,
    MutabilityError,
    NoTargetError,
    ScimError,
)
from joiner.scim.members import LONGEST_ID, MemberChange, chosen_members, members_in, net_changes, split_members
from joiner.scim.messages import Operation, parse_patch
from joiner.scim.patches import apply_patch

ANN, BEN, TEAM = (
    {"value": "ann", "type": "User", "display": "Ann"},
    {"value": "ben", "type": "User", "display": "Ben"},
    {"value": "team", "type": "Group", "display": "Team"},
)


def changes_of(*operations: dict[str, Any], strict: bool = False) -> list[MemberChange]:
    others, changes = split_members(GROUPS, parse_patch({"Operations": list(operations)}), strict=strict)
    assert others == []
    return changes


def applied(changes: Sequence[MemberChange], members: dict[str, str | None]) -> dict[str, str | None]:
    """What changes mean to whoever keeps members: id → display. Ids with a capital are groups."""
    held = dict(members)
    for change in changes:
        match change.kind:
            case "add":
                held = {**change.members, **held}
            case "remove":
                held = {member: shown for member, shown in held.items() if member not in change.members}
            case "replace":
                held = dict(change.members)
            case "clear":
                held = {}
            case "remove_matching":
                gone = chosen_members(change, [element(*each) for each in held.items()], GROUPS)
                held = {member: shown for member, shown in held.items() if member not in gone}
    return held


def element(id_: str, shown: str | None) -> dict[str, Any]:
    kind = "Group" if id_ in ("x", "y") else "User"
    return {"value": id_, "type": kind, **({} if shown is None else {"display": shown})}


# Every way to say it


@pytest.mark.req("REQ-S-236", "REQ-S-238", "REQ-S-239", "REQ-S-240", "REQ-S-241", "REQ-S-242", "REQ-S-261", "REQ-S-264")
@pytest.mark.parametrize(
    ("operation", "lenient", "strict"),
    [
        ({"op": "add", "path": "members", "value": [{"value": "c"}]}, "add c", "add c"),
        ({"op": "add", "path": "members", "value": {"value": "c"}}, "add c", "add c"),
        ({"op": "add", "path": "members", "value": "c"}, "add c", "invalidValue"),
        ({"op": "add", "path": "members", "value": ["c"]}, "add c", "invalidValue"),
        ({"op": "add", "path": "members", "value": []}, "", ""),
        ({"op": "add", "path": "members", "value": None}, "", ""),
        ({"op": "add", "path": "members", "value": [{}, None, ""]}, "", ""),
        ({"op": "add", "value": {"members": [{"value": "c"}]}}, "add c", "add c"),
        ({"op": "replace", "path": "members", "value": [{"value": "c"}]}, "replace c", "replace c"),
        ({"op": "replace", "path": "members", "value": {"value": "c"}}, "replace c", "invalidValue"),
        ({"op": "replace", "path": "members", "value": []}, "clear", "clear"),
        ({"op": "replace", "value": {"members": None}}, "clear", "clear"),
        ({"op": "remove", "path": "members"}, "clear", "clear"),
        ({"op": "remove", "path": "members", "value": None}, "clear", "clear"),
        ({"op": "remove", "path": "members", "value": [{"value": "c"}]}, "remove c", "clear"),
        ({"op": "remove", "path": "members", "value": "c"}, "remove c", "clear"),
        ({"op": "remove", "path": "members", "value": []}, "", "clear"),
        ({"op": "remove", "path": "members", "value": ""}, "", "clear"),
        ({"op": "remove", "path": 'members[value eq "c"]'}, "remove c", "remove c"),
        ({"op": "remove", "path": 'members[value eq "c"]', "value": [{"value": "d"}]}, "remove c", "remove c"),
        ({"op": "remove", "path": 'MEMBERS[ Value EQ "c" ]'}, "remove c", "remove c"),
        ({"op": "remove", "path": 'members[value eq "c\\u0064"]'}, "remove cd", "remove cd"),
        ({"op": "remove", "path": 'members[value eq "c" or value eq "d"]'}, "remove c d", "remove c d"),
        ({"op": "remove", "path": 'members[value eq "c" and value eq "d"]'}, "", ""),
        ({"op": "remove", "path": 'members[value eq "c" and (value eq "d" or value eq "c")]'}, "remove c", "remove c"),
        ({"op": "remove", "path": 'members[$ref eq "https://x.example/scim/Users/c"]'}, "remove c", "remove c"),
        ({"op": "remove", "path": f'{GROUP_URN}:members[value eq "c"]'}, "remove c", "remove c"),
        ({"op": "remove", "path": f'{GROUP_URN}.members[value eq "c"]'}, "remove c", "invalidPath"),
        ({"op": "add", "path": 'members[value eq "c"]', "value": {"value": "c"}}, "add c", "add c"),
        ({"op": "add", "path": 'members[value eq "c"]', "value": {}}, "add c", "add c"),
        ({"op": "add", "path": 'members[value eq "c"]', "value": {"type": "User"}}, "add c", "add c"),
        ({"op": "add", "path": 'members[value eq "c" and type eq "User"]', "value": None}, "add c", "add c"),
        ({"op": "add", "path": 'members[value eq "c"].value', "value": "c"}, "add c", "add c"),
        ({"op": "replace", "path": 'members[value eq "c"]', "value": {"value": "c"}}, "add c", "add c"),
        ({"op": "add", "value": {'members[value eq "c"]': {"value": "c"}}}, "add c", "add c"),
        ({"op": "add", "value": {"MEMBERS": ["c"], "members": [{"value": "d"}]}}, "add d", "add d"),
    ],
)  # fmt: skip
def test_every_way_to_change_members(operation: dict[str, Any], lenient: str, strict: str) -> None:
    for expected, is_strict in ((lenient, False), (strict, True)):
        try:
            said = " ".join(
                word
                for change in net_changes(changes_of(operation, strict=is_strict))
                for word in (change.kind, *change.members)
            )
        except ScimError as error:
            said = str(error.scim_type)
        assert said == expected


@pytest.mark.req("REQ-S-022")
def test_a_filter_with_a_display_adds_a_member_that_is_shown_so() -> None:
    for operation in (
        {"path": 'members[value eq "c"]', "value": {"Display": "Cleo"}},
        {"path": 'members[value eq "c" and display eq "Cleo"]', "value": {}},
    ):
        assert changes_of({"op": "add", **operation}) == [MemberChange("add", {"c": "Cleo"})]


@pytest.mark.req("REQ-S-236", "REQ-S-242")
@pytest.mark.parametrize(
    ("condition", "gone"),
    [
        ('type eq "User"', ["ann", "ben"]),
        ('type eq "group"', ["team"]),
        ('type eq "Device"', []),
        ('display eq "ann"', ["ann"]),
        ('display sw "b" or type eq "Group"', ["ben", "team"]),
        ('value eq "ann" and type eq "User"', ["ann"]),
        ('value eq "ann" and type eq "Group"', []),
        ('not (value eq "ann")', ["ben", "team"]),
        ('value ne "ann"', ["ben", "team"]),
        ("value pr", ["ann", "ben", "team"]),
        ('$ref ne "../Users/ann"', ["ben", "team"]),
        ("$ref pr and not ($ref eq null)", ["ann", "ben", "team"]),
        ('value eq "ben" and not (type eq "Group" or display eq null)', ["ben"]),
    ],
)
def test_any_filter_chooses_the_members_that_go(condition: str, gone: list[str]) -> None:
    [change] = changes_of({"op": "remove", "path": f"members[{condition}]"})
    assert change.kind == "remove_matching"
    assert chosen_members(change, [ANN, BEN, TEAM], GROUPS) == gone


@pytest.mark.req("REQ-S-268", "REQ-S-255", "REQ-S-245", "REQ-S-256", "REQ-S-342")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("verb", "path", "value", "error"),
    [
        ("replace", 'members[value eq "a"].value', "b", MutabilityError),
        ("replace", 'members[value eq "a"].value', "a", MutabilityError),
        ("replace", 'members[value eq "a"].display', "A", MutabilityError),
        ("add", 'members[value eq "a"].display', "A", MutabilityError),
        ("add", 'members[value eq "a"].type', "User", MutabilityError),
        ("replace", 'members[value eq "a"]', {"value": "b"}, MutabilityError),
        ("add", 'members[value eq "a"]', {"value": "b"}, MutabilityError),
        ("add", 'members[value eq "a"].value', "b", MutabilityError),
        ("remove", 'members[value eq "a"].value', None, MutabilityError),
        ("remove", 'members[type eq "User"].display', None, MutabilityError),
        ("remove", "members.value", None, MutabilityError),
        ("replace", "members.display", "x", MutabilityError),
        ("add", 'members[type eq "User"]', {"value": "b"}, NoTargetError),
        ("replace", 'members[not (value eq "a")]', {"value": "b"}, NoTargetError),
        ("replace", 'members[value eq "a" and value eq "b"]', {"value": "b"}, NoTargetError),
        ("remove", 'members[unknown eq "a"]', None, InvalidFilterError),
        ("remove", 'members[type eq "a" or unknown eq "a"]', None, InvalidFilterError),
        ("add", 'members[value eq "c" and unknown eq "x"]', {}, InvalidFilterError),
        ("remove", 'members[$ref co "a"]', None, InvalidFilterError),
        ("remove", 'members[value zz "a"]', None, InvalidFilterError),
        ("remove", 'members[value eq "a"].unknown', None, InvalidPathError),
        ("add", "members.unknown", "a", InvalidPathError),
        ("remove", "members[", None, InvalidPathError),
        ("remove", f'members[value eq "{"a" * 5000}" or value eq "b"]', None, InvalidPathError),
        ("add", "members", [{"display": "no id"}], InvalidAttributeError),
        ("add", "members", [{"value": ""}], InvalidAttributeError),
        ("add", "members", [{"value": 17}], InvalidAttributeError),
        ("add", "members", [{"value": ["a"]}], InvalidAttributeError),
        ("add", "members", [{"value": "a", "display": 1}], InvalidAttributeError),
        ("add", "members", [{"value": "a", "display": "\x00"}], InvalidAttributeError),
        ("add", "members", [{"value": "a", "display": "é\ud800"}], InvalidAttributeError),
        ("add", "members", [{"value": 'a"b'}], InvalidAttributeError),
        ("add", "members", [{"value": "a\\b"}], InvalidAttributeError),
        ("add", "members", [{"value": "a\nb"}], InvalidAttributeError),
        ("add", "members", [{"value": "\ud800"}], InvalidAttributeError),
        ("add", "members", [{"value": "a" * (LONGEST_ID + 1)}], InvalidAttributeError),
        ("add", "members", 17, InvalidAttributeError),
    ],
)  # fmt: skip
def test_members_are_added_and_removed_but_not_edited(
    verb: str, path: str, value: Any, error: type[ScimError], strict: bool
) -> None:
    with pytest.raises(error):
        changes_of({"op": verb, "path": path, "value": value}, strict=strict)


def test_what_is_not_about_members_is_left_for_the_group() -> None:
    operations = [
        Operation("replace", None, {"displayName": "New", "Members": ["a"], "members[": 1}, True),
        Operation("add", None, {}, True),
        Operation("add", None, "no object", True),
        Operation("remove", "externalId", None, False),
        Operation("remove", "urn:x:y:members", None, False),
        Operation("remove", "membership", None, False),
    ]
    others, changes = split_members(GROUPS, operations)
    assert others == [
        Operation("replace", None, {"displayName": "New", "members[": 1}, True),
        *operations[1:],
    ]
    assert changes == [MemberChange("replace", {"a": None})]


@pytest.mark.req("REQ-S-030", "REQ-S-265")
def test_a_member_is_named_once_and_shown_as_it_was_sent() -> None:
    value = [
        {"value": "a", "$ref": None},
        {"VALUE": "b", "Display": "B"},
        {"value": "a", "displayName": "A"},
        {"value": "f", "displayName": "F"},
        {"value": "d", "VALUE": "e", "type": "User"},
        "c",
        None,
        {},
    ]
    assert members_in(value) == {"a": None, "b": "B", "f": "F", "d": None, "c": None}


# Net changes


@pytest.mark.req("REQ-S-262", "REQ-S-263", "REQ-S-264")
@pytest.mark.parametrize(
    ("changes", "net"),
    [
        ([("add", "a"), ("remove", "a")], [("remove", "a")]),
        ([("remove", "a"), ("add", "a")], [("remove", "a"), ("add", "a")]),
        ([("remove", "a"), ("add", "b"), ("remove", "c"), ("add", "d")], [("remove", "ac"), ("add", "bd")]),
        ([("add", "a"), ("replace", "bc"), ("remove", "b"), ("add", "d")], [("replace", "cd")]),
        ([("add", "a"), ("clear", "")], [("clear", "")]),
        ([("clear", ""), ("add", "a")], [("replace", "a")]),
        ([("replace", "a"), ("remove", "a")], [("clear", "")]),
        ([("replace", "")], [("clear", "")]),
        ([("add", ""), ("remove", "")], []),
        ([], []),
    ],
)
def test_changes_are_merged(changes: list[tuple[Any, str]], net: list[tuple[str, str]]) -> None:
    result = net_changes([MemberChange(kind, dict.fromkeys(ids)) for kind, ids in changes])
    assert [(change.kind, "".join(change.members)) for change in result] == net


IDS = st.sampled_from("abcdxy")
[USERS_GO] = changes_of({"op": "remove", "path": 'members[type eq "User" or display sw "B"]'})
CHANGES = st.lists(
    st.one_of(
        st.builds(
            MemberChange,
            st.sampled_from(["add", "remove", "replace"]),
            st.dictionaries(IDS, st.sampled_from([None, "A", "B"]), max_size=4),
        ),
        st.just(MemberChange("clear")),
        st.just(USERS_GO),
    ),
    max_size=8,
)


@pytest.mark.req("REQ-S-262", "REQ-S-263", "REQ-S-225")
@given(CHANGES, st.dictionaries(IDS, st.sampled_from([None, "B", "C"])))
def test_the_net_changes_make_the_same_of_any_group(changes: list[MemberChange], group: dict[str, str | None]) -> None:
    net = net_changes(changes)
    assert applied(net, group) == applied(changes, group)
    assert net_changes(net) == net
    barriers = sum(change.kind == "remove_matching" for change in changes)
    assert len(net) <= 3 * barriers + 2


# The same as PATCH on a list


def patched(members: list[dict[str, Any]], operation: dict[str, Any]) -> list[dict[str, Any]]:
    """A PATCH on members that are a list in the resource, by the words of the RFC."""
    verb, path, value = operation["op"], operation["path"], operation.get("value")
    listed = [element(each["value"], None) for each in value or []]
    condition = CONDITIONS.get(path)
    if verb == "add":
        return members + [each for each in listed if each not in members]
    if verb == "replace":
        return [each for place, each in enumerate(listed) if each not in listed[:place]]
    if condition is not None:
        return [each for each in members if not condition(each)]
    return [each for each in members if value is not None and each not in listed]


CONDITIONS: dict[str, Any] = {
    'members[value eq "a"]': lambda each: each["value"] == "a",
    'members[value eq "b" or value eq "x"]': lambda each: each["value"] in ("b", "x"),
    'members[value eq "b" and value eq "x"]': lambda each: False,
    'members[type eq "Group"]': lambda each: each["type"] == "Group",
    'members[not (value eq "c") and type eq "User"]': lambda each: each["value"] != "c" and each["type"] == "User",
    'members[value co "d"]': lambda each: "d" in each["value"],
}
VERBS = st.sampled_from(["add", "remove", "replace"])
VALUES = st.lists(st.builds(lambda id_: {"value": id_}, IDS), max_size=4)
OPERATIONS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"op": VERBS, "path": st.just("members"), "value": VALUES}),
        st.fixed_dictionaries({"op": st.just("remove"), "path": st.sampled_from(["members", *CONDITIONS])}),
    ),
    max_size=7,
)  # fmt: skip


@pytest.mark.req("REQ-S-225", "REQ-S-231", "REQ-S-238", "REQ-S-239", "REQ-S-240", "REQ-S-241", "REQ-S-242")
@given(OPERATIONS, st.sets(IDS))
def test_member_changes_are_the_same_as_a_patch_on_a_list(operations: list[dict[str, Any]], group: set[str]) -> None:
    members = [element(id_, None) for id_ in sorted(group)]
    for operation in operations:
        members = patched(members, operation)
    expected = {each["value"] for each in members}
    changes = changes_of(*operations)
    held: dict[str, str | None] = dict.fromkeys(group)
    assert set(applied(changes, held)) == expected
    assert set(applied(net_changes(changes), held)) == expected


@pytest.mark.req("REQ-S-225")
@given(OPERATIONS, st.sets(IDS))
def test_a_group_that_keeps_its_members_in_the_resource_gets_the_same(
    operations: list[dict[str, Any]], group: set[str]
) -> None:
    members = [element(id_, None) for id_ in sorted(group)]
    resource = {"displayName": "Team", **({"members": members} if members else {})}
    typed = [
        {**each, **({"value": [element(item["value"], None) for item in each["value"]]} if "value" in each else {})}
        for each in operations
    ]
    after = apply_patch(GROUPS, resource, parse_patch({"Operations": typed})).resource
    changes = changes_of(*operations)
    assert {each["value"] for each in after.get("members", [])} == set(applied(changes, dict.fromkeys(group)))
