"""OAuth clients of a connection, their secrets, and the access tokens they get: what the database knows of them."""

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from joiner.clock import Clock, from_iso, to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.storage.session import Row, Session, Storage
from joiner.tokens import generate_token, hash_token, tokens_equal

Scope = Literal["scim", "scim.read"]

ACCESS_PREFIX: Final = "joiner_scim_at"
SECRET_PREFIX: Final = "joiner_client_secret"  # noqa: S105 - what secrets begin with is not secret
SCOPES: Final = ("scim", "scim.read")
SHORTEST: Final = 60
LONGEST: Final = 360
"""Minutes that an access token may be valid (REQ-S-064)."""
EXPIRED_KEPT: Final = timedelta(days=30)
"""So long an expired access token is remembered, so that what it did can be told from its id."""
HINT_LENGTH: Final = 4
CLIENT: Final = "c.id, c.connection_id, c.name, c.token_minutes, c.scope, c.created_at, c.expires_at, c.revoked_at"
SECRET: Final = "id, client_id, hint, created_at, expires_at, revoked_at"  # noqa: S105 - names of columns


class OAuthClient(msgspec.Struct, frozen=True, rename="camel"):
    """Something that may ask for access tokens."""

    id: str
    connection_id: int
    name: str
    token_minutes: int
    scope: Scope
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class OAuthSecret(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of a client's secret; the secret itself is not."""

    id: str
    client_id: str
    hint: str
    """Its last characters."""
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class OAuthClients:
    """The clients in `storage`."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    # Administration

    async def create(
        self,
        connection_id: int,
        name: str,
        *,
        token_minutes: int = SHORTEST,
        scope: Scope = "scim",
        expires_in: timedelta | None = None,
    ) -> OAuthClient:
        """A new client, without a secret yet. Raises InvalidValueError, NotFoundError for the connection."""
        if not name.strip():
            raise InvalidValueError("the client needs a name")
        if not SHORTEST <= token_minutes <= LONGEST:
            raise InvalidValueError(f"access tokens are valid for {SHORTEST} to {LONGEST} minutes")
        if scope not in SCOPES:
            raise InvalidValueError(f"'{scope}' is not a scope; use {' or '.join(SCOPES)}")
        now, expires_at = self._lifetime(expires_in)
        client = OAuthClient(new_id(), connection_id, name.strip(), token_minutes, scope, now, expires_at, None)

        async def work(session: Session) -> None:
            if await session.row("SELECT 1 FROM connection WHERE id = ?1", connection_id) is None:
                raise NotFoundError(f"there is no connection '{connection_id}'")
            await session.execute(
                "INSERT INTO oauth_client (id, connection_id, name, token_minutes, scope, created_at, expires_at)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                *(client.id, connection_id, client.name, token_minutes, scope, now, expires_at),
            )

        await self._storage.write(work)
        return client

    async def of_connection(self, connection_id: int) -> list[OAuthClient]:
        """The connection's clients, revoked ones too, oldest first."""

        async def work(session: Session) -> list[OAuthClient]:
            rows = await session.rows(
                f"SELECT {CLIENT} FROM oauth_client c WHERE c.connection_id = ?1 ORDER BY c.created_at, c.id",
                connection_id,
            )
            return [OAuthClient(*row) for row in rows]

        return await self._storage.read(work)

    async def add_secret(self, client_id: str, expires_in: timedelta | None = None) -> tuple[str, OAuthSecret]:
        """A new secret, to be shown once, and its record. Older ones stay valid, so that one can be rotated without a
        gap (REQ-S-063). Raises NotFoundError for a client that is not there or revoked, InvalidValueError."""
        now, expires_at = self._lifetime(expires_in)
        text = generate_token(SECRET_PREFIX)
        secret = OAuthSecret(new_id(), client_id, text[-HINT_LENGTH:], now, expires_at, None)

        async def work(session: Session) -> None:
            if await _active_client(session, client_id, now) is None:
                raise NotFoundError(f"there is no client '{client_id}' that may get a secret")
            await session.execute(
                "INSERT INTO oauth_secret (id, client_id, secret_hash, hint, created_at, expires_at)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                *(secret.id, client_id, hash_token(text), secret.hint, now, expires_at),
            )

        await self._storage.write(work)
        return text, secret

    async def secrets_of(self, client_id: str) -> list[OAuthSecret]:
        """The client's secrets, revoked ones too, oldest first."""

        async def work(session: Session) -> list[OAuthSecret]:
            rows = await session.rows(
                f"SELECT {SECRET} FROM oauth_secret WHERE client_id = ?1 ORDER BY created_at, id", client_id
            )
            return [OAuthSecret(*row) for row in rows]

        return await self._storage.read(work)

    async def revoke_secret(self, secret_id: str) -> None:
        """No token is given for it any more; those that were given stay valid. Raises NotFoundError."""

        async def work(session: Session) -> None:
            await _revoke(session, "oauth_secret", secret_id, to_iso(self._clock()))

        await self._storage.write(work)

    async def revoke(self, client_id: str) -> None:
        """Ends the client and its access tokens at once. Raises NotFoundError."""

        async def work(session: Session) -> None:
            now = to_iso(self._clock())
            await _revoke(session, "oauth_client", client_id, now)
            await session.execute(
                "UPDATE token SET revoked_at = coalesce(revoked_at, ?1) WHERE client_id = ?2", now, client_id
            )

        await self._storage.write(work)

    # The token endpoint

    async def with_secret(self, client_id: str, secret: str) -> OAuthClient | None:
        """The client if the secret is one of its valid ones.

        The secret is looked up by its hash, whatever client is named, and the names are compared in constant time: how
        long it takes tells neither how much of a secret was right nor whether the client exists.
        """

        async def work(session: Session) -> Row | None:
            return await session.row(
                f"SELECT {CLIENT} FROM oauth_secret s JOIN oauth_client c ON c.id = s.client_id"
                " WHERE s.secret_hash = ?1 AND s.revoked_at IS NULL AND c.revoked_at IS NULL"
                " AND (s.expires_at IS NULL OR s.expires_at > ?2) AND (c.expires_at IS NULL OR c.expires_at > ?2)",
                *(hash_token(secret), to_iso(self._clock())),
            )

        row = await self._storage.read(work)
        return OAuthClient(*row) if row is not None and tokens_equal(row[0], client_id) else None

    async def active(self, client_id: str) -> OAuthClient | None:
        """The client if it is neither revoked nor expired."""

        async def work(session: Session) -> OAuthClient | None:
            return await _active_client(session, client_id, to_iso(self._clock()))

        return await self._storage.read(work)

    async def issue(self, client: OAuthClient, scope: Scope) -> tuple[str, int] | None:
        """A new access token, to be answered once, and the seconds it is valid; None if the client has just ended.

        A token does not outlive its client. Long expired ones of the client are forgotten.
        """
        now = self._clock()
        ends = now + timedelta(minutes=client.token_minutes)
        if client.expires_at is not None:
            ends = min(ends, from_iso(client.expires_at))
        text = generate_token(ACCESS_PREFIX)

        async def work(session: Session) -> int:
            await session.execute(
                "DELETE FROM token WHERE client_id = ?1 AND kind = 'access' AND expires_at < ?2",
                *(client.id, to_iso(now - EXPIRED_KEPT)),
            )
            return await session.execute(
                "INSERT INTO token (id, connection_id, token_hash, hint, kind, scope, client_id, created_at,"
                " expires_at) SELECT ?1, connection_id, ?2, ?3, 'access', ?4, id, ?5, ?6 FROM oauth_client"
                " WHERE id = ?7 AND revoked_at IS NULL",
                *(new_id(), hash_token(text), text[-HINT_LENGTH:], scope, to_iso(now), to_iso(ends), client.id),
            )

        issued = await self._storage.write(work)
        return (text, int((ends - now).total_seconds())) if issued else None

    def _lifetime(self, expires_in: timedelta | None) -> tuple[str, str | None]:
        now: datetime = self._clock()
        if expires_in is not None and expires_in <= timedelta(0):
            raise InvalidValueError("it must expire in the future")
        return to_iso(now), None if expires_in is None else to_iso(now + expires_in)


async def _active_client(session: Session, client_id: str, now: str) -> OAuthClient | None:
    row = await session.row(
        f"SELECT {CLIENT} FROM oauth_client c WHERE c.id = ?1 AND c.revoked_at IS NULL"
        " AND (c.expires_at IS NULL OR c.expires_at > ?2)",
        *(client_id, now),
    )
    return None if row is None else OAuthClient(*row)


async def _revoke(session: Session, table: Literal["oauth_client", "oauth_secret"], id_: str, now: str) -> None:
    changed = await session.execute(f"UPDATE {table} SET revoked_at = coalesce(revoked_at, ?1) WHERE id = ?2", now, id_)
    if not changed:
        raise NotFoundError(f"there is no {table.removeprefix('oauth_')} '{id_}'")
