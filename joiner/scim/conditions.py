"""What a filter means for a resource type: attributes found, operators checked, literals in search form
(RFC 7644 §3.4.2.2). Whoever has the data decides by a `Condition` whether a resource matches.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from joiner.scim.attributes import Found, Keys, find_attribute
from joiner.scim.comparison import compares
from joiner.scim.errors import InvalidFilterError
from joiner.scim.literals import searched_literal
from joiner.scim.schemas import Attribute, Kind, ResourceType
from joiner.scim.search import is_secret
from joiner.scim.tree import And, Comparison, Filter, Not, Or, Path, ValuePath


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison. It is false for what is unassigned."""

    keys: Keys
    """Lead to the value in the search document, or in an element; empty for an element that is itself the value."""
    operator: str
    """`pr`, `eq`, `co`, `sw`, `ew`, `gt`, `ge`, `lt` or `le`; the others are expressed by these."""
    kind: Kind
    value: Any = None
    """In search form."""


@dataclass(frozen=True, slots=True)
class Elements:
    """One element of a multi-valued attribute meets the whole condition."""

    keys: Keys
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Negation:
    part: "Condition"


Condition = Term | Elements | AllOf | AnyOf | Negation

ALWAYS: Final = AllOf(())
NEVER: Final = AnyOf(())
TEXT_OPERATORS: Final = frozenset({"co", "sw", "ew"})
ORDER_OPERATORS: Final = frozenset({"gt", "ge", "lt", "le"})


def bind_filter(
    tree: Filter, resource_type: ResourceType, *, strict: bool = False, unknown_is_unassigned: bool = False
) -> Condition:
    """The meaning of a filter for the type.

    With `unknown_is_unassigned` an attribute that the type does not have counts as one without a value (REQ-S-117).
    `strict` allows no literal of another type than the attribute's, and no attribute of an extension without its URN.
    Raises InvalidFilterError naming the attribute or the operator.
    """
    return _bind(tree, _ResourceBinder(resource_type, strict, unknown_is_unassigned).leaf)


def bind_element(tree: Filter, attribute: Attribute, *, strict: bool = False) -> Condition:
    """The meaning of a filter in brackets for one element of `attribute`. Raises InvalidFilterError."""
    return _bind(tree, _ElementBinder(attribute, frozenset(), (), strict).leaf)


def conjoined(parts: Iterable[Condition]) -> Condition:
    """All of them, in the shortest way to say it."""
    found: list[Condition] = []
    for part in parts:
        found += part.parts if isinstance(part, AllOf) else (part,)
    if NEVER in found:
        return NEVER
    return found[0] if len(found) == 1 else AllOf(tuple(found))


def disjoined(parts: Iterable[Condition]) -> Condition:
    """One of them, in the shortest way to say it."""
    found: list[Condition] = []
    for part in parts:
        found += part.parts if isinstance(part, AnyOf) else (part,)
    if ALWAYS in found:
        return ALWAYS
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def negated(part: Condition) -> Condition:
    """The opposite, in the shortest way to say it."""
    if isinstance(part, Negation):
        return part.part
    return NEVER if part == ALWAYS else ALWAYS if part == NEVER else Negation(part)


def _bind(tree: Filter, leaf: Callable[[Comparison | ValuePath], Condition]) -> Condition:
    """What `and`, `or` and `not` mean is the same everywhere; `leaf` knows the attributes."""
    match tree:
        case And(left, right):
            return conjoined((_bind(left, leaf), _bind(right, leaf)))
        case Or(left, right):
            return disjoined((_bind(left, leaf), _bind(right, leaf)))
        case Not(operand):
            return negated(_bind(operand, leaf))
    return leaf(tree)


