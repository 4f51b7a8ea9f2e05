"""When a request is sent again, and after how long. Pure: chance and time come in."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

TRIES: Final = 3
"""How often a request is sent that got no answer, or one that says "later" without a time."""
MOST_THROTTLED: Final = 8
"""How often a request is sent again that the target put off by 429, or with a `Retry-After`."""
LONGEST_WAIT: Final = 300.0
"""Seconds that a Retry-After may make us wait, and that a request may be put off altogether."""
FIRST_BACKOFF: Final = 0.5

UNANSWERED: Final = frozenset({"Timeout", "WebExceptionProtocolError"})
"""Error codes of requests that may or may not have taken effect."""
TRANSIENT: Final = frozenset({408, *range(500, 600)} - {501, 505})
"""Statuses that say "later". A version of HTTP or a method that is not supported now will not be then."""


def backoff(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures: 0.5, 1, 2 …, half to whole of it. `chance` is between 0 and 1."""
    return float(FIRST_BACKOFF * 2 ** (failures - 1) * (0.5 + chance / 2))


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait (RFC 9110 §10.2.3: a number or a date), from 0 to `LONGEST_WAIT`; None if it says nothing that
    can be understood."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):
            return None
        # One of the three forms of dates does not name its zone (RFC 9110 §5.6.7).
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    if seconds != seconds:  # NaN, which float() reads
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
