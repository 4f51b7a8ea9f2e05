"""The phases of a cycle that look at users and groups: read a page, look up, decide, export, commit.

Everything that decides is elsewhere and pure (`scope`, `matching`, `decide`); here is the order of things, and what
belongs into one transaction.
"""

import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from joiner.clock import to_iso
from joiner.expressions.environment import Environment
from joiner.provisioning import census, deletions, references, seen_references, wire
from joiner.provisioning.census import Answers
from joiner.provisioning.client.recorder import Said, listen
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
from joiner.provisioning.exchanges import RequestLog
from joiner.provisioning.failures import TargetError, TargetUnusableError
from joiner.provisioning.journal import Outcome, build_entry, given_up
from joiner.provisioning.journal_rows import Journal, PackedRow, packed_row
from joiner.provisioning.links import (
    change_links,
    escrow,
    escrowed,
    forget_intents,
    intend,
    intended,
    is_changed,
    links_of,
    release,
    sources_linked_to,
)
from joiner.provisioning.matching import is_forgotten, is_of_the_attempt, match_queries, next_lookup
from joiner.provisioning.plan import ObjectPlan
from joiner.provisioning.ports import Considered, PageGate, watched
from joiner.provisioning.run import (
    ENDPOINTS,
    OBJECTS_PER_PAGE,
    UNREAD,
    Claims,
    Commit,
    Page,
    PageResult,
    Run,
    empty_page,
    nothing,
)
from joiner.provisioning.scope import judge_scope, source_values
from joiner.provisioning.sources import page_of_sources, sources_by_id
from joiner.provisioning.window import side_by_side

Known = Sequence[Claims]
"""The claims of the pages that are not committed yet, the one at hand last."""
OUTDATED: Final = frozenset({404, 409})
"""Answers that say that the census is not true any more: somebody else has written to the target meanwhile."""


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
    is_listed: bool = False
    """What is known of the target comes from the census, at least in part."""
    said: list[Said] = field(default_factory=list)
    """The requests that were sent for the object, with their answers."""


@dataclass(slots=True)
class Decided:
    """What there is to know of a page's items beside themselves."""

    plan: ObjectPlan
    known: Known
    waiting: Sequence[Item]
    """Not decided yet: what they are looked for by is about to be written for others."""
    listed: Answers | None


async def users_page(run: Run, cursor: str, before: Known) -> Page:
    """The users in id order after `cursor`."""
    return await _object_page(run, "User", cursor, before)


async def groups_page(run: Run, cursor: str, before: Known) -> Page:
    """The groups in id order after `cursor`."""
    return await _object_page(run, "Group", cursor, before)


async def removals_page(run: Run, cursor: str, before: Known) -> Page:
    """What the earlier phases put off: disables and deletes; users first, then groups."""
    after = tuple(cursor.split(" ", 1)) if cursor else ("", "")
    rows = run.reader.execute(
        "SELECT object_type, source_id FROM removal WHERE cycle_id = ? AND (object_type = 'Group', source_id) > (?, ?)"
        " ORDER BY object_type = 'Group', source_id LIMIT ?",
        (run.cycle.id, int(after[0] or 0), after[1], OBJECTS_PER_PAGE),
    ).fetchall()
    if not rows:
        return empty_page(cursor)
    object_type: ObjectType = rows[0]["object_type"]
    ids = [row["source_id"] for row in rows if row["object_type"] == object_type]
    plan = run.plan_of(object_type)
    items = items_of(run, object_type, sources_by_id(run, object_type, ids), plan) if plan else []
    is_last = len(rows) < OBJECTS_PER_PAGE and len(ids) == len(rows)
    cursor = f"{int(object_type == 'Group')} {ids[-1]}"
    if plan is None:
        return empty_page(cursor)
    decided = await decide_items(run, plan, items, before)
    _hold_back(run, items)
    return await _begin(run, decided, items, cursor, is_last)


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
        return PageResult(source_id, True, nothing)
    items = items_of(run, object_type, sources_by_id(run, object_type, [source_id]), plan)
    page = await _begin(run, await decide_items(run, plan, items), items, source_id, True)
    return await page.finish()


