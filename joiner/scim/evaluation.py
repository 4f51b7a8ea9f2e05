"""Conditions decided in memory, from a resource's search document and what is known beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joiner.scim.attributes import Keys
from joiner.scim.comparison import compares
from joiner.scim.conditions import AllOf, AnyOf, Condition, Elements, Negation, Term


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server knows of a resource and does not store in it. Points in time are in search form."""

    id: str
    type: str
    """Name of the resource type."""
    created: str
    last_modified: str
    version: str
    """As `meta.version` shows it, for example `W/"3"`."""
    groups: Sequence[str] = ()
    """Ids of the groups that it is a direct member of."""
    members: Sequence[str] = ()
    """Ids of its members."""


def matches(condition: Condition, search: Mapping[str, Any], facts: Facts) -> bool:
    """Whether a resource meets the condition; `search` is its search document."""
    return holds(condition, with_facts(search, facts))


def with_facts(search: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """A search document with what filters and orders can ask beside it."""
    return {
        "groups": [{"value": each} for each in facts.groups] or None,
        "members": [{"value": each} for each in facts.members] or None,
        **search,
        "id": facts.id,
        "meta": {
            "resourceType": facts.type,
            "created": facts.created,
            "lastModified": facts.last_modified,
            "version": facts.version,
        },
    }


def holds(condition: Condition, value: Any) -> bool:
    """Whether a whole document, or an element of an attribute in search form, meets the condition."""
    match condition:
        case Term(keys, operator, _, wanted):
            return compares(operator, value_at(value, keys), wanted)
        case Elements(keys, inner):
            return any(holds(inner, element) for element in value_at(value, keys) or ())
        case AllOf(parts):
            return all(holds(part, value) for part in parts)
        case AnyOf(parts):
            return any(holds(part, value) for part in parts)
        case Negation(part):
            return not holds(part, value)


def value_at(value: Any, keys: Keys) -> Any:
    """What the keys lead to, None if it is unassigned."""
    for key in keys:
        if value is None:
            return None
        value = value.get(key)
    return value
