"""Which webhooks are due, who delivers to them, and how far they are: what the database knows of deliveries.

Several processes may deliver. A webhook belongs to the one that has claimed it, for a minute at most.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from joiner.clock import Clock, to_iso
from joiner.storage.session import Session, Storage

CLAIMED_FOR: Final = timedelta(minutes=1)
WAITS: Final = (5, 30, 120, 600, 1800, 3600)
"""Seconds until the next attempt after one, two, … failures in a row; the last for all further ones."""
LONGEST_ERROR: Final = 500


class Due(msgspec.Struct, frozen=True):
    """A webhook that may be delivered to now."""

    id: str
    connection_id: int
    url: str
    delivered: int
    failures: int


class DeliveryQueue:
    """The state of the webhooks in `storage`."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def due(self, id_: str | None = None) -> Sequence[Due]:
        """The webhooks, or this one, that wait for nothing and that nobody has claimed. They may have no events."""
        condition, values = ("", ()) if id_ is None else (" AND id = ?2", (id_,))

        async def work(session: Session) -> Sequence[Due]:
            rows = await session.rows(
                "SELECT id, connection_id, url, delivered, failures FROM webhook WHERE (next_attempt IS NULL OR"
                f" next_attempt <= ?1) AND (claimed_until IS NULL OR claimed_until <= ?1){condition}"
                " ORDER BY created_at, id",
                to_iso(self._clock()),
                *values,
            )
            return [Due(*row) for row in rows]

        return await self._storage.read(work)

    async def claim(self, due: Due) -> str | None:
        """Makes the webhook ours and returns what `settle` needs; None if it is not as it was, or somebody else's."""
        now = self._clock()
        claim = to_iso(now + CLAIMED_FOR)

        async def work(session: Session) -> int:
            return await session.execute(
                "UPDATE webhook SET claimed_until = ?2 WHERE id = ?1 AND delivered = ?4 AND failures = ?5"
                " AND (claimed_until IS NULL OR claimed_until <= ?3)",
                due.id,
                claim,
                to_iso(now),
                due.delivered,
                due.failures,
            )

        return claim if await self._storage.write(work) else None

    async def settle(self, due: Due, claim: str, delivered: int, error: str | None) -> None:
        """Ends a claim. `delivered`: the last event that was accepted; `error`: why the next one was not."""
        failures, until = 0, None
        if error is not None:
            failures = 1 if delivered > due.delivered else due.failures + 1
            until = to_iso(self._clock() + timedelta(seconds=WAITS[min(failures, len(WAITS)) - 1]))
            error = error[:LONGEST_ERROR]

        async def work(session: Session) -> None:
            await session.execute(
                "UPDATE webhook SET delivered = ?3, failures = ?4, last_error = ?5, next_attempt = ?6,"
                " claimed_until = NULL WHERE id = ?1 AND claimed_until = ?2",
                *(due.id, claim, delivered, failures, error, until),
            )

        await self._storage.write(work)

    async def pass_over(self, due: Due, position: int) -> None:
        """Nothing up to the position concerns this webhook; it need not be looked at again."""

        async def work(session: Session) -> None:
            await session.execute(
                "UPDATE webhook SET delivered = ?3 WHERE id = ?1 AND delivered = ?2 AND claimed_until IS NULL",
                *(due.id, due.delivered, position),
            )

        await self._storage.write(work)

    async def release(self) -> None:
        """Ends the claims of a process that was killed. Only for a database that nobody else works on."""

        async def work(session: Session) -> None:
            await session.execute("UPDATE webhook SET claimed_until = NULL WHERE claimed_until IS NOT NULL")

        await self._storage.write(work)
