"""What is asked of inbound jobs from outside: to take uploads in, to take one user of a SCIM source over on demand."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Final

from joiner.clock import Clock
from joiner.errors import InvalidStateError, InvalidValueError, TooManyRequestsError
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.inbound.importing import Arrival, Importing
from joiner.provisioning.inbound.messages import MOST_OPERATIONS, parse_upload
from joiner.provisioning.inbound.runner import InboundRunner
from joiner.provisioning.inbound.source import read_one
from joiner.provisioning.inbound.uploads import add_upload, count_waiting
from joiner.provisioning.job import jobs
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.templates import source_of
from joiner.provisioning.log.journal import Entry, LogContext
from joiner.provisioning.log.journal_rows import entry_of
from joiner.provisioning.request_limit import RequestLimit
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database

MOST_PER_SECOND: Final = 40
MOST_WAITING: Final = 6_000
"""Uploads of one job that no cycle has taken over yet."""
WAIT: Final = 60
"""Seconds after which to try again when so many wait."""


class Inbound:
    """The operations on inbound jobs."""

    def __init__(
        self,
        db: Database,
        runner: InboundRunner,
        open_source: Callable[[Job], AbstractAsyncContextManager[ScimTarget]],
        clock: Clock,
        turns: Turns,
        wake: Callable[[], None],
    ) -> None:
        self._db = db
        self._runner = runner
        self._open_source = open_source
        self._clock = clock
        self._turns = turns
        self._wake = wake
        self._limit = RequestLimit(MOST_PER_SECOND, timedelta(seconds=1))

    async def upload(self, job: Job, content: bytes) -> None:
        """Keeps the operations of a `bulkUpload`; what becomes of them is told by the provisioning log. A job that is
        not started keeps them until it is.

        Raises InvalidValueError for a job that takes no uploads, UploadError for a body that cannot be used,
        TooManyRequestsError.
        """
        if source_of(job.template_id) != "uploads":
            raise InvalidValueError("this job takes no uploads; only those of API-driven provisioning do")
        self._limit.count(job.id, self._clock(), f"a job takes {MOST_PER_SECOND} uploads in a second")
        operations = parse_upload(content)

        def work(connection: sqlite3.Connection) -> None:
            jobs.job_by_id(connection, job.id)
            waiting, _ = count_waiting(connection, job.id)
            if waiting >= MOST_WAITING:
                told = f"{waiting} uploads wait for a cycle already; start the job"
                raise TooManyRequestsError(told, WAIT)
            add_upload(connection, job.id, operations, self._clock())
            jobs.run_soon(connection, job.id, self._clock())

        await self._db.write(work)
        self._wake()

    async def provision(self, job: Job, user_id: str, cycle: Cycle, log: LogContext) -> Entry:
        """Reads one user of the SCIM source and takes it over; the log entry of what was done.

        Raises InvalidStateError for a job whose people are uploaded, NotFoundError, TargetError.
        """
        if source_of(job.template_id) != "endpoint":
            raise InvalidStateError(
                f"nothing can be asked of a source that uploads: send it to bulkUpload, up to {MOST_OPERATIONS} at once"
            )
        async with self._turns.of(job.id), self._open_source(job) as target:
            resource = await read_one(target, user_id)
            # One user on demand is never too many.
            context = replace(self._runner.context_of(job, cycle, log), guards=False)

            def work(connection: sqlite3.Connection) -> None:
                importing = Importing(connection, context, self._clock())
                importing.take([Arrival(user_id, resource, is_whole=True)])

            await self._db.write(work)
        return entry_of(self._db.reader, cycle.id, user_id)
