"""Taking users of a source over into the directory: matched, decided on, written and logged in one transaction.

The directory, what is known of the source's users, and the log are one database, so that whatever happens in between,
a user is taken over wholly and once.
"""

import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from joiner.clock import to_iso
from joiner.errors import AlreadyExistsError, JoinerError
from joiner.expressions.environment import ENVIRONMENT, Environment
from joiner.expressions.values import canonical_text
from joiner.ids import new_id
from joiner.provisioning.decisions.decide import as_staged
from joiner.provisioning.decisions.decision import (
    Action,
    Decision,
    Exit,
    LinkChange,
    Problem,
    Scope,
    SourceObject,
    Status,
)
from joiner.provisioning.decisions.refusals import fail
from joiner.provisioning.inbound import leavers, managers, people
from joiner.provisioning.inbound.decide import Match, decide, put_off
from joiner.provisioning.inbound.leavers import Leaver
from joiner.provisioning.inbound.plan import InboundPlan
from joiner.provisioning.job import links
from joiner.provisioning.log.journal import LogContext, Outcome, given_up
from joiner.provisioning.log.journal_packing import PackedRow, extended, joined, packed_row
from joiner.provisioning.log.journal_rows import Journal, last_name
from joiner.provisioning.mapping.plan import Computed
from joiner.storage.rows import from_json, marks, to_json

NAMES: Final = ("userName", "displayName")
"""What people call a user of the source by."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One user as the source has it now."""

    key: str
    """What to call it if it has no id: the `bulkId`."""
    resource: Mapping[str, Any]
    is_operation: bool = False
    """It was sent as an operation of its own, and gets an entry of its own in the log."""
    is_whole: bool = False
    """The source was read: what the resource leaves out does not exist there."""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """What stays the same for all users of a cycle."""

    job_id: str
    plan: InboundPlan
    kind: str
    """Of the cycle: initial or incremental."""
    log: LogContext
    keeps_leavers: bool
    guards: bool
    """Who would be disabled is counted before anybody is."""


