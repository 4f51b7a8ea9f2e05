"""The export of one object's references within a page: in batches, then told to the log."""

import sqlite3
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from joiner.errors import InvalidStateError
from joiner.provisioning.client.batches import batches
from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.client.recorder import Said, listen
from joiner.provisioning.cycle.reference import MANAGER, MEMBERS, Reference
from joiner.provisioning.cycle.run import ENDPOINTS, UNREAD, Run
from joiner.provisioning.decisions import wire
from joiner.provisioning.decisions.decision import (
    Action,
    Change,
    Decision,
    Modification,
    Problem,
    SourceObject,
    Status,
    Step,
    Verb,
)
from joiner.provisioning.job.links import escrow, escrowed, release
from joiner.provisioning.log.journal import MOST_CHANGES, Outcome, given_up
from joiner.provisioning.log.journal_packing import PackedRow, extended, packed_row
from joiner.provisioning.mapping.plan import AttributeFlow

GONE: Final = "InvalidAnchor"
UNRESOLVED: Final = "UnableToResolveReferenceAttributeValue"
NAMED_AT_MOST: Final = 5
ABOUT_ONE: Final = frozenset({400, 404, 409, 413, 422})
"""Answers that may be about one of the members of a request only, or about how many they are."""
MOST_REFUSED: Final = 5
"""So many members of a group may be refused before the others are not tried any more in this cycle."""


