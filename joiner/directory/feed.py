"""The change feed: one sequence of everything that changes in the directory, and what a reader has to look at.

Positions are given in the order of commits, because there is one writer: a reader that holds a position and reads
onwards misses nothing. On the engine's side the position is the watermark.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, Literal

ObjectType = Literal["user", "group", "user_membership", "group_membership", "user_assignment", "group_assignment"]
"""A membership or assignment is told apart by what its member or principal is."""
ChangeKind = Literal["added", "updated", "deleted", "restored", "purged", "removed"]

WINDOWS_KEPT: Final = 8
NOTE: Final = "INSERT INTO change (at, object_type, object_id, change, related_id) VALUES (?, ?, ?, ?, ?)"


def note(
    connection: sqlite3.Connection,
    at: str,
    object_type: ObjectType,
    object_id: str,
    change: ChangeKind,
    related_id: str = "",
) -> None:
    """Adds to the feed, in the transaction that makes the change."""
    connection.execute(NOTE, (at, object_type, object_id, change, related_id))


def note_all(
    connection: sqlite3.Connection, at: str, object_type: ObjectType, object_ids: Iterable[str], change: ChangeKind
) -> None:
    """As `note`, for many at once."""
    connection.executemany(NOTE, ((at, object_type, object_id, change, "") for object_id in object_ids))


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


class ChangedIds:
    """The ids of the windows asked for last, so that paging through a window looks at the feed once.

    A window is closed: what its rows say never changes. Memberships are those of the first look; one that changes
    later has a row of its own in a later window.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, tuple[int, int], str], list[str]] = {}

    def of(self, connection: sqlite3.Connection, what: str, window: tuple[int, int], resource_id: str) -> list[str]:
        """Ids in order; `what` is `USER_IDS` or `GROUP_IDS`, `window` (after, up to and including)."""
        key = (what, window, resource_id)
        found = self._found.get(key)
        if found is None:
            rows = connection.execute(
                f"SELECT id FROM ({what}) ORDER BY id",
                {"after": window[0], "upto": window[1], "resource": resource_id},
            )
            found = [row[0] for row in rows]
            self._found[key] = found
            for oldest in list(self._found)[:-WINDOWS_KEPT]:
                self._found.pop(oldest, None)
        return found

    def page(
        self,
        connection: sqlite3.Connection,
        what: str,
        window: tuple[int, int],
        resource_id: str,
        after: str,
        limit: int,
    ) -> list[str]:
        """At most `limit` of them, id > `after`."""
        found = self.of(connection, what, window, resource_id)
        start = bisect_right(found, after)
        return found[start : start + limit]


def changed_memberships(connection: sqlite3.Connection, window: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """(group id, member id) of every membership that was added or removed in the window, each once."""
    rows = connection.execute(
        "SELECT DISTINCT object_id, related_id FROM change WHERE object_type IN ('user_membership', 'group_membership')"
        " AND position > ? AND position <= ? ORDER BY object_id, related_id",
        window,
    )
    return ((row[0], row[1]) for row in rows)
