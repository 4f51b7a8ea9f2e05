"""What belongs into the transaction of a page, once its objects are sent."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from joiner.provisioning import census, deletions, pending_references, seen_references
from joiner.provisioning.census import Answers
from joiner.provisioning.decision import Create, Decision, LinkChange, Problem, QueryMatch, Status
from joiner.provisioning.exchanges import RequestLog
from joiner.provisioning.items import Item
from joiner.provisioning.journal import Outcome, given_up
from joiner.provisioning.journal_packing import PackedRow, packed_row
from joiner.provisioning.journal_rows import Journal
from joiner.provisioning.links import change_links, escrow, forget_intents, is_changed, release
from joiner.provisioning.matching import match_queries
from joiner.provisioning.plan import ObjectPlan
from joiner.provisioning.run import Commit, Run


def commit_of(run: Run, plan: ObjectPlan, items: list[Item], listed: Answers | None) -> Commit:
    object_type = plan.object_type

    # What needs nothing of the database is made here, while the page before is committed.
    now, request_log = run.clock(), run.request_log(object_type)
    rows: list[PackedRow] = []
    linked: list[str] = []
    returned: list[str] = []
    """Those who had an account, and have it again."""
    changes: list[tuple[str, str, LinkChange]] = []
    succeeded: list[str] = []
    """Those that had failed before."""
    failures: dict[int, tuple[Item, Decision, Outcome, Problem]] = {}
    """Place among the rows → whose row depends on how often it has failed before."""
    for item in items:
        decision, outcome = item.decision, item.outcome
        if decision is None or outcome is None:
            continue
        failed = outcome.status is Status.FAILURE
        if not failed and not item.is_held and item.state.forgotten is not None:
            changes.append((item.source.id, item.state.forgotten, LinkChange.DROP))
        if not failed and not item.is_held and outcome.target_id is not None:
            if item.is_entering:
                linked.append(item.source.id)
                if item.link is not None and item.link.target_id == outcome.target_id:
                    returned.append(item.source.id)
            if is_changed(item.link, outcome.target_id, decision.link):
                changes.append((item.source.id, outcome.target_id, decision.link))
        if failed and item.is_linked_ahead and item.is_gone:
            changes.append((item.source.id, "", LinkChange.DROP))
        if failed and outcome.problem is not None:
            failures[len(rows)] = item, decision, outcome, outcome.problem
        elif item.was_escrowed:
            succeeded.append(item.source.id)
        if failed or not run.log.only_failures:
            rows.append(_row(run, item, decision, outcome, now, request_log))
    held = _read_references(plan, items, wanted=True)
    unwanted = _read_references(plan, items, wanted=False)

    def commit(connection: sqlite3.Connection) -> None:
        for place, (item, decision, outcome, problem) in failures.items():
            if not escrow(connection, run.job.id, item.source.id, object_type, problem, now):
                last = replace(decision, steps=(*decision.steps, given_up(item.source)))
                rows[place] = _row(run, item, last, outcome, now, request_log)
        for source_id in succeeded:
            release(connection, run.job.id, source_id)
        Journal(connection, run.log).write(rows)
        change_links(connection, run.job.id, object_type, changes, now)
        deletions.settle(connection, run.job.id, [item.source.id for item in items if not item.is_held])
        forget_intents(connection, run.job.id, [item.source.id for item in items if _is_settled(item)])
        if listed is not None:
            written = [_written(plan, item) for item in items if item.outcome and item.outcome.exported]
            census.note_written(connection, run.cycle.id, object_type, [each for each in written if each[0]])
        seen_references.note_read(connection, run, held)
        seen_references.note_unwanted(connection, run, unwanted)
        seen_references.note_gone(connection, run, [id_ for id_, _, change in changes if change is LinkChange.DROP])
        pending_references.note_returned(connection, run, object_type, returned)
        pending_references.note_linked(connection, run, object_type, linked)
        pending_references.note_seen(connection, run, object_type, [i.source.id for i in items if i.scope.in_scope])

    return commit


def _row(
    run: Run, item: Item, decision: Decision, outcome: Outcome, now: datetime, request_log: RequestLog
) -> PackedRow:
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
