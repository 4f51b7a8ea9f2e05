"""The order of a list: `sortBy` and `sortOrder` (RFC 7644 §3.4.2.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joiner.scim.attributes import Keys, find_attribute
from joiner.scim.errors import InvalidAttributeError, InvalidFilterError, InvalidPathError
from joiner.scim.evaluation import Facts, value_at, with_facts
from joiner.scim.grammar import parse_path
from joiner.scim.schemas import Kind, ResourceType
from joiner.scim.search import RELATED, is_secret
from joiner.scim.tree import Path

ORDERS: Final = {"ascending": False, "descending": True}
COMPARED_AS: Final[Mapping[Kind, str]] = {"integer": "number", "decimal": "number", "boolean": "boolean"}
"""Kind → what its search form is; text if it is missing."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """Where the value that decides stands in the search documents of one type."""

    keys: Keys
    kind: Kind
    of_element: Keys | None = None
    """For an attribute with several values, of which the primary one decides, else the first: where the value stands in
    that element."""


@dataclass(frozen=True, slots=True)
class Sort:
    """An order. Resources without a value come last, or first if it is descending (REQ-S-171)."""

    keys: Mapping[str, SortKey]
    """Name of the resource type → its key; a type that does not have the attribute is missing."""
    descending: bool = False


def parse_sort(resource_types: Sequence[ResourceType], sort_by: str, sort_order: str | None) -> Sort:
    """The order of a query over these types: a complex attribute means its `value`, names may be in any case.

    Raises InvalidPathError for what no type has or can be sorted by, InvalidAttributeError for another order
    (REQ-S-173).
    """
    order = (sort_order or "ascending").strip().lower()
    if order not in ORDERS:
        raise InvalidAttributeError(f"'sortOrder' is ascending or descending, not '{order[:50]}'")
    found = {each.name: key for each in resource_types if (key := _key(each, _path(each, sort_by))) is not None}
    if not found:
        names = " or ".join(each.name for each in resource_types)
        raise InvalidPathError(f"'sortBy': '{sort_by[:100]}' is not an attribute that {names} can be sorted by")
    if len({COMPARED_AS.get(key.kind, "text") for key in found.values()}) > 1:
        raise InvalidPathError(f"'sortBy': '{sort_by[:100]}' is of different types in {' and '.join(found)}")
    return Sort(found, ORDERS[order])


def sort_value(key: SortKey, search: Mapping[str, Any], facts: Facts) -> Any:
    """The value of a resource that decides, None if it has none; `search` is its search document."""
    held = value_at(with_facts(search, facts), key.keys)
    if held is None or key.of_element is None:
        return held
    primary = (each for each in held if key.of_element and each.get("primary") is True)
    return value_at(next(primary, held[0]), key.of_element)


def _path(resource_type: ResourceType, sort_by: str) -> Path:
    try:
        return parse_path(sort_by, resource_type.urns)
    except InvalidFilterError as error:
        raise InvalidPathError(f"'sortBy': {error}") from None


def _key(resource_type: ResourceType, path: Path) -> SortKey | None:
    found = find_attribute(resource_type, path)
    if found is None or path.filter is not None or is_secret(found.attribute):
        return None
    attribute, keys = found.attribute, found.keys
    if keys == ("schemas",) or (resource_type.schema.id, attribute.name) in RELATED:
        return None
    if attribute.kind != "complex":
        if path.sub_attribute is not None:
            return None
        return SortKey(keys, attribute.kind, () if attribute.multi_valued else None)
    sub = attribute.by_name.get((path.sub_attribute or "value").lower())
    if sub is None or sub.kind == "complex" or sub.multi_valued or sub.name in found.derived or is_secret(sub):
        return None
    if attribute.multi_valued:
        return SortKey(keys, sub.kind, (sub.name,))
    return SortKey((*keys, sub.name), sub.kind)
