"""The job as `synchronizationJob`: schedule, status, progress, last executions (provisioning service §13.2).

Pure: rows in, document out.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.job_settings import shown
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log.journal import OUTCOMES

NEVER: Final = "0001-01-01T00:00:00Z"
NO_ERROR: Final = {"code": "None", "message": "", "tenantActionable": False}
STATES: Final = {
    "succeeded": "Succeeded",
    "entry_level_errors": "EntryLevelErrors",
    "failed": "Failed",
    "abandoned": "Failed",
}
KEYS: Final[Mapping[str, str]] = {
    "countEntitled": "entitled",
    "countEntitledForProvisioning": "entitled",
    "countEscrowed": "escrowed",
    "countEscrowedRaw": "escrowed",
    "countExported": "exported",
    "countExports": "exports",
    "countImported": "imported",
    "countImportedDeltas": "imported",
    "countImportedReferenceDeltas": "reference_deltas",
}


def job_document(
    job: Job,
    *,
    is_configured: bool,
    running: Cycle | None,
    last: Cycle | None,
    last_good: Cycle | None,
    last_export: Cycle | None,
    target_names: Mapping[str, str],
) -> dict[str, Any]:
    """`running`: the cycle under way; `last`: the latest that ended; `last_good`: the latest without errors;
    `last_export`: the latest without errors that wrote something."""
    return {
        "id": job.id,
        "templateId": job.template_id,
        "schedule": {
            "expiration": None,
            "interval": _duration(job.interval_seconds),
            "state": job.schedule_state,
        },
        "status": {
            "code": _code(job, is_configured, last),
            "countSuccessiveCompleteFailures": job.complete_failures,
            "escrowsPruned": job.escrows_pruned,
            "lastExecution": _execution(last),
            "lastSuccessfulExecution": _execution(last_good),
            "lastSuccessfulExecutionWithExports": _execution(last_export),
            "progress": _progress(running or last),
            "quarantine": job.quarantine,
            "steadyStateFirstAchievedTime": job.steady_first or NEVER,
            "steadyStateLastAchievedTime": job.steady_last or NEVER,
            "synchronizedEntryCountByType": _entry_counts(job, target_names),
            "troubleshootingUrl": "",
        },
        "synchronizationJobSettings": [
            {"name": name, "value": value} for name, value in sorted(shown(job.settings).items())
        ],
    }


def cycle_document(cycle: Cycle) -> dict[str, Any]:
    """Our own view of one cycle, richer than Graph's: kind, phase, and what became of the objects."""
    return {
        "id": cycle.id,
        "jobId": cycle.job_id,
        "kind": cycle.kind,
        "state": cycle.state,
        "phase": cycle.phase,
        "completedPages": cycle.completed_pages,
        "totalPages": cycle.total_pages,
        "beganDateTime": cycle.began_at,
        "endedDateTime": cycle.ended_at,
        "counts": {name: cycle.counts.get(name, 0) for name in OUTCOMES},
        "stagedDeletes": cycle.counts.get("staged", 0),
        "objectsRead": cycle.counts.get("imported", 0),
        "error": cycle.error,
    }


def _code(job: Job, is_configured: bool, last: Cycle | None) -> str:
    if job.quarantine is not None:
        return "Quarantine"
    if not is_configured:
        return "NotConfigured"
    if job.schedule_state != "Active":
        return "Paused"
    return "Active" if last is not None and job.watermark is not None else "NotRun"


def _execution(cycle: Cycle | None) -> dict[str, Any] | None:
    if cycle is None:
        return None
    return {
        "activityIdentifier": cycle.id,
        "state": STATES[cycle.state],
        "timeBegan": cycle.began_at,
        "timeEnded": cycle.ended_at,
        **{key: cycle.counts.get(name, 0) for key, name in KEYS.items()},
        "error": cycle.error or NO_ERROR,
    }


def _progress(cycle: Cycle | None) -> list[dict[str, Any]]:
    if cycle is None:
        return []
    return [
        {
            "units": "pages",
            "completedUnits": cycle.completed_pages,
            "totalUnits": max(cycle.total_pages, cycle.completed_pages),
            "progressObservationDateTime": cycle.observed_at,
        }
    ]


def _entry_counts(job: Job, target_names: Mapping[str, str]) -> list[dict[str, Any]]:
    counts = {"User": job.users_synchronized, "Group": job.groups_synchronized}
    return [
        {"key": f"{source} to {target_names[source]}", "value": counts[source]}
        for source in counts
        if source in target_names and counts[source]
    ]


def _duration(seconds: int) -> str:
    """ISO 8601, for example PT40M or PT1H30M."""
    hours, rest = divmod(timedelta(seconds=seconds).total_seconds(), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{int(n)}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (left, "S")) if n]
    return "PT" + ("".join(parts) or "0S")
