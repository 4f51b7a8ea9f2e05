"""What every storage does, on each of the databases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from joiner.storage.session import Session, Storage, UniqueViolationError, Work
from tests.services import PostgreSQL
from tests.storages import Place, insert, inserting, texts, write_migrations


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    migrations = write_migrations(tmp_path)
    if request.param == "sqlite":
        yield Place(tmp_path / "test.db", migrations)
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.new_database() as url:
        yield Place(url, migrations)


@pytest.fixture
async def storage(place: Place) -> AsyncIterator[Storage]:
    """A database with the empty table `entry`."""
    opened = await place.open()
    yield opened
    await opened.close()


async def kept(place: Place) -> set[str]:
    """What is found by someone who opens the database anew."""
    opened = await place.open()
    try:
        return await opened.read(texts)
    finally:
        await opened.close()


async def test_a_read_sees_what_was_committed_before_it(storage: Storage) -> None:
    assert await storage.read(texts) == set()
    for number in range(3):
        await storage.write(inserting(f"entry {number}"), long=number == 1)
        for long in (False, True):
            assert len(await storage.read(texts, long=long)) == number + 1


async def test_a_write_that_was_delivered_is_there_after_opening_anew(place: Place, storage: Storage) -> None:
    await asyncio.gather(*(storage.write(inserting(f"entry {number}"), long=number % 7 == 0) for number in range(50)))
    assert await kept(place) == {f"entry {number}" for number in range(50)}


async def test_values_come_back_as_they_were_written(storage: Storage) -> None:
    async def work(session: Session) -> tuple[Any, ...]:
        assert await session.row("SELECT text FROM entry") is None
        assert await session.rows("SELECT text FROM entry") == []
        await insert(session, "ünïcode 'quoted' \U0001f511", 2**31 - 1)
        assert await session.execute("UPDATE entry SET number = number - 1 WHERE number > ?1", 5) == 1
        assert await session.execute("UPDATE entry SET number = 0 WHERE text = ?1", "nobody") == 0
        row = await session.row("SELECT text, number, NULL FROM entry")
        assert row is not None
        return tuple(row)

    assert await storage.write(work) == ("ünïcode 'quoted' \U0001f511", 2**31 - 2, None)


async def test_what_a_write_raises_undoes_its_own_work_and_no_other(storage: Storage) -> None:
    async def half(session: Session) -> None:
        await insert(session, "half of a failing write")
        raise LookupError("this one fails")

    works = [inserting("before"), half, inserting("after")]
    before, failing, after = await asyncio.gather(*map(storage.write, works), return_exceptions=True)
    assert (before, after) == (None, None)
    assert isinstance(failing, LookupError)
    assert await storage.read(texts) == {"before", "after"}


async def test_attempts_undo_only_themselves_and_nest(storage: Storage) -> None:
    async def failing(session: Session) -> None:
        await insert(session, "inner")
        await session.attempt(inserting("innermost"))
        raise LookupError

    async def outer(session: Session) -> str:
        await insert(session, "outer")
        with pytest.raises(LookupError):
            await session.attempt(failing)
        await session.attempt(inserting("second"))
        return "done"

    async def work(session: Session) -> str:
        await insert(session, "first")
        found = await session.attempt(outer)
        with pytest.raises(UniqueViolationError):
            await session.attempt(inserting("first"))
        await insert(session, "last")
        return found

    assert await storage.write(work) == "done"
    assert await storage.read(texts) == {"first", "outer", "second", "last"}


@pytest.mark.parametrize("verb", ["execute", "row", "rows"])
async def test_a_value_that_must_be_unique_is_refused_as_such(storage: Storage, verb: str) -> None:
    async def work(session: Session) -> None:
        run: Callable[..., Awaitable[Any]] = getattr(session, verb)
        await run("INSERT INTO entry (text, number) VALUES (?1, 1) RETURNING number", "taken")

    await storage.write(work)
    for long in (False, True):
        with pytest.raises(UniqueViolationError):
            await storage.write(work, long=long)


async def test_other_violations_are_not_taken_for_that(storage: Storage) -> None:
    async def work(session: Session) -> None:
        await session.execute("INSERT INTO entry (text, number) VALUES (?1, NULL)", "no number")

    with pytest.raises(Exception, match="number") as caught:
        await storage.write(work)
    assert not isinstance(caught.value, UniqueViolationError)


async def test_a_reader_cannot_write(storage: Storage) -> None:
    with pytest.raises(Exception, match=r"(?i)read-?only"):
        await storage.read(inserting("not this way"), long=True)
    assert await storage.read(texts) == set()


async def test_long_and_short_work_do_not_disturb_each_other(storage: Storage) -> None:
    def write(number: int) -> Awaitable[None]:
        return storage.write(inserting(f"entry {number}"), long=number % 3 == 0)

    async def read(number: int) -> None:
        await storage.read(texts, long=number % 5 == 0)

    await asyncio.gather(*(each(number) for number in range(300) for each in (write, read)))
    assert len(await storage.read(texts)) == 300


async def test_no_change_of_what_another_has_changed_is_lost(storage: Storage) -> None:
    await storage.write(inserting("counter"))

    async def count(session: Session) -> int:
        row = await session.row("UPDATE entry SET number = number + 1 WHERE text = 'counter' RETURNING number")
        assert row is not None
        found: int = row[0]
        return found

    async def client(lane: int) -> list[int]:
        return [await storage.write(count, long=(lane + step) % 10 == 0) for step in range(20)]

    lanes = await asyncio.gather(*map(client, range(20)))
    assert all(lane == sorted(lane) for lane in lanes), "each client sees its own changes in their order"
    assert sorted(number for lane in lanes for number in lane) == list(range(1, 401))


async def test_a_long_read_sees_one_state_whatever_is_written_meanwhile(place: Place, storage: Storage) -> None:
    loop = asyncio.get_running_loop()
    await storage.write(inserting("before"))

    async def work(session: Session) -> tuple[set[str], set[str]]:
        first = await texts(session)
        if session.dialect == "postgresql":
            await storage.write(inserting("meanwhile"))
        else:
            # Long work has a thread of its own there.
            asyncio.run_coroutine_threadsafe(storage.write(inserting("meanwhile")), loop).result(30)
        return first, await texts(session)

    assert await storage.read(work, long=True) == ({"before"}, {"before"})
    assert await storage.read(texts) == {"before", "meanwhile"}


async def test_a_write_that_nobody_waits_for_any_more_does_not_disturb_its_neighbours(storage: Storage) -> None:
    delivered: set[str] = set()
    for rounds in range(40):
        victim = asyncio.ensure_future(storage.write(inserting(f"cancelled {rounds}"), long=rounds % 4 == 3))
        neighbour = asyncio.ensure_future(storage.write(inserting(f"kept {rounds}")))
        for _ in range(rounds // 2):
            await asyncio.sleep(0)
        victim.cancel()
        [outcome] = await asyncio.gather(victim, return_exceptions=True)
        if outcome is None:
            delivered.add(f"cancelled {rounds}")
        await neighbour
        if rounds == 0:
            assert "cancelled 0" not in await storage.read(texts), "it was cancelled before it began"
    found = await storage.read(texts)
    assert {text for text in found if text.startswith("kept")} == {f"kept {rounds}" for rounds in range(40)}
    assert delivered <= found


async def test_closing_finishes_what_was_accepted(place: Place) -> None:
    storage = await place.open()
    writes = [asyncio.ensure_future(storage.write(inserting(f"entry {n}"), long=n % 10 == 0)) for n in range(100)]
    reads = [asyncio.ensure_future(storage.read(texts, long=True)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.gather(storage.close(), storage.close())
    assert await asyncio.gather(*writes) == [None] * 100
    await asyncio.gather(*reads)
    assert len(await kept(place)) == 100


async def test_a_closed_database_refuses_everything_and_can_be_closed_again(place: Place) -> None:
    storage = await place.open()
    await storage.close()
    await storage.close()
    attempts: list[Callable[[Work[Any], bool], Awaitable[Any]]] = [
        lambda work, long: storage.read(work, long=long),
        lambda work, long: storage.write(work, long=long),
    ]
    for attempt in attempts:
        for long in (False, True):
            with pytest.raises(RuntimeError, match="is closed"):
                await attempt(texts, long)


def test_event_loops_can_follow_each_other(place: Place) -> None:
    async def open_and_write(text: str) -> set[str]:
        storage = await place.open()
        await asyncio.gather(*(storage.write(inserting(f"{text} {number}")) for number in range(10)))
        found = await storage.read(texts)
        await storage.close()
        return found

    assert len(asyncio.run(open_and_write("first"))) == 10
    assert len(asyncio.run(open_and_write("second"))) == 20
