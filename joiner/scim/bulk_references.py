"""References between bulk operations, `bulkId:x` for an id that is not known yet: found, resolved, and put off
(RFC 7644 §3.7.2).

They stand for ids: as a whole text, as the last segment of a `$ref`, as a literal in the path of a PATCH operation,
and as the id in an operation's own path.
"""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

import msgspec
import orjson

from joiner.scim.bulk import SHOWN, BulkOperation
from joiner.scim.errors import ConflictError, InvalidAttributeError, InvalidPathError, InvalidSyntaxError
from joiner.scim.messages import PATCH_OP

REFERENCE: Final = "bulkId:"
MARK: Final = REFERENCE.encode()
DEFERRABLE: Final = frozenset({"members", "manager"})
"""Attributes that a resource can be created without and get later; in lower case."""
LONGEST_PATH: Final = 2048
DEEPEST: Final = 64
LITERAL: Final = re.compile(r"""(?P<double>"(?:[^"\\]|\\.)*")|(?P<single>'[^']*')|(?P<bare>(?<!["'])[^\s"'()\[\]]+)""")

NOTHING: Final[frozenset[str]] = frozenset()


class References(msgspec.Struct, frozen=True):
    """The bulkIds that an operation refers to."""

    needed: frozenset[str] = NOTHING
    """Those it cannot be executed without."""
    deferrable: frozenset[str] = NOTHING
    """Those that stand only where they can be added later."""


def references_of(operation: BulkOperation) -> References | None:
    """None if there are none. Raises InvalidSyntaxError if the data is nested too deeply, InvalidPathError."""
    in_path = operation.id is not None and operation.id.startswith(REFERENCE)
    try:
        # Writing JSON is faster than walking through it, and settles most operations.
        in_data = operation.data is not None and MARK in orjson.dumps(operation.data)
    except TypeError:
        raise InvalidSyntaxError(f"'data' is nested deeper than {DEEPEST} levels") from None
    if not in_path and not in_data:
        return None
    if operation.method == "POST":
        deferrable = frozenset(bulk_id for _, _, value in _deferrable(operation.data) for bulk_id in _found(value))
        needed = frozenset(_found(_without_deferrable(operation.data)))
        return References(needed, deferrable - needed)
    needed = frozenset(_found(operation.data, in_patch=operation.method == "PATCH"))
    if in_path and operation.id is not None:
        needed |= {operation.id.removeprefix(REFERENCE)}
    return References(needed)


def resolve(operation: BulkOperation, ids: Mapping[str, str | None]) -> BulkOperation:
    """The operation with ids in place of references. `ids` has each POST's bulkId, with None if the POST failed.

    Raises InvalidAttributeError for a bulkId that no POST has, ConflictError for one whose POST failed (REQ-S-305).
    What has no reference in it is not copied.
    """
    id_ = operation.id
    if id_ is not None and id_.startswith(REFERENCE):
        id_ = _id(id_.removeprefix(REFERENCE), ids)
    data = _resolved(operation.data, ids, operation.method == "PATCH")
    return msgspec.structs.replace(operation, id=id_, data=data)


def defer(operation: BulkOperation, pending: Set[str]) -> tuple[BulkOperation, BulkOperation]:
    """A POST without the deferrable values that refer to `pending`, and the PATCH that adds them to its resource."""
    data = dict(operation.data)
    additions = []
    for urn, name, value in _deferrable(operation.data):
        values = value if isinstance(value, list) else [value]
        late = [item for item in values if not pending.isdisjoint(_found(item))]
        if not late:
            continue
        holder = data
        if urn is not None:
            holder = data[urn] = dict(data[urn])
        kept = [item for item in values if all(item is not other for other in late)]
        if kept:
            holder[name] = kept
        else:
            del holder[name]
        path = name if urn is None else f"{urn}:{name}"
        additions.append({"op": "add", "path": path, "value": late if isinstance(value, list) else value})
    patch = {"schemas": [PATCH_OP], "Operations": additions}
    created = msgspec.structs.replace(operation, data=data)
    reference = f"{REFERENCE}{operation.bulk_id}"
    return created, msgspec.structs.replace(operation, method="PATCH", id=reference, version=None, data=patch)


