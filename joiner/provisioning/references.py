"""Managers and group members: references between target objects, written once both ends exist.

Whatever may have changed a reference leaves a row in `pending_reference`; the phase works the rows off by comparing
what the directory holds with what was exported. So a member or manager that comes into scope later is set in the
cycle that links it (REQ-P-108), a failed one stays pending, and a membership that did not change costs nothing.

The statements here join the directory's tables with the engine's: both live in the directory side's database.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import orjson

from joiner.clock import to_iso
from joiner.errors import InvalidStateError
from joiner.provisioning import deletions, wire
from joiner.provisioning.client.batches import batches
from joiner.provisioning.client.recorder import Said, listen
from joiner.provisioning.decision import (
    Action,
    Change,
    Decision,
    Modification,
    ObjectType,
    Problem,
    SourceObject,
    Status,
    Step,
    Verb,
)
from joiner.provisioning.failures import TargetError, TargetUnusableError
from joiner.provisioning.journal import MOST_CHANGES, Outcome, build_entry, given_up
from joiner.provisioning.journal_rows import Journal, PackedRow, extended, packed_row
from joiner.provisioning.links import escrow, escrowed, hurry_references, release
from joiner.provisioning.modes import is_on
from joiner.provisioning.plan import AttributeFlow
from joiner.provisioning.ports import DecidedReference, watched
from joiner.provisioning.rows import write_rows
from joiner.provisioning.run import ENDPOINTS, REFERENCES_PER_PAGE, Claims, Page, PageResult, Run
from joiner.provisioning.window import side_by_side

MEMBERS: Final = "members"
MANAGER: Final = "manager"
FOREVER: Final = "9999"
UNRESOLVED: Final = "UnableToResolveReferenceAttributeValue"
NAMED_AT_MOST: Final = 5

PAGE: Final = """
SELECT p.source_id, p.attribute, p.related_id,
       own.target_id AS own_target, own.object_type AS object_type,
       own.is_managed AND NOT own.is_disabled AND removal.source_id IS NULL AS own_is_active,
       removal.source_id IS NOT NULL AS own_is_leaving,
       iif(p.attribute = 'members', coalesce(g.display_name, ''), coalesce(u.user_principal_name, '')) AS own_name,
       e.target_value AS exported, i.target_value AS attempted,
       iif(p.attribute = 'members', m.member_id, u.manager_id) AS wanted_id,
       coalesce(m.member_type, 'User') AS wanted_type,
       iif(other.is_managed AND NOT other.is_disabled, other.target_id, NULL) AS wanted_target,
       other.target_id AS wanted_link,
       coalesce(ru.user_principal_name, rg.display_name, p.related_id) AS related_name,
       coalesce(NOT s.is_allowed, 0) AS is_held
FROM pending_reference p
LEFT JOIN link own ON own.job_id = p.job_id AND own.source_id = p.source_id
LEFT JOIN removal ON removal.cycle_id = :cycle AND removal.object_type = own.object_type
     AND removal.source_id = p.source_id
LEFT JOIN exported_reference e ON e.job_id = p.job_id AND e.source_id = p.source_id
     AND e.attribute = p.attribute AND e.related_id = p.related_id
LEFT JOIN reference_intent i ON i.job_id = p.job_id AND i.source_id = p.source_id
     AND i.attribute = p.attribute AND i.related_id = p.related_id
LEFT JOIN membership m ON p.attribute = 'members' AND m.group_id = p.source_id AND m.member_id = p.related_id
LEFT JOIN grp g ON p.attribute = 'members' AND g.id = p.source_id
LEFT JOIN user u ON p.attribute = 'manager' AND u.id = p.source_id
LEFT JOIN link other ON other.job_id = p.job_id
     AND other.source_id = iif(p.attribute = 'members', p.related_id, u.manager_id)
