"""Fetching an issuer's key set over HTTPS, from nowhere but the address that was checked."""

import asyncio
import re
import socket
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from joiner.application.key_sets import Fetch, KeyDocument, KeysUnavailableError
from joiner.errors import ForbiddenTargetError, JoinerError
from joiner.net import Resolver, check_target_url, check_url_shape, resolve

MOST_BYTES: Final = 1024 * 1024
SECONDS: Final = 5.0
MAX_AGE: Final = re.compile(r"\bmax-age=\"?(\d{1,9})\b", re.ASCII)
NOT_KEPT: Final = re.compile(r"\bno-(?:store|cache)\b")


def key_fetch(*, allow_loopback: bool, allow_private: bool, resolver: Resolver = resolve) -> Fetch:
    """A function that gets the key set at a URL. Plain http is for this machine only."""

    async def fetch(url: str) -> KeyDocument:
        try:
            async with asyncio.timeout(SECONDS):
                addresses = await _checked_addresses(url, allow_loopback, allow_private, resolver)
                return await _get(url, addresses)
        except TimeoutError:
            raise KeysUnavailableError(f"no answer within {SECONDS:.0f} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError, JoinerError) as error:
            raise KeysUnavailableError(str(error) or type(error).__name__) from None

    return fetch


async def _checked_addresses(url: str, allow_loopback: bool, allow_private: bool, resolver: Resolver) -> list[str]:
    check_url_shape(url)
    parts = urlsplit(url)
    addresses = list(await asyncio.to_thread(resolver, parts.hostname or ""))
    check_target_url(url, allow_loopback=allow_loopback, allow_private=allow_private, resolver=lambda host: addresses)
    if parts.scheme != "https" and not (allow_loopback and _is_loopback_only(url, addresses)):
        raise ForbiddenTargetError("keys are fetched over https only")
    return addresses


def _is_loopback_only(url: str, addresses: list[str]) -> bool:
    try:
        check_target_url(url, allow_loopback=True, allow_private=False, resolver=lambda host: addresses)
    except ForbiddenTargetError:
        return False
    return True


class _Pinned(AbstractResolver):
    """Gives the addresses that were checked: asking once more could give others (DNS rebinding)."""

    def __init__(self, addresses: list[str]) -> None:
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


async def _get(url: str, addresses: list[str]) -> KeyDocument:
    connector = aiohttp.TCPConnector(resolver=_Pinned(addresses), force_close=True)
    # No redirects: they would lead to addresses that nobody checked. Not decompressed: few bytes can become many.
    async with (
        aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session,
        session.get(
            url, allow_redirects=False, headers={"Accept": "application/json", "Accept-Encoding": "identity"}
        ) as answer,
    ):
        if answer.status != 200:
            raise KeysUnavailableError(f"the answer has status {answer.status}")
        body = bytearray()
        async for chunk in answer.content.iter_chunked(65536):
            body += chunk
            if len(body) > MOST_BYTES:
                raise KeysUnavailableError(f"the answer is longer than {MOST_BYTES} bytes")
        return KeyDocument(bytes(body), _max_age(answer.headers.get("Cache-Control", "")))


def _max_age(cache_control: str) -> timedelta | None:
    folded = cache_control.lower()
    if NOT_KEPT.search(folded):
        return timedelta(0)
    found = MAX_AGE.search(folded)
    return timedelta(seconds=int(found[1])) if found else None