async def _object_page(run: Run, object_type: ObjectType, cursor: str, before: Known) -> Page:
    plan = run.plan_of(object_type)
    if plan is None:
        return empty_page(cursor)
    sources = page_of_sources(run, object_type, cursor)
    if not sources:
        return empty_page(cursor)
    items = items_of(run, object_type, sources, plan)
    decided = await decide_items(run, plan, items, before)
    # Taking access away waits for the last phase, so that its extent is known before it begins.
    deferred = [item for item in items if item.outcome is None and item.decision and item.decision.is_removal]
    later = {item.source.id for item in deferred}
    rest = [item for item in items if item.source.id not in later]
    page = await _begin(run, decided, rest, sources[-1].id, len(sources) < OBJECTS_PER_PAGE)
    send = page.finish

    async def finish() -> PageResult:
        result = await send()
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

    page.finish = finish
    return page


def items_of(run: Run, object_type: ObjectType, sources: list[SourceObject], plan: ObjectPlan | None) -> list[Item]:
    """The objects with scope and link; the target has not been asked about them."""
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
        link = links.get(source.id)
        if link is not None and link.is_unseen and not run.is_initial:
            # What becomes of released objects between initial cycles is no concern of the job (REQ-P-090).
            link = replace(link, is_disabled=True)
        items.append(Item(source, values, scope, link, state, was_escrowed=source.id in waiting))
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


async def decide_items(run: Run, plan: ObjectPlan, items: Sequence[Item], before: Known = ()) -> Decided:
    """Looks `items` up in the target and decides on them; what could not be asked has its outcome already, and what is
    in the way of another object has to wait."""
    # A target that cannot be used at all ends the cycle here, before anything is written.
    # A unique value that one object of the page was promised is not free for the next one.
    promised: set[tuple[str, str]] = set()
    listed = census.answers(run.reader, run.cycle.id, plan, run.clock())
    unknown = items if listed is None else _answer(listed, plan, items)
    failure = await side_by_side(lambda item: _look_up(run, plan, item, promised), unknown, run.at_once)
    if failure is not None:
        raise failure
    known = (*before, Claims())
    _claim(run, plan.object_type, items, known)
    waiting = [item for item in items if not _decide(run, plan, item, known)]
    return Decided(plan, known, waiting, listed)


async def _begin(run: Run, decided: Decided, items: Sequence[Item], cursor: str, is_last: bool) -> Page:
    """The page of these of the items; finishing it exports them, and its `commit` writes all that followed."""
    plan, known = decided.plan, decided.known
    creates = [item for item in items if item.decision and isinstance(item.decision.request, Create)]
    await _announce(run, plan, creates)
    gate = run.gate.page() if run.gate is not None else None

    async def finish() -> PageResult:
        ready = [item for item in items if item.decision is not None]
        failure = await side_by_side(lambda item: _export(run, plan, item, known, gate), ready, run.at_once)
        if failure is None:
            # What these are found by has just been written for others.
            failure = await side_by_side(lambda item: _export_anew(run, plan, item, known, gate), decided.waiting, 1)
        done = [item for item in items if item.outcome is not None]
        commit = _commit(run, plan, done, decided.listed)
        return PageResult(cursor, is_last, watched(gate, commit), _counts(done), failure=failure)

    def abandon(connection: sqlite3.Connection) -> None:
        forget_intents(connection, run.job.id, [i.source.id for i in creates if not i.state.was_intended])

    return Page(cursor, is_last, finish, known[-1], abandon=abandon)


def _decide(run: Run, plan: ObjectPlan, item: Item, known: Known) -> bool:
    """Decides on the item; False if that has to wait, because what it was looked for by is about to be written."""
    if item.outcome is not None:
        return True
    asked = [_key(query) for query, _ in item.state.queries]
    if item.scope.in_scope and any(key in claims.written for claims in known for key in asked):
        return False
    item.decision = decide(item.source, item.values, item.scope, item.link, item.state, plan, run.context.settings)
    match item.decision.request:
        case Create():
            known[-1].written.update(asked)
        case Modify():
            known[-1].written.update(map(_key, match_queries(plan, item.values)))
    return True


