"""Filters as SQL (RFC 7644 §3.4.2.2). Values are parameters, always (REQ-S-158).

Everything is compared in its search form, which was made when the resource was written, so that both databases compare
plain values. What has a column or an index of its own is found by it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from joiner.application.search import columns
from joiner.application.search.places import Operand, Place, element_place, resource_place
from joiner.scim import conditions
from joiner.scim.attributes import Keys
from joiner.scim.conditions import ALWAYS, NEVER, AllOf, AnyOf, Elements, Negation, Term, bind_filter
from joiner.scim.schemas import ResourceType
from joiner.scim.search import RELATED, form_of, is_secret
from joiner.scim.tree import Comparison, Filter, Path
from joiner.storage.session import Dialect

CONNECTION: Final = "?1"
"""In every statement about resources this parameter is the connection."""
FIRST_MARK: Final = 3
"""?1 is the connection, ?2 the resource type."""
SYMBOLS: Final = {"eq": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
KEYS: Final = frozenset({"r.id", "r.name_key", "r.external_id", "r.display_key", "r.manager_id", "m.member_id", "g.id"})
"""Columns with an index that begins with them, or with the connection and the type."""
RANGES: Final = frozenset({"r.name_key", "r.display_key"})
"""Columns whose index is used for what begins with a text."""
MEMBERS: Final = Place("", {("value",): "m.member_id"})
GROUPS: Final = Place("", {("value",): "g.id"})
GREATEST: Final = 0x10FFFF


class Condition(msgspec.Struct, frozen=True):
    """What follows WHERE, about the alias `r`; it can be joined to other conditions by AND as it is."""

    sql: str
    values: tuple[Any, ...]
    """The parameters, from the first mark on."""
    is_indexed: bool
    """It is answered from an index: it takes as long as what it finds, not as what there is."""


@dataclass(frozen=True, slots=True)
class _Sql:
    """A condition in SQL. Where it is NULL it does not hold."""

    text: str
    is_indexed: bool = False


def compile_filter(
    resource_types: Sequence[ResourceType],
    tree: Filter,
    dialect: Dialect,
    *,
    strict: bool = False,
    first_mark: int = FIRST_MARK,
    indexed_paths: Mapping[str, Collection[str]] | None = None,
) -> Condition:
    """A filter for a query over these types. `strict` is that of `bind_filter`; for several types an attribute that one
    of them does not have counts there as unassigned (REQ-S-117). `indexed_paths` are those of `columns` unless given.
    The caller adds the conditions on the connection and, for one type, on the type. Raises InvalidFilterError."""
    if len(resource_types) == 1:
        [resource_type] = resource_types
        simple = _one_equality(resource_type, tree, first_mark)
        if simple is not None:
            return simple
        compiler = _Compiler(resource_type, dialect, first_mark, indexed_paths)
        found = compiler.compile(bind_filter(tree, resource_type, strict=strict))
        return Condition(found.text, tuple(compiler.values), found.is_indexed)
    return _over_types(resource_types, tree, dialect, strict, first_mark, indexed_paths)


def _over_types(
    resource_types: Sequence[ResourceType],
    tree: Filter,
    dialect: Dialect,
    strict: bool,
    first_mark: int,
    indexed_paths: Mapping[str, Collection[str]] | None,
) -> Condition:
    values: list[Any] = []
    parts = []
    for resource_type in resource_types:
        meaning = bind_filter(tree, resource_type, strict=strict, unknown_is_unassigned=True)
        if meaning == NEVER:
            continue
        compiler = _Compiler(resource_type, dialect, first_mark + len(values), indexed_paths)
        found = _joined("AND", [_Sql(f"r.type = {compiler.mark(resource_type.name)}"), compiler.compile(meaning)])
        parts.append(found)
        values += compiler.values
    found = _joined("OR", parts)
    return Condition(found.text, tuple(values), found.is_indexed)


# One equality, as nearly every request has it


def _one_equality(resource_type: ResourceType, tree: Filter, first_mark: int) -> Condition | None:
    if tree.__class__ is not Comparison or tree.operator != "eq" or tree.value.__class__ is not str:
        return None
    path = tree.path
    if path.urn is not None or path.sub_attribute is not None or path.filter is not None:
        return None
    known = _equalities(resource_type, first_mark).get(path.attribute.lower())
    if known is None:
        return None
    sql, convert = known
    return Condition(sql, (tree.value if convert is None else convert(tree.value),), is_indexed=True)


@lru_cache(maxsize=256)
def _equalities(resource_type: ResourceType, first_mark: int) -> Mapping[str, tuple[str, Callable[[Any], Any] | None]]:
    """Lower-cased attribute → what its equality is in SQL, the same for both databases, and how a text gets its search
    form; for the attributes that are texts with a column that has an index."""
    table = {}
    for name, attribute in resource_type.core.items():
        if attribute.kind != "string" or attribute.multi_valued or is_secret(attribute):
            continue
        compiler = _Compiler(resource_type, "sqlite", first_mark, {})
        found = compiler.compile(bind_filter(Comparison(Path(None, name), "eq", "x"), resource_type))
        if found.is_indexed:
            table[name] = (found.text, form_of(attribute))
    return table


class _Compiler:
    """Makes one condition about resources of one type."""

    def __init__(
        self,
        resource_type: ResourceType,
        dialect: Dialect,
        first_mark: int,
        indexed_paths: Mapping[str, Collection[str]] | None,
    ) -> None:
        self.values: list[Any] = []
        self._resource_type = resource_type
        self._dialect: Dialect = dialect
        self._first_mark = first_mark
        self._indexed_paths = (
            columns.indexed_paths(resource_type) if indexed_paths is None else indexed_paths.get(resource_type.name, ())
        )
        self._depth = 0

    def compile(self, condition: conditions.Condition) -> _Sql:
        return self._condition(condition, resource_place(self._resource_type))

    def mark(self, value: Any) -> str:
        self.values.append(value)
        return f"?{self._first_mark + len(self.values) - 1}"

    def _condition(self, condition: conditions.Condition, place: Place) -> _Sql:
        match condition:
            case AllOf(parts):
                return _joined("AND", [self._condition(part, place) for part in parts])
            case AnyOf(parts):
                return _joined("OR", [self._condition(part, place) for part in parts])
            case Negation(part):
                return _Sql(f"(({self._condition(part, place).text}) IS NOT TRUE)")
            case Elements(keys, inner):
                if self._is_related(place, keys):
                    return self._related(keys[0], inner)
                return self._elements(keys, inner, place)
            case Term(keys, operator) if operator == "pr" and self._is_related(place, keys):
                return self._related(keys[0], ALWAYS)
            case Term():
                return self._term(condition, place)

    # One value

    def _term(self, term: Term, place: Place) -> _Sql:
        operand = place.value(term.keys, term.kind, self._dialect)
        if term.operator == "pr":
            return _Sql(f"{operand.sql} IS NOT NULL")
        if operand.is_column and operand.sql in RANGES and term.operator == "sw":
            return self._range(operand, term.value)
        sql = self._compared(operand, term.operator, term.value)
        if operand.is_column:
            return _Sql(sql, is_indexed=term.operator == "eq" and operand.sql in KEYS)
        if term.operator == "eq" and place.document == "r.search":
            return self._with_index(term.keys, term.value, sql)
        return _Sql(sql)

    def _compared(self, operand: Operand, operator: str, value: Any) -> str:
        self.values.append(operand.parameter(value, self._dialect))
        mark = operand.mark(self._first_mark + len(self.values) - 1, self._dialect)
        if operator == "eq":
            return f"{operand.sql} = {mark}"
        if operator in SYMBOLS:
            return f"{operand.ordered(self._dialect)} {SYMBOLS[operator]} {mark}"
        return TEXT_OPERATORS[self._dialect, operator].format(held=operand.sql, mark=mark)

    def _range(self, operand: Operand, prefix: str) -> _Sql:
        """What begins with the text lies between it and the next text that does not."""
        parts = [_Sql(self._compared(operand, "ge", prefix), is_indexed=True)]
        following = _following(prefix)
        if following is not None:
            parts.append(_Sql(self._compared(operand, "lt", following)))
        return _joined("AND", parts)

    # Several values

    def _elements(self, keys: Keys, inner: conditions.Condition, place: Place) -> _Sql:
        self._depth += 1
        alias = f"e{self._depth}"
        rows = place.elements(keys, alias, self._dialect)
        sql = f"EXISTS (SELECT 1 FROM {rows} WHERE {self._condition(inner, element_place(alias)).text})"
        self._depth -= 1
        if place.document == "r.search":
            for part in inner.parts if isinstance(inner, AllOf) else (inner,):
                if isinstance(part, Term) and part.operator == "eq":
                    found = self._with_index((*keys, *part.keys), part.value, sql)
                    if found.is_indexed:
                        return found
        return _Sql(sql)

    def _with_index(self, keys: Keys, value: Any, exact: str) -> _Sql:
        """`exact`, and in front of it what finds the candidates if the values of this path have an index."""
        path = path_text(self._resource_type, keys)
        if path not in self._indexed_paths or not isinstance(value, str):
            return _Sql(exact)
        found = (
            f"r.number IN (SELECT v.number FROM indexed_value v WHERE v.connection_id = {CONNECTION}"
            f" AND v.type = {self.mark(self._resource_type.name)} AND v.path = {self.mark(path)}"
            f" AND v.value = {self.mark(value)})"
        )
        return _joined("AND", [_Sql(found, is_indexed=True), _Sql(exact)])

    # Memberships

    def _is_related(self, place: Place, keys: Keys) -> bool:
        return place.document == "r.search" and (self._resource_type.schema.id, keys[0]) in RELATED

    def _related(self, name: str, inner: conditions.Condition) -> _Sql:
        """The groups of other connections are none of a resource, whatever members they name."""
        if name == "members":
            found = self._condition(inner, MEMBERS)
            if found.is_indexed:
                rows = f"SELECT m.group_number FROM membership m WHERE {found.text}"
                return _Sql(f"r.number IN ({rows})", is_indexed=True)
            return _Sql(f"EXISTS (SELECT 1 FROM membership m WHERE m.group_number = r.number AND {found.text})")
        found = self._condition(inner, GROUPS)
        groups = "membership m JOIN resource g ON g.number = m.group_number"
        condition = f"g.connection_id = {CONNECTION} AND {found.text}"
        if found.is_indexed:
            # By number: to look for ids in a list SQLite would rather read all resources of the type.
            rows = f"SELECT u.number FROM {groups} JOIN resource u ON u.id = m.member_id WHERE {condition}"
            return _Sql(f"r.number IN ({rows})", is_indexed=True)
        return _Sql(f"EXISTS (SELECT 1 FROM {groups} WHERE m.member_id = r.id AND {condition})")


TEXT_OPERATORS: Final[Mapping[tuple[Dialect, str], str]] = {
    ("sqlite", "co"): "instr({held}, {mark}) > 0",
    ("sqlite", "sw"): "substr({held}, 1, length({mark})) = {mark}",
    ("sqlite", "ew"): "substr({held}, -length({mark})) = {mark}",
    ("postgresql", "co"): "strpos({held}, {mark}) > 0",
    ("postgresql", "sw"): "starts_with({held}, {mark})",
    ("postgresql", "ew"): "right({held}, length({mark})) = {mark}",
}


def path_text(resource_type: ResourceType, keys: Keys) -> str:
    """The name of a path in `indexed_value`, for example `emails.value`; behind its URN if it is an extension's."""
    if any(keys[0] == schema.id for schema in resource_type.extensions):
        return f"{keys[0]}:{'.'.join(keys[1:])}"
    return ".".join(keys)


def _joined(word: str, parts: Sequence[_Sql]) -> _Sql:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return _Sql("TRUE") if word == "AND" else _Sql("FALSE", is_indexed=True)
    # Databases use indexes for the parts of an OR only if they think well of it.
    is_indexed = word == "AND" and any(part.is_indexed for part in parts)
    return _Sql(f"({f' {word} '.join(part.text for part in parts)})", is_indexed)


def _following(prefix: str) -> str | None:
    """The first text behind all that begin with `prefix`, in the order of code points; None if there is none."""
    for position in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[position])
        if code < GREATEST:
            # Halves of surrogate pairs are no characters.
            return prefix[:position] + chr(0xE000 if code == 0xD7FF else code + 1)
    return None
