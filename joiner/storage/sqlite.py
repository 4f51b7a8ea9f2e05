"""SQLite as an embedded server database: one writer thread with group commit, readers on their own connections.

A write is a function that gets the writer's connection. Writes that wait together share one transaction and one
`fsync`; each still fails alone, because each runs in a savepoint. A write's result is delivered only after the
commit that holds it: acknowledged means durable.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from joiner.storage.migrations import migrate

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]

MAX_BATCH = 256
"""At most so many writes share one commit, which bounds how long the first of them waits."""

CACHE_MIB = 16
SCRATCH_CACHE_MIB = 8

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 10000",
    "PRAGMA temp_store = MEMORY",
)


class Database:
    """One SQLite file. Safe to use from any thread and any event loop.

    `migrations` names the components that keep their tables here, each with the folder of its numbered `.sql`
    files; they are applied in this order. `beside` names databases that every connection can read and none can write:
    a table that is not here is found there. `is_scratch`: what is written need not outlive the machine.
    """

    def __init__(
        self,
        path: Path,
        migrations: Mapping[str, Path],
        *,
        beside: Mapping[str, Path] | None = None,
        is_scratch: bool = False,
    ) -> None:
        self.path = path
        self._beside = beside or {}
        self._is_scratch = is_scratch
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self._accepting = threading.Lock()
        """Held while a write is accepted or refused, so that none arrives behind the end of the queue."""
        writer = self._connect()
        try:
            for component, folder in migrations.items():
                migrate(writer, component, folder)
            self._attach(writer)
        except BaseException:
            writer.close()
            raise
        self._writer = threading.Thread(
            target=self._write_forever, args=(writer,), name=f"writer of {path.name}", daemon=True
        )
        self._writer.start()

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's own read-only connection; it sees everything that has been committed."""
        connection: sqlite3.Connection | None = getattr(self._local, "reader", None)
        if connection is None:
            with self._readers_lock:
                self._refuse_if_closed()
                connection = self._connect()
                self._readers.append(connection)
                self._attach(connection)
            connection.execute("PRAGMA query_only = ON")
            self._local.reader = connection
        return connection

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in the writer's transaction and returns its result once that is durable.

        Whatever `work` raises undoes what it did, and only that, and is raised here.
        """
        return await asyncio.wrap_future(self.submit(work))

    def write_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`write` for callers without an event loop: blocks the thread until the result is durable."""
        return self.submit(work).result()

    def close(self) -> None:
        """Waits for the writes that were accepted, then closes every connection. May be called twice."""
        with self._accepting:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        with self._readers_lock:
            for connection in self._readers:
                connection.close()
            self._readers.clear()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """`write` for callers that do not wait: the future has the result once it is durable."""
        future: Future[T] = Future()
        with self._accepting:
            self._refuse_if_closed()
            self._queue.put((work, future))
        return future

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self.path.name} is closed")

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path, SCRATCH_CACHE_MIB if self._is_scratch else CACHE_MIB)
        connection.row_factory = sqlite3.Row
        if self._is_scratch:
            connection.execute("PRAGMA synchronous = OFF")
        return connection

    def _attach(self, connection: sqlite3.Connection) -> None:
        for name, path in self._beside.items():
            connection.execute(f"ATTACH ? AS {name}", (f"{path.absolute().as_uri()}?mode=ro",))

    def _write_forever(self, connection: sqlite3.Connection) -> None:
        running = True
        while running:
            item = self._queue.get()
            batch: list[tuple[Work, Future[Any]]] = []
            while item is not None:
                batch.append(item)
                if len(batch) == MAX_BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            running = item is not None
            if batch:
                _commit_together(connection, batch)
        connection.close()


def connect(path: Path, cache_mib: int) -> sqlite3.Connection:
    """A connection with our pragmas, for any thread, and a page cache of so many MiB at most.

    Transactions begin and end where the code says so.
    """
    connection = sqlite3.connect(
        path.absolute().as_uri(), uri=True, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    for pragma in PRAGMAS:
        connection.execute(pragma)
    connection.execute(f"PRAGMA cache_size = {-1024 * cache_mib}")
    return connection


def _commit_together(connection: sqlite3.Connection, batch: list[tuple[Work, "Future[Any]"]]) -> None:
    outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for work, future in batch:
            if not future.set_running_or_notify_cancel():
                continue
            connection.execute("SAVEPOINT one")
            try:
                outcomes.append((future, work(connection), None))
            except Exception as error:
                connection.execute("ROLLBACK TO one")
                outcomes.append((future, None, error))
            connection.execute("RELEASE one")
        connection.execute("COMMIT")
    except Exception as error:
        # Nothing of this batch is durable: the disk is full, or the file was taken away.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
        return
    for future, result, failure in outcomes:
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)
