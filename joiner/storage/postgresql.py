"""PostgreSQL behind the `Storage` port: a pool of connections, any number of processes.

Each component has a schema of its own. A transaction that the server ended to break a deadlock is run again.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import asyncpg

from joiner.errors import InvalidStateError
from joiner.storage.migrations import NAME
from joiner.storage.session import Dialect, Row, UnavailableError, UniqueViolationError, Work

Connection = Any
Pool = Any
"""asyncpg has no types of its own."""

T = TypeVar("T")

MOST_CONNECTIONS: Final = 16
TRIES: Final = 8
"""How often a transaction is begun that others keep ending."""
SECONDS_IDLE: Final = 300
"""A connection that nobody has used for so long is not used any more."""
STARTING_TRIES: Final = 150
STARTING_WAIT: Final = 0.2
"""Seconds between attempts to reach a server that says it is starting."""
MIGRATION_LOCK: Final = 0x6A6F696E6572
AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
UNAVAILABLE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What the server, the network or the disk is to blame for."""
MARK: Final = re.compile(r"\?(\d+)")


@lru_cache(maxsize=2048)
def numbered(sql: str) -> str:
    """The statement with PostgreSQL's marks: `?1` becomes `$1`."""
    return MARK.sub(r"$\1", sql)


class _PostgresqlSession:
    dialect: Dialect = "postgresql"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def row(self, sql: str, *values: Any) -> Row | None:
        try:
            found: Row | None = await self._connection.fetchrow(numbered(sql), *values)
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolationError(str(error)) from None
        return found

    async def rows(self, sql: str, *values: Any) -> Sequence[Row]:
        try:
            found: Sequence[Row] = await self._connection.fetch(numbered(sql), *values)
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolationError(str(error)) from None
        return found

    async def execute(self, sql: str, *values: Any) -> int:
        try:
            status: str = await self._connection.execute(numbered(sql), *values)
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolationError(str(error)) from None
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def attempt(self, work: Work[T]) -> T:
        async with self._connection.transaction():
            return await work(self)


