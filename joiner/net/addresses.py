"""The addresses at which a URL may be called; `pinned` calls these and no others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from joiner.errors import ForbiddenTargetError
from joiner.net.urls import Resolver, check_target_url, check_url_shape, resolve

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