async def _announce(run: Run, plan: ObjectPlan, items: Sequence[Item]) -> None:
    """Writes down that these are about to be created."""
    if not items:
        return
    creates = {item.source.id: [query for query, _ in item.state.queries] for item in items}

    def announce(connection: sqlite3.Connection) -> None:
        run.check_owned(connection)
        intend(connection, run.job.id, plan.object_type, creates)

    await run.db.write(announce)


def _key(query: QueryMatch) -> tuple[str, str]:
    return query.attribute, query.value.casefold()


def _answer(listed: Answers, plan: ObjectPlan, items: Sequence[Item]) -> list[Item]:
    """Takes from the census what the decisions need to know; returns those for whom the target has to be asked for the
    rest."""
    # What an interrupted attempt created may be younger than the census.
    unknown = [item for item in items if item.state.was_intended]
    waiting = [item for item in items if not item.state.was_intended]
    while waiting:
        asked = [
            (item, lookup)
            for item in waiting
            if (lookup := next_lookup(plan, item.values, item.scope, item.link, item.state)) is not None
        ]
        waiting = []
        for (item, lookup), found in zip(asked, listed.of([lookup for _, lookup in asked]), strict=True):
            if found is None:
                unknown.append(item)
                continue
            if isinstance(lookup, QueryMatch):
                item.state = _matched(item.state, lookup, found)
            else:
                item.state = replace(item.state, resource=found[0])
            item.is_listed = True
            waiting.append(item)
    return unknown


async def _look_up(run: Run, plan: ObjectPlan, item: Item, promised: set[tuple[str, str]]) -> None:
    """Asks the target what the decision needs to know; a failure is the object's outcome."""
    endpoint, unread = ENDPOINTS[plan.object_type], UNREAD[plan.object_type]
    began = time.perf_counter()
    listen(item.said)
    try:
        while (lookup := next_lookup(plan, item.values, item.scope, item.link, item.state)) is not None:
            if isinstance(lookup, ReadLinked):
                resource = await run.target.read(endpoint, lookup.target_id, exclude=unread)
                if resource is None and item.link is not None and is_forgotten(item.link, run.context.settings):
                    item.link, item.state = None, replace(item.state, forgotten=lookup.target_id)
                else:
                    item.state = replace(item.state, resource=resource, is_gone=resource is None)
            elif isinstance(lookup, QueryMatch):
                item.state = await _match(run, plan, item, lookup)
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


async def _match(run: Run, plan: ObjectPlan, item: Item, query: QueryMatch) -> TargetState:
    endpoint, unread = ENDPOINTS[plan.object_type], UNREAD[plan.object_type]
    found = await run.target.query(endpoint, query.attribute, query.value, case_exact=query.case_exact, exclude=unread)
    if query in item.state.intended and query not in match_queries(plan, item.values):
        # The name that it had when it was to be created may be somebody else's by now.
        found = [resource for resource in found if is_of_the_attempt(plan, item.state, resource)]
    return _matched(item.state, query, found)


def _matched(state: TargetState, query: QueryMatch, found: Sequence[Mapping[str, Any]]) -> TargetState:
    return replace(state, queries=(*state.queries, (query, len(found))), resource=found[0] if len(found) == 1 else None)


def _claim(run: Run, object_type: ObjectType, items: Iterable[Item], known: Known) -> None:
    """Marks the matches whose target object belongs to another source object already; the first one keeps it.

    What the pages of `known` have claimed counts, and is not in the database yet; the last one is that of the items.
    """
    matched = {
        item.source.id: str(item.state.resource["id"])
        for item in items
        if item.link is None and item.state.resource is not None
    }
    linked = sources_linked_to(run.reader, run.job.id, object_type, list(matched.values()))
    for item in items:
        target_id = matched.get(item.source.id)
        if target_id is not None:
            claimed = (claims.owners[target_id] for claims in known if target_id in claims.owners)
            owner = linked.get(target_id) or next(claimed, item.source.id)
            known[-1].owners.setdefault(target_id, owner)
            if owner != item.source.id:
                item.state = replace(item.state, linked_to=owner)


