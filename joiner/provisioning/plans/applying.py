"""Carrying out a plan: a cycle that looks at the plan's objects only, and lets nothing through that is not as it was.

The cycle is an ordinary one, so that a process that dies in the middle goes on with it; it stores no watermark.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from joiner.clock import to_iso
from joiner.errors import InvalidStateError, NotFoundError
from joiner.provisioning.decisions.decision import Status
from joiner.provisioning.job import cycles, staged_removals
from joiner.provisioning.job.cycles import Cycle, CycleKind
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import Actor
from joiner.provisioning.plans import corrections, plans
from joiner.provisioning.plans.fingerprint import fingerprint_of, what_changed
from joiner.provisioning.plans.plans import Plan
from joiner.provisioning.ports import Considered, DecidedReference
from joiner.storage.rows import to_json

REFUSED_SHOWN: Final = 1000
APPLICABLE: Final = "action <> 'failure' AND state = 'planned'"
MAPPINGS_CHANGED: Final = "the job's mappings, filters, settings or address have changed since the plan was made"


def begin(
    connection: sqlite3.Connection,
    job: Job,
    number: int,
    items: Sequence[str] | None,
    by: Actor,
    now: datetime,
    *,
    allow_deletes: bool,
) -> Cycle:
    """Chooses the items and makes the cycle that carries them out; the one under way, if that was cut off and the same
    is asked for again."""
    plan = plans.plan_by_number(connection, job.id, number)
    if plan.state == "applying" and plan.cycle_id is not None and items is None:
        if plan.allows_deletes != allow_deletes:
            raise InvalidStateError(f"plan {number} is being carried out; wait for the end")
        return cycles.cycle_by_id(connection, plan.cycle_id)
    if plan.schema_file:
        raise InvalidStateError(
            f"plan {number} was made with a schema or a scope that is not the job's; save that first"
        )
    if plan.state in ("computing", "failed"):
        raise InvalidStateError(f"plan {number} is not ready{f': {plan.error}' if plan.error else ' yet'}")
    if cycles.running_cycle(connection, job.id) is not None:
        raise InvalidStateError("a cycle of the job is running; apply the plan when it has ended")
    chosen = _choose(connection, plan, items, allow_deletes=allow_deletes)
    allowed = connection.execute(ALLOW, {"job": job.id, "number": number, "all": allow_deletes}).rowcount
    if allow_deletes and allowed:
        staged_removals.pass_over(connection, job.id)
    if plan.kind == "drift":
        corrections.correct(connection, job.id, number)
    kind: CycleKind = "initial" if plan.kind == "drift" else plan.kind
    cycle = cycles.begin_apply(connection, job, kind, number, now)
    connection.execute(
        "UPDATE plan SET state = 'applying', applied_at = ?, applied_by = ?, cycle_id = ?, allows_deletes = ?"
        " WHERE job_id = ? AND number = ?",
        (to_iso(now), to_json(plans.person_of(by)), cycle.id, allow_deletes, job.id, number),
    )
    what = "repair of drift" if plan.kind == "drift" else f"{plan.kind} plan"
    audit.note(
        connection, "Other", now, by, job.service_principal_id, job_id=job.id,
        reason=f"plan {number} ({what}) is carried out: {chosen} objects chosen",
        details={
            "CycleId": cycle.id, "Items": ", ".join(items or ()), "AllowDeletes": "true" if allow_deletes else "",
        },
    )  # fmt: skip
    return cycle


ALLOW: Final = """
UPDATE staged_removal SET is_allowed = 1 WHERE job_id = :job AND source_id IN (
  SELECT source_id FROM plan_item WHERE job_id = :job AND number = :number AND state = 'chosen')
AND (:all OR related_id = '' OR EXISTS (
  SELECT 1 FROM plan_reference r WHERE r.job_id = :job AND r.number = :number AND r.source_id = staged_removal.source_id
  AND r.related_id = staged_removal.related_id AND r.verb = 'remove'))
