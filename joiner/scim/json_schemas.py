"""JSON Schemas (2020-12) of resources and messages, made from the attributes of their SCIM schemas."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from joiner.scim.core import IGNORED
from joiner.scim.discovery import CONFIG_URN, SCHEMA_URN, TYPE_URN
from joiner.scim.messages import MOST_OPERATIONS, PREFIX
from joiner.scim.resources import MOST_VALUES
from joiner.scim.schemas import Attribute, ResourceType

JsonSchema = dict[str, Any]

TEXT: Final[Mapping[str, Any]] = {"type": "string"}
NUMBER: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 0}
FLAG: Final[Mapping[str, Any]] = {"type": "boolean"}
KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "string": TEXT,
    "boolean": FLAG,
    "decimal": {"type": "number"},
    "integer": {"type": "integer"},
    "dateTime": {"type": "string", "format": "date-time"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "reference": TEXT,
}
BLANK: Final = r"\S"
"""The pattern of a text that is not blank."""


def resource_sent(resource_type: ResourceType) -> JsonSchema:
    """What a POST or PUT may hold: no attribute that only the server writes."""
    writable = _properties(resource_type.core.values(), sent=True)
    extensions = _extensions(resource_type, sent=True)
    required = [name for name in writable if resource_type.core[name.lower()].required]
    required += sorted(resource_type.required_extensions)
    return {
        "type": "object",
        "description": resource_type.description,
        "properties": {"schemas": _schemas(resource_type), **writable, **extensions},
        "required": ["schemas", *(name for name in required if name != "schemas")],
    }


def resource_shown(resource_type: ResourceType) -> JsonSchema:
    """What an answer holds. `attributes` and `excludedAttributes` can leave out all but `schemas` and `id`."""
    shown = _properties(resource_type.core.values(), sent=False)
    extensions = _extensions(resource_type, sent=False)
    return {
        "type": "object",
        "description": resource_type.description,
        "properties": {**shown, "schemas": _schemas(resource_type), **extensions},
        "required": ["schemas", "id"],
    }


def attribute_schema(attribute: Attribute, *, sent: bool) -> JsonSchema:
    """One attribute, as clients send it or as answers show it."""
    if attribute.kind == "complex":
        one = _complex(attribute.sub_attributes, "" if attribute.multi_valued else attribute.description, sent=sent)
    else:
        one = dict(KINDS[attribute.kind])
        if sent and attribute.required and attribute.kind == "string":
            one["pattern"] = BLANK
        if attribute.canonical_values:
            one["examples"] = list(attribute.canonical_values)
    if attribute.multi_valued:
        one = {"type": "array", "items": one}
        if attribute.name != "members":
            one["maxItems"] = MOST_VALUES
    if attribute.description:
        one["description"] = attribute.description
    if not sent and attribute.mutability == "readOnly":
        one["readOnly"] = True
    if sent and (attribute.mutability == "writeOnly" or attribute.returned == "never"):
        one["writeOnly"] = True
    return one


def messages(*, strict: bool, most_operations: int) -> dict[str, JsonSchema]:
    """Name → the schema of a protocol message or a discovery document. Lists are made by `listed`.

    What the lenient profile takes beyond the RFC is not described: nobody should begin to send it.
    """
    return {
        "Error": _message("Error", ERROR, "status"),
        "PatchOp": _message("PatchOp", {"Operations": _patch_operations(strict=strict)}, "Operations"),
        "SearchRequest": _message("SearchRequest", SEARCH),
        **_bulk_messages(most_operations),
        **_discovery_documents(),
    }


ERROR: Final[JsonSchema] = {
    "status": {**TEXT, "pattern": "^[1-5][0-9]{2}$"},
    "scimType": TEXT,
    "detail": {**TEXT, "description": "What is wrong, and where."},
}
SEARCH: Final[JsonSchema] = {
    "attributes": {"type": "array", "items": TEXT},
    "excludedAttributes": {"type": "array", "items": TEXT},
    "filter": TEXT,
    "sortBy": TEXT,
    "sortOrder": {"type": "string", "enum": ["ascending", "descending"]},
    "startIndex": {"type": "integer"},
    "count": {"type": "integer"},
    "cursor": TEXT,
}


def _patch_operations(*, strict: bool) -> JsonSchema:
    operation = _object(
        {
            "op": {"type": "string", "enum": ["add", "remove", "replace"]},
            "path": {**TEXT, "description": "What the operation is about (RFC 7644 §3.5.2); none: the whole resource."},
            "value": {"description": "The new value; without a path an object of attributes."},
        },
        "op",
    )
    return {"type": "array", "items": operation, "minItems": 1 if strict else 0, "maxItems": MOST_OPERATIONS}


def _bulk_messages(most_operations: int) -> dict[str, JsonSchema]:
    operation = _object(
        {
            "method": {"type": "string", "enum": ["POST", "PUT", "PATCH", "DELETE"]},
            "path": {
                **TEXT,
                "description": "`/Users`, or `/Users/{id}`; in it `bulkId:…` means another operation's.",
            },
            "bulkId": {**TEXT, "description": "Names what a POST makes; other operations refer to it."},
            "version": {**TEXT, "description": "The ETag that the resource must have."},
            "data": {"type": "object"},
        },
        "method",
        "path",
    )
    outcome = _object(
        {
            "method": TEXT,
            "bulkId": TEXT,
            "version": TEXT,
            "location": TEXT,
            "status": {**TEXT, "description": "The status as three digits."},
            "response": {"type": "object"},
        },
        "method",
        "status",
    )
    asked = {
        "failOnErrors": {"type": "integer", "minimum": 1},
        "Operations": {"type": "array", "items": operation, "maxItems": most_operations},
    }
    return {
        "BulkRequest": _message("BulkRequest", asked, "Operations"),
        "BulkResponse": _message("BulkResponse", {"Operations": {"type": "array", "items": outcome}}, "Operations"),
    }


def _discovery_documents() -> dict[str, JsonSchema]:
    return {
        "ServiceProviderConfig": _document(CONFIG_URN, {"patch": {"type": "object"}, "bulk": {"type": "object"}}),
        "ResourceType": _document(TYPE_URN, {"name": TEXT, "endpoint": TEXT, "schema": TEXT}),
        "Schema": _document(SCHEMA_URN, {"id": TEXT, "name": TEXT, "attributes": {"type": "array"}}),
    }


def listed(items: Mapping[str, Any]) -> JsonSchema:
    """A ListResponse of such items."""
    return _message(
        "ListResponse",
        {
            "totalResults": NUMBER,
            "startIndex": NUMBER,
            "itemsPerPage": NUMBER,
            "nextCursor": TEXT,
            "Resources": {"type": "array", "items": items},
        },
        "totalResults",
        "itemsPerPage",
        "Resources",
    )


def _extensions(resource_type: ResourceType, *, sent: bool) -> dict[str, JsonSchema]:
    return {each.id: _complex(each.attributes, each.description, sent=sent) for each in resource_type.extensions}


def _schemas(resource_type: ResourceType) -> JsonSchema:
    """Of extensions, those that the resource has data of."""
    return {
        "type": "array",
        "items": TEXT,
        "contains": {"const": resource_type.schema.id},
        "description": "URNs of the schemas in use.",
        "examples": [list(resource_type.urns)],
    }


def _properties(attributes: Iterable[Attribute], *, sent: bool) -> dict[str, JsonSchema]:
    return {
        each.name: attribute_schema(each, sent=sent)
        for each in attributes
        if (each.mutability != "readOnly" and each.name not in IGNORED if sent else _is_shown(each))
    }


def _is_shown(attribute: Attribute) -> bool:
    return attribute.returned != "never" and attribute.mutability != "writeOnly"


def _complex(parts: Iterable[Attribute], description: str, *, sent: bool) -> JsonSchema:
    parts = tuple(parts)
    found: JsonSchema = {"type": "object", "properties": _properties(parts, sent=sent)}
    required = [each.name for each in parts if each.required and each.name in found["properties"]]
    if sent and required:
        found["required"] = required
    if description:
        found["description"] = description
    return found


def _object(properties: Mapping[str, Any], *required: str) -> JsonSchema:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _message(name: str, properties: Mapping[str, Any], *required: str) -> JsonSchema:
    urn = {"type": "array", "items": TEXT, "contains": {"const": f"{PREFIX}{name}"}}
    return _object({"schemas": urn, **properties}, "schemas", *required)


def _document(urn: str, properties: Mapping[str, Any]) -> JsonSchema:
    known = {"type": "array", "items": TEXT, "contains": {"const": urn}}
    return _object({"schemas": known, **properties}, "schemas", *properties)
