"""Conditions and orders as SQL. Values are parameters, always (REQ-S-158); names come from schemas.

Everything is compared in its search form, which was made when the resource was written, so that both databases compare
plain values. What has a column or an index of its own is found by it.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from joiner.application.columns import INDEXED_PATHS
from joiner.scim.conditions import (
    AllOf,
    AnyOf,
    Elements,
    Keys,
    Negation,
    Test,
    bind_filter,
)
from joiner.scim.conditions import Condition as Meaning
from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.schemas import Attribute, ResourceType
from joiner.scim.search import search_form
from joiner.scim.sorting import Sort, SortKey
from joiner.scim.tree import Comparison, Filter
from joiner.storage.session import Dialect

FIRST_MARK: Final = 3
"""?1 is the connection, ?2 the resource type."""
COLUMNS: Final[Mapping[Keys, str]] = {
    ("id",): "r.id",
    ("externalId",): "r.external_id",
    ("displayName",): "r.display_key",
    ("active",): "r.active",
    (ENTERPRISE_URN, "manager", "value"): "r.manager_id",
    ("meta", "resourceType"): "r.type",
    ("meta", "created"): "r.created_at",
    ("meta", "lastModified"): "r.modified_at",
    ("meta", "version"): "('W/\"' || r.version || '\"')",
}
"""What has a column of its own."""
INDEXED: Final = frozenset({"r.id", "r.external_id", "r.display_key", "r.name_key", "r.manager_id"})
COMPARISONS: Final = {"eq": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
GROUPS: Final = {
    "value": "g.id",
    "display": "g.display_key",
}
LAST_CHARACTER: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL that follows WHERE, about the alias `r`, with its parameters from `FIRST_MARK` on; empty for no condition."""

    sql: str
    values: tuple[Any, ...]
    is_indexed: bool
    """It is answered from an index: it takes as long as what it finds, not as what there is."""


@dataclass(frozen=True, slots=True)
class Order:
    """`sql` is the ORDER BY clause; `expression` the value that decides, NULL if the order is that of creation."""

    sql: str
    expression: str
    descending: bool = False


CREATION: Final = Order("ORDER BY r.number", "NULL")


def compile_filter(resource_types: Sequence[ResourceType], tree: Filter, dialect: Dialect) -> Condition:
    """The filter for a query over these types. Raises InvalidFilterError."""
    if len(resource_types) == 1:
        quick = _quick(resource_types[0], tree)
        if quick is not None:
            return quick
    compiler = _Compiler(dialect)
    if len(resource_types) == 1:
        sql, is_indexed = compiler.compile(bind_filter(tree, resource_types[0]), resource_types[0].name)
        return Condition(sql, tuple(compiler.values), is_indexed)
    parts, indexed = [], []
    for each in resource_types:
        sql, is_indexed = compiler.compile(bind_filter(tree, each, unknown_is_unassigned=True), each.name)
        parts.append(f"(r.type = {compiler.mark(each.name)} AND {sql})")
        indexed.append(is_indexed)
    return Condition(" OR ".join(parts), tuple(compiler.values), all(indexed))


def _quick(resource_type: ResourceType, tree: Filter) -> Condition | None:
    """What clients ask most, without the way through the tree: a column of its own equals one text."""
    if type(tree) is not Comparison or tree.operator != "eq" or type(tree.value) is not str:
        return None
    path = tree.path
    if path.urn is not None or path.sub_attribute is not None or path.filter is not None:
        return None
    found = _equality(resource_type, path.attribute)
    if found is None:
        return None
    sql, attribute, is_indexed = found
    return Condition(sql, (search_form(attribute, tree.value),), is_indexed)


