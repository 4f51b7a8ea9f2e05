"""Users and groups of the application side: reading, and writing as one transaction with its history.

The resource is stored whole; what is searched for has columns beside it; memberships are rows. Every method concerns
one connection and sees nothing of the others (REQ-S-068).
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from joiner.application.filters import Condition
from joiner.clock import Clock, to_iso
from joiner.ids import new_id
from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.errors import (
    InvalidAttributeError,
    PreconditionFailedError,
    ResourceNotFoundError,
    UniquenessError,
)
from joiner.scim.patches import MemberChange
from joiner.scim.strings import prepare_text, prepare_user_name
from joiner.storage.sqlite import Database

COLUMNS: Final = "id, type, body, version, created_at, modified_at, manager_id"
UNIQUE: Final = {"User": "userName", "Group": "displayName"}


class Stored(msgspec.Struct, frozen=True):
    """One resource as it is kept."""

    id: str
    type: str
    body: str
    """JSON without schemas, id, meta, groups and members."""
    version: int
    created_at: str
    modified_at: str
    manager_id: str | None

    @property
    def resource(self) -> dict[str, Any]:
        parsed: dict[str, Any] = orjson.loads(self.body)
        return parsed


class Actor(msgspec.Struct, frozen=True):
    """Who acts: the connection and the token of a request."""

    connection_id: str
    token_id: str


Change = Callable[[dict[str, Any]], tuple[dict[str, Any], Sequence[MemberChange]]]
"""Given the stored resource, the one to store and what becomes of the members. Raises ScimError."""


class ResourceStore:
    """The resources in `db`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    # Reading

    def read(self, connection_id: str, type_: str, id_: str) -> Stored:
        """Raises ResourceNotFoundError, also for another connection's resource."""
        return _read(self._db.reader, connection_id, type_, id_)

    def query(
        self, connection_id: str, type_: str, condition: Condition | None, start_index: int, count: int
    ) -> tuple[int, list[Stored]]:
        """The total number, and the page in order of creation; `start_index` from 1."""
        where = "connection_id = ? AND type = ?" + (f" AND {condition.sql}" if condition else "")
        parameters = (connection_id, type_, *(condition.parameters if condition else ()))
        reader = self._db.reader
        total: int = reader.execute(f"SELECT count(*) FROM resource WHERE {where}", parameters).fetchone()[0]
        if not total or not count or start_index > total:
            return total, []
        rows = reader.execute(
            f"SELECT {COLUMNS} FROM resource WHERE {where} ORDER BY number LIMIT ? OFFSET ?",
            (*parameters, count, start_index - 1),
        )
        return total, [Stored(*row) for row in rows]

    def members(self, group_id: str) -> list[tuple[str, str, str]]:
        """(id, type, display) of the members that exist, in the order of their ids."""
        rows = self._db.reader.execute(
            "SELECT m.member_id, coalesce(r.type, 'User'),"
            " coalesce(m.display, r.body ->> '$.displayName', r.body ->> '$.userName', '') FROM membership m"
            " LEFT JOIN resource r ON r.id = m.member_id WHERE m.group_id = ? ORDER BY m.member_id",
            (group_id,),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def groups_of(self, member_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """Member id → (id, name) of the groups it is a direct member of."""
        marks = ", ".join("?" * len(member_ids))
        found: dict[str, list[tuple[str, str]]] = {}
        rows = self._db.reader.execute(
            "SELECT m.member_id, g.id, g.body ->> '$.displayName' FROM membership m"
            f" JOIN resource g ON g.id = m.group_id WHERE m.member_id IN ({marks}) ORDER BY g.number",
            tuple(member_ids),
        )
        for member_id, group_id, name in rows:
            found.setdefault(member_id, []).append((group_id, name))
        return found

    def display_names(self, connection_id: str, ids: Sequence[str]) -> dict[str, str | None]:
        """Id → displayName, or None, of the users that exist."""
        marks = ", ".join("?" * len(ids))
        rows = self._db.reader.execute(
            "SELECT id, body ->> '$.displayName' FROM resource"
            f" WHERE connection_id = ? AND type = 'User' AND id IN ({marks})",
            (connection_id, *ids),
        )
        return {row[0]: row[1] for row in rows}

    def counts(self) -> dict[str, int]:
        """How much there is, over all connections."""
        row = self._db.reader.execute(
            "SELECT count(*) FILTER (WHERE type = 'User'), count(*) FILTER (WHERE type = 'User' AND active),"
            " count(*) FILTER (WHERE type = 'Group'), (SELECT count(*) FROM membership) FROM resource"
        ).fetchone()
        return dict(zip(("users", "activeUsers", "groups", "memberships"), row, strict=True))

    # Writing

    async def create(
        self, actor: Actor, type_: str, resource: dict[str, Any], members: Mapping[str, str | None]
    ) -> Stored:
        """Raises UniquenessError."""

        def work(connection: sqlite3.Connection) -> Stored:
            now, id_ = to_iso(self._clock()), new_id()
            _check_unique(connection, actor.connection_id, type_, resource, id_)
            connection.execute(
                "INSERT INTO resource (id, connection_id, type, user_name_key, display_name_key, external_id, active,"
                " manager_id, body, version, created_at, modified_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
                (id_, actor.connection_id, type_, *_searched(type_, resource), _json(resource), now, now),
            )
            _change_members(connection, id_, [MemberChange("add", members)])
            _note(connection, actor, type_, id_, "create", [*resource, *(["members"] if members else [])], now)
            return _read(connection, actor.connection_id, type_, id_)

        return await self._db.write(work)

    async def change(
        self, actor: Actor, type_: str, id_: str, change: Change, expected: Callable[[int], bool] | None = None
    ) -> Stored:
        """Applies `change` to what is stored at that moment: nothing that happens in parallel is lost.

        What changes nothing writes nothing (REQ-S-228). `expected` judges the present version (If-Match).
        Raises ResourceNotFoundError, PreconditionFailedError, UniquenessError, and what `change` raises.
        """

        def work(connection: sqlite3.Connection) -> Stored:
            stored = _read(connection, actor.connection_id, type_, id_)
            if expected is not None and not expected(stored.version):
                raise PreconditionFailedError(f'the resource has changed; its version is W/"{stored.version}"')
            before = stored.resource
            after, member_changes = change(before)
            members_changed = _change_members(connection, id_, member_changes)
            if after == before and not members_changed:
                return stored
            _check_unique(connection, actor.connection_id, type_, after, id_)
            now = to_iso(self._clock())
            connection.execute(
                "UPDATE resource SET user_name_key = ?, display_name_key = ?, external_id = ?, active = ?,"
                " manager_id = ?, body = ?, version = version + 1, modified_at = ? WHERE id = ?",
                (*_searched(type_, after), _json(after), now, id_),
            )
            changed = [name for name in before | after if before.get(name) != after.get(name)]
            _note(connection, actor, type_, id_, "update", changed + ["members"] * members_changed, now)
            return _read(connection, actor.connection_id, type_, id_)

        return await self._db.write(work)

    async def delete(self, actor: Actor, type_: str, id_: str, expected: Callable[[int], bool] | None = None) -> None:
        """Removes the resource, its memberships, and the references to it. Its groups get a new version."""

        def work(connection: sqlite3.Connection) -> None:
            stored = _read(connection, actor.connection_id, type_, id_)
            if expected is not None and not expected(stored.version):
                raise PreconditionFailedError(f'the resource has changed; its version is W/"{stored.version}"')
            now = to_iso(self._clock())
            connection.execute(
                "UPDATE resource SET version = version + 1, modified_at = ? WHERE id IN"
                " (SELECT group_id FROM membership WHERE member_id = ?)",
                (now, id_),
            )
            connection.execute("DELETE FROM membership WHERE member_id = ?", (id_,))
            connection.execute("DELETE FROM resource WHERE id = ?", (id_,))
            _note(connection, actor, type_, id_, "delete", [], now)

        await self._db.write(work)


def _read(connection: sqlite3.Connection, connection_id: str, type_: str, id_: str) -> Stored:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM resource WHERE id = ? AND connection_id = ? AND type = ?",
        (id_, connection_id, type_),
    ).fetchone()
    if row is None:
        raise ResourceNotFoundError(f"there is no {type_} with the id '{id_[:100]}'")
    return Stored(*row)


def _searched(type_: str, resource: dict[str, Any]) -> tuple[Any, ...]:
    """user_name_key, display_name_key, external_id, active, manager_id."""
    display_name = resource.get("displayName")
    shown = None if display_name is None else prepare_text(display_name)
    if type_ == "Group":
        return None, shown, resource.get("externalId"), None, None
    manager = resource.get(ENTERPRISE_URN, {}).get("manager", {})
    return (
        prepare_user_name(resource["userName"]),
        shown,
        resource.get("externalId"),
        resource.get("active"),
        manager.get("value"),
    )


def _check_unique(
    connection: sqlite3.Connection, connection_id: str, type_: str, resource: dict[str, Any], id_: str
) -> None:
    """Names are unique in a connection without regard to case (REQ-S-082, REQ-S-083, REQ-S-100)."""
    name = UNIQUE[type_]
    column, prepare = ("user_name_key", prepare_user_name) if type_ == "User" else ("display_name_key", prepare_text)
    taken = connection.execute(
        f"SELECT 1 FROM resource WHERE connection_id = ? AND type = ? AND {column} = ? AND id <> ?",
        (connection_id, type_, prepare(resource[name]), id_),
    ).fetchone()
    if taken:
        raise UniquenessError(f"{name} '{resource[name]}' is taken")


def _change_members(connection: sqlite3.Connection, group_id: str, changes: Sequence[MemberChange]) -> bool:
    """Set arithmetic on rows, in order; whether anything changed. Costs what is named, not what is there."""
    changed = 0
    for change in changes:
        if group_id in change.members and change.kind in ("add", "replace"):
            raise InvalidAttributeError("a group cannot be its own member")
        if change.kind == "clear":
            changed += connection.execute("DELETE FROM membership WHERE group_id = ?", (group_id,)).rowcount
        if change.kind == "replace":
            kept = _json(list(change.members))
            changed += connection.execute(
                "DELETE FROM membership WHERE group_id = ? AND member_id NOT IN (SELECT value FROM json_each(?))",
                (group_id, kept),
            ).rowcount
        if change.kind in ("add", "replace") and change.members:
            changed += connection.execute(
                "INSERT OR IGNORE INTO membership SELECT ?, value ->> 0, value ->> 1 FROM json_each(?)",
                (group_id, _json(list(change.members.items()))),
            ).rowcount
        if change.kind == "remove":
            changed += connection.execute(
                "DELETE FROM membership WHERE group_id = ? AND member_id IN (SELECT value FROM json_each(?))",
                (group_id, _json(list(change.members))),
            ).rowcount
    return changed > 0


def _note(
    connection: sqlite3.Connection,
    actor: Actor,
    type_: str,
    id_: str,
    verb: str,
    attributes: Sequence[str],
    now: str,
) -> None:
    connection.execute(
        "INSERT INTO history (at, connection_id, token_id, resource_type, resource_id, verb, attributes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (now, actor.connection_id, actor.token_id, type_, id_, verb, " ".join(attributes)),
    )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
