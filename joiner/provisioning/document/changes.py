"""What differs between two schema documents, in the terms of who edits them: mappings and filters added, removed,
changed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from joiner.provisioning.document.completion import object_mappings_of
from joiner.provisioning.document.shape import read_shape
from joiner.provisioning.schema import Filter

Document = Mapping[str, Any]
Kind = Literal["added", "removed", "changed"]

OWN: Final = frozenset({"attributeMappings", "scope"})
"""Members of an object mapping that are compared by their parts."""


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
            yield from _setting_changes(place, old[place], new[place], OWN, "")


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
            yield from _setting_changes(place, old[name], new[name], frozenset({"source"}), f"{what}: ")


def _setting_changes(
    place: str, before: Document, after: Document, without: frozenset[str], what: str
) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if name not in without and old != new:
            kind: Kind = "added" if name not in before else "removed" if name not in after else "changed"
            yield Change(kind, place, f"{what}{name}", _shown(old), _shown(new))


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
        key = place, name
        if old.get(key) != new.get(key):
            kind: Kind = "added" if key not in old else "removed" if key not in new else "changed"
            yield Change(kind, place, f"attribute {name}", _kind(old.get(key)), _kind(new.get(key)))


def _attributes(document: Document) -> dict[tuple[str, str], Document]:
    return {
        (f"{directory.get('name')}: {each}", name): attribute
        for directory in _objects(document, "directories")
        for each, definition in _by_name(directory, "objects", "name").items()
        for name, attribute in _by_name(definition, "attributes", "name").items()
    }


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


def _kind(attribute: Document | None) -> str:
    return "" if attribute is None else str(attribute.get("type") or "String")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else "yes" if value is True else "no" if value is False else str(value)