@lru_cache(maxsize=1024)
def _equality(resource_type: ResourceType, name: str) -> tuple[str, Attribute, bool] | None:
    attribute = resource_type.core.get(name.lower())
    if attribute is None or attribute.kind != "string" or attribute.multi_valued or attribute.returned == "never":
        return None
    compiler = _Compiler("sqlite")
    test = Test((attribute.name,), "eq", "")
    sql, is_indexed = compiler.compile(test, resource_type.name)
    # Only what is a plain column means the same to both databases.
    return (sql, attribute, is_indexed) if " -> " not in sql and " ->> " not in sql else None


class _Compiler:
    def __init__(self, dialect: Dialect) -> None:
        self.values: list[Any] = []
        self._sqlite = dialect == "sqlite"
        self._type = ""

    def compile(self, condition: Meaning, type_: str) -> tuple[str, bool]:
        self._type = type_
        return self._condition(condition, "r.search", exact=False)

    def mark(self, value: Any) -> str:
        self.values.append(value)
        return f"?{FIRST_MARK + len(self.values) - 1}"

    def _condition(self, condition: Meaning, document: str, *, exact: bool) -> tuple[str, bool]:
        """SQL, and whether it is answered from an index. `exact`: it must be false, not NULL, where it does not hold,
        because something around it negates it."""
        match condition:
            case AllOf(parts):
                found = [self._condition(part, document, exact=exact) for part in parts]
                return _joined(" AND ", found, "TRUE"), any(is_indexed for _, is_indexed in found)
            case AnyOf(parts):
                found = [self._condition(part, document, exact=exact) for part in parts]
                return _joined(" OR ", found, "FALSE"), all(is_indexed for _, is_indexed in found)
            case Negation(part):
                return f"NOT {self._condition(part, document, exact=True)[0]}", False
            case Elements(keys, inner):
                sql, is_indexed = self._elements(keys, inner)
            case Test():
                sql, is_indexed = self._test(condition, document)
        return (f"coalesce({sql}, FALSE)" if exact else sql), is_indexed

    # Attributes with one value

    def _test(self, test: Test, document: str) -> tuple[str, bool]:
        if test.keys in (("groups",), ("members",)):
            return self._related(test)
        if test.many:
            return self._some(test)
        column = self._column(test.keys) if document == "r.search" else None
        if column is not None:
            indexed = column in INDEXED and not (column == "r.display_key" and self._type == "User")
            return self._compare(test, column), indexed and test.operator in ("eq", "sw")
        return self._compare(test, self._value(document, test.keys, test.kind, test.operator)), False

    def _column(self, keys: Keys) -> str | None:
        if self._type == "User" and keys == ("userName",):
            return "r.name_key"
        return COLUMNS.get(keys)

    def _compare(self, test: Test, held: str) -> str:
        operator, value = test.operator, test.value
        if operator == "pr":
            return f"{held} IS NOT NULL"
        if isinstance(value, bool) and (self._sqlite or held == "r.active"):
            value = int(value)
        elif isinstance(value, bool):
            value = "true" if value else "false"
        elif not self._sqlite and test.kind in ("integer", "decimal"):
            value = float(value)
        if operator in COMPARISONS:
            return f"{held} {COMPARISONS[operator]} {self.mark(value)}"
        if operator == "sw" and held in INDEXED:
            # A range, so that the index is used.
            first = self.mark(value)
            return f"({held} >= {first} AND {held} < {self.mark(value + LAST_CHARACTER)})"
        mark = self.mark(value)
        if operator == "co":
            return f"{'instr' if self._sqlite else 'strpos'}({held}, {mark}) > 0"
        if operator == "sw":
            return f"substr({held}, 1, length({mark})) = {mark}"
        end = f"substr({held}, -length({mark}))" if self._sqlite else f"right({held}, length({mark}))"
        return f"{end} = {mark}"

    def _value(self, document: str, keys: Keys, kind: str, operator: str) -> str:
        if self._sqlite:
            if operator == "pr":
                return f"({document} -> {_sqlite_path(keys)})"
            return f"({document} ->> {_sqlite_path(keys)})"
        if operator == "pr":
            return f"({document} #> {_postgresql_path(keys)})"
        text = f"({document} #>> {_postgresql_path(keys)})"
        return f"{text}::double precision" if kind in ("integer", "decimal") else f'{text} COLLATE "C"'

    # Attributes with several values

    def _some(self, test: Test) -> tuple[str, bool]:
        if test.operator == "pr" and test.sub is None:
            return self._value("r.search", test.keys, test.kind, "pr") + " IS NOT NULL", False
        if test.sub is not None:
            inner = Test((test.sub,), test.operator, test.value, test.kind)
            return self._elements(test.keys, inner)
        held = "e.value" if self._sqlite else "(e.value #>> '{}')"
        if not self._sqlite:
            numeric = test.kind in ("integer", "decimal")
            held = f"{held}::double precision" if numeric else f'{held} COLLATE "C"'
        return f"EXISTS (SELECT 1 FROM {self._each(test.keys)} WHERE {self._compare(test, held)})", False

    def _elements(self, keys: Keys, inner: Meaning) -> tuple[str, bool]:
        if keys in (("groups",), ("members",)):
            return self._related_elements(keys[0], inner)
        found, is_indexed = self._indexed_value(keys, inner)
        condition, _ = self._condition(inner, "e.value", exact=False)
        return f"{found}EXISTS (SELECT 1 FROM {self._each(keys)} WHERE {condition})", is_indexed

    def _each(self, keys: Keys) -> str:
        if self._sqlite:
            return f"json_each(r.search, {_sqlite_path(keys)}) e"
        return f"jsonb_array_elements(r.search #> {_postgresql_path(keys)}) AS e (value)"

    def _indexed_value(self, keys: Keys, inner: Meaning) -> tuple[str, bool]:
        """Finds candidates by their index if the condition asks for one value; the exact condition follows."""
        paths = INDEXED_PATHS.get(self._type, frozenset())
        for part in inner.parts if isinstance(inner, AllOf) else (inner,):
            if isinstance(part, Test) and part.operator == "eq":
                path = ".".join((*keys, *part.keys))
                if path in paths:
                    return (
                        "r.number IN (SELECT number FROM indexed_value WHERE connection_id = r.connection_id"
                        f" AND type = r.type AND path = {self.mark(path)} AND value = {self.mark(part.value)}) AND "
                    ), True
            if isinstance(part, AllOf):
                found = self._indexed_value(keys, part)
                if found[1]:
                    return found
        return "", False

    # Memberships

    def _related(self, test: Test) -> tuple[str, bool]:
        if test.sub is None:
            return self._related_elements(test.keys[0], AllOf(()))
        return self._related_elements(test.keys[0], Test((test.sub,), test.operator, test.value))

    def _related_elements(self, name: str, inner: Meaning) -> tuple[str, bool]:
        columns: Mapping[str, str]
        if name == "members":
            rows, columns = "membership m WHERE m.group_number = r.number", {"value": "m.member_id", "type": "m.type"}
        else:
            rows = (
                "membership m JOIN resource g ON g.number = m.group_number AND g.connection_id = r.connection_id"
                " WHERE m.member_id = r.id"
            )
            columns = GROUPS
        found = _Related(self, columns).condition(inner)
        return f"EXISTS (SELECT 1 FROM {rows} AND {found})", False

    def compare(self, test: Test, column: str) -> str:
        """A test of one column."""
        return self._compare(test, column)


