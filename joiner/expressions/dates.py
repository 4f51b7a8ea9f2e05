"""Dates of the mapping language: reading them, adding and subtracting, Windows' file times. All in UTC."""

import calendar
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joiner.expressions.date_texts import read_date, tick_of, with_tick
from joiner.expressions.errors import EvaluationError
from joiner.expressions.values import Value, number_of, single, text_of

FILE_TIME_ZERO: Final = datetime(1601, 1, 1, tzinfo=UTC)
TICKS_PER_MICROSECOND: Final = 10


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
    microseconds, tick = divmod(number_of(value, "value of DateFromNum"), TICKS_PER_MICROSECOND)
    try:
        return with_tick(FILE_TIME_ZERO + timedelta(microseconds=microseconds), tick)
    except OverflowError:
        raise EvaluationError("DateFromNum leaves the calendar") from None


def num_from_date(value: Value) -> Value:
    moment = date_of(value, "value of NumFromDate")
    return (moment - FILE_TIME_ZERO) // timedelta(microseconds=1) * TICKS_PER_MICROSECOND + tick_of(moment)


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


DAY: Final = timedelta(days=1)


def _elapsed(unit: timedelta) -> Callable[[datetime, datetime], int]:
    """Whole units between two moments, towards zero."""

    def count(first: datetime, second: datetime) -> int:
        return (second - first) // unit if second >= first else -((first - second) // unit)

    return count


def _weeks(first: datetime, second: datetime) -> int:
    """By the Sundays that begin the weeks, as Visual Basic counts them."""
    # Both dates move back to their Sunday, keeping the time; the difference is moved, as the first week has none.
    moved = second - first + timedelta(days=first.isoweekday() % 7 - second.isoweekday() % 7)
    days = moved // DAY if moved >= timedelta() else -(-moved // DAY)
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
