"""Filters in brackets on the elements of a multi-valued attribute, as PATCH paths have them (RFC 7644 §3.5.2)."""

from collections.abc import Mapping
from typing import Any

from joiner.scim.conditions import bind_element, holds, literal
from joiner.scim.errors import InvalidFilterError
from joiner.scim.schemas import Attribute
from joiner.scim.search import search_form
from joiner.scim.tree import Comparison, Filter, conjuncts


def matches(tree: Filter, attribute: Attribute, element: Mapping[str, Any]) -> bool:
    """Whether an element of `attribute` meets the filter. Raises InvalidFilterError for what the filter cannot ask."""
    condition = bind_element(tree, attribute)
    form = search_form(attribute, [element])[0] if attribute.multi_valued else search_form(attribute, element)
    return holds(condition, form)


def element_of(tree: Filter, attribute: Attribute) -> dict[str, Any] | None:
    """The element that a filter of `eq` terms joined by `and` describes; None for any other filter (T6, T7)."""
    element: dict[str, Any] = {}
    for term in conjuncts(tree):
        if not isinstance(term, Comparison) or term.operator != "eq" or term.value is None:
            return None
        sub = attribute.by_name.get(term.path.attribute.lower())
        if sub is None:
            raise InvalidFilterError(f"'{attribute.name}' has no sub-attribute '{term.path}'")
        # As it was written: what is compared without case is still stored as it came.
        element[sub.name] = (
            literal(sub, term.value) if sub.kind in ("boolean", "integer", "decimal") else str(term.value)
        )
    return element
