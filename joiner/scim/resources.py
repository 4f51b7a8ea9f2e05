"""Incoming resources: folded to the schema's spelling, coerced, checked (RFC 7643 §2; tolerances T2-T4, T9-T14, T19).

What happens to an attribute is compiled from its schema once. Unassigned values (null, empty list, empty text, empty
complex) come out as absent: all of them are one state.
"""

from collections.abc import Callable, Mapping, Set, Sized
from typing import Any, Final

import msgspec

from joiner.scim.core import IGNORED
from joiner.scim.distinct import distinct
from joiner.scim.errors import InvalidAttributeError, InvalidSyntaxError, MutabilityError
from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.scim.values import CONVERSIONS, STRICT_CONVERSIONS

Convert = Callable[[Any], Any]
MOST_VALUES: Final = 1000
"""So many values one attribute may have, members of a group apart: operations of a PATCH look at each of them."""
Entry = tuple[str, Convert]
"""The attribute's name, and what makes a value its own; None for an unassigned value."""


class Incoming(msgspec.Struct, frozen=True):
    """A resource as a client sent it."""

    resource: dict[str, Any]
    """What is stored: known, writable attributes in the schema's spelling, extensions under their URNs."""
    secrets: dict[str, Any]
    """What is never returned, above all `password`; not part of the resource."""
    asserted: frozenset[str]
    """Lower-cased names of the members of the body, whatever their values."""


def read_incoming(resource_type: ResourceType, body: Any, *, strict: bool = False, creating: bool = False) -> Incoming:
    """The resource of a POST (`creating`: with defaults) or PUT. Raises InvalidSyntaxError, InvalidAttributeError."""
    if strict:
        check_schemas(resource_type, body)
    resource = normalise_resource(resource_type, body, strict=strict)
    asserted = frozenset([key.lower() for key in body])
    check_required(resource_type, resource)
    check_primary(resource)
    secrets = {name: resource.pop(name) for name in resource_type.secret_names if name in resource}
    # A default that is explicitly cleared is not applied (REQ-S-089).
    if creating and "active" in resource_type.core and "active" not in asserted:
        resource["active"] = True
    return Incoming(resource, secrets, asserted)


def normalise_resource(resource_type: ResourceType, body: Any, *, strict: bool = False) -> dict[str, Any]:
    """Known, writable attributes in the schema's spelling; `schemas`, `id` and `meta` are the server's and left out.

    Raises InvalidSyntaxError, InvalidAttributeError.
    """
    if not isinstance(body, dict):
        raise InvalidSyntaxError("the body must be a JSON object")
    core, extensions, misplaced = _plan(resource_type, strict)
    resource: dict[str, Any] = {}
    for key, value in body.items():
        entry = core.get(key)
        if entry is not None:
            # Of keys that differ in case only, the exact spelling wins (REQ-S-344).
            _assign(resource, entry[0], entry[1](value))
            continue
        folded = key.lower()
        entry = core.get(folded)
        if entry is not None:
            if entry[0] not in resource:
                _assign(resource, entry[0], entry[1](value))
        elif folded in extensions:
            name, convert = extensions[folded]
            contained = convert(value)
            if contained:
                resource[name] = {**resource.get(name, {}), **contained}
        elif folded in misplaced:
            # An attribute of an extension at top level (T14); the one in its place has precedence.
            urn, (name, convert) = misplaced[folded]
            normalised = convert(value)
            if normalised is not None:
                resource[urn] = {name: normalised, **resource.get(urn, {})}
    return resource


def normalise_value(attribute: Attribute, value: Any, path: str = "", *, strict: bool = False) -> Any:
    """The value in the attribute's type, None if it is unassigned. Raises InvalidAttributeError naming it."""
    return converter(attribute, path or attribute.name, strict=strict)(value)


def check_schemas(resource_type: ResourceType, body: Any) -> None:
    """Raises InvalidSyntaxError unless `schemas` names the type's schema, the extensions that the body has, and nothing
    else (RFC 7643 §3)."""
    members = {name.lower(): value for name, value in body.items()} if isinstance(body, dict) else {}
    schemas = members.get("schemas")
    named = {each.lower() for each in schemas if isinstance(each, str)} if isinstance(schemas, list) else set()
    for urn in (resource_type.schema.id, *(each.id for each in resource_type.extensions if each.id.lower() in members)):
        if urn.lower() not in named:
            raise InvalidSyntaxError(f"'schemas' must contain {urn}")
    for each in sorted(named - {urn.lower() for urn in resource_type.urns}):
        raise InvalidSyntaxError(f"'schemas' contains {each[:200]}, which is not a schema of {resource_type.name}")


