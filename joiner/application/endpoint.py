"""The SCIM endpoint over HTTP (RFC 7644): routes, status codes, headers. The only place that knows them.

One ASGI application: whatever is sent, the answer is SCIM, and never an unhandled error.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog

from joiner.application.filters import compile_filter
from joiner.application.render import etag_of, location_of, render
from joiner.application.requests import Receive, ScimRequest, Scope, Send, read_request
from joiner.application.store import Actor, ResourceStore, Stored
from joiner.application.tokens import TokenService
from joiner.scim.core import GROUPS, RESOURCE_TYPES, USERS
from joiner.scim.discovery import resource_type_document, schema_document, service_provider_config
from joiner.scim.errors import (
    ForbiddenError,
    InvalidAttributeError,
    MethodNotAllowedError,
    NotSupportedError,
    ResourceNotFoundError,
    ScimError,
    UnauthorizedError,
)
from joiner.scim.grammar import parse_filter
from joiner.scim.messages import error_response, list_response, parse_patch
from joiner.scim.patches import MemberChange, apply_patch, members_in, split_members
from joiner.scim.projection import Projection, parse_projection
from joiner.scim.resources import check_primary, check_required, normalise_resource, without_secrets
from joiner.scim.schemas import ResourceType, Schema

MEDIA_TYPE: Final = b"application/scim+json"
DEFAULT_COUNT: Final = 100
MOST_RESULTS: Final = 1000
KEPT_BY_PUT: Final = ("active",)
"""What a PUT that does not name it leaves as it is (REQ-S-204)."""

log = structlog.get_logger(__name__)

Headers = list[tuple[bytes, bytes]]


class Answer:
    """Status, body (None: no body) and headers beyond the media type."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {}


Act = Callable[["ScimRequest", Actor], Awaitable[Answer]]


