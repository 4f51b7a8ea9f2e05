"""The SCIM endpoint over HTTP (RFC 7644): routes, status codes, headers. The only place that knows them.

One ASGI application that can be mounted at any path: whatever is sent, the answer is SCIM, never an unhandled error.
"""

import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog

from joiner.application.access.tokens import Identity, TokenService
from joiner.application.endpoints.discovery import DISCOVERY, OPENAPI
from joiner.application.endpoints.rates import Rates
from joiner.application.endpoints.requests import MOST_BULK_BYTES, MOST_BYTES, Receive, ScimRequest, Scope, Send
from joiner.application.resources.bulk import answer_bulk
from joiner.application.resources.render import etag_of, location_of
from joiner.application.resources.service import (
    DEFAULT_COUNT,
    Caller,
    Query,
    ResourceService,
    modification,
    replacement,
)
from joiner.application.resources.store import Stored
from joiner.scim.core import GROUP_URN
from joiner.scim.errors import (
    ForbiddenError,
    InvalidAttributeError,
    MethodNotAllowedError,
    NotSupportedError,
    ResourceNotFoundError,
    RetryLaterError,
    ScimError,
    TooLargeError,
    UnauthorizedError,
)
from joiner.scim.messages import error_response, parse_search
from joiner.scim.projection import Projection, parse_projection
from joiner.scim.schemas import ResourceType
from joiner.storage.session import UnavailableError

SCIM_JSON: Final = b"application/scim+json"
READING: Final = ("GET", "HEAD")
SECONDS_UNTIL_AVAILABLE: Final = 5
"""When it is worth trying again after the database could not be reached."""

log = structlog.get_logger(__name__)


