"""Incoming resources: folded to the schema's spelling, coerced, checked (RFC 7643 §2; tolerances T2-T4, T9-T13, T19).

Unassigned values (null, empty list, empty text, empty complex) come out as absent: all of them are one state.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from joiner.scim.errors import InvalidAttributeError, InvalidSyntaxError
from joiner.scim.schemas import Attribute, Kind, ResourceType

IGNORED: Final = frozenset({"schemas", "id", "meta"})
INTEGER: Final = re.compile(r"-?[0-9]+")
DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def normalise_resource(resource_type: ResourceType, body: Any) -> dict[str, Any]:
    """The resource to store: known, writable attributes in the schema's spelling, extensions under their URNs.

    `schemas`, `id` and `meta` are the server's and are left out. Raises InvalidSyntaxError, InvalidAttributeError.
    """
    if not isinstance(body, Mapping):
        raise InvalidSyntaxError("the body must be a JSON object")
    resource: dict[str, Any] = {}
    exact: set[str] = set()
    for key, value in body.items():
        folded = key.lower()
        extension = resource_type.by_urn.get(folded)
        if extension is not None:
            contained = _normalise_members(extension.by_name, value, extension.id)
            if contained:
                resource.setdefault(extension.id, {}).update(contained)
            continue
        attribute = resource_type.core.get(folded)
        if attribute is None:
            sole = resource_type.sole_extension_of(folded)
            if sole is not None:
                # An attribute of an extension at top level (T14); the one in its place has precedence.
                normalised = normalise_value(sole.by_name[folded], value)
                if normalised is not None:
                    resource.setdefault(sole.id, {}).setdefault(sole.by_name[folded].name, normalised)
            continue
        if folded in IGNORED or attribute.mutability == "readOnly":
            continue
        if attribute.name in exact:
            continue
        # Keys that differ in case only: the exact spelling wins (REQ-S-344).
        if key == attribute.name:
            exact.add(key)
        normalised = normalise_value(attribute, value)
        if normalised is None:
            resource.pop(attribute.name, None)
        else:
            resource[attribute.name] = normalised
    return resource


def normalise_value(attribute: Attribute, value: Any, path: str = "") -> Any:
    """The value in the attribute's type, None if it is unassigned. Raises InvalidAttributeError naming it."""
    path = path or attribute.name
    if value is None or value == "" or value == [] or value == {}:
        return None
    if attribute.multi_valued:
        values = value if isinstance(value, list) else [value]
        found = [item for item in (_normalise_one(attribute, v, path) for v in values) if item is not None]
        return found or None
    if isinstance(value, list):
        if len(value) != 1:
            raise InvalidAttributeError(f"'{path}' takes one value, not {len(value)}")
        value = value[0]
    return _normalise_one(attribute, value, path)


def check_required(resource_type: ResourceType, resource: Mapping[str, Any]) -> None:
    """Raises InvalidAttributeError naming the first required attribute that has no value (RFC 7643 §2.2)."""
    for attribute in resource_type.schema.attributes:
        if attribute.required:
            value = resource.get(attribute.name)
            if value is None or (isinstance(value, str) and not value.strip()):
                raise InvalidAttributeError(f"attribute '{attribute.name}' is required")


def without_secrets(resource_type: ResourceType, resource: Mapping[str, Any]) -> dict[str, Any]:
    """The resource without what is never returned. There is nothing to sign in to with a password here: it is accepted,
    and neither kept nor shown (REQ-S-023, REQ-A-043)."""
    return {name: value for name, value in resource.items() if name not in resource_type.secret_names}


def check_primary(resource: Mapping[str, Any]) -> None:
    """Raises InvalidAttributeError if an attribute has several primary values (REQ-S-021)."""
    for name, value in resource.items():
        if isinstance(value, list) and sum(isinstance(v, dict) and v.get("primary") is True for v in value) > 1:
            raise InvalidAttributeError(f"'{name}' has more than one primary value")


def schemas_of(resource_type: ResourceType, resource: Mapping[str, Any]) -> list[str]:
    """The `schemas` of a stored resource: an extension is listed when it holds data (REQ-S-013)."""
    return [resource_type.schema.id, *(schema.id for schema in resource_type.extensions if schema.id in resource)]


def _normalise_one(attribute: Attribute, value: Any, path: str) -> Any:
    if attribute.kind != "complex":
        return None if value is None or value == "" else CONVERSIONS[attribute.kind](value, path)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        if isinstance(value, (str, int)) and "value" in attribute.by_name:
            value = {"value": value}
        else:
            raise InvalidAttributeError(f"'{path}' takes an object")
    members = _normalise_members(attribute.by_name, value, path)
    if "display" in attribute.by_name and "display" not in members and "displayname" not in attribute.by_name:
        shown = next((v for key, v in value.items() if key.lower() == "displayname"), None)
        if isinstance(shown, str) and shown:
            members["display"] = shown
    return members or None


def _normalise_members(by_name: Mapping[str, Attribute], value: Any, path: str) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise InvalidAttributeError(f"'{path}' takes an object")
    members: dict[str, Any] = {}
    for key, item in value.items():
        attribute = by_name.get(key.lower())
        if attribute is None or attribute.mutability == "readOnly":
            continue
        if attribute.name in members and key != attribute.name:
            continue
        normalised = normalise_value(attribute, item, f"{path}.{attribute.name}")
        if normalised is not None:
            members[attribute.name] = normalised
    return members


def _string(value: Any, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise InvalidAttributeError(f"'{path}' takes text")
    if "\x00" in value:
        raise InvalidAttributeError(f"'{path}' contains a NUL character")
    return value


def _boolean(value: Any, path: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise InvalidAttributeError(f"'{path}' takes true or false")


def _integer(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and INTEGER.fullmatch(value.strip()):
        return int(value)
    raise InvalidAttributeError(f"'{path}' takes a whole number")


def _decimal(value: Any, path: str) -> float | int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and DECIMAL.fullmatch(value.strip()):
        return float(value)
    raise InvalidAttributeError(f"'{path}' takes a number")


def _date_time(value: Any, path: str) -> str:
    text = _string(value, path)
    # Seven fraction digits are sent in practice; Python reads six.
    trimmed = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        datetime.fromisoformat(trimmed)
    except ValueError:
        raise InvalidAttributeError(f"'{path}' takes a date and time such as 2024-05-06T07:08:09Z") from None
    return text


def _binary(value: Any, path: str) -> str:
    text = _string(value, path)
    padded = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidAttributeError(f"'{path}' takes base64") from None
    return text


def _complex(value: Any, path: str) -> Any:
    raise AssertionError(f"complex '{path}' is not converted as a simple value")


CONVERSIONS: Final[Mapping[Kind, Callable[[Any, str], Any]]] = {
    "string": _string,
    "reference": _string,
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "dateTime": _date_time,
    "binary": _binary,
    "complex": _complex,
}
"""Kind → conversion of one value that is assigned."""
