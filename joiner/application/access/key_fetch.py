"""Fetching an issuer's key set over HTTPS, from nowhere but the address that was checked."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from joiner.application.access.key_sets import Fetch, KeyDocument, KeysUnavailableError
from joiner.errors import ForbiddenTargetError, JoinerError
from joiner.net.addresses import checked_addresses
from joiner.net.pinned import pinned_session
from joiner.net.urls import Resolver, check_target_url, resolve

MOST_BYTES: Final = 1024 * 1024
SECONDS: Final = 5.0
MAX_AGE: Final = re.compile(r"\bmax-age=\"?(\d{1,9})\b", re.ASCII)
NOT_KEPT: Final = re.compile(r"\bno-(?:store|cache)\b")


def key_fetch(*, allow_loopback: bool, allow_private: bool, resolver: Resolver = resolve) -> Fetch:
    """A function that gets the key set at a URL. Plain http is for this machine only."""
    addresses_of = checked_addresses(allow_loopback=allow_loopback, allow_private=allow_private, resolver=resolver)

    async def fetch(url: str) -> KeyDocument:
        try:
            async with asyncio.timeout(SECONDS):
                addresses = await addresses_of(url)
                if urlsplit(url).scheme != "https" and not (allow_loopback and _is_loopback_only(url, addresses)):
                    raise ForbiddenTargetError("keys are fetched over https only")
                return await _get(url, addresses)
        except TimeoutError:
            raise KeysUnavailableError(f"no answer within {SECONDS:.0f} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError, JoinerError) as error:
            raise KeysUnavailableError(str(error) or type(error).__name__) from None

    return fetch


def _is_loopback_only(url: str, addresses: Sequence[str]) -> bool:
    try:
        check_target_url(url, allow_loopback=True, allow_private=False, resolver=lambda host: addresses)
    except ForbiddenTargetError:
        return False
    return True


async def _get(url: str, addresses: Sequence[str]) -> KeyDocument:
    # No redirects: they would lead to addresses that nobody checked. Not decompressed: few bytes can become many.
    async with (
        pinned_session(addresses, auto_decompress=False) as session,
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
