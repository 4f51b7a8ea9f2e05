"""Values of the mapping language: canonical text, truth, comparison (attribute mapping §10.4, §10.5).

Null is None or an empty list, "" is a value, booleans and integers are Python's, numbers with a point are Decimals
(floats where the source has them), date-times are aware UTC datetimes, several values are a list, roles are a list of
dicts.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from joiner.expressions.date_texts import read_date
from joiner.expressions.errors import EvaluationError

Value = Any
WHOLE: Final = re.compile(r"\s*([+-]?[0-9]{1,25})\s*")
"""Longer numbers are none that anybody means, and Python refuses to read the longest."""
LONGEST_VALUE: Final = 1_000_000
"""Characters of a text that a function may make: calls inside calls could otherwise fill any memory."""
DECIMAL: Final = re.compile(r"\s*[+-]?[0-9]{1,25}\.[0-9]{1,25}\s*")


def whole_number(text: str) -> int | None:
    """The number that a text of digits with an optional sign stands for; None for every other text."""
    match = WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def canonical_text(value: Value) -> str:
    """The text of a single value: `True`, `42`, `1/2/2025 3:04:05 PM`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, datetime):
        hour = value.hour % 12 or 12
        half = "AM" if value.hour < 12 else "PM"
        return f"{value.month}/{value.day}/{value.year:04d} {hour}:{value.minute:02d}:{value.second:02d} {half}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def check_length(length: int, function: str) -> None:
    """Raises EvaluationError if a function would make a text longer than any attribute is."""
    if length > LONGEST_VALUE:
        raise EvaluationError(f"{function} makes a text of {length:,} characters; {LONGEST_VALUE:,} is the most")


def well_formed(text: str) -> str:
    """The text without halves of surrogate pairs, which no encoding can write; .NET replaces them the same way."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def single(value: Value) -> Value:
    """The first of several values, the value itself otherwise; an empty list is null (D-08)."""
    if isinstance(value, (list, tuple)):
        return value[0] if value else None
    return value


def text_of(value: Value) -> str | None:
    """The canonical text of a text argument, None for null."""
    value = single(value)
    return None if value is None else canonical_text(value)


def number_of(value: Value, what: str) -> int:
    """An integer argument; text of digits counts. Raises EvaluationError naming `what`."""
    value = single(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, (float, Decimal)) and value == value // 1:
        return int(value)
    number = whole_number(value) if isinstance(value, str) else None
    if number is not None:
        return number
    raise EvaluationError(f"{what} must be a whole number, not {_shown(value)}")


def truth_of(value: Value) -> bool:
    """Truth (D-13): booleans, non-zero numbers, text true/false in any case or digits; null is false."""
    value = single(value)
    if value is None:
        return False
    if isinstance(value, (bool, int, float, Decimal)):
        return bool(value)
    text = canonical_text(value).strip().lower()
    if text in ("true", "false"):
        return text == "true"
    number = whole_number(text)
    if number is not None:
        return number != 0
    raise EvaluationError(f"{_shown(value)} is neither true nor false")


def is_null(value: Value) -> bool:
    """Absent, or no values. An empty text is a value."""
    return value is None or (isinstance(value, (list, tuple)) and not value)


def is_empty(value: Value) -> bool:
    """Null, empty text, or no values. White space is not empty."""
    return value is None or value == "" or value in ([], ())


OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


def compare(operator: str, left: Value, right: Value) -> bool:
    """False if either side is null (D-14); as dates or numbers if either side is one; else as ordinal text."""
    left, right = single(left), single(right)
    if left is None or right is None:
        return False
    if isinstance(left, datetime) or isinstance(right, datetime):
        return OPERATORS[operator](_as_date(left), _as_date(right))
    if _is_number(left) or _is_number(right):
        return OPERATORS[operator](_as_number(left), _as_number(right))
    return OPERATORS[operator](canonical_text(left), canonical_text(right))


def _as_date(value: Value) -> datetime:
    if isinstance(value, datetime):
        return value
    moment = read_date(canonical_text(value))
    if moment is None:
        raise EvaluationError(f"{_shown(value)} cannot be compared with a date")
    return moment


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _as_number(value: Value) -> Decimal | int:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return value
    text = canonical_text(value)
    number = whole_number(text)
    if number is not None:
        return number
    if DECIMAL.fullmatch(text):
        return Decimal(text.strip())
    raise EvaluationError(f"{_shown(value)} cannot be compared with a number")


def _shown(value: Value) -> str:
    if value is None:
        return "nothing"
    text = canonical_text(value)
    return f"'{text if len(text) <= 60 else text[:60] + '…'}'"
