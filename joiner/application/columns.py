"""What stands beside a stored resource so that it can be found: keys, its name, and values that have an index."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.resources import schemas_of
from joiner.scim.schemas import ResourceType
from joiner.scim.search import search_document

INDEXED_PATHS: Final[Mapping[str, frozenset[str]]] = {"User": frozenset({"emails.value"})}
"""Resource type → paths of attributes with several values that are found by equality without reading everything."""


NOTHING: Final[Mapping[str, Any]] = {}
LONGEST_KEY: Final = 2000
"""Bytes of a value that has an index; PostgreSQL takes a few hundred more, with what stands beside it there."""


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
    """`resource` is a normalised one, without `schemas`, `id`, `meta`, `groups` and `members`.

    Raises InvalidAttributeError for a value that is too long for its index.
    """
    name = resource_type.name
    search = search_document(resource_type, resource)
    active = resource.get("active")
    unique = unique_attributes(resource_type)
    name_key = search.get("displayName" if name == "Group" else unique[0]) if unique_groups or name != "Group" else None
    manager = resource.get(ENTERPRISE_URN, NOTHING).get("manager", NOTHING) if name == "User" else NOTHING
    display_key = _text(search.get("displayName"))
    return Columns(
        display=display_of(resource),
        name_key=_key("displayName" if name == "Group" else unique[0], _text(name_key)),
        display_key=display_key if name == "User" else _key("displayName", display_key),
        external_id=_key("externalId", resource.get("externalId")),
        active=None if active is None else int(active),
        manager_id=_key("manager.value", manager.get("value")),
        body=_json({"schemas": schemas_of(resource_type, resource), **resource}),
        search=_json(search),
        indexed=_indexed(name, unique, search),
    )


def display_of(resource: Mapping[str, Any]) -> str:
    """The resource's name as a JSON string, as members, groups and managers show it."""
    return _json(resource.get("displayName") or resource.get("userName") or _text(resource.get("name")) or "")


def changes_index(resource_type: ResourceType, changed: Collection[str]) -> bool:
    """Whether a change of these attributes may change the values that are indexed."""
    paths = INDEXED_PATHS.get(resource_type.name, ())
    return any(path.partition(".")[0] in changed for path in (*paths, *unique_attributes(resource_type)[1:]))


def _indexed(name: str, unique: Sequence[str], search: Mapping[str, Any]) -> Sequence[tuple[str, str, int]]:
    found = {
        (path, _key(path, each[sub]) or "", 0)
        for path in INDEXED_PATHS.get(name, ())
        for attribute, _, sub in (path.partition("."),)
        for each in search.get(attribute, ())
        if sub in each
    }
    found.update((path, _key(path, _text(search[path])) or "", 1) for path in unique[1:] if path in search)
    return sorted(found)


def unique_attributes(resource_type: ResourceType) -> Sequence[str]:
    """The core attributes whose values may occur once in a connection; the first, which may be empty, is the resource's
    name."""
    found = _UNIQUE.get(resource_type)
    if found is None:
        found = _UNIQUE[resource_type] = tuple(
            attribute.name
            for attribute in resource_type.schema.attributes
            if attribute.uniqueness != "none" and attribute.kind != "complex" and not attribute.multi_valued
        ) or ("",)
    return found


_UNIQUE: Final[dict[ResourceType, Sequence[str]]] = {}


def _key(name: str, text: str | None) -> str | None:
    if text is not None and len(text) > LONGEST_KEY // 4 and len(text.encode()) > LONGEST_KEY:
        raise InvalidAttributeError(f"'{name}' may have {LONGEST_KEY} bytes; this value has {len(text.encode())}")
    return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