def _deferrable(data: Mapping[str, Any]) -> Iterator[tuple[str | None, str, Any]]:
    """(extension URN or None, name, value) of the attributes that can be added later."""
    for key, value in data.items():
        if key.lower() in DEFERRABLE:
            yield None, key, value
        elif isinstance(value, Mapping) and key[:4].lower() == "urn:":
            for name, inner in value.items():
                if name.lower() in DEFERRABLE:
                    yield key, name, inner


def _without_deferrable(data: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(data)
    for urn, name, _ in _deferrable(data):
        if urn is None:
            del rest[name]
        else:
            rest[urn] = {key: value for key, value in rest[urn].items() if key != name}
    return rest


def _found(value: Any, *, in_patch: bool = False) -> Iterator[str]:
    """The bulkIds in a value. Raises InvalidPathError, InvalidSyntaxError if it is nested too deeply."""
    level, depth = [value], 0
    while level:
        if depth == DEEPEST:
            raise InvalidSyntaxError(f"'data' is nested deeper than {DEEPEST} levels")
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if item.startswith(REFERENCE):
                    yield item.removeprefix(REFERENCE)
            elif isinstance(item, list):
                deeper.extend(item)
            elif isinstance(item, Mapping):
                for key, inner in item.items():
                    if not isinstance(inner, str):
                        deeper.append(inner)
                    elif REFERENCE in inner:
                        yield from _in_member(key, inner, in_patch)
        level, depth = deeper, depth + 1


def _in_member(key: str, text: str, in_patch: bool) -> Iterator[str]:
    folded = key.lower()
    if in_patch and folded == "path":
        for match in _literals(text):
            literal = _literal(match)
            if literal.startswith(REFERENCE):
                yield literal.removeprefix(REFERENCE)
        return
    last = _last_segment(text) if folded == "$ref" else text
    if last.startswith(REFERENCE):
        yield last.removeprefix(REFERENCE)


def _resolved(value: Any, ids: Mapping[str, str | None], in_patch: bool) -> Any:
    if isinstance(value, str):
        return _id(value.removeprefix(REFERENCE), ids) if value.startswith(REFERENCE) else value
    if isinstance(value, list):
        items = [_resolved(item, ids, in_patch) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, Mapping):
        changed = {
            key: new
            for key, inner in value.items()
            if (new := _resolved_member(key, inner, ids, in_patch)) is not inner
        }
        return {**value, **changed} if changed else value
    return value


def _resolved_member(key: str, value: Any, ids: Mapping[str, str | None], in_patch: bool) -> Any:
    if not isinstance(value, str):
        return _resolved(value, ids, in_patch)
    if REFERENCE not in value:
        return value
    folded = key.lower()
    if in_patch and folded == "path":
        return _resolved_path(value, ids)
    if folded == "$ref":
        last = _last_segment(value)
        return value.removesuffix(last) + _resolved(last, ids, in_patch) if last.startswith(REFERENCE) else value
    return _resolved(value, ids, in_patch)


def _resolved_path(path: str, ids: Mapping[str, str | None]) -> str:
    parts, end = [], 0
    for match in _literals(path):
        literal = _literal(match)
        if literal.startswith(REFERENCE):
            parts += [path[end : match.start()], orjson.dumps(_id(literal.removeprefix(REFERENCE), ids)).decode()]
            end = match.end()
    return "".join([*parts, path[end:]])


def _literals(path: str) -> Iterator[re.Match[str]]:
    if len(path) > LONGEST_PATH:
        raise InvalidPathError(f"a path may have {LONGEST_PATH} characters; this one has {len(path)}")
    return LITERAL.finditer(path)


def _literal(match: re.Match[str]) -> str:
    text = match.group()
    if match.lastgroup == "double":
        try:
            return str(orjson.loads(text))
        except orjson.JSONDecodeError:
            return ""
    return text[1:-1] if match.lastgroup == "single" else text


def _last_segment(reference: str) -> str:
    return reference if reference.startswith(REFERENCE) else reference.rpartition("/")[2]


def _id(bulk_id: str, ids: Mapping[str, str | None]) -> str:
    try:
        id_ = ids[bulk_id]
    except KeyError:
        raise InvalidAttributeError(f"no POST of this request has the bulkId '{bulk_id[:SHOWN]}'") from None
    if id_ is None:
        raise ConflictError(f"there is no id for the bulkId '{bulk_id[:SHOWN]}', because its operation did not succeed")
    return id_
