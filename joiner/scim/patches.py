"""PATCH: operations applied to a resource (RFC 7644 §3.5.2), with what Entra and Okta send beside it (T1, T3, T5-T17).

The members of a group are not part of this; see `members`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from joiner.scim.core import IGNORED
from joiner.scim.distinct import without, without_listed
from joiner.scim.elements import element_of, matches
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidPathError,
    MutabilityError,
    NoTargetError,
)
from joiner.scim.grammar import parse_path
from joiner.scim.messages import Operation
from joiner.scim.resources import check_count, check_immutable, check_required, normalise_value
from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.scim.tree import Filter, Path

Resource = dict[str, Any]
DECORATION: Final = frozenset({"type", "primary", "display"})
"""An element with nothing but these says nothing any more."""
MOST_PATHS: Final = 4096
"""So many resolved paths are remembered: clients send the same ones again and again."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an operation acts: the attribute, its extension, and the part of it that is meant."""

    attribute: Attribute
    extension: Schema | None = None
    filter: Filter | None = None
    sub: Attribute | None = None

    @property
    def name(self) -> str:
        """How errors name it."""
        return f"{self.attribute.name}.{self.sub.name}" if self.sub else self.attribute.name

    @property
    def holder(self) -> str:
        """The member of the resource in which it stands."""
        return self.attribute.name if self.extension is None else self.extension.id


class Patched(msgspec.Struct, frozen=True):
    """What operations make of a resource."""

    resource: Resource
    """Equal to what it was if nothing has changed."""
    asserted: frozenset[str]
    """Lower-cased names of the attributes and URNs of the extensions that were written (REQ-S-032)."""


def apply_patch(
    resource_type: ResourceType, resource: Resource, operations: Sequence[Operation], *, strict: bool = False
) -> Patched:
    """The resource after the operations. Raises ScimError, and then nothing has happened.

    `resource` is a stored one, without `schemas`, `id` and `meta`; it is not changed. What is never returned, such as a
    password, is no part of the result (see `secrets_in`). Required and immutable attributes are checked at the end.
    """
    result = dict(resource)
    asserted: set[str] = set()
    for operation in operations:
        for verb, target, value in _expanded(resource_type, operation, strict):
            asserted.add(target.holder.lower())
            if target.attribute.returned != "never":
                _apply(result, verb, target, value, strict)
    check_required(resource_type, result)
    if resource_type.immutable:
        check_immutable(resource_type, resource, result)
    return Patched(result, frozenset(asserted))


def secrets_in(resource_type: ResourceType, operations: Sequence[Operation]) -> dict[str, Any]:
    """The attributes that are never returned and that the operations set, None for those they remove.

    Raises InvalidPathError, InvalidFilterError.
    """
    found: dict[str, Any] = {}
    for operation in operations:
        if operation.path is not None:
            named = {operation.path: operation.value}
        else:
            named = operation.value if isinstance(operation.value, dict) else {}
        for name, value in named.items():
            rest = name.lower().removeprefix(resource_type.schema.id.lower()).lstrip(":.")
            attribute = resource_type.core.get(rest)
            if attribute is not None and attribute.name in resource_type.secret_names:
                found[attribute.name] = None if operation.verb == "remove" else value
    return found


# Operations to targets


def _expanded(resource_type: ResourceType, operation: Operation, strict: bool) -> Iterator[tuple[str, Target, Any]]:
    if operation.path is not None:
        target = _target(resource_type, operation.path, strict)
        if isinstance(target, Schema):
            yield from _extension(resource_type, operation, target, strict)
        else:
            yield operation.verb, target, operation.value
        return
    if not isinstance(operation.value, Mapping):
        raise InvalidAttributeError(f"{operation.verb} without a path takes an object of attributes")
    yield from _members_of(resource_type, operation.verb, operation.value, strict)


@lru_cache(maxsize=MOST_PATHS)
def _target(resource_type: ResourceType, path: str, strict: bool) -> Target | Schema:
    """Where an explicit path leads; a bare extension URN means the whole extension."""
    parsed = parse_path(path, resource_type.urns)
    if parsed.attribute:
        return _resolve(resource_type, parsed, strict=strict)
    schema = resource_type.by_urn.get((parsed.urn or "").lower())
    if schema is None:
        raise InvalidPathError(f"'{path}' is not an extension of {resource_type.name}")
    return schema