LEFT JOIN user ru ON ru.id = iif(p.attribute = 'members', p.related_id, u.manager_id)
LEFT JOIN grp rg ON p.attribute = 'members' AND rg.id = p.related_id
LEFT JOIN staged_removal s ON s.job_id = p.job_id AND s.source_id = p.source_id AND s.related_id = p.related_id
     AND p.attribute = 'members'
LEFT JOIN escrow x ON x.job_id = p.job_id AND x.source_id = p.source_id AND x.is_reference = 1
WHERE p.job_id = :job AND (p.source_id, p.attribute, p.related_id) > (:source, :attribute, :related)
  AND (x.next_attempt IS NULL OR x.next_attempt <= :due) {restriction}
ORDER BY p.source_id, p.attribute, p.related_id
LIMIT :limit
"""
CYCLE: Final = PAGE.format(restriction="")
ONE_OBJECT: Final = PAGE.format(
    restriction="AND p.source_id <= :source AND (p.attribute <> 'members' OR p.related_id IN"
    " (SELECT value FROM json_each(:members)))"
)
"""The pending references of one object, of its members only those named."""


ATTEMPT: Final = "REPLACE INTO reference_intent VALUES {rows}"
EXPORTED: Final = "REPLACE INTO exported_reference VALUES {rows}"
FORGET_PENDING, FORGET_EXPORTED, FORGET_ATTEMPTS = (
    "WITH gone (job_id, source_id, attribute, related_id) AS (VALUES {rows})"
    f" DELETE FROM {table} WHERE (job_id, source_id, attribute, related_id) IN gone"
    for table in ("pending_reference", "exported_reference", "reference_intent")
)
FORGET_STAGED: Final = (
    "WITH gone (job_id, source_id, related_id) AS (VALUES {rows})"
    " DELETE FROM staged_removal WHERE (job_id, source_id, related_id) IN gone"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """One row of `PAGE`, its columns in this order: what a reference is, and what it should be."""

    source_id: str
    attribute: str
    related_id: str
    """The member; '' for the manager."""
    own_target: str | None
    object_type: ObjectType
    own_is_active: bool
    """Linked, in scope, and not about to be taken away in this cycle: nothing else gets references."""
    own_is_leaving: bool
    """About to be taken away in this cycle, which may fail or turn out to be wrong: its references stay pending."""
    own_name: str
    exported: str | None
    """The target value that was written last."""
    attempted: str | None
    """The target value that a write of unknown outcome added or removed: whatever `exported` says, it is written."""
    wanted_id: str | None
    """The source object that the directory names now; None: no such reference any more."""
    wanted_type: str
    wanted_target: str | None
    """The target id to write; None: the object is not in scope or not linked."""
    wanted_link: str | None
    """As `wanted_target`, but also of an object that has left the scope since it was linked."""
    related_name: str
    is_held: bool
    """The guard against accidental deletions holds the removal back."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.source_id, self.attribute, self.related_id

    @property
    def is_unresolved(self) -> bool:
        missing = self.own_is_active and self.wanted_id is not None and self.wanted_target is None
        return missing and (self.held is None or self.is_outdated)

    @property
    def held(self) -> str | None:
        """What the target holds, or may hold."""
        return self.exported if self.exported is not None else self.attempted

    @property
    def is_outdated(self) -> bool:
        """The target still names whom the directory named before."""
        return self.held is not None and self.held != self.wanted_link

    @property
    def is_settled(self) -> bool:
        """There is nothing to write."""
        return self.adds is None and self.removes is None and not self.own_is_leaving and not self.is_held

    @property
    def is_nested_group(self) -> bool:
        return self.wanted_type == "Group"

    @property
    def adds(self) -> str | None:
        """The target value to write, None if there is nothing to write."""
        if not self.own_is_active or self.wanted_id is None or self.is_nested_group:
            return None
        return self.wanted_target if self.wanted_target != self.exported or self.attempted is not None else None

    @property
    def removes(self) -> str | None:
        """The target value to take away, None if there is nothing to take away."""
        # Who is only disabled stays a member, or the manager (REQ-P-109): the directory still names it.
        is_gone = self.wanted_id is None or (self.wanted_target is None and self.is_outdated)
        return self.held if self.own_is_active and is_gone and not self.is_held else None

    @property
    def decided(self) -> DecidedReference:
        verb: Verb | None = "add" if self.adds is not None else "remove" if self.removes is not None else None
        own, names = (self.own_name, self.own_target or ""), (self.wanted_id, self.related_name)
        what = self.attribute, self.related_id
        return DecidedReference(self.object_type, self.source_id, *own, *what, *names, verb, self.is_held)


