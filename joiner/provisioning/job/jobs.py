"""Jobs as rows: reading them, and the changes of state that an administrator or the engine makes.

Functions that take a `sqlite3.Connection` run inside somebody's transaction; the states are those of provisioning
service §5.
"""

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from joiner.clock import to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.provisioning.client.profile import changed_profile
from joiner.provisioning.job import job_settings
from joiner.storage.rows import from_row, to_json

ScheduleState = Literal["Active", "Disabled", "Paused"]
Reset = Literal["links", "escrows", "watermark", "quarantine", "held deletes"]

OF_LINKS: Final = (
    "link",
    "exported_reference",
    "pending_reference",
    "reference_intent",
    "staged_removal",
    "inbound_manager",
    "inbound_removal",
)
"""The tables of what is known of linked objects, by job and source object."""
FULL: Final[frozenset[Reset]] = frozenset({"links", "escrows", "watermark", "quarantine"})
RESET_SCOPES: Final[Mapping[str, frozenset[Reset]]] = {
    "None": frozenset(),
    "ConnectorDataStore": FULL,
    "Escrows": frozenset({"escrows"}),
    "Watermark": frozenset({"watermark"}),
    "QuarantineState": frozenset({"quarantine"}),
    "Full": FULL,
    "ForceDeletes": frozenset({"held deletes"}),
}
"""`resetScope` → what it forgets. Without the links nothing that was known of failures holds, so that dropping them
drops all (provisioning service §6.2)."""
RESTART_DEFAULT: Final = "QuarantineState, Watermark, Escrows"
"""The portal's button."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `job`; times are ISO 8601 UTC text."""

    id: str
    service_principal_id: str
    template_id: str
    created_at: str
    schedule_state: ScheduleState
    interval_seconds: int
    next_run_at: str | None
    settings: Mapping[str, str]
    profile: Mapping[str, Any]
    schema: Mapping[str, Any]
    schema_version: int
    watermark: int | None
    fence: int
    restart_requested: bool
    quarantine: Mapping[str, Any] | None
    complete_failures: int
    escrows_pruned: bool
    users_synchronized: int
    groups_synchronized: int
    steady_first: str | None
    steady_last: str | None


JOB_JSON: Final = ("settings", "profile", "schema", "quarantine")


def job_by_id(connection: sqlite3.Connection, job_id: str) -> Job:
    """Raises NotFoundError."""
    row = connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no job '{job_id}'")
    return _job(row)


def jobs_of(connection: sqlite3.Connection, service_principal_id: str | None = None) -> list[Job]:
    """The jobs of one application, or all of them, oldest first."""
    rows = connection.execute(
        "SELECT * FROM job WHERE ?1 IS NULL OR service_principal_id = ?1 ORDER BY created_at, id",
        (service_principal_id,),
    )
    return [_job(row) for row in rows]


def add_job(
    connection: sqlite3.Connection,
    service_principal_id: str,
    template_id: str,
    schema: Mapping[str, Any],
    now: datetime,
) -> Job:
    """A new job, disabled, with the template's schema (REQ-P-003, REQ-P-009)."""
    job_id = f"{template_id}.{tenant_id(connection).replace('-', '')}.{new_id()}"
    connection.execute(
        "INSERT INTO job (id, service_principal_id, template_id, created_at, schedule_state, interval_seconds,"
        " settings, schema, schema_version) VALUES (?, ?, ?, ?, 'Disabled', ?, '{}', ?, 1)",
        (
            job_id,
            service_principal_id,
            template_id,
            to_iso(now),
            int(job_settings.interval({}).total_seconds()),
            to_json({**schema, "id": job_id, "version": "v1.0"}),
        ),
    )
    connection.execute(
        "INSERT INTO job_schema SELECT id, schema_version, created_at, 'template', schema FROM job WHERE id = ?",
        (job_id,),
    )
    return job_by_id(connection, job_id)


