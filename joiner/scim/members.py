"""The members of a group in a PATCH, PUT or POST: set arithmetic for whoever keeps them (RFC 7644 §3.5.2).

Members may be many and live in rows, so their operations never meet the resource.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from joiner.scim.conditions import Condition, bind_element
from joiner.scim.errors import InvalidAttributeError, InvalidPathError, MutabilityError, NoTargetError
from joiner.scim.evaluation import holds
from joiner.scim.grammar import parse_path
from joiner.scim.messages import Operation
from joiner.scim.schemas import ResourceType
from joiner.scim.search import element_form
from joiner.scim.tree import And, Comparison, Filter, Or, Path

MEMBERS: Final = "members"
LONGEST_ID: Final = 255

Kind = Literal["add", "remove", "replace", "clear", "remove_matching"]


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A change of a group's members. `clear` and `replace` concern all members."""

    kind: Kind
    members: Mapping[str, str | None] = field(default_factory=dict)
    """Id → how the member is to be shown, None for by its name."""
    condition: Condition | None = None
    """`remove_matching`: which members go, by value, type and display."""


def split_members(
    group_type: ResourceType, operations: Sequence[Operation], *, strict: bool = False
) -> tuple[list[Operation], list[MemberChange]]:
    """The operations that are not about members, and the changes of members, each in order. Raises ScimError."""
    others: list[Operation] = []
    changes: list[MemberChange] = []
    for operation in operations:
        if operation.path is not None:
            path = _members_path(group_type, operation.path)
            if path is not None:
                changes += _changes(group_type, path, operation, strict=strict)
                continue
        elif isinstance(operation.value, Mapping):
            rest = {}
            for key, value in operation.value.items():
                path = _members_path(group_type, key)
                if path is None:
                    rest[key] = value
                else:
                    named = Operation(operation.verb, key, value, True)
                    changes += _changes(group_type, path, named, strict=strict)
            if operation.value and not rest:
                continue
            operation = Operation(operation.verb, None, rest, True)
        others.append(operation)
    return others, changes


def members_in(value: Any) -> dict[str, str | None]:
    """The members in a `members` value, id → display: a list of objects or ids, or one of them (T10).

    Of several for one member the first counts. Raises InvalidAttributeError.
    """
    found: dict[str, str | None] = {}
    for item in value if isinstance(value, list) else [value]:
        if item is None or item == "":
            continue
        named: Any = item
        shown: Any = None
        if isinstance(item, Mapping):
            named = item.get("value")
            shown = item.get("display")
            if named is None or shown is None:
                parts = {name.lower(): part for name, part in item.items()}
                named, shown = parts.get("value"), parts.get("display", parts.get("displayname"))
        if not isinstance(named, str) or not _is_id(named):
            raise InvalidAttributeError("each of 'members' needs a value, the id of the member")
        if not isinstance(shown, str | None) or "\x00" in (shown or ""):
            raise InvalidAttributeError("'members.display' takes text")
        found.setdefault(named, shown or None)
    return found


def net_changes(changes: Sequence[MemberChange]) -> list[MemberChange]:
    """The shortest list of changes with the same result: what follows each other is merged (REQ-S-262, REQ-S-263).

    Entra sends one `remove` for each member that leaves; together they are one.
    """
    result: list[MemberChange] = []
    added: dict[str, str | None] = {}
    removed: dict[str, None] = {}

    def flush() -> None:
        if removed:
            result.append(MemberChange("remove", dict(removed)))
        if added:
            result.append(MemberChange("add", dict(added)))
        added.clear()
        removed.clear()

    for change in changes:
        if change.kind == "add":
            for member, shown in change.members.items():
                added.setdefault(member, shown)
        elif change.kind == "remove":
            for member in change.members:
                added.pop(member, None)
                removed[member] = None
        elif change.kind in ("clear", "replace"):
            # What was done before does not matter: all members go.
            result.clear()
            added.clear()
            removed.clear()
            result.append(change)
        else:
            flush()
            result.append(change)
    flush()
    return result


def chosen_members(change: MemberChange, elements: Sequence[Mapping[str, Any]], group_type: ResourceType) -> list[str]:
    """The ids of those members (objects with value, type, display) that a `remove_matching` concerns."""
    assert change.condition is not None
    attribute = group_type.core[MEMBERS]
    return [each["value"] for each in elements if holds(change.condition, element_form(attribute, each))]


def _changes(group_type: ResourceType, path: Path, operation: Operation, *, strict: bool) -> list[MemberChange]:
    if path.sub_attribute is not None:
        if path.sub_attribute.lower() not in group_type.core[MEMBERS].by_name:
            raise InvalidPathError(f"'members' has no sub-attribute '{path.sub_attribute}'")
        raise MutabilityError("a member is added or removed, not edited")
    if path.filter is not None:
        return _filtered(group_type, path.filter, operation)
    if operation.verb == "remove":
        # By the RFC the value of a remove means nothing; Entra lists those that are to go (T8).
        if operation.value is None or strict:
            return [MemberChange("clear")]
        listed = members_in(operation.value)
        return [MemberChange("remove", listed)] if listed else []
    return [MemberChange(_listing(operation.verb), members_in(operation.value))]


def _filtered(group_type: ResourceType, tree: Filter, operation: Operation) -> list[MemberChange]:
    """`members[value eq "x"]`: removing, or adding that member; what is there cannot be edited (REQ-S-268)."""
    condition = bind_element(tree, group_type.core[MEMBERS])
    named = _named(tree)
    if operation.verb == "remove":
        if named is not None:
            return [MemberChange("remove", named)] if named else []
        return [MemberChange("remove_matching", condition=condition)]
    if named is None or len(named) != 1:
        raise NoTargetError('a member is added by its value, or by members[value eq "id"]')
    given = members_in(operation.value) if operation.value not in (None, {}, []) else named
    if set(given) != set(named):
        raise MutabilityError("a member is added or removed, not edited")
    return [MemberChange("add", given)]


def _named(tree: Filter) -> dict[str, str | None] | None:
    """The ids that a filter of `value eq` joined by `or` names; None for any other filter."""
    match tree:
        case Comparison(path, "eq", str(value)) if path.attribute.lower() == "value":
            return {value: None}
        case Or(left, right):
            both = _named(left), _named(right)
            return None if both[0] is None or both[1] is None else {**both[0], **both[1]}
        case And(left, right):
            both = _named(left), _named(right)
            if both[0] is None or both[1] is None:
                return None
            return {member: None for member in both[0] if member in both[1]}
    return None


def _listing(verb: str) -> Kind:
    return "remove" if verb == "remove" else "replace" if verb == "replace" else "add"


def _is_id(text: str) -> bool:
    """Ids stand in URLs and in JSON as they are, so quotes, backslashes and control characters are no part of one."""
    return 0 < len(text) <= LONGEST_ID and '"' not in text and "\\" not in text and text.isprintable()


def _members_path(group_type: ResourceType, key: str) -> Path | None:
    """The path that a key of an object without path is (T5), None if it leads somewhere else."""
    if MEMBERS not in key.lower():
        return None
    try:
        path = parse_path(key, group_type.urns)
    except InvalidPathError:
        return None
    return path if path.attribute.lower() == MEMBERS and path.urn in (None, group_type.schema.id) else None
