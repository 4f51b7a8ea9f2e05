"""The provisioning log: one entry per object and cycle, in the shape of `provisioningObjectSummary`.

Building entries is pure; writing them happens in the page's transaction. Entries are never changed afterwards but by
the same cycle, when it adds the references (provisioning service §14, REQ-P-131 … REQ-P-134).
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from joiner.clock import to_iso
from joiner.expressions.values import canonical_text
from joiner.ids import derived_id
from joiner.provisioning.decision import Action, Change, Decision, Problem, SourceObject, Status, Step
from joiner.provisioning.failures import RECOMMENDATIONS

REDACTED: Final = "[Redact]"
LONGEST_VALUE: Final = 1024
"""Longer values are cut in the log, which is for reading; the target got them whole."""
MOST_CHANGES: Final = 200

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogContext:
    """What all entries of one cycle have in common."""

    tenant_id: str
    job_id: str
    cycle_id: str
    service_principal: Mapping[str, str]
    source_system: Mapping[str, Any]
    target_system: Mapping[str, Any]
    target_types: Mapping[str, str]
    """Source object type → name of the target's object."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How carrying out a decision ended."""

    status: Status
    target_id: str | None
    problem: Problem | None = None
    milliseconds: int = 0
    exported: bool = False
    """A request was sent and succeeded."""


OUTCOMES: Final = ("create", "update", "disable", "delete", "skipped", "failure")
"""By which a cycle's objects are counted."""
EXPORT_STEPS: Final[Mapping[Action, str]] = {
    Action.CREATE: "EntryExportAdd",
    Action.UPDATE: "EntryExportUpdate",
    Action.DISABLE: "EntryExportUpdate",
    Action.DELETE: "EntryExportDelete",
}
VERBS: Final[Mapping[Action, str]] = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.DISABLE: "disabled",
    Action.DELETE: "deleted",
}
SEVERITY: Final = (Status.SKIPPED, Status.SUCCESS, Status.WARNING, Status.FAILURE)
IMPORT_STEPS: Final = {"initial": ("EntryImportAdd", "Add"), "incremental": ("EntryImportUpdate", "Update")}


def build_entry(
    context: LogContext,
    kind: str,
    source: SourceObject,
    decision: Decision,
    outcome: Outcome,
    at: str,
) -> Entry:
    """The entry of one object; `kind` is the cycle's, `at` the time as ISO 8601."""
    steps = [
        _import_step(context, kind, source),
        *decision.steps,
        *_export_steps(context, source, decision, outcome),
    ]
    return {
        "id": derived_id(context.cycle_id, source.id),
        "activityDateTime": at,
        "tenantId": context.tenant_id,
        "jobId": context.job_id,
        "cycleId": context.cycle_id,
        "changeId": derived_id("change", context.cycle_id, source.id),
        "provisioningAction": decision.action.value,
        "durationInMilliseconds": outcome.milliseconds,
        "provisioningStatusInfo": {
            "status": outcome.status.value,
            "errorInformation": _error_information(outcome.status, outcome.problem),
        },
        "provisioningSteps": [_step(step) for step in steps],
        "modifiedProperties": _properties(decision.changes),
        "servicePrincipal": context.service_principal,
        "initiatedBy": {"id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"},
        "sourceSystem": context.source_system,
        "targetSystem": context.target_system,
        "sourceIdentity": _source_identity(source),
        "targetIdentity": {
            "id": outcome.target_id or "",
            "displayName": source.name if outcome.target_id else "",
            "identityType": context.target_types.get(source.object_type, ""),
            "details": {},
        },
    }


def add_to_entry(entry: Entry, steps: Iterable[Step], changes: Sequence[Change], problem: Problem | None) -> Entry:
    """The entry with what the reference phase did: the worse status wins; a skip that wrote something is an update."""
    steps = list(steps)
    worst = max((Status(entry["provisioningStatusInfo"]["status"]), *(s.status for s in steps)), key=SEVERITY.index)
    skipped = entry["provisioningAction"] == Action.OTHER.value
    info = entry["provisioningStatusInfo"]
    if worst.value != info["status"]:
        information = _error_information(worst, problem) if problem else None
        info = {"status": worst.value, "errorInformation": information}
    return {
        **entry,
        "provisioningAction": Action.UPDATE.value if skipped and changes else entry["provisioningAction"],
        "provisioningStatusInfo": info,
        "provisioningSteps": [*entry["provisioningSteps"], *(_step(step) for step in steps)],
        "modifiedProperties": (entry["modifiedProperties"] + _properties(changes))[:MOST_CHANGES],
    }