def check_required(resource_type: ResourceType, resource: Mapping[str, Any]) -> None:
    """Raises InvalidAttributeError naming the first required attribute that has no value (RFC 7643 §2.2, §6)."""
    _check_attributes(resource_type.schema, resource)
    for schema in resource_type.extensions:
        held = resource.get(schema.id)
        if held is None and schema.id in resource_type.required_extensions:
            raise InvalidAttributeError(f"the extension '{schema.id}' is required")
        if held is not None:
            _check_attributes(schema, held)


def check_primary(resource: Mapping[str, Any]) -> None:
    """Raises InvalidAttributeError if an attribute has several primary values (REQ-S-021)."""
    for name, value in resource.items():
        if type(value) is list and len(value) > 1:
            if sum([type(each) is dict and each.get("primary") is True for each in value]) > 1:
                raise InvalidAttributeError(f"'{name}' has more than one primary value")
        elif type(value) is dict:
            check_primary(value)


def check_count(path: str, values: Sized) -> None:
    """Raises InvalidAttributeError if these are more values than an attribute may have."""
    if len(values) > MOST_VALUES:
        raise InvalidAttributeError(f"'{path}' may have {MOST_VALUES} values, not {len(values)}")


def replaced(
    resource_type: ResourceType, stored: Mapping[str, Any], incoming: Mapping[str, Any], asserted: Set[str]
) -> dict[str, Any]:
    """What a PUT leaves behind (RFC 7644 §3.5.1): what is omitted is cleared, but for `active` and what is immutable
    (REQ-S-204). Raises MutabilityError for another value of an immutable attribute (REQ-S-206)."""
    result = dict(incoming)
    if "active" in stored and "active" not in asserted:
        result["active"] = stored["active"]
    for holder, attribute in resource_type.immutable:
        held = stored.get(holder, {}) if holder else stored
        if attribute.name not in held:
            continue
        inside = result.get(holder, {}) if holder else result
        if attribute.name not in inside:
            kept = {attribute.name: held[attribute.name]}
            result.update({holder: {**inside, **kept}} if holder else kept)
    check_immutable(resource_type, stored, result)
    return result


