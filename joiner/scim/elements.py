"""Filters in brackets on the elements of a multi-valued attribute, as paths of PATCH have them (RFC 7644 §3.5.2)."""

from collections.abc import Mapping
from typing import Any

from joiner.scim.conditions import bind_element
from joiner.scim.errors import InvalidFilterError
from joiner.scim.evaluation import holds
from joiner.scim.literals import typed_literal
from joiner.scim.schemas import Attribute
from joiner.scim.search import element_form
from joiner.scim.tree import Comparison, Filter, conjuncts

Element = Mapping[str, Any]


def matches(tree: Filter, attribute: Attribute, element: Element) -> bool:
    """Whether an element of `attribute` meets the filter. Raises InvalidFilterError for what the filter cannot ask."""
    return holds(bind_element(tree, attribute), element_form(attribute, element))


def element_of(tree: Filter, attribute: Attribute) -> dict[str, Any] | None:
    """The element that a filter of `eq` terms joined by `and` describes; None for any other filter (T6, T7)."""
    element: dict[str, Any] = {}
    for term in conjuncts(tree):
        if not isinstance(term, Comparison) or term.operator != "eq" or term.value is None:
            return None
        sub = attribute.by_name.get(term.path.attribute.lower())
        if sub is None:
            raise InvalidFilterError(f"'{attribute.name}' has no sub-attribute '{term.path}'")
        element[sub.name] = typed_literal(sub, term.value)
    return element
