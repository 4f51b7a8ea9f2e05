"""The search form of values: what a filter and a sort order compare (RFC 7644 §3.4.2.2).

A database that stores it compares plain texts, numbers and booleans: strings without case are folded when they are
written, points in time are in UTC and of one length. So the same comparison means the same everywhere.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.scim.strings import prepare_text, prepare_user_name

Convert = Callable[[Any], Any]
Table = Mapping[str, Convert]

_TABLES: Final[dict[ResourceType, Table]] = {}
_BY_ATTRIBUTE: Final[dict[Attribute, Convert]] = {}


def search_document(resource_type: ResourceType, resource: Mapping[str, Any]) -> dict[str, Any]:
    """A normalised resource with every value in its search form; of the same shape."""
    table = _TABLES.get(resource_type)
    if table is None:
        table = _TABLES[resource_type] = _table(resource_type)
    return {name: table[name](value) for name, value in resource.items()}


def search_form(attribute: Attribute, value: Any) -> Any:
    """One normalised value of the attribute, a list if it has several, in its search form."""
    convert = _BY_ATTRIBUTE.get(attribute)
    if convert is None:
        convert = _BY_ATTRIBUTE[attribute] = _converter(attribute)
    return convert(value)


def moment(text: str) -> str:
    """A point in time in UTC with microseconds; what comes without a zone is UTC. Raises ValueError."""
    parsed = datetime.fromisoformat(_six_digits(text))
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    try:
        aware = aware.astimezone(UTC)
    except OverflowError:
        # The first and the last day of the calendar, seen from the other side of the world.
        aware = aware.replace(tzinfo=UTC)
    return aware.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def _six_digits(text: str) -> str:
    """Seven fraction digits are sent in practice; Python reads six."""
    head, point, rest = text.partition(".")
    if not point:
        return text
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}.{rest[: min(digits, 6)].ljust(6, '0')}{rest[digits:]}"


def _table(resource_type: ResourceType) -> Table:
    table = {attribute.name: _converter(attribute) for attribute in resource_type.core.values()}
    table.update((schema.id, _members(_schema_table(schema))) for schema in resource_type.extensions)
    return table


def _schema_table(schema: Schema) -> Table:
    return {attribute.name: _converter(attribute) for attribute in schema.attributes}


def _converter(attribute: Attribute) -> Convert:
    convert = _one(attribute)
    if not attribute.multi_valued:
        return convert
    return lambda values: [convert(value) for value in values]


def _one(attribute: Attribute) -> Convert:
    if attribute.kind == "complex":
        return _members({sub.name: _converter(sub) for sub in attribute.sub_attributes})
    if attribute.kind == "dateTime":
        return moment
    if attribute.kind == "string" and not attribute.case_exact:
        return prepare_user_name if attribute.name == "userName" else prepare_text
    return _same


def _members(table: Table) -> Convert:
    return lambda value: {name: table[name](item) for name, item in value.items()}


def _same(value: Any) -> Any:
    return value
