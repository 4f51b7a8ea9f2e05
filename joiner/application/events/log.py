"""What was accepted, in order: the audit trail, and what applications read to follow the changes.

On PostgreSQL transactions may commit in another order than they took their numbers. So an event gets its position only
once it can be seen: a reader who has seen position p has seen everything before it. Events of one resource keep their
order, because a transaction takes an event's number while it holds the resource's row.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import orjson

from joiner.errors import InvalidStateError
from joiner.storage.session import Session, Storage

MOST_EVENTS: Final = 1000
LOOK_EVERY: Final = 1.0
"""Seconds after which those who wait look again: another process may have accepted something."""
PUBLISHING: Final = 0x6576656E74
"""The lock that lets one process at a time give out positions."""
MOST_PUBLISHED: Final = 10_000
"""So many events get their position at once, more than are read at once: nobody waits long for the lock."""
REMOVED: Final = "events removed"
"""Where the installation notes the last position that retention has removed."""
COLUMNS: Final = (
    "e.position, e.at, c.name, e.token_id, e.type, e.resource_id, e.verb, e.version, e.attributes, e.data, e.members"
)


class EventsRemovedError(InvalidStateError):
    """A reader was away so long that events behind its position have been removed."""


class Actor(msgspec.Struct, frozen=True):
    """Who acts: the connection and the token of a request."""

    connection_id: int
    token_id: str


class Page(msgspec.Struct, frozen=True):
    """Events, oldest first, as JSON objects."""

    events: Sequence[Mapping[str, Any]]
    next: int
    """Behind which position to go on."""
    more: bool
    """Whether there are more events now."""


async def note_event(
    session: Session,
    actor: Actor,
    resource: tuple[str, str, int],
    verb: str,
    now: str,
    data: Mapping[str, Any] | None = None,
    members: str | None = None,
    secrets: Sequence[str] = (),
) -> None:
    """`resource` is (type, id, version); `data` holds the new values of what changed, None for what was removed.
    `members` is JSON, who was `added` to a group and `removed`, lists of ids.

    `secrets` are attributes that changed as well and whose values nobody sees.
    """
    type_, id_, version = resource
    names = [*(data or ()), *secrets, *(["members"] if members else [])]
    await session.execute(
        "INSERT INTO event (at, connection_id, token_id, type, resource_id, verb, version, attributes, data, members)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        now,
        actor.connection_id,
        actor.token_id,
        type_,
        id_,
        verb,
        version,
        " ".join(names),
        orjson.dumps(data).decode() if data else None,
        members,
    )


class News:
    """Tells whether something was accepted since it was made."""

    def __init__(self) -> None:
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self, seconds: float) -> None:
        """Returns when this process has accepted something, or after so many seconds."""
        await asyncio.wait([self.told], timeout=seconds)


class EventLog:
    """The events in `storage`, for those who follow them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._waiting: set[News] = set()

    def announce(self) -> None:
        """Wakes those who wait for news: something has been accepted."""
        for each in self._waiting:
            if not each.told.done():
                each.told.set_result(None)

    @contextmanager
    def news(self) -> Iterator[News]:
        """To be entered before one looks: what is accepted between looking and waiting is news as well."""
        news = News()
        self._waiting.add(news)
        try:
            yield news
        finally:
            self._waiting.discard(news)

    async def following(
        self, position: int, *, limit: int = MOST_EVENTS, connection_id: int | None = None, seconds: float = 0
    ) -> Page:
        """As `page`, but if there is no event yet, waits so long for the next.

        Raises EventsRemovedError if there have been events behind `position` that are not kept any more; 0 stands for
        the first that is.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            with self.news() as news:
                page = await self.page(position, limit=limit, connection_id=connection_id)
                left = until - loop.time()
                if page.events or left <= 0:
                    break
                await news.wait(min(left, LOOK_EVERY))
        # After reading: what was removed meanwhile may be missing.
        removed = await self._storage.read(removed_to) if position else 0
        if position < removed:
            raise EventsRemovedError(
                f"the events up to {removed} are not kept any more; read all resources once, then go on from there"
            )
        return page

    async def page(self, position: int, *, limit: int = MOST_EVENTS, connection_id: int | None = None) -> Page:
        """The events behind `position`; all connections' or one's.

        `next` passes over other connections' events, so that nobody looks at them again and again.
        """
        if self._storage.dialect == "postgresql":
            await self._storage.write(publish)
        condition = "" if connection_id is None else " AND e.connection_id = ?3"
        values = (position, limit + 1) if connection_id is None else (position, limit + 1, connection_id)

        async def work(session: Session) -> tuple[Sequence[Any], int]:
            rows = await session.rows(
                f"SELECT {COLUMNS} FROM event e LEFT JOIN connection c ON c.id = e.connection_id"
                f" WHERE e.position > ?1{condition} ORDER BY e.position LIMIT ?2",
                *values,
            )
            last = rows[:limit][-1][0] if len(rows) > limit else await last_position(session)
            return rows, last

        rows, last = await self._storage.read(work, long=True)
        return Page([_shown(*row) for row in rows[:limit]], max(position, last), len(rows) > limit)


async def last_position(session: Session) -> int:
    """The position of the latest event that is kept, 0 if there is none."""
    row = await session.row("SELECT coalesce(max(position), 0) FROM event")
    assert row is not None
    found: int = row[0]
    return found


async def removed_to(session: Session) -> int:
    """The last position that is not kept any more, 0 if all are."""
    row = await session.row("SELECT value FROM installation WHERE name = ?1", REMOVED)
    return 0 if row is None else int(row[0])


async def publish(session: Session) -> int:
    """PostgreSQL: gives positions to the events that can be seen and have none, the oldest first. Returns how many."""
    if await session.row("SELECT 1 FROM event WHERE position IS NULL LIMIT 1") is None:
        return 0
    await session.execute(f"SELECT pg_advisory_xact_lock({PUBLISHING})")
    return await session.execute(
        "UPDATE event SET position = published.position FROM (SELECT number, nextval('event_position') AS position"
        f" FROM (SELECT number FROM event WHERE position IS NULL ORDER BY number LIMIT {MOST_PUBLISHED}) waiting)"
        " published WHERE event.number = published.number"
    )


def _shown(
    position: int,
    at: str,
    connection: str | None,
    token_id: str,
    type_: str,
    resource_id: str,
    verb: str,
    version: int,
    attributes: str,
    data: str | None,
    members: str | None,
) -> Mapping[str, Any]:
    event: dict[str, Any] = {
        "id": str(position),
        "time": at,
        "connection": connection,
        "tokenId": token_id,
        "verb": verb,
        "resourceType": type_,
        "resourceId": resource_id,
        "version": version,
        "attributes": attributes.split(),
        "data": {} if data is None else orjson.loads(data),
    }
    if members is not None:
        event["members"] = {"added": [], "removed": [], **orjson.loads(members)}
    return event
