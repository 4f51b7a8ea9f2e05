"""What a plan remembers of each page of its cycle: a gate that lets everything through and writes down what it saw."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from joiner.directory.assignment_paths import assignment_paths
from joiner.provisioning.cycle.run import JobContext
from joiner.provisioning.decisions.decision import Action, LinkChange, Status
from joiner.provisioning.log.exchanges import SHORTEST_SECRET, texts_in
from joiner.provisioning.log.journal import change_parts
from joiner.provisioning.mapping.plan import REDACTED
from joiner.provisioning.planning.causes import causes_of, explanation_of_skip
from joiner.provisioning.planning.planned_writes import PlannedWrites, Write
from joiner.provisioning.plans.fingerprint import fingerprint_of
from joiner.provisioning.ports import Considered, DecidedReference
from joiner.storage.rows import to_json, write_rows

Row = tuple[Any, ...]

OBJECTS: Final = (
    "INSERT INTO planned_object (source_id, object_type, name, action, is_held, target_id, changes, causes, problem,"
    " fingerprint) VALUES {rows} ON CONFLICT (source_id) DO NOTHING"
)
OBJECTS_OF_REFERENCES: Final = (
    "INSERT INTO planned_object (source_id, object_type, name, action, is_held, target_id) VALUES {rows}"
    " ON CONFLICT (source_id) DO UPDATE SET is_held = is_held AND excluded.is_held"
)
"""One more page of the same group may have something that is not held."""
HELD: Final = "held"
"""Of a reference: it would be removed, and is held back."""
REQUESTS: Final = "INSERT INTO planned_request (endpoint, target_id, method, path, body) VALUES {rows}"


class Recorder:
    """A `Gate`. `skipped` counts what is left alone: (object type, code, reason) → number."""

    def __init__(
        self, reader: sqlite3.Connection, context: JobContext, resource_id: str, writes: PlannedWrites, key: bytes
    ) -> None:
        self.skipped: Counter[tuple[str, str, str]] = Counter()
        self.reader = reader
        self.context = context
        self.resource_id = resource_id
        self.writes = writes
        self.key = key

    def page(self) -> "PageRecord":
        return PageRecord(self)


class PageRecord:
    """What one page does. All that can be made is made when it is closed, while the page before is committed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._considered: dict[str, Considered] = {}
        self._references: list[DecidedReference] = []
        self._objects: Sequence[Row] = ()
        self._requests: Sequence[Row] = ()

    def allows(self, considered: Considered) -> bool:
        return True

    def admits(self, considered: Considered) -> bool:
        self._considered[considered.source.id] = considered
        return True

    def admits_reference(self, reference: DecidedReference) -> bool:
        if reference.verb is not None or reference.is_held:
            self._references.append(reference)
        return True

    def close(self) -> None:
        planned: list[tuple[Considered, str]] = []
        secrets: set[str] = set()
        for considered in self._considered.values():
            action, decision = planned_action(considered), considered.decision
            if action is None:
                reason = explanation_of_skip(decision, considered.scope)
                code = decision.problem.code if decision.problem else ""
                self._recorder.skipped[considered.source.object_type, code, reason] += 1
                continue
            planned.append((considered, action))
            for change in decision.changes:
                if change.is_secret:
                    secrets.update(text for text in texts_in(change.new) if len(text) >= SHORTEST_SECRET)
        created = [each.source.id for each, _ in planned if each.decision.action is Action.CREATE]
        recorder = self._recorder
        paths = assignment_paths(recorder.reader, recorder.resource_id, created) if created else {}
        self._objects = [
            self._object(considered, action, [path.text for path in paths.get(considered.source.id, ())])
            for considered, action in planned
        ]
        self._requests = [_request(write, secrets) for write in recorder.writes.drain()]

    def commit(self, connection: sqlite3.Connection) -> None:
        write_rows(connection, OBJECTS, self._objects)
        self._write_references(connection)
        write_rows(connection, REQUESTS, self._requests)

    def _object(self, considered: Considered, action: str, paths: Sequence[str]) -> Row:
        source, decision, plans = considered.source, considered.decision, self._recorder.context.plan
        plan = plans.users if source.object_type == "User" else plans.groups
        assert plan is not None
        causes = causes_of(considered, plan, paths)
        problem = _problem(considered)
        target_id = considered.link.target_id if considered.link else decision.target_id
        return (
            source.id,
            source.object_type,
            source.name,
            action,
            decision.action is Action.STAGED_DELETE,
            target_id or "",
            to_json(change_parts(decision.changes)),
            to_json([(each.kind, each.text) for each in causes]),
            None if problem is None else to_json(problem),
            msgspec.json.encode(fingerprint_of(considered, self._recorder.key)).decode(),
        )

    def _write_references(self, connection: sqlite3.Connection) -> None:
        write_rows(
            connection,
            "REPLACE INTO planned_reference VALUES {rows}",
            [
                (each.source_id, each.attribute, each.related_id, each.wanted_id, each.related_name, each.verb or HELD)
                for each in self._references
            ],
        )
        of_object: dict[str, list[DecidedReference]] = defaultdict(list)
        for reference in self._references:
            of_object[reference.source_id].append(reference)
        write_rows(
            connection,
            OBJECTS_OF_REFERENCES,
            [
                (
                    id_,
                    all_[0].object_type,
                    all_[0].source_name,
                    "update",
                    all(each.verb is None for each in all_),
                    all_[0].target_id,
                )
                for id_, all_ in of_object.items()
            ],
        )


def planned_action(considered: Considered) -> str | None:
    """What an item of a plan is called by; None: the object is left alone, and the plan only counts it."""
    decision = considered.decision
    if decision.status is Status.FAILURE:
        return "failure"
    if decision.action is Action.STAGED_DELETE:
        return "disable" if considered.source.object_type == "User" and decision.changes else "delete"
    if decision.request is not None:
        return decision.action.value
    if decision.link is LinkChange.MANAGE and (considered.link is None or not considered.link.is_managed):
        return "link"
    # Without the link to an account that is gone, others no longer point to it.
    is_gone = considered.state.forgotten is not None or decision.link is LinkChange.DROP
    is_released = decision.link in (LinkChange.RELEASE, LinkChange.RELEASE_UNSEEN)
    is_managed = considered.link is not None and considered.link.is_managed
    return "release" if is_gone or (is_released and is_managed) else None


def _problem(considered: Considered) -> Mapping[str, str] | None:
    problem = considered.decision.problem
    if problem is None or considered.decision.status is not Status.FAILURE:
        return None
    return {"code": problem.code, "reason": problem.reason}


def _request(write: Write, secrets: set[str]) -> Row:
    body = None if write.body is None else to_json(_masked(write.body, secrets))
    return write.endpoint, write.target_id, write.method, write.path, body


def _masked(value: Any, hidden: set[str]) -> Any:
    if not hidden:
        return value
    if isinstance(value, Mapping):
        return {name: _masked(each, hidden) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(each, hidden) for each in value]
    is_text = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return REDACTED if is_text and str(value) in hidden else value
