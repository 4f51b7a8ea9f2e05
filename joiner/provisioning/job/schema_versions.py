"""The versions of a job's schema document as rows: the present one, those before it, and what saving one sets off.

Functions that take a `sqlite3.Connection` run inside somebody's transaction.
"""

import sqlite3
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from joiner.clock import to_iso
from joiner.errors import NotFoundError
from joiner.provisioning.job.jobs import Job
from joiner.storage.rows import from_json, from_row

KEPT: Final = 100
"""Versions of a job that are kept beside those that cycles work by."""

Reason = Literal["template", "replaced", "restored", "rolled back", "discovered"]


class SchemaVersion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One row of `job_schema`, without its document."""

    version: int
    saved_at: str
    reason: Reason

    @property
    def name(self) -> str:
        """As documents show it: `v1.0`."""
        return version_name(self.version)


def version_name(version: int) -> str:
    """`v1.0` for the first one, as documents show it."""
    return f"v1.{version - 1}"


def schema_text(connection: sqlite3.Connection, job_id: str) -> str:
    """The present document as it is stored. Raises NotFoundError."""
    row = connection.execute("SELECT schema FROM job WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no job '{job_id}'")
    text: str = row["schema"]
    return text


def version_text(connection: sqlite3.Connection, job_id: str, version: int) -> str:
    """Raises NotFoundError."""
    row = connection.execute(
        "SELECT document FROM job_schema WHERE job_id = ? AND version = ?", (job_id, version)
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no version {version_name(version)} of this schema")
    text: str = row["document"]
    return text


def versions_of(connection: sqlite3.Connection, job_id: str) -> list[SchemaVersion]:
    """Newest first."""
    rows = connection.execute(
        "SELECT version, saved_at AS savedAt, reason FROM job_schema WHERE job_id = ? ORDER BY version DESC", (job_id,)
    )
    return [from_row(row, SchemaVersion, ()) for row in rows]


def job_at_version(connection: sqlite3.Connection, job: Job, version: int | None) -> Job:
    """The job as it was with this version of its schema; with the present one if that version is not kept."""
    if version is None or version == job.schema_version:
        return job
    try:
        schema: Any = from_json(version_text(connection, job.id, version))
    except NotFoundError:
        return job
    return msgspec.structs.replace(job, schema=schema, schema_version=version)


def save_schema(
    connection: sqlite3.Connection, job: Job, text: str, reason: Reason, now: datetime, *, reevaluates: bool
) -> None:
    """The document becomes the job's next version. A cycle that runs ends on the one it has (REQ-P-143)."""
    version = job.schema_version + 1
    connection.execute("UPDATE job SET schema = ?, schema_version = ? WHERE id = ?", (text, version, job.id))
    connection.execute(
        "INSERT INTO job_schema (job_id, version, saved_at, reason, document) VALUES (?, ?, ?, ?, ?)",
        (job.id, version, to_iso(now), reason, text),
    )
    connection.execute(
        "DELETE FROM job_schema WHERE job_id = ?1 AND version <= ?2 AND version NOT IN"
        " (SELECT schema_version FROM cycle WHERE job_id = ?1 AND state = 'running' AND schema_version IS NOT NULL)",
        (job.id, version - KEPT),
    )
    if reevaluates:
        look_at_everything(connection, job.id, now)


def look_at_everything(connection: sqlite3.Connection, job_id: str, now: datetime) -> None:
    """The next cycle is an initial one, however often this is called before it; links stay, failures and a quarantine
    are forgotten (provisioning service §6.2)."""
    connection.execute("DELETE FROM escrow WHERE job_id = ?", (job_id,))
    connection.execute(
        "UPDATE job SET watermark = NULL, reevaluates = 1, complete_failures = 0, quarantine = NULL,"
        " next_run_at = iif(quarantine IS NOT NULL AND schedule_state = 'Active', ?, next_run_at) WHERE id = ?",
        (to_iso(now), job_id),
    )
