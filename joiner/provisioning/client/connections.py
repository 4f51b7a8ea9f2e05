"""One HTTP request over aiohttp's connections, written as the bytes that it is.

aiohttp connects, encrypts, keeps connections and parses answers. What its sessions do around that for each request
(addresses, cookies, redirects, headers merged anew) takes more than all of it, and a cycle is nothing but requests.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from joiner.provisioning.failures import TargetError, incompatible

IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})
BUFFER: Final = 256 * 1024


class Connections:
    """Speaks to one address; belongs to one event loop. `connector` is used by nobody else.

    `most_bytes`: the longest answer that is read.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        base_url: str,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        most_bytes: int,
    ) -> None:
        url = URL(base_url)
        self._connector = connector
        # Says whom to connect to, and is never sent.
        self._destination = aiohttp.ClientRequest("GET", url, loop=asyncio.get_running_loop())
        self._path = url.raw_path.rstrip("/")
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._common = self._lines({"Host": self._destination.headers["Host"], **headers})
        self._known: tuple[Mapping[str, str], bytes] | None = None

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body, which is not decompressed. `path` begins behind the base URL and is encoded.

        Raises TimeoutError, OSError, aiohttp.ClientError, or TargetError for an answer that is too long.
        """
        message = self._message(method, path, headers, body)
        async with asyncio.timeout(self._timeout.total):
            try:
                return await self._exchange(message)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A connection that was kept may have been closed just now; aiohttp's sessions try again as well.
                if method not in IDEMPOTENT:
                    raise
                return await self._exchange(message)

    async def _exchange(self, message: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection = await self._connector.connect(self._destination, [], self._timeout)
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=BUFFER)
            transport.write(message)
            status = 100
            while status < 200:
                answer, content = await protocol.read()
                status = answer.code
            data = await _read(content, self._most_bytes)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(f"the answer is not HTTP: {error.message}") from None
        except BaseException:
            connection.close()
            raise
        connection.release()
        return status, answer.headers, data

    def _message(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        if not path.isascii() or not path.isprintable() or " " in path:
            raise ValueError(f"the path {path!r} is not encoded")
        # The same headers come again and again: those with a body, and those without.
        known = self._known
        if known is None or known[0] is not headers:
            known = self._known = headers, self._lines(headers)
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        start = f"{method} {self._path}{path} HTTP/1.1\r\n".encode()
        return b"%b%b%b%b\r\n%b" % (start, self._common, known[1], length, body or b"")

    @staticmethod
    def _lines(headers: Mapping[str, str]) -> bytes:
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if text.count("\r") != len(headers) or text.count("\n") != len(headers) or "\0" in text:
            raise ValueError("a header has a line break in it")
        return text.encode()


async def _read(content: aiohttp.StreamReader, most: int) -> bytes:
    """The whole body."""
    data = await content.read(most + 1)
    if not content.at_eof():
        parts, size = [data], len(data)
        while size <= most and (part := await content.read(most + 1 - size)):
            parts.append(part)
            size += len(part)
        data = b"".join(parts)
    if len(data) > most:
        raise too_long(most)
    return data


def too_long(most: int) -> TargetError:
    return incompatible(f"the answer is longer than {most} bytes")
