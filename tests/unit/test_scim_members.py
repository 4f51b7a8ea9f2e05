"""The members of a group in a PATCH: what is asked for, as set arithmetic."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import GROUPS
from joiner.scim.errors import InvalidAttributeError, MutabilityError, NoTargetError, ScimError
from joiner.scim.members import MemberChange, chosen_members, members_in, net_changes, split_members
from joiner.scim.messages import Operation, parse_patch

IDS = st.sampled_from("abcdef")


def changes_of(*operations: Any, strict: bool = False) -> list[MemberChange]:
    parsed = parse_patch({"Operations": list(operations)})
    others, changes = split_members(GROUPS, parsed, strict=strict)
    assert others == []
    return changes


def applied(changes: Sequence[MemberChange], members: set[str]) -> set[str]:
    """What the changes make of a set, by the words of the RFC."""
    held = set(members)
    for change in changes:
        match change.kind:
            case "add":
                held |= set(change.members)
            case "remove":
                held -= set(change.members)
            case "replace":
                held = set(change.members)
            case "clear":
                held = set()
            case "remove_matching":
                held -= set(chosen_members(change, [{"value": each, "type": "User"} for each in sorted(held)], GROUPS))
    return held


CHANGES = st.lists(
    st.one_of(
        st.builds(
            lambda kind, ids: MemberChange(kind, dict.fromkeys(ids)),
            st.sampled_from(["add", "remove", "replace"]),
            st.lists(IDS, max_size=4),
        ),
        st.just(MemberChange("clear")),
    ),
    max_size=8,
)


@pytest.mark.req("REQ-S-262", "REQ-S-263", "REQ-S-225")
@given(CHANGES, st.sets(IDS))
def test_the_net_changes_make_the_same_of_any_group(changes: list[MemberChange], members: set[str]) -> None:
    net = net_changes(changes)
    assert applied(net, members) == applied(changes, members)
    assert len(net) <= 3
    assert net_changes(net) == net


def test_a_thousand_removals_of_one_are_one_removal_of_a_thousand() -> None:
    operations = [{"op": "remove", "path": f'members[value eq "u{number}"]'} for number in range(1000)]
    [change] = net_changes(changes_of(*operations))
    assert (change.kind, len(change.members)) == ("remove", 1000)


@pytest.mark.req("REQ-S-239", "REQ-S-240", "REQ-S-241", "REQ-S-261", "REQ-S-264", "REQ-S-265")
@pytest.mark.parametrize(
    ("operation", "left"),
    [
        ({"op": "Add", "path": "members", "value": [{"$ref": None, "value": "c"}]}, "abc"),
        ({"op": "add", "path": "members", "value": "c"}, "abc"),
        ({"op": "add", "path": "members", "value": {"value": "c"}}, "abc"),
        ({"op": "add", "value": {"members": [{"value": "c"}]}}, "abc"),
        ({"op": "add", "value": {"urn:ietf:params:scim:schemas:core:2.0:Group:members": [{"value": "c"}]}}, "abc"),
        ({"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:Members", "value": ["c"]}, "abc"),
        ({"op": "replace", "path": "members", "value": [{"value": "c"}]}, "c"),
        ({"op": "replace", "path": "members", "value": []}, ""),
        ({"op": "replace", "value": {"members": [{"value": "c"}]}}, "c"),
        ({"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "a"}]}, "b"),
        ({"op": "remove", "path": "members", "value": []}, "ab"),
        ({"op": "remove", "path": "members"}, ""),
        ({"op": "remove", "path": "members", "value": None}, ""),
        ({"op": "remove", "path": 'members[value eq "a"]'}, "b"),
        ({"op": "remove", "path": 'members[value eq "a" or value eq "b"]'}, ""),
        ({"op": "remove", "path": 'members[value eq "a" and value eq "b"]'}, "ab"),
        ({"op": "remove", "path": 'members[type eq "User"]'}, ""),
        ({"op": "remove", "path": 'members[type eq "Group"]'}, "ab"),
        ({"op": "remove", "path": 'members[not (value eq "a")]'}, "a"),
        ({"op": "add", "path": 'members[value eq "c"]', "value": {"value": "c"}}, "abc"),
    ],
)
def test_what_clients_send_means_what_they_mean(operation: dict[str, Any], left: str) -> None:
    assert applied(changes_of(operation), set("ab")) == set(left)


@pytest.mark.req("REQ-S-239")
def test_by_the_rfc_the_value_of_a_removal_means_nothing() -> None:
    [change] = changes_of({"op": "remove", "path": "members", "value": [{"value": "a"}]}, strict=True)
    assert change.kind == "clear"


@pytest.mark.req("REQ-S-268")
@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({"op": "replace", "path": 'members[value eq "a"].value', "value": "c"}, MutabilityError),
        ({"op": "replace", "path": 'members[value eq "a"]', "value": {"value": "c"}}, MutabilityError),
        ({"op": "add", "path": 'members[type eq "User"]', "value": {"value": "c"}}, NoTargetError),
        ({"op": "add", "path": "members", "value": [{"value": 'a"b'}]}, InvalidAttributeError),
        ({"op": "add", "path": "members", "value": [{"display": "no id"}]}, InvalidAttributeError),
        ({"op": "add", "path": "members", "value": [{"value": ["a"]}]}, InvalidAttributeError),
    ],
)
def test_members_are_added_and_removed_but_not_edited(operation: dict[str, Any], error: type[ScimError]) -> None:
    with pytest.raises(error):
        changes_of(operation)


def test_what_is_not_about_members_is_left_for_the_group() -> None:
    both = Operation("replace", None, {"displayName": "New", "members": [{"value": "a"}]}, True)
    others, changes = split_members(GROUPS, [both])
    assert others == [Operation("replace", None, {"displayName": "New"}, True)]
    assert [change.kind for change in changes] == ["replace"]


@pytest.mark.req("REQ-S-022", "REQ-S-030")
def test_a_member_is_named_once_and_shown_as_it_was_sent_first() -> None:
    value = [{"value": "a"}, {"VALUE": "b", "Display": "B"}, {"value": "a", "displayName": "A"}, "c", None]
    assert members_in(value) == {"a": None, "b": "B", "c": None}
