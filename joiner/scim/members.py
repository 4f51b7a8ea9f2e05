"""The members of a group in a POST, PUT or PATCH: set arithmetic for whoever keeps them (RFC 7644 §3.5.2).

Members may be many and live in rows, so nothing here needs those that the group has.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from joiner.scim.conditions import Condition, bind_element
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidFilterError,
    InvalidPathError,
    MutabilityError,
    NoTargetError,
)
from joiner.scim.evaluation import holds
from joiner.scim.grammar import UNSTORABLE
from joiner.scim.messages import Operation
from joiner.scim.schemas import Attribute, ResourceType
from joiner.scim.search import element_form
from joiner.scim.targets import targets_of
from joiner.scim.tree import And, Comparison, Filter, Not, Or, Path, conjuncts

MEMBERS: Final = "members"
LONGEST_ID: Final = 255
ONE_MEMBER: Final = re.compile(r'members\[value eq "([^"\\\x00-\x1f\ud800-\udfff]*)"\]', re.IGNORECASE)
"""What Entra and Okta send for each member that leaves: it need not be parsed as any path."""

Members = Mapping[str, str | None]
"""Id → how the member is to be shown, None for by its name."""


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A change of a group's members.

    `add` leaves those alone that are members already, `remove` those that are none. `replace` and `clear` concern all.
    """

    kind: Literal["add", "remove", "replace", "clear", "remove_matching"]
    members: Members = field(default_factory=dict)
    condition: Condition | None = None
    """`remove_matching`: those go that meet it by `value`, `type` and `display`, see `chosen_members`."""


def split_members(
    group_type: ResourceType, operations: Sequence[Operation], *, strict: bool = False
) -> tuple[list[Operation], list[MemberChange]]:
    """The operations that are not about members, and the changes of members, each in order.

    Raises InvalidPathError, InvalidFilterError, InvalidAttributeError, MutabilityError, NoTargetError.
    """
    others: list[Operation] = []
    changes: list[MemberChange] = []
    read = partial(_change, group_type, strict)
    for operation in operations:
        if operation.path is not None:
            path = _members_path(group_type, operation.path, strict=strict)
            if path is None:
                others.append(operation)
            else:
                changes += read(path, operation)
        elif isinstance(operation.value, Mapping):
            rest = dict(operation.value)
            for name, path in _members_names(group_type, operation.value, strict=strict).items():
                item = rest.pop(name)
                # Of names that differ in case only, the exact spelling is meant (REQ-S-344).
                if name == MEMBERS or MEMBERS not in operation.value or path.filter is not None:
                    changes += read(path, Operation(operation.verb, name, item, True))
            if rest or not operation.value:
                others.append(Operation(operation.verb, None, rest, True))
        else:
            others.append(operation)
    return others, changes


def members_in(value: Any, *, strict: bool = False) -> dict[str, str | None]:
    """The members in a `members` value, id → display: a list of objects or, unless `strict`, of ids, or one of them
    (T10). Empty ones are none, and of several for one member the first counts. Raises InvalidAttributeError."""
    if strict and not isinstance(value, list) and value is not None:
        raise InvalidAttributeError("'members' takes a list")
    found: dict[str, str | None] = {}
    for item in value if isinstance(value, list) else [value]:
        if item is None or item == "" or item == {}:
            continue
        named, shown = _id_and_display(item, strict=strict)
        if not isinstance(named, str) or not _is_id(named):
            raise InvalidAttributeError("each of 'members' needs a value, the id of the member")
        if shown is not None and (not isinstance(shown, str) or UNSTORABLE.search(shown)):
            raise InvalidAttributeError("'members.display' takes text")
        found.setdefault(named, shown or None)
    return found


