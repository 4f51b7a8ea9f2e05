"""Dates read exactly by a .NET format string, the way `DateTime.ParseExact` does: specifier by specifier, each taking
as many digits as it may and never giving one back. Local time is UTC (attribute mapping, FormatDateTime)."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from joiner.expressions.date_formats import DAYS, MONTHS, Part, compile_format
from joiner.expressions.date_texts import read_fraction, read_offset, with_tick
from joiner.expressions.errors import EvaluationError, hint

STYLES: Final = (
    "None",
    "RoundtripKind",
    "AssumeUniversal",
    "AssumeLocal",
    "AdjustToUniversal",
    "NoCurrentDateDefault",
    "AllowLeadingWhite",
    "AllowTrailingWhite",
    "AllowInnerWhite",
    "AllowWhiteSpaces",
)
LAST_OF_THIS_CENTURY: Final = 29
"""Years of two digits up to this one are 20xx, later ones 19xx."""
Said = dict[str, Any]
"""What the text says: field → value."""
Reading = tuple[str, Any, int]
"""The field, its value, and where the text goes on."""
Reader = Callable[[str, int], Reading | None]
"""Text and position → what stands there; None if something else does."""


def check_styles(styles: str) -> frozenset[str]:
    """The names in a list of .NET's `DateTimeStyles`; empty for the default. Raises EvaluationError."""
    chosen = frozenset(name.strip() for name in styles.split(",") if name.strip())
    for name in sorted(chosen):
        if name not in STYLES:
            raise EvaluationError(f"'{name}' is not one of .NET's DateTimeStyles{hint(name, STYLES)}")
    return chosen


def parse_exact(text: str, form: str, styles: str, today: Callable[[], date]) -> datetime:
    """The moment in UTC that `text` names in this format; what it leaves out of the date comes from `today`.

    White space around it is ignored unless the styles, names of .NET's `DateTimeStyles`, leave that out. Raises
    EvaluationError.
    """
    chosen = check_styles(styles)
    every = "AllowWhiteSpaces" in chosen
    if not chosen or every or "AllowLeadingWhite" in chosen:
        text = text.lstrip()
    if not chosen or every or "AllowTrailingWhite" in chosen:
        text = text.rstrip()
    said: Said = {}
    position = 0
    parts = compile_format(form)
    for index, part in enumerate(parts):
        if every or "AllowInnerWhite" in chosen:
            position = _skip_white(text, position)
            if part.is_literal and part.text.isspace():
                continue
        if part.is_literal:
            if text.startswith(part.text, position):
                position += len(part.text)
            elif not (part.text == "." and index + 1 < len(parts) and _is_optional(parts[index + 1])):
                raise _no_match(text, form)
            continue
        reading = _reader(part.text)(text, position)
        if reading is None:
            raise _no_match(text, form)
        field, value, position = reading
        if said.setdefault(field, value) != value:
            raise EvaluationError(f"'{text}' names two values for its {field}")
    if position != len(text):
        raise _no_match(text, form)
    try:
        return _moment(said, today if "NoCurrentDateDefault" not in chosen else lambda: date.min)
    except (ValueError, OverflowError):
        raise EvaluationError(f"'{text}' is not a date that exists") from None


def _no_match(text: str, form: str) -> EvaluationError:
    return EvaluationError(f"'{text}' has not the format {form}")


def _is_optional(part: Part) -> bool:
    """A fraction written `F` may be absent, with the point before it."""
    return not part.is_literal and part.text[0] == "F"


