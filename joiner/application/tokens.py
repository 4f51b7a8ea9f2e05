"""Secret tokens of the SCIM endpoint: made, shown once, listed, revoked; the token decides the connection."""

import sqlite3
from datetime import datetime, timedelta
from typing import Final

import msgspec

from joiner.clock import Clock, from_iso, to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.storage.sqlite import Database
from joiner.tokens import bearer_token, generate_token, hash_token

PREFIX: Final = "joiner_scim"
DEFAULT_CONNECTION: Final = "default"
HINT_LENGTH: Final = 4
USE_NOTED_EVERY: Final = timedelta(minutes=1)
"""The time of last use is written at most so often, so that reading costs no write."""
COLUMNS: Final = (
    "token.id, connection_id, connection.name AS connection_name, hint, token.created_at,"
    " expires_at, revoked_at, last_used"
)


class Token(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a token; the token itself is not."""

    id: str
    connection_id: str
    connection_name: str
    hint: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used: str | None


class TokenService:
    """The tokens in `db`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._noted: dict[str, datetime] = {}

    async def create(
        self, connection_name: str = DEFAULT_CONNECTION, expires_in: timedelta | None = None
    ) -> tuple[str, Token]:
        """A new token, to be shown once, and its record. Makes the connection if there is none of this name.

        Tokens that exist stay valid, so that one can be rotated without a gap (REQ-S-063).
        """
        name = connection_name.strip()
        if not name:
            raise InvalidValueError("the connection needs a name")
        if expires_in is not None and expires_in <= timedelta(0):
            raise InvalidValueError("the token must expire in the future")
        text = generate_token(PREFIX)

        def work(connection: sqlite3.Connection) -> Token:
            now = self._clock()
            connection.execute(
                "INSERT OR IGNORE INTO connection (id, name, created_at) VALUES (?, ?, ?)",
                (new_id(), name, to_iso(now)),
            )
            row = connection.execute("SELECT id FROM connection WHERE name = ?", (name,)).fetchone()
            token_id = new_id()
            connection.execute(
                "INSERT INTO token (id, connection_id, token_hash, hint, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    token_id,
                    row["id"],
                    hash_token(text),
                    text[-HINT_LENGTH:],
                    to_iso(now),
                    to_iso(now + expires_in) if expires_in else None,
                ),
            )
            return _token_by_id(connection, token_id)

        return text, await self._db.write(work)

    def list(self) -> list[Token]:
        """All tokens, revoked ones too, oldest first."""
        rows = self._db.reader.execute(
            f"SELECT {COLUMNS} FROM token JOIN connection ON connection.id = connection_id"
            " ORDER BY token.created_at, token.id"
        )
        return [Token(**dict(row)) for row in rows]

    async def revoke(self, token_id: str) -> None:
        """Ends the token's access at once. Raises NotFoundError."""

        def work(connection: sqlite3.Connection) -> None:
            _token_by_id(connection, token_id)
            connection.execute(
                "UPDATE token SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (to_iso(self._clock()), token_id)
            )

        await self._db.write(work)

    async def authenticate(self, authorization: str | None) -> tuple[str, str] | None:
        """(connection id, token id) of a valid `Authorization` header, None for anything else (REQ-S-060)."""
        text = bearer_token(authorization)
        if text is None:
            return None
        row = self._db.reader.execute(
            "SELECT id, connection_id, expires_at, revoked_at FROM token WHERE token_hash = ?", (hash_token(text),)
        ).fetchone()
        if row is None or row["revoked_at"] is not None:
            return None
        now = self._clock()
        if row["expires_at"] is not None and from_iso(row["expires_at"]) <= now:
            return None
        noted = self._noted.get(row["id"])
        if noted is None or now - noted >= USE_NOTED_EVERY:
            self._noted[row["id"]] = now
            token_id = row["id"]
            await self._db.write(
                lambda connection: (
                    connection.execute("UPDATE token SET last_used = ? WHERE id = ?", (to_iso(now), token_id)).rowcount
                )
            )
        return row["connection_id"], row["id"]


def _token_by_id(connection: sqlite3.Connection, token_id: str) -> Token:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM token JOIN connection ON connection.id = connection_id WHERE token.id = ?",
        (token_id,),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no token '{token_id}'")
    return Token(**dict(row))
