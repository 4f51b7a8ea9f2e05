"""Simple values in the types of RFC 7643 §2.3. Conversions raise InvalidAttributeError naming the path."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from joiner.scim.errors import InvalidAttributeError
from joiner.scim.schemas import Kind
from joiner.scim.search import moment

INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")
LARGEST_INTEGER: Final = 2**63 - 1
URL_SAFE: Final = str.maketrans("-_", "+/")

Convert = Callable[[Any, str], Any]
"""Given a value and how to name it in an error, the value in its type."""


def _string(value: Any, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else _strict_string(value, path)


def _strict_string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidAttributeError(f"'{path}' takes text")
    if "\x00" in value:
        raise InvalidAttributeError(f"'{path}' contains a NUL character")
    return value


def _boolean(value: Any, path: str) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return _strict_boolean(value, path)


def _strict_boolean(value: Any, path: str) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidAttributeError(f"'{path}' takes true or false")


def _integer(value: Any, path: str) -> int:
    is_text = isinstance(value, str) and INTEGER.fullmatch(value.strip())
    if is_text or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return _strict_integer(value, path)


def _strict_integer(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER:
        return value
    raise InvalidAttributeError(f"'{path}' takes a whole number")


def _decimal(value: Any, path: str) -> float | int:
    if isinstance(value, str) and DECIMAL.fullmatch(value.strip()):
        value = float(value)
    return _strict_decimal(value, path)


def _strict_decimal(value: Any, path: str) -> float | int:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER:
        return value
    raise InvalidAttributeError(f"'{path}' takes a number")


def _date_time(value: Any, path: str) -> str:
    text = _strict_string(value, path)
    try:
        moment(text)
    except ValueError:
        raise InvalidAttributeError(f"'{path}' takes a date and time such as 2024-05-06T07:08:09Z") from None
    return text


def _binary(value: Any, path: str) -> str:
    text = _strict_string(value, path)
    padded = text.translate(URL_SAFE).rstrip("=")
    try:
        base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidAttributeError(f"'{path}' takes base64") from None
    return text


CONVERSIONS: Final[Mapping[Kind, Convert]] = {
    "string": _string,
    "reference": _string,
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "dateTime": _date_time,
    "binary": _binary,
}
"""Kind → conversion of one value that is assigned; texts are taken for what they stand for (T3, T4)."""
STRICT_CONVERSIONS: Final[Mapping[Kind, Convert]] = {
    **CONVERSIONS,
    "string": _strict_string,
    "reference": _strict_string,
    "boolean": _strict_boolean,
    "integer": _strict_integer,
    "decimal": _strict_decimal,
}
"""The same by the RFC: only values of the type itself."""
