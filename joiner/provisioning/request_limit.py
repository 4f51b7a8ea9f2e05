"""How often something may be asked: so many requests in a span of time, for each key."""

from collections import deque
from datetime import datetime, timedelta
from math import ceil

from joiner.errors import TooManyRequestsError


class RequestLimit:
    """Lets `most` requests pass in any `span`. Remembers only those."""

    def __init__(self, most: int, span: timedelta) -> None:
        self._most = most
        self._span = span
        self._asked: dict[str, deque[datetime]] = {}

    def count(self, key: str, now: datetime, what: str) -> None:
        """Counts one request, or raises TooManyRequestsError; `what` says what is limited, as the subject of a
        sentence."""
        asked = self._asked.setdefault(key, deque())
        while asked and now - asked[0] >= self._span:
            asked.popleft()
        if len(asked) >= self._most:
            seconds = max(1, ceil((asked[0] + self._span - now).total_seconds()))
            raise TooManyRequestsError(f"{what}; wait {seconds} s", seconds)
        asked.append(now)
