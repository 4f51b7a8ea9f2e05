"""Reading the resources of a connection: one, or a page of them. Nothing of the others is ever seen (REQ-S-068).

What an answer does not show is not read: the members of a group above all (REQ-S-188).
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Literal

import msgspec
import orjson

from joiner.application.resources.memberships import BASE_MARK
from joiner.application.search.filters import Condition
from joiner.application.search.orders import CREATION, Order, compile_after
from joiner.scim.errors import ResourceNotFoundError
from joiner.storage.session import Dialect, Row, Session, Storage
from joiner.storage.statements import as_list, joined, listed_numbers

Related = Literal["groups", "indirect groups", "members"]
ALL: Final = Condition("", (), is_indexed=False)


class Stored(msgspec.Struct, frozen=True):
    """One resource as it is kept, with what its representation needs from other rows."""

    number: int
    id: str
    type: str
    version: int
    created_at: str
    modified_at: str
    body: str
    """JSON beginning with `schemas`; without id, meta, groups and members."""
    manager_id: str | None
    manager_display: str | None
    """The manager's displayName as a JSON string, empty if it has none; None if the manager is not here."""
    related: bytes | None
    """The groups of a user, or the members of a group, as JSON objects joined by commas."""

    @property
    def resource(self) -> dict[str, Any]:
        """The attributes, without `schemas`."""
        parsed: dict[str, Any] = orjson.loads(self.body)
        del parsed["schemas"]
        return parsed


