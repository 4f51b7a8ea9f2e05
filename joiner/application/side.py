"""The application side as one thing: open it on a database, get its ASGI application, close it.

What a plain installation does without is imported when it is needed: it would be half of the memory.
"""

import asyncio
import contextlib
import secrets
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from joiner.application.access.issuers import IssuerService
from joiner.application.access.oauth import ClientCredentials
from joiner.application.access.oauth_clients import OAuthClients
from joiner.application.access.tokens import TokenService
from joiner.application.connections import ConnectionService
from joiner.application.endpoints.access import AccessAdministration
from joiner.application.endpoints.admin_requests import Authorise, guarded, routes
from joiner.application.endpoints.administration import Administration
from joiner.application.endpoints.events import EventsAdministration
from joiner.application.endpoints.front import Front
from joiner.application.endpoints.oauth import oauth_routes
from joiner.application.endpoints.rates import Rates
from joiner.application.endpoints.scim import ScimEndpoint
from joiner.application.events.deliveries import Deliveries
from joiner.application.events.log import EventLog
from joiner.application.events.retention import EVENTS_KEPT, Retention
from joiner.application.events.webhooks import WebhookService
from joiner.application.resources.service import ResourceService
from joiner.clock import Clock, system_clock
from joiner.net.addresses import Addresses, checked_addresses
from joiner.net.urls import Resolver, resolve
from joiner.storage.embedded import EmbeddedDatabase
from joiner.storage.session import Session, Storage
from joiner.vault import Vault

if TYPE_CHECKING:
    from joiner.application.access.key_sets import Fetch, KeyDocument
    from joiner.storage.postgresql import PostgresqlDatabase

MIGRATIONS: Final = Path(__file__).parent / "migrations"
COMPONENT: Final = "application"
SCHEMA: Final = "joiner_application"
CHANGED: Final = "joiner_application_changed"
"""The channel on which processes tell each other that tokens, connections or definitions have changed."""


