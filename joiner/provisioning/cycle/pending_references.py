"""What leaves work for the phase of references: rows of `pending_reference`. Functions run inside the transaction of a
page."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from joiner.provisioning.cycle.reference import MANAGER, MEMBERS
from joiner.provisioning.cycle.run import Run
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.job.links import hurry_references
from joiner.provisioning.job.modes import is_on
from joiner.storage.rows import marks


def note_linked(connection: sqlite3.Connection, run: Run, object_type: ObjectType, source_ids: Sequence[str]) -> None:
    """Objects that references can now point to, or come from: everything around them is pending."""
    if not source_ids:
        return
    statements = LINKED[object_type] if is_mapped(run, MEMBERS) else LINKED_USERS_ONLY[object_type]
    if object_type == "User" and not is_on(run.job.settings, "lateReferences"):
        # As documented: only the object's own references are looked at, not those of others to it.
        statements = statements[:1]
    for sql in statements:
        connection.execute(sql.format(marks=marks(source_ids)), (run.job.id, *source_ids))


def note_returned(connection: sqlite3.Connection, run: Run, object_type: ObjectType, source_ids: Sequence[str]) -> None:
    """Users who are enabled again: their memberships are taken to be there still, until the next initial cycle writes
    them once more (provisioning service §9)."""
    if source_ids and object_type == "User":
        marks = ", ".join("?" * len(source_ids))
        connection.execute(RETURNED.format(marks=marks), (run.job.id, *source_ids))


def note_seen(connection: sqlite3.Connection, run: Run, object_type: ObjectType, source_ids: Sequence[str]) -> None:
    """Objects that were looked at: a reference that differs from what was exported is pending."""
    if not source_ids:
        return
    if object_type == "User" and is_mapped(run, MANAGER):
        connection.execute(SEEN_MANAGERS.format(marks=marks(source_ids)), (run.job.id, *source_ids))
    if object_type == "Group" and run.is_initial and is_mapped(run, MEMBERS):
        for sql in SEEN_MEMBERS:
            connection.execute(sql.format(marks=marks(source_ids)), (run.job.id, *source_ids))
    hurry_references(connection, run.job.id, source_ids, run.clock())


def note_members(connection: sqlite3.Connection, run: Run, group_id: str, member_ids: Sequence[str]) -> None:
    """These members of the group are to be looked at, whatever has changed of them."""
    connection.executemany(NOTE_MEMBER, ((run.job.id, group_id, member_id) for member_id in member_ids))


def note_changed_memberships(connection: sqlite3.Connection, run: Run) -> None:
    """The memberships that the directory's change feed names for this cycle."""
    if run.is_initial or not is_mapped(run, MEMBERS):
        return
    changed = list(run.directory.changed_memberships(run.window))
    hurry_references(connection, run.job.id, {group_id for group_id, _ in changed}, run.clock())
    connection.executemany(NOTE_MEMBER, ((run.job.id, group_id, member_id) for group_id, member_id in changed))


def count_pending(connection: sqlite3.Connection, job_id: str) -> int:
    """How many references of the job's objects are to be looked at."""
    number: int = connection.execute("SELECT count(*) FROM pending_reference WHERE job_id = ?", (job_id,)).fetchone()[0]
    return number


def is_mapped(run: Run, attribute: str) -> bool:
    """Managers and members are users: while those are not mapped, no reference to them is written."""
    plan = run.plan_of("Group" if attribute == MEMBERS else "User")
    return plan is not None and run.plan_of("User") is not None and plan.reference(attribute) is not None


FORMER_MEMBERS: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, e.source_id, 'members', e.related_id FROM exported_reference e"
    " WHERE e.job_id = ?1 AND e.attribute = 'members' AND e.source_id IN ({marks}) AND NOT EXISTS"
    " (SELECT 1 FROM membership m WHERE m.group_id = e.source_id AND m.member_id = e.related_id)"
)
"""Members that were exported and that the directory does not name any more."""
NOTE_MEMBER: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, ?2, 'members', ?3"
    " WHERE EXISTS (SELECT 1 FROM link WHERE job_id = ?1 AND source_id = ?2)"
)
# CROSS JOIN keeps SQLite at this order: from a page's objects to their links, not from all links to the objects.
MANAGERS_OF_LINKED: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, id, 'manager', '' FROM user"
    " WHERE manager_id IS NOT NULL AND id IN ({marks})",
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, user.id, 'manager', '' FROM user"
    " CROSS JOIN link ON link.job_id = ?1 AND link.source_id = user.id WHERE manager_id IN ({marks})",
)
LINKED: Final[dict[ObjectType, tuple[str, ...]]] = {
    "User": (
        *MANAGERS_OF_LINKED,
        "INSERT OR IGNORE INTO pending_reference SELECT ?1, m.group_id, 'members', m.member_id FROM membership m"
        " CROSS JOIN link ON link.job_id = ?1 AND link.source_id = m.group_id"
        " CROSS JOIN link own ON own.job_id = ?1 AND own.source_id = m.member_id"
        " LEFT JOIN exported_reference e ON e.job_id = ?1 AND e.source_id = m.group_id AND e.attribute = 'members'"
        " AND e.related_id = m.member_id WHERE m.member_id IN ({marks}) AND e.target_value IS NOT own.target_id",
    ),
    "Group": (
        "INSERT OR IGNORE INTO pending_reference SELECT ?1, group_id, 'members', member_id FROM membership"
        " WHERE group_id IN ({marks})",
        FORMER_MEMBERS,
    ),
}
LINKED_USERS_ONLY: Final[dict[ObjectType, tuple[str, ...]]] = {"User": MANAGERS_OF_LINKED, "Group": ()}
RETURNED: Final = (
    "INSERT OR IGNORE INTO reference_intent SELECT ?1, e.source_id, 'members', e.related_id, e.target_value"
    " FROM membership m CROSS JOIN exported_reference e ON e.job_id = ?1 AND e.source_id = m.group_id"
    " AND e.attribute = 'members' AND e.related_id = m.member_id WHERE m.member_id IN ({marks})"
)
"""What was written once, and may have been lost with the access."""
SEEN_MANAGERS: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, u.id, 'manager', '' FROM user u"
    " LEFT JOIN exported_reference e ON e.job_id = ?1 AND e.source_id = u.id AND e.attribute = 'manager'"
    " LEFT JOIN link l ON l.job_id = ?1 AND l.source_id = u.manager_id"
    " WHERE u.id IN ({marks}) AND e.target_value IS NOT l.target_id"
)
SEEN_MEMBERS: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, m.group_id, 'members', m.member_id FROM membership m"
    " LEFT JOIN exported_reference e ON e.job_id = ?1 AND e.source_id = m.group_id AND e.attribute = 'members'"
    " AND e.related_id = m.member_id LEFT JOIN reference_intent i ON i.job_id = ?1 AND i.source_id = m.group_id"
    " AND i.attribute = 'members' AND i.related_id = m.member_id"
    " WHERE m.group_id IN ({marks}) AND (e.target_value IS NULL OR i.target_value IS NOT NULL)",
    FORMER_MEMBERS,
)
