"""Target attributes of mappings, such as `emails[type eq "work"].value`: reading them from a resource the target sent,
writing them into the body of a create (attribute mapping §6). Compiled once per mapping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from joiner.errors import InvalidValueError
from joiner.scim.errors import ScimError
from joiner.scim.grammar import KNOWN_URNS, parse_path
from joiner.scim.tree import Comparison

CORE_URNS: Final = KNOWN_URNS[:2]
REFERENCES: Final = frozenset({"manager"})
"""Complex attributes that a mapping writes as if they were their `value`."""
VALUE: Final = "value"


@dataclass(frozen=True, slots=True)
class TargetPath:
    """Where a mapped attribute stands in a resource."""

    text: str
    """As the mapping writes it."""
    extension: str | None
    """URN of the extension that holds the attribute, None for the core."""
    attribute: str
    selector: tuple[str, Any] | None
    """Sub-attribute and value of the element that is meant, for example ("type", "work")."""
    sub_attribute: str | None
    is_reference: bool

    @property
    def container(self) -> tuple[str | None, str]:
        """What mappings must agree on: the same in each that writes to the same attribute of the resource."""
        return self.extension and self.extension.lower(), self.attribute.lower()

    @property
    def attribute_path(self) -> str:
        """The path of the whole attribute, without element and sub-attribute."""
        return self.attribute if self.extension is None else f"{self.extension}:{self.attribute}"

    @property
    def strict_text(self) -> str:
        """The path as RFC 7644 §3.5.2 wants it: booleans are compared with booleans."""
        if self.selector is None:
            return self.text
        name, wanted = self.selector
        return f"{self.attribute_path}[{name} eq {orjson.dumps(wanted).decode()}].{self.sub_attribute}"

    def read(self, resource: Mapping[str, Any]) -> Any:
        """The value in a resource, None if there is none. Attribute names may be in any case."""
        holder: Any = resource if self.extension is None else _member(resource, self.extension)
        value = _member(holder, self.attribute)
        if self.selector is not None:
            value = _element(value, *self.selector)
        if self.sub_attribute is not None:
            value = _member(value, self.sub_attribute)
        elif self.is_reference and isinstance(value, dict):
            value = _member(value, VALUE)
        return None if value is None or value in ("", [], {}) else value

    def values(self, resource: Mapping[str, Any]) -> Sequence[Any]:
        """All values that a filter on the path may look at: those of every element, whatever the path selects."""
        holder = resource if self.extension is None else _member(resource, self.extension)
        value = _member(holder, self.attribute)
        name = self.sub_attribute or (VALUE if self.is_reference else None)
        found = []
        for item in value if isinstance(value, list) else (value,):
            single = _member(item, name or VALUE) if isinstance(item, dict) else None if name else item
            if single is not None and not isinstance(single, (dict, list)):
                found.append(single)
        return found

    def elements(self, resource: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """All elements of the multi-valued attribute, whatever the path selects."""
        value = _member(resource if self.extension is None else _member(resource, self.extension), self.attribute)
        return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

    def has_element(self, resource: Mapping[str, Any]) -> bool:
        """Whether the element that the path selects exists; True for paths that select none."""
        return self.selector is None or _element(self.elements(resource), *self.selector) is not None

    def write(self, body: dict[str, Any], value: Any) -> dict[str, Any] | None:
        """Puts the value into a body; mappings of the same element or complex attribute share it. Returns the element
        that the path selects, if it selects one."""
        holder: dict[str, Any] = body if self.extension is None else body.setdefault(self.extension, {})
        if self.selector is not None:
            return self.write_element(holder.setdefault(self.attribute, []), value)
        if self.sub_attribute is not None:
            holder.setdefault(self.attribute, {})[self.sub_attribute] = value
        elif self.is_reference:
            holder[self.attribute] = {VALUE: value}
        elif isinstance(value, list):
            # A list of its own, and beside the elements that mappings with a selector add.
            holder[self.attribute] = [*value, *holder.get(self.attribute, ())]
        else:
            holder[self.attribute] = value
        return None

    def write_element(self, elements: list[Any], value: Any) -> dict[str, Any]:
        """Puts the value into the element that the path selects, which is added if it is missing; returns it."""
        assert self.selector is not None
        name, wanted = self.selector
        for element in elements:
            if isinstance(element, dict) and element.get(name) == wanted:
                break
        else:
            element = {name: wanted}
            elements.append(element)
        element[self.sub_attribute or VALUE] = value
        found: dict[str, Any] = element
        return found


def compile_path(text: str) -> TargetPath:
    """Raises InvalidValueError if the name of a target attribute cannot be read."""
    try:
        path = parse_path(text)
    except ScimError as error:
        raise InvalidValueError(f"'{text}' is not a SCIM attribute path: {error}") from None
    if not path.attribute:
        raise InvalidValueError(f"'{text}' names a schema, not an attribute")
    selector = None
    if path.filter is not None:
        condition = path.filter
        if not isinstance(condition, Comparison) or condition.operator != "eq" or condition.path.sub_attribute:
            raise InvalidValueError(f"'{text}': only one comparison such as [type eq \"work\"] can stand in brackets")
        selector = condition.path.attribute, _literal(condition.path.attribute, condition.value)
    extension = None if path.urn in CORE_URNS else path.urn
    sub_attribute = path.sub_attribute or (VALUE if selector is not None else None)
    is_reference = sub_attribute is None and path.attribute.lower() in REFERENCES
    return TargetPath(text, extension, path.attribute, selector, sub_attribute, is_reference)


def _literal(name: str, value: Any) -> Any:
    # `roles[primary eq "True"]` means the boolean (D-05).
    return str(value).lower() == "true" if name.lower() == "primary" else value


def _member(holder: Any, name: str) -> Any:
    if not isinstance(holder, dict):
        return None
    if name in holder:
        return holder[name]
    folded, length = name.lower(), len(name)
    for key in holder:
        if len(key) == length and key.lower() == folded:
            return holder[key]
    return None


def _element(value: Any, name: str, wanted: Any) -> Any:
    for element in value if isinstance(value, list) else ():
        held = _member(element, name)
        if held == wanted or str(held).lower() == str(wanted).lower():
            return element
    return None
