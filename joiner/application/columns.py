"""What stands beside a stored resource so that it can be found: keys, its name, and values that have an index."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import orjson

from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.resources import schemas_of
from joiner.scim.schemas import ResourceType
from joiner.scim.search import search_document

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
    name_attribute, paths = _kept(resource_type)
    name_key = search.get(name_attribute) if unique_groups or name != "Group" else None
    manager = resource.get(ENTERPRISE_URN, NOTHING).get("manager", NOTHING) if name == "User" else NOTHING
    display_key = _text(search.get("displayName"))
    return Columns(
        display=display_of(resource),
        name_key=_key(name_attribute, _text(name_key)),
        display_key=display_key if name == "User" else _key("displayName", display_key),
        external_id=_key("externalId", resource.get("externalId")),
        active=None if active is None else int(active),
        manager_id=_key("manager.value", manager.get("value")),
        body=_json({"schemas": schemas_of(resource_type, resource), **resource}),
        search=_json(search),
        indexed=_indexed(paths, search),
    )


def display_of(resource: Mapping[str, Any]) -> str:
    """The resource's name as a JSON string, as members, groups and managers show it."""
    name = resource.get("displayName") or resource.get("userName") or resource.get("name")
    return _json(name if isinstance(name, str) else "")


def changes_index(resource_type: ResourceType, changed: Collection[str]) -> bool:
    """Whether a change of these members may change the values that are indexed."""
    return any(path.keys[0] in changed for path in _kept(resource_type)[1])


def indexed_paths(resource_type: ResourceType) -> Collection[str]:
    """The paths whose values are in `indexed_value`."""
    return [path.path for path in _kept(resource_type)[1]]


def unique_names(resource_type: ResourceType) -> Sequence[str]:
    """The attributes whose values may occur once in a connection; the first is that of `name_key`, maybe empty."""
    name, paths = _kept(resource_type)
    return [name, *(path.path for path in paths if path.must_be_unique)]


class _Path(msgspec.Struct, frozen=True):
    """An attribute whose values have rows of their own."""

    path: str
    """As filters name it: `emails.value`, or an extension's attribute behind its URN."""
    keys: tuple[str, ...]
    """Lead to the value, or to the list of its elements, in the search document."""
    sub: str | None
    """The part of each element; None if there is one value."""
    must_be_unique: int


@lru_cache(maxsize=1024)
def _kept(resource_type: ResourceType) -> tuple[str, Sequence[_Path]]:
    """The core attribute that is the resource's unique name, and what else has an index."""
    paths = []
    if resource_type.name == "User":
        paths.append(_Path("emails.value", ("emails",), "value", 0))
    name = "displayName" if resource_type.name == "Group" else ""
    for holder, schema in (("", resource_type.schema), *((each.id, each) for each in resource_type.extensions)):
        for attribute in schema.attributes:
            if attribute.uniqueness == "none" or attribute.kind == "complex" or attribute.multi_valued:
                continue
            if not holder and not name:
                name = attribute.name
            elif holder or attribute.name != name:
                keys = (holder, attribute.name) if holder else (attribute.name,)
                paths.append(_Path(":".join(keys), keys, None, 1))
    return name, paths


def _indexed(paths: Sequence[_Path], search: Mapping[str, Any]) -> Sequence[tuple[str, str, int]]:
    found: set[tuple[str, str, int]] = set()
    for each in paths:
        held: Any = search
        for key in each.keys:
            held = held.get(key) if held is not None else None
        if held is None:
            continue
        for value in [held] if each.sub is None else [item.get(each.sub) for item in held]:
            if value is not None:
                found.add((each.path, _key(each.path, _text(value)) or "", each.must_be_unique))
    return sorted(found)


def _key(name: str, text: str | None) -> str | None:
    if text is not None and len(text) > LONGEST_KEY // 4 and len(text.encode()) > LONGEST_KEY:
        raise InvalidAttributeError(f"'{name}' may have {LONGEST_KEY} bytes; this value has {len(text.encode())}")
    return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