class Answer:
    """Status, body (None: no body; bytes: ready JSON), its media type, and further headers."""

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(
        self,
        status: int,
        body: Any = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        media_type: bytes = SCIM_JSON,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.media_type = media_type


class ScimEndpoint:
    """ASGI application of one SCIM service provider, at whatever path it is mounted; `/v2` below it is the same."""

    def __init__(
        self, service: ResourceService, tokens: TokenService, rates: Rates, public_url: str | None = None
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._rates = rates
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except ScimError as error:
            answer = _refusal(error)
            if isinstance(error, TooLargeError) and scope.get("http_version", "1.1") in ("1.0", "1.1"):
                # The rest of the body is not worth waiting for.
                answer.headers = [*answer.headers, (b"connection", b"close")]
        except UnavailableError as error:
            log.error("the database is not available", method=scope["method"], reason=str(error))
            answer = _refusal(RetryLaterError("the service is not available at the moment", SECONDS_UNTIL_AVAILABLE))
        except Exception as error:
            # The log gets what happened, the client only that it happened (REQ-S-053). The trace is text: a logger that
            # shows variables would show tokens and people.
            log.error("request failed", method=scope["method"], trace="".join(traceback.format_exception(error)))
            answer = Answer(500, {**error_response(ScimError("internal error")), "status": "500"})
        await _send(send, answer, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        request = ScimRequest(scope, receive, self._public_url)
        identity = await self._tokens.authenticate(request.headers.get(b"authorization"))
        if identity is None:
            raise UnauthorizedError("a valid secret token is required: Authorization: Bearer …")
        request.check_accept()
        if identity.connection.settings.strict:
            request.check_media_type()
        self._rates.take(identity.connection)
        if not identity.may_write:
            _check_scope(identity, request)
        return await self._route(request, identity)

    async def _route(self, request: ScimRequest, identity: Identity) -> Answer:
        caller = Caller(identity.connection, identity.token_id, request.base)
        parts = _parts(request.path, strict=identity.connection.settings.strict)
        if not parts:
            _allow(request, "GET")
            return await self._everything(request, caller)
        head = parts[0].lower()
        resource_type = identity.connection.registry.by_endpoint.get(f"/{head}")
        if resource_type is not None and _spelt(identity, parts[0], resource_type.endpoint):
            if len(parts) == 1:
                return await self._collection(request, caller, resource_type)
            if len(parts) == 2:
                if parts[1] == ".search":
                    return await self._search(request, caller, [resource_type])
                return await self._resource(request, caller, resource_type, parts[1])
        if head == "me" and len(parts) == 1:
            return await self._me(request, caller, identity)
        if head == "bulk" and len(parts) == 1:
            _allow(request, "POST")
            return Answer(200, await answer_bulk(self._service, caller, await request.json(MOST_BULK_BYTES)))
        if head == ".search" and len(parts) == 1:
            return await self._search(request, caller, identity.connection.registry.resource_types)
        if head in DISCOVERY and len(parts) <= 2:
            _allow(request, "GET")
            if "filter" in request.query:
                raise ForbiddenError("discovery endpoints cannot be filtered")
            document = DISCOVERY[head](caller, parts[1] if len(parts) == 2 else None)
            return Answer(200, document, media_type=b"application/json" if head == OPENAPI else SCIM_JSON)
        raise ResourceNotFoundError("there is no such endpoint")

    # Lists

    async def _everything(self, request: ScimRequest, caller: Caller) -> Answer:
        types = caller.connection.registry.resource_types
        query = request.query
        projections = {each.name: _projection(each, query) for each in types}
        return Answer(200, await self._service.query(caller, types, _query(query), projections))

    async def _collection(self, request: ScimRequest, caller: Caller, resource_type: ResourceType) -> Answer:
        query = request.query
        projection = _projection(resource_type, query)
        if request.method in READING:
            projections = {resource_type.name: projection}
            return Answer(200, await self._service.query(caller, [resource_type], _query(query), projections))
        _allow(request, "GET", "POST")
        body = await request.json(_most_bytes(resource_type))
        stored = await self._service.create(caller, resource_type, body)
        return await self._shown(caller, resource_type, stored, projection.answering(body), 201)

    async def _search(self, request: ScimRequest, caller: Caller, types: Sequence[ResourceType]) -> Answer:
        _allow(request, "POST")
        search = parse_search(await request.json())
        projections = {each.name: parse_projection(each, search.attributes, search.excluded) for each in types}
        query = Query(
            filter=search.filter,
            sort_by=search.sort_by,
            sort_order=search.sort_order,
            start_index=max(1, search.start_index or 1),
            count=max(0, DEFAULT_COUNT if search.count is None else search.count),
            cursor=None if search.start_index is not None else search.cursor,
        )
        return Answer(200, await self._service.query(caller, types, query, projections))

    # One resource

    async def _me(self, request: ScimRequest, caller: Caller, identity: Identity) -> Answer:
        """The user that the token belongs to, with the permanent Location (RFC 7644 §3.11)."""
        if identity.user_id is None:
            raise NotSupportedError("'/Me' is not offered: this token belongs to no user")
        return await self._resource(request, caller, caller.connection.registry.by_name["User"], identity.user_id)

    async def _resource(self, request: ScimRequest, caller: Caller, resource_type: ResourceType, id_: str) -> Answer:
        _allow(request, "GET", "PUT", "PATCH", "DELETE")
        return await RESOURCE_VERBS[request.method](self, request, caller, resource_type, id_)

    async def _read(self, request: ScimRequest, caller: Caller, resource_type: ResourceType, id_: str) -> Answer:
        projection = _projection(resource_type, request.query)
        stored = await self._service.read(caller, resource_type, id_, projection)
        known = request.header(b"if-none-match")
        if known is not None and _matches(known, stored.version):
            return Answer(304, headers=[(b"etag", etag_of(stored).encode())])
        return self._with_headers(caller, resource_type, stored, projection, 200)

    async def _replace(self, request: ScimRequest, caller: Caller, resource_type: ResourceType, id_: str) -> Answer:
        projection = _projection(resource_type, request.query)
        body = await request.json(_most_bytes(resource_type))
        change = replacement(caller, resource_type, body)
        stored = await self._service.change(caller, resource_type, id_, change, _expected(request), projection)
        return await self._shown(caller, resource_type, stored, projection.answering(body), 200)

    async def _modify(self, request: ScimRequest, caller: Caller, resource_type: ResourceType, id_: str) -> Answer:
        query = request.query
        projection = _projection(resource_type, query)
        body = await request.json(_most_bytes(resource_type))
        change = modification(caller, resource_type, id_, body)
        stored = await self._service.change(caller, resource_type, id_, change, _expected(request), projection)
        if _answers_nothing(request, query, caller, resource_type):
            return Answer(204, headers=_headers(caller, resource_type, stored))
        return await self._shown(caller, resource_type, stored, projection.answering(change.asserted), 200)

    async def _delete(self, request: ScimRequest, caller: Caller, resource_type: ResourceType, id_: str) -> Answer:
        await self._service.delete(caller, resource_type, id_, _expected(request))
        return Answer(204)

    async def _shown(
        self, caller: Caller, resource_type: ResourceType, stored: Stored, projection: Projection, status: int
    ) -> Answer:
        """The resource after a change, with what stands in other rows."""
        if self._service.needs_more(caller, resource_type, projection):
            stored = await self._service.read(caller, resource_type, stored.id, projection)
        return self._with_headers(caller, resource_type, stored, projection, status)

    def _with_headers(
        self, caller: Caller, resource_type: ResourceType, stored: Stored, projection: Projection, status: int
    ) -> Answer:
        text = self._service.rendered(caller, resource_type, stored, projection)
        return Answer(status, text, _headers(caller, resource_type, stored))


RESOURCE_VERBS: Final[Mapping[str, Callable[..., Awaitable[Answer]]]] = {
    "GET": ScimEndpoint._read,
    "HEAD": ScimEndpoint._read,
    "PUT": ScimEndpoint._replace,
    "PATCH": ScimEndpoint._modify,
    "DELETE": ScimEndpoint._delete,
}


# Requests


def _check_scope(identity: Identity, request: ScimRequest) -> None:
    """Raises ForbiddenError for what a token that may not write may not do (REQ-S-061)."""
    if identity.scope == "events":
        raise ForbiddenError("this token opens the events of its connection, not SCIM")
    if request.method not in READING and not request.path.lower().endswith("/.search"):
        raise ForbiddenError("this token may read only")


def _parts(path: str, *, strict: bool) -> list[str]:
    """The segments of a path; doubled and trailing slashes do not count (T22)."""
    if "\x00" in path:
        raise ResourceNotFoundError("there is no such endpoint")
    parts = path.split("/")
    if strict:
        return parts[1:] if path not in ("", "/") else []
    return [part for part in parts if part]


def _spelt(identity: Identity, part: str, endpoint: str) -> bool:
    """Whether the endpoint's name is spelt as it may be: in any case, unless the connection is strict (T22)."""
    return not identity.connection.settings.strict or part == endpoint[1:]


def _projection(resource_type: ResourceType, query: Mapping[str, str]) -> Projection:
    return parse_projection(resource_type, query.get("attributes"), query.get("excludedattributes"))


def _query(query: Mapping[str, str]) -> Query:
    if not query:
        return EVERYTHING
    return Query(
        filter=query.get("filter"),
        sort_by=query.get("sortby") or None,
        sort_order=query.get("sortorder") or None,
        start_index=max(1, _integer(query, "startindex", 1)),
        count=max(0, _integer(query, "count", DEFAULT_COUNT)),
        # With startIndex the pages are index pages, whatever else is there (RFC 9865 §2.4).
        cursor=None if "startindex" in query else query.get("cursor"),
    )


EVERYTHING: Final = Query()


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "").strip()
    if not text:
        return default
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise InvalidAttributeError(f"'{name}' must be a whole number, not '{text[:50]}'")
    return int(text)


def _most_bytes(resource_type: ResourceType) -> int:
    return MOST_BULK_BYTES if resource_type.schema.id == GROUP_URN else MOST_BYTES


def _allow(request: ScimRequest, *methods: str) -> None:
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        raise MethodNotAllowedError(f"{request.method} is not possible here; use {', '.join(methods)}", methods)


def _expected(request: ScimRequest) -> Callable[[int], bool] | None:
    condition = request.header(b"if-match")
    return None if condition is None else lambda version: _matches(condition, version)


def _matches(header: str, version: int) -> bool:
    """Whether an If-Match or If-None-Match header names the version; compared weakly (RFC 7644 §3.14)."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return header.strip() == "*" or not tags.isdisjoint((f'"{version}"', str(version)))


def _answers_nothing(
    request: ScimRequest, query: Mapping[str, str], caller: Caller, resource_type: ResourceType
) -> bool:
    """Whether a PATCH is answered by 204. `attributes` asks for a body; else the client's preference (RFC 7240), else
    the connection's setting: Entra wants users back and groups not, whose members would all go over the wire."""
    if "attributes" in query:
        return False
    preferred = (request.header(b"prefer") or "").replace(" ", "").lower()
    if "return=minimal" in preferred:
        return True
    if "return=representation" in preferred:
        return False
    wanted = caller.connection.settings.patch_response
    return resource_type.schema.id == GROUP_URN if wanted == "auto" else wanted == "204"


# Answers


def _headers(caller: Caller, resource_type: ResourceType, stored: Stored) -> list[tuple[bytes, bytes]]:
    location = location_of(stored, resource_type.endpoint, caller.base)
    return [(b"etag", etag_of(stored).encode()), (b"location", location.encode("latin-1", "replace"))]


def _refusal(error: ScimError) -> Answer:
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, UnauthorizedError):
        headers.append((b"www-authenticate", b'Bearer realm="scim"'))
    if isinstance(error, MethodNotAllowedError):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, RetryLaterError):
        headers.append((b"retry-after", str(error.seconds).encode()))
    return Answer(error.status, error_response(error), headers)


async def _send(send: Send, answer: Answer, *, with_body: bool) -> None:
    body = answer.body
    if body is None:
        headers = list(answer.headers)
        if answer.status not in (204, 304):
            headers.append((b"content-length", b"0"))
        content = b""
    else:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = [
            *answer.headers,
            (b"content-type", answer.media_type),
            (b"content-length", str(len(content)).encode()),
        ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if with_body else b""})
