"""Bytes that are hardly HTTP, or that end too early, on the sockets of a real process: answered or closed, never waited
for, and nothing is stored."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from joiner.config import Settings
from joiner.server import protocol
from joiner.server.serve import listening
from tests.raw_http import Connection, Service, serving_scim

KIM = b'{"userName": "never"}'
MEBIBYTE = 1024 * 1024
BULK_LIMIT = 16 * MEBIBYTE


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving_scim(tmp_path_factory.mktemp("framing")) as service:
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """The server, which afterwards lives, holds what it held, and has logged no trouble."""
    before = running.held()
    yield running
    assert running.held() == before
    assert running.trouble() is None


# Lengths


@pytest.mark.req("REQ-S-054")
@pytest.mark.parametrize(("target", "limit"), [("/scim/Users", MEBIBYTE), ("/scim/Bulk", BULK_LIMIT)])
def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes(
    service: Service, target: str, limit: int
) -> None:
    for length in (limit + 1, 10**15, 10**18):
        with service.connect() as connection:
            connection.send(service.head("POST", target, ("Content-Length", str(length))))
            answer = service.refused(service.checked(connection.answer()), 413)
            assert str(limit) in answer.json["detail"]
            assert answer.headers["connection"] == "close"
            connection.end_of_stream()


@pytest.mark.req("REQ-S-054")
@pytest.mark.parametrize(("target", "limit"), [("/scim/Users", MEBIBYTE), ("/scim/Bulk", BULK_LIMIT)])
def test_a_body_in_chunks_is_refused_as_soon_as_it_is_over_the_limit(service: Service, target: str, limit: int) -> None:
    with service.connect() as connection:
        connection.send(service.head("POST", target, ("Transfer-Encoding", "chunked")))
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        connection.send(chunk * (limit // 0x10000 + 1))
        # It goes on for ever: no last chunk is ever sent.
        answer = service.refused(service.checked(connection.answer()), 413)
        assert answer.headers["connection"] == "close"
        connection.end_of_stream()


@pytest.mark.req("REQ-S-310", "REQ-S-311")
def test_a_bulk_request_of_the_published_size_is_taken_and_no_longer_one(service: Service) -> None:
    config = service.ask("GET", "/scim/ServiceProviderConfig").json
    limit = config["bulk"]["maxPayloadSize"]
    assert limit == BULK_LIMIT
    body = b'{"Operations": []}'.ljust(limit)
    assert service.ask("POST", "/scim/Bulk", body=body).json["Operations"] == []
    longer = service.refused(service.ask("POST", "/scim/Bulk", body=body + b" "), 413)
    assert str(limit) in longer.json["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "-1")],
        [("Content-Length", "+21")],
        [("Content-Length", "21x")],
        [("Content-Length", "0x15")],
        [("Content-Length", "")],
        [("Content-Length", "9" * 40)],
        [("Content-Length", "21, 21")],
        [("Content-Length", "21"), ("Content-Length", "21")],
        [("Content-Length", "20"), ("Content-Length", "21")],
        [("Content-Length", "21"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "21")],
        [("Transfer-Encoding", "chunked, identity")],
        [("Transfer-Encoding", "gzip")],
    ],
    ids=str,
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(service: Service, headers: list[tuple[str, str]]) -> None:
    with service.connect() as connection:
        connection.send(service.head("POST", "/scim/Users", *headers) + KIM)
        assert service.checked(connection.answer()).status == 400
        connection.end_of_stream()


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"f" * 17 + b"\r\n", b"15 \n", b"15\r\n" + KIM + b"15\r\n"])
def test_a_chunk_that_is_none_is_refused(service: Service, chunk: bytes) -> None:
    with service.connect() as connection:
        head = service.head("POST", "/scim/Users", ("Transfer-Encoding", "chunked"))
        connection.send(head + chunk + KIM + b"\r\n0\r\n\r\n")
        assert service.checked(connection.answer()).status == 400
        connection.end_of_stream()


def test_what_is_behind_the_declared_length_is_no_part_of_the_body(service: Service) -> None:
    with service.connect() as connection:
        connection.send(service.head("POST", "/scim/Users", ("Content-Length", str(len(KIM) - 1))) + KIM)
        assert service.checked(connection.answer()).status == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("ending", ["close", "half", "reset"])
def test_a_client_that_goes_away_in_the_middle_of_a_body_has_done_nothing(
    service: Service, method: str, ending: str
) -> None:
    target = "/scim/Users" if method == "POST" else f"/scim/Users/{service.kim}"
    for framing, sent in (
        (("Content-Length", "1000"), KIM),
        (("Transfer-Encoding", "chunked"), b"15\r\n" + KIM + b"\r\n"),
        (("Transfer-Encoding", "chunked"), b"100\r\n" + KIM),
    ):
        with service.connect() as connection:
            connection.send(service.head(method, target, framing) + sent)
            if ending == "half":
                connection.shut_down()
                connection.end_of_stream()
            elif ending == "reset":
                connection.reset_on_close()


@pytest.mark.parametrize("sent", [0, 1, 20, 60])
def test_others_are_served_while_heads_and_bodies_do_not_come(service: Service, sent: int) -> None:
    head = service.head("POST", "/scim/Users", ("Content-Length", "1000"))
    slow = [service.connect() for _ in range(200)]
    for number, connection in enumerate(slow):
        connection.send(head + KIM if number % 2 else head[:sent])
    try:
        assert service.ask("GET", "/scim/Users").status == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_waits_to_be_told_to_continue_is_told_so(service: Service) -> None:
    expect = ("Expect", "100-continue")
    with service.connect() as connection:
        connection.send(service.head("POST", "/scim/Users", expect, ("Content-Length", "2")))
        going_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.receive(len(going_on)) == going_on
        connection.send(b"{}")
        service.refused(service.checked(connection.answer()), 400, "invalidValue")


@pytest.mark.req("REQ-S-054")
def test_a_client_that_waits_to_be_told_to_continue_need_not_send_what_is_refused(service: Service) -> None:
    expect = ("Expect", "100-continue")
    for head, status in (
        (service.head("POST", "/scim/Users", expect, ("Content-Length", str(MEBIBYTE + 1))), 413),
        (service.head("POST", "/scim/Users", expect, ("Content-Length", "2"), authorised=False), 401),
        (service.head("POST", "/scim/Users", expect, ("Content-Length", "2"), ("Content-Type", "text/xml")), 415),
    ):
        with service.connect() as connection:
            connection.send(head)
            expected = f"HTTP/1.1 {status} ".encode()
            assert connection.receive(len(expected)) == expected


# Heads


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /scim/Users HTTP/3.0\r\n\r\n",
        b"FOO /scim/Users HTTP/1.1\r\n\r\n",
        b"get /scim/Users HTTP/1.1\r\n\r\n",
        b"GET scim/Users HTTP/1.1\r\n\r\n",
        b"GET /scim/Users\xe9 HTTP/1.1\r\n\r\n",
        b"GET /scim/Users\x00 HTTP/1.1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"GET http://app.example HTTP/1.1\r\n\r\n",
        b"CONNECT app.example:443 HTTP/1.1\r\n\r\n",
        b"GET /scim/Users HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        b"GET /scim/Users HTTP/1.1\r\nHost: a\nSet-Cookie: b\r\n\r\n",
        b"GET /scim/Users HTTP/1.1\r\nX-A: a\r\n folded\r\n\r\n",
        b"GET /scim/Users HTTP/1.1\r\nX-A : a\r\n\r\n",
        b"GET /scim/Users HTTP/1.1\r\nX-A: a\x00b\r\n\r\n",
        b"GET /scim/Users HTTP/1.1\r\nX-\xff: a\r\n\r\n",
        b"GET /scim/Users HTTP/1.1\r\n: a\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(service: Service, request_: bytes) -> None:
    with service.connect() as connection:
        connection.send(request_)
        assert service.checked(connection.answer()).status == 400
        connection.end_of_stream()


@pytest.mark.parametrize("sent", [b"", b"GET /scim/Users\r\n", b"GET /scim/Users HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_ends_early_ends_the_connection(service: Service, sent: bytes) -> None:
    with service.connect() as connection:
        connection.send(sent)
        connection.shut_down()
        connection.end_of_stream()


@pytest.mark.parametrize("length", [protocol.MOST_HEAD_BYTES, 100 * 1024, 2 * MEBIBYTE])
def test_a_head_that_is_too_long_is_refused_whole_or_not(service: Service, length: int) -> None:
    def refused(connection: Connection, status: int) -> None:
        assert service.checked(connection.answer()).status == status
        connection.end_of_stream()

    for piece in (f"X-A: {'a' * length}", "\r\n".join(["X-A: aaaa"] * (length // 10))):
        head = service.head("GET", "/scim/Users").removesuffix(b"\r\n") + piece.encode()
        for request in (head + b"\r\n\r\n", head):
            with service.connect() as connection:
                connection.send(request)
                refused(connection, 431)
    with service.connect() as connection:
        connection.send(service.head("GET", f"/scim/Users?{'a' * length}"))
        refused(connection, 414)


def test_a_long_head_and_a_body_that_comes_with_it_are_taken(service: Service) -> None:
    head = service.head("POST", "/scim/Users", ("X-A", "a" * 60_000), ("Content-Length", "200000"))
    service.refused(service.send(head + b"[]" + b" " * 199_998), 400, "invalidSyntax")
    many = service.head("GET", "/scim/Users?count=0", *[(f"X-{number}", "a") for number in range(4000)])
    assert service.send(many).status == 200


def test_requests_on_one_connection_are_answered_in_order(service: Service) -> None:
    with service.connect() as connection:
        one, other = service.head("GET", "/scim/Users?count=0"), service.head("GET", "/scim/none")
        connection.send((one + other) * 20)
        statuses = [service.checked(connection.answer()).status for _ in range(40)]
    assert statuses == [200, 404] * 20


@pytest.mark.parametrize("protocol_", ["websocket", "h2c"])
def test_other_protocols_are_not_spoken_and_the_request_is_answered(service: Service, protocol_: str) -> None:
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", protocol_), ("Sec-WebSocket-Key", "a")]
    assert service.ask("GET", "/scim/Users?count=0", *headers).status == 200
    service.refused(service.ask("POST", "/scim/Users", *headers, body=b"{}"), 400, "invalidValue")


async def test_a_connection_on_which_no_whole_request_comes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr(protocol, "SECONDS_FOR_HEAD", 0.05)
    monkeypatch.setattr(protocol, "SECONDS_OF_SILENCE", 0.05)
    half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    async with listening(app, Settings(port=0)) as url:
        for whole, part in ((b"", b""), (b"", request[:9]), (request, request[:9]), (b"", half), (request, half)):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            if whole:
                writer.write(whole)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
            writer.write(part)
            assert await reader.read() == b""
            writer.close()


class Eager:
    """An application that may begin at once, and notes whether its requests began in a task."""

    def __init__(self) -> None:
        self.tasks: list[bool] = []
        self.waits = asyncio.Event()
        self.may_go_on = asyncio.Event()

    def may_begin_at_once(self, scope: Scope) -> bool:
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.tasks.append(asyncio.current_task() is not None)
        if scope["path"] == "/wait":
            self.waits.set()
            await self.may_go_on.wait()
            assert asyncio.current_task() is not None
        if scope["path"] == "/fail":
            await asyncio.sleep(0)
            raise RuntimeError("as it should")
        body = scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def test_requests_that_begin_at_once_are_answered_like_others() -> None:
    app = Eager()

    def get(path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()

    async with listening(app, Settings(port=0)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))

        async def answer() -> bytes:
            head = await reader.readuntil(b"\r\n\r\n")
            return head[9:12] + await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))  # type: ignore[index]

        writer.write(get("/a") + get("/b"))
        assert [await answer(), await answer()] == [b"200/a", b"200/b"]
        # Two thousand behind one that waits: none begins inside of another.
        writer.write(get("/wait") + get("/c") * 2000)
        await app.waits.wait()
        app.may_go_on.set()
        assert [await answer() for _ in range(2001)] == [b"200/wait", *[b"200/c"] * 2000]
        writer.write(get("/fail"))
        assert (await answer()).startswith(b"500")
        writer.close()
    assert app.tasks == [False] * 3 + [True] * 2000 + [False]


@pytest.mark.parametrize("headers", [[(b"content-length", b"8")], [(b"content-length", b"8"), (b"X-A", b"a")]])
async def test_a_head_does_not_wait_for_the_last_piece_of_its_body(headers: list[tuple[bytes, bytes]]) -> None:
    has_first = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"soon", "more_body": True})
        await has_first.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async with listening(app, Settings(port=0)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(2):
            has_first.clear()
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(4) == b"soon"
            has_first.set()
            assert await reader.readexactly(4) == b"late"
        writer.close()


@pytest.mark.parametrize("sent", [b"short", b"too long"])
async def test_a_body_that_is_not_as_long_as_it_says_ends_the_connection(sent: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": sent})

    async with listening(app, Settings(port=0)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.partition(b"\r\n\r\n")[2] in (b"", sent)
