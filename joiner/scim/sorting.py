"""The order of a list (RFC 7644 §3.4.2.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joiner.scim.conditions import Keys, find_attribute
from joiner.scim.errors import InvalidAttributeError, InvalidPathError
from joiner.scim.grammar import parse_path
from joiner.scim.schemas import ResourceType


@dataclass(frozen=True, slots=True)
class SortKey:
    """Where the value that decides stands in the search documents of one type."""

    keys: Keys
    kind: str
    many: bool = False
    """Of several values the primary one decides, else the first."""
    sub: str | None = None


@dataclass(frozen=True, slots=True)
class Sort:
    """An order. Resources without a value come last, or first if it is descending."""

    keys: Mapping[str, SortKey]
    """Resource type → where its value stands; a type that does not have the attribute is missing."""
    descending: bool = False


def parse_sort(resource_types: Sequence[ResourceType], sort_by: str, sort_order: str | None) -> Sort:
    """Raises InvalidPathError for an attribute that no type has, InvalidAttributeError for another order."""
    order = (sort_order or "ascending").strip().lower()
    if order not in ("ascending", "descending"):
        raise InvalidAttributeError(f"'sortOrder' is ascending or descending, not '{order[:50]}'")
    found = {each.name: key for each in resource_types if (key := _key(each, sort_by)) is not None}
    if not found:
        names = " or ".join(each.name for each in resource_types)
        raise InvalidPathError(f"'sortBy': '{sort_by[:100]}' is not an attribute of {names}")
    return Sort(found, order == "descending")


def sort_value(key: SortKey, document: Mapping[str, Any]) -> Any:
    """The value of a search document that decides, None if there is none."""
    held: Any = document
    for name in key.keys:
        held = held.get(name) if held is not None else None
    if held is None or not key.many:
        return held
    element = next((each for each in held if isinstance(each, dict) and each.get("primary") is True), held[0])
    return element if key.sub is None else element.get(key.sub)


def _key(resource_type: ResourceType, sort_by: str) -> SortKey | None:
    path = parse_path(sort_by, resource_type.urns)
    found = find_attribute(resource_type, path)
    if found is None or path.filter is not None or not path.attribute:
        return None
    keys, attribute = found
    if attribute.returned == "never" or attribute.name in ("schemas", "groups", "members"):
        return None
    if attribute.kind != "complex":
        return SortKey(keys, attribute.kind, attribute.multi_valued) if path.sub_attribute is None else None
    sub = attribute.by_name.get((path.sub_attribute or "value").lower())
    if sub is None or (attribute.name, sub.name) == ("meta", "location"):
        return None
    if attribute.multi_valued:
        return SortKey(keys, sub.kind, many=True, sub=sub.name)
    return SortKey((*keys, sub.name), sub.kind)
