"""Sort orders as SQL (RFC 7644 §3.4.2.3), and what comes behind a place in them, for cursors (RFC 9865)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from joiner.application.search.filters import Condition
from joiner.application.search.places import JSON_KINDS, Operand, Place, element_place, quoted, resource_place
from joiner.scim.schemas import ResourceType
from joiner.scim.sorting import Sort, SortKey
from joiner.storage.session import Dialect


@dataclass(frozen=True, slots=True)
class Order:
    """An order of resources: those without a value last, or first if descending (REQ-S-171), and equal ones in order of
    creation."""

    sql: str
    """`ORDER BY …`"""
    expression: str
    """The value that decides, to be selected for a cursor; NULL if the order is that of creation."""
    descending: bool = False
    cast: str = ""
    """What follows the mark of a parameter that is compared with the value."""


CREATION: Final = Order("ORDER BY r.number", "NULL")


def compile_order(resource_types: Sequence[ResourceType], sort: Sort | None, dialect: Dialect) -> Order:
    """The order of a query over these types, that of creation if there is no `sort`."""
    if sort is None:
        return CREATION
    found = [
        (each.name, _value(each, sort.keys[each.name], dialect)) for each in resource_types if each.name in sort.keys
    ]
    if len(found) == len(resource_types) == 1:
        [(_, operand)] = found
    else:
        cases = " ".join(f"WHEN {quoted(name, dialect)} THEN {value.sql}" for name, value in found)
        operand = Operand(f"(CASE r.type {cases} END)", found[0][1].form)
    expression = operand.ordered(dialect)
    direction = "DESC NULLS FIRST" if sort.descending else "ASC NULLS LAST"
    cast = operand.mark(1, dialect).removeprefix("?1")
    return Order(f"ORDER BY {expression} {direction}, r.number", expression, sort.descending, cast)


def compile_after(order: Order, place: tuple[Any, int], first_mark: int) -> Condition:
    """What comes behind the resource with this value, as its expression was selected, and this number."""
    value, number = place
    if order.expression == CREATION.expression:
        return Condition(f"r.number > ?{first_mark}", (number,), is_indexed=True)
    held = order.expression
    if value is None:
        following = f"({held} IS NULL AND r.number > ?{first_mark})"
        if order.descending:
            following = f"({following} OR {held} IS NOT NULL)"
        return Condition(following, (number,), is_indexed=False)
    mark, number_mark = f"?{first_mark}{order.cast}", f"?{first_mark + 1}"
    following = f"{held} {'<' if order.descending else '>'} {mark} OR ({held} = {mark} AND r.number > {number_mark})"
    if not order.descending:
        following += f" OR {held} IS NULL"
    return Condition(f"({following})", (value, number), is_indexed=False)


def _value(resource_type: ResourceType, key: SortKey, dialect: Dialect) -> Operand:
    # Columns of numbers cannot stand beside JSON in an order over several types.
    place = Place("r.search", {}) if key.kind in JSON_KINDS else resource_place(resource_type)
    if key.of_element is None:
        return place.value(key.keys, key.kind, dialect)
    element = element_place("e")
    held = element.value(key.of_element, key.kind, dialect)
    order = "e.key"
    if key.of_element:
        primary = element.value(("primary",), "boolean", dialect)
        is_primary = f"{primary.sql} = {'1' if dialect == 'sqlite' else quoted('true', dialect) + '::jsonb'}"
        order = f"coalesce({is_primary}, FALSE) DESC, e.key"
    rows = place.elements(key.keys, "e", dialect)
    return Operand(f"(SELECT {held.sql} FROM {rows} ORDER BY {order} LIMIT 1)", held.form)