class _Related:
    """Conditions about the rows of memberships instead of elements in a document."""

    def __init__(self, compiler: _Compiler, columns: Mapping[str, str]) -> None:
        self._compiler = compiler
        self._columns = columns

    def condition(self, condition: Meaning) -> str:
        match condition:
            case AllOf(parts):
                return _joined(" AND ", [(self.condition(part), False) for part in parts], "TRUE")
            case AnyOf(parts):
                return _joined(" OR ", [(self.condition(part), False) for part in parts], "FALSE")
            case Negation(part):
                return f"NOT coalesce({self.condition(part)}, FALSE)"
            case Test(keys):
                return self._compiler.compare(condition, self._columns[keys[0]])
        raise AssertionError("there are no elements in the elements of a membership")


def compile_order(resource_types: Sequence[ResourceType], sort: Sort | None, dialect: Dialect) -> Order:
    """Resources without a value last, or first if descending (REQ-S-171); equal ones in the order of creation."""
    if sort is None:
        return CREATION
    kinds = {key.kind for key in sort.keys.values()}
    found = {
        each.name: _sort_expression(dialect, each.name, sort.keys[each.name], kinds)
        for each in resource_types
        if each.name in sort.keys
    }
    if len(found) == 1 and len(resource_types) == 1:
        [expression] = found.values()
    else:
        cases = " ".join(f"WHEN '{name}' THEN {sql}" for name, sql in found.items())
        expression = f"(CASE r.type {cases} END)"
    down = " DESC" if sort.descending else ""
    return Order(f"ORDER BY {expression} IS NULL{down}, {expression}{down}, r.number", expression, sort.descending)


