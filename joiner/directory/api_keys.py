"""Bearer keys of the Graph-shaped API: made, shown once, listed, revoked; each has one of three roles."""

import sqlite3
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

from joiner.clock import Clock, from_iso, to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.storage.sqlite import Database
from joiner.tokens import generate_token, hash_token

PREFIX: Final = "joiner_key"
USE_NOTED_EVERY: Final = timedelta(minutes=1)
COLUMNS: Final = "id, name, role, created_at, expires_at, revoked_at, last_used"

Role = Literal["admin", "reader", "uploader"]


class Principal(msgspec.Struct, frozen=True):
    """Who asks, and what they may: `admin` everything, `reader` only look, `uploader` only send people to jobs that
    take uploads, and see what became of them."""

    name: str
    role: Role


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

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._noted: dict[str, datetime] = {}

    async def create(self, role: str, name: str = "", expires_in: timedelta | None = None) -> tuple[str, ApiKey]:
        """A new key, to be shown once, and its record."""
        if role not in get_args(Role):
            *others, last = get_args(Role)
            raise InvalidValueError(f"'{role}' is not a role; use {', '.join(others)} or {last}")
        if expires_in is not None and expires_in <= timedelta(0):
            raise InvalidValueError("the key must expire in the future")
        text = generate_token(PREFIX)
        now = self._clock()
        expires_at = to_iso(now + expires_in) if expires_in else None

        def work(connection: sqlite3.Connection) -> ApiKey:
            key_id = new_id()
            connection.execute(
                "INSERT INTO api_key (id, name, role, key_hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (key_id, name, role, hash_token(text), to_iso(now), expires_at),
            )
            return _key(connection, key_id)

        return text, await self._db.write(work)

    def list(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        rows = self._db.reader.execute(f"SELECT {COLUMNS} FROM api_key ORDER BY created_at, id")
        return [ApiKey(**dict(row)) for row in rows]

    async def revoke(self, key_id: str) -> None:
        """Ends the key's access at once. Raises NotFoundError."""

        def work(connection: sqlite3.Connection) -> None:
            _key(connection, key_id)
            connection.execute(
                "UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?",
                (to_iso(self._clock()), key_id),
            )

        await self._db.write(work)

    def authenticate(self, token: str) -> Principal | None:
        """Who holds the key, None for one that is unknown, revoked or expired."""
        row = self._db.reader.execute(
            f"SELECT {COLUMNS} FROM api_key WHERE key_hash = ?", (hash_token(token),)
        ).fetchone()
        now = self._clock()
        if row is None or row["revoked_at"] or (row["expires_at"] and from_iso(row["expires_at"]) <= now):
            return None
        self._note_use(row["id"], now)
        return Principal(row["name"] or row["id"], row["role"])

    def _note_use(self, key_id: str, now: datetime) -> None:
        noted = self._noted.get(key_id)
        if noted is not None and now - noted < USE_NOTED_EVERY:
            return
        self._noted[key_id] = now
        # Nobody waits for it: losing the last minute's use in a crash hurts nobody.
        self._db.submit(
            lambda connection: (
                connection.execute("UPDATE api_key SET last_used = ? WHERE id = ?", (to_iso(now), key_id)).rowcount
            )
        )


def _key(connection: sqlite3.Connection, key_id: str) -> ApiKey:
    row = connection.execute(f"SELECT {COLUMNS} FROM api_key WHERE id = ?", (key_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no API key '{key_id}'")
    return ApiKey(**dict(row))
