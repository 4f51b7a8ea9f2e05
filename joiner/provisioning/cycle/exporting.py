"""From a page's objects to what was sent for them: look up, decide, export.

Everything that decides is elsewhere and pure (`matching`, `decide`); here is the order of things.
"""

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from joiner.provisioning.client.failures import NamelessError, TargetError, TargetUnusableError
from joiner.provisioning.client.recorder import Masking, listen
from joiner.provisioning.cycle import census, pending_references
from joiner.provisioning.cycle.census import Answers
from joiner.provisioning.cycle.items import Item
from joiner.provisioning.cycle.run import ENDPOINTS, UNREAD, Claims, Page, PageResult, Run
from joiner.provisioning.cycle.settling import commit_of, counts_of
from joiner.provisioning.cycle.side_by_side import side_by_side
from joiner.provisioning.decisions import wire
from joiner.provisioning.decisions.decide import decide
from joiner.provisioning.decisions.decision import (
    Action,
    Create,
    Decision,
    Delete,
    LinkChange,
    Modify,
    ObjectType,
    Problem,
    QueryMatch,
    ReadLinked,
    Status,
    Step,
    TargetState,
)
from joiner.provisioning.decisions.matching import is_forgotten, is_of_the_attempt, next_lookup
from joiner.provisioning.job.links import change_links, forget_intents, intend, sources_linked_to
from joiner.provisioning.log.exchanges import redacted_texts
from joiner.provisioning.log.journal import Outcome
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.ports import PageGate, watched

Known = Sequence[Claims]
"""The claims of the pages that are not committed yet, the one at hand last."""
OUTDATED: Final = frozenset({404, 409, 410})
"""Answers that say that the census is not true any more: somebody else has written to the target meanwhile."""


@dataclass(slots=True)
class Decided:
    """What there is to know of a page's items beside themselves."""

    plan: ObjectPlan
    known: Known
    waiting: Sequence[Item]
    """Not decided yet: what they are looked for by is about to be written for others."""
    listed: Answers | None


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


async def begin_page(run: Run, decided: Decided, items: Sequence[Item], cursor: str, is_last: bool) -> Page:
    """The page of these of the items; finishing it exports them, and its `commit` writes all that followed."""
    plan, known = decided.plan, decided.known
    gate = run.gate.page() if run.gate is not None else None
    creates = await _announce(run, plan, items, gate)

    async def finish() -> PageResult:
        ready = [item for item in items if item.decision is not None]
        failure = await side_by_side(lambda item: _export(run, plan, item, known, gate), ready, run.at_once)
        if failure is None:
            # What these are found by has just been written for others.
            failure = await side_by_side(lambda item: _export_anew(run, plan, item, known, gate), decided.waiting, 1)
        _check_new(run, plan.object_type, items, known)
        done = [item for item in items if item.outcome is not None]
        commit = commit_of(run, plan, done, decided.listed)
        return PageResult(cursor, is_last, watched(gate, commit), counts_of(done), failure=failure)

    def abandon(connection: sqlite3.Connection) -> None:
        forget_intents(connection, run.job.id, [item.source.id for item in creates if not item.state.was_intended])

    return Page(cursor, is_last, finish, known[-1], abandon=abandon)


def _decide(run: Run, plan: ObjectPlan, item: Item, known: Known) -> bool:
    """Decides on the item; False if that has to wait, because what it was looked for by is about to be written."""
    if item.outcome is not None:
        return True
    asked = [_key(query) for query, _ in item.state.queries]
    if item.scope.in_scope and any(not claims.written.isdisjoint(asked) for claims in known):
        return False
    item.decision = decide(item.source, item.values, item.scope, item.link, item.state, plan, run.context.settings)
    match item.decision.request:
        case Create():
            known[-1].written.update(asked)
        case Modify():
            known[-1].written.update(map(_key, item.queries()))
    return True


async def _announce(run: Run, plan: ObjectPlan, items: Sequence[Item], gate: PageGate | None) -> Sequence[Item]:
    """Writes down what is about to be created or deleted, and links what is about to be taken over or enabled again:
    should the process die before it knows what became of an account, it still ends when its owner leaves, and one that
    is gone is made again when its owner comes back. Returns the creates."""
    if run.sends_nothing:
        return ()
    creates = [item for item in items if isinstance(item.request, Create) and _is_allowed(item, gate)]
    linked = [(item, change) for item in items if (change := item.change_before_sending) and _is_allowed(item, gate)]
    if not creates and not linked:
        return ()
    queries = {item.source.id: [query for query, _ in item.state.queries] for item in creates}
    links = [(item.source.id, *change) for item, change in linked]
    entering = [item for item, (_, change) in linked if change is LinkChange.MANAGE]
    enabled = [item.source.id for item in entering if item.is_entering]
    returned = [item.source.id for item in entering if item.link is not None]
    object_type, now = plan.object_type, run.clock()

    def announce(connection: sqlite3.Connection) -> None:
        run.check_owned(connection)
        intend(connection, run.job.id, run.cycle.id, object_type, queries)
        change_links(connection, run.job.id, object_type, links, now)
        pending_references.note_returned(connection, run, object_type, returned)
        pending_references.note_linked(connection, run, object_type, enabled)

    await run.db.write(announce)
    for item in entering:
        item.is_linked_ahead = True
    return creates


