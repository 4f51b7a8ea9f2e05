"""The search form of values: what filters and sort orders compare (RFC 7644 §3.4.2.2, §3.4.2.3).

Strings without case are folded when they are written, points in time are in UTC and of one length. Whoever stores the
search form compares plain texts, numbers and booleans, and the same comparison means the same everywhere.
"""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from joiner.scim.attributes import is_identifier
from joiner.scim.core import GROUP_URN, IGNORED, USER_URN
from joiner.scim.schemas import Attribute, ResourceType
from joiner.scim.strings import prepare_text, prepare_user_name

Convert = Callable[[Any], Any]
Table = Mapping[str, Convert | None]
"""Name → how its value gets its search form, None if it is compared as it is. What is not in it is not compared."""

RELATED: Final = {(USER_URN, "groups"), (GROUP_URN, "members")}
"""URN of the schema and attribute: what is kept as memberships and not in the resource."""
LEAST_INTEGER: Final = -(2**63)
GREATEST_INTEGER: Final = 2**63 - 1
GREATEST_FLOAT: Final = int(sys.float_info.max)

_TABLES: Final[WeakKeyDictionary[ResourceType, Table]] = WeakKeyDictionary()
_ELEMENT_TABLES: Final[WeakKeyDictionary[Attribute, Table]] = WeakKeyDictionary()
"""Made once for each type and attribute, for as long as these are in use."""


def search_document(resource_type: ResourceType, resource: Mapping[str, Any]) -> dict[str, Any]:
    """A normalised resource with every value in its search form: of the same shape, without what is unassigned, and
    without `schemas`, `id`, `meta`, the memberships and what is never returned."""
    table = _TABLES.get(resource_type)
    if table is None:
        table = _TABLES[resource_type] = _resource_table(resource_type)
    return _converted(table, resource)


def element_form(attribute: Attribute, element: Mapping[str, Any]) -> dict[str, Any]:
    """One normalised element of a complex attribute in search form."""
    table = _ELEMENT_TABLES.get(attribute)
    if table is None:
        table = _ELEMENT_TABLES[attribute] = _element_table(attribute)
    return _converted(table, element)


def form_of(attribute: Attribute, parent: Attribute | None = None) -> Convert | None:
    """How one value of a simple attribute gets its search form, None if it is compared as it is.

    `parent` is the complex attribute that it is part of. The conversion of a dateTime raises ValueError.
    """
    match attribute.kind:
        case "dateTime":
            return moment
        case "integer" | "decimal":
            return number
        case "string" if not attribute.case_exact and not (parent is not None and is_identifier(parent, attribute)):
            return prepare_user_name if attribute.name == "userName" else prepare_text
    return None


def convert_of(attribute: Attribute, parent: Attribute | None = None) -> Convert | None:
    """As `form_of`, for all values of any attribute: a list if it has several, an object if it is complex."""
    if attribute.kind == "complex":
        table = _element_table(attribute)

        def convert(value: Any) -> Any:
            return _converted(table, value)

        one: Convert | None = convert
    else:
        one = form_of(attribute, parent)
    if one is None or not attribute.multi_valued:
        return one
    return _each(one)


def is_secret(attribute: Attribute) -> bool:
    """Whether a value is never shown, and so nothing may be found out about it (REQ-S-155)."""
    return attribute.returned == "never" or attribute.mutability == "writeOnly"


def moment(text: str) -> str:
    """A point in time in UTC as `YYYY-MM-DDTHH:MM:SS.ffffffZ`; without a zone it is UTC. Raises ValueError."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is not None:
        try:
            parsed = parsed.astimezone(UTC)
        except OverflowError:
            # In UTC it lies outside the calendar, by some hours.
            parsed = datetime.max if parsed.year > 1 else datetime.min  # noqa: DTZ901 - the zone is written below
        parsed = parsed.replace(tzinfo=None)
    return parsed.isoformat(timespec="microseconds") + "Z"


def number(value: int | float) -> int | float:
    """A number that both databases hold as it is: whole if it is whole and fits into 64 bits, else a float."""
    if isinstance(value, int):
        if LEAST_INTEGER <= value <= GREATEST_INTEGER:
            return value
        return float(max(-GREATEST_FLOAT, min(value, GREATEST_FLOAT)))
    if value.is_integer() and LEAST_INTEGER <= value < GREATEST_INTEGER:
        return int(value)
    return max(-sys.float_info.max, min(value, sys.float_info.max))


def _resource_table(resource_type: ResourceType) -> Table:
    table: dict[str, Convert | None] = {}
    related = {name for urn, name in RELATED if urn == resource_type.schema.id}
    for attribute in resource_type.core.values():
        if attribute.name not in IGNORED and attribute.name not in related and not is_secret(attribute):
            table[attribute.name] = convert_of(attribute)
    for schema in resource_type.extensions:
        whole = Attribute(schema.id, "complex", sub_attributes=schema.attributes)
        table[schema.id] = convert_of(whole)
    return table


def _element_table(attribute: Attribute) -> Table:
    return {sub.name: convert_of(sub, attribute) for sub in attribute.sub_attributes if not is_secret(sub)}


def _converted(table: Table, value: Mapping[str, Any]) -> dict[str, Any]:
    form = {}
    for name, item in value.items():
        # False and 0 are values; "", null, [] and {} are none (RFC 7643 §2.5).
        if name in table and (item or item == 0):
            convert = table[name]
            converted = item if convert is None else convert(item)
            if converted or converted == 0:
                form[name] = converted
    return form


def _each(convert: Convert) -> Convert:
    def converted(values: Any) -> Any:
        return [form for value in values if (form := convert(value)) or form == 0]

    return converted
