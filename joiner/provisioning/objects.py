"""The phases of a cycle that look at users and groups: read a page, look up, decide, export, commit.

Everything that decides is elsewhere and pure (`scope`, `matching`, `decide`); here is the order of things, and what
belongs into one transaction.
"""

import asyncio
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from joiner.clock import to_iso
from joiner.expressions.environment import Environment
from joiner.provisioning import deletions, references, wire
from joiner.provisioning.decide import as_staged, decide
from joiner.provisioning.decision import (
    Action,
    Create,
    Decision,
    Delete,
    Entitlement,
    Link,
    LinkChange,
    Modify,
    ObjectType,
    Problem,
    QueryMatch,
    ReadLinked,
    Scope,
    SourceObject,
    Status,
    Step,
    TargetState,
)
from joiner.provisioning.failures import TargetError, TargetUnusableError
from joiner.provisioning.journal import Outcome, build_entry, given_up
from joiner.provisioning.journal_rows import Journal
from joiner.provisioning.links import (
    change_link,
    escrow,
    escrowed,
    forget_intents,
    intend,
    intended,
    links_of,
    release,
    sources_linked_to,
)
from joiner.provisioning.matching import next_lookup
from joiner.provisioning.plan import ObjectPlan
from joiner.provisioning.run import ENDPOINTS, OBJECTS_PER_PAGE, UNREAD, Commit, PageResult, Run
from joiner.provisioning.scope import judge_scope, source_values
from joiner.provisioning.sources import page_of_sources, sources_by_id


@dataclass(slots=True)
class Item:
    """One object on its way through a page."""

    source: SourceObject
    values: Mapping[str, Any]
    scope: Scope
    link: Link | None
    state: TargetState
    decision: Decision | None = None
    outcome: Outcome | None = None
    is_refused: bool = False
    """A create certainly had no effect; of any other failure the next try must know that one may have been sent."""
    is_held: bool = False
    """The guard against accidental deletions holds the decision back."""
    was_escrowed: bool = False
    """An earlier try failed."""


async def users_page(run: Run, cursor: str) -> PageResult:
    """The users in id order after `cursor`."""
    return await _object_page(run, "User", cursor)


async def groups_page(run: Run, cursor: str) -> PageResult:
    """The groups in id order after `cursor`."""
    return await _object_page(run, "Group", cursor)


async def removals_page(run: Run, cursor: str) -> PageResult:
    """What the earlier phases put off: disables and deletes; users first, then groups."""
    after = tuple(cursor.split(" ", 1)) if cursor else ("", "")
    rows = run.reader.execute(
        "SELECT object_type, source_id FROM removal WHERE cycle_id = ? AND (object_type = 'Group', source_id) > (?, ?)"
        " ORDER BY object_type = 'Group', source_id LIMIT ?",
        (run.cycle.id, int(after[0] or 0), after[1], OBJECTS_PER_PAGE),
    ).fetchall()
    if not rows:
        return PageResult(cursor, True, _nothing)
    object_type: ObjectType = rows[0]["object_type"]
    ids = [row["source_id"] for row in rows if row["object_type"] == object_type]
    plan = run.plan_of(object_type)
    items = _items(run, object_type, sources_by_id(run, object_type, ids), plan) if plan else []
    is_last = len(rows) < OBJECTS_PER_PAGE and len(ids) == len(rows)
    cursor = f"{int(object_type == 'Group')} {ids[-1]}"
    if plan is None:
        return PageResult(cursor, is_last, _nothing)
    await decide_items(run, plan, items)
    _hold_back(run, items)
    return await _export_items(run, plan, items, cursor, is_last)


def _hold_back(run: Run, items: Sequence[Item]) -> None:
    """What the guard holds back is logged and not sent."""
    held = deletions.held_objects(run.reader, run.job.id, [item.source.id for item in items])
    for item in items:
        if item.source.id in held and item.outcome is None and item.decision is not None and item.decision.is_removal:
            item.decision = as_staged(item.source, item.decision)
            item.is_held = True


