"""Whom a job would disable: put off until the cycle knows how many they are, or until an administrator has answered
(provisioning service §11).

Each function is part of its caller's transaction.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from joiner.provisioning.cycle import deletions
from joiner.provisioning.job.jobs import Job
from joiner.storage.rows import marks

WITH_CAUSE: Final = """
inbound_removal r JOIN link l ON l.job_id = r.job_id AND l.source_id = r.source_id
JOIN user u ON u.id = l.target_id AND u.account_enabled AND u.deleted_at IS NULL
"""
"""Whom nobody else has disabled or deleted meanwhile."""
CAUSELESS: Final = f"""
SELECT source_id FROM inbound_removal WHERE job_id = ?1
EXCEPT SELECT r.source_id FROM {WITH_CAUSE} WHERE r.job_id = ?1
"""
PAGE: Final = f"""
SELECT r.source_id, u.id AS user_id, iif(r.cycle_id = ?1, r.run_id, ?1) AS run_id, r.releases FROM {WITH_CAUSE}
JOIN removal c ON c.cycle_id = ?1 AND c.object_type = 'User' AND c.source_id = r.source_id
WHERE r.job_id = ?2 AND r.source_id > ?3 ORDER BY r.source_id LIMIT ?4
"""


@dataclass(frozen=True, slots=True)
class Leaver:
    """One user who is to be disabled."""

    source_id: str
    user_id: str
    run_id: str
    """Under which id the log has the entry of this cycle, if it has one."""
    releases: bool
    """The user is not managed any more then."""
    is_held: bool


def add(
    connection: sqlite3.Connection, job_id: str, source_id: str, cycle_id: str, run_id: str, *, releases: bool
) -> None:
    """Puts the user's disabling off; the log has the user's entry under `run_id`."""
    row = (job_id, source_id, cycle_id, run_id, releases)
    connection.execute("REPLACE INTO inbound_removal VALUES (?, ?, ?, ?, ?)", row)


def put_off(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> set[str]:
    """Those of the users whose disabling has been put off."""
    rows = connection.execute(
        f"SELECT source_id FROM inbound_removal WHERE job_id = ? AND source_id IN ({marks(source_ids)})",
        (job_id, *source_ids),
    )
    return {row[0] for row in rows}


def settle(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> None:
    """These have been disabled, or are not to be any more."""
    rows = ((job_id, source_id) for source_id in source_ids)
    connection.executemany("DELETE FROM inbound_removal WHERE job_id = ? AND source_id = ?", rows)
    deletions.settle(connection, job_id, source_ids)


def weigh(connection: sqlite3.Connection, job: Job, cycle_id: str, now: datetime) -> None:
    """Called when the cycle has looked at everybody: counts who would be disabled, those of earlier cycles whom nobody
    has answered for as well, and holds them back if they are too many."""
    settle(connection, job.id, [row[0] for row in connection.execute(CAUSELESS, (job.id,)).fetchall()])
    connection.execute(
        "INSERT INTO removal SELECT ?, 'User', source_id, 'disable' FROM inbound_removal WHERE job_id = ?",
        (cycle_id, job.id),
    )
    deletions.weigh_objects(connection, job, cycle_id, now)


def page(connection: sqlite3.Connection, job_id: str, cycle_id: str, after: str, limit: int) -> list[Leaver]:
    """Those that the cycle has counted, in the order of source ids."""
    rows = connection.execute(PAGE, (cycle_id, job_id, after, limit)).fetchall()
    held = deletions.held_objects(connection, job_id, [row["source_id"] for row in rows])
    return [
        Leaver(source_id, user_id, run_id, bool(releases), source_id in held)
        for source_id, user_id, run_id, releases in rows
    ]
