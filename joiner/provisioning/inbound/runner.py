"""A cycle of an inbound job, page by page: what the source has, who failed before, who is to be disabled, managers that
were awaited.

`run_pages` has the contract of the outbound `CycleRunner`: all state is in the database, each page is one transaction,
and a worker whose fencing number is old cannot commit.
"""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Final

from joiner.clock import Clock, from_iso, to_iso
from joiner.errors import JoinerError
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.cycle import deletions, standing
from joiner.provisioning.cycle.cycle_runs import give_up, job_to_run
from joiner.provisioning.cycle.run import DescribeLog
from joiner.provisioning.inbound import leavers, managers, uploads
from joiner.provisioning.inbound.importing import Arrival, ImportContext, Importing, due_arrivals
from joiner.provisioning.inbound.plan import InboundPlan
from joiner.provisioning.inbound.source import Part, from_cursor, probe_source, read_part, to_cursor, window
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.job_settings import deletion_limits
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.templates import source_of
from joiner.provisioning.log.journal import LogContext
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database

PAGE: Final = 50
"""Users that are taken over in one transaction, which other writes wait for."""
ARRIVALS: Final = "users"
RETRIES: Final = "references"
LEAVERS: Final = "disables"
AWAITED: Final = "removals"
"""What comes in which phase of the cycle; all names but that of the leavers are those of outbound cycles."""

OpenSource = Callable[[Job], AbstractAsyncContextManager[ScimTarget]]
PlanOf = Callable[[Job], InboundPlan]
KeepsLeavers = Callable[[Job], bool]


