"""What stands beside a stored resource so that it can be found: keys, its name, and values that have an index."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.resources import schemas_of
from joiner.scim.schemas import Attribute, ResourceType, Schema
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


class UniquePath(msgspec.Struct, frozen=True):
    """Where a value stands that may occur once."""

    extension: str
    """The URN of the extension, empty for the core."""
    attribute: str
    sub: str
    """The sub-attribute, empty for the attribute itself."""

    def __str__(self) -> str:
        path = f"{self.attribute}.{self.sub}" if self.sub else self.attribute
        return f"{self.extension}:{path}" if self.extension else path

    def values(self, resource: Mapping[str, Any]) -> list[Any]:
        """What the resource has there."""
        value = (resource.get(self.extension, NOTHING) if self.extension else resource).get(self.attribute)
        found = value if isinstance(value, list) else [value]
        if self.sub:
            found = [each.get(self.sub) for each in found if each]
        return [each for each in found if each is not None]


def columns_of(resource_type: ResourceType, resource: Mapping[str, Any], *, unique_groups: bool = True) -> Columns:
    """`resource` is a normalised one, without `schemas`, `id`, `meta`, `groups` and `members`.

    Raises InvalidAttributeError for a value that is too long to be found by.
    """
    name = resource_type.name
    search = search_document(resource_type, resource)
    active = resource.get("active")
    unique = unique_paths(resource_type)
    naming = "displayName" if name == "Group" else unique[0].attribute
    name_key = search.get(naming) if unique_groups or name != "Group" else None
    manager = resource.get(ENTERPRISE_URN, NOTHING).get("manager", NOTHING) if name == "User" else NOTHING
    display_key = _text(search.get("displayName"))
    return Columns(
        display=display_of(resource),
        name_key=_key(naming, _text(name_key)),
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
    name = resource.get("displayName") or resource.get("userName") or resource.get("name")
    return _json(name if isinstance(name, str) else "")


def indexed_paths(resource_type: ResourceType) -> Collection[str]:
    """The paths whose values are in `indexed_value`, as filters name them."""
    return [*INDEXED_PATHS.get(resource_type.name, ()), *map(str, unique_paths(resource_type)[1:])]


def changes_index(resource_type: ResourceType, changed: Collection[str]) -> bool:
    """Whether a change of these members of a resource may change the values that are indexed."""
    paths = INDEXED_PATHS.get(resource_type.name, ())
    if any(path.partition(".")[0] in changed for path in paths):
        return True
    return any((path.extension or path.attribute) in changed for path in unique_paths(resource_type)[1:])


def _indexed(type_: str, unique: Sequence[UniquePath], search: Mapping[str, Any]) -> Sequence[tuple[str, str, int]]:
    found = {
        (path, _key(path, each[sub]) or "", 0)
        for path in INDEXED_PATHS.get(type_, ())
        for attribute, _, sub in (path.partition("."),)
        for each in search.get(attribute, ())
        if sub in each
    }
    found.update(
        (str(path), _key(str(path), _text(value)) or "", 1) for path in unique[1:] for value in path.values(search)
    )
    return sorted(found)


def unique_paths(resource_type: ResourceType) -> Sequence[UniquePath]:
    """The attributes whose values may occur once in a connection. The first is the name of the resource; it is empty if
    no core attribute is one."""
    found = _UNIQUE.get(resource_type)
    if found is None:
        core = _unique_in(resource_type.schema, "")
        names = [path for path, attribute in core if not path.sub and not attribute.multi_valued][:1]
        rest = [path for path, _ in core if path not in names]
        rest += [path for schema in resource_type.extensions for path, _ in _unique_in(schema, schema.id)]
        found = _UNIQUE[resource_type] = (*(names or [UniquePath("", "", "")]), *rest)
    return found


def _unique_in(schema: Schema, holder: str) -> list[tuple[UniquePath, Attribute]]:
    """Unique attributes and sub-attributes, each with its attribute."""
    return [
        (UniquePath(holder, attribute.name, sub.name if sub is not attribute else ""), attribute)
        for attribute in schema.attributes
        for sub in (attribute, *attribute.sub_attributes)
        if sub.uniqueness != "none" and sub.kind != "complex" and sub.returned != "never"
    ]


_UNIQUE: Final[dict[ResourceType, Sequence[UniquePath]]] = {}


def _key(name: str, text: str | None) -> str | None:
    if text is not None and len(text) > LONGEST_KEY // 4 and len(text.encode()) > LONGEST_KEY:
        raise InvalidAttributeError(f"'{name}' may have {LONGEST_KEY} bytes; this value has {len(text.encode())}")
    return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