class ScimEndpoint:
    """ASGI application for everything below one base path, such as `/scim`."""

    def __init__(self, store: ResourceStore, tokens: TokenService, prefix: str) -> None:
        self._store = store
        self._tokens = tokens
        self._prefix = prefix
        self._types = {resource_type.endpoint.lower(): resource_type for resource_type in RESOURCE_TYPES.values()}
        self._fixed: Mapping[str, Callable[[ScimRequest], Answer]] = {
            "/serviceproviderconfig": self._service_provider_config,
            "/resourcetypes": self._resource_types,
            "/schemas": self._schemas,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except ScimError as error:
            answer = _refusal(error)
        except Exception:
            # The log gets what happened, the client only that it happened (REQ-S-053).
            log.exception("request failed", method=scope["method"])
            answer = Answer(500, {**error_response(ScimError("internal error")), "status": "500"})
        await _send(send, answer, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        request = await read_request(scope, receive, self._prefix)
        identity = await self._tokens.authenticate(request.headers.get("authorization"))
        if identity is None:
            raise UnauthorizedError("a valid secret token is required: Authorization: Bearer …")
        return await self._route(request, Actor(*identity))

    async def _route(self, request: ScimRequest, actor: Actor) -> Answer:
        path = request.path.lower()
        fixed = self._fixed.get(path)
        if fixed is not None:
            _allow(request, "GET")
            _refuse_filter(request)
            return fixed(request)
        head, _, rest = path[1:].partition("/")
        resource_type = self._types.get(f"/{head}")
        if resource_type is not None:
            id_ = request.path[len(head) + 2 :]
            if not rest:
                return await self._collection(request, actor, resource_type)
            if rest == ".search":
                raise NotSupportedError("search by POST is not offered; use GET with a filter")
            if "/" not in rest:
                return await self._resource(request, actor, resource_type, id_)
        if head in ("bulk", "me", ".search"):
            raise NotSupportedError(f"'/{head.capitalize()}' is not offered")
        if head in ("resourcetypes", "schemas") and rest:
            _allow(request, "GET")
            return self._described(request, head, request.path.rpartition("/")[2])
        raise ResourceNotFoundError("there is no such endpoint")

    # Users and groups

    async def _collection(self, request: ScimRequest, actor: Actor, resource_type: ResourceType) -> Answer:
        _allow(request, "GET", "POST")
        projection = _projection(request, resource_type)
        if request.method == "POST":
            return await self._create(request, actor, resource_type, projection)
        text = request.query.get("filter")
        condition = compile_filter(resource_type, parse_filter(text)) if text is not None else None
        start = max(1, _integer(request, "startindex", 1))
        count = min(max(0, _integer(request, "count", DEFAULT_COUNT)), MOST_RESULTS)
        total, page = self._store.query(actor.connection_id, resource_type.name, condition, start, count)
        shown = render(self._store, actor.connection_id, page, request.base_url, projection)
        return Answer(200, list_response(total, start, shown))

    async def _create(
        self, request: ScimRequest, actor: Actor, resource_type: ResourceType, projection: Projection
    ) -> Answer:
        body = request.json()
        resource, members = _incoming(resource_type, body)
        if resource_type is USERS and not any(key.lower() == "active" for key in body):
            resource["active"] = True
        stored = await self._store.create(actor, resource_type.name, resource, members)
        return self._shown(request, actor, stored, projection, 201)

    async def _resource(self, request: ScimRequest, actor: Actor, resource_type: ResourceType, id_: str) -> Answer:
        _allow(request, "GET", "PUT", "PATCH", "DELETE")
        return await RESOURCE_VERBS[request.method](self, request, actor, resource_type, id_)

    async def _read(self, request: ScimRequest, actor: Actor, resource_type: ResourceType, id_: str) -> Answer:
        projection = _projection(request, resource_type)
        stored = self._store.read(actor.connection_id, resource_type.name, id_)
        known = request.headers.get("if-none-match")
        if known is not None and _matches(known, stored.version):
            return Answer(304, headers={"ETag": etag_of(stored)})
        return self._shown(request, actor, stored, projection, 200)

    async def _replace(self, request: ScimRequest, actor: Actor, resource_type: ResourceType, id_: str) -> Answer:
        projection = _projection(request, resource_type)
        resource, members = _incoming(resource_type, request.json())

        def change(stored: dict[str, Any]) -> tuple[dict[str, Any], Sequence[MemberChange]]:
            kept = {name: stored[name] for name in KEPT_BY_PUT if name in stored and name not in resource}
            changes = [MemberChange("replace", members)] if resource_type is GROUPS else []
            return {**resource, **kept}, changes

        stored = await self._store.change(actor, resource_type.name, id_, change, _expected(request))
        return self._shown(request, actor, stored, projection, 200)

    async def _modify(self, request: ScimRequest, actor: Actor, resource_type: ResourceType, id_: str) -> Answer:
        projection = _projection(request, resource_type)
        operations = parse_patch(request.json())
        member_changes: list[MemberChange] = []
        if resource_type is GROUPS:
            operations, member_changes = split_members(resource_type, operations)

        def change(stored: dict[str, Any]) -> tuple[dict[str, Any], Sequence[MemberChange]]:
            return apply_patch(resource_type, stored, operations), member_changes

        stored = await self._store.change(actor, resource_type.name, id_, change, _expected(request))
        # Entra wants users back and groups not: all members of a large group would go over the wire (§5.1 auto).
        if resource_type is GROUPS and "attributes" not in request.query:
            return Answer(204, headers={"ETag": etag_of(stored), "Location": location_of(stored, request.base_url)})
        return self._shown(request, actor, stored, projection, 200)

    async def _delete(self, request: ScimRequest, actor: Actor, resource_type: ResourceType, id_: str) -> Answer:
        await self._store.delete(actor, resource_type.name, id_, _expected(request))
        return Answer(204)

    def _shown(self, request: ScimRequest, actor: Actor, stored: Stored, projection: Projection, status: int) -> Answer:
        [resource] = render(self._store, actor.connection_id, [stored], request.base_url, projection)
        headers = {"ETag": etag_of(stored), "Location": location_of(stored, request.base_url)}
        return Answer(status, resource, headers)

    # Discovery

    def _service_provider_config(self, request: ScimRequest) -> Answer:
        return Answer(200, service_provider_config(request.base_url, most_results=MOST_RESULTS))

    def _resource_types(self, request: ScimRequest) -> Answer:
        found = [resource_type_document(item, request.base_url) for item in RESOURCE_TYPES.values()]
        return Answer(200, list_response(len(found), 1, found))

    def _schemas(self, request: ScimRequest) -> Answer:
        found = [schema_document(schema, request.base_url) for schema in _all_schemas()]
        return Answer(200, list_response(len(found), 1, found))

    def _described(self, request: ScimRequest, head: str, name: str) -> Answer:
        if head == "resourcetypes":
            for resource_type in RESOURCE_TYPES.values():
                if resource_type.name.lower() == name.lower():
                    return Answer(200, resource_type_document(resource_type, request.base_url))
        for schema in _all_schemas() if head == "schemas" else ():
            if schema.id.lower() == name.lower():
                return Answer(200, schema_document(schema, request.base_url))
        raise ResourceNotFoundError(f"there is no '{name[:100]}' here")


RESOURCE_VERBS: Final[Mapping[str, Callable[..., Awaitable[Answer]]]] = {
    "GET": ScimEndpoint._read,
    "PUT": ScimEndpoint._replace,
    "PATCH": ScimEndpoint._modify,
    "DELETE": ScimEndpoint._delete,
}


def _incoming(resource_type: ResourceType, body: Any) -> tuple[dict[str, Any], Mapping[str, str | None]]:
    """The resource to store, and the members that were named beside it."""
    resource = normalise_resource(resource_type, body)
    check_required(resource_type, resource)
    check_primary(resource)
    members = members_in(resource.pop("members", None)) if resource_type is GROUPS else {}
    return without_secrets(resource_type, resource), members


def _projection(request: ScimRequest, resource_type: ResourceType) -> Projection:
    return parse_projection(resource_type, request.query.get("attributes"), request.query.get("excludedattributes"))


def _allow(request: ScimRequest, *methods: str) -> None:
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        raise MethodNotAllowedError(f"{request.method} is not possible here; use {', '.join(methods)}", methods)


def _refuse_filter(request: ScimRequest) -> None:
    if "filter" in request.query:
        raise ForbiddenError("discovery endpoints cannot be filtered")


def _integer(request: ScimRequest, name: str, default: int) -> int:
    text = request.query.get(name, "").strip()
    if not text:
        return default
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise InvalidAttributeError(f"'{name}' must be a whole number, not '{text[:50]}'")
    return int(text)


def _expected(request: ScimRequest) -> Callable[[int], bool] | None:
    condition = request.headers.get("if-match")
    return None if condition is None else lambda version: _matches(condition, version)


def _matches(header: str, version: int) -> bool:
    """Whether an If-Match or If-None-Match header names the version; compared weakly (RFC 7644 §3.14)."""
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return "*" in tags or str(version) in tags


def _all_schemas() -> list[Schema]:
    found: dict[str, Schema] = {}
    for resource_type in RESOURCE_TYPES.values():
        for schema in (resource_type.schema, *resource_type.extensions):
            found[schema.id] = schema
    return list(found.values())


def _refusal(error: ScimError) -> Answer:
    headers = {}
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = 'Bearer realm="scim"'
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allowed)
    return Answer(error.status, error_response(error), headers)


async def _send(send: Send, answer: Answer, *, with_body: bool) -> None:
    headers: Headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    content = b"" if answer.body is None else orjson.dumps(answer.body)
    if answer.body is not None:
        headers.append((b"content-type", MEDIA_TYPE))
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if with_body else b""})