class _ResourceBinder:
    """Binds what stands outside of square brackets."""

    def __init__(self, resource_type: ResourceType, strict: bool, unknown_is_unassigned: bool) -> None:
        self._resource_type = resource_type
        self._strict = strict
        self._unknown_is_unassigned = unknown_is_unassigned

    def leaf(self, tree: Comparison | ValuePath) -> Condition:
        path = tree.path
        if not path.attribute:
            return self._extension(tree)
        found = find_attribute(self._resource_type, path, strict=self._strict)
        if found is None:
            return self._unknown(tree, f"'{_named(path)}' is not an attribute of {self._resource_type.name}")
        if is_secret(found.attribute):
            _refuse(found.attribute.name)
        sub = None
        if path.sub_attribute is not None:
            sub = found.attribute.by_name.get(path.sub_attribute.lower())
            if sub is None:
                message = f"'{found.attribute.name}' has no sub-attribute '{path.sub_attribute}'"
                return self._unknown(tree, message)
        if path.filter is not None:
            return self._elements(tree, found, path.filter, sub)
        assert isinstance(tree, Comparison)
        return self._comparison(tree, found, sub)

    def _comparison(self, tree: Comparison, found: Found, sub: Attribute | None) -> Condition:
        attribute, keys = found.attribute, found.keys
        if attribute.kind != "complex":
            if keys == ("schemas",):
                return _schemas(tree, self._resource_type, self._strict)
            return _operated(tree, attribute, None, keys, self._strict)
        if sub is None:
            if _asks_for_presence(tree):
                return _with_negation(tree, _presence(keys))
            sub = attribute.by_name.get("value", attribute)
        _check_part(found.attribute, sub, found.derived)
        if (*keys, sub.name) == ("meta", "resourceType"):
            return _resource_type(tree, self._resource_type, self._strict)
        if attribute.multi_valued:
            return _several(tree, keys, attribute, sub, self._strict)
        return _operated(tree, sub, attribute, (*keys, sub.name), self._strict)

    def _elements(
        self, tree: Comparison | ValuePath, found: Found, condition: Filter, sub: Attribute | None
    ) -> Condition:
        """`emails[…]`, and `emails[…].value eq "x"`: one element meets both (REQ-S-139, REQ-S-140)."""
        attribute, keys = found.attribute, found.keys
        if attribute.kind != "complex":
            raise InvalidFilterError(f"'{attribute.name}' has no sub-attributes to choose by")
        prefix = () if attribute.multi_valued else keys
        chosen = _bind(condition, _ElementBinder(attribute, found.derived, prefix, self._strict).leaf)
        parts = [chosen]
        if isinstance(tree, Comparison):
            assert sub is not None
            _check_part(attribute, sub, found.derived)
            # The sign belongs outside: `ne` says that no chosen element equals.
            parts.append(_positive(tree, sub, attribute, (*prefix, sub.name), self._strict))
        if attribute.multi_valued:
            return _with_negation(tree, Elements(keys, conjoined(parts)))
        return _with_negation(tree, conjoined((_presence(keys), *parts)))

    def _extension(self, tree: Comparison | ValuePath) -> Condition:
        """A URN alone: whether the resource has anything of the extension."""
        urn = (tree.path.urn or "").lower()
        schema = self._resource_type.by_urn.get(urn)
        if schema is None and urn != self._resource_type.schema.id.lower():
            return self._unknown(tree, f"'{_named(tree.path)}' is not a schema of {self._resource_type.name}")
        if isinstance(tree, ValuePath) or not _asks_for_presence(tree):
            raise InvalidFilterError(f"'{_named(tree.path)}' is a schema, and can only be asked for by pr")
        return _with_negation(tree, ALWAYS if schema is None else _presence((schema.id,)))

    def _unknown(self, tree: Comparison | ValuePath, message: str) -> Condition:
        if not self._unknown_is_unassigned:
            raise InvalidFilterError(message)
        return _with_negation(tree, NEVER)


class _ElementBinder:
    """Binds what stands in brackets. `prefix` leads to the only element of an attribute with one value."""

    def __init__(self, attribute: Attribute, derived: frozenset[str], prefix: Keys, strict: bool) -> None:
        self._attribute = attribute
        self._derived = derived
        self._prefix = prefix
        self._strict = strict

    def leaf(self, tree: Comparison | ValuePath) -> Condition:
        path = tree.path
        if not isinstance(tree, Comparison) or path.filter is not None:
            raise InvalidFilterError("a filter in brackets cannot have square brackets itself")
        sub = self._attribute.by_name.get(path.attribute.lower())
        if sub is None or path.urn is not None or path.sub_attribute is not None:
            raise InvalidFilterError(f"'{self._attribute.name}' has no sub-attribute '{_named(path)}'")
        _check_part(self._attribute, sub, self._derived)
        return _operated(tree, sub, self._attribute, (*self._prefix, sub.name), self._strict)


# Comparisons


