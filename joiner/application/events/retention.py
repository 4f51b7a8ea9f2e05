"""How long events are kept: a number of days, and longer while a webhook has not accepted them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

from joiner.application.events.log import REMOVED
from joiner.clock import Clock, to_iso
from joiner.storage.session import Dialect, Session, Storage
from joiner.storage.statements import as_list, listed_numbers

EVENTS_KEPT: Final = timedelta(days=30)
KEPT_FOR_WEBHOOKS: Final = timedelta(days=90)
"""So long events are kept at most for a webhook that does not accept them."""
BATCH: Final = 500
"""So many events are removed in one transaction, so that nobody waits long for it."""
KEY: Final[Mapping[Dialect, str]] = {"sqlite": "position", "postgresql": "number"}
"""The primary key of the events. On PostgreSQL an event that nobody has read yet has no position."""
NOT_ACCEPTED: Final = (
    "EXISTS (SELECT 1 FROM webhook w WHERE w.connection_id = e.connection_id"
    " AND (e.position IS NULL OR w.delivered < e.position))"
)

log = structlog.get_logger(__name__)


class Retention:
    """Removes old events from `storage`."""

    def __init__(self, storage: Storage, clock: Clock, kept: timedelta) -> None:
        self._storage = storage
        self._clock = clock
        self._kept = kept
        self._key = KEY[storage.dialect]

    async def prune(self) -> int:
        """Removes what is too old, batch by batch. Returns how many events that were."""
        now = self._clock()
        kept_from = to_iso(now - self._kept)
        kept_for_webhooks_from = to_iso(now - max(self._kept, KEPT_FOR_WEBHOOKS))
        removed, last = 0, 0
        while keys := await self._old(last, kept_from, kept_for_webhooks_from):
            removed += await self._remove(keys, kept_for_webhooks_from)
            last = keys[-1]
        if removed:
            log.info("old events removed", events=removed, kept_days=self._kept.days)
        return removed

    async def _old(self, last: int, kept_from: str, kept_for_webhooks_from: str) -> list[int]:
        """The next keys of events that are to be removed. Nothing behind the first recent event is looked at."""
        key = self._key

        async def work(session: Session) -> Sequence[Any]:
            recent = await session.row(f"SELECT {key} FROM event WHERE at >= ?1 ORDER BY {key} LIMIT 1", kept_from)
            end = "" if recent is None else f" AND e.{key} < ?4"
            return await session.rows(
                f"SELECT e.{key} FROM event e WHERE e.{key} > ?1 AND (e.at < ?2 OR NOT {NOT_ACCEPTED}){end}"
                f" ORDER BY e.{key} LIMIT ?3",
                *(last, kept_for_webhooks_from, BATCH, *(() if recent is None else (recent[0],))),
            )

        return [row[0] for row in await self._storage.read(work, long=True)]

    async def _remove(self, keys: Sequence[int], kept_for_webhooks_from: str) -> int:
        async def work(session: Session) -> int:
            rows = await session.rows(
                f"DELETE FROM event AS e WHERE e.{self._key} IN {listed_numbers(session.dialect, 1)}"
                f" AND (e.at < ?2 OR NOT {NOT_ACCEPTED}) RETURNING connection_id, position",
                *(as_list(session.dialect, keys), kept_for_webhooks_from),
            )
            positions = [row[1] for row in rows if row[1] is not None]
            if positions:
                await _note_removed(session, max(positions))
            await _tell_webhooks(session, rows)
            return len(rows)

        return await self._storage.write(work, long=True)


async def _note_removed(session: Session, position: int) -> None:
    """For readers that come back too late."""
    await session.execute(
        "INSERT INTO installation (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        " WHERE CAST(installation.value AS BIGINT) < CAST(excluded.value AS BIGINT)",
        *(REMOVED, str(position)),
    )


async def _tell_webhooks(session: Session, removed: Sequence[Any]) -> None:
    """Notes what receivers have lost with the removed (connection, position)s."""
    for id_, connection_id, delivered in await session.rows("SELECT id, connection_id, delivered FROM webhook"):
        lost = sum(
            connection == connection_id and (position is None or position > delivered)
            for connection, position in removed
        )
        if not lost:
            continue
        log.error("events removed that a webhook has not accepted", webhook=id_, events=lost)
        await session.execute(
            "UPDATE webhook SET given_up = given_up + ?2, last_error = ?3 WHERE id = ?1",
            *(id_, lost, f"events were removed that it had not accepted for {KEPT_FOR_WEBHOOKS.days} days"),
        )