def _members_of(
    resource_type: ResourceType, verb: str, value: Mapping[str, Any], strict: bool
) -> Iterator[tuple[str, Target, Any]]:
    """Each key of an object without path is a path of its own: a name, `name.givenName`, or `urn:…:attribute` (T5)."""
    for key, item in value.items():
        extension = resource_type.by_urn.get(key.lower())
        if extension is not None:
            for name, inner in item.items() if isinstance(item, Mapping) else ():
                attribute = extension.by_name.get(name.lower())
                if attribute is not None and attribute.mutability != "readOnly":
                    yield verb, Target(attribute, extension), inner
            continue
        try:
            target = _resolve(resource_type, parse_path(key, resource_type.urns), strict=strict, explicit=False)
        except InvalidPathError:
            # Unknown members are ignored, as in POST and PUT (T13).
            continue
        if target.attribute.name in IGNORED or target.attribute.mutability == "readOnly":
            continue
        yield verb, target, item


def _extension(
    resource_type: ResourceType, operation: Operation, schema: Schema, strict: bool
) -> Iterator[tuple[str, Target, Any]]:
    if operation.verb == "remove":
        for attribute in schema.attributes:
            yield "remove", Target(attribute, schema), None
        return
    if not isinstance(operation.value, Mapping):
        raise InvalidAttributeError(f"'{operation.path}' takes an object of attributes")
    yield from _members_of(resource_type, operation.verb, {schema.id: operation.value}, strict)


def _resolve(resource_type: ResourceType, path: Path, *, strict: bool, explicit: bool = True) -> Target:
    """Raises InvalidPathError for what the schemas do not have, MutabilityError for what only the server writes."""
    attribute, extension = _find(resource_type, path, strict)
    sub = None
    if path.sub_attribute is not None:
        sub = attribute.by_name.get(path.sub_attribute.lower())
        if sub is None:
            raise InvalidPathError(f"'{attribute.name}' has no sub-attribute '{path.sub_attribute}'")
    if path.filter is not None and not attribute.multi_valued:
        raise InvalidPathError(f"'{attribute.name}' has one value, so nothing can be chosen in brackets")
    if explicit and (attribute.mutability == "readOnly" or (sub is not None and sub.mutability == "readOnly")):
        raise MutabilityError(f"'{path}' is written by the server only")
    return Target(attribute, extension, path.filter, sub)


def _find(resource_type: ResourceType, path: Path, strict: bool) -> tuple[Attribute, Schema | None]:
    name = path.attribute.lower()
    if path.urn is not None and path.urn.lower() != resource_type.schema.id.lower():
        schema = resource_type.by_urn.get(path.urn.lower())
        if schema is None or name not in schema.by_name:
            raise InvalidPathError(f"'{path}' is not an attribute of {resource_type.name}")
        return schema.by_name[name], schema
    if name in resource_type.core:
        return resource_type.core[name], None
    sole = resource_type.sole_extension_of(name)
    if sole is None or path.urn is not None or strict:
        raise InvalidPathError(f"'{path}' is not an attribute of {resource_type.name}")
    return sole.by_name[name], sole


# Applying


def _apply(resource: Resource, verb: str, target: Target, value: Any, strict: bool) -> None:
    """Values are replaced, never changed in place: the resource we were given shares them."""
    extension = target.extension
    holder: Resource = resource
    if extension is not None:
        holder = resource[extension.id] = dict(resource.get(extension.id, ()))
    if target.filter is not None:
        _apply_filtered(holder, verb, target, value, strict)
    elif target.sub is not None:
        _apply_sub(holder, verb, target, value, strict)
    else:
        WHOLE[verb](holder, target.attribute, value, strict)
    if extension is not None and not holder:
        del resource[extension.id]


def _remove(holder: Resource, attribute: Attribute, value: Any, strict: bool) -> None:
    if attribute.required:
        raise MutabilityError(f"'{attribute.name}' is required and cannot be removed")
    if attribute.multi_valued and value is not None and not strict:
        # Entra removes by listing values; by the RFC the whole attribute would go (T8).
        gone = normalise_value(attribute, value) or []
        _put(holder, attribute, without_listed(holder.get(attribute.name, []), gone))
        return
    holder.pop(attribute.name, None)


def _add(holder: Resource, attribute: Attribute, value: Any, strict: bool) -> None:
    normalised = normalise_value(attribute, value, strict=strict)
    if attribute.multi_valued:
        held = holder.get(attribute.name, [])
        _put(holder, attribute, _with_one_primary(held, without(normalised or [], held)))
    elif normalised is not None or value is not None:
        _set_singular(holder, attribute, normalised)