def _operated(tree: Comparison, attribute: Attribute, parent: Attribute | None, keys: Keys, strict: bool) -> Condition:
    return _with_negation(tree, _positive(tree, attribute, parent, keys, strict))


def _several(tree: Comparison, keys: Keys, attribute: Attribute, sub: Attribute, strict: bool) -> Condition:
    """Any element is enough, and for `ne` none may equal (REQ-S-137, REQ-S-160)."""
    return _with_negation(tree, Elements(keys, _positive(tree, sub, attribute, (sub.name,), strict)))


def _positive(tree: Comparison, attribute: Attribute, parent: Attribute | None, keys: Keys, strict: bool) -> Condition:
    """The comparison without its negation: `ne` as `eq`, `eq null` and `ne null` as `pr`."""
    if attribute.multi_valued and not _asks_for_presence(tree):
        return Elements(keys, _term(tree, attribute, parent, (), strict))
    return _term(tree, attribute, parent, keys, strict)


def _term(tree: Comparison, attribute: Attribute, parent: Attribute | None, keys: Keys, strict: bool) -> Term:
    operator, kind = tree.operator, attribute.kind
    if _asks_for_presence(tree):
        return Term(keys, "pr", kind)
    if tree.value is None:
        raise InvalidFilterError(f"'{operator} null' has no meaning; use pr, 'eq null' or 'ne null'")
    value = searched_literal(attribute, tree.value, parent, strict=strict)
    if operator in TEXT_OPERATORS and kind not in ("string", "reference"):
        raise InvalidFilterError(f"'{operator}' cannot be used on {kind} '{attribute.name}'")
    if operator in ORDER_OPERATORS and kind in ("boolean", "binary"):
        raise InvalidFilterError(f"'{operator}' cannot be used on {kind} '{attribute.name}'")
    if operator in TEXT_OPERATORS and value == "":
        # Every text contains, begins and ends with nothing.
        return Term(keys, "pr", kind)
    return Term(keys, "eq" if operator == "ne" else operator, kind, value)


def _with_negation(tree: Comparison | ValuePath, positive: Condition) -> Condition:
    """`ne` is the opposite of `eq`, so it is true for what is unassigned; `eq null` is the opposite of `pr`."""
    if isinstance(tree, ValuePath) or tree.operator not in ("eq", "ne"):
        return positive
    return negated(positive) if (tree.operator == "ne") is not (tree.value is None) else positive


def _asks_for_presence(tree: Comparison) -> bool:
    return tree.operator == "pr" or (tree.value is None and tree.operator in ("eq", "ne"))


def _presence(keys: Keys) -> Condition:
    """Whether a complex attribute has any part. Every resource has `meta`, wherever it is kept."""
    return ALWAYS if keys == ("meta",) else Term(keys, "pr", "complex")


def _check_part(attribute: Attribute, sub: Attribute, derived: frozenset[str]) -> None:
    if sub.name in derived or is_secret(sub):
        _refuse(f"{attribute.name}.{sub.name}")


def _refuse(name: str) -> NoReturn:
    raise InvalidFilterError(f"nothing can be found by '{name}'")


def _named(path: Path) -> str:
    return str(Path(path.urn, path.attribute, None, path.sub_attribute))[:200]


# What is known from the type


def _schemas(tree: Comparison, resource_type: ResourceType, strict: bool) -> Condition:
    """A resource has the schema of its type, and those extensions that it has data of (REQ-S-013). URNs are the same
    whatever their case (RFC 7643 §2.1)."""
    attribute = resource_type.core["schemas"]
    term = _term(tree, attribute, None, (), strict)
    wanted = term.value.lower() if isinstance(term.value, str) else None
    if compares(term.operator, resource_type.schema.id.lower(), wanted):
        return _with_negation(tree, ALWAYS)
    extensions = (
        _presence((schema.id,))
        for schema in resource_type.extensions
        if compares(term.operator, schema.id.lower(), wanted)
    )
    return _with_negation(tree, disjoined(extensions))


def _resource_type(tree: Comparison, resource_type: ResourceType, strict: bool) -> Condition:
    """`meta.resourceType` is the same for all resources of a type."""
    meta = resource_type.core["meta"]
    term = _term(tree, meta.by_name["resourcetype"], meta, (), strict)
    return _with_negation(tree, ALWAYS if compares(term.operator, resource_type.name, term.value) else NEVER)
