"""SQLite behind the `Storage` port: one writer with group commit.

Writes that wait together share one transaction and one `fsync`; each runs in a savepoint, so each fails alone. Its
result is delivered only after the commit that holds it.

Statements run on the event loop, where they cost microseconds and need no handing over between threads. So does the
commit while the disk is fast enough that handing it over would cost more; otherwise, and for what takes long, there is
the writer's thread, and the loop reads and takes the next writes meanwhile.
"""

import asyncio
import contextlib
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
from joiner.storage.session import Dialect, Row, Session, UnavailableError, UniqueViolationError, Work
from joiner.storage.sqlite import connect
from joiner.storage.wal import bytes_in_use

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
LONGEST_WAL_BYTES: Final = 8 * WAL_BYTES
"""The size at which writes wait for readers, as long as these hold the log."""
PATIENCE: Final = 2.0
"""Seconds that the writer waits for readers then, or for another process that writes."""
LOOK_EVERY: Final = 16
"""Batches after which the size is looked at."""
UNAVAILABLE: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
)
"""What the disk is to blame for, or another process; nothing is wrong with the work."""
WRITER_CACHE_MIB: Final = 4
READER_CACHE_MIB: Final = 8
"""Of the event loop's reader: the upper pages of the indexes stay, at any size."""
LONG_READER_CACHE_MIB: Final = 2
"""All small on purpose: what does not fit is in the system's page cache, a microsecond away."""