def check_immutable(resource_type: ResourceType, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raises MutabilityError if an immutable attribute that had a value has another one or none."""
    for holder, attribute in resource_type.immutable:
        held = (before.get(holder, {}) if holder else before).get(attribute.name)
        if held is not None and (after.get(holder, {}) if holder else after).get(attribute.name) != held:
            raise MutabilityError(f"'{attribute.name}' cannot be changed once it is set")


def schemas_of(resource_type: ResourceType, resource: Mapping[str, Any]) -> list[str]:
    """The `schemas` of a stored resource: an extension is listed when it holds data (REQ-S-013)."""
    return [resource_type.schema.id, *(schema.id for schema in resource_type.extensions if schema.id in resource)]


# Compiling

Plan = tuple[Mapping[str, Entry], Mapping[str, Entry], Mapping[str, tuple[str, Entry]]]
"""Exact and lower-cased name → core attribute; lower-cased URN → extension; lower-cased name of an attribute that only
one extension has → its URN and itself."""

_PLANS: Final[dict[tuple[ResourceType, bool], Plan]] = {}
_CONVERTERS: Final[dict[tuple[Attribute, str, bool], Convert]] = {}


def converter(attribute: Attribute, path: str, *, strict: bool = False) -> Convert:
    """What makes a value the attribute's own. `path` is how errors name it."""
    key = (attribute, path, strict)
    found = _CONVERTERS.get(key)
    if found is None:
        found = _CONVERTERS[key] = _compile(attribute, path, strict)
    return found


def _plan(resource_type: ResourceType, strict: bool) -> Plan:
    plan = _PLANS.get((resource_type, strict))
    if plan is None:
        writable = {
            name: attribute
            for name, attribute in resource_type.core.items()
            if name not in IGNORED and attribute.mutability != "readOnly"
        }
        core = _entries(writable, "", strict)
        extensions = {
            urn: (schema.id, _members(_entries(_kept(schema.by_name), schema.id, strict), schema.id))
            for urn, schema in resource_type.by_urn.items()
        }
        misplaced: dict[str, tuple[str, Entry]] = {}
        for schema in () if strict else resource_type.extensions:
            for name, attribute in _kept(schema.by_name).items():
                if resource_type.sole_extension_of(name) is schema:
                    misplaced[name] = schema.id, (attribute.name, converter(attribute, attribute.name, strict=strict))
        plan = _PLANS[resource_type, strict] = core, extensions, misplaced
    return plan


def _kept(attributes: Mapping[str, Attribute]) -> Mapping[str, Attribute]:
    """What clients write and get back. Parts that are never returned have nowhere to go and are not kept."""
    return {
        name: attribute
        for name, attribute in attributes.items()
        if attribute.mutability != "readOnly" and attribute.returned != "never"
    }


def _entries(attributes: Mapping[str, Attribute], path: str, strict: bool) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for folded, attribute in attributes.items():
        inner = attribute.name if not path else f"{path}{':' if path[:4] == 'urn:' else '.'}{attribute.name}"
        entries[folded] = entries[attribute.name] = attribute.name, converter(attribute, inner, strict=strict)
    return entries


def _compile(attribute: Attribute, path: str, strict: bool) -> Convert:
    one = _complex(attribute, path, strict) if attribute.kind == "complex" else _simple(attribute, path, strict)
    if not attribute.multi_valued:
        return _single(one, path, strict)
    return _several(one, path, strict, limited=attribute.name != "members")


def _simple(attribute: Attribute, path: str, strict: bool) -> Convert:
    convert = (STRICT_CONVERSIONS if strict else CONVERSIONS)[attribute.kind]
    if attribute.kind in ("string", "reference"):
        # Nearly every value is a text that is fine as it is.
        def text(value: Any) -> Any:
            if type(value) is str and value and "\x00" not in value:
                return value
            return None if value is None or value == "" else convert(value, path)

        return text
    return lambda value: None if value is None or value == "" else convert(value, path)


def _complex(attribute: Attribute, path: str, strict: bool) -> Convert:
    entries = _entries(_kept(attribute.by_name), path, strict)
    if not strict and "display" in entries and "displayname" not in attribute.by_name:
        entries.setdefault("displayname", entries["display"])
    members = _members(entries, path)
    has_value = "value" in attribute.by_name

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            if value is None or value == [] or (value == "" and not strict):
                return None
            if strict or not has_value or not isinstance(value, (str, int)):
                raise InvalidAttributeError(f"'{path}' takes an object")
            value = {"value": value}
        return members(value) or None

    return convert


def _members(entries: Mapping[str, Entry], path: str) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is not dict:
            if value is None or value == "" or value == []:
                return {}
            raise InvalidAttributeError(f"'{path}' takes an object")
        members: dict[str, Any] = {}
        for key, item in value.items():
            entry = entries.get(key)
            if entry is None:
                entry = entries.get(key.lower())
                if entry is None or entry[0] in members:
                    continue
            normalised = entry[1](item)
            if normalised is not None:
                members[entry[0]] = normalised
            elif entry[0] in members:
                del members[entry[0]]
        return members

    return convert


def _several(one: Convert, path: str, strict: bool, *, limited: bool) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is not list:
            if strict and value is not None:
                raise InvalidAttributeError(f"'{path}' takes a list")
            # A single value where several are possible (T10).
            item = one(value)
            return None if item is None else [item]
        if limited:
            check_count(path, value)
        found = [one(each[0] if type(each) is list and len(each) == 1 else each) for each in value]
        return distinct([item for item in found if item is not None]) or None

    return convert


def _single(one: Convert, path: str, strict: bool) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is list:
            if not value:
                return None
            if strict or len(value) != 1:
                raise InvalidAttributeError(f"'{path}' takes one value, not a list of {len(value)}")
            value = value[0]
        return one(value)

    return convert


def _assign(resource: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        resource.pop(name, None)
    else:
        resource[name] = value


def _check_attributes(schema: Schema, resource: Mapping[str, Any]) -> None:
    for attribute in schema.required:
        value = resource.get(attribute.name)
        if value is None or (isinstance(value, str) and not value.strip()):
            raise InvalidAttributeError(f"attribute '{attribute.name}' is required")
    for attribute, names in schema.required_parts:
        value = resource.get(attribute.name) or []
        for element in value if attribute.multi_valued else [value]:
            missing = next((name for name in names if name not in element), None)
            if element and missing is not None:
                raise InvalidAttributeError(f"attribute '{attribute.name}.{missing}' is required")