async def references_page(run: Run, cursor: str, before: Sequence[Claims]) -> Page:
    """The pending references in order of their objects, after `cursor`."""
    source_id, attribute, related_id = cursor.split(" ") if cursor else ("", "", "")
    window = {"source": source_id, "attribute": attribute, "related": related_id}
    return await _page(run, CYCLE, window, cursor)


async def references_of(run: Run, source_id: str, member_ids: Sequence[str]) -> PageResult:
    """The pending references of one object; of a group's members only these."""
    window = {"source": source_id, "attribute": "", "related": "", "members": orjson.dumps(member_ids).decode()}
    page = await _page(run, ONE_OBJECT, window, "")
    return await page.finish()


async def _page(run: Run, sql: str, window: Mapping[str, str], cursor: str) -> Page:
    # An attempt to get out of quarantine, and a run on demand, try whatever failed.
    due = run.cycle.began_at if not run.job.quarantine and sql is CYCLE else FOREVER
    fixed = {"job": run.job.id, "cycle": run.cycle.id, "due": due, "limit": REFERENCES_PER_PAGE}
    rows = run.reader.execute(sql, {**fixed, **window}).fetchall()
    found = [_reference(row) for row in rows]
    gate = run.gate.page() if run.gate is not None else None
    references = found if gate is None else [item for item in found if gate.admits_reference(item.decided)]
    if sql is CYCLE and run.cycle.plan is None and any(item.removes is not None for item in references):
        young = deletions.not_weighed(run)
        references = [item for item in references if item.removes is None or item.key[::2] not in young]
    # What no mapping writes any more is left as it is, in the target too.
    mapped = {attribute for attribute in (MEMBERS, MANAGER) if _is_mapped(run, attribute)}
    unmapped = [reference for reference in references if reference.attribute not in mapped]
    by_object: dict[tuple[str, str], list[Reference]] = defaultdict(list)
    for reference in (item for item in references if item.attribute in mapped):
        by_object[reference.source_id, reference.attribute].append(reference)
    works = [Work(run, items) for items in by_object.values()]
    last = " ".join(found[-1].key) if found else cursor
    is_last = len(rows) < REFERENCES_PER_PAGE
    await _announce(run, [attempt for work in works for attempt in work.attempts()])

    def commit(connection: sqlite3.Connection) -> None:
        _settle(connection, run, unmapped, works)
        failed_before = escrowed(connection, run.job.id, [id_ for id_, _ in by_object], is_reference=True)
        told = {work: work.settle(connection, was_escrowed=work.source_id in failed_before) for work in works}
        _log(Journal(connection, run.log), told)

    async def finish() -> PageResult:
        # Different objects go side by side; the batches of one object stay in order.
        failure = await side_by_side(Work.export, works, run.at_once)
        counts = {
            "reference_deltas": len(references),
            "exports": sum(work.number_exported + work.number_failed for work in works),
            "exported": sum(work.number_exported for work in works),
            "escrowed": sum(work.number_failed > 0 for work in works),
        }
        return PageResult(last, is_last, watched(gate, commit), counts, failure=failure)

    def abandon(connection: sqlite3.Connection) -> None:
        new = [item for work in works for item in work.changes if item.attempted is None]
        write_rows(connection, FORGET_ATTEMPTS, [(run.job.id, *item.key) for item in new])

    return Page(last, is_last, finish, abandon=abandon)


