"""What an entry of the provisioning log says: one per object and cycle, in the shape of `provisioningObjectSummary`.

Pure; how entries are kept is in `journal_packing` and `journal_rows` (provisioning service §14, REQ-P-131 … REQ-P-133).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from joiner.expressions.values import canonical_text
from joiner.provisioning.client.failures import RECOMMENDATIONS
from joiner.provisioning.decisions.decision import Action, Change, Decision, Problem, SourceObject, Status, Step
from joiner.provisioning.log.exchanges import REQUESTS, trimmed
from joiner.provisioning.mapping.plan import REDACTED

LONGEST_VALUE: Final = 1024
"""Longer values are cut in the log, which is for reading; the target got them whole."""
MOST_CHANGES: Final = 200

Entry = dict[str, Any]

ERROR: Final = ("errorCode", "reason", "additionalDetails", "errorCategory", "recommendedAction")
STEP: Final = ("name", "provisioningStepType", "status", "description", "details")
CHANGE: Final = ("displayName", "oldValue", "newValue")
ErrorParts = tuple[str, str, None, str, str | None]
"""What `ERROR` names, in its order."""
StepParts = tuple[str, str, str, str, Mapping[str, str]]
ChangeParts = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class LogContext:
    """What all entries of one cycle, or of one run on demand, have in common."""

    tenant_id: str
    job_id: str
    cycle_id: str
    initiated_by: Mapping[str, str]
    service_principal: Mapping[str, str]
    source_system: Mapping[str, Any]
    target_system: Mapping[str, Any]
    target_types: Mapping[str, str]
    """Source object type → name of the target's object."""
    reads: Mapping[str, Mapping[str, bool]] | None = None
    """Source object type → attributes that the import step shows, and whether as `REDACTED`; None: the object was not
    read because somebody asked for it, but received as a change."""
    only_failures: bool = False
    """Nobody reads what went well: the log of a cycle that is run to make a plan."""

    def common(self) -> dict[str, Any]:
        """The members that are the same in every entry."""
        return {
            "tenantId": self.tenant_id,
            "jobId": self.job_id,
            "cycleId": self.cycle_id,
            "servicePrincipal": self.service_principal,
            "initiatedBy": self.initiated_by,
            "sourceSystem": self.source_system,
            "targetSystem": self.target_system,
        }


class Outcome(msgspec.Struct, frozen=True, gc=False):
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
SEVERITY: Final = {Status.SKIPPED: 0, Status.SUCCESS: 1, Status.WARNING: 2, Status.FAILURE: 3}
IMPORT_STEPS: Final = {"initial": ("EntryImportAdd", "Add"), "incremental": ("EntryImportUpdate", "Update")}


def steps_of(
    context: LogContext, kind: str, source: SourceObject, decision: Decision, outcome: Outcome
) -> tuple[Step, ...]:
    """Everything that was done for the object; `kind` is the cycle's."""
    return (
        _import_step(context, kind, source),
        *decision.steps,
        *_export_steps(context, source, decision, outcome),
    )


def name_of(source: SourceObject) -> str:
    """`displayName` of `sourceIdentity`."""
    name: str = source.attributes.get("displayName") or source.name
    return name


@dataclass(frozen=True, slots=True)
class Addition:
    """What the reference phase did for an object, and what its entry becomes by that."""

    action: Action
    status: Status
    error: ErrorParts | None
    """Of use only if the status has changed."""
    steps: list[StepParts]
    changes: list[ChangeParts]
    requests: Sequence[bytes]


def added(
    action: Action,
    status: Status,
    steps: Sequence[Step],
    changes: Sequence[Change],
    problem: Problem | None,
    requests: Sequence[bytes] = (),
) -> Addition:
    """To an entry of this action and status: the worse status wins; a skip that wrote something is an update."""
    worst = status
    for step in steps:
        if SEVERITY[step.status] > SEVERITY[worst]:
            worst = step.status
    writes = action is Action.OTHER and (changes or worst is Status.FAILURE)
    return Addition(
        Action.UPDATE if writes else action,
        worst,
        error_parts(problem),
        step_parts(steps),
        change_parts(changes),
        requests,
    )


def with_addition(entry: Entry, addition: Addition) -> Entry:
    """The unpacked entry with what was added."""
    info = entry["provisioningStatusInfo"]
    if addition.status.value != info["status"]:
        error = dict(zip(ERROR, addition.error, strict=True)) if addition.error else None
        info = {"status": addition.status.value, "errorInformation": error}
    steps = [dict(zip(STEP, step, strict=True)) for step in addition.steps]
    changes = [dict(zip(CHANGE, change, strict=True)) for change in addition.changes]
    return {
        **entry,
        "provisioningAction": addition.action.value,
        "provisioningStatusInfo": info,
        "provisioningSteps": [*entry["provisioningSteps"], *steps],
        "modifiedProperties": (entry["modifiedProperties"] + changes)[:MOST_CHANGES],
        REQUESTS: trimmed([*entry[REQUESTS], *addition.requests]),
    }


def given_up(source: SourceObject) -> Step:
    """The last word on an object that has failed for 28 days (REQ-P-073)."""
    text = f"{source.object_type} '{source.name}' has failed for 28 days; it is tried again when it changes"
    return Step("EntrySynchronizationSkip", "processing", Status.FAILURE, text, {"SkipReason": "EscrowExpired"})


def _import_step(context: LogContext, kind: str, source: SourceObject) -> Step:
    details = {"objectId": source.id}
    if source.object_type == "User":
        details["accountEnabled"] = str(source.is_enabled)
    if context.reads is not None:
        hidden = context.reads.get(source.object_type, {})
        values = {name: source.attributes.get(name) for name in sorted(hidden)}
        shown = {name: _text(value, hidden[name]) for name, value in values.items() if value is not None}
        text = f"Retrieved {source.object_type} '{source.name}' from {context.source_system['displayName']}"
        return Step("EntryImport", "import", Status.SUCCESS, text, {**details, **shown})
    name, change = ("EntryImportDelete", "Delete") if not source.exists else IMPORT_STEPS[kind]
    return Step(
        name,
        "import",
        Status.SUCCESS,
        f"Received {source.object_type} '{source.name}' change of type ({change})"
        f" from {context.source_system['displayName']}",
        details,
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


def error_parts(problem: Problem | None) -> ErrorParts | None:
    """`errorInformation`."""
    if problem is None:
        return None
    category = "failure" if problem.code == "InternalError" else "nonServiceFailure"
    return problem.code, problem.reason, None, category, RECOMMENDATIONS.get(problem.code)


def step_parts(steps: Iterable[Step]) -> list[StepParts]:
    """`provisioningSteps`."""
    return [(step.name, step.kind, step.status.value, step.description, step.details) for step in steps]


def change_parts(changes: Iterable[Change]) -> list[ChangeParts]:
    """`modifiedProperties`: values as text, secret ones masked."""
    return [
        (
            change.attribute,
            None if change.old is None else _text(change.old, change.is_secret),
            None if change.new is None else _text(change.new, change.is_secret),
        )
        for change in changes
    ]


def properties_of(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """`modifiedProperties` as documents."""
    return [dict(zip(CHANGE, change, strict=True)) for change in change_parts(changes)]


def _text(value: Any, is_secret: bool) -> str:
    if is_secret:
        return REDACTED
    text: str = value
    if type(value) is not str:
        text = orjson.dumps(value).decode() if isinstance(value, (dict, list)) else canonical_text(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
