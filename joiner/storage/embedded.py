"""SQLite behind the `Storage` port: one writer with group commit.

Writes that wait together share one transaction and one `fsync`; each runs in a savepoint, so each fails alone. Its
result is delivered only after the commit that holds it.

Statements run on the event loop, where they cost microseconds and need no handing over between threads. So does the
commit while the disk is fast enough that handing it over would cost more; otherwise, and for what takes long, there is
the writer's thread, and the loop reads and takes the next writes meanwhile.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from joiner.storage.migrations import migrate
from joiner.storage.session import Dialect, Row, Session, UniqueViolationError, Work
from joiner.storage.sqlite import connect

T = TypeVar("T")
Waiting = tuple[Work[Any], "asyncio.Future[Any]", bool]
"""What to do, who waits for it, and whether it takes long."""
Outcome = tuple["asyncio.Future[Any]", Any, Exception | None]

MOST_IN_A_BATCH: Final = 256
"""So many writes share one commit, which bounds how long the first of them waits."""
LONG_READERS: Final = 2
QUICK_COMMIT: Final = 0.001
"""Seconds that a commit may take on the event loop, on average."""
ROUNDS: Final = 3
"""So many rounds of the event loop a batch waits for more, as long as more come."""
WAL_BYTES: Final = 16 * 1024 * 1024
"""The size of the write-ahead log at which it is copied into the database."""
LOOK_EVERY: Final = 16
"""Batches after which the size is looked at."""
WRITER_CACHE_MIB: Final = 8
READER_CACHE_MIB: Final = 4
"""Small on purpose: what does not fit is in the system's page cache, a microsecond away."""


