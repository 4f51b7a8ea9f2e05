"""The endpoint as an OpenAPI 3.1 document, made from the resource types and schemas of a connection.

What is described is what the RFC allows. The lenient profile takes more, which nobody should begin to send.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from joiner.scim.core import GROUP_URN
from joiner.scim.json_schemas import JsonSchema, listed, messages, resource_sent, resource_shown
from joiner.scim.registry import Registry
from joiner.scim.schemas import ResourceType

MEDIA_TYPE: Final = "application/scim+json"
JSON: Final = "application/json"
REFUSALS: Final[Mapping[int, str]] = {
    400: "The request is wrong; `scimType` and `detail` say how.",
    401: "The credential is missing, unknown, revoked or expired.",
    403: "The credential does not allow this.",
    404: "There is no such resource.",
    406: "Only JSON can be answered.",
    409: "The resource clashes with another one.",
    412: "The resource has another version than `If-Match` says.",
    413: "The body is too large.",
    415: "The body is not JSON, or it is compressed.",
    429: "Too many requests.",
    501: "The credential belongs to no user.",
    503: "Not available at the moment.",
}
ALWAYS: Final = (400, 401, 403, 406, 429, 503)
WITH_BODY: Final = (413, 415)
RETRY: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
VERSIONED: Final = {
    "ETag": {"description": "The version of the resource.", "schema": {"type": "string"}},
    "Location": {"description": "Where the resource is.", "schema": {"type": "string"}},
}
LISTS: Final = ("filter", "sortBy", "sortOrder", "startIndex", "count", "cursor")
PROJECTION: Final = ("attributes", "excludedAttributes")

Method = Literal["get", "post", "put", "patch", "delete"]


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What the document says beyond the resource types."""

    url: str
    """Where `/Users` hangs."""
    token_url: str
    """Where clients get access tokens (RFC 6749 §4.4)."""
    version: str
    strict: bool
    patch_response: Literal["auto", "200", "204"]
    most_operations: int


def openapi_document(registry: Registry, service: Service) -> dict[str, Any]:
    """All of it, as a JSON object."""
    types = registry.resource_types
    schemas: dict[str, JsonSchema] = messages(strict=service.strict, most_operations=service.most_operations)
    paths: dict[str, Any] = {}
    for each in types:
        schemas[shown_name(each)] = resource_shown(each)
        schemas[sent_name(each)] = resource_sent(each)
        schemas[f"{shown_name(each)}List"] = listed(_schema(shown_name(each)))
        paths.update(_type_paths(each, service))
    everything = [_schema(shown_name(each)) for each in types]
    schemas["List"] = listed({"anyOf": everything})
    schemas["SchemaList"] = listed(_schema("Schema"))
    schemas["ResourceTypeList"] = listed(_schema("ResourceType"))
    paths.update(_common_paths(registry, service))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SCIM 2.0 endpoint",
            "summary": "Users, groups and further resources (RFC 7643, RFC 7644)",
            "version": service.version,
        },
        "servers": [{"url": service.url}],
        "security": [{"bearer": []}, {"clientCredentials": []}],
        "tags": [
            *({"name": each.name, "description": each.description or each.name} for each in types),
            {"name": "All resources", "description": "Over resources of every type"},
            {"name": "Discovery", "description": "What the endpoint is able to do"},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": PARAMETERS,
            "responses": {str(status): _refusal(status) for status in REFUSALS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A secret token (RFC 6750)"},
                "clientCredentials": {
                    "type": "oauth2",
                    "flows": {"clientCredentials": {"tokenUrl": service.token_url, "scopes": {}}},
                },
            },
        },
    }


def shown_name(resource_type: ResourceType) -> str:
    """The component that describes what answers show. No other component has a dot in its name."""
    return f"Resource.{resource_type.name}"


def sent_name(resource_type: ResourceType) -> str:
    return f"Sent.{resource_type.name}"


# Paths


def _type_paths(resource_type: ResourceType, service: Service) -> dict[str, Any]:
    name, path = resource_type.name, resource_type.endpoint
    one = _schema(shown_name(resource_type))
    many = _answer("A page of them", _schema(f"{shown_name(resource_type)}List"))
    return {
        path: {
            "get": _operation(f"list{name}", [name], "Find", (*LISTS, *PROJECTION), {200: many}),
            "post": _operation(
                f"create{name}",
                [name],
                "Create",
                PROJECTION,
                {201: _answer("Created", one, VERSIONED)},
                409,
                body=sent_name(resource_type),
            ),
        },
        f"{path}/.search": {
            "post": _operation(f"search{name}", [name], "Find by a message", (), {200: many}, body="SearchRequest")
        },
        f"{path}/{{id}}": {
            "parameters": [{"$ref": "#/components/parameters/id"}],
            **_verbs(resource_type, service, [name], ""),
        },
    }


def _verbs(
    resource_type: ResourceType, service: Service, tags: Sequence[str], suffix: str, *further: int
) -> dict[str, Any]:
    """What can be done with one resource. `further` are refusals that only this path has."""
    name = f"{resource_type.name}{suffix}"
    one = _schema(shown_name(resource_type))
    answer, nothing = _answer("The resource", one, VERSIONED), {"description": "Done"}
    return {
        "get": _operation(
            f"read{name}",
            tags,
            "Read",
            (*PROJECTION, "If-None-Match"),
            {200: answer, 304: {"description": "It still has the version of `If-None-Match`"}},
            404,
            *further,
        ),
        "put": _operation(
            f"replace{name}",
            tags,
            "Replace",
            (*PROJECTION, "If-Match"),
            {200: answer},
            *(404, 409, 412, *further),
            body=sent_name(resource_type),
        ),
        "patch": _operation(
            f"modify{name}",
            tags,
            "Modify",
            (*PROJECTION, "If-Match", "Prefer"),
            # `attributes` and `Prefer` decide as well, so both are possible.
            {200: answer, 204: {**nothing, "headers": VERSIONED, "description": _when_empty(resource_type, service)}},
            *(404, 409, 412, *further),
            body="PatchOp",
        ),
        "delete": _operation(f"delete{name}", tags, "Delete", ("If-Match",), {204: nothing}, 404, 412, *further),
    }