"""
"""What earlier cycles held back of the chosen objects is allowed: what the plan does not hold back, or all of it."""


def _choose(connection: sqlite3.Connection, plan: Plan, items: Sequence[str] | None, *, allow_deletes: bool) -> int:
    """The number of items that are chosen."""
    key = (plan.job_id, plan.number)
    held = "" if allow_deletes else " AND NOT is_held"
    choose = f"UPDATE plan_item SET state = 'chosen' WHERE job_id = ?1 AND number = ?2 AND {APPLICABLE}{held}"
    if items is None:
        number = connection.execute(choose, key).rowcount
    else:
        number = 0
        for item in dict.fromkeys(items):
            named = " AND (source_id = ?3 OR name = ?3 COLLATE NOCASE)"
            found = connection.execute(
                f"SELECT 1 FROM plan_item WHERE job_id = ?1 AND number = ?2 {named}", (*key, item)
            ).fetchone()
            if found is None:
                raise NotFoundError(f"plan {plan.number} has no item '{item}'")
            number += connection.execute(choose + named, (*key, item)).rowcount
    if not number and plan.state == "applied":
        raise InvalidStateError(f"plan {plan.number} was applied at {plan.applied_at}; make a new one")
    return number


def count_pages(connection: sqlite3.Connection, cycle: Cycle, size: int) -> int:
    """Pages of chosen users and groups, at least one of each."""
    rows = connection.execute(
        "SELECT object_type, count(*) FROM plan_item WHERE job_id = ? AND number = ? AND state = 'chosen'"
        " GROUP BY object_type",
        (cycle.job_id, cycle.plan),
    )
    numbers = {row[0]: row[1] for row in rows}
    return sum(max(1, -(-numbers.get(kind, 0) // size)) for kind in ("User", "Group"))


def finish(connection: sqlite3.Connection, cycle: Cycle, now: datetime) -> None:
    """Ends the cycle. What had been chosen and was never looked at again has nothing left to do."""
    key = (cycle.job_id, cycle.plan)
    connection.execute(WITHDRAW, key)
    connection.execute(
        "UPDATE plan_item SET state = 'refused', reason = 'it is no longer in the directory'"
        " WHERE job_id = ? AND number = ? AND state = 'chosen'",
        key,
    )
    connection.execute("UPDATE plan SET state = 'applied' WHERE job_id = ? AND number = ?", key)
    failed = cycle.counts.get("escrowed", 0)
    cycles.end_cycle(connection, cycle, "entry_level_errors" if failed else "succeeded", now)


def abandon(connection: sqlite3.Connection, cycle: Cycle) -> None:
    """The cycle ended before its time: what was not sent can be applied again."""
    key = (cycle.job_id, cycle.plan)
    connection.execute(WITHDRAW, key)
    connection.execute(corrections.RESTORE_CHOSEN, key)
    connection.execute(
        "UPDATE plan_item SET state = 'planned' WHERE job_id = ? AND number = ? AND state = 'chosen'", key
    )
    connection.execute("UPDATE plan SET state = 'applied' WHERE job_id = ? AND number = ?", key)


WITHDRAW: Final = """
UPDATE staged_removal SET is_allowed = 0 WHERE job_id = ?1 AND is_allowed AND source_id IN (
  SELECT source_id FROM plan_item WHERE job_id = ?1 AND number = ?2 AND state IN ('chosen', 'refused'))
"""
"""What was allowed as it was planned, and was something else or never came to it, is not allowed."""
NOTE_REFERENCES: Final = """
INSERT OR IGNORE INTO pending_reference SELECT r.job_id, r.source_id, r.attribute, r.related_id FROM plan_reference r
JOIN link ON link.job_id = r.job_id AND link.source_id = r.source_id
WHERE r.job_id = ? AND r.number = ? AND EXISTS (
  SELECT 1 FROM plan_item i WHERE i.job_id = r.job_id AND i.number = r.number AND i.source_id = r.source_id
  AND i.state IN ('chosen', 'sent'))
AND (r.verb <> 'held' OR (SELECT allows_deletes FROM plan WHERE plan.job_id = r.job_id AND plan.number = r.number))
"""


def note_references(connection: sqlite3.Connection, cycle: Cycle) -> None:
    """The plan's references are to be looked at, whatever else is pending."""
    connection.execute(NOTE_REFERENCES, (cycle.job_id, cycle.plan))


def is_planned_only(connection: sqlite3.Connection, cycle: Cycle) -> bool:
    """Whether the cycle is computed and not carried out. What is carried out has been weighed then."""
    return plans.plan_by_number(connection, cycle.job_id, cycle.plan or 0).state == "computing"


class ApplyGate:
    """A `Gate` that admits what is as it was when the plan was made."""

    def __init__(self, connection: sqlite3.Connection, plan: Plan, context: str, key: bytes) -> None:
        self._arguments = connection, plan, context, key

    def page(self) -> "ApplyPage":
        return ApplyPage(*self._arguments)


