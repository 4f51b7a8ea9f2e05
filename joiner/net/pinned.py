"""Calling the addresses that were checked and no others: asking once more could give others (DNS rebinding)."""

import socket
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult


def pinned_session(
    addresses: Sequence[str], *, tls: ssl.SSLContext | None = None, **options: Any
) -> aiohttp.ClientSession:
    """A session that connects to these addresses whatever the host. It keeps no cookies and knows no proxy.

    `tls` None: the system's authorities. `options` are aiohttp's. Whoever uses it follows no redirects: they lead to
    addresses that nobody checked.
    """
    connector = pinned_connector(addresses, tls=tls)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), **options)


def pinned_connector(addresses: Sequence[str], *, tls: ssl.SSLContext | None = None) -> aiohttp.TCPConnector:
    """Connects to these addresses whatever the host; for whoever needs no session."""
    return aiohttp.TCPConnector(resolver=_Pinned(addresses), ssl=tls or True)


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
