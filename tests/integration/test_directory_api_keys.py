"""The keys of the Graph-shaped API over their life."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from joiner.directory.api_keys import ApiKeys, Principal
from joiner.directory.store import MIGRATIONS
from joiner.errors import InvalidValueError, NotFoundError
from joiner.storage.sqlite import Database
from tests.world import StillClock


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "directory.db", {"directory": MIGRATIONS})
    yield database
    database.close()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


async def test_a_key_names_its_holder_and_is_nowhere_stored(db: Database, clock: StillClock) -> None:
    keys = ApiKeys(db, clock)
    text, record = await keys.create("admin", "deployment")
    assert text.startswith("joiner_key_")
    assert keys.authenticate(text) == Principal("deployment", "admin")
    assert keys.authenticate(text + "x") is None
    assert keys.list()[0].id == record.id
    db.close()
    assert text.encode() not in db.path.read_bytes()


async def test_a_key_ends_with_its_time_or_its_revocation(db: Database, clock: StillClock) -> None:
    keys = ApiKeys(db, clock)
    short, _ = await keys.create("reader", expires_in=timedelta(days=1))
    long, record = await keys.create("reader")
    clock.move(timedelta(days=1) - timedelta(seconds=1))
    assert keys.authenticate(short) is not None
    clock.move(timedelta(seconds=1))
    assert keys.authenticate(short) is None
    assert keys.authenticate(long) == Principal(record.id, "reader")
    await keys.revoke(record.id)
    assert keys.authenticate(long) is None
    with pytest.raises(NotFoundError):
        await keys.revoke("nothing")


async def test_the_last_use_is_noted_at_most_once_a_minute(db: Database, clock: StillClock) -> None:
    keys = ApiKeys(db, clock)
    text, _ = await keys.create("admin")

    async def last_used() -> str | None:
        # The writer works in order: what was noted before is there when this write is.
        await db.write(lambda connection: None)
        return keys.list()[0].last_used

    assert await last_used() is None
    keys.authenticate(text)
    first = await last_used()
    assert first is not None
    clock.move(timedelta(seconds=59))
    keys.authenticate(text)
    assert await last_used() == first
    clock.move(timedelta(seconds=1))
    keys.authenticate(text)
    assert await last_used() != first


async def test_a_key_needs_a_role_that_there_is_and_a_future(db: Database, clock: StillClock) -> None:
    keys = ApiKeys(db, clock)
    with pytest.raises(InvalidValueError, match="'emperor' is not a role; use admin, reader or uploader"):
        await keys.create("emperor")
    with pytest.raises(InvalidValueError, match="future"):
        await keys.create("admin", expires_in=timedelta(0))
    assert keys.list() == []
