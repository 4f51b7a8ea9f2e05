"""A cycle, page by page: users, groups, references, removals; each page's results and the cursor in one transaction.

`run_page` is all there is to a cycle: calling it until it returns False runs the cycle, whatever happened in between.
A page that was cut off runs again from the stored cursor; a worker whose fencing number is old cannot commit.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.errors import JoinerError
from joiner.provisioning import (
    census,
    cycles,
    deletions,
    journal_rows,
    objects,
    pending_references,
    references,
    standing,
)
from joiner.provisioning.census_reading import census_page
from joiner.provisioning.connection_check import checks_of, probe
from joiner.provisioning.cycle_runs import give_up, job_to_run
from joiner.provisioning.cycles import PHASES, Cycle
from joiner.provisioning.decision import ObjectType
from joiner.provisioning.jobs import Job
from joiner.provisioning.journal import LogContext
from joiner.provisioning.planning import applying
from joiner.provisioning.ports import Gate, Target
from joiner.provisioning.run import (
    ENDPOINTS,
    OBJECTS_PER_PAGE,
    REFERENCES_PER_PAGE,
    BeginPage,
    Claims,
    JobContext,
    Page,
    PageResult,
    Run,
)
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database

PAGES: Final[Mapping[str, BeginPage]] = {
    "census": census_page,
    "users": objects.users_page,
    "groups": objects.groups_page,
    "references": references.references_page,
    "removals": objects.removals_page,
}

SUCCESSORS: Final[Mapping[str, str]] = {"census": "users", "users": "groups"}
"""Phases that a page goes on with when there is nothing to look at in the one before; others are entered first."""

Prepare = Callable[[Job], JobContext]
"""Gives the compiled plan, settings and credentials of a job. Raises JoinerError if the job cannot run."""
OpenTarget = Callable[[JobContext], AbstractAsyncContextManager[Target]]
DescribeLog = Callable[[Job, Cycle], LogContext]
OpenGate = Callable[[Job, Cycle, JobContext], Gate | None]


def no_gate(_job: Job, _cycle: Cycle, _context: JobContext) -> None:
    """Nobody looks at the decisions of the cycle."""


class CycleRunner:
    """Runs the pages of cycles. Holds nothing of a cycle: all state is in the database."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        prepare: Prepare,
        open_target: OpenTarget,
        describe_log: DescribeLog,
        clock: Clock,
        turns: Turns,
        open_gate: OpenGate = no_gate,
    ) -> None:
        self._db = db
        self._directory = directory
        self._prepare = prepare
        self._open_target = open_target
        self._describe_log = describe_log
        self._clock = clock
        self._turns = turns
        self._open_gate = open_gate

    async def take(self, cycle_id: str) -> int:
        """Takes the cycle's job over and returns the fencing number to give to `run_page`."""
        cycle = cycles.cycle_by_id(self._db.reader, cycle_id)
        return await self._db.write(lambda connection: cycles.take_fence(connection, cycle.job_id))

    async def run_page(self, cycle_id: str, fence: int) -> bool:
        """Runs the next page; False when the cycle has ended.

        Raises InvalidStateError if another worker has taken the job over, NotFoundError if the job was deleted.
        """
        return await self.run_pages(cycle_id, fence, lambda: False)

    async def run_pages(self, cycle_id: str, fence: int, goes_on: Callable[[], bool]) -> bool:
        """Runs the next page, and further ones while `goes_on` says so; False when the cycle has ended.

        Each page is begun while the one before it is sent, and sent while that one is committed. Raises as `run_page`.
        """
        job_id = cycles.cycle_by_id(self._db.reader, cycle_id).job_id
        async with self._turns.of(job_id):
            # Who wants something of the job meanwhile waits for the page at hand, not for all of them.
            return await self._run_pages(cycle_id, fence, lambda: goes_on() and not self._turns.is_wanted(job_id))

    async def _run_pages(self, cycle_id: str, fence: int, goes_on: Callable[[], bool]) -> bool:
        cycle = cycles.cycle_by_id(self._db.reader, cycle_id)
        job = await job_to_run(self._db, cycle, fence, self._clock)
        if job is None:
            return False
        try:
            context = self._prepare(job)
            async with self._open_target(context) as target:
                if not cycle.completed_pages:
                    # Wrong credentials or a wrong address are found before anything else happens.
                    for check in checks_of(context.plan):
                        await probe(target, check)
                run = Run(
                    db=self._db,
                    directory=self._directory,
                    job=job,
                    cycle=cycle,
                    fence=fence,
                    context=context,
                    target=target,
                    log=self._describe_log(job, cycle),
                    clock=self._clock,
                    gate=self._open_gate(job, cycle, context),
                )
                return await self._run_phase(run, fence, goes_on)
        except JoinerError as error:
            failure = error
        await give_up(self._db, cycle_id, fence, failure, self._clock)
        return False

    async def _run_phase(self, run: Run, fence: int, goes_on: Callable[[], bool]) -> bool:
        """The pages of one phase, or of the first one that has any."""
        phase, cursor = run.cycle.phase, run.cycle.cursor
        page = await PAGES[phase](run, cursor, ())
        while page.is_empty and phase in SUCCESSORS:
            phase = SUCCESSORS[phase]
            page = await PAGES[phase](run, "", ())
        place = run.cycle.phase, cursor
        claims: list[Claims] = []
        ahead: asyncio.Task[Page] | None = None
        committing: asyncio.Future[bool] | None = None
        try:
            while True:
                claims = [*claims[-1:], page.claims]
                if page.cursor is not None and not page.is_last and goes_on() and not self._is_interrupted(run.job):
                    ahead = asyncio.create_task(PAGES[phase](run, page.cursor, tuple(claims)))
                result = await page.finish()
                if committing is not None:
                    await committing
                commit = partial(self._commit_page, run=run, place=place, phase=phase, result=result, fence=fence)
                committing = asyncio.wrap_future(self._db.submit(commit))
                if ahead is None:
                    return await committing
                if result.failure is not None or result.is_elsewhere:
                    # Nothing can be sent any more, or the phase goes on elsewhere than the page ahead begins.
                    await self._abandon(ahead)
                    return await committing
                page, ahead = await ahead, None
                place = phase, result.cursor
        except asyncio.CancelledError:
            if ahead is not None:
                ahead.cancel()
            raise
        except Exception:
            if ahead is not None:
                await self._abandon(ahead)
            if committing is not None:
                await asyncio.gather(committing, return_exceptions=True)
            raise

    def _is_interrupted(self, job: Job) -> bool:
        """An administrator wants something else than this cycle, or the job is gone."""
        row = self._db.reader.execute("SELECT restart_requested FROM job WHERE id = ?", (job.id,)).fetchone()
        return row is None or bool(row[0])

    async def _abandon(self, ahead: "asyncio.Task[Page]") -> None:
        """Undoes the page that was begun and will not be sent."""
        with contextlib.suppress(Exception):
            page = await ahead
            await self._db.write(page.abandon)

    async def drop_some(self, cycle_id: str) -> int:
        """Drops a part of what the cycle, which has ended, has read of the target's lists; 0 if nothing was left."""
        return await self._db.write(lambda connection: census.drop_some(connection, cycle_id))

    async def fail(self, cycle_id: str, fence: int, reason: str) -> None:
        """Ends the cycle as failed without a watermark; the job stays as it is and runs again at its time."""

        def work(connection: sqlite3.Connection) -> None:
            cycle = cycles.cycle_by_id(connection, cycle_id)
            cycles.check_fence(connection, cycle, fence)
            error = {"code": "InternalError", "message": reason, "tenantActionable": False}
            cycles.end_cycle(connection, cycle, "failed", self._clock(), error)
            applying.abandon(connection, cycle)

        await self._db.write(work)

    def _commit_page(
        self,
        connection: sqlite3.Connection,
        *,
        run: Run,
        place: tuple[str, str],
        phase: str,
        result: PageResult,
        fence: int,
    ) -> bool:
        """Writes what followed from the page that was begun at `place`, phase and cursor."""
        cycle = cycles.cycle_by_id(connection, run.cycle.id)
        cycles.check_fence(connection, cycle, fence, stands=place)
        result.commit(connection)
        if result.failure is not None:
            cycles.add_counts(connection, cycle, result.counts)
            standing.fail(connection, cycles.cycle_by_id(connection, cycle.id), result.failure, self._clock())
            applying.abandon(connection, cycle)
            return False
        completed, total = cycle.completed_pages + 1, cycle.total_pages + result.more_pages
        if not cycle.total_pages:
            total += self._expected_pages(connection, run)
        cursor, pages = result.cursor, 0 if result.is_last else 1
        while not pages:
            position = PHASES.index(phase) + 1
            if position == len(PHASES):
                total = max(total, completed)
                cycles.advance_cycle(
                    connection, cycle, phase=phase, cursor=cursor, completed=total, total=total,
                    counts=result.counts, now=self._clock(),
                )  # fmt: skip
                self._finish(connection, run)
                return False
            phase, cursor = PHASES[position], ""
            pages = _enter(connection, run, phase)
            total += max(0, pages - 1)
        cycles.advance_cycle(
            connection,
            cycle,
            phase=phase,
            cursor=cursor,
            completed=completed,
            total=max(total, completed + 1),
            counts=result.counts,
            now=self._clock(),
        )
        return True

    def _expected_pages(self, connection: sqlite3.Connection, run: Run) -> int:
        """Pages of users and groups, at least one each of references and removals, and two of the census."""
        if run.cycle.plan is not None:
            return applying.count_pages(connection, run.cycle, OBJECTS_PER_PAGE) + 2
        users, groups = _numbers_of_objects(run)
        census = 2 if run.is_initial else 0
        return census + max(1, _pages(users, OBJECTS_PER_PAGE)) + max(1, _pages(groups, OBJECTS_PER_PAGE)) + 2

    def _finish(self, connection: sqlite3.Connection, run: Run) -> None:
        counts = journal_rows.outcomes(connection, run.cycle.id)
        if cycles.cycle_by_id(connection, run.cycle.id).is_held:
            counts["staged"] = deletions.count_undecided(connection, run.job.id)
        cycles.set_counts(connection, run.cycle.id, counts)
        cycle = cycles.cycle_by_id(connection, run.cycle.id)
        if cycle.plan is not None:
            applying.finish(connection, cycle, self._clock())
        else:
            standing.settle(connection, cycle, self._clock())


