"""`/app/api`: what the command line and the web administration ask of the application side."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.application.store import ResourceStore
from joiner.application.tokens import DEFAULT_CONNECTION, TokenService
from joiner.errors import InvalidValueError, JoinerError, NotFoundError

Authorise = Callable[[str | None], bool]
"""Whether an Authorization header has the right to administrate."""
STATUS_CODES: dict[type[JoinerError], int] = {NotFoundError: 404, InvalidValueError: 400}


class NewToken(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Body of the request for a token."""

    connection: str = DEFAULT_CONNECTION
    expires_in_days: int | None = None


def admin_routes(store: ResourceStore, tokens: TokenService, authorise: Authorise) -> list[Route]:
    """Every route needs the administrator's key; errors are `{"error": text}`."""

    async def list_tokens(request: Request) -> Any:
        return 200, {"value": [msgspec.to_builtins(token) for token in tokens.list()]}

    async def create_token(request: Request) -> Any:
        try:
            wanted = msgspec.json.decode(await request.body() or b"{}", type=NewToken)
        except msgspec.MsgspecError as error:
            raise InvalidValueError(str(error)) from None
        days = wanted.expires_in_days
        text, record = await tokens.create(wanted.connection, None if days is None else timedelta(days=days))
        return 201, {**msgspec.to_builtins(record), "token": text}

    async def revoke_token(request: Request) -> Any:
        await tokens.revoke(request.path_params["token"])
        return 204, None

    async def summary(request: Request) -> Any:
        return 200, {**store.counts(), "scimEndpoint": f"{str(request.base_url).rstrip('/')}/scim"}

    table: tuple[tuple[str, str, Callable[[Request], Awaitable[Any]]], ...] = (
        ("/tokens", "GET", list_tokens),
        ("/tokens", "POST", create_token),
        ("/tokens/{token}", "DELETE", revoke_token),
        ("/summary", "GET", summary),
    )
    return [Route(path, _guarded(function, authorise), methods=[method]) for path, method, function in table]


def _guarded(
    function: Callable[[Request], Awaitable[Any]], authorise: Authorise
) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        if not authorise(request.headers.get("authorization")):
            return _json(401, {"error": "the administrator's key is required"})
        try:
            status, body = await function(request)
        except JoinerError as error:
            return _json(STATUS_CODES.get(type(error), 400), {"error": str(error)})
        return _json(status, body)

    return respond


def _json(status: int, body: Any) -> Response:
    content = b"" if body is None else orjson.dumps(body)
    return Response(content, status, media_type="application/json" if body is not None else None)