async def _announce(run: Run, attempts: Sequence[tuple[str, ...]]) -> None:
    """Writes down what is about to be written."""
    if not attempts:
        return

    def announce(connection: sqlite3.Connection) -> None:
        run.check_owned(connection)
        write_rows(connection, ATTEMPT, attempts)

    await run.db.write(announce)


class Work:
    """The references of one object and attribute within a page: exported in batches, then committed."""

    def __init__(self, run: Run, references: Sequence[Reference]) -> None:
        self._run = run
        self._references = references
        self._first = references[0]
        self._held = [item for item in references if item.is_held]
        self._done: list[Reference] = [item for item in references if item.is_settled]
        self._written: list[Reference] = []
        self._unwritten: list[Reference] = []
        self._problem: Problem | None = None
        self._said: list[Said] = []

    @property
    def source_id(self) -> str:
        return self._first.source_id

    @property
    def settled(self) -> Sequence[Reference]:
        """What the target holds as the directory wants it."""
        return [*self._done, *self._written]

    @property
    def written(self) -> Sequence[Reference]:
        return self._written

    @property
    def tried(self) -> Sequence[Reference]:
        """Those of which it is known whether they are written. That a manager is gone is known when a read shows it:
        the target may have lost what it acknowledged. Members are not read."""
        known = (item for item in self._written if item.attribute == MEMBERS or item.wanted_id is not None)
        return [*known, *self._unwritten]

    @property
    def changes(self) -> Sequence[Reference]:
        """Those that are about to be written."""
        return [item for item in self._references if item.adds is not None or item.removes is not None]

    @property
    def number_exported(self) -> int:
        return len(self._written)

    @property
    def number_failed(self) -> int:
        if self._problem is None:
            return 0
        return len(self._references) - len(self._done) - len(self._held) - len(self._written)

    def attempts(self) -> list[tuple[str, ...]]:
        """Rows of `reference_intent`: what `export` is about to write."""
        changes = ((item, item.adds or item.removes) for item in self._references)
        return [(self._run.job.id, *item.key, value) for item, value in changes if value is not None]

    async def export(self) -> None:
        """Sends the changes; a refusal is kept for the log, and its references stay pending."""
        added = [item for item in self._references if item.adds is not None]
        removed = [item for item in self._references if item.adds is None and item.removes is not None]
        waiting = batches(added, removed, self._run.context.profile)
        listen(self._said)
        for batch in waiting:
            operations = self._operations(batch)
            self._run.check_owned()
            try:
                await self._run.target.modify(
                    ENDPOINTS[self._first.object_type],
                    str(self._first.own_target),
                    wire.patch_body(operations),
                )
            except TargetUnusableError:
                raise
            except TargetError as error:
                self._problem = Problem(error.code, error.reason)
                refused = batch if error.status is not None and error.status < 500 else []
                self._unwritten.extend(item for item in chain(refused, *waiting) if item.attempted is None)
                return
            self._written.extend(batch)

    def settle(self, connection: sqlite3.Connection, *, was_escrowed: bool) -> Sequence[Step]:
        """Keeps a failure for another try; returns what the log has to say."""
        run = self._run
        steps = [*self._unresolved_steps(), *self._held_steps(), *self._export_steps()]
        if self._problem is None:
            if was_escrowed:
                # Also if there is nothing left to write: what failed before is no longer wanted.
                release(connection, run.job.id, self._first.source_id, is_reference=True)
        elif not self._escrow(connection, self._problem):
            steps.append(given_up(self._source()))
        return () if run.log.only_failures and self._problem is None else steps

    def logged(self, row: PackedRow | None, steps: Sequence[Step]) -> PackedRow:
        """The object's row in the log, given the one that it has."""
        run, first = self._run, self._first
        if row is None:
            is_only_held = self._held and not self._written and self._problem is None
            action = Action.STAGED_DELETE if is_only_held else Action.UPDATE
            decision = Decision(action, Status.SUCCESS, (), target_id=first.own_target)
            outcome = Outcome(Status.SUCCESS if self._written else Status.SKIPPED, first.own_target)
            row = packed_row(
                build_entry(run.log, run.cycle.kind, self._source(), decision, outcome, to_iso(run.clock()))
            )
        changes = [self._change(item) for item in self._written[:MOST_CHANGES]]
        requests = run.request_log(first.object_type).kept(self._said, failed=self._problem is not None)
        return extended(row, steps, changes, self._problem or self._unresolved_problem(), requests)

    def _escrow(self, connection: sqlite3.Connection, problem: Problem) -> bool:
        """Keeps what failed for another try; False if it is dropped, with all that was pending, after 28 days."""
        first, job_id = self._first, self._run.job.id
        kept = escrow(
            connection, job_id, first.source_id, first.object_type, problem, self._run.clock(), is_reference=True
        )
        if not kept:
            connection.execute(
                "DELETE FROM pending_reference WHERE job_id = ? AND source_id = ? AND attribute = ?",
                (job_id, first.source_id, first.attribute),
            )
        return kept

    def _operations(self, batch: Sequence[Reference]) -> list[dict[str, Any]]:
        dialect = self._run.context.dialect
        if self._first.attribute == MEMBERS:
            added = [item.adds for item in batch if item.adds is not None]
            removed = [item.removes for item in batch if item.removes is not None]
            by_value = self._run.context.profile.removes_by_value(dialect)
            return wire.member_operations(dialect, added, removed, by_value=by_value)
        reference = batch[0]
        path = _flow_of(self._run, self._first).path
        if reference.adds is None:
            return wire.operations_of(dialect, [Modification(path, "remove")])
        verb: Verb = "add" if reference.exported is None else "replace"
        return wire.operations_of(dialect, [Modification(path, verb, {"value": reference.adds})])

    def _source(self) -> SourceObject:
        first = self._first
        return SourceObject(first.object_type, first.source_id, first.own_name, {}, True, False)

    def _held_steps(self) -> list[Step]:
        if not self._held:
            return []
        names = ", ".join(item.related_name for item in self._held[:NAMED_AT_MOST])
        more = f" and {len(self._held) - NAMED_AT_MOST} more" if len(self._held) > NAMED_AT_MOST else ""
        text = f"the removal of {names}{more} from {self._first.own_name} is held back until an administrator allows it"
        details = {"SkipReason": "TooManyDeletes"}
        return [Step("EntrySynchronizationSkip", "referenceResolution", Status.SKIPPED, text, details)]

    def _unresolved_problem(self) -> Problem | None:
        unresolved = [item for item in self._references if item.is_unresolved or _is_skipped_group(item)]
        if not unresolved:
            return None
        names = ", ".join(item.related_name for item in unresolved[:NAMED_AT_MOST])
        more = f" and {len(unresolved) - NAMED_AT_MOST} more" if len(unresolved) > NAMED_AT_MOST else ""
        return Problem(
            UNRESOLVED,
            f"unable to assign {names}{more} as the {self._first.attribute} of {self._first.own_name}",
        )

    def _unresolved_steps(self) -> list[Step]:
        problem = self._unresolved_problem()
        if problem is None:
            return []
        nested = any(_is_skipped_group(item) for item in self._references)
        why = "groups inside of groups are not provisioned" if nested else "not in scope"
        text = f"{problem.reason}: {why}"
        return [
            Step(
                "EntrySynchronizationUpdate",
                "referenceResolution",
                Status.WARNING,
                text,
                {"ErrorCode": UNRESOLVED},
            )
        ]

    def _export_steps(self) -> list[Step]:
        steps = []
        told, attribute = f"{self._first.object_type} '{self._first.own_name}'", self._first.attribute
        if self._written:
            added = sum(item.adds is not None for item in self._written)
            removed = len(self._written) - added
            parts = [f"{n} {word}" for n, word in ((added, "added"), (removed, "removed")) if n]
            what = "was set" if attribute == MANAGER and added else ", ".join(parts)
            text = f"{told}: {attribute} {what} in {self._run.log.target_system['displayName']}"
            steps.append(Step("EntryExportUpdate", "export", Status.SUCCESS, text))
        if self._problem is not None:
            text = f"{told}: {attribute} could not be written: {self._problem.reason}"
            steps.append(Step("EntryExportUpdate", "export", Status.FAILURE, text, {"ErrorCode": self._problem.code}))
        return steps

    def _change(self, item: Reference) -> Change:
        target = _flow_of(self._run, item).target
        return Change(target, None, item.related_name) if item.adds else Change(target, item.related_name, None)


