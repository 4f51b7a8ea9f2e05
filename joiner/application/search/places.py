"""Values of resources as SQL expressions: columns of `resource r`, and what stands in its search document.

Names come from schemas. They are quoted so that no name can end its quotes or look like the mark of a parameter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from joiner.scim.attributes import Keys
from joiner.scim.core import ENTERPRISE_URN, GROUP_URN, USER_URN
from joiner.scim.errors import InvalidFilterError
from joiner.scim.schemas import Kind, ResourceType
from joiner.storage.session import Dialect

Form = Literal["text", "json", "integer"]
"""How a value arrives in SQL. `json`: numbers and booleans, which SQLite takes out of a document as they are and
PostgreSQL compares as JSON."""

EVERYWHERE: Final[Mapping[Keys, str]] = {
    ("id",): "r.id",
    ("externalId",): "r.external_id",
    ("meta", "resourceType"): "r.type",
    ("meta", "created"): "r.created_at",
    ("meta", "lastModified"): "r.modified_at",
    ("meta", "version"): "('W/\"' || r.version || '\"')",
}
COLUMNS: Final[Mapping[str, Mapping[Keys, str]]] = {
    USER_URN: {
        **EVERYWHERE,
        ("userName",): "r.name_key",
        ("displayName",): "r.display_key",
        ("active",): "r.active",
        (ENTERPRISE_URN, "manager", "value"): "r.manager_id",
    },
    GROUP_URN: {**EVERYWHERE, ("displayName",): "r.display_key"},
}
"""URN of the core schema → what has a column of its own."""
JSON_KINDS: Final = frozenset({"boolean", "integer", "decimal"})


@dataclass(frozen=True, slots=True)
class Operand:
    """An expression that is NULL for what is unassigned."""

    sql: str
    form: Form
    is_column: bool = False

    def mark(self, number: int, dialect: Dialect) -> str:
        """The mark of a parameter that is compared with it; give the parameter by `parameter`."""
        if dialect == "sqlite" or self.form == "integer":
            return f"?{number}"
        return f"?{number}::text" if self.form == "text" else f"?{number}::jsonb"

    def parameter(self, value: Any, dialect: Dialect) -> Any:
        """A value in search form as the parameter."""
        if self.form == "text":
            return value
        if self.form == "json" and dialect == "postgresql":
            return orjson.dumps(value).decode()
        return int(value) if isinstance(value, bool) else value

    def ordered(self, dialect: Dialect) -> str:
        """The expression where order matters: texts by code point, as SQLite has it."""
        return f'{self.sql} COLLATE "C"' if dialect == "postgresql" and self.form == "text" else self.sql


@dataclass(frozen=True, slots=True)
class Place:
    """Where a condition finds its values: in columns, else in a JSON document."""

    document: str
    columns: Mapping[Keys, str]

    def value(self, keys: Keys, kind: Kind, dialect: Dialect) -> Operand:
        column = self.columns.get(keys)
        if column is not None:
            return Operand(column, "integer" if kind == "boolean" else "text", is_column=True)
        form: Form = "json" if kind in JSON_KINDS else "text"
        if dialect == "sqlite":
            return Operand(f"({self.document} ->> {sqlite_path(keys)})" if keys else self.document, form)
        if form == "json":
            return Operand(json_at(self.document, keys), form)
        if not keys:
            return Operand(f"({self.document} #>> '{{}}')", form)
        return Operand(f"({json_at(self.document, keys[:-1])} ->> {quoted(keys[-1], 'postgresql')})", form)

    def elements(self, keys: Keys, alias: str, dialect: Dialect) -> str:
        """A table of the elements of a multi-valued attribute, in order: `alias.value`, and `alias.key` their order."""
        if dialect == "sqlite":
            return f"json_each({self.document}, {sqlite_path(keys)}) {alias}"
        return f"jsonb_array_elements({json_at(self.document, keys)}) WITH ORDINALITY {alias} (value, key)"


def resource_place(resource_type: ResourceType) -> Place:
    """The values of a resource itself."""
    return Place("r.search", COLUMNS.get(resource_type.schema.id, EVERYWHERE))


def element_place(alias: str) -> Place:
    """The parts of an element, or the element."""
    return Place(f"{alias}.value", {})


def sqlite_path(keys: Keys) -> str:
    """Raises InvalidFilterError for a name that SQLite cannot look up, which no schema should have."""
    for key in keys:
        if '"' in key or "\\" in key:
            raise InvalidFilterError(f"nothing can be found by '{key}'")
    return quoted("$" + "".join(f'."{key}"' for key in keys), "sqlite")


def json_at(document: str, keys: Keys) -> str:
    """A part of a JSON document, for PostgreSQL."""
    if not keys:
        return document
    return "(" + document + "".join(f" -> {quoted(key, 'postgresql')}" for key in keys) + ")"


def quoted(text: str, dialect: Dialect) -> str:
    """A text constant. Its question marks are written as what they are made of: `?1` would be a parameter."""
    character = "char" if dialect == "sqlite" else "chr"
    constant = "'" + text.replace("'", "''").replace("?", f"' || {character}(63) || '") + "'"
    return f"({constant})" if "?" in text else constant
