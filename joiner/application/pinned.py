"""Calling the addresses that were checked and no others: asking once more could give others (DNS rebinding)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from joiner.errors import ForbiddenTargetError
from joiner.net import Resolver, check_target_url, check_url_shape, resolve

Addresses = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the addresses at which a URL may be called. Raises InvalidValueError, ForbiddenTargetError."""


def checked_addresses(*, allow_loopback: bool, allow_private: bool, resolver: Resolver = resolve) -> Addresses:
    """A function that resolves a URL's host once and checks what it gets; see `check_target_url`."""

    async def addresses_of(url: str) -> Sequence[str]:
        check_url_shape(url)
        host = urlsplit(url).hostname or ""
        try:
            addresses = list(await asyncio.to_thread(resolver, host))
        except (OSError, UnicodeError) as error:
            raise ForbiddenTargetError(f"the host '{host[:255]}' cannot be found: {error}") from None
        check_target_url(
            url, allow_loopback=allow_loopback, allow_private=allow_private, resolver=lambda host: addresses
        )
        return addresses

    return addresses_of


def pinned_session(addresses: Sequence[str], **options: Any) -> aiohttp.ClientSession:
    """A session that connects to these addresses whatever the host. It keeps no cookies and knows no proxy.

    `options` are aiohttp's. Whoever uses it follows no redirects: they lead to addresses that nobody checked.
    """
    connector = aiohttp.TCPConnector(resolver=_Pinned(addresses))
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), **options)


class _Pinned(AbstractResolver):
    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""
