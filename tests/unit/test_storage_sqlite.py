"""The embedded database: writes that share a commit, fail alone, and are durable when they are acknowledged."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest

from joiner.storage.sqlite import MAX_BATCH, Database
from tests.waiting import wait_until

CREATE = "CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;"

KILLED_WRITER = """
import asyncio, sys
from pathlib import Path
from joiner.storage.sqlite import Database

async def write_forever(database, lane):
    number = lane
    while True:
        text = f"entry {number}"
        await database.write(lambda connection: connection.execute("INSERT INTO entry (text) VALUES (?)", (text,)))
        print(text, flush=True)
        number += 20

async def main():
    database = Database(Path(sys.argv[1]), {"entries": Path(sys.argv[2])})
    await asyncio.gather(*(write_forever(database, lane) for lane in range(20)))

asyncio.run(main())
"""
"""Twenty writers that print each entry once its write has been acknowledged, until the process is killed."""


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """A folder with one migration that makes the table `entry`."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_entry.sql").write_text(CREATE, encoding="utf-8")
    return folder


@pytest.fixture
def database(tmp_path: Path, migrations: Path) -> Iterator[Database]:
    """A database with the empty table `entry`."""
    database = Database(tmp_path / "test.db", {"entries": migrations})
    yield database
    database.close()


def insert(connection: sqlite3.Connection, text: str) -> int:
    """Adds an entry and returns its id."""
    cursor = connection.execute("INSERT INTO entry (text) VALUES (?)", (text,))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def inserting(text: str) -> Callable[[sqlite3.Connection], int]:
    """The write that adds this entry."""
    return lambda connection: insert(connection, text)


def texts(path: Path) -> set[str]:
    """What a connection of its own, like another process, sees of the table."""
    connection = sqlite3.connect(path)
    try:
        return {row[0] for row in connection.execute("SELECT text FROM entry")}
    finally:
        connection.close()


@contextmanager
def held_writer(database: Database) -> Iterator[None]:
    """The writer is busy while the block lasts, so that what is submitted in it waits together."""
    busy, go_on = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        busy.set()
        go_on.wait(30)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(database.write_now, hold)
        assert busy.wait(30)
        try:
            yield
        finally:
            go_on.set()
            held.result(30)


async def test_writes_that_wait_together_share_one_commit(database: Database) -> None:
    statements: list[str] = []
    await database.write(lambda connection: connection.set_trace_callback(statements.append))
    with held_writer(database):
        writes = [asyncio.ensure_future(database.write(inserting(f"entry {n}"))) for n in range(50)]
        await asyncio.sleep(0)  # lets each of them reach the queue
        statements.clear()
    assert len(set(await asyncio.gather(*writes))) == 50
    # One commit of the write that held the writer, one of the fifty that waited for it.
    assert statements.count("COMMIT") == 2
    assert len(texts(database.path)) == 50


async def test_a_commit_holds_no_more_than_the_largest_batch(database: Database) -> None:
    statements: list[str] = []
    await database.write(lambda connection: connection.set_trace_callback(statements.append))
    with held_writer(database):
        writes = [asyncio.ensure_future(database.write(inserting(f"entry {n}"))) for n in range(2 * MAX_BATCH)]
        await asyncio.sleep(0)
        statements.clear()
    await asyncio.gather(*writes)
    assert statements.count("COMMIT") == 3


