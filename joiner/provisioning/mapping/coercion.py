"""Values to the types that the target's attributes have (attribute mapping §5, D-04)."""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from joiner.errors import JoinerError
from joiner.expressions.date_texts import read_date
from joiner.expressions.values import canonical_text, whole_number
from joiner.provisioning.mapping.schema import AttributeType

LONGEST_SHOWN: Final = 60


class CoercionError(JoinerError):
    """The value does not fit the target attribute's type."""


def _string(value: Any) -> Any:
    return value if isinstance(value, dict) else canonical_text(value)


def _boolean(value: Any) -> bool:
    text = canonical_text(value).strip().lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise CoercionError(f"{_shown(value)} is not a Boolean")


def _integer(value: Any) -> int:
    number = whole_number(canonical_text(value))
    if number is None:
        raise CoercionError(f"{_shown(value)} is not an Integer")
    return number


def _date_time(value: Any) -> str:
    """ISO 8601 in UTC to the second."""
    moment = value if isinstance(value, datetime) else read_date(canonical_text(value))
    if moment is None:
        raise CoercionError(f"{_shown(value)} is not a DateTime")
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _binary(value: Any) -> str:
    text = canonical_text(value)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CoercionError(f"{_shown(value)} is not Binary: it is not base64") from None
    return text


def _shown(value: Any) -> str:
    text = canonical_text(value)
    return f"'{text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + '…'}'"


COERCIONS: Final[Mapping[AttributeType, Callable[[Any], Any]]] = {
    "String": _string,
    "Boolean": _boolean,
    "Integer": _integer,
    "DateTime": _date_time,
    "Binary": _binary,
    "Reference": _string,
}
"""Attribute type → function of a value that is not null. Raises CoercionError."""