class ReferenceExport:
    """The references of one object and attribute within a page: sent in batches, then committed."""

    def __init__(self, run: Run, references: Sequence[Reference]) -> None:
        self._run = run
        self._references = references
        self._first = references[0]
        self._held = [item for item in references if item.is_held]
        self._done: list[Reference] = [item for item in references if item.is_settled]
        self._unresolved = self._unresolved_problem()
        self._written: list[Reference] = []
        self._unwritten: list[Reference] = []
        self._refused: list[Reference] = []
        """Members that the target does not take, while it has the group."""
        self._is_there: bool | None = None
        """Whether the target has the object; None: nobody has asked."""
        self._problem: Problem | None = None
        self._said: list[Said] = []

    @property
    def source_id(self) -> str:
        """The object that the references belong to."""
        return self._first.source_id

    @property
    def settled(self) -> Sequence[Reference]:
        """What the target holds as the directory wants it."""
        return [*self._done, *self._written]

    @property
    def written(self) -> Sequence[Reference]:
        """What `send` has sent with success."""
        return self._written

    @property
    def tried(self) -> Sequence[Reference]:
        """Those of which it is known whether they are written. That a manager is gone is known when a read shows it:
        the target may have lost what it acknowledged. Members are not read."""
        known = (item for item in self._written if item.attribute == MEMBERS or item.adds is not None)
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
        """How many references a refusal has left unwritten."""
        if self._problem is None:
            return 0
        return len(self._references) - len(self._done) - len(self._held) - len(self._written)

    def attempts(self) -> list[tuple[str, ...]]:
        """Rows of `reference_intent`: what `send` is about to write."""
        changes = ((item, item.adds or item.removes) for item in self._references)
        return [(self._run.job.id, *item.key, value) for item, value in changes if value is not None]

    async def send(self) -> None:
        """Sends the changes; a refusal is kept for the log, and its references stay pending."""
        added = [item for item in self._references if item.adds is not None]
        removed = [item for item in self._references if item.adds is None and item.removes is not None]
        waiting = deque(batches(added, removed, self._run.context.profile))
        listen(self._said)
        while waiting:
            batch = waiting.popleft()
            error = await self._send(batch)
            if error is None:
                self._written.extend(batch)
            elif not await self._goes_on(error):
                self._problem = Problem(error.code, error.reason)
                refused = batch if error.is_without_effect else []
                self._unwritten.extend(item for item in chain(refused, *waiting) if item.attempted is None)
                return
            elif len(batch) > 1:
                # One that the target does not know any more must not keep the others out.
                middle = len(batch) // 2
                waiting.extendleft((batch[middle:], batch[:middle]))
            elif batch[0].adds is None and error.status == 404:
                # Who does not exist any more is no member either.
                self._written.extend(batch)
            else:
                self._refused.extend(batch)
                self._unwritten.extend(item for item in batch if item.attempted is None)
                names = ", ".join(item.related_name for item in self._refused)
                self._problem = Problem(error.code, f"{names}: {error.reason}")

    async def _send(self, batch: Sequence[Reference]) -> TargetError | None:
        """The refusal, if the target does not take the changes."""
        operations = self._operations(batch)
        self._run.check_owned()
        try:
            await self._run.target.modify(self._endpoint, str(self._first.own_target), wire.patch_body(operations))
        except TargetUnusableError:
            raise
        except TargetError as error:
            return error
        return None

    async def _goes_on(self, error: TargetError) -> bool:
        """Whether the refusal may be about one member, so that others can be written."""
        is_about_one = self._first.attribute == MEMBERS and error.is_without_effect and error.status in ABOUT_ONE
        if not is_about_one or len(self._refused) == MOST_REFUSED:
            return False
        if error.status == 404 and self._is_there is None:
            target_id, unread = str(self._first.own_target), UNREAD[self._first.object_type]
            try:
                found = await self._run.target.read(self._endpoint, target_id, exclude=unread)
            except TargetUnusableError:
                raise
            except TargetError:
                return False
            self._is_there = found is not None
        return self._is_there is not False

    @property
    def _endpoint(self) -> str:
        return ENDPOINTS[self._first.object_type]

    def settle(self, connection: sqlite3.Connection, *, was_escrowed: bool) -> Sequence[Step]:
        """Keeps a failure for another try; returns what the log has to say."""
        run = self._run
        steps = [*self._unresolved_steps(), *self._held_steps(), *self._export_steps()]
        if self._problem is None:
            if was_escrowed:
                # Also if there is nothing left to write: what failed before is no longer wanted.
                release(connection, run.job.id, self._first.source_id, is_reference=True)
        else:
            if not self._escrow(connection, self._problem):
                steps.append(given_up(self._source()))
            self._look_next_time(connection, self._problem)
        return () if run.log.only_failures and self._problem is None else steps

    def logged(self, row: PackedRow | None, steps: Sequence[Step]) -> PackedRow:
        """The object's row in the log, given the one that it has."""
        run, first = self._run, self._first
        if row is None:
            is_only_held = self._held and not self._written and self._problem is None
            action = Action.STAGED_DELETE if is_only_held else Action.UPDATE
            decision = Decision(action, Status.SUCCESS, (), target_id=first.own_target)
            outcome = Outcome(Status.SUCCESS if self._written else Status.SKIPPED, first.own_target)
            row = packed_row(run.log, run.cycle.kind, self._source(), decision, outcome, run.clock())
        changes = _changes(_flow_of(run, first).target, self._written[:MOST_CHANGES]) if self._written else []
        requests = run.request_log(first.object_type).kept(self._said, failed=self._problem is not None)
        return extended(row, steps, changes, self._problem or self._unresolved, requests)

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

    def _look_next_time(self, connection: sqlite3.Connection, problem: Problem) -> None:
        """What the target does not find is looked at in the next cycle; for references alone it would not be."""
        first, job_id = self._first, self._run.job.id
        if problem.code == GONE and not self._is_there and not escrowed(connection, job_id, [first.source_id]):
            escrow(connection, job_id, first.source_id, first.object_type, problem, self._run.clock())

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
        names = _names(self._held)
        text = f"the removal of {names} from {self._first.own_name} is held back until an administrator allows it"
        details = {"SkipReason": "TooManyDeletes"}
        return [Step("EntrySynchronizationSkip", "referenceResolution", Status.SKIPPED, text, details)]

    def _unresolved_problem(self) -> Problem | None:
        unresolved = [item for item in self._references if item.is_unresolved or _is_skipped_group(item)]
        return Problem(UNRESOLVED, self._unable(unresolved)) if unresolved else None

    def _unresolved_steps(self) -> list[Step]:
        nested = [item for item in self._references if _is_skipped_group(item)]
        outside = [item for item in self._references if item.is_unresolved and not _is_skipped_group(item)]
        return [
            Step(
                "EntrySynchronizationUpdate",
                "referenceResolution",
                Status.WARNING,
                f"{self._unable(items)}: {why}",
                {"ErrorCode": UNRESOLVED},
            )
            for items, why in ((outside, "not in scope"), (nested, "groups inside of groups are not provisioned"))
            if items
        ]

    def _unable(self, items: Sequence[Reference]) -> str:
        return f"unable to assign {_names(items)} as the {self._first.attribute} of {self._first.own_name}"

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


def _changes(attribute: str, written: Sequence[Reference]) -> list[Change]:
    return [
        Change(attribute, None, item.related_name) if item.adds else Change(attribute, item.related_name, None)
        for item in written
    ]


def _names(items: Sequence[Reference]) -> str:
    more = f" and {len(items) - NAMED_AT_MOST} more" if len(items) > NAMED_AT_MOST else ""
    return ", ".join(item.related_name for item in items[:NAMED_AT_MOST]) + more


def _is_skipped_group(item: Reference) -> bool:
    return item.own_is_active and item.wanted_id is not None and item.is_nested_group


def _flow_of(run: Run, reference: Reference) -> AttributeFlow:
    plan = run.plan_of(reference.object_type)
    flow = plan.reference(reference.attribute) if plan is not None else None
    if flow is None:
        raise InvalidStateError(f"no mapping writes '{reference.attribute}' of {reference.object_type}")
    return flow
