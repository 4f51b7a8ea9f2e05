"""Connections: the tenants of the endpoint, each with its settings and its own schemas and resource types."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson

from joiner.clock import Clock, to_iso
from joiner.errors import AlreadyExistsError, InvalidValueError, NotFoundError
from joiner.scim.documents import resource_type_from_document, schema_from_document
from joiner.scim.errors import ScimError
from joiner.scim.registry import BUILT_IN, Registry
from joiner.scim.schemas import ResourceType
from joiner.storage.session import Session, Storage, UniqueViolationError

DEFAULT_CONNECTION: Final = "default"
Kind = Literal["Schema", "ResourceType"]


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the endpoint treats the clients of one connection."""

    profile: Literal["lenient", "strict"] = "lenient"
    """`lenient` accepts what Entra, Okta and their validators send (T1-T30); `strict` is the RFC."""
    patch_response: Literal["auto", "200", "204"] = "auto"
    """What a PATCH answers: `auto` gives users back and groups not."""
    unique_group_names: bool = True
    """Whether a second group of the same name is refused with 409, as Entra expects."""
    members_must_exist: bool = False
    """Whether a member or manager that is not here is refused with 400; otherwise it is stored as it came (T18)."""
    indirect_groups: bool = False
    """Whether a user's `groups` lists memberships through groups in groups as well."""
    most_results: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000
    """The largest page."""
    most_operations: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    """The most operations of one bulk request."""
    requests_per_second: Annotated[int, msgspec.Meta(ge=25)] | None = None
    """More than so many get 429 for a moment; unset: no limit."""

    @property
    def strict(self) -> bool:
        return self.profile == "strict"


class Connection(msgspec.Struct, frozen=True):
    """One tenant as requests need it."""

    id: int
    name: str
    settings: ConnectionSettings
    registry: Registry


class ConnectionService:
    """The connections in `storage`. `changed` is called after every change of one that exists."""

    def __init__(self, storage: Storage, clock: Clock, changed: Callable[[], Awaitable[None]]) -> None:
        self._storage = storage
        self._clock = clock
        self._changed = changed

    async def all(self) -> list[tuple[str, ConnectionSettings]]:
        """Names and settings, in the order they were made."""

        async def work(session: Session) -> Any:
            return await session.rows("SELECT name, settings FROM connection ORDER BY id")

        return [(row[0], _settings(row[1])) for row in await self._storage.read(work)]

    async def create(self, name: str, settings: ConnectionSettings | None = None) -> None:
        """Raises InvalidValueError, AlreadyExistsError."""
        text = check_name(name)

        async def work(session: Session) -> None:
            await session.execute(
                "INSERT INTO connection (name, settings, created_at) VALUES (?1, ?2, ?3)",
                text,
                msgspec.json.encode(settings or ConnectionSettings()).decode(),
                to_iso(self._clock()),
            )

        try:
            await self._storage.write(work)
        except UniqueViolationError:
            raise AlreadyExistsError(f"there is a connection '{text}' already", "name") from None

    async def change(self, name: str, changes: Mapping[str, Any]) -> ConnectionSettings:
        """Sets the given settings (JSON names) and leaves the others. Raises NotFoundError, InvalidValueError."""

        async def work(session: Session) -> ConnectionSettings:
            row = await session.row(
                "SELECT id, settings FROM connection WHERE lower(name) = lower(?1)" + for_update(session), name
            )
            if row is None:
                raise NotFoundError(f"there is no connection '{name}'")
            try:
                settings = msgspec.convert({**orjson.loads(row[1]), **changes}, ConnectionSettings)
            except msgspec.ValidationError as error:
                raise InvalidValueError(str(error)) from None
            await session.execute(
                "UPDATE connection SET settings = ?2 WHERE id = ?1", row[0], msgspec.json.encode(settings).decode()
            )
            return settings

        settings = await self._storage.write(work)
        await self._changed()
        return settings

    async def id_of(self, name: str) -> int:
        """Raises NotFoundError."""
        return await self._storage.read(lambda session: connection_id(session, name))

    async def definitions(self, name: str) -> list[dict[str, Any]]:
        """The custom schemas and resource types of a connection, as their documents. Raises NotFoundError."""

        async def work(session: Session) -> Any:
            return await _definitions(session, await connection_id(session, name))

        return [document for _, document in await self._storage.read(work)]

    async def define(self, name: str, kind: Kind, document: Any) -> None:
        """Adds a schema or resource type, or replaces the one of the same id; effective at once (REQ-S-033).

        Raises NotFoundError, InvalidValueError naming the place in the document.
        """

        async def work(session: Session) -> None:
            id_ = await connection_id(session, name)
            held = await _definitions(session, id_)
            kept = [(k, d) for k, d in held if (k, _id_of(k, d).lower()) != (kind, _id_of(kind, document).lower())]
            after = _registry([*kept, (kind, document)])
            await _check_resources(session, id_, _registry(held), after)
            await session.execute(
                "INSERT INTO definition (connection_id, kind, id, document) VALUES (?1, ?2, ?3, ?4)"
                " ON CONFLICT (connection_id, kind, id) DO UPDATE SET document = ?4",
                id_,
                kind,
                _id_of(kind, document),
                orjson.dumps(document).decode(),
            )

        try:
            await self._storage.write(work)
        except ScimError as error:
            raise InvalidValueError(str(error)) from None
        await self._changed()

    async def undefine(self, name: str, kind: Kind, id_: str) -> None:
        """Removes a schema or resource type that nothing else needs. Raises NotFoundError, InvalidValueError."""

        async def work(session: Session) -> None:
            connection = await connection_id(session, name)
            held = await _definitions(session, connection)
            kept = [(k, d) for k, d in held if (k, _id_of(k, d).lower()) != (kind, id_.lower())]
            if len(kept) == len(held):
                raise NotFoundError(f"connection '{name}' has no {kind} '{id_}' of its own")
            _registry(kept)
            used = await session.row(
                "SELECT 1 FROM resource WHERE connection_id = ?1 AND lower(type) = lower(?2) LIMIT 1", connection, id_
            )
            if kind == "ResourceType" and used:
                raise InvalidValueError(f"there are still resources of the type '{id_}'")
            await session.execute(
                "DELETE FROM definition WHERE connection_id = ?1 AND kind = ?2 AND lower(id) = lower(?3)",
                connection,
                kind,
                id_,
            )

        try:
            await self._storage.write(work)
        except ScimError as error:
            raise InvalidValueError(str(error)) from None
        await self._changed()


