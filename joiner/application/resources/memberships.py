"""The members of a group, as rows: every change costs what it names, not what is there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from joiner.scim.core import GROUPS
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.members import MemberChange, chosen_members
from joiner.storage.session import Dialect, Session
from joiner.storage.statements import as_list, listed

BASE_MARK: Final = b"\x01"
"""Stands for the endpoint's URL in what is stored; no JSON text has this character as it is."""
SHOWN: Final = 5
"""So many unknown members are named in an error."""


Shown = Mapping[str, str | None]
"""Member → how the client wants it shown, a JSON string, None for by its name."""


class MembershipChanges:
    """What became of a group's members, for its event. One that is shown otherwise has been removed and added."""

    __slots__ = ("added", "removed")

    def __init__(self) -> None:
        self.added: dict[str, str | None] = {}
        self.removed: dict[str, str | None] = {}

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def note_removed(self, members: Shown) -> None:
        for member, shown in members.items():
            if self.added.pop(member, self) is self:
                self.removed[member] = shown

    def note_added(self, members: Shown) -> None:
        for member, shown in members.items():
            if self.removed.get(member, self) == shown:
                del self.removed[member]
            else:
                self.added[member] = shown

    def json(self) -> str | None:
        """As the event keeps it; None if nothing changed."""
        parts = {name: list(ids) for name, ids in (("added", self.added), ("removed", self.removed)) if ids}
        return orjson.dumps(parts).decode() if parts else None


async def change_members(
    session: Session,
    connection_id: int,
    group: tuple[int, str],
    changes: Sequence[MemberChange],
    *,
    must_exist: bool,
) -> MembershipChanges:
    """Set arithmetic on rows, in order. `group` is its number and id.

    Raises InvalidAttributeError for a group as its own member, and for members that are not here if they must be.
    """
    result = MembershipChanges()
    number, group_id = group
    for change in changes:
        if change.kind in ("add", "replace") and group_id in change.members:
            raise InvalidAttributeError("a group cannot be its own member")
        match change.kind:
            case "clear":
                result.note_removed(await _delete(session, number, ""))
            case "remove":
                result.note_removed(await _delete_listed(session, number, list(change.members)))
            case "remove_matching":
                result.note_removed(await _delete_matching(session, number, change))
            case "replace":
                kept = as_list(session.dialect, list(change.members))
                condition = f" AND member_id NOT IN {listed(session.dialect, 2)}"
                result.note_removed(await _delete(session, number, condition, kept))
                result.note_added(await _insert(session, connection_id, number, change.members, must_exist=must_exist))
            case "add":
                result.note_added(await _insert(session, connection_id, number, change.members, must_exist=must_exist))
    return result


async def _delete(session: Session, number: int, condition: str, *values: Any) -> Shown:
    rows = await session.rows(
        f"DELETE FROM membership WHERE group_number = ?1{condition} RETURNING member_id, display", number, *values
    )
    return {row[0]: row[1] for row in rows}


async def _delete_listed(session: Session, number: int, members: Sequence[str]) -> Shown:
    condition = f" AND member_id IN {listed(session.dialect, 2)}"
    return await _delete(session, number, condition, as_list(session.dialect, members))


async def _delete_matching(session: Session, number: int, change: MemberChange) -> Shown:
    rows = await session.rows(
        "SELECT shown FROM membership WHERE group_number = ?1",
        number,
    )
    elements = [orjson.loads(row[0].encode().replace(BASE_MARK, b"")) for row in rows]
    return await _delete_listed(session, number, chosen_members(change, elements, GROUPS))


def _shown(id_: str, display: str, mark: str) -> str:
    """SQL that makes the element of `members` for the member `c`, which may be missing."""
    return (
        f'\'{{"value":"\' || {id_} || CASE c.type'
        f' WHEN \'User\' THEN \'","$ref":"\' || {mark} || \'/Users/\' || {id_} || \'","type":"User"\''
        f' WHEN \'Group\' THEN \'","$ref":"\' || {mark} || \'/Groups/\' || {id_} || \'","type":"Group"\''
        f" ELSE '\"' END || coalesce(',\"display\":' || coalesce({display}, c.display), '') || '}}'"
    )


INSERT: Final[Mapping[Dialect, str]] = {
    "sqlite": (
        "INSERT OR IGNORE INTO membership (group_number, member_id, display, type, shown)"
        f" SELECT ?1, j.id, j.display, c.type, {_shown('j.id', 'j.display', 'char(1)')}"
        " FROM (SELECT value ->> 0 AS id, value ->> 1 AS display FROM json_each(?3)) j LEFT JOIN resource c"
        " ON c.id = j.id AND c.connection_id = ?2 AND c.type IN ('User', 'Group')"
        " RETURNING member_id, type, display"
    ),
    "postgresql": (
        "INSERT INTO membership (group_number, member_id, display, type, shown)"
        f" SELECT ?1, j.id, j.display, c.type, {_shown('j.id', 'j.display', 'chr(1)')}"
        " FROM unnest(?3::text[], ?4::text[]) AS j (id, display)"
        # Each is looked up by its id: the planner takes any list for short, and would read the whole table for each.
        " LEFT JOIN LATERAL (SELECT type, display FROM resource"
        " WHERE id = j.id AND +connection_id = ?2 AND type IN ('User', 'Group') OFFSET 0) c ON true"
        " ON CONFLICT DO NOTHING RETURNING member_id, type, display"
    ),
}


async def rename_member(session: Session, type_: str, member_id: str, name: str) -> None:
    """Lets the member's groups show its new name, a JSON string. What has no type is not this member, but an id that
    another connection has made up."""
    mark = BASE_MARK.decode()
    shown = f'{{"value":"{member_id}","$ref":"{mark}/{type_}s/{member_id}","type":"{type_}","display":{name}}}'
    await session.execute(
        "UPDATE membership SET shown = ?1 WHERE member_id = ?2 AND type IS NOT NULL AND display IS NULL",
        shown,
        member_id,
    )


async def _insert(
    session: Session, connection_id: int, number: int, members: Mapping[str, str | None], *, must_exist: bool
) -> Shown:
    if not members:
        return {}
    shown = [None if display is None else orjson.dumps(display).decode() for display in members.values()]
    if session.dialect == "sqlite":
        pairs = orjson.dumps(list(zip(members, shown, strict=True))).decode()
        rows = await session.rows(INSERT["sqlite"], number, connection_id, pairs)
    else:
        # A member that is being deleted meanwhile waits for us, or we for it: none is left dangling.
        await session.rows(
            "SELECT 1 FROM resource WHERE id = ANY(?1::text[]) AND connection_id = ?2 ORDER BY number FOR KEY SHARE",
            list(members),
            connection_id,
        )
        rows = await session.rows(INSERT["postgresql"], number, connection_id, list(members), shown)
    if must_exist:
        missing = [row[0] for row in rows if row[1] is None]
        if missing:
            raise InvalidAttributeError(f"there is no user or group {', '.join(map(repr, missing[:SHOWN]))}")
    return {row[0]: row[2] for row in rows}
