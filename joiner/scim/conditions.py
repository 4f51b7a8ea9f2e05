"""What a filter means for a resource type: attributes found, operators checked, literals in search form
(RFC 7644 §3.4.2.2). Whoever has the data decides from a `Condition` whether it matches; `holds` does so in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joiner.scim.errors import InvalidFilterError
from joiner.scim.schemas import Attribute, ResourceType
from joiner.scim.search import moment, search_form
from joiner.scim.tree import And, Comparison, Filter, Literal, Not, Or, Path, ValuePath

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison. `keys` lead to the attribute in the search document, or in an element of `Elements`."""

    keys: Keys
    operator: str
    """`pr`, `eq`, `co`, `sw`, `ew`, `gt`, `ge`, `lt` or `le`; other operators are expressed by these."""
    value: Any = None
    kind: str = "string"
    many: bool = False
    """The attribute has several values, of which one has to pass."""
    sub: str | None = None
    """The part of each of several values that is compared."""


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
    """Not the condition."""

    part: "Condition"


Condition = Test | Elements | AllOf | AnyOf | Negation

ALWAYS: Final = AllOf(())
NEVER: Final = AnyOf(())
TEXT_OPERATORS: Final = frozenset({"co", "sw", "ew"})
ORDER_OPERATORS: Final = frozenset({"gt", "ge", "lt", "le"})
UNSEARCHABLE: Final[Mapping[str, frozenset[str]]] = {
    "meta": frozenset({"location"}),
    "groups": frozenset({"$ref", "type"}),
    "members": frozenset({"$ref", "display"}),
    "manager": frozenset({"$ref", "displayname"}),
}
"""Attributes that are made for each answer, and so cannot be compared with anything."""


def bind_filter(tree: Filter, resource_type: ResourceType, *, unknown_is_unassigned: bool = False) -> Condition:
    """The meaning of a filter for the type. With `unknown_is_unassigned` an attribute that the type does not have
    counts as one without a value (REQ-S-117). Raises InvalidFilterError naming the attribute or operator."""
    match tree:
        case And():
            return AllOf(
                tuple(
                    bind_filter(each, resource_type, unknown_is_unassigned=unknown_is_unassigned)
                    for each in (tree.left, tree.right)
                )
            )
        case Or():
            return AnyOf(
                tuple(
                    bind_filter(each, resource_type, unknown_is_unassigned=unknown_is_unassigned)
                    for each in (tree.left, tree.right)
                )
            )
        case Not(operand):
            return Negation(bind_filter(operand, resource_type, unknown_is_unassigned=unknown_is_unassigned))
    path = tree.path
    found = find_attribute(resource_type, path)
    if found is None:
        if not unknown_is_unassigned:
            raise InvalidFilterError(f"'{path}' is not an attribute of {resource_type.name}")
        return _unassigned(tree)
    keys, attribute = found
    if attribute.returned == "never" or attribute.mutability == "writeOnly":
        raise InvalidFilterError(f"'{attribute.name}' cannot be searched by")
    if path.filter is not None:
        return _bind_elements(tree, keys, attribute)
    assert isinstance(tree, Comparison)
    if keys == ("schemas",):
        return _bind_schemas(tree, resource_type)
    return _bind_comparison(tree, keys, attribute)


def bind_element(tree: Filter, attribute: Attribute) -> Condition:
    """The meaning of a filter in brackets for one element of `attribute`. Raises InvalidFilterError."""
    match tree:
        case And(left, right):
            return AllOf((bind_element(left, attribute), bind_element(right, attribute)))
        case Or(left, right):
            return AnyOf((bind_element(left, attribute), bind_element(right, attribute)))
        case Not(operand):
            return Negation(bind_element(operand, attribute))
        case Comparison(path):
            sub = attribute.by_name.get(path.attribute.lower())
            if sub is None or path.urn is not None or path.sub_attribute is not None or path.filter is not None:
                raise InvalidFilterError(f"'{attribute.name}' has no sub-attribute '{path}'")
            _check_searchable(attribute, sub)
            return _negated(tree, _test(tree, sub, (sub.name,)))
    raise InvalidFilterError("a filter in brackets cannot have brackets itself")


