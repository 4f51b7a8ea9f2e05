"""A limit on the requests of one connection, so that one client cannot take the service from the others."""

from datetime import datetime
from typing import Final

from joiner.application.connections import Connection
from joiner.clock import Clock
from joiner.scim.errors import TooManyRequestsError

BURST_SECONDS: Final = 2
"""So many seconds' worth of requests may come at once."""


class Rates:
    """Counts requests of connections that have a limit (`requestsPerSecond`); a bucket each, in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[int, tuple[float, datetime]] = {}

    def take(self, connection: Connection) -> None:
        """Raises TooManyRequestsError when the connection has used up its requests (REQ-S-055)."""
        limit = connection.settings.requests_per_second
        if limit is None:
            return
        now = self._clock()
        left, since = self._buckets.get(connection.id, (limit * BURST_SECONDS, now))
        # A clock that was set back gives nothing and takes nothing.
        passed = max(0.0, (now - since).total_seconds())
        left = min(limit * BURST_SECONDS, left + passed * limit)
        if left < 1:
            self._buckets[connection.id] = left, now
            raise TooManyRequestsError(f"more than {limit} requests a second", 1)
        self._buckets[connection.id] = left - 1, now
