"""Computes a plan: a whole cycle, by the cycle's own code, on a copy of the job's state, against a target that is only
asked. So the plan is what the cycle would do, and nothing of it happens."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
import orjson

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidStateError, JoinerError
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.client.profile import profile_document
from joiner.provisioning.cycle.prepare import PlanCache
from joiner.provisioning.cycle.run import OBJECTS_PER_PAGE, DescribeLog, JobContext, OpenReads, Run
from joiner.provisioning.cycle.runner import CycleRunner
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log.journal import LogContext
from joiner.provisioning.planning import drift
from joiner.provisioning.planning.keeping import Keeping
from joiner.provisioning.planning.overlay import Variation, overlay
from joiner.provisioning.planning.planned_target import PlannedTarget
from joiner.provisioning.planning.planned_writes import PlannedWrites
from joiner.provisioning.planning.recorder import Recorder
from joiner.provisioning.planning.survey import Survey, Surveyed, SurveyedReads
from joiner.provisioning.plans import plans
from joiner.provisioning.ports import Target
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database

PAGES_BETWEEN_NOTES: Final = 10

PrepareWith = Callable[[Job, PlanCache], JobContext]


class Planner:
    """Makes the plans of the jobs in `db`. `migrations`: the engine's; `key`: for the fingerprints, secret."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        migrations: Path,
        prepare: PrepareWith,
        open_reads: OpenReads,
        describe_log: DescribeLog,
        clock: Clock,
        key: bytes,
    ) -> None:
        self._db = db
        self._directory = directory
        self._migrations = migrations
        self._prepare = prepare
        self._open_reads = open_reads
        self._describe_log = describe_log
        self._clock = clock
        self._key = key

    async def compute(self, job_id: str, number: int, variation: Variation) -> None:
        """Computes the plan of this number; what stands in its way is the plan's error."""
        try:
            async with overlay(self._db, self._migrations, job_id, variation) as (copy, folder):
                with closing(PlannedWrites(folder)) as writes:
                    summary = await self._run(copy, writes, job_id, number, variation)
        except JoinerError as error:
            await self._end(job_id, number, None, str(error))
        except Exception as error:
            await self._end(job_id, number, None, f"{type(error).__name__}: {error}")
            raise
        else:
            await self._end(job_id, number, summary, None)

    async def _run(
        self, copy: Database, writes: PlannedWrites, job_id: str, number: int, variation: Variation
    ) -> dict[str, object]:
        job = jobs.job_by_id(copy.reader, job_id)
        context = self._prepare(job, PlanCache())
        if variation.sync_all is not None:
            context = replace(context, settings=replace(context.settings, sync_all=variation.sync_all))
        recorder = Recorder(copy.reader, context, job.service_principal_id, writes, self._key)

        @asynccontextmanager
        async def open_planned(context: JobContext) -> AsyncIterator[Target]:
            async with self._open_reads(context) as reads:
                yield PlannedTarget(SurveyedReads(reads, copy) if variation.is_drift else reads, writes)

        runner = CycleRunner(
            copy,
            self._directory,
            lambda _job: context,
            open_planned,
            self._describe_scratch_log,
            self._clock,
            Turns(),
            lambda _job, _cycle, _context: recorder,
        )
        surveyed: Surveyed | None = None
        if variation.is_drift:
            cycle = await copy.write(lambda c: drift.begin(c, job, number, self._clock()))
            surveyed = await self._survey(copy, writes, job, cycle, context)
        else:
            position = self._directory.feed_position()
            cycle = await copy.write(lambda c: cycles.begin_cycle(c, job_id, position, self._clock()))
        fence = await runner.take(cycle.id)
        while await runner.run_pages(cycle.id, fence, _for_some_pages()):
            await self._note(job_id, number, cycles.cycle_by_id(copy.reader, cycle.id))
        ended = cycles.cycle_by_id(copy.reader, cycle.id)
        if ended.state == "failed":
            raise InvalidStateError((ended.error or {}).get("message") or "the cycle would fail")
        if surveyed is not None:
            await copy.write(drift.note_missing)
        keeping = Keeping(copy, self._db, job_id, number)
        await keeping.keep(cycle.id)
        summary = keeping.summary(recorder.skipped, ended.counts.get("imported", 0))
        if surveyed is not None:
            accounts = await drift.keep_accounts(copy, self._db, job_id, number)
            summary["drift"] = {**surveyed.document(copy.reader), "accounts": accounts}
        return summary

    async def _survey(
        self, copy: Database, writes: PlannedWrites, job: Job, cycle: Cycle, context: JobContext
    ) -> Surveyed:
        async with self._open_reads(context) as reads:
            run = Run(
                db=copy,
                directory=self._directory,
                job=job,
                cycle=msgspec.structs.replace(cycle, plan=None),
                fence=None,
                context=context,
                target=PlannedTarget(reads, writes),
                log=self._describe_log(job, cycle),
                clock=self._clock,
            )
            survey = Survey(run, copy)
            try:
                await survey.make()
            except TargetError as error:
                raise InvalidStateError(error.reason) from None
        await copy.write(lambda c: drift.choose(c, job.id, cycle.plan or 0))
        return survey.result

    def _describe_scratch_log(self, job: Job, cycle: Cycle) -> LogContext:
        """Of the copy's log only the failures are read."""
        return replace(self._describe_log(job, cycle), only_failures=True)

    async def _note(self, job_id: str, number: int, cycle: Cycle) -> None:
        expected = cycle.total_pages * OBJECTS_PER_PAGE
        read = cycle.completed_pages * OBJECTS_PER_PAGE
        await self._db.write(lambda c: plans.note_progress(c, job_id, number, read, expected))

    async def _end(self, job_id: str, number: int, summary: dict[str, object] | None, error: str | None) -> None:
        await self._db.write(lambda c: plans.end_plan(c, job_id, number, self._clock(), summary, error))


def _for_some_pages() -> Callable[[], bool]:
    """True until so many pages have begun as lie between two notes of the progress."""
    pages = iter(range(PAGES_BETWEEN_NOTES - 1))
    return lambda: next(pages, None) is not None


def context_hash(job: Job, context: JobContext) -> str:
    """What is true of a job as a whole and decides what a cycle does: mappings, settings, address, dialect."""
    address, profile = context.connection.base_url, profile_document(context.profile)
    values = [job.schema, msgspec.to_builtins(context.settings), context.dialect.value, address, profile]
    return blake2b(orjson.dumps(values, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
