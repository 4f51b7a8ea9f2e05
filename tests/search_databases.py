"""Both databases with the tables that filters and orders are about, and resources to put into them."""

import asyncio
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg
import orjson

from joiner.scim.core import ENTERPRISE_URN, USERS
from joiner.scim.evaluation import Facts
from joiner.scim.schemas import ResourceType
from joiner.storage.session import Dialect


@dataclass(frozen=True)
class Kept:
    """A resource as a store keeps it."""

    number: int
    resource_type: ResourceType
    search: dict[str, Any]
    facts: Facts
    indexed: Sequence[tuple[str, str]] = field(default=())

    def columns(self, dialect: Dialect, connection_id: str, offset: int = 0) -> tuple[Any, ...]:
        """number, id, connection_id, type, name_key, display_key, external_id, active, manager_id, search, version,
        created_at, modified_at."""
        search, facts = self.search, self.facts
        manager = search.get(ENTERPRISE_URN, {}).get("manager", {})
        return (
            self.number + offset,
            facts.id if not offset else f"{connection_id} {facts.id}",
            connection_id,
            facts.type,
            search.get("userName", search.get("displayName")),
            search.get("displayName"),
            search.get("externalId"),
            int(search["active"]) if self.resource_type is USERS and "active" in search else None,
            manager.get("value"),
            orjson.dumps(search).decode(),
            int(facts.version.strip('W/"')),
            facts.created,
            facts.last_modified,
        )


TABLES = """
CREATE TABLE resource (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, connection_id TEXT NOT NULL, type TEXT NOT NULL, name_key TEXT,
  display_key TEXT, external_id TEXT, active INTEGER, manager_id TEXT, search {json} NOT NULL, version INTEGER NOT NULL,
  created_at TEXT NOT NULL, modified_at TEXT NOT NULL
);
CREATE INDEX resource_by_name ON resource (connection_id, type, name_key);
CREATE INDEX resource_by_display_name ON resource (connection_id, type, display_key);
CREATE INDEX resource_by_external_id ON resource (connection_id, type, external_id);
CREATE INDEX resource_by_manager ON resource (connection_id, type, manager_id);
CREATE INDEX resource_in_order ON resource (connection_id, type, number);
CREATE TABLE membership (
  group_number INTEGER NOT NULL, member_id TEXT NOT NULL, member_number INTEGER, PRIMARY KEY (group_number, member_id)
);
CREATE INDEX membership_by_member ON membership (member_id);
CREATE TABLE indexed_value (
  connection_id TEXT NOT NULL, type TEXT NOT NULL, path TEXT NOT NULL, value TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (connection_id, type, path, value, number)
);
"""
OTHERS = 1000
"""Another connection has the same resources, with numbers so much higher."""


class Database(Protocol):
    dialect: Dialect

    def run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]: ...


class Sqlite:
    """A database in memory."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()


class Postgresql:
    """A connection to a server, driven from outside its event loop."""

    dialect: Dialect = "postgresql"

    def __init__(self, runner: asyncio.Runner, connection: Any) -> None:
        self._runner = runner
        self._connection = connection

    def run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        statement = re.sub(r"\?(\d+)", r"$\1", sql)
        return [tuple(row) for row in self._runner.run(self._fetched(statement, values))]

    async def _fetched(self, statement: str, values: Sequence[Any]) -> Any:
        return await self._connection.fetch(statement, *values)


@contextmanager
def opened_sqlite() -> Iterator[Sqlite]:
    """An empty database with the tables."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.executescript(TABLES.format(json="TEXT"))
        yield Sqlite(connection)
    finally:
        connection.close()


@contextmanager
def opened_postgresql(url: str) -> Iterator[Postgresql]:
    """The tables, in a schema that is gone afterwards. One column has an order that is not that of code points, which
    therefore has to be asked for."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        try:
            tables = TABLES.format(json="JSONB").replace("_key TEXT", '_key TEXT COLLATE "C"')
            tables = tables.replace("external_id TEXT", 'external_id TEXT COLLATE "und-x-icu"')
            runner.run(connection.execute(f"CREATE SCHEMA searching; SET search_path TO searching; {tables}"))
            yield Postgresql(runner, connection)
            runner.run(connection.execute("DROP SCHEMA searching CASCADE"))
        finally:
            runner.run(connection.close())


def fill(database: Database, population: Sequence[Kept]) -> None:
    """These resources and no others, in the connection `c`, and once more in another."""
    for table in ("resource", "membership", "indexed_value"):
        database.run(f"DELETE FROM {table}")
    rows = [each.columns(database.dialect, "c") for each in population]
    rows += [each.columns(database.dialect, "d", OTHERS) for each in population]
    _insert(database, "resource", rows)
    numbers = {each.facts.id: each.number for each in population}
    members = [(each.number, id_, numbers.get(id_)) for each in population for id_ in each.facts.members]
    # The other connection's groups name the same members.
    _insert(database, "membership", [*members, *((group + OTHERS, id_, number) for group, id_, number in members)])
    _insert(
        database,
        "indexed_value",
        [
            (connection_id, each.facts.type, path, value, each.number + offset)
            for each in population
            for path, value in each.indexed
            for connection_id, offset in (("c", 0), ("d", OTHERS))
        ],
    )


def fill_with_many(database: Database) -> None:
    """Thousands of users and groups, so that it matters how they are found."""
    fill(database, [])
    many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO"
    json = "'{}'" if database.dialect == "sqlite" else "CAST('{}' AS JSONB)"
    for kind, offset in (("User", 0), ("Group", 3000)):
        database.run(
            f"{many} resource SELECT i + {offset}, '{kind}' || i, 'c', '{kind}', 'n' || i, 'd' || i, 'e' || i, 1,"
            f" 'm' || i, {json}, 1, '', '' FROM n"
        )
    database.run(f"{many} membership SELECT i + 3000, 'User' || i, i FROM n")
    database.run(f"{many} indexed_value SELECT 'c', 'User', 'emails.value', 'v' || i, i FROM n")
    if database.dialect == "postgresql":
        database.run("ANALYZE")


def _insert(database: Database, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    columns = {
        "resource": "number, id, connection_id, type, name_key, display_key, external_id, active, manager_id, search,"
        " version, created_at, modified_at",
        "membership": "group_number, member_id, member_number",
        "indexed_value": "connection_id, type, path, value, number",
    }[table]
    for row in rows:
        marks = ", ".join(f"?{number}" for number in range(1, len(row) + 1))
        database.run(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *row)
