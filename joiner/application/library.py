"""The SCIM endpoint as a part of another ASGI application: mounted at any path, opened when it is first needed."""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from joiner.application.endpoints.requests import Receive, Scope, Send
from joiner.application.side import ApplicationSide
from joiner.clock import Clock, system_clock

SECRET_KEY_BYTES = 32


class ScimApp:
    """An ASGI application, and an asynchronous context manager that opens and closes it. Use `scim_app`."""

    def __init__(self, database: Path | str, secret_key: bytes | None, clock: Clock) -> None:
        self._database = database
        self._secret_key = secret_key
        self._clock = clock
        self._side: ApplicationSide | None = None
        self._opening = asyncio.Lock()
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            side = self._side or await self.open()
            await side.scim(scope, receive, send)

    async def open(self) -> ApplicationSide:
        """The application side behind the endpoint: its tokens, connections, events and webhooks.

        From now on, and until `close`, webhooks are told of what happens.
        """
        async with self._opening:
            if self._side is None:
                side = await ApplicationSide.open(
                    self._database,
                    authorise_admin=lambda header: False,
                    secret_key=self._secret_key or os.urandom(SECRET_KEY_BYTES),
                    clock=self._clock,
                )
                self._closing.push_async_callback(side.close)
                await self._closing.enter_async_context(side.deliveries)
                self._side = side
            return self._side

    async def create_token(self, connection: str = "default", expires_in: timedelta | None = None) -> str:
        """A new secret token; it is kept as a hash, so this is the one time it can be shown."""
        text, _ = await (await self.open()).tokens.create(connection, expires_in)
        return text

    async def close(self) -> None:
        """Waits for what was accepted. To be called when the application around it stops."""
        self._side = None
        await self._closing.aclose()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message: Any = await receive()
            if message["type"] == "lifespan.startup":
                await self.open()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def scim_app(database: Path | str, *, secret_key: bytes | None = None, clock: Clock = system_clock) -> ScimApp:
    """A SCIM 2.0 endpoint that Starlette, FastAPI, Django or any other ASGI application can mount at any path.

    `database` is the path of an SQLite file, which is made if need be and belongs to this process, or the URL of a
    PostgreSQL database (`postgresql://…`), which several processes can share. `secret_key` (32 bytes) encrypts the
    secrets of webhooks; it is needed only if there are any, and must then stay the same.
    """
    is_url = isinstance(database, str) and database.startswith(("postgresql://", "postgres://"))
    return ScimApp(database if is_url else Path(database), secret_key, clock)
