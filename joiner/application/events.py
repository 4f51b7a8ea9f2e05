"""What was accepted, in order: the audit trail, and what applications read to follow the changes.

On PostgreSQL transactions may commit in another order than they took their numbers. So an event gets its position only
once it can be seen: a reader who has seen position p has seen everything before it. Events of one resource keep their
order, because a transaction takes an event's number while it holds the resource's row.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from joiner.application.memberships import MembershipChanges
from joiner.storage.session import Session, Storage

MOST_EVENTS: Final = 1000
LOOK_EVERY: Final = 1.0
"""Seconds after which those who wait look again: another process may have accepted something."""
PUBLISHING: Final = 0x6576656E74
"""The lock that lets one process at a time give out positions."""


class Actor(msgspec.Struct, frozen=True):
    """Who acts: the connection and the token of a request."""

    connection_id: int
    token_id: str


async def note_event(
    session: Session,
    actor: Actor,
    resource: tuple[str, str, int],
    verb: str,
    now: str,
    data: Mapping[str, Any] | None = None,
    members: MembershipChanges | None = None,
) -> None:
    """`resource` is (type, id, version); `data` holds the new values of what changed, None for what was removed."""
    type_, id_, version = resource
    names = [*(data or ()), *(["members"] if members else [])]
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
        members.json() if members else None,
    )


class EventLog:
    """The events in `storage`, for those who follow them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._waiting: set[asyncio.Future[None]] = set()

    def announce(self) -> None:
        """Wakes those who wait for news: something has been accepted."""
        for each in self._waiting:
            if not each.done():
                each.set_result(None)
        self._waiting.clear()

    async def news(self, seconds: float) -> None:
        """Returns when something is accepted by this process, or after so many seconds."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(told)
        await asyncio.wait([told], timeout=seconds)
        self._waiting.discard(told)

    async def following(
        self, position: int, *, limit: int = MOST_EVENTS, connection: str | None = None, seconds: float = 0
    ) -> Sequence[Mapping[str, Any]]:
        """As `after`, but if there is none yet, waits so long for the next."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not (found := await self.after(position, limit=limit, connection=connection)):
            left = until - loop.time()
            if left <= 0:
                break
            await self.news(min(left, LOOK_EVERY))
        return found

    async def after(
        self, position: int, *, limit: int = MOST_EVENTS, connection: str | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """The events behind `position`, oldest first, as JSON objects; all connections' or one's."""
        if self._storage.dialect == "postgresql":
            await self._storage.write(publish)
        condition = "" if connection is None else " AND lower(c.name) = lower(?3)"
        values = (position, limit) if connection is None else (position, limit, connection)

        async def work(session: Session) -> Sequence[Any]:
            return await session.rows(
                "SELECT e.position, e.at, c.name, e.token_id, e.type, e.resource_id, e.verb, e.version, e.attributes,"
                " e.data, e.members FROM event e LEFT JOIN connection c ON c.id = e.connection_id"
                f" WHERE e.position > ?1{condition} ORDER BY e.position LIMIT ?2",
                *values,
            )

        return [_shown(*row) for row in await self._storage.read(work, long=True)]


async def publish(session: Session) -> None:
    """Gives a position to every event that has none and can be seen."""
    if session.dialect == "sqlite":
        return
    await session.execute(f"SELECT pg_advisory_xact_lock({PUBLISHING})")
    await session.execute(
        "UPDATE event SET position = published.position FROM (SELECT number, nextval('event_position') AS position"
        " FROM (SELECT number FROM event WHERE position IS NULL ORDER BY number) waiting) published"
        " WHERE event.number = published.number"
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
    }
    if data is not None:
        event["data"] = orjson.loads(data)
    if members is not None:
        event["members"] = orjson.loads(members)
    return event
