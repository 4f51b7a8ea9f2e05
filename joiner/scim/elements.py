"""Filters in brackets, evaluated on the elements of a multi-valued attribute (RFC 7644 §3.4.2.2)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from joiner.scim.errors import InvalidFilterError
from joiner.scim.schemas import Attribute
from joiner.scim.tree import And, Comparison, Filter, Literal, Not, Or, conjuncts

Element = Mapping[str, Any]

TEXT_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "co": lambda held, wanted: wanted in held,
    "sw": lambda held, wanted: held.startswith(wanted),
    "ew": lambda held, wanted: held.endswith(wanted),
}
ORDER_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": lambda held, wanted: held > wanted,
    "ge": lambda held, wanted: held >= wanted,
    "lt": lambda held, wanted: held < wanted,
    "le": lambda held, wanted: held <= wanted,
}


def matches(tree: Filter, attribute: Attribute, element: Element) -> bool:
    """Whether an element of `attribute` meets the filter. Raises InvalidFilterError for what the filter cannot ask."""
    match tree:
        case And(left, right):
            return matches(left, attribute, element) and matches(right, attribute, element)
        case Or(left, right):
            return matches(left, attribute, element) or matches(right, attribute, element)
        case Not(operand):
            return not matches(operand, attribute, element)
        case Comparison(path, operator, value):
            sub = attribute.by_name.get(path.attribute.lower())
            if sub is None or path.urn is not None or path.sub_attribute is not None:
                raise InvalidFilterError(f"'{attribute.name}' has no sub-attribute '{path}'")
            return _compare(sub, operator, element.get(sub.name), value)
    raise InvalidFilterError("a filter in brackets cannot have brackets itself")


def element_of(tree: Filter, attribute: Attribute) -> dict[str, Any] | None:
    """The element that a filter of `eq` terms joined by `and` describes; None for any other filter (T6, T7)."""
    element: dict[str, Any] = {}
    for term in conjuncts(tree):
        if not isinstance(term, Comparison) or term.operator != "eq" or term.value is None:
            return None
        sub = attribute.by_name.get(term.path.attribute.lower())
        if sub is None:
            raise InvalidFilterError(f"'{attribute.name}' has no sub-attribute '{term.path}'")
        element[sub.name] = _literal(sub, term.value)
    return element


def _compare(sub: Attribute, operator: str, held: Any, wanted: Literal) -> bool:
    if operator == "pr":
        return held is not None and held != ""
    if wanted is None:
        if operator not in ("eq", "ne"):
            raise InvalidFilterError(f"'{operator} null' has no meaning")
        return (held is None) is (operator == "eq")
    value = _literal(sub, wanted)
    if operator in ("eq", "ne"):
        equal = held is not None and _folded(sub, held) == _folded(sub, value)
        return equal if operator == "eq" else not equal
    if sub.kind in ("boolean", "binary"):
        raise InvalidFilterError(f"'{operator}' cannot be used on {sub.kind} '{sub.name}'")
    if held is None:
        return False
    if operator in TEXT_OPERATORS:
        if sub.kind not in ("string", "reference"):
            raise InvalidFilterError(f"'{operator}' cannot be used on {sub.kind} '{sub.name}'")
        return TEXT_OPERATORS[operator](_folded(sub, held), _folded(sub, value))
    if sub.kind == "dateTime":
        return ORDER_OPERATORS[operator](_moment(held), _moment(value))
    return ORDER_OPERATORS[operator](_folded(sub, held), _folded(sub, value))


def _literal(sub: Attribute, value: Literal) -> Any:
    """The literal in the attribute's type; booleans may be text (T3)."""
    if sub.kind == "boolean":
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise InvalidFilterError(f"'{sub.name}' is compared with true or false")
    if sub.kind in ("integer", "decimal"):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        raise InvalidFilterError(f"'{sub.name}' is compared with a number")
    return value if isinstance(value, str) else str(value)


def _folded(sub: Attribute, value: Any) -> Any:
    return value.casefold() if isinstance(value, str) and not sub.case_exact else value


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise InvalidFilterError(f"'{text}' is not a date and time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
