"""One HTTP request over aiohttp's connections, written as the bytes that it is.

aiohttp connects, encrypts, keeps connections and parses answers. What its sessions do around that for each request
(addresses, cookies, redirects, headers merged anew) takes more than all of it, and a cycle is nothing but requests.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from joiner.provisioning.client.deadlines import Deadlines
from joiner.provisioning.client.line import Line

IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})
CONNECT_TIMEOUT: Final = 15.0
KEPT: Final = 15.0
"""Seconds after which a connection that nobody uses is closed."""
KEPT_FOR_CREATES: Final = 1.0
"""The same for requests that are sent once: the other side may be closing the connection just now."""


class Connections:
    """Speaks to one address; belongs to one event loop. `connector` is used by nobody else.

    `seconds`: from the beginning of a request, with connecting, to the end of its answer. `most_bytes`: the longest
    answer that is read.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        base_url: str,
        headers: Mapping[str, str],
        seconds: float,
        most_bytes: int,
    ) -> None:
        url = URL(base_url)
        self._loop = asyncio.get_running_loop()
        self._connector = connector
        handler: type[ResponseHandler] = Line
        connector._factory = partial(handler, loop=self._loop)
        # Says whom to connect to, and is never sent.
        self._destination = aiohttp.ClientRequest("GET", url, loop=self._loop)
        self._path, self._itself = url.raw_path.rstrip("/"), url.raw_path_qs
        self._seconds = seconds
        self._timeout = aiohttp.ClientTimeout(sock_connect=min(seconds, CONNECT_TIMEOUT))
        self._most_bytes = most_bytes
        self._common = self._lines({"Host": self._destination.headers["Host"], **headers})
        self._known: tuple[Mapping[str, str], bytes] | None = None
        self._asked = Deadlines(Line.give_up)
        # The connector lends them all the while: to give them back and borrow them anew takes longer than a request.
        self._idle = Deadlines[Line](lambda line: line.lease.close())
        self._connecting = 0
        self._is_closed = False

    def close(self) -> None:
        """The connector closes what it gets back here, and what is under way."""
        self._is_closed = True
        while (last := self._idle.last()) is not None:
            last[0].lease.release()
        self._idle.close()
        self._asked.close()

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body, which is not decompressed. `path` begins behind the base URL and is encoded; the
        empty one is the base URL itself, with its query.

        Raises TimeoutError, OSError, aiohttp.ClientError, or TargetError for an answer that is too long.
        """
        message = self._message(method, path, headers, body)
        until = self._loop.time() + self._seconds
        try:
            return await self._exchange(message, until, KEPT_FOR_CREATES if method == "POST" else KEPT)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A connection that was kept may have been closed just now; aiohttp's sessions try again as well.
            if method not in IDEMPOTENT:
                raise
            return await self._exchange(message, until, KEPT)

    async def _exchange(self, message: bytes, until: float, kept: float) -> tuple[int, Mapping[str, str], bytes]:
        line = self._idle_line(kept)
        if line is None:
            line = await self._connected(until)
        self._asked.put(line, until)
        try:
            answer = await line.ask(message, self._most_bytes)
        except HttpProcessingError as error:
            line.lease.close()
            raise aiohttp.ClientPayloadError(f"the answer is not HTTP: {error.message}") from None
        except BaseException:
            line.lease.close()
            raise
        finally:
            self._asked.take(line)
        if line.should_close or self._connecting or self._is_closed:
            # Whoever waits for one of the connector's gets it.
            line.lease.release()
        else:
            self._idle.put(line, self._loop.time() + KEPT)
        return answer

    def _idle_line(self, kept: float) -> Line | None:
        """One that was used within so many seconds; others are closed."""
        while (last := self._idle.last()) is not None:
            line, until = last
            if line.is_connected() and self._loop.time() < until - KEPT + kept:
                return line
            line.lease.close()
        return None

    async def _connected(self, until: float) -> Line:
        self._connecting += 1
        try:
            async with asyncio.timeout_at(until):
                lease = await self._connector.connect(self._destination, [], self._timeout)
        finally:
            self._connecting -= 1
        line = lease.protocol
        assert isinstance(line, Line)
        line.lease = lease
        return line

    def _message(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        if not path.isascii() or not path.isprintable() or " " in path:
            raise ValueError(f"the path {path!r} is not encoded")
        # The same headers come again and again: those with a body, and those without.
        known = self._known
        if known is None or known[0] is not headers:
            known = self._known = headers, self._lines(headers)
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        place = f"{self._path}{path}" if path else self._itself
        start = f"{method} {place} HTTP/1.1\r\n".encode()
        return b"%b%b%b%b\r\n%b" % (start, self._common, known[1], length, body or b"")

    @staticmethod
    def _lines(headers: Mapping[str, str]) -> bytes:
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if text.count("\r") != len(headers) or text.count("\n") != len(headers) or "\0" in text:
            raise ValueError("a header has a line break in it")
        return text.encode()