async def _export(run: Run, plan: ObjectPlan, item: Item, known: Known, gate: PageGate | None) -> None:
    """Sends the decision's request, if it has one, and notes the outcome."""
    decision = item.decision
    if decision is None or item.outcome is not None:
        return
    if gate is not None and not gate.admits(
        Considered(item.source, item.values, item.scope, item.link, item.state, decision)
    ):
        return
    if decision.request is None:
        item.outcome = Outcome(decision.status, decision.target_id, decision.problem)
        return
    began = time.perf_counter()
    run.check_owned()
    listen(item.said)
    try:
        target_id = await _send(run, item.source.object_type, decision)
    except TargetUnusableError:
        raise
    except TargetError as error:
        if item.is_listed and error.status in OUTDATED:
            await _export_anew(run, plan, item, known, gate)
            return
        item.outcome = _failed(error, item, began)
        # A conflict with an account that an earlier attempt may have made says nothing about that attempt.
        item.is_refused = not item.state.was_intended and error.status is not None and error.status < 500
        return
    item.outcome = Outcome(Status.SUCCESS, target_id, None, _milliseconds(began), exported=True)
    known[-1].owners.setdefault(target_id, item.source.id)


async def _export_anew(run: Run, plan: ObjectPlan, item: Item, known: Known, gate: PageGate | None) -> None:
    """Decides by what the target says now: what was known of it is not true any more."""
    item.is_listed, item.decision = False, None
    former = item.state
    item.state = TargetState(intended=former.intended, unique=former.unique, forgotten=former.forgotten)
    await _look_up(run, plan, item, set())
    if item.outcome is None:
        _claim(run, plan.object_type, [item], known)
        item.decision = decide(item.source, item.values, item.scope, item.link, item.state, plan, run.context.settings)
        if isinstance(item.decision.request, Create):
            await _announce(run, plan, [item])
        await _export(run, plan, item, known, gate)


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


def _commit(run: Run, plan: ObjectPlan, items: list[Item], listed: Answers | None) -> Commit:
    object_type = plan.object_type

    # What needs nothing of the database is made here, while the page before is committed.
    now, request_log = run.clock(), run.request_log(object_type)
    rows: list[PackedRow] = []
    linked: list[str] = []
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
            if _is_entering(item):
                linked.append(item.source.id)
            if is_changed(item.link, outcome.target_id, decision.link):
                changes.append((item.source.id, outcome.target_id, decision.link))
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
        Journal(connection, run.log).write_all(rows)
        change_links(connection, run.job.id, object_type, changes, now)
        deletions.settle(connection, run.job.id, [item.source.id for item in items if not item.is_held])
        forget_intents(connection, run.job.id, [item.source.id for item in items if _is_settled(item)])
        if listed is not None:
            written = [_written(plan, item) for item in items if item.outcome and item.outcome.exported]
            census.note_written(connection, run.cycle.id, object_type, [each for each in written if each[0]])
        seen_references.note_read(connection, run, held)
        seen_references.note_unwanted(connection, run, unwanted)
        seen_references.note_gone(connection, run, [id_ for id_, _, change in changes if change is LinkChange.DROP])
        references.note_linked(connection, run, object_type, linked)
        references.note_seen(connection, run, object_type, [i.source.id for i in items if i.scope.in_scope])

    return commit


def _row(
    run: Run, item: Item, decision: Decision, outcome: Outcome, now: datetime, request_log: RequestLog
) -> PackedRow:
    requests = request_log.kept(item.said, decision.changes, failed=outcome.status is Status.FAILURE)
    return packed_row(build_entry(run.log, run.cycle.kind, item.source, decision, outcome, to_iso(now), requests))


def _is_settled(item: Item) -> bool:
    """What became of the object in the target is known."""
    if item.is_held:
        return False
    return item.is_refused or (item.outcome is not None and item.outcome.status is not Status.FAILURE)


def _written(plan: ObjectPlan, item: Item) -> tuple[str, Sequence[QueryMatch]]:
    """Target id, and what it is found by from now on."""
    assert item.outcome is not None
    asked = [query for query, _ in item.state.queries]
    is_new = item.decision is not None and isinstance(item.decision.request, Create)
    return item.outcome.target_id or "", asked if is_new else match_queries(plan, item.values)


def _is_entering(item: Item) -> bool:
    """The object becomes a target for references: newly linked, or managed and enabled again."""
    decision = item.decision
    if decision is None or decision.link is not LinkChange.MANAGE:
        return False
    return item.link is None or not item.link.is_managed or item.link.is_disabled


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