class InboundRunner:
    """Runs the pages of inbound cycles. `plan_of` raises SchemaError; `keeps_leavers`: who leaves the scope is left
    alone."""

    def __init__(
        self,
        db: Database,
        plan_of: PlanOf,
        keeps_leavers: KeepsLeavers,
        open_source: OpenSource,
        describe_log: DescribeLog,
        clock: Clock,
        turns: Turns,
    ) -> None:
        self._db = db
        self._plan_of = plan_of
        self._keeps_leavers = keeps_leavers
        self._open_source = open_source
        self._describe_log = describe_log
        self._clock = clock
        self._turns = turns

    async def run_pages(self, cycle_id: str, fence: int, goes_on: Callable[[], bool]) -> bool:
        """Runs the next page, and further ones while `goes_on` says so; False when the cycle has ended.

        Raises InvalidStateError if another worker has taken the job over, NotFoundError if the job was deleted.
        """
        job_id = cycles.cycle_by_id(self._db.reader, cycle_id).job_id
        async with self._turns.of(job_id):
            while await self._run_page(cycle_id, fence):
                if not goes_on() or self._turns.is_wanted(job_id):
                    return True
            return False

    def context_of(self, job: Job, cycle: Cycle, log: LogContext | None = None) -> ImportContext:
        """What the import of this job works with. Raises SchemaError."""
        rule = job.schema["synchronizationRules"][0]
        log = log or self._describe_log(job, cycle)
        target = {**log.target_system, "displayName": rule["targetDirectoryName"]}
        return ImportContext(
            job.id,
            self._plan_of(job),
            cycle.kind,
            replace(log, target_system=target),
            self._keeps_leavers(job),
            guards=deletion_limits(job.settings) is not None,
        )

    async def _run_page(self, cycle_id: str, fence: int) -> bool:
        cycle = cycles.cycle_by_id(self._db.reader, cycle_id)
        job = await job_to_run(self._db, cycle, fence, self._clock)
        if job is None:
            return False
        try:
            context = self.context_of(job, cycle)
            part = await self._read_source(job, cycle)
        except JoinerError as error:
            failure = error
        else:
            return await self._db.write(lambda connection: self._commit(connection, cycle, fence, context, part))
        await give_up(self._db, cycle_id, fence, failure, self._clock)
        return False

    async def _read_source(self, job: Job, cycle: Cycle) -> Part | None:
        """The next users of the endpoint; None where there is none, or nothing left to read. Raises TargetError."""
        if source_of(job.template_id) != "endpoint" or cycle.phase in (RETRIES, LEAVERS, AWAITED):
            return None
        async with self._open_source(job) as target:
            if not cycle.completed_pages:
                await probe_source(target)
            read_to = None if cycle.kind == "initial" else _read_to(self._db.reader, job.id)
            # Who has left before the first import is nobody's account; later everybody counts, leavers above all.
            only_active = read_to is None and not _had_links(self._db.reader, cycle)
            condition = window(read_to, cycle.began_at, only_active=only_active)
            return await read_part(target, condition, from_cursor(cycle.cursor))

    # One transaction

    def _commit(
        self, connection: sqlite3.Connection, read: Cycle, fence: int, context: ImportContext, part: Part | None
    ) -> bool:
        cycle = cycles.cycle_by_id(connection, read.id)
        cycles.check_fence(connection, cycle, fence, stands=(read.phase, read.cursor))
        importing = Importing(connection, context, self._clock())
        if cycle.phase == RETRIES:
            phase, cursor = self._retry(connection, cycle, importing)
        elif cycle.phase == LEAVERS:
            phase, cursor = self._disable(connection, cycle, importing)
        elif cycle.phase == AWAITED:
            phase, cursor = self._resolve(connection, cycle, importing)
        elif part is not None:
            importing.take([Arrival(resource["id"], resource, is_whole=True) for resource in part.resources])
            phase, cursor = (RETRIES, "") if part.after is None else (ARRIVALS, to_cursor(part.after))
        else:
            phase, cursor = self._take_uploads(connection, cycle, importing)
        completed = cycle.completed_pages + 1
        total = completed + _pages_left(connection, cycle.job_id, phase, part)
        cycles.advance_cycle(
            connection, cycle, phase=phase or AWAITED, cursor=cursor, completed=completed, total=total,
            counts=importing.counts, now=self._clock(),
        )  # fmt: skip
        if not phase:
            self._finish(connection, cycle)
        return bool(phase)

    def _take_uploads(self, connection: sqlite3.Connection, cycle: Cycle, importing: Importing) -> tuple[str, str]:
        found = uploads.waiting(connection, cycle.job_id, PAGE)
        operations = [operation for upload in found for operation in upload.operations]
        importing.take([Arrival(each.bulk_id, each.data, is_operation=True) for each in operations])
        uploads.forget_uploads(connection, found)
        more, _ = uploads.count_waiting(connection, cycle.job_id)
        return (ARRIVALS, str(found[-1].position)) if more else (RETRIES, "")

    def _retry(self, connection: sqlite3.Connection, cycle: Cycle, importing: Importing) -> tuple[str, str]:
        # What fails in this cycle is for the next one.
        due = to_iso(from_iso(cycle.began_at) - timedelta(microseconds=1))
        found = due_arrivals(connection, cycle.job_id, due, cycle.cursor, PAGE)
        importing.take(found)
        importing.counts["retried"] += len(found)
        if found:
            return RETRIES, found[-1].key
        leavers.weigh(connection, jobs.job_by_id(connection, cycle.job_id), cycle.id, self._clock())
        return LEAVERS, ""

    def _disable(self, connection: sqlite3.Connection, cycle: Cycle, importing: Importing) -> tuple[str, str]:
        found = leavers.page(connection, cycle.job_id, cycle.id, cycle.cursor, PAGE)
        importing.disable(found)
        return (LEAVERS, found[-1].source_id) if found else (AWAITED, "")

    def _resolve(self, connection: sqlite3.Connection, cycle: Cycle, importing: Importing) -> tuple[str, str]:
        found = managers.awaiting_page(connection, cycle.job_id, cycle.cursor, PAGE)
        importing.resolve(found)
        return (AWAITED, found[-1][0]) if found else ("", "")

    def _finish(self, connection: sqlite3.Connection, cycle: Cycle) -> None:
        job = jobs.job_by_id(connection, cycle.job_id)
        if source_of(job.template_id) == "endpoint":
            connection.execute("REPLACE INTO inbound_watermark VALUES (?, ?)", (cycle.job_id, cycle.began_at))
        if cycles.cycle_by_id(connection, cycle.id).is_held:
            cycles.set_counts(connection, cycle.id, {"staged": deletions.count_undecided(connection, job.id)})
        standing.settle(connection, cycles.cycle_by_id(connection, cycle.id), self._clock())


def _pages_left(connection: sqlite3.Connection, job_id: str, phase: str, part: Part | None) -> int:
    """About how many pages the cycle has before it: at least one of each phase."""
    if phase != ARRIVALS:
        return {RETRIES: 3, LEAVERS: 2, AWAITED: 1}.get(phase, 0)
    if part is None:
        return -(-uploads.count_waiting(connection, job_id)[1] // PAGE) + 3
    left = 1
    if part.after is not None and part.after.total is not None and isinstance(part.after.next, int):
        left = -(-(part.after.total - part.after.next + 1) // max(1, len(part.resources)))
    return max(1, left) + 3


def _read_to(connection: sqlite3.Connection, job_id: str) -> str | None:
    row = connection.execute("SELECT read_to FROM inbound_watermark WHERE job_id = ?", (job_id,)).fetchone()
    return row["read_to"] if row is not None else None


def _had_links(connection: sqlite3.Connection, cycle: Cycle) -> bool:
    """Whether somebody was linked before the cycle began: all of its pages have to ask for the same."""
    row = connection.execute(
        "SELECT 1 FROM link WHERE job_id = ? AND linked_at < ? LIMIT 1", (cycle.job_id, cycle.began_at)
    ).fetchone()
    return row is not None