def _log(journal: Journal, told: Mapping[Work, Sequence[Step]]) -> None:
    rows = journal.rows_of([work.source_id for work, steps in told.items() if steps])
    changed: dict[str, PackedRow] = {}
    for work, steps in told.items():
        if steps:
            changed[work.source_id] = work.logged(changed.get(work.source_id, rows.get(work.source_id)), steps)
    journal.write_all(list(changed.values()))


def _settle(connection: sqlite3.Connection, run: Run, unmapped: Iterable[Reference], works: Iterable[Work]) -> None:
    """Writes what is now known of the target, and what is no longer pending."""
    job_id = run.job.id
    written = [item for work in works for item in work.written]
    write_rows(connection, EXPORTED, [(job_id, *item.key, item.adds) for item in written if item.adds is not None])
    gone = [(job_id, *item.key) for item in written if item.removes is not None]
    write_rows(connection, FORGET_EXPORTED, gone)
    tried = [(job_id, *item.key) for work in works for item in work.tried]
    write_rows(connection, FORGET_ATTEMPTS, tried)
    settled = [item for work in works for item in work.settled]
    members = [(job_id, item.source_id, item.related_id) for item in settled if item.attribute == MEMBERS]
    write_rows(connection, FORGET_STAGED, members)
    done = [(job_id, *item.key) for item in chain(unmapped, settled)]
    write_rows(connection, FORGET_PENDING, done)


