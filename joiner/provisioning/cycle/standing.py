"""How a job stands at the end of a cycle: quarantine imposed, renewed, lifted, given up; and who is told.

Functions run inside the transaction that ends the cycle, so that a job, its audit log and its e-mails never disagree.
"""

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from joiner.clock import from_iso
from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.cycle import deletions
from joiner.provisioning.job import cycles, jobs, links
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.job_settings import mails_when_lifted, recipients, thresholds
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.modes import is_on
from joiner.provisioning.job.quarantine import (
    COMPLETE_FAILURES,
    Reason,
    Tally,
    fails_completely,
    is_over,
    renewed,
    verdict,
)
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import SERVICE_ITSELF, Activity, Actor, AuditChange
from joiner.provisioning.notifications import outbox
from joiner.provisioning.notifications.notices import NOTHING, Occasion, compose
from joiner.storage.rows import to_json

BY_HAND: Final = "QuarantinedOnDemand"
BY_NUMBERS: Final = frozenset(
    {"EncounteredEscrowProportionThreshold", "EncounteredBaseEscrowThreshold", "EncounteredTotalEscrowThreshold"}
)


def settle(connection: sqlite3.Connection, cycle: Cycle, now: datetime) -> None:
    """Ends a cycle that ran through, and judges the job by what it did."""
    job = jobs.job_by_id(connection, cycle.job_id)
    tally = tally_of(connection, cycle)
    error = deletions.hold_error(connection, job.id) if cycle.is_held else None
    clean = not (cycle.counts.get("escrowed") or cycle.is_held)
    is_steady = clean and not (tally.failures or tally.reference_failures)
    cycles.end_cycle(connection, cycle, "succeeded" if clean else "entry_level_errors", now, error)
    if is_steady:
        cycles.note_steady(connection, job.id, now)
    attempted, exported = cycle.counts.get("exports", 0), cycle.counts.get("exported", 0)
    if attempted or "failed" in cycles.latest_ends(connection, job.id, 2, idle=True):
        jobs.count_complete_failure(connection, job.id, failed=attempted > 0 and not exported)
    _note_work(connection, job, cycle, now)
    job = jobs.job_by_id(connection, job.id)
    if job.quarantine is not None and job.quarantine["reason"] == BY_HAND:
        # What an administrator imposed, only an administrator lifts.
        impose(connection, job, BY_HAND, job.quarantine["error"], now)
    elif error is not None:
        impose(connection, job, "TooManyDeletes", error, now)
    elif (found := _judge(connection, job, cycle, tally)) is not None:
        reason, message = found
        if cycle.kind == "initial" and reason in BY_NUMBERS and not is_on(job.settings, "quarantineAfterInitialCycle"):
            lift(connection, job, now, SERVICE_ITSELF)
            _prune(connection, job, now)
        else:
            impose(connection, job, reason, _error(reason, message), now)
    else:
        lift(connection, job, now, SERVICE_ITSELF)


def fail(connection: sqlite3.Connection, cycle: Cycle, error: TargetError, now: datetime) -> None:
    """Ends a cycle that could not go on, without a watermark.

    What only an administrator can put right quarantines the job at once (REQ-P-075, REQ-P-076); a target that cannot be
    reached does so at the third cycle in a row, since it may just be restarting.
    """
    told = _error(error.code, error.reason)
    cycles.end_cycle(connection, cycle, "failed", now, told)
    failures = jobs.count_complete_failure(connection, cycle.job_id, failed=True)
    job = jobs.job_by_id(connection, cycle.job_id)
    at_once = isinstance(error, TargetUnusableError) or not is_on(job.settings, "patientWhenUnreachable")
    latest = cycles.latest_ends(connection, job.id, COMPLETE_FAILURES, idle=True)
    is_third = failures >= COMPLETE_FAILURES and set(latest) == {"failed"}
    if job.quarantine is not None and job.quarantine["reason"] == BY_HAND:
        impose(connection, job, BY_HAND, job.quarantine["error"], now)
    elif at_once or is_third or job.quarantine is not None:
        impose(connection, job, "EncounteredQuarantineException", told, now)


def impose(
    connection: sqlite3.Connection,
    job: Job,
    reason: Reason,
    error: Mapping[str, Any],
    now: datetime,
    by: Actor = SERVICE_ITSELF,
) -> None:
    """Puts the job into quarantine, or renews it; after 28 days of one series the job is disabled (REQ-P-083 …
    REQ-P-086)."""
    before = job.quarantine
    quarantine = renewed(before, reason, error, now)
    gives_up = is_over(from_iso(quarantine["seriesBegan"]), now)
    state = "Disabled" if gives_up else job.schedule_state
    connection.execute(
        "UPDATE job SET quarantine = ?, schedule_state = ?, next_run_at = ? WHERE id = ?",
        (to_json(quarantine), state, quarantine["nextAttempt"] if state == "Active" else None, job.id),
    )
    told = before["reason"] if before else None
    if told != reason:
        _note(connection, job, "Quarantine", now, by, told, reason, str(error["message"]))
        tell(connection, job, "deletions held back" if reason == "TooManyDeletes" else "quarantined", quarantine, now)
    if gives_up and job.schedule_state != "Disabled":
        activity: Activity = "Disable/pause provisioning configuration"
        audit.note(
            connection, activity, now, SERVICE_ITSELF, job.service_principal_id, job_id=job.id,
            changes=(AuditChange("schedule.state", job.schedule_state, "Disabled"),), reason="28 days of quarantine",
        )  # fmt: skip
        if is_on(job.settings, "mailWhenDisabled"):
            tell(connection, job, "disabled", quarantine, now)


