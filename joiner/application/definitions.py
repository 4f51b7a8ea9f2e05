"""Schemas and resource types that were added to a connection, as the documents that describe them (RFC 7643 §6, §7)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import orjson

from joiner.errors import InvalidValueError, NotFoundError
from joiner.scim.documents import resource_type_from_document, schema_from_document
from joiner.scim.errors import ScimError
from joiner.scim.registry import BUILT_IN, Registry
from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.storage.session import Session

Kind = Literal["Schema", "ResourceType"]
Definition = tuple[Kind, str]
"""What it is, and its document as JSON."""
KEPT: Final[tuple[tuple[str, str], ...]] = (
    ("name", "name"),
    ("kind", "type"),
    ("multi_valued", "multiValued"),
    ("case_exact", "caseExact"),
    ("uniqueness", "uniqueness"),
)
"""What of an attribute cannot change while there may be values of it: its field and its name for clients."""


async def load_registry(session: Session, connection_id: int) -> Registry:
    """Everything that the connection knows, compiled."""
    return _registry(tuple(await _held(session, connection_id)))


async def definitions(session: Session, connection_id: int) -> list[tuple[Kind, dict[str, Any]]]:
    """What was added, as parsed documents."""
    return [(kind, orjson.loads(text)) for kind, text in await _held(session, connection_id)]


async def define(session: Session, connection_id: int, kind: Kind, document: Any) -> None:
    """Adds a definition, or puts it in the place of the one of the same id (REQ-S-033).

    Raises InvalidValueError naming the place in the document, or what cannot change because there are resources.
    """
    id_ = _id_of(kind, document)
    text = orjson.dumps(document).decode()
    held = await _held(session, connection_id)
    kept = [each for each in held if not _is(each, kind, id_)]
    await _check(session, connection_id, held, [*kept, (kind, text)])
    await _delete(session, connection_id, kind, id_)
    await session.execute(
        "INSERT INTO definition (connection_id, kind, id, document) VALUES (?1, ?2, ?3, ?4)",
        *(connection_id, kind, id_, text),
    )


async def undefine(session: Session, connection_id: int, kind: Kind, id_: str) -> None:
    """Removes a definition that nothing needs. Raises NotFoundError, InvalidValueError."""
    held = await _held(session, connection_id)
    kept = [each for each in held if not _is(each, kind, id_)]
    if len(kept) == len(held):
        raise NotFoundError(f"the connection has no {kind} '{id_}' of its own")
    await _check(session, connection_id, held, kept)
    await _delete(session, connection_id, kind, id_)


async def _check(session: Session, connection_id: int, held: Sequence[Definition], new: Sequence[Definition]) -> None:
    """Raises InvalidValueError if the new definitions do not fit together, or do not fit what is stored."""
    try:
        after = _registry(tuple(sorted(new)))
    except ScimError as error:
        raise InvalidValueError(str(error)) from None
    for before in _registry(tuple(held)).resource_types:
        lost = next(_losses(before, after.by_name.get(before.name)), None)
        if lost is not None and await _is_used(session, connection_id, before.name):
            raise InvalidValueError(f"there are still resources of the type '{before.name}': {lost}")


def _losses(before: ResourceType, after: ResourceType | None) -> Iterator[str]:
    """What stored resources of the type would lose, or what would be understood in another way than it was written."""
    if after is None:
        yield "it cannot be removed"
        return
    if before.schema.id != after.schema.id:
        yield f"its schema stays '{before.schema.id}'"
    new = {schema.id: schema for schema in (after.schema, *after.extensions)}
    for schema in (before.schema, *before.extensions):
        if schema.id not in new:
            yield f"the extension '{schema.id}' cannot be removed"
        elif schema is not new[schema.id]:
            yield from _changes(schema.id, schema, new[schema.id])


def _changes(place: str, before: Schema | Attribute, after: Schema | Attribute) -> Iterator[str]:
    attributes = before.attributes if isinstance(before, Schema) else before.sub_attributes
    for attribute in attributes:
        path = f"{place}:{attribute.name}" if isinstance(before, Schema) else f"{place}.{attribute.name}"
        new = after.by_name.get(attribute.name.lower())
        if new is None:
            yield f"'{path}' cannot be removed"
            continue
        for field, name in KEPT:
            if getattr(attribute, field) != getattr(new, field):
                yield f"the {name} of '{path}' cannot be changed"
        if new.returned == "never" != attribute.returned:
            yield f"'{path}' cannot be hidden"
        yield from _changes(path, attribute, new)


async def _is_used(session: Session, connection_id: int, type_: str) -> bool:
    row = await session.row(
        "SELECT 1 FROM resource WHERE connection_id = ?1 AND type = ?2 LIMIT 1", connection_id, type_
    )
    return row is not None


async def _held(session: Session, connection_id: int) -> list[Definition]:
    rows = await session.rows(
        "SELECT kind, document FROM definition WHERE connection_id = ?1 ORDER BY kind, id", connection_id
    )
    return [(row[0], row[1]) for row in rows]


async def _delete(session: Session, connection_id: int, kind: Kind, id_: str) -> None:
    await session.execute(
        "DELETE FROM definition WHERE connection_id = ?1 AND kind = ?2 AND lower(id) = lower(?3)",
        *(connection_id, kind, id_),
    )


@lru_cache(maxsize=256)
def _registry(held: tuple[Definition, ...]) -> Registry:
    """Compiled once for all tokens and connections that have the same definitions. Raises InvalidAttributeError."""
    if not held:
        return BUILT_IN
    documents = [(kind, orjson.loads(text)) for kind, text in held]
    schemas = [schema_from_document(document) for kind, document in documents if kind == "Schema"]
    known = {schema.id.lower(): schema for schema in (*BUILT_IN.schemas, *schemas)}
    types = [resource_type_from_document(document, known) for kind, document in documents if kind == "ResourceType"]
    return BUILT_IN.extended(schemas, types)


def _is(held: Definition, kind: Kind, id_: str) -> bool:
    return held[0] == kind and _id_of(kind, orjson.loads(held[1])).lower() == id_.lower()


def _id_of(kind: Kind, document: Any) -> str:
    key = "id" if kind == "Schema" else "name"
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, str) or not found:
        raise InvalidValueError(f"a {kind} needs '{key}'")
    return found