def find_attribute(resource_type: ResourceType, path: Path) -> tuple[Keys, Attribute] | None:
    """The keys of an attribute in a resource, and what it is; None if the type does not have it (T14)."""
    name = path.attribute.lower()
    if path.urn is not None and path.urn.lower() != resource_type.schema.id.lower():
        schema = resource_type.by_urn.get(path.urn.lower())
        attribute = schema.by_name.get(name) if schema is not None else None
        if schema is None or attribute is None:
            return None
        return (schema.id, attribute.name), attribute
    attribute = resource_type.core.get(name)
    if attribute is not None:
        return (attribute.name,), attribute
    sole = resource_type.sole_extension_of(name)
    if sole is None or path.urn is not None:
        return None
    return (sole.id, sole.by_name[name].name), sole.by_name[name]


def holds(condition: Condition, document: Mapping[str, Any]) -> bool:
    """Whether a search document, or an element of one, meets the condition."""
    match condition:
        case AllOf(parts):
            return all(holds(part, document) for part in parts)
        case AnyOf(parts):
            return any(holds(part, document) for part in parts)
        case Negation(part):
            return not holds(part, document)
        case Elements(keys, inner):
            return any(holds(inner, element) for element in _at(document, keys) or ())
        case Test(keys, operator, value, _, many, sub):
            held = _at(document, keys)
            if held is None:
                return False
            if not many:
                return _passes(operator, held, value)
            return any(_passes(operator, each if sub is None else each.get(sub), value) for each in held)


def _at(document: Any, keys: Keys) -> Any:
    for key in keys:
        if document is None:
            return None
        document = document.get(key)
    return document


def _passes(operator: str, held: Any, wanted: Any) -> bool:
    if held is None:
        return False
    match operator:
        case "pr":
            return True
        case "eq":
            return bool(held == wanted)
        case "co":
            return wanted in held
        case "sw":
            return bool(held.startswith(wanted))
        case "ew":
            return bool(held.endswith(wanted))
        case "gt":
            return bool(held > wanted)
        case "ge":
            return bool(held >= wanted)
        case "lt":
            return bool(held < wanted)
    return bool(held <= wanted)


# Binding


def _unassigned(tree: Comparison | ValuePath) -> Condition:
    if isinstance(tree, ValuePath):
        return NEVER
    if tree.operator == "ne":
        return NEVER if tree.value is None else ALWAYS
    return ALWAYS if tree.operator == "eq" and tree.value is None else NEVER


def _bind_elements(tree: Comparison | ValuePath, keys: Keys, attribute: Attribute) -> Condition:
    """`emails[…]`, and `emails[…].value eq "x"`: the same element meets both (REQ-S-139, REQ-S-140)."""
    assert tree.path.filter is not None
    if attribute.kind != "complex":
        raise InvalidFilterError(f"'{attribute.name}' has no sub-attributes to choose by")
    inner = bind_element(tree.path.filter, attribute)
    if isinstance(tree, ValuePath):
        return _chosen(keys, attribute, inner)
    sub = _sub_attribute(attribute, tree.path)
    return _negated(tree, _chosen(keys, attribute, AllOf((inner, _test(tree, sub, (sub.name,))))))


def _chosen(keys: Keys, attribute: Attribute, inner: Condition) -> Condition:
    if attribute.multi_valued:
        return Elements(keys, inner)
    return AllOf((Test(keys, "pr"), _below(keys, inner)))


