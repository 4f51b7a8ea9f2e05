"""Issuers that the administrator trusts: whose signed tokens open a connection, or authenticate an OAuth client.

What judges signatures is imported when there is a token to judge.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from joiner.application.access.trust import RefusedTokenError, TrustedIssuer
from joiner.application.connections import connection_id
from joiner.clock import Clock, to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.net.urls import check_url_shape
from joiner.storage.session import Session, Storage

if TYPE_CHECKING:
    from joiner.application.access.assertions import Assertions
    from joiner.application.access.key_sets import Fetch, KeySets

LONGEST = 2000


class Trust(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A trusted issuer as the administrator sees it."""

    id: str
    connection_name: str
    issuer: str
    audience: str
    jwks_uri: str
    subject: str | None
    client_id: str | None
    created_at: str


class IssuerService:
    """The trusted issuers in `storage`. Their keys come through `fetch`."""

    def __init__(self, storage: Storage, clock: Clock, fetch: "Fetch") -> None:
        self._storage = storage
        self._clock = clock
        self._fetch = fetch
        self._keys: KeySets | None = None
        self._assertions: Assertions | None = None

    def forget(self) -> None:
        """The issuers may have changed; the next token asks the database."""
        self._assertions = None

    async def verify(self, text: str, client_id: str | None = None) -> TrustedIssuer:
        """See `Assertions.verify`. Raises RefusedTokenError."""
        if self._assertions is None:
            self._assertions = self._judge(await self._issuers())
        return await self._assertions.verify(text, client_id)

    async def connection_of(self, text: str) -> int | None:
        """The connection that a signed bearer token opens, None if there is none."""
        try:
            return (await self.verify(text)).connection_id
        except RefusedTokenError:
            return None

    async def create(
        self,
        connection: str,
        *,
        issuer: str,
        audience: str,
        jwks_uri: str,
        subject: str | None = None,
        client_id: str | None = None,
    ) -> Trust:
        """Raises InvalidValueError, NotFoundError."""
        check_url_shape(jwks_uri)
        if not issuer or not audience or max(map(len, (issuer, audience, jwks_uri))) > LONGEST:
            raise InvalidValueError(f"issuer and audience are needed, of at most {LONGEST} characters")
        issuers = await self._issuers()

        async def work(session: Session) -> Trust:
            id_, now = new_id(), to_iso(self._clock())
            opened = await connection_id(session, connection)
            new = TrustedIssuer(
                issuer=issuer,
                audience=audience,
                jwks_uri=jwks_uri,
                connection_id=opened,
                subject=subject,
                client_id=client_id,
            )
            # Two that cannot be told apart are refused.
            self._judge([*issuers, new])
            await session.execute(
                "INSERT INTO trusted_issuer (id, connection_id, issuer, audience, jwks_uri, subject, client_id,"
                " created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                *(id_, opened, issuer, audience, jwks_uri, subject, client_id, now),
            )
            return Trust(
                id=id_,
                connection_name=connection,
                issuer=issuer,
                audience=audience,
                jwks_uri=jwks_uri,
                subject=subject,
                client_id=client_id,
                created_at=now,
            )

        made = await self._storage.write(work)
        self.forget()
        return made

    async def all(self) -> list[Trust]:
        """Oldest first."""

        async def work(session: Session) -> list[Trust]:
            rows = await session.rows(
                "SELECT i.id, c.name, i.issuer, i.audience, i.jwks_uri, i.subject, i.client_id, i.created_at"
                " FROM trusted_issuer i JOIN connection c ON c.id = i.connection_id ORDER BY i.created_at, i.id"
            )
            return [Trust(**dict(zip(Trust.__struct_fields__, row, strict=True))) for row in rows]

        return await self._storage.read(work)

    async def delete(self, id_: str) -> None:
        """Its tokens are not accepted any more. Raises NotFoundError."""

        async def work(session: Session) -> None:
            if not await session.execute("DELETE FROM trusted_issuer WHERE id = ?1", id_):
                raise NotFoundError(f"there is no trusted issuer '{id_}'")

        await self._storage.write(work)
        self.forget()

    def _judge(self, issuers: Sequence[TrustedIssuer]) -> "Assertions":
        """Raises InvalidValueError if two of them cannot be told apart."""
        from joiner.application.access.assertions import Assertions
        from joiner.application.access.key_sets import KeySets

        if self._keys is None:
            self._keys = KeySets(self._fetch, self._clock)
        return Assertions(issuers, self._keys, self._clock)

    async def _issuers(self) -> list[TrustedIssuer]:
        async def work(session: Session) -> list[TrustedIssuer]:
            rows = await session.rows(
                "SELECT issuer, audience, jwks_uri, connection_id, subject, client_id FROM trusted_issuer"
            )
            names = ("issuer", "audience", "jwks_uri", "connection_id", "subject", "client_id")
            return [TrustedIssuer(**dict(zip(names, row, strict=True))) for row in rows]

        return await self._storage.read(work)