async def one_object(run: Run, object_type: ObjectType, source_id: str) -> PageResult:
    """One object, looked up, decided and exported at once, whatever the decision (REQ-P-119)."""
    plan = run.plan_of(object_type)
    if plan is None:
        return PageResult(source_id, True, _nothing)
    items = _items(run, object_type, sources_by_id(run, object_type, [source_id]), plan)
    await decide_items(run, plan, items)
    return await _export_items(run, plan, items, source_id, True)


async def _object_page(run: Run, object_type: ObjectType, cursor: str) -> PageResult:
    plan = run.plan_of(object_type)
    if plan is None:
        return PageResult(cursor, True, _nothing)
    sources = page_of_sources(run, object_type, cursor)
    if not sources:
        return PageResult(cursor, True, _nothing)
    items = _items(run, object_type, sources, plan)
    await decide_items(run, plan, items)
    # Taking access away waits for the last phase, so that its extent is known before it begins.
    deferred = [item for item in items if item.outcome is None and item.decision and item.decision.is_removal]
    waiting = {item.source.id for item in deferred}
    rest = [item for item in items if item.source.id not in waiting]
    result = await _export_items(run, plan, rest, sources[-1].id, len(sources) < OBJECTS_PER_PAGE)
    commit = result.commit

    def commit_with_removals(connection: sqlite3.Connection) -> None:
        commit(connection)
        connection.executemany(
            "INSERT OR IGNORE INTO removal VALUES (?, ?, ?, ?)",
            (
                (run.cycle.id, object_type, item.source.id, item.decision.action.value)
                for item in deferred
                if item.decision is not None
            ),
        )

    result.commit = commit_with_removals
    result.counts["imported"] = len(sources)
    result.counts["entitled"] = sum(item.scope.in_scope for item in items)
    return result


def _items(run: Run, object_type: ObjectType, sources: list[SourceObject], plan: ObjectPlan | None) -> list[Item]:
    if plan is None or not sources:
        return []
    ids = [source.id for source in sources]
    entitlements = _entitlements(run, object_type, ids)
    links = links_of(run.reader, run.job.id, ids)
    lost = intended(run.reader, run.job.id, ids)
    waiting = escrowed(run.reader, run.job.id, ids)
    items = []
    for source in sources:
        entitlement = entitlements.get(source.id, Entitlement(False))
        scope = judge_scope(source, entitlement, plan, run.context.settings)
        environment = Environment(run.clock(), secrets.randbelow)
        values = source_values(source, entitlement, scope, run.context.settings, environment)
        state = TargetState(intended=lost.get(source.id, ()))
        items.append(Item(source, values, scope, links.get(source.id), state, was_escrowed=source.id in waiting))
    return items


def _entitlements(run: Run, object_type: ObjectType, ids: list[str]) -> dict[str, Entitlement]:
    resource_id = run.job.service_principal_id
    if object_type == "Group":
        return {id_: Entitlement(True) for id_ in run.directory.assigned_group_ids(resource_id, ids)}
    return {
        id_: Entitlement(True, tuple({"id": r.id, "value": r.value, "displayName": r.display_name} for r in roles))
        for id_, roles in run.directory.entitlements(resource_id, ids).items()
    }


# Carrying out


async def decide_items(run: Run, plan: ObjectPlan, items: Sequence[Item]) -> None:
    """Looks `items` up in the target and decides on them; what could not be asked has its outcome already."""
    # A target that cannot be used at all ends the cycle here, before anything is written.
    # A unique value that one object of the page was promised is not free for the next one.
    promised: set[tuple[str, str]] = set()
    looked_up = await asyncio.gather(*(_look_up(run, plan, item, promised) for item in items), return_exceptions=True)
    _raise_unexpected(looked_up)
    _claim(run, plan.object_type, items)
    for item in items:
        if item.outcome is None:
            item.decision = decide(
                item.source, item.values, item.scope, item.link, item.state, plan, run.context.settings
            )