async def _check_resources(session: Session, id_: int, before: Registry, after: Registry) -> None:
    """Raises InvalidValueError if what is stored would mean something else by the new schemas: what is found by an
    attribute depends on its type."""
    for old in before.resource_types:
        new = after.by_name[old.name]
        changed = sorted(_meanings(old).items() - _meanings(new).items())
        gone = [path for (path, _) in changed]
        if not gone:
            continue
        used = await session.row("SELECT 1 FROM resource WHERE connection_id = ?1 AND type = ?2 LIMIT 1", id_, old.name)
        if used is not None:
            raise InvalidValueError(
                f"there are resources of the type {old.name}: '{gone[0]}' can neither be removed nor get another type,"
                " caseExact, multiValued or uniqueness; add an attribute instead"
            )


def _meanings(resource_type: ResourceType) -> dict[str, tuple[Any, ...]]:
    """Path → what decides how a value is stored and found."""
    found: dict[str, tuple[Any, ...]] = {}
    for schema in (resource_type.schema, *resource_type.extensions):
        for attribute in schema.attributes:
            path = f"{schema.id}:{attribute.name}"
            for name, each in ((path, attribute), *((f"{path}.{s.name}", s) for s in attribute.sub_attributes)):
                found[name] = (each.kind, each.multi_valued, each.case_exact, each.uniqueness, each.returned == "never")
    return found


async def load_connection(session: Session, id_: int) -> Connection:
    """The connection with everything compiled. Raises NotFoundError."""
    row = await session.row("SELECT name, settings FROM connection WHERE id = ?1", id_)
    if row is None:
        raise NotFoundError("the connection has been removed")
    return Connection(id_, row[0], _settings(row[1]), _registry(await _definitions(session, id_)))


async def connection_id(session: Session, name: str) -> int:
    """Raises NotFoundError."""
    row = await session.row("SELECT id FROM connection WHERE lower(name) = lower(?1)", name)
    if row is None:
        raise NotFoundError(f"there is no connection '{name}'")
    found: int = row[0]
    return found


def check_name(name: str) -> str:
    """The name without outer blanks. Raises InvalidValueError."""
    text = name.strip()
    if not text or len(text) > 100 or not text.isprintable():
        raise InvalidValueError("a connection needs a name of at most 100 printable characters")
    return text


def for_update(session: Session) -> str:
    """What locks the rows of a SELECT: SQLite has one writer anyway."""
    return " FOR UPDATE" if session.dialect == "postgresql" else ""


async def _definitions(session: Session, id_: int) -> list[tuple[Kind, dict[str, Any]]]:
    rows = await session.rows("SELECT kind, document FROM definition WHERE connection_id = ?1 ORDER BY kind, id", id_)
    return [(row[0], orjson.loads(row[1])) for row in rows]


def _registry(definitions: list[tuple[Kind, dict[str, Any]]]) -> Registry:
    if not definitions:
        return BUILT_IN
    schemas = [schema_from_document(document) for kind, document in definitions if kind == "Schema"]
    known = {
        **{schema.id.lower(): schema for schema in BUILT_IN.schemas},
        **{each.id.lower(): each for each in schemas},
    }
    types = [resource_type_from_document(document, known) for kind, document in definitions if kind == "ResourceType"]
    return BUILT_IN.extended(schemas, types)


def _id_of(kind: Kind, document: Any) -> str:
    key = "id" if kind == "Schema" else "name"
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, str) or not found:
        raise InvalidValueError(f"a {kind} needs '{key}'")
    return found


def _settings(text: str) -> ConnectionSettings:
    return msgspec.json.decode(text, type=ConnectionSettings)
