"""The guard against accidental deletions: what a cycle would take away is counted before any of it is sent, and held
back if it is too much (provisioning service §11).

Counted are the objects that lose something: those to be disabled or deleted, and those that only lose memberships. What
is held back is staged: every later cycle looks at it again, drops what has lost its cause, and sends what an
administrator has allowed.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from joiner.clock import to_iso
from joiner.provisioning.cycle.pending_references import is_mapped
from joiner.provisioning.cycle.reference import MEMBERS
from joiner.provisioning.cycle.run import Run
from joiner.provisioning.job.job_settings import deletion_limits
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.modes import is_on
from joiner.storage.rows import marks

CODE: Final = "TooManyDeletes"


OBJECTS: Final = """
SELECT r.object_type, r.source_id, '' AS related_id, r.action FROM removal r
WHERE r.cycle_id = :cycle AND r.action <> ''
"""
MEMBERSHIPS: Final = """
SELECT 'Group' AS object_type, p.source_id, p.related_id, 'removeMember' AS action FROM pending_reference p
JOIN link own ON own.job_id = p.job_id AND own.source_id = p.source_id AND own.is_managed AND NOT own.is_disabled
LEFT JOIN exported_reference e ON e.job_id = p.job_id AND e.source_id = p.source_id AND e.attribute = p.attribute
     AND e.related_id = p.related_id
LEFT JOIN reference_intent i ON i.job_id = p.job_id AND i.source_id = p.source_id AND i.attribute = p.attribute
     AND i.related_id = p.related_id
LEFT JOIN membership m ON m.group_id = p.source_id AND m.member_id = p.related_id
LEFT JOIN link other ON other.job_id = p.job_id AND other.source_id = p.related_id
WHERE p.job_id = :job AND p.attribute = 'members' AND coalesce(e.target_value, i.target_value) IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM removal r WHERE r.cycle_id = :cycle AND r.object_type = 'Group'
                  AND r.source_id = p.source_id)
  AND (m.member_id IS NULL OR (NOT coalesce(other.is_managed AND NOT other.is_disabled, 0)
                               AND coalesce(e.target_value, i.target_value) IS NOT other.target_id))
"""
"""Members that the references phase would take out of groups, by the rule of `Reference.removes`."""
UNDECIDED: Final = """
NOT EXISTS (SELECT 1 FROM staged_removal s WHERE s.job_id = :job AND s.source_id = found.source_id
            AND s.related_id = found.related_id AND s.is_allowed)
"""

LOSERS: Final = (
    "SELECT count(DISTINCT iif(related_id = '', source_id, related_id)) FROM ({found}) AS found WHERE " + UNDECIDED
)
"""Who loses both the account and memberships is one loss."""
DROP_CAUSELESS: Final = """
DELETE FROM staged_removal WHERE job_id = :job AND (NOT (is_allowed OR :exceeded OR (is_passed_over AND :guarded))
  OR (source_id, related_id) NOT IN (SELECT source_id, related_id FROM ({found})))