async def _export_items(run: Run, plan: ObjectPlan, items: Sequence[Item], cursor: str, is_last: bool) -> PageResult:
    """Exports what was decided; the result's `commit` writes all that followed."""
    creates = {
        item.source.id: [query for query, _ in item.state.queries]
        for item in items
        if item.decision and isinstance(item.decision.request, Create)
    }
    if creates:

        def announce(connection: sqlite3.Connection) -> None:
            run.check_owned(connection)
            intend(connection, run.job.id, plan.object_type, creates)

        await run.db.write(announce)
    exported = await asyncio.gather(*(_export(run, item) for item in items), return_exceptions=True)
    failure = next((e for e in exported if isinstance(e, TargetUnusableError)), None)
    _raise_unexpected([error for error in exported if not isinstance(error, TargetUnusableError)])
    done = [item for item in items if item.outcome is not None]
    return PageResult(cursor, is_last, _commit(run, plan, done), _counts(done), failure)


async def _look_up(run: Run, plan: ObjectPlan, item: Item, promised: set[tuple[str, str]]) -> None:
    """Asks the target what the decision needs to know; a failure is the object's outcome."""
    endpoint, unread = ENDPOINTS[plan.object_type], UNREAD[plan.object_type]
    began = time.perf_counter()
    try:
        while (lookup := next_lookup(plan, item.values, item.scope, item.link, item.state)) is not None:
            if isinstance(lookup, ReadLinked):
                resource = await run.target.read(endpoint, lookup.target_id, exclude=unread)
                item.state = replace(item.state, resource=resource, is_gone=resource is None)
            elif isinstance(lookup, QueryMatch):
                item.state = await _match(run, endpoint, unread, lookup, item.state)
            else:
                found = await run.target.query(
                    endpoint, lookup.attribute, lookup.value, case_exact=False, exclude=unread
                )
                key = lookup.attribute, lookup.value.casefold()
                answer = replace(lookup, is_taken=bool(found) or key in promised)
                promised.add(key)
                item.state = replace(item.state, unique=(*item.state.unique, answer))
    except TargetUnusableError:
        raise
    except TargetError as error:
        step = Step("EntryImport", "matching", Status.FAILURE, f"The target could not be asked: {error.reason}")
        item.decision = Decision(Action.OTHER, Status.FAILURE, (step,))
        item.outcome = _failed(error, item, began)


async def _match(
    run: Run, endpoint: str, unread: tuple[str, ...], query: QueryMatch, state: TargetState
) -> TargetState:
    found = await run.target.query(endpoint, query.attribute, query.value, case_exact=query.case_exact, exclude=unread)
    return replace(state, queries=(*state.queries, (query, len(found))), resource=found[0] if len(found) == 1 else None)


def _claim(run: Run, object_type: ObjectType, items: Sequence[Item]) -> None:
    """Marks the matches whose target object belongs to another source object already; the first one keeps it."""
    matched = {
        item.source.id: str(item.state.resource["id"])
        for item in items
        if item.link is None and item.state.resource is not None
    }
    owners = sources_linked_to(run.reader, run.job.id, object_type, list(matched.values()))
    for item in items:
        target_id = matched.get(item.source.id)
        if target_id is not None:
            owner = owners.setdefault(target_id, item.source.id)
            if owner != item.source.id:
                item.state = replace(item.state, linked_to=owner)


async def _export(run: Run, item: Item) -> None:
    """Sends the decision's request, if it has one, and notes the outcome."""
    decision = item.decision
    if decision is None or item.outcome is not None:
        return
    if decision.request is None:
        item.outcome = Outcome(decision.status, decision.target_id, decision.problem)
        return
    began = time.perf_counter()
    run.check_owned()
    try:
        target_id = await _send(run, item.source.object_type, decision)
    except TargetUnusableError:
        raise
    except TargetError as error:
        item.outcome = _failed(error, item, began)
        # A conflict with an account that an earlier attempt may have made says nothing about that attempt.
        item.is_refused = not item.state.was_intended and error.status is not None and error.status < 500
        return
    item.outcome = Outcome(Status.SUCCESS, target_id, None, _milliseconds(began), exported=True)


