"""What all routes of the Graph-shaped API share: who asks, JSON in and out, paging, errors."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlencode

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.clock import system_clock, to_iso
from joiner.directory.api_keys import Principal
from joiner.errors import InvalidValueError, JoinerError
from joiner.graph.errors import GraphError, as_graph_error, error_body
from joiner.ids import new_id

MEDIA_TYPE: Final = "application/json;odata.metadata=minimal;charset=utf-8"
MOST_BYTES: Final = 64 * 1024 * 1024
"""Bodies may be whole import files."""
DEFAULT_TOP: Final = 100
NUMBER: Final = re.compile(r"[0-9]{1,18}")
READING: Final = frozenset({"GET", "HEAD"})

Authenticate = Callable[[str | None], Principal | None]
"""Who an Authorization header belongs to, None for nobody."""
Respond = Callable[[Request], Awaitable[Response]]

log = structlog.get_logger(__name__)


def endpoint(path: str, respond: Respond, method: str, *, for_uploaders: bool = False) -> Route:
    """A route that answers errors in Graph's shape and lets only administrators change things. `for_uploaders`: keys
    that may only upload reach it; `respond` sees to it that it is about a job that takes uploads."""

    async def guarded(request: Request) -> Response:
        try:
            _authorise(request, for_uploaders=for_uploaders)
            return await respond(request)
        except JoinerError as error:
            return error_response(request, as_graph_error(error))
        except Exception:
            log.exception("request failed", path=request.url.path)
            return error_response(request, GraphError(500, "generalException", "An internal error happened."))

    return Route(path, guarded, methods=[method])


def denied() -> GraphError:
    """The answer to who may not do what was asked."""
    return GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def error_response(request: Request, error: GraphError) -> Response:
    request_id = request.headers.get("client-request-id") or new_id()
    body = error_body(error, request_id, to_iso(system_clock()))
    response = _respond(request, body, error.status, request_id)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def json_response(request: Request, document: Any, status: int = 200) -> Response:
    return _respond(request, document, status, new_id())


def no_content(request: Request) -> Response:
    return Response(status_code=204, headers={"request-id": new_id(), "OData-Version": "4.0"})


def collection(
    request: Request, items: Sequence[Any], next_token: str | None = None, count: int | None = None
) -> Response:
    """A page of a collection; `next_token` makes the absolute link to the next one (§1.4)."""
    document: dict[str, Any] = {"@odata.context": f"{base_url(request)}/$metadata"}
    if count is not None:
        document["@odata.count"] = count
    if next_token is not None:
        kept = [(key, value) for key, value in request.query_params.multi_items() if key.lower() != "$skiptoken"]
        query = urlencode([*kept, ("$skiptoken", next_token)], safe="$,'")
        document["@odata.nextLink"] = f"{str(request.url).partition('?')[0]}?{query}"
    document["value"] = list(items)
    return json_response(request, document)


async def json_body(request: Request) -> dict[str, Any]:
    """The body as an object, annotations left out; an empty body is an empty object. Raises GraphError."""
    return {key: value for key, value in (await _json(request)).items() if not key.startswith("@odata.")}


async def referenced_id(request: Request) -> str:
    """The id that the body `{"@odata.id": url}` names. Raises GraphError, InvalidValueError."""
    url = (await _json(request)).get("@odata.id")
    if not isinstance(url, str) or not url.strip("/"):
        raise InvalidValueError('The body must be {"@odata.id": "…/directoryObjects/{id}"}.')
    return last_segment(url)


def last_segment(url: str) -> str:
    """Only the last segment of a reference counts: clients send Microsoft's host whatever base URL they use (§6.3)."""
    return unquote(url.rstrip("/").rpartition("/")[2])


def option(request: Request, name: str) -> str | None:
    """A `$` option of the query; its name may be in any case."""
    return next((value for key, value in request.query_params.items() if key.lower() == name), None)


def page_size(request: Request, most: int = 999) -> int:
    """`$top`, else the default. Raises InvalidValueError."""
    text = option(request, "$top")
    if text is None:
        return DEFAULT_TOP
    if not NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise InvalidValueError(f"$top must be a number from 1 to {most}, not '{text}'")
    return int(text)


def base_url(request: Request) -> str:
    """`{origin}/v1.0`, as the client addressed it."""
    version = request.url.path.strip("/").partition("/")[0]
    return f"{request.url.scheme}://{request.url.netloc}/{version}"


async def body_text(request: Request, most: int = MOST_BYTES) -> bytes:
    """The body as it came. Raises GraphError if it is too long."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise GraphError(413, "RequestTooLarge", f"A body may have {most} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


async def _json(request: Request) -> dict[str, Any]:
    content = await body_text(request)
    if not content.strip():
        return {}
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise GraphError(400, "Request_BadRequest", f"The body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise GraphError(400, "Request_BadRequest", "The body must be a JSON object.")
    return body


def is_uploader(request: Request) -> bool:
    """Whether who asks may only upload."""
    principal: Principal = request.state.principal
    return principal.role == "uploader"


def _authorise(request: Request, *, for_uploaders: bool) -> None:
    authenticate: Authenticate = request.app.state.authenticate
    principal = authenticate(request.headers.get("authorization"))
    if principal is None:
        raise GraphError(401, "InvalidAuthenticationToken", "A valid bearer token is required.")
    may = {"admin": True, "reader": request.method in READING, "uploader": for_uploaders}
    if not may[principal.role]:
        raise denied()
    request.state.principal = principal


def _respond(request: Request, document: Any, status: int, request_id: str) -> Response:
    headers = {"request-id": request_id, "OData-Version": "4.0"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    client_id = request.headers.get("client-request-id")
    if client_id is not None:
        headers["client-request-id"] = client_id
    return Response(orjson.dumps(document), status, headers, MEDIA_TYPE)
