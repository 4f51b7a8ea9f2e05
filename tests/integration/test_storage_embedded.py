"""The embedded database: group commit, slow disks, the write-ahead log, full disks, event loops that end."""

import asyncio
import resource
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from joiner.storage import embedded
from joiner.storage.embedded import LONG_READERS, MOST_IN_A_BATCH, QUICK_COMMIT, EmbeddedDatabase
from joiner.storage.session import Session, UnavailableError
from tests.storages import insert, inserting, texts, write_migrations
from tests.waiting import wait_until

SMALL_LOG = 256 * 1024


@pytest.fixture
def migrations(tmp_path: Path) -> dict[str, Path]:
    return write_migrations(tmp_path)


@pytest.fixture
async def database(tmp_path: Path, migrations: dict[str, Path]) -> AsyncIterator[EmbeddedDatabase]:
    """A database with the empty table `entry`."""
    opened = EmbeddedDatabase(tmp_path / "test.db", migrations)
    yield opened
    await opened.close()


@pytest.fixture
def small_log(monkeypatch: pytest.MonkeyPatch) -> int:
    """Databases that are opened now copy their log when it has so many bytes."""
    monkeypatch.setattr(embedded, "WAL_BYTES", SMALL_LOG)
    monkeypatch.setattr(embedded, "LONGEST_WAL_BYTES", 4 * SMALL_LOG)
    return SMALL_LOG


def watch(database: EmbeddedDatabase, heard: Callable[[str], None]) -> None:
    """Calls `heard` with each statement of the writer before it is run."""
    database._writer.set_trace_callback(heard)


def threads_of_commits(database: EmbeddedDatabase) -> list[str]:
    """The names of the threads that commit from now on, as they do."""
    threads: list[str] = []

    def heard(statement: str) -> None:
        if statement == "COMMIT":
            threads.append(threading.current_thread().name)

    watch(database, heard)
    return threads


def make_slow(database: EmbeddedDatabase) -> None:
    """As if commits had taken long until now."""
    database._commit_seconds = 1000 * QUICK_COMMIT


def seen_by_others(path: Path) -> set[str]:
    """What a connection of its own, like another process, sees of the table."""
    connection = sqlite3.connect(path)
    try:
        return {row[0] for row in connection.execute("SELECT text FROM entry")}
    finally:
        connection.close()


@contextmanager
def stopped_at_commit(database: EmbeddedDatabase, commits: list[str] | None = None) -> Iterator[threading.Event]:
    """The writer's thread stops before its next COMMIT, sets the event, and goes on when the block ends. `commits` gets
    an item for each."""
    make_slow(database)
    at_commit, go_on = threading.Event(), threading.Event()

    def stop(statement: str) -> None:
        if statement == "COMMIT":
            if commits is not None:
                commits.append(statement)
            at_commit.set()
            go_on.wait(30)

    watch(database, stop)
    try:
        yield at_commit
    finally:
        go_on.set()


# Group commit


async def test_writes_that_wait_together_share_commits(database: EmbeddedDatabase) -> None:
    statements: list[str] = []
    watch(database, statements.append)
    await asyncio.gather(*(database.write(inserting(f"entry {n}")) for n in range(2 * MOST_IN_A_BATCH)))
    assert statements.count("COMMIT") == 2
    assert len(await database.read(texts)) == 2 * MOST_IN_A_BATCH


async def test_writes_that_come_while_another_waits_for_the_disk_share_the_next_commit(
    database: EmbeddedDatabase,
) -> None:
    commits: list[str] = []
    with stopped_at_commit(database, commits) as at_commit:
        first = asyncio.ensure_future(database.write(inserting("first")))
        assert await asyncio.to_thread(at_commit.wait, 30)
        waiting = [asyncio.ensure_future(database.write(inserting(f"entry {n}"))) for n in range(50)]
        await asyncio.sleep(0)
    await asyncio.gather(first, *waiting)
    assert len(commits) == 2


async def test_writes_are_done_in_the_order_in_which_they_were_asked_for(database: EmbeddedDatabase) -> None:
    done: list[int] = []

    def noting(number: int) -> Callable[[Session], Coroutine[Any, Any, None]]:
        async def work(_session: Session) -> None:
            done.append(number)

        return work

    await asyncio.gather(*(database.write(noting(number), long=number % 50 == 0) for number in range(1000)))
    assert done == list(range(1000))


@pytest.mark.parametrize("slow", [False, True])
async def test_a_slow_disk_is_waited_for_beside_the_event_loop(database: EmbeddedDatabase, slow: bool) -> None:
    threads = threads_of_commits(database)
    if slow:
        make_slow(database)
    await database.write(inserting("entry"))
    assert threads == ["writer of test.db" if slow else threading.main_thread().name]