def _import_step(context: LogContext, kind: str, source: SourceObject) -> Step:
    name, change = ("EntryImportDelete", "Delete") if not source.exists else IMPORT_STEPS[kind]
    return Step(
        name,
        "import",
        Status.SUCCESS,
        f"Received {source.object_type} '{source.name}' change of type ({change})"
        f" from {context.source_system['displayName']}",
        {"objectId": source.id, "accountEnabled": str(source.is_enabled)},
    )


def _export_steps(context: LogContext, source: SourceObject, decision: Decision, outcome: Outcome) -> tuple[Step, ...]:
    if decision.request is None:
        return ()
    name = EXPORT_STEPS[decision.action]
    told = f"{source.object_type} '{source.name}'"
    system = context.target_system["displayName"]
    if outcome.problem is not None:
        text = f"{told} could not be {VERBS[decision.action]} in {system}: {outcome.problem.reason}"
        return (Step(name, "export", Status.FAILURE, text, {"ErrorCode": outcome.problem.code}),)
    text = f"{told} was {VERBS[decision.action]} in {system}"
    return (Step(name, "export", Status.SUCCESS, text, {"ReportableIdentifier": source.name}),)


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "provisioningStepType": step.kind,
        "status": step.status.value,
        "description": step.description,
        "details": dict(step.details),
    }


def _error_information(status: Status, problem: Problem | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {
        "errorCode": problem.code,
        "reason": problem.reason,
        "additionalDetails": None,
        "errorCategory": "failure" if problem.code == "InternalError" else "nonServiceFailure",
        "recommendedAction": RECOMMENDATIONS.get(problem.code),
    }


def _properties(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [
        {
            "displayName": change.attribute,
            "oldValue": _text(change.old, change),
            "newValue": _text(change.new, change),
        }
        for change in changes
    ]


def _text(value: Any, change: Change) -> str | None:
    if value is None:
        return None
    if change.is_secret:
        return REDACTED
    text = orjson.dumps(value).decode() if isinstance(value, (dict, list)) else canonical_text(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _source_identity(source: SourceObject) -> dict[str, Any]:
    display = source.attributes.get("displayName") or source.name
    details = {"id": source.id, "odatatype": source.object_type, "DisplayName": display}
    if source.object_type == "User":
        details["UserPrincipalName"] = source.name
    return {"id": source.id, "displayName": display, "identityType": source.object_type, "details": details}


# Rows


def write_entry(connection: sqlite3.Connection, entry: Entry) -> None:
    """Writes the entry, in the place of one that the same cycle wrote for the same object."""
    connection.execute(
        "INSERT INTO journal (id, job_id, cycle_id, change_id, activity_at, action, status, source_id, source_name,"
        " target_id, service_principal_id, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (cycle_id, source_id) DO UPDATE SET activity_at = excluded.activity_at,"
        " action = excluded.action, status = excluded.status, target_id = excluded.target_id, entry = excluded.entry",
        (
            entry["id"],
            entry["jobId"],
            entry["cycleId"],
            entry["changeId"],
            entry["activityDateTime"],
            entry["provisioningAction"],
            entry["provisioningStatusInfo"]["status"],
            entry["sourceIdentity"]["id"],
            entry["sourceIdentity"]["displayName"],
            entry["targetIdentity"]["id"],
            entry["servicePrincipal"]["id"],
            orjson.dumps(entry).decode(),
        ),
    )


def entry_of(connection: sqlite3.Connection, cycle_id: str, source_id: str) -> Entry | None:
    """The entry that the cycle has written for the object so far."""
    row = connection.execute(
        "SELECT entry FROM journal WHERE cycle_id = ? AND source_id = ?", (cycle_id, source_id)
    ).fetchone()
    return orjson.loads(row["entry"]) if row else None


def outcomes(connection: sqlite3.Connection, cycle_id: str) -> dict[str, int]:
    """What became of the cycle's objects: action, or `skipped` or `failure` → number of objects."""
    rows = connection.execute(
        "SELECT iif(status IN ('skipped', 'failure'), status, action) AS outcome, count(*) FROM journal"
        " WHERE cycle_id = ? GROUP BY outcome",
        (cycle_id,),
    )
    # A group that is looked at twice, once for itself and once for its members, counts once.
    return dict.fromkeys(OUTCOMES, 0) | {row[0]: row[1] for row in rows}


def purge_entries(connection: sqlite3.Connection, before: Any, limit: int = 10_000) -> int:
    """Removes at most `limit` entries older than `before` (a datetime) and returns their number (REQ-P-136)."""
    return connection.execute(
        "DELETE FROM journal WHERE position IN (SELECT position FROM journal WHERE activity_at < ? LIMIT ?)",
        (to_iso(before), limit),
    ).rowcount