class ResourceReader:
    """Reads resources through `storage`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def read(self, connection_id: int, type_: str, id_: str, base: str, related: Related | None) -> Stored:
        """One resource. `base` is the endpoint's URL for `$ref`, ready to stand in a JSON string.

        Raises ResourceNotFoundError, also for another connection's resource.
        """

        async def work(session: Session) -> Stored:
            return await read_resource(session, connection_id, type_, id_, base, related)

        return await self._storage.read(work, long=related == "members")

    async def page(
        self,
        connection_id: int,
        types: Sequence[str],
        condition: Condition,
        order: Order,
        start_index: int,
        count: int,
        base: str,
        related: Related | None,
    ) -> tuple[int, list[Stored]]:
        """The total number, and one page; `start_index` counts from 1."""

        async def work(session: Session) -> tuple[int, list[Stored]]:
            if condition.is_indexed and order is CREATION and start_index == 1:
                found = await _first(session, connection_id, types, condition, count, base, related)
                if found is not None:
                    return len(found), found
            where, values = _where(session.dialect, connection_id, types, condition)
            numbers = await session.rows(
                f"SELECT r.number FROM resource r WHERE {where} {order.sql}"
                f" LIMIT ?{len(values) + 1} OFFSET ?{len(values) + 2}",
                *values,
                count,
                start_index - 1,
            )
            if len(numbers) < count and (numbers or start_index == 1):
                total = start_index - 1 + len(numbers)
            else:
                total = await _count(session, where, values)
            return total, await _rows_in_order(session, [row[0] for row in numbers], base, related)

        long = not condition.is_indexed and (bool(condition.sql) or related == "members" or start_index > 1)
        return await self._storage.read(work, long=long)

    async def page_after(
        self,
        connection_id: int,
        types: Sequence[str],
        condition: Condition,
        order: Order,
        after: tuple[Any, int] | None,
        count: int,
        base: str,
        related: Related | None,
    ) -> tuple[int, list[Stored], tuple[Any, int] | None]:
        """The total number, one page, and where the next page begins (sort value, number), None on the last."""

        async def work(session: Session) -> tuple[int, list[Stored], tuple[Any, int] | None]:
            where, values = _where(session.dialect, connection_id, types, condition)
            total = await _count(session, where, values)
            if after is not None:
                behind = compile_after(order, after, len(values) + 1)
                where, values = f"{where} AND {behind.sql}", (*values, *behind.values)
            rows = await session.rows(
                f"SELECT r.number, {order.expression} FROM resource r WHERE {where} {order.sql}"
                f" LIMIT ?{len(values) + 1}",
                *values,
                count + 1,
            )
            following = (rows[count - 1][1], rows[count - 1][0]) if count and len(rows) > count else None
            return total, await _rows_in_order(session, [row[0] for row in rows[:count]], base, related), following

        return await self._storage.read(work, long=True)

    async def counts(self) -> dict[str, int]:
        """How much there is, over all connections."""

        async def work(session: Session) -> Row | None:
            return await session.row(
                "SELECT count(*) FILTER (WHERE type = 'User'), count(*) FILTER (WHERE type = 'User' AND active = 1),"
                " count(*) FILTER (WHERE type = 'Group'), (SELECT count(*) FROM membership) FROM resource"
            )

        row = await self._storage.read(work, long=True)
        return dict(zip(("users", "activeUsers", "groups", "memberships"), row or (), strict=True))


async def read_resource(
    session: Session,
    connection_id: int,
    type_: str,
    id_: str,
    base: str = "",
    related: Related | None = None,
    *,
    lock: bool = False,
) -> Stored:
    """Inside a transaction; `lock` keeps others from changing it. Raises ResourceNotFoundError."""
    # `+`: found by the id, whatever the planner thinks of the other indexes.
    sql, needs_base = _select(session.dialect, related, "r.id = ?1 AND +r.connection_id = ?2 AND r.type = ?3", 4)
    if lock and session.dialect == "postgresql":
        sql += " FOR UPDATE OF r"
    row = await session.row(sql, id_, connection_id, type_, *([base] if needs_base else []))
    if row is None:
        raise ResourceNotFoundError(f"there is no {type_} with the id '{id_[:100]}'")
    return _stored(row, base)


async def manager_display(session: Session, connection_id: int, manager_id: str) -> str | None:
    """As `Stored.manager_display`."""
    row = await session.row(
        f"SELECT {MANAGER_NAME} FROM resource boss WHERE id = ?1 AND +connection_id = ?2 AND type = 'User'",
        manager_id,
        connection_id,
    )
    return None if row is None else row[0]


MANAGER_NAME: Final = "CASE WHEN boss.display_key IS NULL THEN '' ELSE boss.display END"
COLUMNS: Final = (
    "r.number, r.id, r.type, r.version, r.created_at, r.modified_at, r.body, r.manager_id,"
    f" (SELECT {MANAGER_NAME} FROM resource boss WHERE boss.id = r.manager_id AND +boss.connection_id = r.connection_id"
    " AND boss.type = 'User')"
)


def _stored(row: Row, base: str) -> Stored:
    stored = Stored(*row)
    if stored.related is None or stored.type != "Group":
        return stored
    return msgspec.structs.replace(stored, related=stored.related.replace(BASE_MARK, base.encode()))


@lru_cache(maxsize=64)
def _select(dialect: Dialect, related: Related | None, where: str, base_mark: int) -> tuple[str, bool]:
    """The statement, and whether it needs the base URL as its parameter `base_mark`."""
    expression = "NULL" if related is None else _related(dialect, related, f"?{base_mark}")
    return f"SELECT {COLUMNS}, {expression} FROM resource r WHERE {where}", related not in (None, "members")


def _related(dialect: Dialect, related: Related, base: str) -> str:
    if dialect == "postgresql":
        base = f"{base}::text"
    if related == "members":
        found = f"SELECT {joined(dialect, 'm.shown', 'm.member_id')} FROM membership m WHERE m.group_number = r.number"
        return f"CASE WHEN r.type = 'Group' THEN ({found}) END"
    # Each group is looked up, not joined: before it has statistics, PostgreSQL would begin with all groups.
    number, kind = "m.group_number", "'direct'"
    source = "membership m WHERE m.member_id = r.id"
    if related == "indirect groups":
        number, kind = "reached.number", "CASE reached.depth WHEN 1 THEN 'direct' ELSE 'indirect' END"
        source = (
            "(WITH RECURSIVE above (number, depth) AS"
            " (SELECT m.group_number, 1 FROM membership m WHERE m.member_id = r.id"
            " UNION SELECT m.group_number, 2 FROM above JOIN resource inner_group ON inner_group.number = above.number"
            " JOIN membership m ON m.member_id = inner_group.id)"
            " SELECT number, min(depth) AS depth FROM above GROUP BY number) reached"
        )
    element = (
        '(SELECT \'{"value":"\' || g.id || \'","$ref":"\' || '
        f"{base} || '/Groups/' || g.id || '\",\"display\":' || g.display || ',\"type\":\"' || {kind} || '\"}}'"
        f" FROM resource g WHERE g.number = {number} AND g.connection_id = r.connection_id)"
    )
    return f"CASE WHEN r.type = 'User' THEN (SELECT {joined(dialect, element, number)} FROM {source}) END"


def _where(
    dialect: Dialect, connection_id: int, types: Sequence[str], condition: Condition
) -> tuple[str, tuple[Any, ...]]:
    """`condition` numbers its marks from 3 on."""
    value = types[0] if len(types) == 1 else as_list(dialect, types)
    where = _where_sql(dialect, condition.sql, single=len(types) == 1, is_indexed=condition.is_indexed)
    return where, (connection_id, value, *condition.values)


def _where_sql(dialect: Dialect, condition: str, *, single: bool, is_indexed: bool) -> str:
    kind = "r.type = ?2" if single else f"r.type IN {_texts(dialect, 2)}"
    # For PostgreSQL see the index resource_in_order.
    is_list = dialect == "postgresql" and not is_indexed
    where = f"{'(r.connection_id + 0)' if is_list else 'r.connection_id'} = ?1 AND {kind}"
    return f"{where} AND ({condition})" if condition else where


def _texts(dialect: Dialect, mark: int) -> str:
    return f"(SELECT value FROM json_each(?{mark}))" if dialect == "sqlite" else f"(SELECT unnest(?{mark}::text[]))"


async def _count(session: Session, where: str, values: tuple[Any, ...]) -> int:
    row = await session.row(f"SELECT count(*) FROM resource r WHERE {where}", *values)
    return 0 if row is None else row[0]


async def _first(
    session: Session,
    connection_id: int,
    types: Sequence[str],
    condition: Condition,
    count: int,
    base: str,
    related: Related | None,
) -> list[Stored] | None:
    """All resources that meet an indexed condition, None if they are more than `count`: one statement, no counting, and
    nothing for the database to sort."""
    dialect, values, single = session.dialect, condition.values, len(types) == 1
    sql, needs_base = _first_sql(dialect, related, condition.sql, len(values), single)
    kind = types[0] if single else as_list(dialect, types)
    rows = await session.rows(sql, connection_id, kind, *values, count + 1, *((base,) if needs_base else ()))
    if len(rows) > count:
        return None
    if len(rows) > 1:
        rows = sorted(rows, key=itemgetter(0))
    return [_stored(row, base) for row in rows]


@lru_cache(maxsize=256)
def _first_sql(
    dialect: Dialect, related: Related | None, condition: str, values: int, single: bool
) -> tuple[str, bool]:
    """The same text each time: the driver finds the prepared statement without comparing it."""
    where = _where_sql(dialect, condition, single=single, is_indexed=True)
    sql, needs_base = _select(dialect, related, where, values + 4)
    return f"{sql} LIMIT ?{values + 3}", needs_base


async def _rows_in_order(session: Session, numbers: Sequence[int], base: str, related: Related | None) -> list[Stored]:
    if not numbers:
        return []
    sql, needs_base = _select(session.dialect, related, f"r.number IN {listed_numbers(session.dialect, 1)}", 2)
    rows = await session.rows(sql, as_list(session.dialect, numbers), *([base] if needs_base else []))
    found = {row[0]: _stored(row, base) for row in rows}
    return [found[number] for number in numbers if number in found]