class Importing:
    """One page of arrivals, inside of one transaction."""

    def __init__(self, connection: sqlite3.Connection, context: ImportContext, now: datetime) -> None:
        self._connection = connection
        self._context = context
        self._now = now
        self._cycle_id = context.log.cycle_id
        self._journals: dict[str, Journal] = {}
        self._runs: dict[str, str] = {}
        """Under which id the log has the last entry of a user, where that is not the cycle's."""
        self._entries: dict[tuple[str, str], PackedRow] = {}
        self._escrowed: set[str] = set()
        """Who of the page has failed before, and not succeeded since."""
        self._put_off: set[str] = set()
        """Who of the page was to be disabled before."""
        self.counts: Counter[str] = Counter()

    def take(self, arrivals: Sequence[Arrival]) -> None:
        """Takes these over, in their order, then sets the managers that they name, and those that were waited for."""
        come: list[tuple[Arrival, str, dict[str, Any]]] = []
        plan, job_id = self._context.plan, self._context.job_id
        read = [(arrival, plan.read(arrival.resource)) for arrival in arrivals]
        ids = [plan.anchor_of(attributes) for _, attributes in read]
        self._escrowed = links.escrowed(self._connection, job_id, ids)
        self._put_off = leavers.put_off(self._connection, job_id, ids)
        for (arrival, attributes), source_id in zip(read, ids, strict=True):
            if self._take_one(arrival, source_id, attributes):
                come.append((arrival, source_id, attributes))
        for arrival, source_id, attributes in come:
            self._set_manager(arrival, source_id, attributes)
        names = [source_id for _, source_id, _ in come]
        for source_id, manager in managers.awaiting(self._connection, job_id, names):
            self._resolve(source_id, manager)
        self._write_entries()

    def resolve(self, waiting: Iterable[tuple[str, str]]) -> None:
        """Sets those of the managers, of (source id, manager), that are in the directory by now."""
        for source_id, manager in waiting:
            if people.find_by_anchor(self._connection, self._context.job_id, self._context.plan, manager) is not None:
                self._resolve(source_id, manager)
        self._write_entries()

    # One user

    def _take_one(self, arrival: Arrival, source_id: str, attributes: Mapping[str, Any]) -> bool:
        """Whether the user is in the directory now, by the job's doing."""
        connection, context = self._connection, self._context
        source = _source(source_id or arrival.key, attributes)
        if not source_id:
            missing = Problem("MandatoryFieldsMissing", f"the user has no {context.plan.anchor}, by which it is known")
            self._note(arrival, source, fail(Action.OTHER, (), missing), None, missing)
            return False
        scope = _judged(attributes, context.plan)
        match = people.find(connection, context.job_id, source_id, source.name, context.plan, attributes)
        values = {**attributes, ENVIRONMENT: Environment(self._now, secrets.randbelow)}
        is_needed = scope.in_scope and match.problem is None
        computed = people.compute(connection, context.plan.users, values, match) if is_needed else Computed(())
        decision = decide(source, scope, match, computed, context.plan.users, keeps_leavers=context.keeps_leavers)
        leaves = context.guards and decision.is_removal
        releases = decision.link is LinkChange.RELEASE
        if leaves:
            decision = put_off(source, decision)
        user_id, problem = self._carry_out(decision, match)
        if problem is None:
            self._link(source_id, user_id, decision.link, match)
            if not leaves and source_id in self._put_off:
                self._put_off.discard(source_id)
                leavers.settle(connection, context.job_id, [source_id])
            if source_id in self._escrowed:
                links.release(connection, context.job_id, source_id)
                self._forget(source_id)
        self._note(arrival, source, decision, user_id, problem)
        if problem is not None:
            self._escrow(arrival, source, problem)
        elif leaves:
            self._put_off.add(source_id)
            run = self._run_of(source_id)
            leavers.add(connection, context.job_id, source_id, self._cycle_id, run, releases=releases)
        self.counts["entitled"] += scope.in_scope
        return user_id is not None and problem is None and scope.in_scope

    def _carry_out(self, decision: Decision, match: Match) -> tuple[str | None, Problem | None]:
        """The user's id, and what went wrong; then nothing of it is left."""
        if decision.request is None:
            return decision.target_id, decision.problem if decision.status is Status.FAILURE else None
        self.counts["exports"] += 1
        self._connection.execute("SAVEPOINT import")
        problem: Problem | None = None
        try:
            user_id = people.write(self._connection, decision, match, to_iso(self._now))
            self.counts["exported"] += 1
        except JoinerError as error:
            self._connection.execute("ROLLBACK TO import")
            code = "Conflict" if isinstance(error, AlreadyExistsError) else "UnprocessableEntity"
            user_id, problem = decision.target_id, Problem(code, str(error))
        self._connection.execute("RELEASE import")
        return user_id, problem

    def _link(self, source_id: str, user_id: str | None, change: LinkChange, match: Match) -> None:
        is_so = change is LinkChange.KEEP or (change is LinkChange.MANAGE and match.is_managed)
        if user_id is not None and not is_so:
            changes = [(source_id, user_id, change)]
            links.change_links(self._connection, self._context.job_id, "User", changes, self._now)

    def _note(
        self, arrival: Arrival, source: SourceObject, decision: Decision, user_id: str | None, problem: Problem | None
    ) -> None:
        """Counts the user, and has its entry ready for the log."""
        context = self._context
        status = Status.FAILURE if problem is not None else decision.status
        outcome = Outcome(status, user_id, problem or decision.problem)
        entry = packed_row(context.log, context.kind, source, decision, outcome, self._now)
        self.counts["imported"] += 1
        self.counts[status.value if status in (Status.FAILURE, Status.SKIPPED) else decision.action.value] += 1
        if arrival.is_operation and self._entry_of(source.id) is not None:
            # A run has one entry for each user.
            self._runs[source.id] = new_id()
        self._entries[self._run_of(source.id), source.id] = entry

    def _escrow(self, arrival: Arrival, source: SourceObject, problem: Problem) -> None:
        """Keeps a user that failed for another try, for 28 days (REQ-P-073)."""
        job_id = self._context.job_id
        if links.escrow(self._connection, job_id, source.id, "User", problem, self._now):
            self._connection.execute(
                "REPLACE INTO inbound_escrow VALUES (?, ?, ?)", (job_id, source.id, to_json(arrival.resource))
            )
            self._escrowed.add(source.id)
            self.counts["escrowed"] += 1
        else:
            self._forget(source.id)
            key = self._run_of(source.id), source.id
            self._entries[key] = extended(self._entries[key], [given_up(source)], (), problem)

    def _forget(self, source_id: str) -> None:
        """What the source said of a user that failed is of no use any more."""
        statement = "DELETE FROM inbound_escrow WHERE job_id = ? AND source_id = ?"
        self._connection.execute(statement, (self._context.job_id, source_id))
        self._escrowed.discard(source_id)

    # Who is to be disabled

    def disable(self, found: Sequence[Leaver]) -> None:
        """Disables these, but for those who are held back."""
        connection, job_id = self._connection, self._context.job_id
        for each in found:
            source = self._known(each.source_id)
            decision = people.disable(each.user_id)
            if each.is_held:
                decision = as_staged(source, decision)
            _, problem = self._carry_out(decision, Match(each.user_id))
            if problem is not None:
                # The next cycle tries again.
                self.counts["failure"] += 1
            elif not each.is_held:
                self.counts["disable"] += 1
                leavers.settle(connection, job_id, [each.source_id])
                change = LinkChange.RELEASE if each.releases else LinkChange.MANAGE
                links.change_links(connection, job_id, "User", [(each.source_id, each.user_id, change)], self._now)
            status = decision.status if problem is None else Status.FAILURE
            outcome = Outcome(status, each.user_id, problem or decision.problem)
            row = packed_row(self._context.log, self._context.kind, source, decision, outcome, self._now)
            before = self._journal(each.run_id).rows_of([each.source_id]).get(each.source_id)
            self._entries[each.run_id, each.source_id] = row if before is None else joined(before, row)
        self._write_entries()

    # Managers

    def _set_manager(self, arrival: Arrival, source_id: str, attributes: Mapping[str, Any]) -> None:
        connection, context = self._connection, self._context
        now = to_iso(self._now)
        for flow in context.plan.users.references:
            wanted = attributes.get(flow.source_attribute)
            if wanted is not None and not isinstance(wanted, dict | list):
                name = canonical_text(wanted)
                report = managers.assign(connection, context.job_id, context.plan, source_id, name, now)
                self._add(source_id, report)
            elif context.plan.names_no_manager(arrival.resource) or arrival.is_whole:
                only_own = not context.plan.names_no_manager(arrival.resource)
                self._add(source_id, managers.clear(connection, context.job_id, source_id, now, only_own=only_own))

    def _resolve(self, source_id: str, manager: str) -> None:
        job_id, plan = self._context.job_id, self._context.plan
        report = managers.assign(self._connection, job_id, plan, source_id, manager, to_iso(self._now))
        self._add(source_id, report)

    def _add(self, source_id: str, report: managers.Report) -> None:
        """Adds to the user's entry of this run, which is made if the user did not come itself."""
        if not report.steps:
            return
        self.counts["reference_deltas"] += len(report.changes)
        entry = self._entry_of(source_id)
        if entry is None:
            link = links.links_of(self._connection, self._context.job_id, [source_id])[source_id]
            source = self._known(source_id)
            decision = Decision(Action.OTHER, Status.SKIPPED, ())
            outcome = Outcome(Status.SKIPPED, link.target_id)
            entry = packed_row(self._context.log, self._context.kind, source, decision, outcome, self._now)
        self._entries[self._run_of(source_id), source_id] = extended(
            entry, report.steps, report.changes, report.problem
        )

    # The log

    def _known(self, source_id: str) -> SourceObject:
        """A user that has not come this time, by the name that the log has of it."""
        name = last_name(self._connection, self._context.job_id, source_id) or source_id
        return SourceObject("User", source_id, name, {}, True, False)

    def _run_of(self, source_id: str) -> str:
        return self._runs.get(source_id, self._cycle_id)

    def _entry_of(self, source_id: str) -> PackedRow | None:
        """The last one that this cycle has of the user."""
        run = self._run_of(source_id)
        return self._entries.get((run, source_id)) or self._journal(run).rows_of([source_id]).get(source_id)

    def _journal(self, run: str) -> Journal:
        journal = self._journals.get(run)
        if journal is None:
            journal = self._journals[run] = Journal(self._connection, replace(self._context.log, cycle_id=run))
        return journal

    def _write_entries(self) -> None:
        for (run, _), entry in self._entries.items():
            self._journal(run).write([entry])
        self._entries.clear()


def due_arrivals(connection: sqlite3.Connection, job_id: str, now: str, after: str, limit: int) -> list[Arrival]:
    """Those who failed and are due for another try, in the order of their ids, with what the source said last."""
    ids = links.due_escrows(connection, job_id, "User", now, after, limit)
    rows = connection.execute(
        f"SELECT source_id, resource FROM inbound_escrow WHERE job_id = ? AND source_id IN ({marks(ids)})"
        " ORDER BY source_id",
        (job_id, *ids),
    )
    return [Arrival(row["source_id"], from_json(row["resource"])) for row in rows]


def _source(source_id: str, attributes: Mapping[str, Any]) -> SourceObject:
    name = next((canonical_text(attributes[each]) for each in NAMES if attributes.get(each)), source_id)
    return SourceObject("User", source_id, name, attributes, attributes.get("active") is True, False)


def _judged(attributes: Mapping[str, Any], plan: InboundPlan) -> Scope:
    result = plan.users.scope.evaluate(attributes)
    details = {
        "Scoping filter evaluation passed": str(result.passed),
        "ScopeEvaluationResult": result.document,
    }
    if result.passed:
        return Scope(None, "in scope", details)
    return Scope(Exit.FILTERED, "the scoping filter is not passed", details, result.failed)