def net_changes(changes: Sequence[MemberChange]) -> list[MemberChange]:
    """The shortest list of changes with the same result, on any group (REQ-S-262, REQ-S-263, REQ-S-264).

    What was done before a `replace` or `clear` does not matter, and what is done after it makes it another `replace`.
    Removals that follow each other are one, and so are additions. A member that is removed and added again stays, but
    is shown as it was added.
    """
    net: list[MemberChange] = []
    everyone: dict[str, str | None] | None = None
    removed: dict[str, None] = {}
    added: dict[str, str | None] = {}
    for change in changes:
        match change.kind:
            case "replace" | "clear":
                everyone = dict(change.members)
                net, removed, added = [], {}, {}
            case "add":
                # Not update: who is a member already stays as he is.
                target = added if everyone is None else everyone
                for member, shown in change.members.items():
                    target.setdefault(member, shown)
            case "remove":
                target = added if everyone is None else everyone
                for member in change.members:
                    target.pop(member, None)
                if everyone is None:
                    removed.update(dict.fromkeys(change.members))
            case "remove_matching":
                net += [*_flushed(everyone, removed, added), change]
                everyone, removed, added = None, {}, {}
    return [*net, *_flushed(everyone, removed, added)]


def chosen_members(change: MemberChange, elements: Sequence[Mapping[str, Any]], group_type: ResourceType) -> list[str]:
    """The ids of those elements (objects with `value`, `type`, `display`) that a `remove_matching` concerns."""
    assert change.condition is not None
    attribute = group_type.core[MEMBERS]
    return [each["value"] for each in elements if holds(change.condition, element_form(attribute, each))]


def _flushed(everyone: Members | None, removed: Members, added: Members) -> list[MemberChange]:
    if everyone is not None:
        return [MemberChange("replace", everyone) if everyone else MemberChange("clear")]
    changes = [MemberChange("remove", removed)] if removed else []
    return [*changes, MemberChange("add", added)] if added else changes


# What is about members


def _members_path(group_type: ResourceType, text: str, *, strict: bool) -> Path | None:
    """The path if it leads to members, else None. Raises InvalidPathError, InvalidFilterError."""
    one = ONE_MEMBER.fullmatch(text)
    if one is not None:
        return Path(None, MEMBERS, Comparison(Path(None, "value"), "eq", one[1]))
    if MEMBERS not in text.lower():
        return None
    path = targets_of(group_type, strict).parsed(text)
    if path.attribute.lower() != MEMBERS or path.urn not in (None, group_type.schema.id):
        return None
    return path


def _members_names(group_type: ResourceType, value: Mapping[str, Any], *, strict: bool) -> dict[str, Path]:
    """The names in an object without path that lead to members."""
    found: dict[str, Path] = {}
    for name in value:
        try:
            path = _members_path(group_type, name, strict=strict)
        except InvalidPathError:
            # What is unknown is ignored there (T13).
            continue
        if path is not None:
            found[name] = path
    return found


def _change(group_type: ResourceType, strict: bool, path: Path, operation: Operation) -> list[MemberChange]:
    attribute = group_type.core[MEMBERS]
    if path.sub_attribute is not None and path.sub_attribute.lower() not in attribute.by_name:
        raise InvalidPathError(f"'members' has no sub-attribute '{path.sub_attribute}'")
    if path.filter is not None:
        return _filtered(attribute, path.filter, path.sub_attribute, operation, strict=strict)
    if path.sub_attribute is not None:
        raise _not_edited()
    verb, value = operation.verb, operation.value
    if verb == "remove":
        # By the RFC the value of a removal means nothing; Entra lists those that are to go (T8).
        if value is None or strict:
            return [MemberChange("clear")]
        listed = members_in(value)
        return [MemberChange("remove", listed)] if listed else []
    if verb == "add" and strict and isinstance(value, Mapping):
        # "a new value is added" (RFC 7644 §3.5.2.1): it may be one.
        value = [value]
    members = members_in(value, strict=strict)
    return [MemberChange(verb, members)] if members or verb == "replace" else []


