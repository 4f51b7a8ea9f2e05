"""What an administrator does with plans: make, look, compare, delete, carry out. Nothing here knows HTTP."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from joiner.clock import Clock
from joiner.errors import InvalidStateError, InvalidValueError
from joiner.provisioning.cycle.prepare import PlanCache
from joiner.provisioning.job import jobs
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log.audit import Actor
from joiner.provisioning.planning.overlay import Variation
from joiner.provisioning.planning.planner import Planner, PrepareWith, context_hash
from joiner.provisioning.plans import applying, comparing, corrections, plans
from joiner.provisioning.plans.plans import Plan, PlanItem, PlanKind
from joiner.storage.sqlite import Database

log = structlog.get_logger(__name__)
WAIT_FOR_PLANS: Final = 5.0
"""Seconds that a stop gives plans that are being computed."""


class Planning:
    """The operations on the plans of this installation."""

    def __init__(
        self,
        db: Database,
        planner: Planner,
        prepare: PrepareWith,
        clock: Clock,
        run_cycle: Callable[[str], Awaitable[None]],
        wake: Callable[[], None],
    ) -> None:
        self._db = db
        self._planner = planner
        self._prepare = prepare
        self._clock = clock
        self._run_cycle = run_cycle
        self._wake = wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Job → the plan of it that is being computed."""

    async def make(self, job: Job, variation: Variation, by: Actor) -> Plan:
        """Begins to compute a plan and returns it as it stands. Raises InvalidStateError if the job cannot run, or has
        a cycle or a plan under way."""
        context = self._prepare(job, PlanCache())
        is_initial = variation.is_initial or variation.is_hypothetical or job.watermark is None
        if variation.is_initial is False and job.watermark is None:
            raise InvalidStateError("the job has run no cycle yet that an incremental one could follow")
        kind: PlanKind = "drift" if variation.is_drift else "initial" if is_initial else "incremental"

        def work(connection: sqlite3.Connection) -> int:
            if job.id not in self._tasks:
                plans.fail_unfinished(connection, self._clock(), job.id)
            return plans.add_plan(
                connection,
                job.id,
                kind,
                context_hash(job, context),
                self._clock(),
                by,
                schema_version=job.schema_version,
                schema_file=variation.is_hypothetical,
            )

        number = await self._db.write(work)
        task = asyncio.create_task(self._compute(job.id, number, variation), name=f"plan {number} of {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._computed(job.id))
        return self.plan(job.id, number)

    def _computed(self, job_id: str) -> None:
        del self._tasks[job_id]
        self._wake()

    def is_computing(self, job_id: str) -> bool:
        """Whether this process computes a plan of the job."""
        return job_id in self._tasks

    async def wait(self) -> None:
        """Returns when no plan is being computed any more."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def stop(self) -> None:
        """Breaks off what is being computed; it fails."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=WAIT_FOR_PLANS)

    def plan(self, job_id: str, number: int) -> Plan:
        """Raises NotFoundError."""
        return plans.plan_by_number(self._db.reader, job_id, number)

    def plans(self, job_id: str) -> list[Plan]:
        """The job's plans, newest first."""
        return plans.plans_of(self._db.reader, job_id)

    async def delete(self, job_id: str, number: int) -> None:
        """Raises NotFoundError, InvalidStateError while the plan is computed or carried out."""
        await self._db.write(lambda connection: plans.delete_plan(connection, job_id, number))

    def items(self, job_id: str, number: int, after: int, limit: int, action: str | None) -> list[dict[str, Any]]:
        """Documents of items in the plan's order, position > `after`."""
        if action is not None and action not in plans.ACTIONS:
            raise InvalidValueError(f"'{action}' is not an action of a plan; use {', '.join(plans.ACTIONS)}")
        self.plan(job_id, number)
        reader = self._db.reader
        found = plans.items_page(reader, job_id, number, after, limit, action)
        return [item_document(reader, job_id, number, item) for item in found]

    def compare(self, job_id: str, number: int, older: int) -> dict[str, Any]:
        """What of plan `number` is new, gone or different, seen from plan `older`. Raises NotFoundError."""
        for each in (number, older):
            if self.plan(job_id, each).state in ("computing", "failed"):
                raise InvalidStateError(f"plan {each} has nothing to compare")
        return comparing.compare(self._db.reader, job_id, number, older)

    async def apply(
        self, job: Job, number: int, items: Sequence[str] | None, by: Actor, *, allow_deletes: bool
    ) -> Cycle:
        """Begins to carry out the plan, or the items with these names or ids; returns the cycle that does it.

        Raises InvalidStateError if the plan has been carried out, was made with mappings that are not the job's, or a
        cycle is running; NotFoundError for an item that the plan does not have.
        """
        now = self._clock()

        def work(connection: sqlite3.Connection) -> Cycle:
            current = jobs.job_by_id(connection, job.id)
            return applying.begin(connection, current, number, items, by, now, allow_deletes=allow_deletes)

        cycle = await self._db.write(work)
        await self._run_cycle(cycle.id)
        return cycle

    def report(self, job_id: str, number: int) -> dict[str, Any]:
        """What became of the plan's items: number by state, and those that were refused with the reasons."""
        return applying.report(self._db.reader, self.plan(job_id, number))

    def accounts(self, job_id: str, number: int, after: tuple[str, str], limit: int) -> list[dict[str, Any]]:
        """Documents of the accounts that a look at the application found and that nobody manages."""
        self.plan(job_id, number)
        return plans.accounts_page(self._db.reader, job_id, number, after, limit)

    async def adopt(self, job: Job, number: int, by: Actor) -> dict[str, int]:
        """Takes what the application has as it is: accounts of entitled people that are linked to nobody are linked,
        links to accounts that are gone are forgotten. Nothing is sent. Returns the numbers of both.

        Raises NotFoundError, InvalidStateError if the plan is no look at the application, or a cycle is running.
        """
        return await self._db.write(lambda connection: corrections.adopt(connection, job, number, by, self._clock()))

    async def _compute(self, job_id: str, number: int, variation: Variation) -> None:
        try:
            await self._planner.compute(job_id, number, variation)
        except Exception:
            log.exception("plan failed", job=job_id, plan=number)


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as the API shows it."""
    return {
        "number": plan.number,
        "jobId": plan.job_id,
        "state": plan.state,
        "kind": plan.kind,
        "madeDateTime": plan.made_at,
        "madeBy": plan.made_by,
        "endedDateTime": plan.ended_at,
        "schemaVersion": None if plan.schema_file else plan.schema_version,
        "progress": {"read": plan.read, "expected": plan.expected},
        "summary": plan.summary,
        "hasChanges": plan.summary is not None and has_changes(plan.summary),
        "error": plan.error,
        "appliedDateTime": plan.applied_at,
        "appliedBy": plan.applied_by,
        "cycleId": plan.cycle_id,
    }


def has_changes(summary: Mapping[str, Any]) -> bool:
    """Whether carrying out the plan would write to the application, or forget accounts that are gone."""
    is_missing = any(summary.get("drift", {}).get("missing", {}).values())
    return is_missing or any(counts.get(action) for counts in summary["counts"].values() for action in plans.CHANGES)


def item_document(reader: sqlite3.Connection, job_id: str, number: int, item: PlanItem) -> dict[str, Any]:
    """The item with its requests; of very many members and requests, the first."""
    key = (reader, job_id, number, item.source_id)
    references = plans.references_of(*key, plans.REFERENCES_SHOWN) if item.reference_counts else []
    return {
        "position": item.position,
        "objectType": item.object_type,
        "objectId": item.source_id,
        "name": item.name,
        "action": item.action,
        "isHeld": item.is_held,
        "targetId": item.target_id or None,
        "changes": [
            {"displayName": attribute, "oldValue": old, "newValue": new} for attribute, old, new in item.changes
        ],
        "references": [
            {"attribute": row["attribute"], "name": row["name"], "action": row["verb"]} for row in references
        ],
        "referenceCounts": item.reference_counts,
        "causes": [{"kind": kind, "text": text} for kind, text in item.causes],
        "problem": item.problem,
        "missing": item.missing_id,
        "requests": plans.requests_of(*key, plans.REQUESTS_SHOWN),
        "state": item.state,
        "reason": item.reason,
    }
