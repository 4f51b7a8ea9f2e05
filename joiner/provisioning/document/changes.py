"""What differs between two schema documents, in the terms of who edits them: mappings and filters added, removed,
changed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from joiner.provisioning.document.completion import object_mappings_of
from joiner.provisioning.mapping.schema import AttributeDefinition, AttributeMapping, Filter, ObjectMapping
from joiner.provisioning.mapping.shape import read_shape

Document = Mapping[str, Any]
Kind = Literal["added", "removed", "changed"]

OWN: Final = frozenset({"attributeMappings", "scope", "source", "name"})
"""Members that are compared by their parts, and a name that means nothing."""


class Change(NamedTuple):
    """One difference."""

    kind: Kind
    place: str
    """The object mapping, such as `User → urn:…:User`, or the object of a directory."""
    what: str
    """`mapping to title`, `scoping filter`, `attribute title`."""
    before: str
    after: str
    """Both in words; '' where there is nothing."""


def changes_between(before: Document, after: Document) -> list[Change]:
    """Differences of rules, mappings, filters and attribute lists; names and order of parts make no difference."""
    return [*_mapping_changes(before, after), *_attribute_changes(before, after)]


def _mapping_changes(before: Document, after: Document) -> Iterator[Change]:
    old, new = _by_objects(before), _by_objects(after)
    for place in dict.fromkeys((*old, *new)):
        if place not in new:
            yield Change("removed", place, "object mapping", "", "")
        elif place not in old:
            yield Change("added", place, "object mapping", "", "")
        else:
            yield from _flow_changes(place, old[place], new[place])
            yield from _scope_changes(place, old[place], new[place])
            yield from _setting_changes(place, old[place], new[place], ObjectMapping, OWN, "")


def _by_objects(document: Document) -> dict[str, Document]:
    return {
        f"{mapping.get('sourceObjectName')} → {mapping.get('targetObjectName')}": mapping
        for mapping in object_mappings_of(document)
    }


def _flow_changes(place: str, before: Document, after: Document) -> Iterator[Change]:
    old, new = (
        _by_name(before, "attributeMappings", "targetAttributeName"),
        _by_name(after, "attributeMappings", "targetAttributeName"),
    )
    for name in dict.fromkeys((*old, *new)):
        what = f"mapping to {name}"
        if name not in new:
            yield Change("removed", place, what, _source(old[name]), "")
        elif name not in old:
            yield Change("added", place, what, "", _source(new[name]))
        else:
            if _source(old[name]) != _source(new[name]):
                yield Change("changed", place, what, _source(old[name]), _source(new[name]))
            yield from _setting_changes(place, old[name], new[name], AttributeMapping, OWN, f"{what}: ")


def _setting_changes(
    place: str, before: Document, after: Document, kind: type[msgspec.Struct], without: frozenset[str], what: str
) -> Iterator[Change]:
    """Members that both documents have a value for, be it the default."""
    old, new = _settings(before, kind), _settings(after, kind)
    for name in old:
        if name not in without and old[name] != new[name]:
            yield Change("changed", place, f"{what}{name}", _shown(old[name]), _shown(new[name]))


def _settings(holder: Document, kind: type[msgspec.Struct]) -> dict[str, Any]:
    settings: dict[str, Any] = msgspec.to_builtins(read_shape(holder, kind)[0])
    return settings


def _scope_changes(place: str, before: Document, after: Document) -> Iterator[Change]:
    old, new = _scope(before), _scope(after)
    if old != new:
        kind: Kind = "added" if not old else "removed" if not new else "changed"
        yield Change(kind, place, "scoping filter", old, new)


def _scope(mapping: Document) -> str:
    scope, _ = read_shape(mapping.get("scope") or {}, Filter)
    return scope_in_words(scope)


def scope_in_words(scope: Filter | None) -> str:
    """Groups are alternatives, the clauses of one must all hold; '' if there is nothing to pass."""
    told = []
    for group in () if scope is None else scope.groups:
        clauses = (
            f"{clause.source_operand_name} {clause.operator_name} "
            f"{', '.join(clause.target_operand.values if clause.target_operand else ())}".rstrip()
            for clause in group.clauses
        )
        told.append(" and ".join(clauses))
    return " or ".join(told)


def _attribute_changes(before: Document, after: Document) -> Iterator[Change]:
    old, new = _attributes(before), _attributes(after)
    for place, name in dict.fromkeys((*old, *new)):
        was, now = old.get((place, name)), new.get((place, name))
        if was != now:
            kind: Kind = "added" if was is None else "removed" if now is None else "changed"
            yield Change(kind, place, f"attribute {name}", _in_words(was), _in_words(now))


def _attributes(document: Document) -> dict[tuple[str, str], AttributeDefinition]:
    return {
        (f"{directory.get('name')}: {each}", name): read_shape(attribute, AttributeDefinition)[0]
        for directory in _objects(document, "directories")
        for each, definition in _by_name(directory, "objects", "name").items()
        for name, attribute in _by_name(definition, "attributes", "name").items()
    }


def _in_words(attribute: AttributeDefinition | None) -> str:
    """What an attribute is beyond what every attribute is: `String, required`."""
    if attribute is None:
        return ""
    settings: dict[str, Any] = msgspec.to_builtins(attribute)
    told = [f"{name} {_shown(settings[name])}" for name in ("mutability", "defaultValue") if settings[name]]
    flags = [name for name, value in settings.items() if value is True]
    references = [f"refers to {each.referenced_object_name}" for each in attribute.referenced_objects]
    return ", ".join([attribute.type, *flags, *references, *(each for each in told if each != "mutability ReadWrite")])


def _by_name(holder: Document, member: str, key: str) -> dict[str, Document]:
    return {str(item.get(key)): item for item in _objects(holder, member)}


def _objects(holder: Document, member: str) -> Iterator[Document]:
    items = holder.get(member)
    yield from (item for item in (items if isinstance(items, list) else ()) if isinstance(item, Mapping))


def _source(flow: Document) -> str:
    source = flow.get("source")
    if not isinstance(source, Mapping):
        return "no source"
    return str(source.get("expression") or source.get("name") or "")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else "yes" if value is True else "no" if value is False else str(value)
