"""Target attributes of mappings, such as `emails[type eq "work"].value`: reading them from a resource the target sent,
writing them into the body of a create (attribute mapping §6). Compiled once per mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joiner.errors import InvalidValueError
from joiner.scim.errors import ScimError
from joiner.scim.grammar import KNOWN_URNS, parse_path
from joiner.scim.tree import Comparison

CORE_URNS = KNOWN_URNS[:2]
REFERENCES = frozenset({"manager"})
"""Complex attributes that a mapping writes as if they were their `value`."""
VALUE = "value"


@dataclass(frozen=True, slots=True)
class TargetPath:
    """Where a mapped attribute stands in a resource."""

    text: str
    extension: str | None
    """URN of the extension that holds the attribute, None for the core."""
    attribute: str
    selector: tuple[str, Any] | None
    """Sub-attribute and value of the element that is meant, for example ("type", "work")."""
    sub_attribute: str | None

    @property
    def container(self) -> tuple[str | None, str]:
        """What mappings must agree on: the same in each that writes to the same attribute of the resource."""
        return self.extension and self.extension.lower(), self.attribute.lower()

    def read(self, resource: Mapping[str, Any]) -> Any:
        """The value in a resource, None if there is none. Attribute names may be in any case."""
        holder: Any = resource if self.extension is None else _member(resource, self.extension)
        value = _member(holder, self.attribute)
        if self.selector is not None:
            value = _element(value, *self.selector)
        if self.sub_attribute is not None:
            value = _member(value, self.sub_attribute)
        elif self.attribute.lower() in REFERENCES and isinstance(value, Mapping):
            value = _member(value, "value")
        return None if value in ("", [], {}) else value

    def write(self, body: dict[str, Any], value: Any) -> None:
        """Puts the value into a body; mappings of the same element or complex attribute share it."""
        holder: dict[str, Any] = body if self.extension is None else body.setdefault(self.extension, {})
        if self.selector is not None:
            name, wanted = self.selector
            elements: list[dict[str, Any]] = holder.setdefault(self.attribute, [])
            element = next((item for item in elements if isinstance(item, dict) and item.get(name) == wanted), None)
            if element is None:
                element = {name: wanted}
                elements.append(element)
            element[self.sub_attribute or VALUE] = value
        elif self.sub_attribute is not None:
            holder.setdefault(self.attribute, {})[self.sub_attribute] = value
        elif self.attribute.lower() in REFERENCES:
            holder[self.attribute] = {"value": value}
        else:
            # A list of its own: mappings with a selector may add elements to it.
            holder[self.attribute] = list(value) if isinstance(value, list) else value


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
    return TargetPath(text, extension, path.attribute, selector, sub_attribute)


def _literal(name: str, value: Any) -> Any:
    # `roles[primary eq "True"]` means the boolean (D-05).
    return str(value).lower() == "true" if name.lower() == "primary" else value


def _member(holder: Any, name: str) -> Any:
    if not isinstance(holder, Mapping):
        return None
    if name in holder:
        return holder[name]
    folded = name.lower()
    return next((value for key, value in holder.items() if key.lower() == folded), None)


def _element(value: Any, name: str, wanted: Any) -> Any:
    for element in value if isinstance(value, list) else ():
        held = _member(element, name)
        if held == wanted or str(held).lower() == str(wanted).lower():
            return element
    return None
