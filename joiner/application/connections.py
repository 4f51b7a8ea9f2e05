"""Connections: the tenants of the endpoint, each with its settings and its own schemas and resource types."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson

from joiner.application.definitions import Kind, define, definitions, load_registry, undefine
from joiner.clock import Clock, to_iso
from joiner.errors import AlreadyExistsError, InvalidValueError, NotFoundError
from joiner.scim.registry import Registry
from joiner.storage.session import Session, Storage, UniqueViolationError

DEFAULT_CONNECTION: Final = "default"


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
    keep_deleted_managers: bool = True
    """Whether users keep the id of a manager who is deleted; otherwise they have no manager any more (REQ-S-283)."""
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

    async def change(self, name: str, changes: Mapping[str, Any]) -> tuple[str, ConnectionSettings]:
        """Sets the given settings (JSON names) and leaves the others; effective at once. Returns name and settings.

        Raises NotFoundError, InvalidValueError.
        """

        async def work(session: Session) -> tuple[str, ConnectionSettings]:
            row = await session.row(
                "SELECT id, settings, name FROM connection WHERE lower(name) = lower(?1)" + for_update(session), name
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
            return row[2], settings

        changed = await self._storage.write(work)
        await self._changed()
        return changed

    async def id_of(self, name: str) -> int:
        """Raises NotFoundError."""
        return await self._storage.read(lambda session: connection_id(session, name))

    async def definitions(self, name: str, kind: Kind) -> list[dict[str, Any]]:
        """The custom schemas or resource types of a connection, as their documents. Raises NotFoundError."""

        async def work(session: Session) -> list[dict[str, Any]]:
            held = await definitions(session, await connection_id(session, name))
            return [document for each, document in held if each == kind]

        return await self._storage.read(work)

    async def define(self, name: str, kind: Kind, document: Any) -> None:
        """See `definitions.define`; effective at once. Raises NotFoundError, InvalidValueError."""

        async def work(session: Session) -> None:
            await define(session, await connection_id(session, name, lock=True), kind, document)

        await self._storage.write(work)
        await self._changed()

    async def undefine(self, name: str, kind: Kind, id_: str) -> None:
        """See `definitions.undefine`; effective at once. Raises NotFoundError, InvalidValueError."""

        async def work(session: Session) -> None:
            await undefine(session, await connection_id(session, name, lock=True), kind, id_)

        await self._storage.write(work)
        await self._changed()


async def load_connection(session: Session, id_: int) -> Connection:
    """The connection with everything compiled. Raises NotFoundError."""
    row = await session.row("SELECT name, settings FROM connection WHERE id = ?1", id_)
    if row is None:
        raise NotFoundError("the connection has been removed")
    return Connection(id_, row[0], _settings(row[1]), await load_registry(session, id_))


async def connection_id(session: Session, name: str, *, lock: bool = False) -> int:
    """`lock`: others who want to change it wait until the transaction ends. Raises NotFoundError."""
    locked = for_update(session) if lock else ""
    row = await session.row(f"SELECT id FROM connection WHERE lower(name) = lower(?1){locked}", name)
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


def _settings(text: str) -> ConnectionSettings:
    return msgspec.json.decode(text, type=ConnectionSettings)
