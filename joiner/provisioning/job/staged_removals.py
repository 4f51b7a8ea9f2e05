"""What the guard against accidental deletions holds back of a job, and an administrator's answers (provisioning service
§11)."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from joiner.errors import NotFoundError


class StagedRemoval(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is held back. `id` names it in the administrator's answer."""

    id: str
    action: str
    """`disable`, `delete` or `removeMember`."""
    object_type: str
    object_id: str
    object_name: str
    member_id: str | None
    member_name: str | None
    staged_at: str
    is_allowed: bool


STAGED: Final = """
SELECT s.source_id || iif(s.related_id = '', '', '/' || s.related_id) AS id, s.action, s.object_type AS objectType,
       s.source_id AS objectId,
       coalesce(u.user_principal_name, g.display_name, own.user_principal_name, s.source_id) AS objectName,
       nullif(s.related_id, '') AS memberId, coalesce(mu.user_principal_name, nullif(s.related_id, '')) AS memberName,
       s.staged_at AS stagedAt, s.is_allowed AS isAllowed
FROM staged_removal s
LEFT JOIN user u ON u.id = s.source_id
LEFT JOIN grp g ON g.id = s.source_id
LEFT JOIN user mu ON mu.id = s.related_id
LEFT JOIN link l ON l.job_id = s.job_id AND l.source_id = s.source_id
LEFT JOIN user own ON own.id = l.target_id
WHERE s.job_id = :job
ORDER BY s.source_id, s.related_id
"""


def staged(connection: sqlite3.Connection, job_id: str) -> list[StagedRemoval]:
    """Everything that is held back, or allowed and not sent yet."""
    rows = connection.execute(STAGED, {"job": job_id})
    return [msgspec.convert(dict(row), StagedRemoval, strict=False) for row in rows]


def allow(connection: sqlite3.Connection, job_id: str, items: Sequence[str] | None) -> int:
    """The next cycle sends these (`StagedRemoval.id`; None: all that are staged now), whatever their number, and no
    others of those that are staged; what is new is counted afresh (REQ-P-115). Returns how many. Raises NotFoundError
    for an id that is not staged."""
    return _decide(connection, job_id, items, "UPDATE staged_removal SET is_allowed = 1")


def reject(connection: sqlite3.Connection, job_id: str, items: Sequence[str] | None) -> int:
    """Forgets these: nothing is sent. They are found again, and counted again, when they change or in the next initial
    cycle. Returns how many. Raises NotFoundError."""
    keys = _keys(connection, job_id, items)
    connection.executemany(
        "DELETE FROM pending_reference WHERE job_id = ? AND source_id = ? AND attribute = 'members' AND related_id = ?",
        ((job_id, *key) for key in keys),
    )
    connection.executemany(
        "DELETE FROM inbound_removal WHERE job_id = ? AND source_id = ?", ((job_id, source_id) for source_id, _ in keys)
    )
    return _decide(connection, job_id, items, "DELETE FROM staged_removal")


def pass_over(connection: sqlite3.Connection, job_id: str) -> None:
    """Others have been answered: those that have not wait for an answer of their own."""
    connection.execute("UPDATE staged_removal SET is_passed_over = 1 WHERE job_id = ? AND NOT is_allowed", (job_id,))


def count_again(connection: sqlite3.Connection, job_id: str) -> None:
    """The next cycle judges by their number whether those that are not answered are too many."""
    connection.execute("UPDATE staged_removal SET is_passed_over = 0 WHERE job_id = ?", (job_id,))


def _decide(connection: sqlite3.Connection, job_id: str, items: Sequence[str] | None, statement: str) -> int:
    keys = _keys(connection, job_id, items)
    connection.executemany(
        f"{statement} WHERE job_id = ? AND source_id = ? AND related_id = ?",
        ((job_id, source_id, related_id) for source_id, related_id in keys),
    )
    pass_over(connection, job_id)
    return len(keys)


def _keys(connection: sqlite3.Connection, job_id: str, items: Sequence[str] | None) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT source_id, related_id FROM staged_removal WHERE job_id = ?", (job_id,))
    known = {f"{row[0]}/{row[1]}" if row[1] else row[0]: (row[0], row[1]) for row in rows}
    if items is None:
        return list(known.values())
    missing = next((item for item in items if item not in known), None)
    if missing is not None:
        raise NotFoundError(f"no deletion '{missing}' is held back")
    return [known[item] for item in dict.fromkeys(items)]
