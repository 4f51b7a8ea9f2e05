"""Open targets, kept from page to page: connections, access tokens and what was learnt about the pace."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple, Protocol

from joiner.clock import Clock
from joiner.net.addresses import Addresses
from joiner.provisioning.client.assertion import signed_assertions
from joiner.provisioning.client.authentication import NO_AUTHENTICATION, Authentication, basic, bearer
from joiner.provisioning.client.connection import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    TargetConnection,
)
from joiner.provisioning.client.exchange import Exchange
from joiner.provisioning.client.gate import Sleep
from joiner.provisioning.client.http import open_exchange
from joiner.provisioning.client.oauth import AccessTokens, Grant, secret_in_basic, secret_in_body
from joiner.provisioning.client.pace import Pace
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.client.tls import TlsMaterial
from joiner.provisioning.decisions.wire import content_type

IDLE: Final = 30.0
"""Seconds after which a target that nobody uses is closed."""
LONGEST: Final = 300.0
"""Seconds after which its address is looked up again."""
REMEMBERED: Final = 64
TOKEN_TIMEOUT: Final = 30.0


class Connect(Protocol):
    """Opens an exchange with an address. Raises InvalidValueError, ForbiddenTargetError."""

    def __call__(
        self, base_url: str, *, query: str, tls: TlsMaterial, seconds: float
    ) -> AbstractAsyncContextManager[Exchange]: ...


def over_sockets(addresses: Addresses) -> Connect:
    """The real one: to the addresses that `addresses` has checked."""

    def connect(
        base_url: str, *, query: str, tls: TlsMaterial, seconds: float
    ) -> AbstractAsyncContextManager[Exchange]:
        return open_exchange(base_url, addresses, query=query, tls=tls, seconds=seconds)

    return connect


class _Key(NamedTuple):
    loop: asyncio.AbstractEventLoop
    connection: TargetConnection
    profile: TargetProfile


class _Open:
    """A target that is open, with how many use it."""

    def __init__(self, target: ScimTarget, closing: AsyncExitStack, until: float) -> None:
        self.target = target
        self.until = until
        self.users = 0
        self.timer: asyncio.TimerHandle | None = None
        self._closing = closing

    async def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        await self._closing.aclose()


class TargetPool:
    """Lends targets. Cycles may run in event loops of their own: a target stays in the loop that opened it."""

    def __init__(self, connect: Connect, clock: Clock, sleep: Sleep, jitter: Callable[[], float]) -> None:
        self._connect = connect
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._open: dict[_Key, _Open] = {}
        self._paces: OrderedDict[tuple[TargetConnection, TargetProfile], Pace] = OrderedDict()
        self._closers: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @asynccontextmanager
    async def lend(self, connection: TargetConnection, profile: TargetProfile) -> AsyncIterator[ScimTarget]:
        """The target, for the duration of the block. Raises InvalidValueError, ForbiddenTargetError."""
        loop = asyncio.get_running_loop()
        key = _Key(loop, connection, profile)
        held = self._open.get(key)
        if held is None or loop.time() > held.until:
            held = await self._opened(key)
        if held.timer is not None:
            held.timer.cancel()
            held.timer = None
        held.users += 1
        try:
            yield held.target
        finally:
            held.users -= 1
            if not held.users:
                await self._put_back(key, held)

    async def close(self) -> None:
        """Closes what is open; what is in use, when it is put back."""
        self._is_closed = True
        here = asyncio.get_running_loop()
        for key, held in list(self._open.items()):
            if held.users:
                continue
            del self._open[key]
            if key.loop is here:
                await held.close()
            elif key.loop.is_running():
                with contextlib.suppress(TimeoutError, asyncio.CancelledError, RuntimeError):
                    closing = asyncio.run_coroutine_threadsafe(held.close(), key.loop)
                    async with asyncio.timeout(5):
                        await asyncio.wrap_future(closing)
        await asyncio.gather(*(task for task in self._closers if task.get_loop() is here))

    async def _opened(self, key: _Key) -> _Open:
        connection, profile = key.connection, key.profile
        async with AsyncExitStack() as stack:
            exchange = await stack.enter_async_context(
                self._connect(
                    connection.base_url, query=connection.query, tls=connection.tls, seconds=profile.timeout_seconds
                )
            )
            target = ScimTarget(
                exchange,
                authentication=self._authentication(connection),
                profile=profile,
                content_type=content_type(profile.dialect_for(connection.flagged)),
                pace=self._pace(connection, profile),
                clock=self._clock,
                sleep=self._sleep,
                jitter=self._jitter,
            )
            held = _Open(target, stack.pop_all(), key.loop.time() + LONGEST)
        before = self._open.get(key)
        self._open[key] = held
        if before is not None and not before.users:
            await before.close()
        return held

    async def _put_back(self, key: _Key, held: _Open) -> None:
        if self._is_closed or self._open.get(key) is not held:
            if self._open.get(key) is held:
                del self._open[key]
            await held.close()
        else:
            held.timer = key.loop.call_later(IDLE, self._expire, key, held)

    def _expire(self, key: _Key, held: _Open) -> None:
        if not held.users and self._open.get(key) is held:
            del self._open[key]
            task = key.loop.create_task(held.close())
            self._closers.add(task)
            task.add_done_callback(self._closers.discard)

    def _pace(self, connection: TargetConnection, profile: TargetProfile) -> Pace:
        key = connection, profile
        known = self._paces.pop(key, None)
        limits = profile.limits(profile.dialect_for(connection.flagged))
        pace = self._paces[key] = Pace(limits) if known is None else known.successor()
        if len(self._paces) > REMEMBERED:
            self._paces.popitem(last=False)
        return pace

    def _authentication(self, connection: TargetConnection) -> Authentication:
        """Raises InvalidValueError for a key that cannot be used."""
        credentials: Credentials = connection.credentials
        match credentials:
            case BearerToken(token):
                return bearer(token)
            case BasicCredentials(user_name, password):
                return basic(user_name, password)
            case ClientCredentials():
                return self._access_tokens(credentials, connection.tls)
        return NO_AUTHENTICATION

    def _access_tokens(self, credentials: ClientCredentials, tls: TlsMaterial) -> AccessTokens:
        client_id, secret, scope = credentials.client_id, credentials.secret, credentials.scope
        if credentials.private_key is not None:
            grant = signed_assertions(
                client_id,
                credentials.private_key,
                audience=credentials.audience,
                key_id=credentials.key_id,
                scope=scope,
                clock=self._clock,
            )
        else:
            put = secret_in_body if credentials.is_in_body else secret_in_basic

            def grant() -> Grant:
                return put(client_id, secret or "", scope)

        def open_endpoint() -> AbstractAsyncContextManager[Exchange]:
            return self._connect(credentials.token_url, query="", tls=tls, seconds=TOKEN_TIMEOUT)

        secrets = [secret] if secret else []
        return AccessTokens(open_endpoint, grant, secrets, clock=self._clock, sleep=self._sleep, jitter=self._jitter)