def _is_skipped_group(item: Reference) -> bool:
    return item.own_is_active and item.wanted_id is not None and item.is_nested_group


def _flow_of(run: Run, reference: Reference) -> AttributeFlow:
    plan = run.plan_of(reference.object_type)
    for flow in plan.references if plan else ():
        if flow.source_attribute == reference.attribute:
            return flow
    raise InvalidStateError(f"no mapping writes '{reference.attribute}' of {reference.object_type}")


def _reference(row: sqlite3.Row) -> Reference:
    values = list(row)
    values[4] = values[4] or "Group"
    for place in (5, 6, 15):
        values[place] = bool(values[place])
    return Reference(*values)


# Leaving work for the phase


def note_linked(connection: sqlite3.Connection, run: Run, object_type: ObjectType, source_ids: Sequence[str]) -> None:
    """Objects that references can now point to, or come from: everything around them is pending."""
    if not source_ids:
        return
    marks = ", ".join("?" * len(source_ids))
    statements = LINKED[object_type] if _is_mapped(run, MEMBERS) else LINKED_USERS_ONLY[object_type]
    if object_type == "User" and not is_on(run.job.settings, "lateReferences"):
        # As documented: only the object's own references are looked at, not those of others to it.
        statements = statements[:1]
    for sql in statements:
        connection.execute(sql.format(marks=marks), (run.job.id, *source_ids))


def note_seen(connection: sqlite3.Connection, run: Run, object_type: ObjectType, source_ids: Sequence[str]) -> None:
    """Objects that were looked at: a reference that differs from what was exported is pending."""
    if not source_ids:
        return
    marks = ", ".join("?" * len(source_ids))
    if object_type == "User" and _is_mapped(run, MANAGER):
        connection.execute(SEEN_MANAGERS.format(marks=marks), (run.job.id, *source_ids))
    if object_type == "Group" and run.is_initial and _is_mapped(run, MEMBERS):
        for sql in SEEN_MEMBERS:
            connection.execute(sql.format(marks=marks), (run.job.id, *source_ids))
    hurry_references(connection, run.job.id, source_ids, run.clock())