async def test_a_disk_that_is_quick_again_is_noticed(
    database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = threads_of_commits(database)
    make_slow(database)
    # What any disk is quicker than.
    monkeypatch.setattr(embedded, "QUICK_COMMIT", 500 * QUICK_COMMIT)
    await database.write(inserting("entry"))
    assert threads == ["writer of test.db"]
    for number in range(200):
        await database.write(inserting(f"entry {number}"))
        if threads[-1] == threading.main_thread().name:
            break
    assert threads[-1] == threading.main_thread().name


async def test_while_a_commit_waits_for_the_disk_others_read_and_nothing_is_acknowledged(
    database: EmbeddedDatabase,
) -> None:
    await database.write(inserting("before"))
    with stopped_at_commit(database) as at_commit:
        write = asyncio.ensure_future(database.write(inserting("after")))
        assert await asyncio.to_thread(at_commit.wait, 30)
        assert await database.read(texts) == {"before"}
        assert await database.read(texts, long=True) == {"before"}
        assert not write.done()
    await write
    assert await database.read(texts) == {"before", "after"}


async def test_long_work_leaves_the_event_loop_to_others(database: EmbeddedDatabase) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def work(session: Session) -> None:
        begun.set()
        assert go_on.wait(30)
        await insert(session, "long")

    write = asyncio.ensure_future(database.write(work, long=True))
    assert await asyncio.to_thread(begun.wait, 30)
    waiting = asyncio.ensure_future(database.write(inserting("short")))
    assert await database.read(texts) == set()
    go_on.set()
    await asyncio.gather(write, waiting)
    assert await database.read(texts) == {"long", "short"}


async def test_a_commit_waits_for_the_disk(database: EmbeddedDatabase) -> None:
    async def pragmas(session: Session) -> list[Any]:
        names = ("synchronous", "journal_mode", "foreign_keys")
        rows = [await session.row(f"PRAGMA {name}") for name in names]
        return [row[0] for row in rows if row is not None]

    full = 2
    assert await database.write(pragmas, long=True) == [full, "wal", 1]


async def test_work_that_waits_for_something_else_is_refused_and_undone(database: EmbeddedDatabase) -> None:
    async def work(session: Session) -> None:
        await insert(session, "half")
        await asyncio.sleep(0)

    for long in (False, True):
        neighbour = asyncio.ensure_future(database.write(inserting(f"neighbour {long}")))
        with pytest.raises(RuntimeError, match="awaits nothing but its session"):
            await database.write(work, long=long)
        await neighbour
    assert await database.read(texts) == {"neighbour False", "neighbour True"}


# The write-ahead log


def log_size(database: EmbeddedDatabase) -> int:
    return Path(f"{database.path}-wal").stat().st_size


async def write_much(database: EmbeddedDatabase, name: str, rounds: int) -> int:
    """Writes about 16 KiB a round; returns the greatest size that the log had."""
    longest = 0
    for number in range(rounds):
        await database.write(inserting(f"{name} {number} " + "x" * 4000))
        longest = max(longest, log_size(database))
    return longest


@pytest.mark.parametrize("slow", [False, True])
async def test_the_log_stays_short_under_steady_writes(
    tmp_path: Path, migrations: dict[str, Path], small_log: int, slow: bool
) -> None:
    database = EmbeddedDatabase(tmp_path / "steady.db", migrations)
    if slow:
        make_slow(database)
    longest = await write_much(database, "entry", 400)
    assert longest < 3 * small_log
    assert database.path.stat().st_size > 3 * small_log, "what was written is in the database"
    await database.close()


async def test_the_log_is_short_again_once_a_reader_has_ended(
    tmp_path: Path, migrations: dict[str, Path], small_log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PATIENCE", 0.1)
    database = EmbeddedDatabase(tmp_path / "read.db", migrations)
    with long_read(database) as reading:
        await reading.begun()
        assert await write_much(database, "first", 100) > small_log
        reading.end()
        await reading.ended()
    await write_much(database, "second", 100)
    assert log_size(database) < 3 * small_log
    await database.close()


async def test_the_log_stays_short_though_there_is_a_reader_at_every_moment(
    tmp_path: Path, migrations: dict[str, Path], small_log: int
) -> None:
    database = EmbeddedDatabase(tmp_path / "readers.db", migrations)
    writing = True

    async def read_for_a_while(session: Session) -> None:
        await session.row(
            "WITH RECURSIVE step (n) AS (SELECT count(*) - count(*) FROM entry UNION ALL SELECT n + 1 FROM step"
            " WHERE n < 50000) SELECT count(*) FROM step"
        )

    async def read_always() -> None:
        while writing:
            await database.read(read_for_a_while, long=True)

    readers = [asyncio.ensure_future(read_always()) for _ in range(2 * LONG_READERS)]
    longest = await write_much(database, "entry", 600)
    writing = False
    await asyncio.gather(*readers)
    await database.close()
    # Without waiting for readers it would have had ten times as much.
    assert longest < 16 * small_log


class LongRead:
    """A read that lasts until it is told to end."""

    def __init__(self, database: EmbeddedDatabase) -> None:
        self._begun, self._end = threading.Event(), threading.Event()
        self._read = asyncio.ensure_future(database.read(self._work, long=True))

    async def _work(self, session: Session) -> None:
        await session.row("SELECT count(*) FROM entry")
        self._begun.set()
        self._end.wait(30)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 30)

    def end(self) -> None:
        self._end.set()

    async def ended(self) -> None:
        await self._read


@contextmanager
def long_read(database: EmbeddedDatabase) -> Iterator[LongRead]:
    read = LongRead(database)
    try:
        yield read
    except BaseException:
        read.end()
        raise


# Disks that are full


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Every write of this process behind so many bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("slow", [False, True])
async def test_a_full_disk_fails_every_waiting_write_and_none_afterwards(
    database: EmbeddedDatabase, slow: bool
) -> None:
    await database.write(inserting("before"))
    if slow:
        make_slow(database)
    with files_no_longer_than(log_size(database) + 1024):
        for _ in range(3):
            writes = [database.write(inserting(f"entry {n}"), long=slow and n == 5) for n in range(10)]
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {UnavailableError}
        assert await database.read(texts) == {"before"}
    await database.write(inserting("after"))
    assert seen_by_others(database.path) == {"before", "after"}


async def test_a_disk_too_full_for_the_copy_of_the_log_stops_nothing_else(
    tmp_path: Path, migrations: dict[str, Path], small_log: int
) -> None:
    database = EmbeddedDatabase(tmp_path / "full.db", migrations)
    await write_much(database, "much", 200)
    copied = database.path.stat().st_size
    assert copied > 3 * small_log
    kept = len(await database.read(texts))
    with files_no_longer_than(copied):
        # The log has room for these, the database has not.
        while log_size(database) < copied - 2 * 16 * 1024:
            await database.write(inserting(f"entry {kept} " + "x" * 4000))
            kept += 1
        assert database.path.stat().st_size <= copied
    await write_much(database, "more", 50)
    assert database.path.stat().st_size > copied
    assert len(await database.read(texts)) == kept + 50
    await database.close()


async def test_a_write_that_finds_no_room_fails_alone_or_with_its_batch_but_never_half(
    database: EmbeddedDatabase,
) -> None:
    async def limit(session: Session) -> None:
        row = await session.row("PRAGMA page_count")
        assert row is not None
        await session.execute(f"PRAGMA max_page_count = {row[0] + 4}")

    async def too_much(session: Session) -> None:
        await insert(session, "half")
        for number in range(100):
            await insert(session, f"{number} " + "x" * 4000)

    await database.write(limit)
    works = [inserting("first"), too_much, inserting("last")]
    first, failed, last = await asyncio.gather(*map(database.write, works), return_exceptions=True)
    assert isinstance(failed, UnavailableError)
    acknowledged = {text for text, outcome in (("first", first), ("last", last)) if outcome is None}
    assert await database.read(texts) == seen_by_others(database.path) == acknowledged


async def test_a_database_that_has_become_read_only_fails_writes_and_answers_reads(database: EmbeddedDatabase) -> None:
    await database.write(inserting("before"))
    database._writer.execute("PRAGMA query_only = ON")
    outcomes = await asyncio.gather(*(database.write(inserting(str(n))) for n in range(5)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UnavailableError}
    assert await database.read(texts) == {"before"}
    database._writer.execute("PRAGMA query_only = OFF")
    await database.write(inserting("after"))
    assert await database.read(texts) == {"before", "after"}


async def test_another_process_that_writes_is_waited_for_and_then_reported(
    tmp_path: Path, migrations: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PATIENCE", 0.1)
    database = EmbeddedDatabase(tmp_path / "shared.db", migrations)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked"):
        await database.write(inserting("too early"))
    other.execute("COMMIT")
    other.close()
    await database.write(inserting("after"))
    assert await database.read(texts) == {"after"}
    await database.close()


# Event loops


def test_a_loop_that_ends_in_the_middle_of_writes_leaves_a_database_that_works(
    tmp_path: Path, migrations: dict[str, Path]
) -> None:
    database = EmbeddedDatabase(tmp_path / "loops.db", migrations)

    async def leave(turns: int) -> None:
        for number in range(3):
            asyncio.ensure_future(database.write(inserting(f"left after {turns}: {number}")))  # noqa: RUF006 - left
        for _ in range(turns):
            await asyncio.sleep(0)

    for turns in range(8):
        asyncio.run(leave(turns))
        asyncio.run(database.write(inserting(f"next loop {turns}")))
    found = asyncio.run(database.read(texts))
    assert {text for text in found if text.startswith("next")} == {f"next loop {turns}" for turns in range(8)}
    asyncio.run(leave(1))
    asyncio.run(database.close())


def test_a_loop_that_is_gone_before_its_commit_is_done_keeps_nobody_waiting(
    tmp_path: Path, migrations: dict[str, Path]
) -> None:
    database = EmbeddedDatabase(tmp_path / "gone.db", migrations)

    async def leave(at_commit: threading.Event) -> None:
        asyncio.ensure_future(database.write(inserting("left")))  # noqa: RUF006 - left
        assert await asyncio.to_thread(at_commit.wait, 30)

    with stopped_at_commit(database) as at_commit:
        asyncio.run(leave(at_commit))
    wait_until(lambda: seen_by_others(database.path) == {"left"})
    asyncio.run(database.write(inserting("next")))
    asyncio.run(database.close())
    assert seen_by_others(database.path) == {"left", "next"}