def _skip_white(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _digits(text: str, position: int, most: int) -> str:
    end = position
    while end < len(text) and end - position < most and "0" <= text[end] <= "9":
        end += 1
    return text[position:end]


def _number(field: str, least: int, most: int) -> Reader:
    def read(text: str, position: int) -> Reading | None:
        digits = _digits(text, position, most)
        return (field, int(digits), position + len(digits)) if len(digits) >= least else None

    return read


def _short_year(least: int) -> Reader:
    def read(text: str, position: int) -> Reading | None:
        digits = _digits(text, position, 2)
        if len(digits) < least:
            return None
        year = int(digits)
        return "year", year + (2000 if year <= LAST_OF_THIS_CENTURY else 1900), position + len(digits)

    return read


def _name(field: str, names: tuple[str, ...], first: int) -> Reader:
    def read(text: str, position: int) -> Reading | None:
        for number, name in enumerate(names, first):
            if text[position : position + len(name)].lower() == name.lower():
                return field, number, position + len(name)
        return None

    return read


def _fraction(least: int, most: int) -> Reader:
    def read(text: str, position: int) -> Reading | None:
        digits = _digits(text, position, most)
        return ("fraction", read_fraction(digits), position + len(digits)) if len(digits) >= least else None

    return read


def _offset(least: int, most: int, *, has_minutes: bool, is_optional: bool = False) -> Reader:
    def read(text: str, position: int) -> Reading | None:
        if is_optional and text[position : position + 1] == "Z":
            return "offset", timedelta(), position + 1
        if text[position : position + 1] not in ("+", "-") or position == len(text):
            return ("offset", timedelta(), position) if is_optional else None
        sign, end = text[position], position + 1
        hours = _digits(text, end, most)
        end += len(hours)
        minutes = ""
        if has_minutes:
            end += text[end : end + 1] == ":"
            minutes = _digits(text, end, 2)
            end += len(minutes)
        if len(hours) < least or len(minutes) != 2 * has_minutes:
            return None
        try:
            return "offset", read_offset(f"{sign}{hours:0>2}{minutes or '00'}"), end
        except ValueError:
            return None

    return read


def _shortened(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name[:3] for name in names)


READERS: Final[Mapping[str, Reader]] = {
    "d": _number("day", 1, 2),
    "dd": _number("day", 2, 2),
    "ddd": _name("day of the week", _shortened(DAYS), 0),
    "dddd": _name("day of the week", DAYS, 0),
    "M": _number("month", 1, 2),
    "MM": _number("month", 2, 2),
    "MMM": _name("month", _shortened(MONTHS), 1),
    "MMMM": _name("month", MONTHS, 1),
    "y": _short_year(1),
    "yy": _short_year(2),
    "h": _number("hour of half the day", 1, 2),
    "hh": _number("hour of half the day", 2, 2),
    "H": _number("hour", 1, 2),
    "HH": _number("hour", 2, 2),
    "m": _number("minute", 1, 2),
    "mm": _number("minute", 2, 2),
    "s": _number("second", 1, 2),
    "ss": _number("second", 2, 2),
    "t": _name("half of the day", ("A", "P"), 0),
    "tt": _name("half of the day", ("AM", "PM"), 0),
    "z": _offset(1, 2, has_minutes=False),
    "zz": _offset(2, 2, has_minutes=False),
    "zzz": _offset(2, 2, has_minutes=True),
    "K": _offset(2, 2, has_minutes=True, is_optional=True),
}
"""Specifier → how it reads. One letter takes one or two digits, two letters take two. Years of three letters and more,
and fractions, take what their length says."""


def _reader(specifier: str) -> Reader:
    reader = READERS.get(specifier)
    if reader is not None:
        return reader
    length = len(specifier)
    if specifier[0] == "y":
        return _number("year", length, length)
    return _fraction(length if specifier[0] == "f" else 0, length)


def _moment(said: Mapping[str, Any], today: Callable[[], date]) -> datetime:
    """Raises ValueError, OverflowError for what is in no calendar and on no clock."""
    microsecond, tick = said.get("fraction", (0, 0))
    year, month, day = _date(said, today)
    minute, second = said.get("minute", 0), said.get("second", 0)
    local = datetime(year, month, day, _hour(said), minute, second, microsecond, UTC)
    weekday = said.get("day of the week")
    if weekday is not None and weekday != local.weekday():
        raise EvaluationError(f"{local:%Y-%m-%d} is a {DAYS[local.weekday()]}: the text has the wrong day of the week")
    return with_tick(local - said.get("offset", timedelta()), tick)


def _date(said: Mapping[str, int], today: Callable[[], date]) -> tuple[int, int, int]:
    """Year, month and day; without any of them today, else the first, and the year of today."""
    year, month, day = said.get("year"), said.get("month"), said.get("day")
    if year is None and month is None and day is None:
        present = today()
        return present.year, present.month, present.day
    return today().year if year is None else year, 1 if month is None else month, 1 if day is None else day


def _hour(said: Mapping[str, int]) -> int:
    half, hour, twelfth = said.get("half of the day"), said.get("hour"), said.get("hour of half the day")
    if twelfth is None:
        hour = hour or 0
        if half is not None and half != hour // 12:
            raise ValueError("an hour of the other half of the day")
        return hour
    if twelfth > 12:
        raise ValueError("an hour of half a day")
    found = twelfth % 12 + 12 * (half or 0)
    if hour not in (None, found):
        raise ValueError("two hours")
    return found
