"""Requests as the bytes that they are, over connections that are kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import aiohttp
import pytest

from joiner.provisioning.client.connections import Connections
from joiner.provisioning.client.deadlines import Deadlines

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers every request; closes each connection after `requests` answers."""

    def __init__(self, requests: int = 1000) -> None:
        self.heads: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.answer = ANSWER
        self.closed = asyncio.Event()
        self._requests = requests

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        for _ in range(self._requests):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            self.heads.append(head)
            length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(self.answer)
        if self._requests == 1:
            # The next request is already on its way when the connection goes.
            await reader.read(1)
        writer.close()
        self.closed.set()


@asynccontextmanager
async def connected(
    server: Server, path: str = "", *, limit: int = 100, seconds: float = 10
) -> AsyncIterator[Connections]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}{path}"
    async with listening, aiohttp.TCPConnector(limit=limit) as connector:
        with closing(Connections(connector, address, {"Accept-Encoding": "identity"}, seconds, 1000)) as connections:
            yield connections


async def test_requests_share_a_connection_and_carry_path_host_and_headers() -> None:
    server = Server()
    async with connected(server, path="/scim/v2") as connections:
        for _ in range(2):
            status, headers, body = await connections.send(
                "PATCH", "/Users/1?a=b%20c", {"Authorization": "Bearer x"}, b"{}"
            )
    assert (status, headers["content-length"], body) == (200, "2", b"{}")
    first, second = server.heads
    assert first == second
    lines = first.split("\r\n")
    assert lines[0] == "PATCH /scim/v2/Users/1?a=b%20c HTTP/1.1"
    assert lines[1].startswith("Host: 127.0.0.1:")
    assert {"Accept-Encoding: identity", "Authorization: Bearer x", "Content-Length: 2"} <= set(lines)


async def test_a_read_is_sent_again_when_its_kept_connection_was_just_closed() -> None:
    server = Server(requests=1)
    async with connected(server) as connections:
        for _ in range(2):
            status, _, _ = await connections.send("GET", "/Users", {}, None)
    assert status == 200
    assert len(server.heads) == 2


async def test_a_create_is_never_sent_again() -> None:
    server = Server(requests=1)
    async with connected(server) as connections:
        await connections.send("POST", "/Users", {}, b"{}")
        with pytest.raises(aiohttp.ClientError):
            await connections.send("POST", "/Users", {}, b"{}")
    assert len(server.heads) == 1


async def test_a_create_is_not_sent_over_a_connection_that_may_be_closed_just_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    async with connected(server, limit=1) as connections:
        await connections.send("GET", "/Users", {}, None)
        await connections.send("GET", "/Users", {}, None)
        assert len(server.writers) == 1
        monkeypatch.setattr("joiner.provisioning.client.connections.KEPT_FOR_CREATES", 0.0)
        await connections.send("POST", "/Users", {}, b"{}")
    assert len(server.writers) == 2


async def test_what_nobody_asked_for_is_no_answer() -> None:
    server = Server()
    async with connected(server) as connections:
        await connections.send("POST", "/Users", {}, b"{}")
        server.writers[0].write(ANSWER.replace(b"200 OK", b"408 Request Timeout"))
        await server.closed.wait()
        status, _, _ = await connections.send("POST", "/Users", {}, b"{}")
    assert status == 200
    assert len(server.writers) == 2


async def test_requests_wait_for_a_connection_when_no_more_may_be_made() -> None:
    server = Server()
    async with connected(server, limit=2) as connections:
        answers = await asyncio.gather(*(connections.send("POST", "/Users", {}, b"{}") for _ in range(9)))
        again = await connections.send("POST", "/Users", {}, b"{}")
    assert [status for status, _, _ in [*answers, again]] == [200] * 10
    assert len(server.writers) == 2


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_an_answer_that_is_not_whole_in_time_is_a_timeout(begun: bytes) -> None:
    server = Server()
    async with connected(server, seconds=0.1) as connections:
        await connections.send("POST", "/Users", {}, b"{}")
        server.answer = begun
        with pytest.raises(TimeoutError):
            await connections.send("POST", "/Users", {}, b"{}")
        await server.closed.wait()
        server.answer = ANSWER
        status, _, _ = await connections.send("POST", "/Users", {}, b"{}")
    assert status == 200


async def test_what_is_not_taken_out_in_time_expires() -> None:
    expired = asyncio.Queue[str]()
    deadlines = Deadlines[str](expired.put_nowait)
    now = asyncio.get_running_loop().time()
    for item, until in [("late", now + 3600), ("second", now + 0.02), ("taken", now + 0.01), ("first", now)]:
        deadlines.put(item, until)
    deadlines.take("taken")
    assert [await expired.get(), await expired.get()] == ["first", "second"]
    assert deadlines.last() == ("late", now + 3600)
    assert deadlines.last() is None
    deadlines.close()


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_with_a_line_break_is_refused(value: str) -> None:
    async with connected(Server()) as connections:
        with pytest.raises(ValueError, match="line break"):
            await connections.send("GET", "/Users", {"Authorization": value}, None)


@pytest.mark.parametrize("path", ["/Users HTTP/1.1\r\n", "/a b", "/ž"])
async def test_a_path_that_is_not_encoded_is_refused(path: str) -> None:
    async with connected(Server()) as connections:
        with pytest.raises(ValueError, match="not encoded"):
            await connections.send("GET", path, {}, None)