def lift(connection: sqlite3.Connection, job: Job, now: datetime, by: Actor) -> None:
    """Ends the quarantine (REQ-P-085, REQ-P-087); does nothing to a job that has none."""
    if job.quarantine is None:
        return
    connection.execute("UPDATE job SET quarantine = NULL, complete_failures = 0 WHERE id = ?", (job.id,))
    _note(connection, job, "Quarantine", now, by, job.quarantine["reason"], None, "the quarantine is lifted")
    if mails_when_lifted(job.settings):
        tell(connection, job, "lifted", None, now)


def tally_of(connection: sqlite3.Connection, cycle: Cycle) -> Tally:
    """Failures are what waits in escrow, successes what is linked, managed and not in escrow: numbers that do not
    depend on how few objects an incremental cycle looks at."""
    failures, references = links.count_escrows(connection, cycle.job_id)
    # Without failures nobody asks how many succeeded.
    in_step = links.count_in_step(connection, cycle.job_id) if failures else 0
    done = sum(cycle.counts.get(name, 0) for name in ("create", "update", "disable", "delete"))
    return Tally(failures, references, max(in_step, done))


def _judge(connection: sqlite3.Connection, job: Job, cycle: Cycle, tally: Tally) -> tuple[Reason, str] | None:
    limits = thresholds(job.settings)
    found = verdict(tally, limits)
    if found is not None or not is_on(job.settings, "smallTenantQuarantine"):
        return found
    # A cycle that had nothing to send proves nothing either way, nor does one that could not reach the target.
    tried = "failed" not in cycles.latest_ends(connection, job.id, COMPLETE_FAILURES, idle=False)
    if cycle.counts.get("exports") and tried and fails_completely(job.complete_failures, tally, limits):
        text = f"every export of {job.complete_failures} cycles in a row failed"
        return "EncounteredEscrowProportionThreshold", text
    return None


def _prune(connection: sqlite3.Connection, job: Job, now: datetime) -> None:
    """As documented: the failures of an initial cycle are forgotten, and the job waits for an administrator (§8.2)."""
    links.forget_escrows(connection, job.id)
    connection.execute(
        "UPDATE job SET escrows_pruned = 1, schedule_state = 'Paused', next_run_at = NULL WHERE id = ?", (job.id,)
    )
    reason = "too many objects failed in the initial cycle; their failures are forgotten"
    audit.note(
        connection, "Disable/pause provisioning configuration", now, SERVICE_ITSELF, job.service_principal_id,
        job_id=job.id, changes=(AuditChange("schedule.state", job.schedule_state, "Paused"),), reason=reason,
    )  # fmt: skip


def _note(
    connection: sqlite3.Connection,
    job: Job,
    activity: Activity,
    now: datetime,
    by: Actor,
    old: str | None,
    new: str | None,
    reason: str,
) -> None:
    change = AuditChange("quarantine.reason", old, new)
    audit.note(connection, activity, now, by, job.service_principal_id, job_id=job.id, changes=(change,), reason=reason)


def _note_work(connection: sqlite3.Connection, job: Job, cycle: Cycle, now: datetime) -> None:
    """What a cycle did, if it did anything: an entry each for reading everything, for writing, and for retries."""
    counts = cycle.counts
    work: tuple[tuple[Activity, bool, tuple[str, ...]], ...] = (
        ("Import", cycle.kind == "initial", ("imported", "entitled")),
        ("Export", counts.get("exports", 0) > 0, ("create", "update", "disable", "delete", "failure")),
        ("Process escrow", counts.get("retried", 0) > 0, ("retried", "given_up")),
        ("Synchronization rule action", cycle.is_held, ("staged",)),
    )
    for activity, happened, names in work:
        if happened:
            told = {name: str(counts.get(name, 0)) for name in names}
            audit.note(
                connection, activity, now, SERVICE_ITSELF, job.service_principal_id, job_id=job.id,
                details={"CycleId": cycle.id, **told},
            )  # fmt: skip


def tell(
    connection: sqlite3.Connection,
    job: Job,
    occasion: Occasion,
    quarantine: Mapping[str, Any] | None,
    now: datetime,
    told: Mapping[str, str] = NOTHING,
) -> None:
    """Leaves an e-mail in the outbox if the job wants any (REQ-P-129, REQ-P-130). `told`: more facts."""
    to = recipients(job.settings)
    if not to:
        return
    row = connection.execute(
        "SELECT display_name FROM service_principal WHERE id = ?", (job.service_principal_id,)
    ).fetchone()
    name, is_started = row["display_name"] if row else job.id, job.schedule_state == "Active"
    mail = compose(occasion, to, name, job.id, quarantine, told, is_started=is_started)
    outbox.enqueue(connection, mail, now)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "tenantActionable": True}


def quarantine_by_hand(connection: sqlite3.Connection, job: Job, reason: str, now: datetime, by: Actor) -> None:
    """`QuarantinedOnDemand`: the job runs at reduced frequency until an administrator starts or restarts it."""
    error = _error(BY_HAND, reason or f"quarantined by {by.name}")
    impose(connection, msgspec.structs.replace(job, quarantine=None), BY_HAND, error, now, by)
