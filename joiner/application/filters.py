"""Filters to SQL: `eq` joined by `and` on the attributes that have an index. What cannot be translated is refused;
a filter never falls back to reading everything (REQ-S-158: values are parameters, always)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joiner.scim.errors import InvalidFilterError
from joiner.scim.schemas import ResourceType
from joiner.scim.strings import prepare_text, prepare_user_name
from joiner.scim.tree import Comparison, Filter, Path, conjuncts


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL that follows WHERE, with its parameters."""

    sql: str
    parameters: tuple[Any, ...]


def _text(prepare: Callable[[str], str] = str) -> Callable[[Any, str], Any]:
    def convert(value: Any, name: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise InvalidFilterError(f"'{name}' is compared with text")
        return prepare(str(value))

    return convert


def _boolean(value: Any, name: str) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return int(value.lower() == "true")
    raise InvalidFilterError(f"'{name}' is compared with true or false")


MEMBERS: Final = "EXISTS (SELECT 1 FROM membership WHERE group_id = resource.id AND member_id = ?)"
SEARCHABLE: Final[Mapping[str, Mapping[str, tuple[str, Callable[[Any, str], Any]]]]] = {
    "User": {
        "id": ("id = ?", _text()),
        "username": ("user_name_key = ?", _text(prepare_user_name)),
        "externalid": ("external_id = ?", _text()),
        "displayname": ("display_name_key = ?", _text(prepare_text)),
        "active": ("active = ?", _boolean),
        "manager": ("manager_id = ?", _text()),
        "manager.value": ("manager_id = ?", _text()),
    },
    "Group": {
        "id": ("id = ?", _text()),
        "externalid": ("external_id = ?", _text()),
        "displayname": ("display_name_key = ?", _text(prepare_text)),
        "members": (MEMBERS, _text()),
        "members.value": (MEMBERS, _text()),
    },
}
"""Resource type → lower-cased attribute → SQL, and what prepares the value."""


def compile_filter(resource_type: ResourceType, tree: Filter) -> Condition:
    """Raises InvalidFilterError naming the attribute or operator that cannot be searched by."""
    parts, parameters = [], []
    for term in conjuncts(tree):
        if not isinstance(term, Comparison):
            raise InvalidFilterError("only comparisons joined by 'and' are supported")
        name = _name(resource_type, term.path)
        entry = SEARCHABLE[resource_type.name].get(name)
        if entry is None:
            known = ", ".join(_spelling(resource_type, key) for key in SEARCHABLE[resource_type.name] if "." not in key)
            raise InvalidFilterError(f"{resource_type.name} cannot be searched by '{term.path}'; use {known}")
        if term.operator != "eq":
            raise InvalidFilterError(f"the operator '{term.operator}' is not supported on '{term.path}'; use eq")
        sql, convert = entry
        parts.append(sql)
        parameters.append(convert(term.value, str(term.path)))
    return Condition(" AND ".join(parts), tuple(parameters))


def _name(resource_type: ResourceType, path: Path) -> str:
    """The lower-cased attribute, without URN where the URN is one of the type's own."""
    if path.filter is not None:
        return str(path)
    if path.urn is not None and path.urn.lower() not in {urn.lower() for urn in resource_type.urns}:
        return str(path)
    attribute = path.attribute.lower()
    return f"{attribute}.{path.sub_attribute.lower()}" if path.sub_attribute else attribute


def _spelling(resource_type: ResourceType, folded: str) -> str:
    known = resource_type.core.get(folded)
    return known.name if known else folded
