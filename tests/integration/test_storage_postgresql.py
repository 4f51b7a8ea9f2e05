"""PostgreSQL: transactions that end each other, connections that are lost, processes that start together."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from joiner.storage.postgresql import MOST_CONNECTIONS, TRIES, PostgresqlDatabase
from joiner.storage.session import Session, UnavailableError
from tests.scim_client import opened_endpoint
from tests.services import PostgreSQL, run_postgresql, skipped_if_missing
from tests.storages import Place, inserting, texts, write_migrations

OPENING = """
import asyncio, sys
from pathlib import Path
from joiner.storage.postgresql import PostgresqlDatabase

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    database = await PostgresqlDatabase.open(sys.argv[1], "test", {"entries": Path(sys.argv[2])})
    await database.close()

asyncio.run(main())
"""
"""Opens a database once it is told to."""


@pytest.fixture
async def database(postgresql: PostgreSQL, tmp_path: Path) -> AsyncIterator[PostgresqlDatabase]:
    """A database with the empty table `entry`."""
    with postgresql.new_database() as url:
        opened = await PostgresqlDatabase.open(url, "test", write_migrations(tmp_path))
        yield opened
        await opened.close()


async def add(session: Session, text: str, number: int) -> None:
    await session.execute("UPDATE entry SET number = number + ?2 WHERE text = ?1", text, number)


async def numbers(session: Session) -> dict[str, int]:
    return {row[0]: row[1] for row in await session.rows("SELECT text, number FROM entry")}


async def test_two_writes_that_wait_for_each_other_are_both_done(database: PostgresqlDatabase) -> None:
    await asyncio.gather(database.write(inserting("left")), database.write(inserting("right")))
    begun = {"left": asyncio.Event(), "right": asyncio.Event()}
    attempts: list[str] = []

    async def cross(session: Session, mine: str, other: str) -> None:
        attempts.append(mine)
        await add(session, mine, 1)
        begun[mine].set()
        await begun[other].wait()
        await add(session, other, 10)

    await asyncio.gather(
        database.write(lambda session: cross(session, "left", "right")),
        database.write(lambda session: cross(session, "right", "left")),
    )
    assert len(attempts) == 3, "the server has ended one of them"
    assert await database.read(numbers) == {"left": 11, "right": 11}


async def test_a_write_that_another_has_overtaken_is_done_again(database: PostgresqlDatabase) -> None:
    await database.write(inserting("counter"))
    seen: list[int] = []

    async def count(session: Session) -> None:
        await session.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        seen.append((await numbers(session))["counter"])
        if len(seen) == 1:
            await database.write(lambda other: add(other, "counter", 1))
        await session.execute("UPDATE entry SET number = ?1 WHERE text = 'counter'", seen[-1] + 1)

    await database.write(count)
    assert seen == [0, 1]
    assert await database.read(numbers) == {"counter": 2}


async def test_a_write_that_is_always_overtaken_fails_in_the_end(database: PostgresqlDatabase) -> None:
    await database.write(inserting("counter"))
    attempts = 0

    async def count(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        await session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await numbers(session)
        await database.write(lambda other: add(other, "counter", 1))
        await add(session, "counter", 1)

    with pytest.raises(UnavailableError, match=f"given up after {TRIES} attempts"):
        await database.write(count)
    assert attempts == TRIES
    assert await database.read(numbers) == {"counter": TRIES}


async def test_more_at_once_than_there_are_connections_wait_for_one(database: PostgresqlDatabase) -> None:
    await asyncio.gather(*(database.write(inserting(f"entry {n}"), long=True) for n in range(5 * MOST_CONNECTIONS)))
    found = await asyncio.gather(*(database.read(texts, long=n % 2 == 0) for n in range(5 * MOST_CONNECTIONS)))
    assert {len(each) for each in found} == {5 * MOST_CONNECTIONS}


async def test_connections_that_are_cut_fail_what_is_under_way_and_nothing_afterwards(
    database: PostgresqlDatabase, postgresql: PostgreSQL
) -> None:
    begun = [asyncio.Event() for _ in range(5)]

    async def wait(session: Session, *, number: int) -> None:
        await session.execute("INSERT INTO entry (text, number) VALUES (?1, 0)", f"cut {number}")
        begun[number].set()
        await session.row("SELECT pg_sleep(60)")

    writes = [asyncio.ensure_future(database.write(partial(wait, number=number))) for number in range(5)]
    await asyncio.gather(*(each.wait() for each in begun))
    await asyncio.to_thread(
        postgresql.psql,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'joiner' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
    )
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 5
    assert await database.read(texts) == set()
    await asyncio.gather(*(database.write(inserting(f"entry {n}")) for n in range(2 * MOST_CONNECTIONS)))
    assert len(await database.read(texts, long=True)) == 2 * MOST_CONNECTIONS


async def write_through(database: PostgresqlDatabase, name: str) -> tuple[set[str], set[str]]:
    """Writes until writes have failed and succeeded again; returns those that were acknowledged, and the others."""
    acknowledged: set[str] = set()
    failed: set[str] = set()
    for number in count():
        text = f"{name} {number}"
        try:
            await database.write(inserting(text))
        except UnavailableError:
            failed.add(text)
        else:
            acknowledged.add(text)
            if failed:
                break
    return acknowledged, failed


async def test_a_server_that_starts_again_is_found_again_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    with skipped_if_missing(), run_postgresql() as server:
        database = await PostgresqlDatabase.open(server.url(), "test", write_migrations(tmp_path))
        acknowledged: set[str] = set()
        failed: set[str] = set()
        for rounds in range(3):
            lanes = [asyncio.ensure_future(write_through(database, f"{rounds}/{lane}")) for lane in range(5)]
            await asyncio.to_thread(crash, server)
            async with asyncio.timeout(60):
                for told, not_told in await asyncio.gather(*lanes):
                    acknowledged |= told
                    failed |= not_told
        assert acknowledged <= await database.read(texts) <= acknowledged | failed
        await database.close()


def crash(server: PostgreSQL) -> None:
    """All connections are lost, and the server recovers."""
    victim = server.psql("SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'joiner'")
    os.kill(int(victim), signal.SIGKILL)


@pytest.mark.req("REQ-S-055")
async def test_while_the_database_is_gone_requests_are_answered_by_503_and_afterwards_as_ever() -> None:
    with skipped_if_missing(), run_postgresql() as server:
        async with opened_endpoint(server.url()) as client:
            user = await client.user("ann")
            crashed = asyncio.ensure_future(asyncio.to_thread(crash, server))
            while (answer := await client.http.get(f"/Users/{user['id']}")).status_code == 200:
                continue
            assert (answer.status_code, answer.json()["status"]) == (503, "503")
            assert int(answer.headers["retry-after"]) > 0
            await crashed
            while (answer := await client.http.get(f"/Users/{user['id']}")).status_code == 503:
                continue
            assert answer.json() == user
            await client.user("ben")


async def test_a_listener_hears_what_others_tell_and_notices_when_it_is_cut_off(
    database: PostgresqlDatabase, postgresql: PostgreSQL
) -> None:
    heard, lost = asyncio.Event(), asyncio.Event()
    async with database.listening("news", heard.set, lost.set):
        await database.notify("news")
        async with asyncio.timeout(30):
            await heard.wait()
        assert not lost.is_set()
        await asyncio.to_thread(
            postgresql.psql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%LISTEN%news%' AND pid <> pg_backend_pid()",
        )
        async with asyncio.timeout(30):
            await lost.wait()
    await database.notify("news")


def start_together(count: int, url: str, migrations: Path) -> list[tuple[str, int]]:
    """What so many processes print, and their exit codes, that open the database at the same moment."""
    command = [sys.executable, "-c", OPENING, url, str(migrations)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(count)
    ]
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    return [(each.communicate(timeout=60)[0], each.returncode) for each in started]


async def test_processes_that_start_together_on_an_empty_database_make_its_tables_once(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    migrations = write_migrations(tmp_path)
    with postgresql.new_database() as url:
        assert await asyncio.to_thread(start_together, 4, url, migrations["entries"]) == [("", 0)] * 4
        opened = await Place(url, migrations).open()
        await opened.write(inserting("entry"))
        await opened.close()


async def test_a_connection_that_nobody_used_for_long_is_not_used_again(
    database: PostgresqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def process_id(session: Session) -> int:
        row = await session.row("SELECT pg_backend_pid()")
        assert row is not None
        return int(row[0])

    first = await database.read(process_id)
    assert await database.read(process_id) == first
    monkeypatch.setattr("joiner.storage.postgresql.SECONDS_IDLE", 0)
    assert await database.read(process_id) != first
