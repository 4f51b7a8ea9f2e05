"""A cycle, page by page: users, groups, references, removals; each page's results and the cursor in one transaction.

`run_page` is all there is to a cycle: calling it until it returns False runs the cycle, whatever happened in between.
A page that was cut off runs again from the stored cursor; a worker whose fencing number is old cannot commit.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from functools import partial

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.errors import JoinerError
from joiner.provisioning.cycle import census, deletions, phases, standing
from joiner.provisioning.cycle.connection_check import checks_of, probe
from joiner.provisioning.cycle.cycle_runs import give_up, job_to_run
from joiner.provisioning.cycle.run import Claims, DescribeLog, JobContext, OpenTarget, Page, PageResult, Prepare, Run
from joiner.provisioning.job import cycles
from joiner.provisioning.job.cycles import PHASES, Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log import journal_rows
from joiner.provisioning.plans import applying
from joiner.provisioning.ports import Gate
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database

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
        phase, page = await phases.first_page(run)
        place = run.cycle.phase, run.cycle.cursor
        claims: list[Claims] = []
        ahead: asyncio.Task[Page] | None = None
        committing: asyncio.Future[bool] | None = None
        try:
            while True:
                claims = [*claims[-1:], page.claims]
                if page.cursor is not None and not page.is_last and goes_on() and not self._is_interrupted(run.job):
                    ahead = asyncio.create_task(phases.PAGES[phase](run, page.cursor, tuple(claims)))
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
        # What goes wrong with it now goes wrong again, and is told, when it is begun anew.
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
            total += phases.expected_pages(connection, run)
        following = phases.following(connection, run, phase, result)
        is_over = following is None
        next_phase, cursor, more = following or (PHASES[-1], "", 0)
        total = max(total + more, completed if is_over else completed + 1)
        cycles.advance_cycle(
            connection,
            cycle,
            phase=next_phase,
            cursor=cursor,
            completed=total if is_over else completed,
            total=total,
            counts=result.counts,
            now=self._clock(),
        )
        if is_over:
            self._finish(connection, run)
        return not is_over

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
