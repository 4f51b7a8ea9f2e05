"""What saving adds to a document: trees that do not say what their text says, texts that are missing, and flags that
clients drop. Everything else stays as it came."""

from collections.abc import Iterator, Mapping
from typing import Any

from joiner.errors import JoinerError
from joiner.expressions.source_tree import agrees, from_tree, to_tree

Document = Mapping[str, Any]


def complete_document(document: Document, stored: Document | None = None) -> dict[str, Any]:
    """The document with every source in agreement with itself (D-01), and with the flags of `stored`, the version
    before it, where it has none: some clients cannot send them. Members of a wrong type are left for the check."""
    completed: dict[str, Any] = _copy(document)
    for mapping in object_mappings_of(completed):
        flows = mapping.get("attributeMappings")
        for flow in flows if isinstance(flows, list) else ():
            if isinstance(flow, dict) and isinstance(flow.get("source"), dict):
                _complete_source(flow["source"])
    if stored is not None:
        _keep_flags(object_mappings_of(completed), object_mappings_of(stored), "flowTypes")
        _keep_flags(_objects(completed, "directories"), _objects(stored, "directories"), "discoverabilities")
    return completed


def object_mappings_of(document: Document) -> Iterator[dict[str, Any]]:
    """The object mappings of all rules, as far as the document has any."""
    for rule in _objects(document, "synchronizationRules"):
        yield from _objects(rule, "objectMappings")


def _objects(holder: Document, name: str) -> Iterator[dict[str, Any]]:
    items = holder.get(name)
    yield from (item for item in (items if isinstance(items, list) else ()) if isinstance(item, dict))


def _complete_source(source: dict[str, Any]) -> None:
    text = source.get("expression")
    if not isinstance(text, str | None):
        return
    try:
        if not text:
            source["expression"] = from_tree(source)
        elif not agrees(text, source):
            source.update(to_tree(text))
    except JoinerError:
        # What cannot be read is for the check to tell.
        return


def _keep_flags(items: Iterator[dict[str, Any]], stored: Iterator[dict[str, Any]], member: str) -> None:
    known = {item["name"]: item[member] for item in stored if isinstance(item.get("name"), str) and member in item}
    for item in items:
        if item.get(member) is None and isinstance(item.get("name"), str) and item["name"] in known:
            item[member] = known[item["name"]]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
