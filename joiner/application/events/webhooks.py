"""Webhooks: who is told of the events of a connection, and how far each has been told.

A request carries one event. It is signed as Standard Webhooks describes: the headers `webhook-id`, `webhook-timestamp`
and `webhook-signature`, an HMAC-SHA256 over `id.timestamp.body`.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

import msgspec

from joiner.application.connections import connection_id
from joiner.application.events.log import last_position, publish
from joiner.clock import Clock, to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.ids import new_id
from joiner.net.addresses import Addresses
from joiner.storage.session import Session, Storage
from joiner.vault import Vault

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with is not secret
LONGEST_URL: Final = 2000
COLUMNS: Final = (
    "w.id, c.name, w.url, w.created_at, w.delivered, w.given_up, w.failures, w.last_error, w.next_attempt"
    " FROM webhook w JOIN connection c ON c.id = w.connection_id"
)


class Webhook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a receiver; its secret is shown when it is made, and never again."""

    id: str
    connection_name: str
    url: str
    created_at: str
    delivered: int
    """The id of the last event that it has accepted; it may be that of a later one that does not concern it."""
    given_up: int
    """How many events it has lost, because it did not accept them for so long that they were removed."""
    failures: int
    """How often in a row it has refused the next one."""
    last_error: str | None
    next_attempt: str | None


class WebhookService:
    """The receivers in `storage`."""

    def __init__(self, storage: Storage, clock: Clock, vault: Vault, addresses_of: Addresses) -> None:
        self._storage = storage
        self._clock = clock
        self._vault = vault
        self._addresses_of = addresses_of

    async def create(self, connection: str, url: str, after: int | None = None) -> tuple[str, Webhook]:
        """A new receiver and its secret. It is told of every event behind `after`; by default of those to come.

        Raises InvalidValueError, NotFoundError, and ForbiddenTargetError for an address that must not be called.
        """
        if len(url) > LONGEST_URL:
            raise InvalidValueError(f"the URL may have {LONGEST_URL} characters")
        await self._addresses_of(url)
        secret = secrets.token_bytes(32)
        shown = SECRET_PREFIX + base64.b64encode(secret).decode()

        async def work(session: Session) -> Webhook:
            begin = await _latest(session) if after is None else after
            id_ = new_id()
            await session.execute(
                "INSERT INTO webhook (id, connection_id, url, secret, created_at, delivered, failures)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                id_,
                await connection_id(session, connection),
                url,
                base64.b64encode(self._vault.encrypt(shown, _place(id_))).decode(),
                to_iso(self._clock()),
                begin,
            )
            row = await session.row(f"SELECT {COLUMNS} WHERE w.id = ?1", id_)
            assert row is not None
            return _webhook(row)

        return shown, await self._storage.write(work)

    async def get(self, id_: str) -> Webhook:
        """Raises NotFoundError."""

        async def work(session: Session) -> Webhook:
            row = await session.row(f"SELECT {COLUMNS} WHERE w.id = ?1", id_)
            if row is None:
                raise NotFoundError(f"there is no webhook '{id_}'")
            return _webhook(row)

        return await self._storage.read(work)

    async def list(self) -> list[Webhook]:
        """All receivers, oldest first."""

        async def work(session: Session) -> list[Webhook]:
            return [_webhook(row) for row in await session.rows(f"SELECT {COLUMNS} ORDER BY w.created_at, w.id")]

        return await self._storage.read(work)

    async def delete(self, id_: str) -> None:
        """Raises NotFoundError."""

        async def work(session: Session) -> None:
            if not await session.execute("DELETE FROM webhook WHERE id = ?1", id_):
                raise NotFoundError(f"there is no webhook '{id_}'")

        await self._storage.write(work)

    async def secret(self, id_: str) -> str:
        """The secret that signs what this receiver gets. Raises NotFoundError."""

        async def work(session: Session) -> str:
            row = await session.row("SELECT secret FROM webhook WHERE id = ?1", id_)
            if row is None:
                raise NotFoundError(f"there is no webhook '{id_}'")
            sealed: str = row[0]
            return sealed

        return self._vault.decrypt(base64.b64decode(await self._storage.read(work)), _place(id_))


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: `v1,` and the HMAC in base64."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def _latest(session: Session) -> int:
    """The position of the latest event that has been accepted."""
    if session.dialect == "postgresql":
        while await publish(session):
            pass
    return await last_position(session)


def _place(id_: str) -> str:
    return f"webhook/{id_}"


def _webhook(row: object) -> Webhook:
    return Webhook(**dict(zip(Webhook.__struct_fields__, row, strict=True)))  # type: ignore[call-overload] # a row of COLUMNS
