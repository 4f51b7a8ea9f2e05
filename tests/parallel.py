"""Clients that work on real servers at the same time, each on connections of its own."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.processes import PATIENCE, Server, fetch
from tests.scim_client import PATCH

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
LOST = (aiohttp.ClientError, OSError)
"""How it looks when a server dies under a request: nobody knows what became of it."""


class Client:
    """Requests of one token to one server after the other."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url
        """The server that is asked; it can be exchanged."""

    async def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and parsed answer. Raises one of LOST."""
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(method, f"{self.url}/scim{path}", data=data, headers=headers) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if content else None

    async def made(self, path: str, body: Any) -> dict[str, Any]:
        """What a POST has created."""
        status, created = await self.send("POST", path, body)
        assert status == 201, created
        found: dict[str, Any] = created
        return found

    async def patch(
        self, path: str, *operations: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        return await self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, headers)

    async def bulk(self, *operations: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The results of the operations."""
        status, answer = await self.send("POST", "/Bulk", {"schemas": [BULK], "Operations": list(operations)})
        assert status == 200, answer
        results: list[dict[str, Any]] = answer["Operations"]
        return results

    async def members(self, group_id: str) -> set[str]:
        status, group = await self.send("GET", f"/Groups/{group_id}")
        assert status == 200, group
        return {member["value"] for member in group.get("members", ())}


@asynccontextmanager
async def client_of(url: str, token: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield Client(session, url)


@contextmanager
def application_servers(folder: Path, database_url: str | None, count: int) -> Iterator[list[Server]]:
    """Servers of the application side: one on a file, or `count` on one PostgreSQL database, each with its folder.

    Those that are in the list in the end are stopped.
    """
    arguments = serving_arguments(database_url)
    started: list[Server] = []
    try:
        for number in range(count if database_url else 1):
            started += [Server(folder / f"data{number}", *arguments)]
        yield started
    finally:
        for server in started:
            server.stop()


def serving_arguments(database_url: str | None) -> list[str]:
    """What `joiner serve` is told, beside its data folder."""
    return ["--only", "application", *(("--database-url", database_url) if database_url else ())]


def administer(server: Server, path: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> Any:
    """One request to the administration of a server on this machine."""
    key = (server.data / "local.key").read_text().strip()
    return fetch(f"{server.url}/app/api{path}", key, body, method)


def all_events(server: Server) -> Sequence[Mapping[str, Any]]:
    """What has been accepted, in order."""
    events: list[Mapping[str, Any]] = []
    after = "0"
    while True:
        page = administer(server, f"/events?after={after}")
        events += page["value"]
        after = page["next"]
        if not page["more"]:
            return events
