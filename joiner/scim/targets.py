"""Where an operation of a PATCH acts: paths and names, resolved to attributes once and remembered (RFC 7644 §3.5.2,
§3.10)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from joiner.scim.conditions import bind_element
from joiner.scim.errors import InvalidPathError, MutabilityError
from joiner.scim.evaluation import holds
from joiner.scim.grammar import parse_path
from joiner.scim.literals import typed_literal
from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.scim.search import element_form
from joiner.scim.tree import Comparison, Filter, Path, conjuncts

MOST_TYPES: Final = 64
MOST_PATHS: Final = 1024
"""So many paths of a resource type are remembered, the latest ones."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What stands in brackets: which elements of a multi-valued attribute are meant."""

    meets: Callable[[Any], bool]
    """Whether an element is meant."""
    template: Mapping[str, Any] | None
    """The element that the filter describes, if it has only `eq` terms joined by `and` (T6, T7)."""


@dataclass(frozen=True, slots=True)
class Target:
    """The attribute, the extension that it is of, and the part of it that is meant."""

    attribute: Attribute
    extension: Schema | None
    choice: Choice | None
    sub: Attribute | None
    name: str
    """How errors name it."""
    asserted: tuple[str, ...]
    """Lower-cased names that tell that it was written; of an extension its URN, and the attribute's name behind it."""
    secret: str | None
    """The name under which it is kept apart because it is never returned."""
    has_required_parts: bool
    """Whether a complex value of the attribute has sub-attributes that it must have."""


class Targets:
    """The targets of one resource type in one profile."""

    def __init__(self, resource_type: ResourceType, strict: bool) -> None:
        self._resource_type = resource_type
        self._strict = strict
        self.at = lru_cache(MOST_PATHS)(self._at)
        self.named = lru_cache(MOST_PATHS)(self._named)

    def parsed(self, text: str) -> Path:
        """Raises InvalidPathError, InvalidFilterError for what stands in brackets."""
        return parse_path(text, self._resource_type.urns, strict=self._strict)

    def _at(self, path: str) -> Target | Schema:
        """Where the path of an operation leads; the URN of an extension leads to all of it.

        Raises InvalidPathError for what the schemas do not have, InvalidFilterError for what stands in brackets,
        MutabilityError for what only the server writes (REQ-S-250).
        """
        parsed = self.parsed(path)
        if not parsed.attribute:
            schema = self._resource_type.by_urn.get((parsed.urn or "").lower())
            if schema is None:
                raise InvalidPathError(f"'{_shown(path)}' is not an extension of {self._resource_type.name}")
            return schema
        target = self._target(parsed)
        if _is_read_only(target):
            raise MutabilityError(f"'{target.name}' is written by the server only")
        return target

    def _named(self, name: str) -> Target | Schema | None:
        """Where a name in an object without path leads (T5); None for what is ignored there: what is unknown (T13), and
        what only the server writes (T16).

        Raises InvalidFilterError, and if it is strict MutabilityError for what only the server writes.
        """
        schema = self._resource_type.by_urn.get(name.lower())
        if schema is not None:
            return schema
        try:
            parsed = self.parsed(name)
            target = self._target(parsed) if parsed.attribute else None
        except InvalidPathError:
            return None
        if target is None or is_schemas(target):
            return None
        if _is_read_only(target):
            if self._strict:
                raise MutabilityError(f"'{target.name}' is written by the server only")
            return None
        return target

    def _target(self, path: Path) -> Target:
        attribute, extension = self._found(path)
        name, sub = attribute.name, None
        if path.sub_attribute is not None:
            sub = attribute.by_name.get(path.sub_attribute.lower())
            if sub is None:
                raise InvalidPathError(f"'{attribute.name}' has no sub-attribute '{_shown(path.sub_attribute)}'")
            name = f"{attribute.name}.{sub.name}"
        choice = None
        if path.filter is not None:
            if not attribute.multi_valued:
                raise InvalidPathError(f"'{attribute.name}' has one value, so nothing can be chosen in brackets")
            choice = _choice(attribute, path.filter, strict=self._strict)
        asserted: tuple[str, ...] = (attribute.name.lower(),)
        place = ""
        if extension is not None:
            asserted = (extension.id.lower(), f"{extension.id}:{attribute.name}".lower())
            place = f"{extension.id}:"
        is_secret = attribute.returned == "never" or (sub is not None and sub.returned == "never")
        secret = f"{place}{name}" if is_secret else None
        has_required_parts = any(part.required for part in attribute.sub_attributes)
        return Target(attribute, extension, choice, sub, name, asserted, secret, has_required_parts)

    def _found(self, path: Path) -> tuple[Attribute, Schema | None]:
        resource_type, name = self._resource_type, path.attribute.lower()
        if path.urn is not None and path.urn.lower() != resource_type.schema.id.lower():
            schema = resource_type.by_urn.get(path.urn.lower())
            if schema is not None and name in schema.by_name:
                return schema.by_name[name], schema
        elif name in resource_type.core:
            return resource_type.core[name], None
        elif path.urn is None and not self._strict:
            # An attribute of an extension without its URN (T14).
            sole = resource_type.sole_extension_of(name)
            if sole is not None:
                return sole.by_name[name], sole
        shown = _shown(str(Path(path.urn, path.attribute)))
        raise InvalidPathError(f"'{shown}' is not an attribute of {resource_type.name}")


