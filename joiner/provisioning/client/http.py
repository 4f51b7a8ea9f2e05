"""The exchange over sockets: to the addresses that were checked and no others, within limits of time and size."""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from joiner.errors import ForbiddenTargetError
from joiner.net.addresses import Addresses
from joiner.net.pinned import pinned_session
from joiner.provisioning.client.exchange import Answer
from joiner.provisioning.client.tls import TlsMaterial, tls_context
from joiner.provisioning.failures import TargetError, incompatible

REQUEST_TIMEOUT: Final = 60.0
"""Seconds from the beginning of a request to the end of its answer."""
CONNECT_TIMEOUT: Final = 15.0
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of an answer, also of one that came compressed."""
WINDOW_BITS: Final[Mapping[str, int]] = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Content coding → what zlib calls its format."""


class HttpExchange:
    """Use `open_exchange`."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, query: str, seconds: float) -> None:
        self._session = session
        self._base_url = base_url
        self._query = query
        self._seconds = seconds

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """See `Exchange.send`."""
        if self._query:
            path = f"{path}{'&' if '?' in path else '?'}{self._query}"
        url = URL(self._base_url + path, encoded=True)
        try:
            # Redirects lead to addresses that nobody has checked and for which no credentials were entered.
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                content = await _read(answer)
                return Answer(answer.status, answer.headers, content)
        except TimeoutError:
            raise TargetError("Timeout", f"no answer within {self._seconds:.0f} seconds") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TargetError("WebExceptionProtocolError", _told(error)) from None


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
    async with pinned_session(
        checked,
        tls=context,
        timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_TIMEOUT)),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        skip_auto_headers=("Content-Type",),
    ) as session:
        yield HttpExchange(session, base_url, query, seconds)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises TargetError if it is too long, or compressed in a way that we do not know."""
    content = await answer.content.read(MOST_BYTES + 1)
    if not answer.content.at_eof():
        parts, size = [content], len(content)
        while size <= MOST_BYTES and (part := await answer.content.read(MOST_BYTES + 1 - size)):
            parts.append(part)
            size += len(part)
        content = b"".join(parts)
    if len(content) > MOST_BYTES:
        raise _too_long()
    coding = answer.headers.get("Content-Encoding")
    return _decompressed(content, coding.strip().lower()) if coding and content else content


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
        raise _too_long()
    return text


def _too_long() -> TargetError:
    return incompatible(f"the answer is longer than {MOST_BYTES} bytes")


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
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionResetError):
        return "the application broke the connection off before the answer was complete"
    return f"the application cannot be reached: {error}"


def _ssl_reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    return str(getattr(cause, "reason", None) or cause).replace("_", " ").lower()