def compile_after(order: Order, place: tuple[Any, int], first_mark: int) -> Condition:
    """What comes behind a resource with this sort value and number."""
    value, number = place
    held = order.expression
    if order is CREATION:
        return Condition(f"r.number > ?{first_mark}", (number,), is_indexed=True)
    if value is None:
        following = f"({held} IS NULL AND r.number > ?{first_mark})"
        if order.descending:
            following = f"({following} OR {held} IS NOT NULL)"
        return Condition(following, (number,), is_indexed=False)
    behind = "<" if order.descending else ">"
    mark, number_mark = f"?{first_mark}", f"?{first_mark + 1}"
    following = f"{held} {behind} {mark} OR ({held} = {mark} AND r.number > {number_mark})"
    if not order.descending:
        following += f" OR {held} IS NULL"
    return Condition(f"({following})", (value, number), is_indexed=False)


def _sort_expression(dialect: Dialect, type_: str, key: SortKey, kinds: Set[str]) -> str:
    compiler = _Compiler(dialect)
    numeric = "decimal" if kinds <= {"integer", "decimal"} else "string"
    column = "r.name_key" if type_ == "User" and key.keys == ("userName",) else COLUMNS.get(key.keys)
    if column is not None:
        return column
    if not key.many:
        return compiler._value("r.search", key.keys, numeric, "eq")
    if dialect == "sqlite":
        held = "e.value" if key.sub is None else f"(e.value ->> {_sqlite_path((key.sub,))})"
        rows = f"json_each(r.search, {_sqlite_path(key.keys)}) e"
        first = "e.key" if key.sub is None else "coalesce(e.value ->> '$.primary', 0) DESC, e.key"
    else:
        held = "(e.value #>> '{}')" if key.sub is None else f"(e.value #>> {_postgresql_path((key.sub,))})"
        held = f"{held}::double precision" if numeric == "decimal" else f'{held} COLLATE "C"'
        rows = f"jsonb_array_elements(r.search #> {_postgresql_path(key.keys)}) WITH ORDINALITY AS e (value, key)"
        first = "e.key" if key.sub is None else "coalesce((e.value ->> 'primary')::boolean, FALSE) DESC, e.key"
    return f"(SELECT {held} FROM {rows} ORDER BY {first} LIMIT 1)"


def _joined(word: str, parts: Sequence[tuple[str, bool]], nothing: str) -> str:
    return f"({word.join(sql for sql, _ in parts)})" if parts else nothing


def _sqlite_path(keys: Keys) -> str:
    return "'$" + "".join(f'."{key}"' for key in keys) + "'"


def _postgresql_path(keys: Keys) -> str:
    return "'{" + ",".join(f'"{key}"' for key in keys) + "}'"
