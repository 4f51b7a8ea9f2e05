"""Endpoints for tests that are not coroutines, such as those of properties: one for many examples."""

import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

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

    def send_bytes(
        self, method: str, path: str, query: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> int:
        """The status of the answer to exactly these bytes, which HTTP libraries would encode or refuse.

        The answer is never an error of the server's own, and it can be sent.
        """
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "query_string": query,
            "headers": headers,
        }
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        self.runner.run(self.lenient.side.scim(scope, receive, send))
        start, content = sent
        assert start["status"] < 500 or start["status"] == 501, content
        assert not any(set(value) & set(b"\r\n\x00") for _, value in start["headers"])
        if content["body"]:
            orjson.loads(content["body"])
        return int(start["status"])

    @property
    def credential(self) -> tuple[bytes, bytes]:
        """The header that opens the lenient connection."""
        return b"authorization", self.lenient.http.headers["authorization"].encode()

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
