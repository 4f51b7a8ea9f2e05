"""Endpoints for tests that are not coroutines, such as those of properties: one for many examples."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.scim_client import Client, opened_endpoint


@dataclass(frozen=True)
class Endpoint:
    """An endpoint with its loop, and clients of a lenient and a strict connection."""

    runner: asyncio.Runner
    lenient: Client
    strict: Client

    def send(self, client: Client, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """The answer, which is never an error of the server's own."""
        answer = self.runner.run(client.http.request(method, path, json=body, **options))
        assert answer.status_code < 500, answer.text
        return answer

    def made(self, client: Client, path: str, body: Any) -> dict[str, Any]:
        """What a POST has created."""
        answer = self.send(client, "POST", path, body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def found(self, client: Client, path: str, **options: Any) -> dict[str, Any]:
        """What a GET answers."""
        answer = self.send(client, "GET", path, **options)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@contextmanager
def running_endpoint(database: Path | str) -> Iterator[Endpoint]:
    """An endpoint on a new database."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def open_both() -> tuple[Client, Client]:
            lenient = await stack.enter_async_context(opened_endpoint(database))
            token, record = await lenient.side.tokens.create("strict")
            await lenient.side.connections.change("strict", {"profile": "strict"})
            http = httpx.AsyncClient(
                transport=lenient.http._transport,
                base_url=lenient.http.base_url,
                headers={"Authorization": f"Bearer {token}"},
            )
            await stack.enter_async_context(http)
            return lenient, Client(http, lenient.side, lenient.clock, record.id)

        try:
            yield Endpoint(runner, *runner.run(open_both()))
        finally:
            runner.run(stack.aclose())
