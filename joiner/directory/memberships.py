"""Memberships as rows with their entries in the change feed; who may be a member is for others to say."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from joiner.directory import feed
from joiner.directory.model import MemberType

OBJECT_TYPES: Final[dict[MemberType, feed.ObjectType]] = {"User": "user_membership", "Group": "group_membership"}


def put(connection: sqlite3.Connection, group_id: str, member_id: str, member_type: MemberType, at: str) -> bool:
    """False, and nothing written, if it is a direct member already."""
    added = connection.execute(
        "INSERT OR IGNORE INTO membership (group_id, member_id, member_type) VALUES (?, ?, ?)",
        (group_id, member_id, member_type),
    ).rowcount
    if added:
        feed.note(connection, at, OBJECT_TYPES[member_type], group_id, "added", member_id)
    return bool(added)


def drop(connection: sqlite3.Connection, group_id: str, member_id: str, at: str) -> MemberType | None:
    """What it was; None, and nothing written, if it is not a direct member."""
    row = connection.execute(
        "DELETE FROM membership WHERE group_id = ? AND member_id = ? RETURNING member_type", (group_id, member_id)
    ).fetchone()
    if row is None:
        return None
    member_type: MemberType = row[0]
    feed.note(connection, at, OBJECT_TYPES[member_type], group_id, "removed", member_id)
    return member_type


def groups_holding(connection: sqlite3.Connection, member_id: str, group_ids: Iterable[str]) -> set[str]:
    """Those of the groups that it is a direct member of."""
    ids = tuple(group_ids)
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(
        f"SELECT group_id FROM membership WHERE member_id = ? AND group_id IN ({marks})", (member_id, *ids)
    )
    return {row[0] for row in rows}