def _when_empty(resource_type: ResourceType, service: Service) -> str:
    by_setting = service.patch_response
    if by_setting == "auto":
        by_setting = "204" if resource_type.schema.id == GROUP_URN else "200"
    return f"Done, with `Prefer: return=minimal`{' or without `Prefer`' if by_setting == '204' else ''}"


def _common_paths(registry: Registry, service: Service) -> dict[str, Any]:
    tags, discovery = ["All resources"], ["Discovery"]
    page = _answer("A page of resources of every type", _schema("List"))
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    paths: dict[str, Any] = {
        "/": {"get": _operation("listEverything", tags, "Find among all", (*LISTS, *PROJECTION), {200: page})},
        "/.search": {
            "post": _operation("searchEverything", tags, "Find by a message", (), {200: page}, body="SearchRequest")
        },
        "/Bulk": {
            "post": _operation(
                "bulk",
                tags,
                f"Up to {service.most_operations} operations at once",
                (),
                {200: _answer("What became of each", _schema("BulkResponse"))},
                body="BulkRequest",
            )
        },
        "/openapi.json": {
            "get": _operation("readOpenapi", discovery, "This document", (), {200: _answer("It", {}, media=(JSON,))})
        },
        "/ServiceProviderConfig": {
            "get": _operation(
                "readServiceProviderConfig",
                discovery,
                "What is possible",
                (),
                {200: _answer("It", _schema("ServiceProviderConfig"))},
            )
        },
    }
    user = registry.by_name.get("User")
    if user is not None:
        paths["/Me"] = _verbs(user, service, ["User"], "Me", 501)
    for kind in ("ResourceType", "Schema"):
        paths[f"/{kind}s"] = {
            "get": _operation(
                f"list{kind}s", discovery, f"All {kind}s", (), {200: _answer("All of them", _schema(f"{kind}List"))}
            )
        }
        paths[f"/{kind}s/{{name}}"] = {
            "parameters": [name],
            "get": _operation(f"read{kind}", discovery, f"One {kind}", (), {200: _answer("It", _schema(kind))}, 404),
        }
    return paths


def _operation(
    id_: str,
    tags: Sequence[str],
    summary: str,
    parameters: Iterable[str],
    answers: Mapping[int, JsonSchema],
    *refusals: int,
    body: str | None = None,
) -> JsonSchema:
    statuses = sorted({*ALWAYS, *refusals, *(WITH_BODY if body is not None else ())})
    operation: JsonSchema = {
        "operationId": id_,
        "tags": list(tags),
        "summary": summary,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in parameters],
        "responses": {
            **{str(status): answer for status, answer in answers.items()},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses},
        },
    }
    if body is not None:
        schema = _schema(body)
        operation["requestBody"] = {
            "required": True,
            "content": {each: {"schema": schema} for each in (MEDIA_TYPE, JSON)},
        }
    return operation


def _answer(
    description: str,
    schema: JsonSchema,
    headers: Mapping[str, Any] | None = None,
    media: Sequence[str] = (MEDIA_TYPE,),
) -> JsonSchema:
    answer: JsonSchema = {"description": description, "content": {each: {"schema": schema} for each in media}}
    if headers:
        answer["headers"] = dict(headers)
    return answer


def _refusal(status: int) -> JsonSchema:
    headers: dict[str, Any] = dict(RETRY) if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = {"description": "How to authenticate.", "schema": {"type": "string"}}
    return _answer(REFUSALS[status], _schema("Error"), headers)


def _schema(name: str) -> JsonSchema:
    return {"$ref": f"#/components/schemas/{name}"}


def _in_query(name: str, description: str, kind: str = "string", **more: Any) -> JsonSchema:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind, **more}}


def _in_header(name: str, description: str) -> JsonSchema:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


PARAMETERS: Final[Mapping[str, JsonSchema]] = {
    "id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
    "filter": _in_query("filter", 'Which resources, such as `userName eq "ada"` (RFC 7644 §3.4.2.2)'),
    "sortBy": _in_query("sortBy", "The attribute to sort by"),
    "sortOrder": _in_query("sortOrder", "How to sort", enum=["ascending", "descending"]),
    "startIndex": _in_query("startIndex", "The number of the first one, from 1", "integer"),
    "count": _in_query("count", "How many at most", "integer"),
    "cursor": _in_query("cursor", "Empty for the first page, then `nextCursor` of the page before (RFC 9865)"),
    "attributes": _in_query("attributes", "What to show, separated by commas; not with excludedAttributes"),
    "excludedAttributes": _in_query("excludedAttributes", "What not to show, separated by commas"),
    "If-Match": _in_header("If-Match", "The ETag that the resource must have"),
    "If-None-Match": _in_header("If-None-Match", "The ETag of what the client has already"),
    "Prefer": _in_header("Prefer", "`return=minimal` or `return=representation` (RFC 7240)"),
}