@lru_cache(maxsize=2 * MOST_TYPES)
def targets_of(resource_type: ResourceType, strict: bool) -> Targets:
    """The targets of a resource type in the strict or the lenient profile."""
    return Targets(resource_type, strict)


def is_schemas(target: Target) -> bool:
    """Whether it is `schemas`, which the server derives from what a resource has (REQ-S-013)."""
    return target.attribute.name == "schemas" and target.extension is None


def element_filter(attribute: Attribute, tree: Filter, *, strict: bool = False) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an element of a complex attribute meets the filter. Raises InvalidFilterError for a filter that cannot
    be asked, whatever the elements are."""
    condition = bind_element(tree, attribute, strict=strict)
    return lambda element: holds(condition, element_form(attribute, element))


def described_element(attribute: Attribute, tree: Filter) -> dict[str, Any] | None:
    """The element that a filter of `eq` terms joined by `and` describes; None for any other filter (T6, T7)."""
    element: dict[str, Any] = {}
    for term in conjuncts(tree):
        if not isinstance(term, Comparison) or term.operator != "eq" or term.value is None:
            return None
        sub = attribute.by_name[term.path.attribute.lower()]
        element[sub.name] = typed_literal(sub, term.value)
    return element


def _choice(attribute: Attribute, tree: Filter, *, strict: bool) -> Choice:
    if attribute.kind == "complex":
        meets = element_filter(attribute, tree, strict=strict)
        described = described_element(attribute, tree)
        if described is not None:
            writable = {name: value for name, value in described.items() if _is_writable(attribute, name)}
            # Terms that contradict each other describe nothing.
            described = writable if meets(described) else None
        return Choice(meets, described)
    value = Attribute("value", attribute.kind, case_exact=attribute.case_exact)
    whole = Attribute(attribute.name, "complex", multi_valued=True, sub_attributes=(value,))
    meets_value = element_filter(whole, tree, strict=strict)
    return Choice(lambda item: meets_value({"value": item}), described_element(whole, tree))


def _is_writable(attribute: Attribute, name: str) -> bool:
    return attribute.by_name[name.lower()].mutability != "readOnly"


def _is_read_only(target: Target) -> bool:
    sub = target.sub
    return target.attribute.mutability == "readOnly" or (sub is not None and sub.mutability == "readOnly")


def _shown(text: str) -> str:
    """As an error shows it."""
    return text if len(text) <= 100 else f"{text[:100]}…"