class _SqliteSession:
    """Statements on one connection. Its coroutines never suspend, so they can be run without an event loop."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._run = connection.execute

    async def row(self, sql: str, *values: Any) -> Row | None:
        try:
            found: Row | None = self._run(sql, values).fetchone()
        except sqlite3.Error as error:
            raise _translated(error) from None
        return found

    async def rows(self, sql: str, *values: Any) -> Sequence[Row]:
        try:
            return self._run(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _translated(error) from None

    async def execute(self, sql: str, *values: Any) -> int:
        try:
            return self._run(sql, values).rowcount
        except sqlite3.Error as error:
            raise _translated(error) from None

    async def attempt(self, work: Work[T]) -> T:
        self._run("SAVEPOINT attempt")
        try:
            result = await work(self)
        except BaseException:
            # A full disk may have ended the whole transaction, and the savepoint with it.
            if self._connection.in_transaction:
                self._run("ROLLBACK TO attempt")
                self._run("RELEASE attempt")
            raise
        self._run("RELEASE attempt")
        return result


class EmbeddedDatabase:
    """One SQLite file, used by one process and one event loop at a time.

    `migrations` names the components that keep their tables here, each with the folder of its numbered `.sql` files.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, migrations: Mapping[str, Path]) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._writer = connect(path, WRITER_CACHE_MIB)
        self._writer.execute("PRAGMA wal_autocheckpoint = 0")
        # A log that has been copied begins anew in the same file: writing over what is there takes the disk half the
        # time of growing. Only what came together in bad times is given back.
        self._writer.execute(f"PRAGMA journal_size_limit = {2 * WAL_BYTES}")
        self._writer.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        try:
            for component, folder in migrations.items():
                migrate(self._writer, component, folder)
        except BaseException:
            self._writer.close()
            raise
        self._writing: Session = _SqliteSession(self._writer)
        self._reader = _reader(path, READER_CACHE_MIB)
        self._reading: Session = _SqliteSession(self._reader)
        self._waiting: deque[Waiting] = deque()
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that writes."""
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
        self._may_begin = threading.Lock()
        """Held while a long reader begins, and while none may."""
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        """Runs `work` on a connection that only reads; `long` on another thread and on one snapshot."""
        self._refuse_if_closed()
        if long:
            return await asyncio.get_running_loop().run_in_executor(self._long_readers, self._read_aside, work)
        return await work(self._reading)

    async def write(self, work: Work[T], *, long: bool = False, single: bool = False) -> T:
        """Runs `work` in the writer's transaction; `long` on the writer's thread. Returns when it is durable."""
        self._refuse_if_closed()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop)
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
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop)
        if self._busy:
            self._idle = loop.create_future()
            await self._idle
        self._orders.put(None)
        # On a thread of our own: the loop's may have been taken away by whoever closed before us.
        await loop.run_in_executor(self._long_readers, self._thread.join)
        self._long_readers.shutdown()
        for connection in (self._writer, self._reader, *self._opened):
            connection.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self.path.name} is closed")

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Writes for this loop from now on. The one before has ended, perhaps in the middle of a batch: its commit is
        waited for, and nobody waits for what it had not begun."""
        self._loop = loop
        self._waiting.clear()
        if self._busy:
            self._orders.put(lambda: self._hand_over(loop, ()))

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
        if self._commit_seconds < QUICK_COMMIT and (self._batches % LOOK_EVERY or not self._is_log_long()):
            self._deliver(loop, self._commit(batch, outcomes, failure))
        else:
            self._orders.put(lambda: self._commit_aside(loop, batch, outcomes, failure))

    def _is_log_long(self) -> bool:
        """Whether the write-ahead log has to be copied into the database, which takes a while."""
        return bytes_in_use(self._log) >= self._checkpoint_at

    def _run_all(self, batch: Sequence[Waiting], outcomes: list[Outcome]) -> Exception | None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for work, future, _ in batch:
                if future.cancelled():
                    continue
                try:
                    outcomes.append((future, finished(self._writing.attempt(work)), None))
                except Exception as error:
                    if not self._writer.in_transaction:
                        return error
                    outcomes.append((future, None, error))
        except sqlite3.Error as error:
            return _translated(error)
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
        self._hand_over(loop, outcomes)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, outcomes: Sequence[Outcome]) -> None:
        # A loop that was closed meanwhile has nobody left who waits for the answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._deliver, loop, outcomes)

    def _commit(self, batch: Sequence[Waiting], outcomes: list[Outcome], failure: Exception | None) -> list[Outcome]:
        if failure is None:
            began = time.perf_counter()
            try:
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                failure = _translated(error)
            self._commit_seconds += (time.perf_counter() - began - self._commit_seconds) / 8
        if failure is not None:
            # Nothing of this batch is durable: the disk is full, or the file was taken away.
            outcomes = [(future, None, failure) for _, future, _ in batch]
            if self._writer.in_transaction:
                # Should that fail too, the next batch cannot begin and comes here again.
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
        return outcomes

    def _checkpoint(self) -> None:
        """Copies the log into the database. What readers still need stays, and is tried again when it has grown.

        The log begins anew once no reader needs it, and there may be one at every moment: when it has become long, none
        begins until those of now have ended, or it takes them too long.
        """
        size = bytes_in_use(self._log)
        try:
            if size < LONGEST_WAL_BYTES:
                is_held, pages, copied = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            else:
                with self._may_begin:
                    is_held, pages, copied = self._writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except sqlite3.Error:
            # The disk is too full for the copy; what is in the log is as safe there.
            is_held, pages, copied = False, 1, 0
        if is_held:
            self._checkpoint_at = 2 * size
        else:
            self._checkpoint_at = WAL_BYTES if pages == copied else size + WAL_BYTES

    def _deliver(self, loop: asyncio.AbstractEventLoop, outcomes: Sequence[Outcome]) -> None:
        if loop is not self._loop:
            return
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
            connection = self._local.reader = _reader(self.path, LONG_READER_CACHE_MIB)
            self._opened.append(connection)
        with self._may_begin:
            connection.execute("BEGIN")
        try:
            return finished(work(_SqliteSession(connection)))
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")


def finished(work: Awaitable[T]) -> T:
    """The result of a coroutine that never suspends."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        result: T = stop.value
        return result
    # Ended now, so that it undoes what it did while that is still possible.
    steps.close()
    raise RuntimeError("the work of a transaction awaits nothing but its session")


def _translated(error: sqlite3.Error) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
        return UniqueViolationError(str(error))
    # The lowest byte is the code; what stands above it says more.
    return UnavailableError(str(error)) if code & 0xFF in UNAVAILABLE else error


def _reader(path: Path, cache_mib: int) -> sqlite3.Connection:
    connection = connect(path, cache_mib)
    connection.execute("PRAGMA query_only = ON")
    return connection
