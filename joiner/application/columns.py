"""What stands beside a stored resource so that it can be found: keys, its name, and values that have an index."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.schemas import ResourceType
from joiner.scim.search import search_document

INDEXED_PATHS: Final[Mapping[str, frozenset[str]]] = {"User": frozenset({"emails.value"})}
"""Resource type → paths of attributes with several values that are found by equality without reading everything."""


class Columns(msgspec.Struct, frozen=True):
    """One row of `resource`, as far as the resource itself decides it."""

    display: str
    name_key: str | None
    display_key: str | None
    external_id: str | None
    active: int | None
    manager_id: str | None
    body: str
    search: str
    indexed: Sequence[tuple[str, str, int]]
    """(path, value, whether it must be unique)."""


def columns_of(resource_type: ResourceType, resource: Mapping[str, Any], *, unique_groups: bool = True) -> Columns:
    """`resource` is a normalised one, without `schemas`, `id`, `meta`, `groups` and `members`."""
    name = resource_type.name
    search = search_document(resource_type, resource)
    active = resource.get("active")
    unique = unique_attributes(resource_type)
    indexed = (
        [("emails.value", item["value"], 0) for item in search.get("emails", ()) if "value" in item]
        if (name == "User")
        else []
    )
    if name == "Group":
        name_key = search.get("displayName") if unique_groups else None
    else:
        name_key = _text(search.get(unique[0])) if unique else None
        indexed += [(path, _text(search[path]) or "", 1) for path in unique[1:] if path in search]
    manager = resource.get(ENTERPRISE_URN, {}).get("manager", {}) if name == "User" else {}
    schemas = [resource_type.schema.id, *(each.id for each in resource_type.extensions if each.id in resource)]
    return Columns(
        display=_json(resource.get("displayName") or resource.get("userName") or _text(resource.get("name")) or ""),
        name_key=name_key,
        display_key=_text(search.get("displayName")),
        external_id=resource.get("externalId"),
        active=None if active is None else int(active),
        manager_id=manager.get("value"),
        body=_json({"schemas": schemas, **resource}),
        search=_json(search),
        indexed=sorted(set(indexed)),
    )


def unique_attributes(resource_type: ResourceType) -> Sequence[str]:
    """The core attributes whose values may occur once in a connection; the first is the resource's name."""
    found = _UNIQUE.get(resource_type)
    if found is None:
        found = _UNIQUE[resource_type] = tuple(
            attribute.name
            for attribute in resource_type.schema.attributes
            if attribute.uniqueness != "none" and attribute.kind != "complex" and not attribute.multi_valued
        )
    return found


_UNIQUE: Final[dict[ResourceType, Sequence[str]]] = {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
