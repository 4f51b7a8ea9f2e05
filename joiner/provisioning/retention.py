"""What is removed when its time is over: log entries, ended cycles and what a crash left of them, the recycle bin,
changes that all have read."""

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from joiner.clock import Clock, to_iso
from joiner.directory.store import DirectoryStore
from joiner.provisioning.cycle import census
from joiner.provisioning.job import cycles
from joiner.provisioning.log import audit, journal_rows
from joiner.provisioning.plans import plans
from joiner.storage.sqlite import Database

CYCLES_KEPT: Final = timedelta(days=30)
FEED_KEPT: Final = timedelta(days=30)
"""Changes stay so long at least: others than jobs may read the feed too."""


class Retention:
    """Removes what is too old from `db`. `logs_kept`: for the provisioning log and the audit log (REQ-P-136)."""

    def __init__(self, db: Database, directory: DirectoryStore, clock: Clock, logs_kept: timedelta) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        self._logs_kept = logs_kept

    async def purge(self) -> None:
        """In short transactions, so that nobody waits long for it."""
        now = self._clock()
        before, logged_before = to_iso(now - FEED_KEPT), now - self._logs_kept
        await self._repeat(lambda connection: journal_rows.purge(connection, logged_before))
        await self._repeat(lambda connection: audit.purge(connection, logged_before))
        await self._repeat(lambda connection: plans.purge_plans(connection, logged_before))
        await self._repeat(census.drop_some_leftovers)
        await self._repeat(lambda connection: cycles.purge_ended(connection, now - CYCLES_KEPT))
        await self._repeat(lambda connection: _purge_feed(connection, before))
        while await self._directory.purge_recycle_bin():
            pass

    async def _repeat(self, work: Callable[[sqlite3.Connection], int]) -> None:
        """Does the work until there is nothing left to do."""
        while await self._db.write(work):
            pass


def _purge_feed(connection: sqlite3.Connection, before: str) -> int:
    return connection.execute(PURGE_FEED, (before,)).rowcount


PURGE_FEED: Final = """
DELETE FROM change WHERE position IN (SELECT position FROM (
    SELECT position, at FROM change ORDER BY position LIMIT 5000) WHERE at < ?1)
  AND position <= (SELECT coalesce(min(p), 9223372036854775807) FROM (
    SELECT watermark AS p FROM job WHERE watermark IS NOT NULL
    UNION ALL SELECT from_position FROM cycle WHERE state = 'running' AND kind = 'incremental'))
  AND position < (SELECT max(position) FROM change)
"""
"""Changes below every watermark. The last one stays: it is the present position."""
