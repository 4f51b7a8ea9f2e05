"""What a plan remembers of each page of its cycle: a gate that lets everything through and writes down what it saw."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from joiner.directory.assignment_paths import assignment_paths
from joiner.provisioning.decision import Action, LinkChange, Status
from joiner.provisioning.journal import REDACTED, properties_of
from joiner.provisioning.planning.causes import Cause, causes_of, explanation_of_skip
from joiner.provisioning.planning.fingerprint import fingerprint_of
from joiner.provisioning.planning.planned_target import PlannedWrites, Write
from joiner.provisioning.ports import Considered, DecidedReference
from joiner.provisioning.rows import write_rows
from joiner.provisioning.run import JobContext

INSERT: Final = (
    "INSERT INTO planned_object (source_id, object_type, name, action, is_held, target_id, detail) VALUES {rows}"
    " ON CONFLICT (source_id) "
)
OBJECTS: Final = INSERT + "DO NOTHING"
OBJECTS_OF_REFERENCES: Final = INSERT + "DO UPDATE SET is_held = is_held AND excluded.is_held"
"""One more page of the same group may have something that is not held."""
HELD: Final = "held"
"""Of a reference: it would be removed, and is held back."""
SHORTEST_SECRET: Final = 2
"""Shorter values are not looked for in requests: they would be found everywhere."""


class Recorder:
    """A `Gate`. `skipped` counts what is left alone: (object type, code, reason) → number."""

    def __init__(self, context: JobContext, resource_id: str, writes: PlannedWrites, key: bytes) -> None:
        self.skipped: Counter[tuple[str, str, str]] = Counter()
        self.context = context
        self.resource_id = resource_id
        self.writes = writes
        self.key = key

    def page(self) -> "PageRecord":
        return PageRecord(self)


class PageRecord:
    """What one page does."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._considered: dict[str, Considered] = {}
        self._references: list[DecidedReference] = []
        self._planned: list[tuple[Considered, str]] = []
        self._writes: list[Write] = []
        self._secrets: set[str] = set()

    def admits(self, considered: Considered) -> bool:
        self._considered[considered.source.id] = considered
        return True

    def admits_reference(self, reference: DecidedReference) -> bool:
        if reference.verb is not None or reference.is_held:
            self._references.append(reference)
        return True

    def close(self) -> None:
        self._writes = self._recorder.writes.drain()
        for considered in self._considered.values():
            action, decision = planned_action(considered), considered.decision
            if action is None:
                reason = explanation_of_skip(decision, considered.scope)
                code = decision.problem.code if decision.problem else ""
                self._recorder.skipped[considered.source.object_type, code, reason] += 1
                continue
            self._planned.append((considered, action))
            for change in decision.changes:
                if change.is_secret:
                    self._secrets.update(text for text in _texts(change.new) if len(text) >= SHORTEST_SECRET)

    def commit(self, connection: sqlite3.Connection) -> None:
        self._write_objects(connection)
        self._write_references(connection)
        write_rows(
            connection,
            "INSERT INTO planned_request (endpoint, target_id, method, path, body) VALUES {rows}",
            [self._row(write) for write in self._writes],
        )

    def _write_objects(self, connection: sqlite3.Connection) -> None:
        created = [each.source.id for each, _ in self._planned if each.decision.action is Action.CREATE]
        paths = assignment_paths(connection, self._recorder.resource_id, created) if created else {}
        rows = []
        plans = self._recorder.context.plan
        for considered, action in self._planned:
            source, decision = considered.source, considered.decision
            plan = plans.users if source.object_type == "User" else plans.groups
            assert plan is not None
            told = [path.text for path in paths.get(source.id, ())]
            causes = causes_of(decision, considered.scope, plan, told)
            detail = {
                "changes": properties_of(decision.changes),
                "causes": causes,
                "problem": _problem(considered),
                "fingerprint": fingerprint_of(considered, self._recorder.key),
            }
            target_id = considered.link.target_id if considered.link else decision.target_id
            is_held = decision.action is Action.STAGED_DELETE
            text = orjson.dumps(detail, default=_struct).decode()
            rows.append((source.id, source.object_type, source.name, action, is_held, target_id or "", text))
        write_rows(connection, OBJECTS, rows)

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
        empty = orjson.dumps({"changes": [], "causes": [], "problem": None, "fingerprint": None}).decode()
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
                    empty,
                )
                for id_, all_ in of_object.items()
            ],
        )

    def _row(self, write: Write) -> tuple[str, str, str, str, str | None]:
        body = None if write.body is None else orjson.dumps(_masked(write.body, self._secrets)).decode()
        return write.endpoint, write.target_id, write.method, write.path, body


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
    if (
        decision.link in (LinkChange.RELEASE, LinkChange.RELEASE_UNSEEN, LinkChange.DROP)
        and considered.link is not None
        and considered.link.is_managed
    ):
        return "release"
    return None


def _problem(considered: Considered) -> Mapping[str, str] | None:
    problem = considered.decision.problem
    if problem is None or considered.decision.status is not Status.FAILURE:
        return None
    return {"code": problem.code, "reason": problem.reason}


def _masked(value: Any, hidden: set[str]) -> Any:
    if not hidden:
        return value
    if isinstance(value, Mapping):
        return {name: _masked(each, hidden) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(each, hidden) for each in value]
    return REDACTED if isinstance(value, str) and value in hidden else value


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each)


def _struct(value: Any) -> Any:
    if isinstance(value, Cause):
        return {"kind": value.kind, "text": value.text}
    return {name: getattr(value, name) for name in value.__struct_fields__}