def _replace(holder: Resource, attribute: Attribute, value: Any, strict: bool) -> None:
    normalised = normalise_value(attribute, value, strict=strict)
    if attribute.multi_valued:
        _put(holder, attribute, _with_one_primary([], normalised or []))
    else:
        _set_singular(holder, attribute, normalised)


WHOLE: Final[Mapping[str, Callable[[Resource, Attribute, Any, bool], None]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
}


def _set_singular(holder: Resource, attribute: Attribute, value: Any) -> None:
    """Complex values are merged: sub-attributes that are not named stay."""
    if attribute.kind == "complex" and isinstance(value, dict):
        holder[attribute.name] = {**holder.get(attribute.name, {}), **value}
    else:
        _put(holder, attribute, value)


def _put(holder: Resource, attribute: Attribute, value: Any) -> None:
    if value is None or value == [] or value == {}:
        if attribute.required:
            raise InvalidAttributeError(f"attribute '{attribute.name}' is required")
        holder.pop(attribute.name, None)
    else:
        if attribute.multi_valued:
            check_count(attribute.name, value)
        holder[attribute.name] = value


def _apply_sub(holder: Resource, verb: str, target: Target, value: Any, strict: bool) -> None:
    attribute, sub = target.attribute, target.sub
    assert sub is not None
    new = None if verb == "remove" else normalise_value(sub, value, target.name, strict=strict)
    if attribute.multi_valued:
        elements = holder.get(attribute.name) or ([{}] if new is not None else [])
        _put(holder, attribute, _with_sub(elements, elements, sub, new))
        return
    held = dict(holder.get(attribute.name, {}))
    if new is None:
        held.pop(sub.name, None)
    else:
        held[sub.name] = new
    _put(holder, attribute, held)


def _apply_filtered(holder: Resource, verb: str, target: Target, value: Any, strict: bool) -> None:
    attribute, sub, condition = target.attribute, target.sub, target.filter
    assert condition is not None
    held: list[Resource] = holder.get(attribute.name, [])
    chosen = [item for item in held if matches(condition, attribute, item)]
    if verb == "remove":
        if sub is None:
            _put(holder, attribute, without(held, chosen))
        else:
            _put(holder, attribute, _with_sub(held, chosen, sub, None))
        return
    if not chosen:
        made = element_of(condition, attribute)
        # `attr[filter]` without a match stays an error for replace; `attr[eq filter].sub` makes the element (T6, T7).
        if made is None or (verb == "replace" and (sub is None or strict)):
            raise NoTargetError(f"no value of '{attribute.name}' matches [{condition}]")
        new = (
            normalise_value(sub, value, target.name, strict=strict)
            if sub
            else normalise_value(attribute, value, strict=strict)
        )
        if new is not None:
            parts = {sub.name: new} if sub else new[0]
            _put(holder, attribute, _with_one_primary(held, [{**made, **parts}]))
        return
    if sub is not None:
        _put(holder, attribute, _with_sub(held, chosen, sub, normalise_value(sub, value, target.name, strict=strict)))
        return
    parts = (normalise_value(attribute, value, strict=strict) or [{}])[0]
    keys = element_of(condition, attribute) or {}
    changed = [{**(item if verb == "add" else keys), **parts} for item in chosen]
    _put(holder, attribute, _merged(held, chosen, changed))


def _with_sub(held: list[Resource], chosen: list[Resource], sub: Attribute, new: Any) -> list[Resource]:
    """`held` with the sub-attribute of the chosen elements set or removed; what says nothing any more is dropped."""
    changed = []
    for item in chosen:
        rest = {name: value for name, value in item.items() if name != sub.name}
        changed.append(rest if new is None else {**rest, sub.name: new})
    merged = _merged(held, chosen, changed)
    return [item for item in merged if new is not None or not set(item) <= DECORATION]


def _merged(held: list[Resource], chosen: list[Resource], changed: list[Resource]) -> list[Resource]:
    replaced = {id(item): instead for item, instead in zip(chosen, changed, strict=True)}
    result = [replaced.get(id(item), item) for item in held]
    return _with_one_primary(result, [], newest=next((item for item in changed if item.get("primary") is True), None))


def _with_one_primary(held: list[Any], new: list[Any], newest: Resource | None = None) -> list[Any]:
    """All values; one that is made primary takes it from the others (REQ-S-251)."""
    newest = next((item for item in reversed(new) if isinstance(item, dict) and item.get("primary") is True), newest)
    values = [*held, *new]
    if newest is None:
        return values
    return [
        {**item, "primary": False} if isinstance(item, dict) and item is not newest and item.get("primary") else item
        for item in values
    ]