def _is_allowed(item: Item, gate: PageGate | None) -> bool:
    return gate is None or gate.allows(item.considered())


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
            if (lookup := next_lookup(plan, item.values, item.scope, item.link, item.state, item.queries)) is not None
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
        while (lookup := next_lookup(plan, item.values, item.scope, item.link, item.state, item.queries)) is not None:
            if isinstance(lookup, ReadLinked):
                resource = await run.target.read(endpoint, lookup.target_id, exclude=unread)
                link, settings = item.link, run.context.settings
                if resource is None and link is not None and is_forgotten(link, plan.object_type, settings):
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
        item.outcome = _failed(error, item, _milliseconds(began))


async def _match(run: Run, plan: ObjectPlan, item: Item, query: QueryMatch) -> TargetState:
    endpoint, unread = ENDPOINTS[plan.object_type], UNREAD[plan.object_type]
    found = await run.target.query(endpoint, query.attribute, query.value, case_exact=query.case_exact, exclude=unread)
    if query in item.state.intended and query not in item.queries():
        # The name that it had when it was to be created may be somebody else's by now.
        found = [resource for resource in found if is_of_the_attempt(plan, item.state, resource)]
    return _matched(item.state, query, found)


def _matched(state: TargetState, query: QueryMatch, found: Sequence[Mapping[str, Any]]) -> TargetState:
    return replace(
        state,
        queries=(*state.queries, (query, len(found))),
        found=tuple(str(resource["id"]) for resource in found),
        resource=found[0] if len(found) == 1 else None,
    )


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
            owner = linked.get(target_id) or _claimant(known, target_id) or item.source.id
            known[-1].owners.setdefault(target_id, owner)
            if owner != item.source.id:
                item.state = replace(item.state, linked_to=owner)


def _claimant(known: Known, target_id: str) -> str | None:
    return next((claims.owners[target_id] for claims in known if target_id in claims.owners), None)


def _check_new(run: Run, object_type: ObjectType, items: Iterable[Item], known: Known) -> None:
    """Fails the creates that were answered with an account that is somebody else's."""
    created = [(target_id, item) for item in items if (target_id := item.created_id) is not None]
    linked = sources_linked_to(run.reader, run.job.id, object_type, [target_id for target_id, _ in created])
    for target_id, item in created:
        owner = linked.get(target_id) or _claimant(known, target_id)
        if owner not in (None, item.source.id) and item.outcome is not None:
            answered = f"the application answered the create with '{target_id}'"
            error = TargetError("DuplicateSourceEntries", f"{answered}, which is linked to the source object '{owner}'")
            item.outcome = _failed(error, item, item.outcome.milliseconds)


async def _export(run: Run, plan: ObjectPlan, item: Item, known: Known, gate: PageGate | None) -> None:
    """Sends the decision's request, if it has one, and notes the outcome."""
    decision = item.decision
    if decision is None or item.outcome is not None:
        return
    if gate is not None and not gate.admits(item.considered()):
        return
    if decision.request is None:
        item.outcome = Outcome(decision.status, decision.target_id, decision.problem)
        return
    began = time.perf_counter()
    run.check_owned()
    listen(item.said)
    try:
        target_id = await _send(run, item, decision)
    except TargetUnusableError:
        raise
    except TargetError as error:
        if item.is_listed and error.status in OUTDATED:
            await _export_anew(run, plan, item, known, gate)
            return
        item.outcome = _failed(error, item, _milliseconds(began))
        item.is_gone = error.status in (404, 410)
        # A conflict with an account that an earlier attempt may have made says nothing about that attempt.
        item.is_refused = not item.state.was_intended and error.is_without_effect
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
        await _announce(run, plan, [item], gate)
        await _export(run, plan, item, known, gate)


async def _send(run: Run, item: Item, decision: Decision) -> str:
    endpoint = ENDPOINTS[item.source.object_type]
    match decision.request:
        case Create(resource):
            body = wire.create_body(run.context.dialect, item.source.object_type, resource)
            try:
                return await run.target.create(endpoint, body)
            except NamelessError as error:
                return await _find_created(run, item, error)
        case Modify(target_id, modifications):
            operations = wire.operations_of(run.context.dialect, modifications)
            await run.target.modify(endpoint, target_id, wire.patch_body(operations))
            return target_id
        case Delete(target_id):
            await run.target.delete(endpoint, target_id)
            return target_id
    raise AssertionError("a decision without a request is not sent")


async def _find_created(run: Run, item: Item, error: NamelessError) -> str:
    """The id of what was just created: before, nothing was found by any matching attribute."""
    endpoint, unread = ENDPOINTS[item.source.object_type], UNREAD[item.source.object_type]
    for query in item.queries():
        try:
            found = await run.target.query(
                endpoint, query.attribute, query.value, case_exact=query.case_exact, exclude=unread
            )
        except TargetUnusableError:
            raise
        except TargetError:
            break
        if len(found) == 1:
            return str(found[0]["id"])
    # It is looked for again in the next cycle.
    raise error


def _failed(error: TargetError, item: Item, milliseconds: int) -> Outcome:
    target_id = item.link.target_id if item.link else None
    # Some answer by repeating what they were sent.
    hidden = redacted_texts(item.decision.changes) if item.decision is not None else []
    problem = Problem(error.code, Masking((), hidden).text(error.reason))
    return Outcome(Status.FAILURE, target_id, problem, milliseconds)


def _milliseconds(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
