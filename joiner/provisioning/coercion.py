"""Values to the types that the target's attributes have (attribute mapping §5, D-04)."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from joiner.errors import JoinerError
from joiner.expressions.values import canonical_text
from joiner.provisioning.schema import AttributeType

AMERICAN: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))? ?([AaPp])[Mm])?", re.ASCII)


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
    raise CoercionError(f"'{canonical_text(value)}' is not a Boolean")


def _integer(value: Any) -> int:
    text = canonical_text(value).strip()
    if text.removeprefix("-").isdecimal() and text.isascii():
        return int(text)
    raise CoercionError(f"'{text}' is not an Integer")


def _date_time(value: Any) -> str:
    """ISO 8601 in UTC to the second."""
    moment = value if isinstance(value, datetime) else _read_date_time(canonical_text(value).strip())
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_date_time(text: str) -> datetime:
    try:
        match = AMERICAN.fullmatch(text)
        if match is None:
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        month, day, year, hour, minute, second, half = match.groups()
        hours = int(hour or 12) % 12 + (12 if half in ("P", "p") else 0)
        return datetime(int(year), int(month), int(day), hours, int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError:
        raise CoercionError(f"'{text}' is not a DateTime") from None


def _binary(value: Any) -> str:
    text = canonical_text(value)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CoercionError("the value is not base64") from None
    return text


COERCIONS: Final[Mapping[AttributeType, Callable[[Any], Any]]] = {
    "String": _string,
    "Boolean": _boolean,
    "Integer": _integer,
    "DateTime": _date_time,
    "Binary": _binary,
    "Reference": _string,
}
"""Attribute type → function of a value that is not null. Raises CoercionError."""
