"""A limit to guessing: who fails too often must wait. Kept in memory; a restart forgets it."""

import hashlib
import math
from collections import deque
from datetime import datetime, timedelta
from typing import Final

from joiner.clock import Clock

MOST_FAILURES: Final = 10
PERIOD: Final = timedelta(minutes=1)
MOST_NAMES: Final = 10_000
"""So many are remembered at once; the oldest is forgotten first, so that inventing names cannot fill the memory."""


class FailureLimit:
    """Ten failures of one name within a minute are enough. It makes no difference whether the name exists."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[bytes, deque[datetime]] = {}

    def wait(self, name: str) -> int:
        """The seconds that this name has to wait before it may try again, 0 if it need not."""
        failures = self._failures.get(_key(name))
        if failures is None or len(failures) < MOST_FAILURES:
            return 0
        return max(0, math.ceil((failures[0] + PERIOD - self._clock()).total_seconds()))

    def note(self, name: str) -> None:
        """A failure of this name, now."""
        failures = self._failures.pop(_key(name), None) or deque(maxlen=MOST_FAILURES)
        failures.append(self._clock())
        self._failures[_key(name)] = failures
        if len(self._failures) > MOST_NAMES:
            del self._failures[next(iter(self._failures))]


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "replace")).digest()