def note_members(connection: sqlite3.Connection, run: Run, group_id: str, member_ids: Sequence[str]) -> None:
    """These members of the group are to be looked at, whatever has changed of them."""
    connection.executemany(NOTE_MEMBER, ((run.job.id, group_id, member_id) for member_id in member_ids))


def note_changed_memberships(connection: sqlite3.Connection, run: Run) -> None:
    """The memberships that the directory's change feed names for this cycle."""
    if run.is_initial or not _is_mapped(run, MEMBERS):
        return
    changed = list(run.directory.changed_memberships(run.window))
    hurry_references(connection, run.job.id, {group_id for group_id, _ in changed}, run.clock())
    connection.executemany(NOTE_MEMBER, ((run.job.id, group_id, member_id) for group_id, member_id in changed))


def count_pending(connection: sqlite3.Connection, job_id: str) -> int:
    number: int = connection.execute("SELECT count(*) FROM pending_reference WHERE job_id = ?", (job_id,)).fetchone()[0]
    return number


def _is_mapped(run: Run, attribute: str) -> bool:
    object_type: ObjectType = "Group" if attribute == MEMBERS else "User"
    plan = run.plan_of(object_type)
    return plan is not None and any(flow.source_attribute == attribute for flow in plan.references)


FORMER_MEMBERS: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, e.source_id, 'members', e.related_id FROM exported_reference e"
    " WHERE e.job_id = ?1 AND e.attribute = 'members' AND e.source_id IN ({marks}) AND NOT EXISTS"
    " (SELECT 1 FROM membership m WHERE m.group_id = e.source_id AND m.member_id = e.related_id)"
)
"""Members that were exported and that the directory does not name any more."""
NOTE_MEMBER: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, ?2, 'members', ?3"
    " WHERE EXISTS (SELECT 1 FROM link WHERE job_id = ?1 AND source_id = ?2)"
)
# CROSS JOIN keeps SQLite at this order: from a page's objects to their links, not from all links to the objects.
MANAGERS_OF_LINKED: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, id, 'manager', '' FROM user"
    " WHERE manager_id IS NOT NULL AND id IN ({marks})",
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, user.id, 'manager', '' FROM user"
    " CROSS JOIN link ON link.job_id = ?1 AND link.source_id = user.id WHERE manager_id IN ({marks})",
)
LINKED: Final[dict[ObjectType, tuple[str, ...]]] = {
    "User": (
        *MANAGERS_OF_LINKED,
        "INSERT OR IGNORE INTO pending_reference SELECT ?1, m.group_id, 'members', m.member_id FROM membership m"
        " CROSS JOIN link ON link.job_id = ?1 AND link.source_id = m.group_id WHERE m.member_id IN ({marks})",
    ),
    "Group": (
        "INSERT OR IGNORE INTO pending_reference SELECT ?1, group_id, 'members', member_id FROM membership"
        " WHERE group_id IN ({marks})",
        FORMER_MEMBERS,
    ),
}
LINKED_USERS_ONLY: Final[dict[ObjectType, tuple[str, ...]]] = {"User": MANAGERS_OF_LINKED, "Group": ()}
SEEN_MANAGERS: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, u.id, 'manager', '' FROM user u"
    " LEFT JOIN exported_reference e ON e.job_id = ?1 AND e.source_id = u.id AND e.attribute = 'manager'"
    " LEFT JOIN link l ON l.job_id = ?1 AND l.source_id = u.manager_id"
    " WHERE u.id IN ({marks}) AND e.target_value IS NOT l.target_id"
)
SEEN_MEMBERS: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, m.group_id, 'members', m.member_id FROM membership m"
    " LEFT JOIN exported_reference e ON e.job_id = ?1 AND e.source_id = m.group_id AND e.attribute = 'members'"
    " AND e.related_id = m.member_id WHERE m.group_id IN ({marks}) AND e.target_value IS NULL",
    FORMER_MEMBERS,
)
