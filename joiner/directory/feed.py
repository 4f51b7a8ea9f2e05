"""The change feed: one sequence of everything that changes in the directory, and what a reader has to look at.

Positions are given in the order of commits, because there is one writer: a reader that holds a position and reads
onwards misses nothing. On the engine's side the position is the watermark.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final, Literal

ObjectType = Literal["user", "group", "user_membership", "group_membership", "user_assignment", "group_assignment"]
"""A membership or assignment is told apart by what its member or principal is."""
ChangeKind = Literal["added", "updated", "deleted", "restored", "purged", "removed"]


def note(
    connection: sqlite3.Connection,
    at: str,
    object_type: ObjectType,
    object_id: str,
    change: ChangeKind,
    related_id: str = "",
) -> None:
    """Adds to the feed, in the transaction that makes the change."""
    connection.execute(
        "INSERT INTO change (at, object_type, object_id, change, related_id) VALUES (?, ?, ?, ?, ?)",
        (at, object_type, object_id, change, related_id),
    )


def position(connection: sqlite3.Connection) -> int:
    """The position of the last committed change, 0 if there is none."""
    found: int = connection.execute("SELECT coalesce(max(position), 0) FROM change").fetchone()[0]
    return found


USER_IDS: Final = """
WITH recent AS (SELECT object_type, object_id, related_id FROM change WHERE position > :after AND position <= :upto)
SELECT object_id AS id FROM recent WHERE object_type = 'user'
UNION SELECT related_id FROM recent WHERE object_type = 'user_membership'
UNION SELECT object_id FROM recent WHERE object_type = 'user_assignment' AND related_id = :resource
UNION SELECT m.member_id FROM recent JOIN membership m ON m.group_id = recent.object_id AND m.member_type = 'User'
  WHERE object_type = 'group_assignment' AND related_id = :resource
"""
"""Users with changes of their own, of a membership or assignment, or of an assignment of a group that holds them."""
GROUP_IDS: Final = """
WITH recent AS (SELECT object_type, object_id, related_id FROM change WHERE position > :after AND position <= :upto)
SELECT object_id AS id FROM recent WHERE object_type IN ('group', 'user_membership', 'group_membership')
UNION SELECT object_id FROM recent WHERE object_type = 'group_assignment' AND related_id = :resource
"""


def changed_ids(
    connection: sqlite3.Connection, of: str, window: tuple[int, int], resource_id: str, after: str, limit: int
) -> list[str]:
    """Ids in order, after `after`; `of` is `USER_IDS` or `GROUP_IDS`, `window` (after, up to and including)."""
    rows = connection.execute(
        f"SELECT id FROM ({of}) WHERE id > :cursor ORDER BY id LIMIT :limit",
        {"after": window[0], "upto": window[1], "resource": resource_id, "cursor": after, "limit": limit},
    )
    return [row[0] for row in rows]


def count_changed(connection: sqlite3.Connection, of: str, window: tuple[int, int], resource_id: str) -> int:
    """How many ids `changed_ids` gives in all."""
    found: int = connection.execute(
        f"SELECT count(*) FROM ({of})",
        {"after": window[0], "upto": window[1], "resource": resource_id},
    ).fetchone()[0]
    return found


def changed_memberships(connection: sqlite3.Connection, window: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """(group id, member id) of every membership that was added or removed in the window, each once."""
    rows = connection.execute(
        "SELECT DISTINCT object_id, related_id FROM change WHERE object_type IN ('user_membership', 'group_membership')"
        " AND position > ? AND position <= ? ORDER BY object_id, related_id",
        window,
    )
    return ((row[0], row[1]) for row in rows)