async def test_a_failing_write_undoes_only_itself(database: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        insert(connection, "half of a failing write")
        insert(connection, "before")

    with held_writer(database):
        before = asyncio.ensure_future(database.write(inserting("before")))
        failing = asyncio.ensure_future(database.write(half))
        after = asyncio.ensure_future(database.write(inserting("after")))
        await asyncio.sleep(0)
    with pytest.raises(sqlite3.IntegrityError, match=r"entry\.text"):
        await failing
    await asyncio.gather(before, after)
    assert texts(database.path) == {"before", "after"}


async def test_a_cancelled_write_is_left_out_and_its_neighbours_are_not(database: Database) -> None:
    with held_writer(database):
        cancelled = asyncio.ensure_future(database.write(inserting("cancelled")))
        kept = asyncio.ensure_future(database.write(inserting("kept")))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
    await kept
    assert texts(database.path) == {"kept"}


async def test_a_write_is_acknowledged_only_after_its_commit(database: Database) -> None:
    at_commit, go_on = threading.Event(), threading.Event()

    def stop_before_commit(statement: str) -> None:
        if statement == "COMMIT":
            at_commit.set()
            go_on.wait(30)

    def insert_and_watch(connection: sqlite3.Connection) -> int:
        connection.set_trace_callback(stop_before_commit)
        return insert(connection, "watched")

    write = asyncio.ensure_future(database.write(insert_and_watch))
    assert await asyncio.to_thread(at_commit.wait, 30)
    # A result delivered too early would have reached this loop before the commit was announced.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not write.done()
    assert texts(database.path) == set()
    go_on.set()
    await write
    assert texts(database.path) == {"watched"}


def test_a_commit_waits_for_the_disk(database: Database) -> None:
    full = 2
    assert database.write_now(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]) == full
    assert database.write_now(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


def test_killing_the_process_loses_nothing_that_was_acknowledged(tmp_path: Path, migrations: Path) -> None:
    path = tmp_path / "killed.db"
    command = [sys.executable, "-c", KILLED_WRITER, str(path), str(migrations)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = {process.stdout.readline().rstrip("\n") for _ in range(300)}
        os.kill(process.pid, signal.SIGKILL)
        acknowledged |= {line.rstrip("\n") for line in process.stdout if line.endswith("\n")}
    assert len(acknowledged) >= 300
    reopened = Database(path, {"entries": migrations})
    try:
        kept = {row["text"] for row in reopened.reader.execute("SELECT text FROM entry")}
        assert reopened.reader.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    finally:
        reopened.close()
    assert acknowledged <= kept


def test_a_closed_database_refuses_reads_and_writes(tmp_path: Path, migrations: Path) -> None:
    database = Database(tmp_path / "closed.db", {"entries": migrations})
    assert database.reader.execute("SELECT count(*) FROM entry").fetchone()[0] == 0
    database.close()
    database.close()
    with pytest.raises(RuntimeError, match=r"closed\.db is closed"):
        database.write_now(inserting("too late"))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.reader.execute("SELECT 1")
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=r"closed\.db is closed"):
        pool.submit(lambda: database.reader).result(30)


def test_closing_finishes_the_writes_that_were_accepted(tmp_path: Path, migrations: Path) -> None:
    database = Database(tmp_path / "closing.db", {"entries": migrations})
    outcomes: list[Future[int]] = []
    started = threading.Barrier(9)

    def write_until_refused(lane: int) -> int:
        started.wait(30)
        number = 0
        while True:
            try:
                database.write_now(inserting(f"{lane}/{number}"))
            except RuntimeError:
                return number
            number += 1

    with ThreadPoolExecutor(8) as pool:
        outcomes = [pool.submit(write_until_refused, lane) for lane in range(8)]
        started.wait(30)
        wait_until(lambda: len(texts(database.path)) > 20)
        database.close()
        done, hanging = wait(outcomes, timeout=30)
    assert not hanging
    assert sum(outcome.result() for outcome in done) == len(texts(database.path))


def test_several_event_loops_and_threads_share_one_database(database: Database) -> None:
    async def write_and_read(lane: int) -> int:
        await asyncio.gather(*(database.write(inserting(f"{lane}/{number}")) for number in range(100)))
        query = "SELECT count(*) FROM entry WHERE text GLOB ?"
        own: int = database.reader.execute(query, (f"{lane}/*",)).fetchone()[0]
        return own

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(asyncio.run, write_and_read(lane)) for lane in range(4)]
        assert [loop.result(30) for loop in loops] == [100] * 4
    assert len(texts(database.path)) == 400


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        insert(database.reader, "not this way")


def test_a_reader_sees_what_was_written_before(database: Database) -> None:
    database.write_now(inserting("first"))
    assert [row["text"] for row in database.reader.execute("SELECT text FROM entry")] == ["first"]
    database.write_now(inserting("second"))
    assert len(database.reader.execute("SELECT text FROM entry").fetchall()) == 2