class _SqliteSession:
    """Statements on one connection. Its coroutines never suspend, so they can be run without an event loop."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    async def row(self, sql: str, *values: Any) -> Row | None:
        try:
            found: Row | None = self._run(sql, values).fetchone()
        except sqlite3.IntegrityError as error:
            raise _translated(error) from None
        return found

    async def rows(self, sql: str, *values: Any) -> Sequence[Row]:
        return self._run(sql, values).fetchall()

    async def execute(self, sql: str, *values: Any) -> int:
        try:
            return self._run(sql, values).rowcount
        except sqlite3.IntegrityError as error:
            raise _translated(error) from None

    async def attempt(self, work: Work[T]) -> T:
        self._run("SAVEPOINT attempt")
        try:
            return await work(self)
        except Exception:
            self._run("ROLLBACK TO attempt")
            raise
        finally:
            self._run("RELEASE attempt")


class EmbeddedDatabase:
    """One SQLite file, used by one process and one event loop at a time.

    `migrations` names the components that keep their tables here, each with the folder of its numbered `.sql` files.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, migrations: Mapping[str, Path]) -> None:
        self.path = path
        self._log = f"{path}-wal"
        self._writer = connect(path, WRITER_CACHE_MIB)
        self._writer.execute("PRAGMA wal_autocheckpoint = 0")
        # After a checkpoint the log begins anew, and its file with it: its size tells how much there is to copy.
        self._writer.execute("PRAGMA journal_size_limit = 0")
        try:
            for component, folder in migrations.items():
                migrate(self._writer, component, folder)
        except BaseException:
            self._writer.close()
            raise
        self._writing: Session = _SqliteSession(self._writer)
        self._reader = _reader(path)
        self._reading: Session = _SqliteSession(self._reader)
        self._waiting: deque[Waiting] = deque()
        self._busy = False
        self._closed = False
        self._idle: asyncio.Future[None] | None = None
        self._commit_seconds = 0.0
        """How long a commit takes: a moving average."""
        self._batches = 0
        self._checkpoint_at = WAL_BYTES
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._obey, name=f"writer of {path.name}", daemon=True)
        self._thread.start()
        self._long_readers = ThreadPoolExecutor(LONG_READERS, thread_name_prefix=f"reader of {path.name}")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        """Runs `work` on a connection that only reads; `long` on another thread and on one snapshot."""
        if self._closed:
            raise RuntimeError(f"{self.path.name} is closed")
        if long:
            return await asyncio.get_running_loop().run_in_executor(self._long_readers, self._read_aside, work)
        return await work(self._reading)

    async def write(self, work: Work[T], *, long: bool = False, single: bool = False) -> T:
        """Runs `work` in the writer's transaction; `long` on the writer's thread. Returns when it is durable."""
        if self._closed:
            raise RuntimeError(f"{self.path.name} is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, future, long))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._gather, loop, 1, 1)
        return await future

    async def close(self) -> None:
        """Waits for the writes that were accepted, then closes every connection. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        self._orders.put(None)
        self._thread.join()
        self._long_readers.shutdown()
        for connection in (self._writer, self._reader, *self._opened):
            connection.close()

    # Batches

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int, rounds: int) -> None:
        """Begins a batch once no more writes come, or soon in any case: the more share a commit, the better."""
        waiting = len(self._waiting)
        if rounds == 1 or (waiting > seen and rounds < ROUNDS):
            loop.call_soon(self._gather, loop, waiting, rounds + 1)
        else:
            self._start_batch(loop)

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_IN_A_BATCH))]
        outcomes: list[Outcome] = []
        self._batches += 1
        if any(long for _, _, long in batch):
            self._orders.put(lambda: self._work_and_commit(loop, batch, outcomes))
            return
        failure = self._run_all(batch, outcomes)
        if self._commit_seconds < QUICK_COMMIT and not self._is_log_long():
            self._deliver(loop, self._commit(batch, outcomes, failure))
        else:
            self._orders.put(lambda: self._commit_aside(loop, batch, outcomes, failure))

    def _is_log_long(self) -> bool:
        """Whether the write-ahead log has to be copied into the database, which takes a while."""
        if self._batches % LOOK_EVERY:
            return False
        try:
            return os.stat(self._log).st_size >= self._checkpoint_at
        except FileNotFoundError:
            return False

    def _run_all(self, batch: Sequence[Waiting], outcomes: list[Outcome]) -> Exception | None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for work, future, _ in batch:
                if future.cancelled():
                    continue
                try:
                    outcomes.append((future, finished(self._writing.attempt(work)), None))
                except Exception as error:
                    outcomes.append((future, None, error))
        except Exception as error:
            return error
        return None

    def _obey(self) -> None:
        while (order := self._orders.get()) is not None:
            order()

    def _work_and_commit(
        self, loop: asyncio.AbstractEventLoop, batch: Sequence[Waiting], outcomes: list[Outcome]
    ) -> None:
        self._commit_aside(loop, batch, outcomes, self._run_all(batch, outcomes))

    def _commit_aside(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: Sequence[Waiting],
        outcomes: list[Outcome],
        failure: Exception | None,
    ) -> None:
        outcomes = self._commit(batch, outcomes, failure)
        if self._is_log_long():
            self._checkpoint()
        # A loop that was closed meanwhile has nobody left who waits for the answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._deliver, loop, outcomes)

    def _commit(self, batch: Sequence[Waiting], outcomes: list[Outcome], failure: Exception | None) -> list[Outcome]:
        if failure is None:
            began = time.perf_counter()
            try:
                self._writer.execute("COMMIT")
            except Exception as error:
                failure = error
            self._commit_seconds += (time.perf_counter() - began - self._commit_seconds) / 8
        if failure is not None:
            # Nothing of this batch is durable: the disk is full, or the file was taken away.
            outcomes = [(future, None, failure) for _, future, _ in batch]
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        return outcomes

    def _checkpoint(self) -> None:
        """Copies the log into the database. What readers still need stays, and is tried again when it has grown."""
        _, pages, copied = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._checkpoint_at = WAL_BYTES if pages == copied else os.stat(self._log).st_size + WAL_BYTES

    def _deliver(self, loop: asyncio.AbstractEventLoop, outcomes: Sequence[Outcome]) -> None:
        for future, result, failure in outcomes:
            if future.done():
                continue
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
        if self._waiting:
            self._start_batch(loop)
            return
        self._busy = False
        if self._idle is not None:
            self._idle.set_result(None)

    # Reading aside

    def _read_aside(self, work: Work[T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "reader", None)
        if connection is None:
            connection = self._local.reader = _reader(self.path)
            self._opened.append(connection)
        connection.execute("BEGIN")
        try:
            return finished(work(_SqliteSession(connection)))
        finally:
            connection.execute("COMMIT")


def finished(work: Awaitable[T]) -> T:
    """The result of a coroutine that never suspends."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise RuntimeError("the work of a transaction awaits nothing but its session")


def _translated(error: sqlite3.IntegrityError) -> Exception:
    unique = error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
    return UniqueViolationError(str(error)) if unique else error


def _reader(path: Path) -> sqlite3.Connection:
    connection = connect(path, READER_CACHE_MIB)
    connection.execute("PRAGMA query_only = ON")
    return connection