"""
HOLD: Final = (
    "INSERT INTO staged_removal (job_id, source_id, related_id, object_type, action, cycle_id, staged_at, is_allowed)"
    " SELECT :job, source_id, related_id, object_type, action, :cycle, :now, 0 FROM ({found}) AS found"
    f" WHERE {UNDECIDED} AND (:exceeded OR (source_id, related_id) IN"
    " (SELECT source_id, related_id FROM staged_removal WHERE job_id = :job AND is_passed_over))"
    " ON CONFLICT DO UPDATE SET action = excluded.action"
)
"""Who was passed over when an administrator answered others waits for an answer, however few are left."""


def weigh(connection: sqlite3.Connection, run: Run) -> bool:
    """Called when everything that the cycle would take away is known and nothing of it is sent. True if it is too much:
    then all of it that is not allowed is staged, and also if some of it was passed over in an administrator's answer.
    Whatever was staged before and is not among it has lost its cause."""
    guards = is_mapped(run, MEMBERS) and is_on(run.job.settings, "guardMemberships")
    counted = f"{OBJECTS} UNION ALL {MEMBERSHIPS}" if guards else OBJECTS
    return _weigh(connection, run.job, run.cycle.id, counted, run.clock())


def weigh_objects(connection: sqlite3.Connection, job: Job, cycle_id: str, now: datetime) -> bool:
    """As `weigh`, for a job that takes no memberships away."""
    return _weigh(connection, job, cycle_id, OBJECTS, now)


def _weigh(connection: sqlite3.Connection, job: Job, cycle_id: str, counted: str, now: datetime) -> bool:
    limits = deletion_limits(job.settings)
    parameters: dict[str, Any] = {"job": job.id, "cycle": cycle_id, "now": to_iso(now), "guarded": limits is not None}
    number: int = connection.execute(LOSERS.format(found=counted), parameters).fetchone()[0] if limits else 0
    exceeded = limits is not None and number > 0 and limits.is_exceeded(number, _count_managed(connection, job.id))
    parameters["exceeded"] = exceeded
    if _has_staged(connection, job.id):
        connection.execute(DROP_CAUSELESS.format(found=counted), parameters)
    if exceeded or _has_staged(connection, job.id):
        connection.execute(HOLD.format(found=counted), parameters)
    holds = count_undecided(connection, job.id) > 0
    if holds:
        connection.execute("UPDATE cycle SET is_held = 1 WHERE id = ?", (cycle_id,))
    return holds


def not_weighed(run: Run) -> set[tuple[str, str]]:
    """(group id, member id) of who has entered or left since the cycle began: the next cycle sees that, and counts
    (REQ-P-053)."""
    return set(run.directory.changed_memberships((run.cycle.to_position, run.directory.feed_position())))


def held_objects(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> set[str]:
    """Those of the objects whose disable or delete is held back."""
    rows = connection.execute(
        f"SELECT source_id FROM staged_removal WHERE job_id = ? AND related_id = '' AND NOT is_allowed"
        f" AND source_id IN ({marks(source_ids)})",
        (job_id, *source_ids),
    )
    return {row[0] for row in rows}


def staged_ids(connection: sqlite3.Connection, job_id: str, object_type: str, after: str, limit: int) -> list[str]:
    """Ids of the staged objects in id order: every cycle looks at them again."""
    rows = connection.execute(
        "SELECT source_id FROM staged_removal WHERE job_id = ? AND related_id = '' AND object_type = ?"
        " AND source_id > ? ORDER BY source_id LIMIT ?",
        (job_id, object_type, after, limit),
    )
    return [row[0] for row in rows]


def settle(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> None:
    """These objects have been decided otherwise, or carried out: nothing of them is staged any more."""
    connection.execute(
        f"DELETE FROM staged_removal WHERE job_id = ? AND related_id = '' AND source_id IN ({marks(source_ids)})",
        (job_id, *source_ids),
    )


def is_held(job: Job) -> bool:
    """Whether the job is in quarantine because deletions are held back."""
    return job.quarantine is not None and job.quarantine["reason"] == CODE


def hold_error(connection: sqlite3.Connection, job_id: str) -> dict[str, Any]:
    """The error of a cycle that was held."""
    number = count_undecided(connection, job_id)
    return {
        "code": CODE,
        "message": "one deletion is held back until an administrator allows or rejects it"
        if number == 1
        else f"{number} deletions are held back until an administrator allows or rejects them",
        "tenantActionable": True,
    }


def count_undecided(connection: sqlite3.Connection, job_id: str) -> int:
    """How many removals wait for an administrator's answer."""
    number: int = connection.execute(
        "SELECT count(*) FROM staged_removal WHERE job_id = ? AND NOT is_allowed", (job_id,)
    ).fetchone()[0]
    return number


def _count_managed(connection: sqlite3.Connection, job_id: str) -> int:
    sql = "SELECT count(*) FROM link WHERE job_id = ? AND is_managed"
    number: int = connection.execute(sql, (job_id,)).fetchone()[0]
    return number


def _has_staged(connection: sqlite3.Connection, job_id: str) -> bool:
    return connection.execute("SELECT 1 FROM staged_removal WHERE job_id = ? LIMIT 1", (job_id,)).fetchone() is not None
