"""Dates of the mapping language: reading them, adding and subtracting, Windows' file times. All in UTC."""

import calendar
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joiner.expressions.date_formats import format_date, parse_exact
from joiner.expressions.errors import EvaluationError
from joiner.expressions.function import MISSING, Missing
from joiner.expressions.values import Value, number_of, single, text_of

ISO: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?)? ?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)
AMERICAN: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))? ?([AaPp])[Mm])?", re.ASCII)
FILE_TIME_ZERO: Final = datetime(1601, 1, 1, tzinfo=UTC)
TICKS_PER_MICROSECOND: Final = 10


def read_date(text: str) -> datetime | None:
    """A moment in UTC from ISO 8601 or `M/d/yyyy h:mm:ss tt`; None if it is neither or there is no such day. Without
    offset it is taken as UTC; what is shorter than a microsecond is dropped."""
    try:
        if match := ISO.fullmatch(text.strip()):
            year, month, day, hour, minute, second, fraction, offset = match.groups()
            microsecond = int((fraction or "").ljust(6, "0")[:6])
            moment = datetime(
                int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond, UTC
            )
            return moment - _offset(offset)
        if match := AMERICAN.fullmatch(text.strip()):
            month, day, year, hour, minute, second, half = match.groups()
            if not 1 <= int(hour or 12) <= 12:
                return None
            hours = int(hour or 12) % 12 + (12 if half in ("P", "p") else 0)
            return datetime(int(year), int(month), int(day), hours, int(minute or 0), int(second or 0), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return None


def _offset(text: str | None) -> timedelta:
    if text is None or text == "Z":
        return timedelta()
    span = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return -span if text[0] == "-" else span


def date_of(value: Value, what: str) -> datetime:
    """A date argument. Raises EvaluationError naming `what`."""
    value = single(value)
    if isinstance(value, datetime):
        return value
    moment = read_date(text_of(value) or "")
    if moment is None:
        raise EvaluationError(f"{what} is not a date: '{value}'" if value is not None else f"{what} is missing")
    return moment


def c_date(expression: Value) -> Value:
    return date_of(expression, "the argument of CDate")


def date_add(interval: Value, value: Value, moment: Value) -> Value:
    number = number_of(value, "value of DateAdd")
    move = _entry(MOVES, interval, "DateAdd")
    try:
        return move(date_of(moment, "dateTime of DateAdd"), number)
    except (OverflowError, ValueError):
        raise EvaluationError("DateAdd leaves the calendar") from None


def date_diff(interval: Value, first: Value, second: Value) -> Value:
    span = _entry(SPANS, interval, "DateDiff")
    return span(date_of(first, "date1 of DateDiff"), date_of(second, "date2 of DateDiff"))


def date_from_num(value: Value) -> Value:
    ticks = number_of(value, "value of DateFromNum")
    try:
        return FILE_TIME_ZERO + timedelta(microseconds=ticks // TICKS_PER_MICROSECOND)
    except OverflowError:
        raise EvaluationError("DateFromNum leaves the calendar") from None


def num_from_date(value: Value) -> Value:
    since = date_of(value, "value of NumFromDate") - FILE_TIME_ZERO
    return since // timedelta(microseconds=1) * TICKS_PER_MICROSECOND


def format_date_time(source: Value, styles: Value, form: Value, output: Value = MISSING) -> Value:
    if isinstance(output, Missing):
        # The legacy form has no styles (D-19).
        styles, form, output = MISSING, styles, form
    if isinstance(form, Missing):
        raise EvaluationError("FormatDateTime needs an inputFormat")
    text = text_of(source)
    if text is None:
        return None
    wanted, written = text_of(form) or "", text_of(output) or ""
    moment = parse_exact(text, wanted, "" if isinstance(styles, Missing) else text_of(styles) or "")
    return format_date(moment, written)


def _entry(table: Mapping[str, Any], interval: Value, function: str) -> Any:
    entry = table.get(text_of(interval) or "")
    if entry is None:
        raise EvaluationError(f"{function} counts in {', '.join(table)}, not in '{text_of(interval) or ''}'")
    return entry


def _months(moment: datetime, number: int) -> datetime:
    """Clamped to the last day of the month."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + number, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _elapsed(unit: timedelta) -> Callable[[datetime, datetime], int]:
    """Whole units between two moments, towards zero."""

    def count(first: datetime, second: datetime) -> int:
        return (second - first) // unit if second >= first else -((first - second) // unit)

    return count


def _weeks(first: datetime, second: datetime) -> int:
    """By the Sundays that begin the weeks, as Visual Basic counts them."""
    sundays = [moment - timedelta(days=moment.isoweekday() % 7) for moment in (first, second)]
    days = _elapsed(timedelta(days=1))(*sundays)
    return days // 7 if days >= 0 else -(-days // 7)


def _moving(unit: timedelta) -> Callable[[datetime, int], datetime]:
    return lambda moment, number: moment + unit * number


UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "n": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
MOVES: Final[Mapping[str, Callable[[datetime, int], datetime]]] = {
    "yyyy": lambda moment, number: _months(moment, 12 * number),
    "m": _months,
    "ww": _moving(timedelta(weeks=1)),
    **{name: _moving(unit) for name, unit in UNITS.items()},
}
"""Interval → how a moment moves by a number of them."""
SPANS: Final[Mapping[str, Callable[[datetime, datetime], int]]] = {
    "yyyy": lambda first, second: second.year - first.year,
    "m": lambda first, second: 12 * (second.year - first.year) + second.month - first.month,
    "ww": _weeks,
    **{name: _elapsed(unit) for name, unit in UNITS.items()},
}
"""Interval → how many of them lie between two moments."""
