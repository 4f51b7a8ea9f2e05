"""A limit on the requests of one connection, so that one client cannot take the service from the others."""

import time
from typing import Final

from joiner.application.connections import Connection
from joiner.scim.errors import TooManyRequestsError

BURST_SECONDS: Final = 2
"""So many seconds' worth of requests may come at once."""


class Rates:
    """Counts requests of connections that have a limit (`requestsPerSecond`); a bucket each, in this process."""

    def __init__(self) -> None:
        self._buckets: dict[int, tuple[float, float]] = {}

    def take(self, connection: Connection) -> None:
        """Raises TooManyRequestsError when the connection has used up its requests (REQ-S-055)."""
        limit = connection.settings.requests_per_second
        if limit is None:
            return
        now = time.monotonic()
        left, since = self._buckets.get(connection.id, (limit * BURST_SECONDS, now))
        left = min(limit * BURST_SECONDS, left + (now - since) * limit)
        if left < 1:
            self._buckets[connection.id] = left, now
            raise TooManyRequestsError(f"more than {limit} requests a second", 1)
        self._buckets[connection.id] = left - 1, now
