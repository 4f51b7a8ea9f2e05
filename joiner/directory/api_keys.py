"""Bearer keys of the Graph-shaped API: made, shown once, listed, revoked; each has the role admin or reader."""

import sqlite3
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

from joiner.clock import from_iso, to_iso
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.tokens import bearer_token, generate_token, hash_token

PREFIX: Final = "joiner_key"
USE_NOTED_EVERY: Final = timedelta(minutes=1)
COLUMNS: Final = "id, name, role, created_at, expires_at, revoked_at, last_used"

Role = Literal["admin", "reader"]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a key; the key itself is not."""

    id: str
    name: str
    role: Role
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used: str | None


class ApiKeys:
    """The keys kept in the directory's database."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self._noted: dict[str, datetime] = {}

    async def create(self, role: str, name: str = "", expires_in: timedelta | None = None) -> tuple[str, ApiKey]:
        """A new key, to be shown once, and its record."""
        if role not in get_args(Role):
            raise InvalidValueError(f"'{role}' is not a role; use {' or '.join(get_args(Role))}")
        if expires_in is not None and expires_in <= timedelta(0):
            raise InvalidValueError("the key must expire in the future")
        text = generate_token(PREFIX)
        expires_at = to_iso(self._store.clock() + expires_in) if expires_in else None

        def work(connection: sqlite3.Connection, now: str) -> ApiKey:
            key_id = new_id()
            connection.execute(
                "INSERT INTO api_key (id, name, role, key_hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (key_id, name, role, hash_token(text), now, expires_at),
            )
            return _key(connection, key_id)

        return text, await self._store.change(work)

    def list(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        rows = self._store.reader.execute(f"SELECT {COLUMNS} FROM api_key ORDER BY created_at, id")
        return [ApiKey(**dict(row)) for row in rows]

    async def revoke(self, key_id: str) -> None:
        """Ends the key's access at once. Raises NotFoundError."""

        def work(connection: sqlite3.Connection, now: str) -> None:
            _key(connection, key_id)
            connection.execute("UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (now, key_id))

        await self._store.change(work)

    async def role_of(self, authorization: str | None) -> tuple[str, Role] | None:
        """(name, role) of a valid Authorization header, None for anything else."""
        text = bearer_token(authorization)
        if text is None:
            return None
        row = self._store.reader.execute(
            f"SELECT {COLUMNS} FROM api_key WHERE key_hash = ?", (hash_token(text),)
        ).fetchone()
        now = self._store.clock()
        if row is None or row["revoked_at"] or (row["expires_at"] and from_iso(row["expires_at"]) <= now):
            return None
        noted = self._noted.get(row["id"])
        if noted is None or now - noted >= USE_NOTED_EVERY:
            self._noted[row["id"]] = now
            key_id = row["id"]
            await self._store.change(
                lambda connection, at: (
                    connection.execute("UPDATE api_key SET last_used = ? WHERE id = ?", (at, key_id)).rowcount
                )
            )
        return row["name"] or row["id"], row["role"]


def _key(connection: sqlite3.Connection, key_id: str) -> ApiKey:
    row = connection.execute(f"SELECT {COLUMNS} FROM api_key WHERE id = ?", (key_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no API key '{key_id}'")
    return ApiKey(**dict(row))