class ApplicationSide:
    """Use `open`. `authorise_admin` judges the Authorization header of `/app/api`."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        authorise_admin: Authorise,
        cursor_key: bytes,
        vault: Vault,
        fetch: "Fetch",
        public_url: str | None,
        addresses_of: Addresses,
        events_kept: timedelta,
    ) -> None:
        self.storage = storage
        self._clock = clock
        self._authorise_admin = authorise_admin
        self._closing = AsyncExitStack()
        self.events = EventLog(storage)
        self.service = ResourceService(storage, self.events, clock, cursor_key)
        self.issuers = IssuerService(storage, clock, fetch)
        self.tokens = TokenService(storage, clock, self._tell, self.issuers.connection_of)
        self.clients = OAuthClients(storage, clock)
        self.connections = ConnectionService(storage, clock, self._changed)
        self.webhooks = WebhookService(storage, clock, vault, addresses_of)
        self.retention = Retention(storage, clock, events_kept)
        self.deliveries = Deliveries(storage, self.webhooks, self.events, self.retention, clock, addresses_of)
        """To be entered while the server runs: it tells webhooks what has happened, and removes old events."""
        self.scim = ScimEndpoint(self.service, self.tokens, Rates(clock), public_url)

    @classmethod
    async def open(
        cls,
        database: Path | str,
        *,
        authorise_admin: Authorise,
        secret_key: bytes,
        clock: Clock = system_clock,
        allow_loopback: bool = False,
        allow_private: bool = False,
        public_url: str | None = None,
        resolver: Resolver = resolve,
        events_kept: timedelta = EVENTS_KEPT,
    ) -> Self:
        """Opens, and if need be creates or upgrades, the SQLite file or PostgreSQL database (a URL).

        `secret_key` (32 bytes) encrypts what has to be kept readable; processes on one database share it.
        `allow_loopback` and `allow_private` say where webhooks may be and the keys of trusted issuers; `resolver` gives
        the addresses of their hosts. Events are removed when they are older than `events_kept`. `public_url` is where
        clients reach the server, if a proxy stands in front of it.
        """
        if isinstance(database, Path):
            storage: Storage = EmbeddedDatabase(database, {COMPONENT: MIGRATIONS / "sqlite"})
        else:
            from joiner.storage.postgresql import PostgresqlDatabase

            storage = await PostgresqlDatabase.open(database, SCHEMA, {COMPONENT: MIGRATIONS / "postgresql"})
        side = cls(
            storage,
            clock,
            authorise_admin,
            await _cursor_key(storage),
            Vault(secret_key),
            _fetch_keys(allow_loopback=allow_loopback, allow_private=allow_private, resolver=resolver),
            public_url,
            checked_addresses(allow_loopback=allow_loopback, allow_private=allow_private, resolver=resolver),
            events_kept,
        )
        if storage.dialect == "postgresql":
            side._listen(cast("PostgresqlDatabase", storage))
        return side

    def routes(self) -> list[BaseRoute]:
        """`/scim`, with `/scim/v2` below it, `/app/api` and `/oauth/token`."""
        for_administrators = (
            *Administration(self.service.reader, self.tokens, self.connections).entries(),
            *AccessAdministration(self.connections, self.clients, self.issuers, self._changed).entries(),
        )
        events = EventsAdministration(
            self.events, self.webhooks, self.deliveries, self.connections, self.tokens, self._authorise_admin
        )
        administration = (*guarded(for_administrators, self._authorise_admin), *events.entries())
        return [
            Mount("/scim", app=self.scim),
            Mount("/app/api", routes=routes(administration)),
            *oauth_routes(ClientCredentials(self.clients, self._clock, self.issuers)),
        ]

    def in_front_of(self, app: ASGIApp) -> ASGIApp:
        """`app`, but requests below `/scim` take the short way: no router between the socket and the endpoint."""
        return Front(self.scim, app, reads_at_once=self.storage.dialect == "sqlite")

    async def close(self) -> None:
        """Waits for what was accepted. May be called twice."""
        await self._closing.aclose()
        await self.storage.close()

    def _forget(self) -> None:
        self.tokens.forget()
        self.issuers.forget()

    async def _changed(self) -> None:
        self._forget()
        await self._tell()

    async def _tell(self) -> None:
        if self.storage.dialect == "postgresql":
            await cast("PostgresqlDatabase", self.storage).notify(CHANGED)

    def _listen(self, storage: "PostgresqlDatabase") -> None:
        """Follows the changes of other processes; while that is not possible, nothing is remembered."""
        self.tokens.remembers = False
        listening = asyncio.create_task(self._follow(storage), name="changes of other processes")

        async def stop() -> None:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

        self._closing.push_async_callback(stop)

    async def _follow(self, storage: "PostgresqlDatabase") -> None:
        while True:
            lost = asyncio.Event()
            try:
                async with storage.listening(CHANGED, self._forget, lost.set):
                    self._forget()
                    self.tokens.remembers = True
                    await lost.wait()
            except storage.FAILURES:
                pass
            finally:
                self.tokens.remembers = False
                self._forget()
            await asyncio.sleep(1)


def _fetch_keys(*, allow_loopback: bool, allow_private: bool, resolver: Resolver) -> "Fetch":
    async def fetch(url: str) -> "KeyDocument":
        from joiner.application.access.key_fetch import key_fetch

        return await key_fetch(allow_loopback=allow_loopback, allow_private=allow_private, resolver=resolver)(url)

    return fetch


async def _cursor_key(storage: Storage) -> bytes:
    """The installation's key for cursors, made at the first start."""

    async def work(session: Session) -> str:
        await session.execute(
            "INSERT INTO installation (name, value) VALUES ('cursor key', ?1) ON CONFLICT (name) DO NOTHING",
            secrets.token_hex(32),
        )
        row = await session.row("SELECT value FROM installation WHERE name = 'cursor key'")
        assert row is not None
        key: str = row[0]
        return key

    return bytes.fromhex(await storage.write(work))
