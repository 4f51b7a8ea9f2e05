"""Looks at a whole application that come round by themselves: when one is due, and what becomes of what it finds.

All state is in `drift_check` and in the plan, so that a process that dies in the middle goes on where it stood.
"""

import sqlite3
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog

from joiner.clock import Clock, from_iso, to_iso
from joiner.errors import JoinerError, NotFoundError
from joiner.provisioning.cycle import standing
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.job.job_settings import DRIFT_HOURS, drift_action, drift_interval
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log.audit import SERVICE_ITSELF
from joiner.provisioning.notifications.notices import Occasion
from joiner.provisioning.planning.overlay import Variation
from joiner.provisioning.planning.service import Planning, has_changes
from joiner.provisioning.plans import applying, comparing
from joiner.provisioning.plans.plans import Plan
from joiner.storage.rows import from_row
from joiner.storage.sqlite import Database

TRIED_AGAIN: Final = timedelta(hours=1)
"""After a look that could not be made."""
WORDS: Final = {
    "create": "To be created",
    "update": "To be updated",
    "disable": "To be disabled",
    "delete": "To be deleted",
}
REPORTED: Final = {"sent": "Put right", "refused": "Refused", "held": "Held back"}
WANTED: Final = f"SELECT id FROM job WHERE CAST(settings ->> '$.{DRIFT_HOURS}' AS INTEGER) > 0"
KNOWN: Final = "SELECT job_id FROM drift_check"
UNSETTLED: Final = f"SELECT * FROM ({WANTED} EXCEPT {KNOWN}) UNION SELECT * FROM ({KNOWN} EXCEPT {WANTED})"
"""Jobs that want looks and have no row, or the other way round."""

log = structlog.get_logger(__name__)


class Check(msgspec.Struct, frozen=True):
    """One row of `drift_check`; times are ISO 8601 UTC text."""

    job_id: str
    next_at: str
    plan: int | None
    last_plan: int | None
    last_at: str | None