def delete_job(connection: sqlite3.Connection, job_id: str) -> None:
    """Drops the job with its links, escrows and watermark; target objects and the log stay (REQ-P-140)."""
    job_by_id(connection, job_id)
    connection.execute("DELETE FROM job WHERE id = ?", (job_id,))


def change_profile(connection: sqlite3.Connection, job_id: str, changes: Mapping[str, Any]) -> None:
    """Sets members of the target's profile by their JSON names; None sets the default. Holds from the next page on.

    Raises NotFoundError, InvalidValueError.
    """
    profile = changed_profile(job_by_id(connection, job_id).profile, changes)
    connection.execute("UPDATE job SET profile = ? WHERE id = ?", (to_json(profile), job_id))


def start_job(connection: sqlite3.Connection, job_id: str, now: datetime) -> None:
    """Runs the job from now on. Does nothing to a job that runs already and is not in quarantine.

    A paused job goes on where it stopped (REQ-P-057); one that was disabled looks at everything again (§8.3).
    """
    job = job_by_id(connection, job_id)
    if job.schedule_state == "Active" and job.quarantine is None:
        return
    connection.execute(
        "UPDATE job SET watermark = iif(schedule_state = 'Disabled', NULL, watermark), schedule_state = 'Active',"
        " next_run_at = ? WHERE id = ?",
        (to_iso(now), job_id),
    )


def pause_job(connection: sqlite3.Connection, job_id: str) -> None:
    """No further cycle starts; one that runs goes on to its end (REQ-P-057)."""
    job_by_id(connection, job_id)
    connection.execute("UPDATE job SET schedule_state = 'Paused', next_run_at = NULL WHERE id = ?", (job_id,))


def stop_cycle(connection: sqlite3.Connection, job_id: str) -> None:
    """The cycle that runs, if there is one, ends at its next page and keeps no watermark: what it has done is found
    done by the next one."""
    connection.execute(
        "UPDATE job SET restart_requested = EXISTS (SELECT 1 FROM cycle WHERE job_id = ?1 AND state = 'running')"
        " WHERE id = ?1",
        (job_id,),
    )


def reset_job(connection: sqlite3.Connection, job_id: str, resets: frozenset[Reset], now: datetime) -> None:
    """Forgets what `resets` names and makes the job run (provisioning service §6.2).

    A cycle that runs ends at its next page and stores no watermark. Lifting a quarantine is `standing.lift`, allowing
    deletions `staged_removals.allow`.
    """
    job_by_id(connection, job_id)
    if "links" in resets:
        for table in (*OF_LINKS, "intent"):
            connection.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
        # Counted anew with the links (REQ-P-127).
        connection.execute("UPDATE job SET users_synchronized = 0, groups_synchronized = 0 WHERE id = ?", (job_id,))
    if "escrows" in resets:
        # What is forgotten is not tried again; what may have been written is, since nobody else would find it.
        connection.execute(
            "DELETE FROM pending_reference AS p WHERE job_id = ?1 AND source_id IN"
            " (SELECT source_id FROM escrow WHERE job_id = ?1 AND is_reference) AND NOT EXISTS (SELECT 1 FROM"
            " reference_intent i WHERE i.job_id = ?1 AND i.source_id = p.source_id AND i.attribute = p.attribute"
            " AND i.related_id = p.related_id)",
            (job_id,),
        )
        for table in ("escrow", "inbound_escrow"):
            connection.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
        connection.execute("UPDATE job SET escrows_pruned = 0, complete_failures = 0 WHERE id = ?", (job_id,))
    if "watermark" in resets:
        look_at_everything(connection, job_id)
    connection.execute("UPDATE job SET schedule_state = 'Active', next_run_at = ? WHERE id = ?", (to_iso(now), job_id))


def look_at_everything(connection: sqlite3.Connection, job_id: str) -> None:
    """The next cycle is an initial one; the one that runs, if there is one, ends at its next page."""
    connection.execute("UPDATE job SET watermark = NULL WHERE id = ?", (job_id,))
    stop_cycle(connection, job_id)


