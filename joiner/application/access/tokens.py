"""Secret tokens: made, shown once, listed, revoked; the token decides the connection.

What a token opens is kept in memory, so that a request asks no database who it is. Whatever changes a token, a
connection or its settings empties that memory, in every process (`forget`).
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec

from joiner.application.connections import DEFAULT_CONNECTION, Connection, check_name, load_connection
from joiner.clock import Clock, from_iso, to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.storage.session import Session, Storage
from joiner.tokens import bearer_token, generate_token, hash_token

PREFIX: Final = "joiner_scim"
SCOPES: Final = ("scim", "scim.read", "events")
"""What a token opens: the SCIM endpoint, the same for reading only, or the events of its connection and no SCIM."""
HINT_LENGTH: Final = 4
USE_NOTED_EVERY: Final = timedelta(minutes=1)
"""The time of last use is written at most so often, so that reading costs no write."""
SIGNED: Final = "signed"
"""Stands for a token's id where somebody else has issued it."""
MOST_REMEMBERED: Final = 10_000
COLUMNS: Final = (
    "t.id, c.name, t.hint, t.kind, t.scope, t.created_at, t.expires_at, t.revoked_at, t.last_used"
    " FROM token t JOIN connection c ON c.id = t.connection_id"
)


class Token(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a token; the token itself is not."""

    id: str
    connection_name: str
    hint: str
    kind: str
    scope: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used: str | None


class Identity:
    """Whom a request comes from."""

    __slots__ = ("connection", "expires_at", "may_write", "noted", "scope", "token_id", "user_id")

    def __init__(
        self,
        connection: Connection,
        token_id: str,
        scope: str,
        *,
        expires_at: datetime | None,
        user_id: str | None,
    ) -> None:
        self.connection = connection
        self.token_id = token_id
        self.scope = scope
        self.may_write = scope == "scim"
        self.expires_at = expires_at
        self.user_id = user_id
        """The user that `/Me` means."""
        self.noted: datetime | None = None


class TokenService:
    """The tokens in `storage`. `changed` is called after every change, to tell other processes.

    `connection_of` gives the connection that a signed token of a trusted issuer opens, None if it opens none.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        changed: Callable[[], Awaitable[None]],
        connection_of: Callable[[str], Awaitable[int | None]],
    ) -> None:
        self._storage = storage
        self._connection_of = connection_of
        self._clock = clock
        self._changed = changed
        self._known: dict[bytes, Identity] = {}
        """SHA-256 of a header → whom it names."""
        self._forgotten = 0
        self.remembers = True
        """False while other processes cannot tell us of their changes."""

    def forget(self) -> None:
        """Nothing is known any more; the next request of each token asks the database."""
        self._known.clear()
        self._forgotten += 1

    async def create(
        self,
        connection_name: str = DEFAULT_CONNECTION,
        expires_in: timedelta | None = None,
        scope: str = "scim",
        user_id: str | None = None,
    ) -> tuple[str, Token]:
        """A new token, to be shown once, and its record. Makes the connection if there is none of this name.

        Tokens that exist stay valid, so that one can be rotated without a gap (REQ-S-063). `user_id` is the user that
        `/Me` means for its holder.
        """
        name = check_name(connection_name)
        if expires_in is not None and expires_in <= timedelta(0):
            raise InvalidValueError("the token must expire in the future")
        if scope not in SCOPES:
            raise InvalidValueError(f"the scope must be one of {', '.join(SCOPES)}")
        text = generate_token(PREFIX)

        async def work(session: Session) -> Token:
            now, id_ = self._clock(), new_id()
            await session.execute(
                "INSERT INTO connection (name, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING", name, to_iso(now)
            )
            await session.execute(
                "INSERT INTO token (id, connection_id, token_hash, hint, kind, scope, created_at, expires_at, user_id)"
                " SELECT ?1, id, ?3, ?4, 'secret', ?5, ?6, ?7, ?8 FROM connection WHERE lower(name) = lower(?2)",
                id_,
                name,
                hash_token(text),
                text[-HINT_LENGTH:],
                scope,
                to_iso(now),
                to_iso(now + expires_in) if expires_in else None,
                user_id,
            )
            return await _token_by_id(session, id_)

        return text, await self._storage.write(work)

    async def list(self) -> list[Token]:
        """All secret tokens, revoked ones too, oldest first."""

        async def work(session: Session) -> list[Token]:
            rows = await session.rows(f"SELECT {COLUMNS} WHERE t.kind = 'secret' ORDER BY t.created_at, t.id")
            return [_token(row) for row in rows]

        return await self._storage.read(work)

    async def revoke(self, token_id: str) -> None:
        """Ends the token's access at once. Raises NotFoundError."""

        async def work(session: Session) -> None:
            await _token_by_id(session, token_id)
            await session.execute(
                "UPDATE token SET revoked_at = coalesce(revoked_at, ?1) WHERE id = ?2", to_iso(self._clock()), token_id
            )

        await self._storage.write(work)
        self.forget()
        await self._changed()

    async def authenticate(self, authorization: bytes | None) -> Identity | None:
        """Whom a valid `Authorization` header names, None for anything else (REQ-S-060)."""
        if authorization is None:
            return None
        known_as = sha256(authorization).digest()
        identity = self._known.get(known_as)
        if identity is None:
            text = bearer_token(authorization.decode("latin-1"))
            if text is None:
                return None
            identity = await self._look_up(hash_token(text), known_as)
            if identity is None:
                return await self._signed(text) if text.count(".") == 2 else None
        now = self._clock()
        if identity.expires_at is not None and identity.expires_at <= now:
            return None
        if identity.noted is None or now - identity.noted >= USE_NOTED_EVERY:
            identity.noted = now
            await self._note_use(identity.token_id, now)
        return identity

    async def _look_up(self, hashed: str, known_as: bytes) -> Identity | None:
        known, forgotten = self._known, self._forgotten

        async def work(session: Session) -> Identity | None:
            row = await session.row(
                "SELECT id, connection_id, scope, expires_at, user_id FROM token"
                " WHERE token_hash = ?1 AND revoked_at IS NULL",
                hashed,
            )
            if row is None:
                return None
            id_, connection_id, scope, expires_at, user_id = row
            connection = await load_connection(session, connection_id)
            expires = None if expires_at is None else from_iso(expires_at)
            return Identity(connection, id_, scope, expires_at=expires, user_id=user_id)

        identity = await self._storage.read(work)
        # What was read before somebody changed it must not be remembered after.
        if identity is not None and self.remembers and forgotten == self._forgotten:
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            known[known_as] = identity
        return identity

    async def _signed(self, text: str) -> Identity | None:
        """Whom a signed token names. It is verified at every request; it ends when its issuer says."""
        opened = await self._connection_of(text)
        if opened is None:
            return None
        connection = await self._storage.read(lambda session: load_connection(session, opened))
        return Identity(connection, SIGNED, "scim", expires_at=None, user_id=None)

    async def _note_use(self, token_id: str, now: datetime) -> None:
        async def work(session: Session) -> None:
            await session.execute("UPDATE token SET last_used = ?1 WHERE id = ?2", to_iso(now), token_id)

        await self._storage.write(work)


async def _token_by_id(session: Session, token_id: str) -> Token:
    row = await session.row(f"SELECT {COLUMNS} WHERE t.id = ?1", token_id)
    if row is None:
        raise NotFoundError(f"there is no token '{token_id}'")
    return _token(row)


def _token(row: object) -> Token:
    return Token(**dict(zip(Token.__struct_fields__, row, strict=True)))  # type: ignore[call-overload] # a row of COLUMNS