def _numbers_of_objects(run: Run) -> tuple[int, int]:
    if run.is_initial:
        return run.directory.count_users(), run.directory.count_groups()
    resource_id = run.job.service_principal_id
    return (
        run.directory.count_changed_users(run.window, resource_id),
        run.directory.count_changed_groups(run.window, resource_id),
    )


def _enter(connection: sqlite3.Connection, run: Run, phase: str) -> int:
    """What a phase needs at its beginning; returns the number of its pages, 1 if that is not known before."""
    if phase == "references" and run.cycle.plan is not None:
        applying.note_references(connection, run.cycle)
        if applying.is_planned_only(connection, run.cycle):
            deletions.weigh(connection, run)
        return _pages(pending_references.count_pending(connection, run.job.id), REFERENCES_PER_PAGE)
    if phase == "references":
        pending_references.note_changed_memberships(connection, run)
        if run.is_initial:
            deletes: dict[str, bool] = {name: _deletes(run, name) for name in ENDPOINTS}
            connection.execute(SWEEP, {"cycle": run.cycle.id, "job": run.job.id, **deletes})
        # Members leave groups in this phase: the last moment at which everything can still be held back.
        deletions.weigh(connection, run)
        return _pages(pending_references.count_pending(connection, run.job.id), REFERENCES_PER_PAGE)
    if phase == "removals":
        number = connection.execute("SELECT count(*) FROM removal WHERE cycle_id = ?", (run.cycle.id,)).fetchone()[0]
        return _pages(number, OBJECTS_PER_PAGE)
    return 1


def _deletes(run: Run, object_type: ObjectType) -> bool:
    plan = run.plan_of(object_type)
    return plan is not None and plan.deletes


SWEEP: Final = """
INSERT OR IGNORE INTO removal
SELECT :cycle, object_type, source_id,
       iif(is_managed AND iif(object_type = 'User', :User, :Group), 'delete', '')
FROM (SELECT job_id, object_type, source_id, is_managed FROM link
  UNION ALL SELECT job_id, object_type, source_id, 1 FROM intent) known
WHERE job_id = :job AND NOT EXISTS (
  SELECT 1 FROM user WHERE user.id = known.source_id UNION ALL SELECT 1 FROM grp WHERE grp.id = known.source_id)
"""
"""Objects that are linked, or may have been created, and that the directory no longer has count as permanently deleted
(REQ-P-062). What may have been created counts as a deletion, as if it had been."""


def _pages(number: int, size: int) -> int:
    return -(-number // size)