def run_soon(connection: sqlite3.Connection, job_id: str, now: datetime) -> None:
    """Makes the job due if it is active."""
    connection.execute(
        "UPDATE job SET next_run_at = ? WHERE id = ? AND schedule_state = 'Active'", (to_iso(now), job_id)
    )


def write_settings(connection: sqlite3.Connection, job_id: str, settings: Mapping[str, str], now: datetime) -> None:
    """Stores exactly these. A shorter interval counts from now on, unless the job is in quarantine."""
    interval = job_settings.interval(settings)
    connection.execute(
        "UPDATE job SET settings = ?, interval_seconds = ?,"
        " next_run_at = iif(quarantine IS NULL, min(next_run_at, ?), next_run_at) WHERE id = ?",
        (to_json(dict(settings)), int(interval.total_seconds()), to_iso(now + interval), job_id),
    )


def reset_scope(text: str | None) -> frozenset[Reset]:
    """What a comma list of `RESET_SCOPES` resets; without one, what the portal's button does.

    Raises InvalidValueError for another word.
    """
    resets: frozenset[Reset] = frozenset()
    for word in (text or RESTART_DEFAULT).split(","):
        name = next((known for known in RESET_SCOPES if known.lower() == word.strip().lower()), None)
        if name is None:
            raise InvalidValueError(f"'{word.strip()}' is not a resetScope; use {', '.join(RESET_SCOPES)}")
        resets |= RESET_SCOPES[name]
    return resets


def due_jobs(connection: sqlite3.Connection, now: datetime) -> list[str]:
    """Ids of the active jobs whose time has come and that have no cycle running."""
    rows = connection.execute(
        "SELECT id FROM job WHERE schedule_state = 'Active' AND next_run_at <= ?"
        " AND NOT EXISTS (SELECT 1 FROM cycle WHERE job_id = job.id AND state = 'running') ORDER BY next_run_at, id",
        (to_iso(now),),
    )
    return [row["id"] for row in rows]


def next_due(connection: sqlite3.Connection) -> str | None:
    """When the next job without a running cycle is due, or None."""
    row = connection.execute(
        "SELECT min(next_run_at) FROM job WHERE schedule_state = 'Active'"
        " AND NOT EXISTS (SELECT 1 FROM cycle WHERE job_id = job.id AND state = 'running')"
    ).fetchone()
    result: str | None = row[0]
    return result


def count_complete_failure(connection: sqlite3.Connection, job_id: str, *, failed: bool) -> int:
    """Counts a cycle that failed as a whole, or begins anew after one that did not; returns how many there are in a
    row."""
    row = connection.execute(
        "UPDATE job SET complete_failures = iif(?, complete_failures + 1, 0) WHERE id = ? RETURNING complete_failures",
        (failed, job_id),
    ).fetchone()
    failures: int = row[0]
    return failures


def retry_quarantined(connection: sqlite3.Connection, service_principal_id: str, now: datetime) -> None:
    """Makes the application's quarantined jobs due: something has been put right (provisioning service §8.3)."""
    connection.execute(
        "UPDATE job SET next_run_at = ? WHERE service_principal_id = ? AND quarantine IS NOT NULL"
        " AND schedule_state = 'Active'",
        (to_iso(now), service_principal_id),
    )


def tenant_id(connection: sqlite3.Connection) -> str:
    """The id of this installation's tenant; `ensure_tenant` has made it."""
    result: str = connection.execute("SELECT tenant_id FROM installation").fetchone()[0]
    return result


def ensure_tenant(connection: sqlite3.Connection) -> None:
    """Gives a new installation its tenant id."""
    if connection.execute("SELECT 1 FROM installation").fetchone() is None:
        connection.execute("INSERT INTO installation VALUES (?)", (new_id(),))


def _job(row: sqlite3.Row) -> Job:
    return from_row(row, Job, JOB_JSON)
