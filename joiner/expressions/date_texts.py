"""Dates read from text the way CDate reads them, in UTC, and the digit that Python's datetime has no place for."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

ISO: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?)? ?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)
AMERICAN: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))? ?([AaPp])[Mm])?", re.ASCII)
LARGEST_OFFSET: Final = timedelta(hours=14)


class Instant(datetime):
    """A moment to 100 nanoseconds, the resolution of .NET and of Windows' file times."""

    tick: int = 0
    """The seventh digit of the second's fraction, 0 to 9."""


def with_tick(moment: datetime, tick: int) -> datetime:
    """The moment, so many times 100 nanoseconds later."""
    if not tick:
        return moment
    finer = Instant.combine(moment.date(), moment.timetz())
    finer.tick = tick
    return finer


def tick_of(moment: datetime) -> int:
    return moment.tick if isinstance(moment, Instant) else 0


def read_fraction(digits: str) -> tuple[int, int]:
    """Microseconds and the tick of the digits behind a second's point; what is smaller is dropped."""
    seven = digits.ljust(7, "0")
    return int(seven[:6]), int(seven[6])


def read_offset(text: str | None) -> timedelta:
    """How far local time is ahead of UTC: `Z`, `+01:00`, `-0730`; none for no text. Raises ValueError."""
    if not text or text == "Z":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:])
    span = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or span > LARGEST_OFFSET:
        raise ValueError("an offset that no place has")
    return -span if text[0] == "-" else span


def read_date(text: str) -> datetime | None:
    """A moment in UTC from ISO 8601 or `M/d/yyyy h:mm:ss tt`; None if it is neither or there is no such day. Without
    offset it is taken as UTC; what is shorter than 100 nanoseconds is dropped."""
    text = text.strip()
    try:
        if match := ISO.fullmatch(text):
            year, month, day, hour, minute, second, fraction, offset = match.groups()
            microsecond, tick = read_fraction(fraction or "")
            moment = datetime(
                int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond, UTC
            )
            return with_tick(moment - read_offset(offset), tick)
        if match := AMERICAN.fullmatch(text):
            month, day, year, hour, minute, second, half = match.groups()
            if not 1 <= int(hour or 12) <= 12:
                return None
            # A date alone is its midnight, which is 12 AM.
            hours = int(hour or 12) % 12 + (12 if half in ("P", "p") else 0)
            return datetime(int(year), int(month), int(day), hours, int(minute or 0), int(second or 0), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return None