class ApplyPage:
    """The gate of one page; notes why objects are refused."""

    def __init__(self, connection: sqlite3.Connection, plan: Plan, context: str, key: bytes) -> None:
        self._reader = connection
        self._plan = plan
        self._is_changed = plan.context != context
        self._key = key
        self._verdicts: dict[tuple[str, str], str | None] = {}
        self._allowed: dict[tuple[str, str, str], tuple[str | None, str]] = {}
        self._known: set[str] = set()

    def allows(self, considered: Considered) -> bool:
        return self._refusal(considered) is None

    def admits(self, considered: Considered) -> bool:
        reason = self._refusal(considered)
        self._verdicts[considered.source.object_type, considered.source.id] = reason
        return reason is None

    def admits_reference(self, reference: DecidedReference) -> bool:
        if self._is_changed:
            return False
        if reference.source_id not in self._known:
            self._learn(reference)
        planned = self._allowed.get((reference.source_id, reference.attribute, reference.related_id))
        # What has been written meanwhile is not written again, and is no longer pending.
        return planned is not None and (reference.verb is None or planned == (reference.wanted_id, reference.verb))

    def close(self) -> None:
        """There is nothing to note about what was sent: the log has it."""

    def commit(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "UPDATE plan_item SET state = iif(?1 IS NULL, 'sent', 'refused'), reason = ?1"
            " WHERE job_id = ?2 AND number = ?3 AND object_type = ?4 AND source_id = ?5",
            ((reason, self._plan.job_id, self._plan.number, *key) for key, reason in self._verdicts.items()),
        )
        connection.executemany(
            corrections.RESTORE_UNREPAIRED, ((self._plan.job_id, self._plan.number, *key) for key in self._verdicts)
        )

    def _refusal(self, considered: Considered) -> str | None:
        item = plans.item_of(
            self._reader, self._plan.job_id, self._plan.number, considered.source.object_type, considered.source.id
        )
        if item is None:
            return "it is not part of the plan"
        if self._is_changed:
            return MAPPINGS_CHANGED
        if item.fingerprint is None:
            # Of this object only references were planned; it is looked at for their sake.
            return None if considered.decision.request is None else "it needs more now than its members or manager"
        planned, now = item.fingerprint, fingerprint_of(considered, self._key)
        inputs = what_changed(
            planned, msgspec.structs.replace(now, link=planned.link, target=planned.target, outcome=planned.outcome)
        )
        if inputs is not None:
            return inputs
        is_done = considered.decision.request is None and considered.decision.status is not Status.FAILURE
        # Sent by an attempt that was cut off before it could write that down.
        if is_done and item.action in plans.CHANGES:
            return None
        if item.action == "delete" and considered.state.is_gone:
            # By an attempt that was cut off, or by somebody else: it is what was planned (REQ-P-101).
            now = msgspec.structs.replace(now, target=planned.target)
        link = considered.link
        if link is not None and link.is_managed and link.target_id == item.target_id:
            # By an attempt that was cut off before it sent the update.
            now = msgspec.structs.replace(now, link=planned.link)
        if item.is_held:
            now = msgspec.structs.replace(now, outcome=planned.outcome)
        return what_changed(planned, now)

    def _learn(self, reference: DecidedReference) -> None:
        self._known.add(reference.source_id)
        item = plans.item_of(
            self._reader, self._plan.job_id, self._plan.number, reference.object_type, reference.source_id
        )
        if item is None or item.state not in ("chosen", "sent"):
            return
        for row in plans.references_of(self._reader, self._plan.job_id, self._plan.number, reference.source_id):
            if row["verb"] == "held" and not self._plan.allows_deletes:
                continue
            verb = "remove" if row["verb"] == "held" else row["verb"]
            self._allowed[reference.source_id, row["attribute"], row["related_id"]] = row["wanted_id"], verb


def report(connection: sqlite3.Connection, plan: Plan) -> dict[str, Any]:
    """What became of the items: number by state, those refused with the reasons, and the log's counts of the cycle."""
    key = (plan.job_id, plan.number)
    counts: Iterable[sqlite3.Row] = connection.execute(
        "SELECT iif(state = 'planned' AND is_held, 'held', state) AS what, count(*) AS number FROM plan_item"
        " WHERE job_id = ? AND number = ? GROUP BY what",
        key,
    )
    refused = connection.execute(
        "SELECT object_type AS objectType, source_id AS objectId, name, action, reason FROM plan_item"
        " WHERE job_id = ? AND number = ? AND state = 'refused' ORDER BY position LIMIT ?",
        (*key, REFUSED_SHOWN),
    ).fetchall()
    return {"states": {row["what"]: row["number"] for row in counts}, "refused": [dict(row) for row in refused]}
