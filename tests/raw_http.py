"""SCIM over bare sockets: bytes as no HTTP library would send them, to a server as an operator starts it."""

import contextlib
import http.client
import io
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.processes import PATIENCE, Server, fetch, joiner, serving
from tests.scim_client import ERROR

Header = tuple[str, str]

INTERNALS = ("Traceback", "SELECT ", "INSERT ", "UPDATE ", "sqlite", "asyncpg", "postgres", ".py", "joiner.", "Error(")
"""What no answer shows (REQ-S-053)."""
TROUBLE = ("Traceback", "request failed", "Exception in ASGI", '"level": "error"', '"level": "critical"')
"""What is in the log when something went wrong that should not have."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Stream(io.BufferedReader):
    """What comes in. Stays open behind an answer, and gives itself to the next one."""

    def makefile(self, _mode: str) -> Self:
        return self

    def close(self) -> None:
        """HTTPResponse closes what it has read from."""


class Connection:
    """One TCP connection to the server. Waiting for longer than PATIENCE fails the test: that is a hang."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._stream = _Stream(self._socket.makefile("rb", buffering=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stream.raw.close()
        self._socket.close()

    def shut_down(self) -> None:
        """Says that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset_on_close(self) -> None:
        """Lets `close` break the connection off instead of ending it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def send(self, content: bytes) -> None:
        """The server may have answered and closed before it has read everything."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(content)

    def receive(self, length: int) -> bytes:
        """Exactly so many bytes, fewer only if the server closes."""
        return self._stream.read(length)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer; `method` is that of the request. Raises http.client.HTTPException if there is none."""
        response = http.client.HTTPResponse(self._stream, method=method)  # type: ignore[arg-type] # all that it uses
        response.begin()
        return Answer(response.status, response.headers, response.read())

    def end_of_stream(self) -> None:
        """Waits until the server has closed the connection."""
        with contextlib.suppress(ConnectionError):
            assert not self._stream.read(1), "nothing more is sent"


@dataclass(frozen=True)
class Service:
    """A server with the data of two connections; requests are those of the first one."""

    server: Server
    token: str
    kim: str
    """The id of the one user."""
    team: str
    """The id of the one group."""
    foreign: tuple[str, ...]
    """Texts and ids of the other connection, which no answer shows."""

    def connect(self) -> Connection:
        return Connection(self.server.port)

    def head(self, method: str, target: str, *headers: Header, authorised: bool = True, host: bool = True) -> bytes:
        """A request's head; what it holds goes out as it is, in Latin-1."""
        usual = [("Host", "app.example")] if host else []
        usual += [("Authorization", f"Bearer {self.token}")] if authorised else []
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in (*usual, *headers))]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def ask(self, method: str, target: str, *headers: Header, body: bytes | None = None, **options: bool) -> Answer:
        """The answer to one request on a connection of its own."""
        length = [] if body is None else [("Content-Length", str(len(body)))]
        return self.send(self.head(method, target, *headers, *length, **options) + (body or b""), method)

    def send(self, request: bytes, method: str = "GET") -> Answer:
        """The answer to these bytes on a connection of its own, checked."""
        with self.connect() as connection:
            connection.send(request)
            return self.checked(connection.answer(method))

    def checked(self, answer: Answer) -> Answer:
        """The answer, which is never an error of the server's own, shows no secrets, and if it refuses is SCIM.

        A request that is not HTTP is refused before anybody knows that it should have been SCIM.
        """
        shown = f"{answer.headers}{answer.body.decode('utf-8', 'strict')}"
        leaked = [text for text in (*self.foreign, *INTERNALS) if text in shown]
        assert not leaked, (leaked, shown)
        assert answer.status < 500 or answer.status == 501, shown
        if answer.status >= 400 and answer.headers.get_content_type() == "application/scim+json":
            error = answer.json
            assert error["schemas"] == [ERROR]
            assert error["status"] == str(answer.status)
            assert error["detail"]
            assert len(answer.body) < 4096, "what was sent is not sent back"
        elif answer.status >= 400:
            assert answer.headers.get_content_type() == "text/plain"
        return answer

    def refused(self, answer: Answer, status: int, scim_type: str | None = None) -> Answer:
        """The answer, which is this SCIM error."""
        assert answer.status == status, (answer.status, answer.body[:500])
        assert answer.headers.get_content_type() == "application/scim+json"
        assert answer.json.get("scimType") == scim_type, answer.body
        return answer

    def held(self) -> list[Any]:
        """Everything that the connection has."""
        return [self.ask("GET", f"/scim/{each}").json["Resources"] for each in ("Users", "Groups")]

    def trouble(self) -> str | None:
        """The log if there is anything in it that should not be there."""
        log = self.server.output
        return log if any(word in log for word in TROUBLE) else None


@contextlib.contextmanager
def serving_scim(data: Path, *arguments: str) -> Iterator[Service]:
    """A real process with two connections, each of which has a user and a group."""
    with serving(data, "--only", "application", *arguments) as server:
        url = f"{server.url}/scim"
        other = joiner("token", "create", "--connection", "other", data=data).strip()
        spy = fetch(f"{url}/Users", other, {"userName": "foreign.marker@other.example", "title": "ForeignTitle"})
        ring = fetch(f"{url}/Groups", other, {"displayName": "ForeignRing", "members": [{"value": spy["id"]}]})
        token = joiner("token", "create", data=data).strip()
        kim = fetch(f"{url}/Users", token, {"userName": "kim", "emails": [{"value": "k@x.example", "type": "work"}]})
        team = fetch(f"{url}/Groups", token, {"displayName": "Team", "members": [{"value": kim["id"]}]})
        foreign = ("foreign.marker", "ForeignTitle", "ForeignRing", spy["id"], ring["id"], other)
        yield Service(server, token, kim["id"], team["id"], foreign)
