"""The Graph-shaped API under `/v1.0` and `/beta`: all routes together, and the spellings that reach them (§1.1)."""

import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from joiner.directory.api_keys import ApiKeys
from joiner.directory.store import DirectoryStore
from joiner.graph.applications import Applications
from joiner.graph.audit_logs import AuditLogs
from joiner.graph.errors import GraphError
from joiner.graph.groups import Groups
from joiner.graph.http import Authenticate, error_response
from joiner.graph.own_actions import OwnActions
from joiner.graph.users import Users

VERSIONS: Final = ("/v1.0", "/beta")
BY_APP_ID: Final = re.compile(r"\(appid='([^']*)'\)", re.IGNORECASE)
CASTS: Final = {"graph.user": "microsoft.graph.user"}
CODES: Final[Mapping[int, str]] = {404: "Request_ResourceNotFound", 405: "notAllowed"}


def graph_routes(
    store: DirectoryStore, api_keys: ApiKeys, authenticate: Authenticate, extra: Sequence[Route]
) -> list[BaseRoute]:
    """Everything below `/v1.0`, and the same below `/beta`. `extra`: the routes of the provisioning service."""
    routes = [
        *Applications(store).routes(),
        *Users(store).routes(),
        *Groups(store).routes(),
        *OwnActions(store, api_keys).routes(),
        *AuditLogs(store.db).routes(),
        *extra,
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refuse})
    app.state.authenticate = authenticate
    spelled = _Spelling(app, routes)
    return [Mount(version, app=spelled) for version in VERSIONS]


class _Spelling:
    """Folds the spellings of a path to the one that the routes have: any case, doubled slashes, `(appId='…')`."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self.routes = routes
        words = {word for route in routes for word in route.path.split("/") if word and "{" not in word}
        self._words = {word.lower(): word for word in words}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope.get("root_path", "") + self._folded(_own_path(scope))}
        await self._app(scope, receive, send)

    def _folded(self, path: str) -> str:
        segments = BY_APP_ID.sub(r"/\1", path).split("/")
        return "/" + "/".join(self._word(segment) for segment in segments if segment)

    def _word(self, segment: str) -> str:
        folded = segment.lower()
        return self._words.get(CASTS.get(folded, folded), segment)


def _own_path(scope: MutableMapping[str, Any]) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _refuse(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = "There is no such resource." if status == 404 else "The method is not possible here."
    return error_response(request, GraphError(status, CODES.get(status, "BadRequest"), message))
