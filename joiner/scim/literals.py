"""Literals of filters in the type of the attribute that they are compared with (RFC 7644 §3.4.2.2)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from joiner.scim.errors import InvalidAttributeError, InvalidFilterError
from joiner.scim.schemas import Attribute, Kind
from joiner.scim.search import form_of
from joiner.scim.tree import Literal
from joiner.scim.values import CONVERSIONS, DECIMAL


def typed_literal(attribute: Attribute, literal: Literal, *, strict: bool = False) -> Any:
    """A literal that is not null as a value of a simple attribute.

    Unless `strict`, booleans and numbers may be text (T3, T4) and text may be a number or a boolean, which is what text
    without quotes can look like (T20). Raises InvalidFilterError.
    """
    return TYPED[attribute.kind](attribute, literal, strict)


def searched_literal(attribute: Attribute, literal: Literal, parent: Attribute | None, *, strict: bool = False) -> Any:
    """The literal in the attribute's search form; `parent` as in `form_of`. Raises InvalidFilterError."""
    value = typed_literal(attribute, literal, strict=strict)
    convert = form_of(attribute, parent)
    return value if convert is None else convert(value)


def _text(attribute: Attribute, literal: Literal, strict: bool) -> str:
    if isinstance(literal, str):
        return literal
    if strict:
        raise InvalidFilterError(f"'{attribute.name}' is compared with text")
    return orjson.dumps(literal).decode()


def _boolean(attribute: Attribute, literal: Literal, strict: bool) -> bool:
    if isinstance(literal, bool):
        return literal
    if isinstance(literal, str) and literal.lower() in ("true", "false") and not strict:
        return literal.lower() == "true"
    raise InvalidFilterError(f"'{attribute.name}' is compared with true or false")


def _number(attribute: Attribute, literal: Literal, strict: bool) -> int | float:
    if isinstance(literal, (int, float)) and not isinstance(literal, bool):
        return literal
    if isinstance(literal, str) and DECIMAL.fullmatch(literal) and not strict:
        value = float(literal)
        return int(literal) if literal.lstrip("-").isdecimal() else value
    raise InvalidFilterError(f"'{attribute.name}' is compared with a number")


def _of_kind(attribute: Attribute, literal: Literal, strict: bool) -> Any:
    if not isinstance(literal, str):
        raise InvalidFilterError(f"'{attribute.name}' is compared with text of the type {attribute.kind}")
    try:
        return CONVERSIONS[attribute.kind](literal, attribute.name)
    except InvalidAttributeError as error:
        raise InvalidFilterError(str(error)) from None


def _complex(attribute: Attribute, literal: Literal, strict: bool) -> Any:
    names = ", ".join(sub.name for sub in attribute.sub_attributes)
    raise InvalidFilterError(f"'{attribute.name}' is compared by one of its parts: {names}")


TYPED: Final[Mapping[Kind, Callable[[Attribute, Literal, bool], Any]]] = {
    "string": _text,
    "reference": _text,
    "boolean": _boolean,
    "integer": _number,
    "decimal": _number,
    "dateTime": _of_kind,
    "binary": _of_kind,
    "complex": _complex,
}
