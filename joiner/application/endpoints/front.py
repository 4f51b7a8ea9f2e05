"""The short way to the SCIM endpoint: no router between the socket and it."""

from typing import Final

from starlette.types import ASGIApp

from joiner.application.endpoints.requests import Receive, Scope, Send
from joiner.application.endpoints.scim import ScimEndpoint

BELOW: Final = "/scim/"


class Front:
    """An application, but what is below `/scim` is for the endpoint. `reads_at_once`: reading waits for nobody."""

    def __init__(self, scim: ScimEndpoint, app: ASGIApp, *, reads_at_once: bool) -> None:
        self._scim = scim
        self._app = app
        self._reads_at_once = reads_at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(BELOW) or path == "/scim":
                scope["root_path"] = scope.get("root_path", "") + "/scim"
                await self._scim(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def may_begin_at_once(self, scope: Scope) -> bool:
        """Whether the request may begin outside a task: it reads, and what it may have to wait for needs none."""
        return self._reads_at_once and scope["method"] == "GET" and scope["path"].startswith(BELOW)