def _filtered(
    attribute: Attribute, tree: Filter, sub: str | None, operation: Operation, *, strict: bool
) -> list[MemberChange]:
    tree = _without_references(tree)
    condition = bind_element(tree, attribute, strict=strict)
    named = _named(tree)
    if operation.verb != "remove":
        return _made(tree, sub, operation, strict=strict)
    if sub is not None:
        raise _not_edited()
    if named is None:
        return [MemberChange("remove_matching", condition=condition)]
    return [MemberChange("remove", dict.fromkeys(named))] if named else []


def _made(tree: Filter, sub: str | None, operation: Operation, *, strict: bool) -> list[MemberChange]:
    """`members[value eq "x"]` in an add or replace: x is a member afterwards, which is all that is possible, since the
    content of a member cannot be edited (REQ-S-268).

    Whether x is one already is not known here. An add makes the element if it is not (T6); a `replace` by itself does
    so too, where the RFC wants noTarget.
    """
    described = _described(tree)
    named, given = described.get("value"), operation.value
    if not isinstance(named, str):
        raise NoTargetError('a member is meant by its value: members[value eq "id"]')
    if sub is not None:
        if sub.lower() != "value" or operation.verb == "replace":
            raise _not_edited()
        given = [{**described, "value": given}]
    elif given in (None, "", {}, []):
        given = [described]
    elif isinstance(given, Mapping):
        folded = {name.lower() for name in given}
        given = [{**{name: item for name, item in described.items() if name not in folded}, **given}]
    members = members_in(given, strict=strict)
    if set(members) != {named}:
        raise _not_edited()
    return [MemberChange("add", members)]


def _described(tree: Filter) -> dict[str, Any]:
    """The member that `eq` terms joined by `and` describe; empty for any other filter, and for a contradiction."""
    described: dict[str, Any] = {}
    for term in conjuncts(tree):
        if not isinstance(term, Comparison) or term.operator != "eq":
            return {}
        if described.setdefault(term.path.attribute.lower(), term.value) != term.value:
            return {}
    return described


def _named(tree: Filter) -> list[str] | None:
    """The ids that a filter of `value eq` terms names, None for any other filter."""
    match tree:
        case Comparison(path, "eq", str(value)) if path.attribute.lower() == "value":
            return [value]
        case Or(left, right) | And(left, right):
            first, second = _named(left), _named(right)
            if first is None or second is None:
                return None
            return [*first, *second] if isinstance(tree, Or) else [each for each in first if each in second]
    return None


def _without_references(tree: Filter) -> Filter:
    """`$ref`, which is made when a group is shown, told by `value`, which is its last segment."""
    match tree:
        case And(left, right):
            return And(_without_references(left), _without_references(right))
        case Or(left, right):
            return Or(_without_references(left), _without_references(right))
        case Not(operand):
            return Not(_without_references(operand))
        case Comparison(path, operator, value) if path.attribute.lower() == "$ref":
            by_value = Path(None, "value")
            if operator == "pr" or value is None:
                return Comparison(by_value, operator, value)
            if operator in ("eq", "ne") and isinstance(value, str):
                return Comparison(by_value, operator, value.rstrip("/").rpartition("/")[2])
            raise InvalidFilterError("members are chosen by value, type and display, or by $ref with eq and ne")
    return tree


def _id_and_display(item: Any, *, strict: bool) -> tuple[Any, Any]:
    if not isinstance(item, Mapping):
        if strict:
            raise InvalidAttributeError("each of 'members' is an object")
        return item, None
    named, shown = item.get("value"), item.get("display")
    if named is None or shown is None:
        parts = {name.lower(): part for name, part in item.items()}
        named = parts.get("value") if named is None else named
        # Some name it as users do (T19).
        shown = parts.get("display", parts.get("displayname")) if shown is None else shown
    return named, shown


def _is_id(text: str) -> bool:
    """Ids stand in URLs and in JSON as they are, so quotes, backslashes and control characters are no part of one."""
    return 0 < len(text) <= LONGEST_ID and '"' not in text and "\\" not in text and text.isprintable()


def _not_edited() -> MutabilityError:
    return MutabilityError("a member is added or removed, not edited")