class PostgresqlDatabase:
    """One database. Use `open`; belongs to the event loop it was opened on."""

    dialect: Dialect = "postgresql"
    FAILURES: Final[tuple[type[BaseException], ...]] = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
    """What may come out of a connection that is lost."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._free: list[tuple[Connection, float]] = []
        """Kept out of the pool between two uses, each with the time of the last: going through the pool costs more than
        most statements."""
        self._queueing = 0
        """So many wait for the pool."""
        self._closed = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def open(
        cls, url: str, schema: str, migrations: Mapping[str, Path], *, most_connections: int = MOST_CONNECTIONS
    ) -> Self:
        """Connects, makes `schema` and brings its tables up to date. Waits for a server that is just starting.

        Raises InvalidStateError.
        """
        pool = await _connected(url, schema, most_connections)
        database = cls(pool)
        try:
            async with pool.acquire() as connection:
                await _migrate(connection, schema, migrations)
        except BaseException:
            await database.close()
            raise
        return database

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        """Runs `work` on a connection of the pool. A long one gets a snapshot."""
        with self._at_work():
            connection = await self._take()
            try:
                if not long:
                    result = await work(_PostgresqlSession(connection))
                else:
                    async with connection.transaction(isolation="repeatable_read", readonly=True):
                        result = await work(_PostgresqlSession(connection))
            except BaseException:
                await self._pool.release(connection)
                raise
            await self._keep(connection)
            return result

    async def write(self, work: Work[T], *, long: bool = False, single: bool = False) -> T:
        """Runs `work` in a transaction, unless it is `single`; again if the server ended it in favour of another."""
        with self._at_work():
            for attempt in range(1, TRIES + 1):
                connection = await self._take()
                try:
                    if single:
                        result = await work(_PostgresqlSession(connection))
                    else:
                        async with connection.transaction():
                            result = await work(_PostgresqlSession(connection))
                except BaseException as error:
                    await self._pool.release(connection)
                    if not isinstance(error, AGAIN):
                        raise
                    if attempt == TRIES:
                        raise UnavailableError(f"given up after {TRIES} attempts: {error}") from error
                else:
                    await self._keep(connection)
                    return result
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311 - only to be out of step
        raise AssertionError("unreachable")

    async def notify(self, channel: str) -> None:
        """Tells every process that listens on the channel. Raises UnavailableError."""
        with self._at_work():
            connection = await self._take()
            try:
                await connection.execute("SELECT pg_notify($1, '')", channel)
            finally:
                await self._pool.release(connection)

    @asynccontextmanager
    async def listening(self, channel: str, heard: Callable[[], None], lost: Callable[[], None]) -> AsyncIterator[None]:
        """Calls `heard` at each notification while the block lasts, and `lost` once if the connection ends before."""
        connection = await self._take()
        connection.add_termination_listener(lambda _: lost())
        try:
            await connection.add_listener(channel, lambda *_: heard())
            yield
        finally:
            # One that is lost has left the pool by itself.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            await self._pool.release(connection)

    async def close(self) -> None:
        """Waits for what is under way, and for what still waits for a connection. May be called twice."""
        self._closed = True
        await self._idle.wait()
        while self._free:
            await self._pool.release(self._free.pop()[0])
        await self._pool.close()

    async def _take(self) -> Connection:
        """The connection that was used last, or one of the pool."""
        while self._free:
            connection, used = self._free.pop()
            if asyncio.get_running_loop().time() - used < SECONDS_IDLE and not connection.is_closed():
                return connection
            # A firewall may have forgotten it; that would be noticed minutes later only.
            connection.terminate()
            await self._pool.release(connection)
        self._queueing += 1
        try:
            return await self._pool.acquire()
        finally:
            self._queueing -= 1

    async def _keep(self, connection: Connection) -> None:
        """For the next use. Not after a failure: the pool knows what to do with a connection in whatever state."""
        if self._queueing or self._closed:
            await self._pool.release(connection)
        else:
            self._free.append((connection, asyncio.get_running_loop().time()))

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        if self._closed:
            raise RuntimeError("the database is closed")
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        except UNAVAILABLE as error:
            raise UnavailableError(str(error)) from error
        except asyncpg.InterfaceError as error:
            # Of this very type: the connection was lost before it was used. Others are about what was asked.
            if type(error) is asyncpg.InterfaceError:
                raise UnavailableError(str(error)) from error
            raise
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


async def _connected(url: str, schema: str, most_connections: int) -> Pool:
    settings = {
        "search_path": schema,
        "application_name": "joiner",
        "jit": "off",
        # Statements find single rows by an index; planning them anew would cost more than running them.
        "plan_cache_mode": "force_generic_plan",
    }
    for _ in range(STARTING_TRIES):
        try:
            return await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=most_connections,
                max_inactive_connection_lifetime=SECONDS_IDLE,
                statement_cache_size=512,
                reset=_as_it_is,
                server_settings=settings,
            )
        except asyncpg.CannotConnectNowError:
            await asyncio.sleep(STARTING_WAIT)
        except (OSError, asyncpg.PostgresError, ValueError) as error:
            raise InvalidStateError(f"the database cannot be reached: {error}") from None
    raise InvalidStateError("the database is still starting")


async def _as_it_is(_connection: Connection) -> None:
    """Nothing is put back when a connection is returned: nobody here changes its state. It would cost a round trip."""


async def _migrate(connection: Any, schema: str, migrations: Mapping[str, Path]) -> None:
    """As `migrations.migrate`; processes that start together wait for each other."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (component TEXT PRIMARY KEY, version INTEGER NOT NULL)"
        )
        for component, folder in migrations.items():
            files = sorted(folder.glob("*.sql"))
            for number, file in enumerate(files, start=1):
                match = NAME.fullmatch(file.name)
                if match is None or int(match[1]) != number:
                    raise RuntimeError(f"migration {file.name} should be number {number:04d}")
            version = (
                await connection.fetchval("SELECT version FROM schema_version WHERE component = $1", component) or 0
            )
            if version > len(files):
                raise RuntimeError(
                    f"the tables of '{component}' have version {version}, but this Joiner knows only {len(files)}; "
                    "use a newer Joiner"
                )
            for file in files[version:]:
                await connection.execute(await asyncio.to_thread(file.read_text, encoding="utf-8"))
            await connection.execute(
                "INSERT INTO schema_version VALUES ($1, $2) ON CONFLICT (component) DO UPDATE SET version = $2",
                component,
                len(files),
            )