class DriftChecks:
    """Begins what is due and goes on with what is under way, a step at a time: `advance` may be called at any time."""

    def __init__(self, db: Database, planning: Planning, clock: Clock) -> None:
        self._db = db
        self._planning = planning
        self._clock = clock

    async def advance(self) -> None:
        """One step for each job that wants looks; never raises for one that cannot be made."""
        if self._db.reader.execute(UNSETTLED).fetchone():
            await self._db.write(lambda connection: _settle_rows(connection, self._clock()))
        for row in self._db.reader.execute("SELECT * FROM drift_check").fetchall():
            check = from_row(row, Check, ())
            job = jobs.job_by_id(self._db.reader, check.job_id)
            try:
                await (self._begin(job, check) if check.plan is None else self._go_on(job, check, check.plan))
            except JoinerError as error:
                log.warning("no look at the application", job=job.id, reason=str(error))
                await self._postpone(job)

    def next_due(self) -> str | None:
        """When the next look is to begin, None without any that could."""
        row = self._db.reader.execute(
            "SELECT min(c.next_at) FROM drift_check c JOIN job ON job.id = c.job_id WHERE c.plan IS NULL"
            " AND job.schedule_state = 'Active' AND job.quarantine IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM cycle WHERE job_id = c.job_id AND state = 'running')"
        ).fetchone()
        found: str | None = row[0]
        return found

    def document(self, job: Job) -> dict[str, Any]:
        """How often the job's application is looked at, when next, and which plan the last look made."""
        interval, check = drift_interval(job.settings), _check_of(self._db.reader, job.id)
        return {
            "everyHours": int(interval.total_seconds() // 3600) if interval else 0,
            "action": drift_action(job.settings),
            "nextDateTime": check.next_at if check else None,
            "plan": check.plan if check else None,
            "lastPlan": check.last_plan if check else None,
            "lastDateTime": check.last_at if check else None,
        }

    async def _begin(self, job: Job, check: Check) -> None:
        now = self._clock()
        is_running = job.schedule_state == "Active" and job.quarantine is None
        if not is_running or from_iso(check.next_at) > now or self._is_busy(job):
            return
        plan = await self._planning.make(job, Variation(is_drift=True), SERVICE_ITSELF)
        # Start to start.
        following = to_iso(now + (drift_interval(job.settings) or TRIED_AGAIN))
        await self._db.write(lambda connection: _note(connection, job.id, plan.number, following))

    async def _go_on(self, job: Job, check: Check, number: int) -> None:
        try:
            plan = self._planning.plan(job.id, number)
        except NotFoundError:
            await self._db.write(lambda connection: _note(connection, job.id, None, check.next_at))
            return
        if plan.state == "computing" and not self._planning.is_computing(job.id):
            # The process that computed it is gone.
            await self._db.write(lambda connection: _note(connection, job.id, None, to_iso(self._clock())))
        elif plan.state == "failed":
            log.warning("no look at the application", job=job.id, plan=number, reason=plan.error)
            await self._postpone(job)
        elif plan.state == "ready":
            await self._judge(job, check, plan)
        elif plan.state == "applied":
            report = applying.report(self._db.reader, plan)["states"]
            told = {label: str(report[state]) for state, label in REPORTED.items() if report.get(state)}
            await self._end(job, plan, "drift repaired", told)

    async def _judge(self, job: Job, check: Check, plan: Plan) -> None:
        assert plan.summary is not None
        if not has_changes(plan.summary):
            await self._end(job, plan, None, {})
        elif drift_action(job.settings) == "report":
            counts = plan.summary["counts"].values()
            numbers = {action: sum(each.get(action, 0) for each in counts) for action in WORDS}
            told = {label: str(numbers[action]) for action, label in WORDS.items() if numbers[action]}
            await self._end(job, plan, "drift found" if self._is_news(plan, check.last_plan) else None, told)
        elif job.schedule_state == "Active" and not self._is_busy(job):
            await self._planning.apply(job, plan.number, None, SERVICE_ITSELF, allow_deletes=False)

    def _is_news(self, plan: Plan, last: int | None) -> bool:
        """Whether the last look did not say the same: nobody wants to read it every day."""
        try:
            if last is None or self._planning.plan(plan.job_id, last).state != "ready":
                return True
        except NotFoundError:
            return True
        compared = comparing.compare(self._db.reader, plan.job_id, plan.number, last)
        return bool(compared["new"]["count"] or compared["different"]["count"])

    def _is_busy(self, job: Job) -> bool:
        return self._planning.is_computing(job.id) or cycles.running_cycle(self._db.reader, job.id) is not None

    async def _end(self, job: Job, plan: Plan, occasion: Occasion | None, told: dict[str, str]) -> None:
        now = self._clock()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE drift_check SET plan = NULL, last_plan = ?, last_at = ? WHERE job_id = ?",
                (plan.number, to_iso(now), job.id),
            )
            if occasion is not None:
                standing.tell(connection, job, occasion, None, now, {"Plan": str(plan.number), **told})

        await self._db.write(work)

    async def _postpone(self, job: Job) -> None:
        following = to_iso(self._clock() + TRIED_AGAIN)
        await self._db.write(lambda connection: _note(connection, job.id, None, following))


def _settle_rows(connection: sqlite3.Connection, now: datetime) -> None:
    """A row for each job that wants looks, the first one at once, and none for others."""
    connection.execute(f"DELETE FROM drift_check WHERE job_id NOT IN ({WANTED})")
    missing = f"INSERT OR IGNORE INTO drift_check (job_id, next_at) SELECT id, ? FROM ({WANTED})"
    connection.execute(missing, (to_iso(now),))


def _note(connection: sqlite3.Connection, job_id: str, plan: int | None, next_at: str) -> None:
    connection.execute("UPDATE drift_check SET plan = ?, next_at = ? WHERE job_id = ?", (plan, next_at, job_id))


def _check_of(reader: sqlite3.Connection, job_id: str) -> Check | None:
    row = reader.execute("SELECT * FROM drift_check WHERE job_id = ?", (job_id,)).fetchone()
    return from_row(row, Check, ()) if row else None
