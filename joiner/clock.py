"""The one source of time. Everything that needs it takes a `Clock`, so that tests and replays choose it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, timezone-aware, in UTC."""


def system_clock() -> datetime:
    """The machine's time in UTC."""
    return datetime.now(UTC)


def seconds(clock: Clock) -> Callable[[], float]:
    """The clock in seconds since 1970: for who asks so often that dates cost too much."""
    return time.time if clock is system_clock else lambda: clock().timestamp()


def to_iso(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`, for example `2024-05-06T07:08:09.123456Z`; sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def from_iso(text: str) -> datetime:
    """The inverse of `to_iso`; accepts any ISO 8601 date-time. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
