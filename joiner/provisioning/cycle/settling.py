"""What belongs into the transaction of a page, once its objects are sent."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from joiner.provisioning.cycle import census, deletions, pending_references, seen_references
from joiner.provisioning.cycle.census import Answers
from joiner.provisioning.cycle.items import Item
from joiner.provisioning.cycle.run import Commit, Run
from joiner.provisioning.decisions.decision import Create, Decision, LinkChange, Problem, QueryMatch, Status
from joiner.provisioning.decisions.matching import match_queries
from joiner.provisioning.job.links import change_links, escrow, forget_intents, is_changed, release
from joiner.provisioning.log.journal import Outcome, given_up
from joiner.provisioning.log.journal_packing import PackedRow, packed_row
from joiner.provisioning.log.journal_rows import Journal
from joiner.provisioning.mapping.plan import ObjectPlan


@dataclass(slots=True)
class _Consequences:
    """What followed from the objects of a page, by where it is written."""

    rows: list[PackedRow] = field(default_factory=list)
    """Of the log."""
    linked: list[str] = field(default_factory=list)
    """Ids of the objects that references can now point to."""
    returned: list[str] = field(default_factory=list)
    """Ids of those who had an account, and have it again."""
    changes: list[tuple[str, str, LinkChange]] = field(default_factory=list)
    """Source id, target id, what becomes of the link."""
    succeeded: list[str] = field(default_factory=list)
    """Ids of those that had failed before."""
    failures: dict[int, tuple[Item, Decision, Outcome, Problem]] = field(default_factory=dict)
    """Place among the rows → whose row depends on how often it has failed before."""


def commit_of(run: Run, plan: ObjectPlan, items: list[Item], listed: Answers | None) -> Commit:
    """Writes what followed from these objects of a page, which have been sent. `listed`: the census, where the cycle
    has one that can be relied on."""
    # What needs nothing of the database is made here, while the page before is committed.
    now = run.clock()
    found = _consequences(run, items, now)
    held = _read_references(plan, items, wanted=True)
    unwanted = _read_references(plan, items, wanted=False)
    # All references of what is new are pending anyway.
    seen = [item.source.id for item in items if item.scope.in_scope and item.created_id is None]
    job_id, object_type = run.job.id, plan.object_type

    def commit(connection: sqlite3.Connection) -> None:
        for place, (item, decision, outcome, problem) in found.failures.items():
            if not escrow(connection, job_id, item.source.id, object_type, problem, now):
                last = replace(decision, steps=(*decision.steps, given_up(item.source)))
                found.rows[place] = _row(run, item, last, outcome, now)
        for source_id in found.succeeded:
            release(connection, job_id, source_id)
        Journal(connection, run.log).write(found.rows)
        change_links(connection, job_id, object_type, found.changes, now)
        deletions.settle(connection, job_id, [item.source.id for item in items if not item.is_held])
        forget_intents(connection, job_id, [item.source.id for item in items if _is_settled(item)])
        if listed is not None:
            written = [_written(plan, item) for item in items if item.outcome and item.outcome.exported]
            census.note_written(connection, run.cycle.id, object_type, [each for each in written if each[0]])
        seen_references.note_read(connection, run, held)
        seen_references.note_unwanted(connection, run, unwanted)
        dropped = [source_id for source_id, _, change in found.changes if change is LinkChange.DROP]
        seen_references.note_gone(connection, run, dropped)
        pending_references.note_returned(connection, run, object_type, found.returned)
        pending_references.note_linked(connection, run, object_type, found.linked)
        pending_references.note_seen(connection, run, object_type, seen)

    return commit


def _consequences(run: Run, items: list[Item], now: datetime) -> _Consequences:
    found = _Consequences()
    for item in items:
        decision, outcome = item.decision, item.outcome
        if decision is None or outcome is None:
            continue
        failed = outcome.status is Status.FAILURE
        if failed and item.is_linked_ahead and item.is_gone:
            found.changes.append((item.source.id, "", LinkChange.DROP))
        if not failed and not item.is_held:
            _note_success(found, item, decision, outcome)
        if failed and outcome.problem is not None:
            found.failures[len(found.rows)] = item, decision, outcome, outcome.problem
        elif item.was_escrowed:
            found.succeeded.append(item.source.id)
        if failed or not run.log.only_failures:
            found.rows.append(_row(run, item, decision, outcome, now))
    return found


def _note_success(found: _Consequences, item: Item, decision: Decision, outcome: Outcome) -> None:
    if item.state.forgotten is not None:
        found.changes.append((item.source.id, item.state.forgotten, LinkChange.DROP))
    if outcome.target_id is not None:
        if item.is_entering:
            found.linked.append(item.source.id)
            if item.link is not None and item.link.target_id == outcome.target_id:
                found.returned.append(item.source.id)
        if is_changed(item.link, outcome.target_id, decision.link):
            found.changes.append((item.source.id, outcome.target_id, decision.link))


def _row(run: Run, item: Item, decision: Decision, outcome: Outcome, now: datetime) -> PackedRow:
    request_log = run.request_log(item.source.object_type)
    requests = request_log.kept(item.said, decision.changes, failed=outcome.status is Status.FAILURE)
    return packed_row(run.log, run.cycle.kind, item.source, decision, outcome, now, requests)


def _is_settled(item: Item) -> bool:
    """What became of the object in the target is known."""
    if item.is_held:
        return False
    if item.is_refused or item.is_linked_ahead:
        return True
    if item.outcome is None or item.outcome.status is Status.FAILURE:
        return False
    # What was not found may still be made; the next cycle looks once more.
    return not item.is_under_way or item.outcome.target_id is not None


def _written(plan: ObjectPlan, item: Item) -> tuple[str, Sequence[QueryMatch]]:
    """Target id, and what it is found by from now on."""
    assert item.outcome is not None
    asked = [query for query, _ in item.state.queries]
    is_new = item.decision is not None and isinstance(item.decision.request, Create)
    return item.outcome.target_id or "", asked if is_new else match_queries(plan, item.values)


def _read_references(plan: ObjectPlan, items: Iterable[Item], *, wanted: bool) -> list[tuple[str, str, str | None]]:
    """(source id, source attribute, target value) of the single references that were read from the target; None where
    it has none. Only those that the directory has, or only those that it has not.

    A reference that the directory does not have is none of ours unless we have written it: the target keeps it, like
    any value whose source is empty (REQ-P-013).
    """
    found = []
    for flow in plan.references:
        for item in items:
            # What was matched but belongs to another source object tells nothing about this one.
            if flow.multivalued or item.state.resource is None or item.state.linked_to is not None:
                continue
            if item.decision is not None and item.decision.link is LinkChange.DROP:
                continue
            if (item.values.get(flow.source_attribute) is not None) != wanted:
                continue
            value = flow.path.read(item.state.resource)
            found.append((item.source.id, flow.source_attribute, None if value is None else str(value)))
    return found


def counts_of(items: list[Item]) -> dict[str, int]:
    """What these objects add to the counters of the cycle, by name."""
    counts: Counter[str] = Counter()
    for item in items:
        if item.decision is None or item.outcome is None:
            continue
        failed = item.outcome.status is Status.FAILURE
        counts["exports"] += item.decision.request is not None or failed
        counts["exported"] += item.outcome.exported
        counts["escrowed"] += failed
        counts["retried"] += item.was_escrowed
        done = item.outcome.status is Status.SUCCESS
        counts[item.decision.action.value if done else item.outcome.status.value] += 1
    return dict(counts)
