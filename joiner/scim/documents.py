"""Schemas and resource types read from the documents that describe them (RFC 7643 §6, §7); `discovery` writes them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from joiner.scim.core import COMMON, GROUP_URN
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.schemas import Attribute, ResourceType, Schema

ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z$][A-Za-z0-9$_-]{0,99}")
TYPE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
ENDPOINT: Final = re.compile(r"/[A-Za-z][A-Za-z0-9_-]{0,99}")
URN: Final = re.compile(r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[A-Za-z0-9._:$()+,;=@!*~/-]{1,400}", re.IGNORECASE)
MOST_ATTRIBUTES: Final = 500
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "type": ("string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"),
    "mutability": ("readWrite", "readOnly", "immutable", "writeOnly"),
    "returned": ("always", "default", "request", "never"),
    "uniqueness": ("none", "server", "global"),
}
"""Characteristic → what it can be, the default first but for `mutability` and `returned`."""


def schema_from_document(document: Any) -> Schema:
    """Raises InvalidAttributeError naming the place in the document and what is wrong there."""
    _object(document, "schema")
    urn = _text(document, "id", "", required=True)
    if not URN.fullmatch(urn):
        raise InvalidAttributeError(f"id: '{urn[:100]}' is not a URN such as urn:example:schemas:1.0:Thing")
    attributes = _attributes(document.get("attributes"), "attributes", inside=False)
    name = _text(document, "name", "") or urn.rpartition(":")[2]
    return Schema(urn, name, _text(document, "description", ""), attributes)


def resource_type_from_document(document: Any, schemas: Mapping[str, Schema]) -> ResourceType:
    """`schemas`: lower-cased URN → schema. Raises InvalidAttributeError as `schema_from_document`."""
    _object(document, "resource type")
    name = _text(document, "name", "", required=True)
    if not TYPE_NAME.fullmatch(name):
        raise InvalidAttributeError(f"name: '{name[:100]}' is not a name of letters, digits, '-' and '_'")
    endpoint = _text(document, "endpoint", "", required=True)
    if not ENDPOINT.fullmatch(endpoint):
        raise InvalidAttributeError(f"endpoint: '{endpoint[:100]}' is not a path such as /Things")
    schema = _known(schemas, _text(document, "schema", "", required=True), "schema")
    if schema.id == GROUP_URN and name != "Group":
        raise InvalidAttributeError(f"schema: only groups have members, so '{name}' needs another schema")
    listed = document.get("schemaExtensions") or []
    if not isinstance(listed, list):
        raise InvalidAttributeError("schemaExtensions: must be a list")
    extensions: list[Schema] = []
    required: set[str] = set()
    for number, item in enumerate(listed):
        place = f"schemaExtensions[{number}]"
        _object(item, place)
        extension = _known(schemas, _text(item, "schema", f"{place}.", required=True), f"{place}.schema")
        if extension is schema or extension in extensions:
            raise InvalidAttributeError(f"{place}.schema: '{extension.id}' is there twice")
        extensions.append(extension)
        if _flag(item, "required", f"{place}."):
            required.add(extension.id)
    description = _text(document, "description", "") or name
    return ResourceType(name, endpoint, description, schema, tuple(extensions), COMMON, frozenset(required))


def _attributes(listed: Any, place: str, *, inside: bool) -> tuple[Attribute, ...]:
    if not isinstance(listed, list) or not listed:
        raise InvalidAttributeError(f"{place}: must be a list of attributes")
    if len(listed) > MOST_ATTRIBUTES:
        raise InvalidAttributeError(f"{place}: at most {MOST_ATTRIBUTES} attributes are possible")
    found: dict[str, Attribute] = {}
    for number, item in enumerate(listed):
        attribute = _attribute(item, f"{place}[{number}]", inside=inside)
        if attribute.name.lower() in found:
            raise InvalidAttributeError(f"{place}[{number}].name: '{attribute.name}' is there twice")
        if not inside and attribute.name.lower() in COMMON_NAMES:
            raise InvalidAttributeError(f"{place}[{number}].name: every resource has '{attribute.name}' already")
        found[attribute.name.lower()] = attribute
    return tuple(found.values())


MEMBERSHIPS: Final = frozenset({"members", "groups"})
"""What is kept as memberships and not in the resource: no other attribute can have these names."""
SHAPES: Final = {"active": "boolean", "displayname": "string"}
"""What some attributes are wherever they occur."""
WHOLE_ONLY: Final = {"mutability": "immutable", "returned": "request"}
"""What the parts of an attribute cannot be."""
COMMON_NAMES: Final = frozenset(attribute.name.lower() for attribute in COMMON)


def _attribute(item: Any, place: str, *, inside: bool) -> Attribute:
    _object(item, place)
    dot = f"{place}."
    name = _text(item, "name", dot, required=True)
    if not ATTRIBUTE_NAME.fullmatch(name):
        raise InvalidAttributeError(f"{place}.name: '{name[:100]}' is not the name of an attribute")
    kind = _choice(item, "type", dot, "string")
    if not inside and name.lower() in MEMBERSHIPS:
        raise InvalidAttributeError(f"{place}.name: '{name}' is an attribute of users and groups only")
    shape = None if inside else SHAPES.get(name.lower())
    if shape is not None and (kind != shape or _flag(item, "multiValued", dot)):
        raise InvalidAttributeError(f"{place}.type: '{name}' is one {shape}")
    subs: tuple[Attribute, ...] = ()
    if kind == "complex":
        if inside:
            raise InvalidAttributeError(f"{place}.type: a complex attribute cannot be part of another")
        subs = _attributes(item.get("subAttributes"), f"{place}.subAttributes", inside=True)
    for characteristic, choice in WHOLE_ONLY.items() if inside else ():
        if _choice(item, characteristic, dot, "") == choice:
            raise InvalidAttributeError(f"{dot}{characteristic}: only a whole attribute can be '{choice}'")
    return Attribute(
        name,
        kind,  # type: ignore[arg-type] # one of CHOICES
        _flag(item, "multiValued", dot),
        _flag(item, "required", dot),
        _flag(item, "caseExact", dot),
        _choice(item, "mutability", dot, "readWrite"),  # type: ignore[arg-type]
        _choice(item, "returned", dot, "default"),  # type: ignore[arg-type]
        _choice(item, "uniqueness", dot, "none"),  # type: ignore[arg-type]
        _text(item, "description", dot),
        _texts(item, "canonicalValues", dot),
        _texts(item, "referenceTypes", dot),
        subs,
    )


def _known(schemas: Mapping[str, Schema], urn: str, place: str) -> Schema:
    schema = schemas.get(urn.lower())
    if schema is None:
        raise InvalidAttributeError(f"{place}: there is no schema '{urn[:200]}'")
    return schema


def _object(value: Any, place: str) -> None:
    if not isinstance(value, Mapping):
        raise InvalidAttributeError(f"{place}: must be an object")


def _text(item: Mapping[str, Any], name: str, place: str, *, required: bool = False) -> str:
    value = item.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value) or "\x00" in value:
        raise InvalidAttributeError(f"{place}{name}: must be text")
    return value


def _texts(item: Mapping[str, Any], name: str, place: str) -> tuple[str, ...]:
    value = item.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidAttributeError(f"{place}{name}: must be a list of texts")
    return tuple(value)


def _flag(item: Mapping[str, Any], name: str, place: str) -> bool:
    value = item.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidAttributeError(f"{place}{name}: must be true or false")
    return value


def _choice(item: Mapping[str, Any], name: str, place: str, default: str) -> str:
    value = item.get(name)
    if value is None:
        return default
    found = next((each for each in CHOICES[name] if isinstance(value, str) and each.lower() == value.lower()), None)
    if found is None:
        raise InvalidAttributeError(f"{place}{name}: must be one of {', '.join(CHOICES[name])}")
    return found