def _below(keys: Keys, condition: Condition) -> Condition:
    """A condition about an element as one about the attribute itself, which has one value only."""
    match condition:
        case AllOf(parts):
            return AllOf(tuple(_below(keys, part) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(_below(keys, part) for part in parts))
        case Negation(part):
            return Negation(_below(keys, part))
        case Test():
            return Test((*keys, *condition.keys), condition.operator, condition.value, condition.kind)
    raise InvalidFilterError("a filter in brackets cannot have brackets itself")


def _bind_comparison(tree: Comparison, keys: Keys, attribute: Attribute) -> Condition:
    if attribute.kind != "complex":
        if tree.path.sub_attribute is not None:
            raise InvalidFilterError(f"'{attribute.name}' has no sub-attribute '{tree.path.sub_attribute}'")
        return _negated(tree, _test(tree, attribute, keys, many=attribute.multi_valued))
    if tree.path.sub_attribute is None:
        if tree.operator == "pr" or (tree.value is None and tree.operator in ("eq", "ne")):
            return _negated(tree, Test(keys, "pr", kind="complex"))
        sub = attribute.by_name.get("value")
        if sub is None:
            names = ", ".join(each.name for each in attribute.sub_attributes)
            raise InvalidFilterError(f"'{attribute.name}' is compared by one of its parts: {names}")
    else:
        sub = _sub_attribute(attribute, tree.path)
    _check_searchable(attribute, sub)
    if attribute.multi_valued:
        return _negated(tree, _test(tree, sub, keys, many=True, part=sub.name))
    return _negated(tree, _test(tree, sub, (*keys, sub.name)))


def _sub_attribute(attribute: Attribute, path: Path) -> Attribute:
    sub = attribute.by_name.get((path.sub_attribute or "").lower())
    if sub is None:
        raise InvalidFilterError(f"'{attribute.name}' has no sub-attribute '{path.sub_attribute}'")
    _check_searchable(attribute, sub)
    return sub


def _check_searchable(attribute: Attribute, sub: Attribute) -> None:
    if sub.returned == "never" or sub.name.lower() in UNSEARCHABLE.get(attribute.name, ()):
        raise InvalidFilterError(f"'{attribute.name}.{sub.name}' cannot be searched by")


def _bind_schemas(tree: Comparison, resource_type: ResourceType) -> Condition:
    """A resource has the schema of its type, and those extensions that it has data of (REQ-S-013)."""
    attribute = resource_type.core["schemas"]
    test = _test(tree, attribute, ("schemas",))
    core = ALWAYS if _passes(test.operator, resource_type.schema.id, test.value) else NEVER
    extensions = (
        Test((schema.id,), "pr", kind="complex")
        for schema in resource_type.extensions
        if _passes(test.operator, schema.id, test.value)
    )
    return _negated(tree, AnyOf((core, *extensions)))


def _negated(tree: Comparison | ValuePath, test: Condition) -> Condition:
    """`ne` is the opposite of `eq`, also for several values (REQ-S-160); `eq null` is the opposite of `pr`."""
    if isinstance(tree, ValuePath) or tree.operator == "pr":
        return test
    opposite = (tree.operator == "ne") is not (tree.value is None)
    return Negation(test) if opposite else test


def _test(tree: Comparison, attribute: Attribute, keys: Keys, *, many: bool = False, part: str | None = None) -> Test:
    operator, kind = tree.operator, attribute.kind
    if operator == "pr":
        return Test(keys, "pr", None, kind, many, part)
    if tree.value is None:
        if operator not in ("eq", "ne"):
            raise InvalidFilterError(f"'{operator} null' has no meaning")
        return Test(keys, "pr", None, kind, many, part)
    if operator in TEXT_OPERATORS and kind not in ("string", "reference"):
        raise InvalidFilterError(f"'{operator}' cannot be used on {kind} '{attribute.name}'")
    if operator in ORDER_OPERATORS and kind in ("boolean", "binary"):
        raise InvalidFilterError(f"'{operator}' cannot be used on {kind} '{attribute.name}'")
    value = literal(attribute, tree.value)
    if operator in TEXT_OPERATORS and value == "":
        # Every text contains, begins and ends with nothing.
        return Test(keys, "pr", None, kind, many, part)
    return Test(keys, "eq" if operator == "ne" else operator, value, kind, many, part)


def literal(attribute: Attribute, value: Literal) -> Any:
    """A literal in the search form of the attribute; booleans may be text (T3). Raises InvalidFilterError."""
    match attribute.kind:
        case "boolean":
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.lower() in ("true", "false"):
                return value.lower() == "true"
            raise InvalidFilterError(f"'{attribute.name}' is compared with true or false")
        case "integer" | "decimal":
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return value
            raise InvalidFilterError(f"'{attribute.name}' is compared with a number")
        case "dateTime":
            try:
                return moment(str(value))
            except ValueError:
                raise InvalidFilterError(f"'{attribute.name}' is compared with a date and time") from None
    if isinstance(value, bool):
        value = "true" if value else "false"
    return search_form_of_one(attribute, str(value))


def search_form_of_one(attribute: Attribute, text: str) -> Any:
    found = search_form(attribute, [text] if attribute.multi_valued else text)
    return found[0] if attribute.multi_valued else found