async def _send(run: Run, object_type: ObjectType, decision: Decision) -> str:
    endpoint = ENDPOINTS[object_type]
    match decision.request:
        case Create(resource):
            return await run.target.create(endpoint, resource)
        case Modify(target_id, modifications):
            operations = wire.operations_of(run.context.dialect, modifications)
            await run.target.modify(endpoint, target_id, wire.patch_body(operations))
            return target_id
        case Delete(target_id):
            await run.target.delete(endpoint, target_id)
            return target_id
    raise AssertionError("a decision without a request is not sent")


def _failed(error: TargetError, item: Item, began: float) -> Outcome:
    target_id = item.link.target_id if item.link else None
    return Outcome(Status.FAILURE, target_id, Problem(error.code, error.reason), _milliseconds(began))


def _commit(run: Run, plan: ObjectPlan, items: list[Item]) -> Commit:
    object_type = plan.object_type

    def commit(connection: sqlite3.Connection) -> None:
        now = run.clock()
        journal = Journal(connection, run.log)
        linked = []
        for item in items:
            decision, outcome, source = item.decision, item.outcome, item.source
            if decision is None or outcome is None:
                continue
            failed = outcome.status is Status.FAILURE
            if not failed and not item.is_held and outcome.target_id is not None:
                if _is_entering(item):
                    linked.append(source.id)
                change_link(connection, run.job.id, source.id, object_type, outcome.target_id, decision.link, now)
            if not failed or outcome.problem is None:
                release(connection, run.job.id, source.id)
            elif not escrow(connection, run.job.id, source.id, object_type, outcome.problem, now):
                decision = replace(decision, steps=(*decision.steps, given_up(source)))
            journal.write(build_entry(run.log, run.cycle.kind, source, decision, outcome, to_iso(now)))
        deletions.settle(connection, run.job.id, [item.source.id for item in items if not item.is_held])
        forget_intents(connection, run.job.id, (item.source.id for item in items if _is_settled(item)))
        references.note_read(connection, run, _read_references(plan, items))
        references.note_linked(connection, run, object_type, linked)
        references.note_seen(connection, run, object_type, [i.source.id for i in items if i.scope.in_scope])

    return commit


def _is_settled(item: Item) -> bool:
    """What became of the object in the target is known."""
    if item.is_held:
        return False
    return item.is_refused or (item.outcome is not None and item.outcome.status is not Status.FAILURE)


def _is_entering(item: Item) -> bool:
    """The object becomes a target for references: newly linked, or managed and enabled again."""
    decision = item.decision
    if decision is None or decision.link is not LinkChange.MANAGE:
        return False
    return item.link is None or not item.link.is_managed or item.link.is_disabled


def _read_references(plan: ObjectPlan, items: Iterable[Item]) -> list[tuple[str, str, str | None]]:
    """(source id, source attribute, target value) of the single references that were read from the target; None where
    it has none.

    A reference that the directory does not have is none of ours: the target keeps it, like any value whose source is
    empty (REQ-P-013).
    """
    found = []
    for flow in plan.references:
        for item in items:
            # What was matched but belongs to another source object tells nothing about this one.
            if flow.multivalued or item.state.resource is None or item.state.linked_to is not None:
                continue
            if item.values.get(flow.source_attribute) is None:
                continue
            value = flow.path.read(item.state.resource)
            found.append((item.source.id, flow.source_attribute, None if value is None else str(value)))
    return found


def _counts(items: list[Item]) -> dict[str, int]:
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


def _milliseconds(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


def _raise_unexpected(results: Iterable[Any]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _nothing(connection: sqlite3.Connection) -> None:
    """A page without objects has nothing to commit but the cursor."""
