"""What an administrator does with deletions that the guard holds back: look, allow, reject. Each is one transaction."""

import sqlite3
from collections.abc import Callable, Sequence

from joiner.clock import Clock
from joiner.provisioning.cycle import deletions, standing
from joiner.provisioning.job import jobs, staged_removals
from joiner.provisioning.job.staged_removals import StagedRemoval
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import SERVICE_ITSELF, Actor
from joiner.storage.sqlite import Database


class HeldRemovals:
    """The operations on the removals that are held back of the jobs in `db`."""

    def __init__(self, db: Database, clock: Clock, wake: Callable[[], None]) -> None:
        self._db = db
        self._clock = clock
        self._wake = wake

    def staged(self, job_id: str) -> list[StagedRemoval]:
        """Everything of the job that is held back, or allowed and not sent yet."""
        return staged_removals.staged(self._db.reader, job_id)

    async def allow(self, job_id: str, items: Sequence[str] | None, by: Actor = SERVICE_ITSELF) -> int:
        """The next cycle sends these, None: all that are held back now. Raises NotFoundError."""
        return await self._answer(job_id, items, by, allows=True)

    async def reject(self, job_id: str, items: Sequence[str] | None, by: Actor = SERVICE_ITSELF) -> int:
        """These are not sent. Raises NotFoundError."""
        return await self._answer(job_id, items, by, allows=False)

    async def _answer(self, job_id: str, items: Sequence[str] | None, by: Actor, *, allows: bool) -> int:
        def work(connection: sqlite3.Connection) -> int:
            job, now = jobs.job_by_id(connection, job_id), self._clock()
            answer = staged_removals.allow if allows else staged_removals.reject
            number = answer(connection, job_id, items)
            if deletions.is_held(job) and not deletions.count_undecided(connection, job_id):
                standing.lift(connection, job, now, by)
            if number:
                jobs.run_soon(connection, job_id, now)
                what = "held deletion" if number == 1 else "held deletions"
                reason = f"{number} {what} {'allowed' if allows else 'rejected'}"
                audit.note(
                    connection, "Other", now, by, job.service_principal_id, job_id=job.id, reason=reason,
                    details={"Items": ", ".join(items or ())},
                )  # fmt: skip
            return number

        number = await self._db.write(work)
        self._wake()
        return number
