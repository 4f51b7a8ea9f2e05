"""The exchange over sockets: to the addresses that were checked and no others, within limits of time and size."""

import asyncio
import os
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from joiner.errors import ForbiddenTargetError
from joiner.net.addresses import Addresses
from joiner.net.pinned import pinned_connector
from joiner.provisioning.client.connections import Connections
from joiner.provisioning.client.exchange import Answer
from joiner.provisioning.client.failures import TargetError, incompatible
from joiner.provisioning.client.line import too_long
from joiner.provisioning.client.tls import TlsMaterial, tls_context

HEADERS: Final[Mapping[str, str]] = {"Accept-Encoding": "identity", "User-Agent": "joiner"}
REQUEST_TIMEOUT: Final = 60.0
"""Seconds from the beginning of a request to the end of its answer."""
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of an answer, also of one that came compressed."""
WINDOW_BITS: Final[Mapping[str, int]] = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Content coding → what zlib calls its format."""


class HttpExchange:
    """Use `open_exchange`."""

    def __init__(self, connections: Connections, query: str, seconds: float) -> None:
        self._connections = connections
        self._query = query
        self._seconds = seconds

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """See `Exchange.send`."""
        if self._query:
            path = f"{path}{'&' if '?' in path else '?'}{self._query}"
        try:
            status, held, content = await self._connections.send(method, path, headers, body)
        except TimeoutError:
            raise TargetError("Timeout", f"no answer within {self._seconds:.0f} seconds") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TargetError("WebExceptionProtocolError", _told(error)) from None
        coding = held.get("Content-Encoding")
        if coding and content:
            content = _decompressed(content, coding.strip().lower())
        return Answer(status, held, content)


@asynccontextmanager
async def open_exchange(
    base_url: str,
    addresses: Addresses,
    *,
    query: str = "",
    tls: TlsMaterial = TlsMaterial(),  # noqa: B008 - immutable
    seconds: float = REQUEST_TIMEOUT,
) -> AsyncIterator[HttpExchange]:
    """An exchange with `base_url`, whose host is looked up once and whose addresses are checked.

    `query` goes with every request. Raises InvalidValueError, ForbiddenTargetError.
    """
    checked = await addresses(base_url)
    is_encrypted = urlsplit(base_url).scheme == "https"
    context = await asyncio.to_thread(tls_context, tls) if is_encrypted else None
    if context is None and tls.certificate:
        raise ForbiddenTargetError("a client certificate needs an address that begins with https://")
    async with pinned_connector(checked, tls=context) as connector:
        with closing(Connections(connector, base_url, HEADERS, seconds, MOST_BYTES)) as connections:
            yield HttpExchange(connections, query, seconds)


def _decompressed(content: bytes, coding: str) -> bytes:
    """We do not ask for compression, but some gateways compress all the same."""
    if coding == "identity":
        return content
    bits = WINDOW_BITS.get(coding)
    if bits is None:
        raise incompatible(f"the answer is compressed with '{coding[:40]}', which nobody asked for")
    decompressor = zlib.decompressobj(bits)
    try:
        text = decompressor.decompress(content, MOST_BYTES)
    except zlib.error:
        raise incompatible(f"the answer says that it is compressed with {coding}, and is not") from None
    if decompressor.unconsumed_tail:
        raise too_long(MOST_BYTES)
    return text


def _told(error: Exception) -> str:
    """Why there is no answer, in words for administrators."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = error.certificate_error
        detail = getattr(reason, "verify_message", "") or str(reason)
        return f"the application's certificate is not accepted: {detail}"
    if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return f"no encrypted connection could be made: {_ssl_reason(error)}"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror is None:
        return f"the application cannot be reached: {error.host} closed the connection at once; does it speak TLS 1.2?"
    if isinstance(error, aiohttp.ClientConnectorError):
        os_error = error.os_error
        told = os.strerror(os_error.errno).lower() if os_error.errno else os_error.strerror
        return f"the application cannot be reached: {error.host}:{error.port}: {told}"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionResetError):
        return "the application broke the connection off before the answer was complete"
    return f"the application cannot be reached: {error}"


def _ssl_reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    return str(getattr(cause, "reason", None) or cause).replace("_", " ").lower()
