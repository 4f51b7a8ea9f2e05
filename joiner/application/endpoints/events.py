"""`/app/api`: events, for applications that follow them, and webhooks."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request

from joiner.application.access.tokens import TokenService
from joiner.application.connections import DEFAULT_CONNECTION, ConnectionService
from joiner.application.endpoints.admin_requests import (
    Authorise,
    Body,
    Entry,
    RefusedError,
    UnauthorisedError,
    guarded,
    read_body,
    read_number,
)
from joiner.application.events.deliveries import Deliveries
from joiner.application.events.log import MOST_EVENTS, EventLog
from joiner.application.events.webhooks import WebhookService

LONGEST_WAIT: Final = 30
LAST_POSITION: Final = 2**62


class NewWebhook(Body):
    url: str
    connection: str = DEFAULT_CONNECTION
    after: Annotated[int, msgspec.Meta(ge=0, le=LAST_POSITION)] | None = None


class EventsAdministration:
    """What there is to ask. Events are also for holders of a token of their connection, of the scope `events`."""

    def __init__(
        self,
        events: EventLog,
        webhooks: WebhookService,
        deliveries: Deliveries,
        connections: ConnectionService,
        tokens: TokenService,
        authorise: Authorise,
    ) -> None:
        self._events = events
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._connections = connections
        self._tokens = tokens
        self._authorise = authorise

    def entries(self) -> Sequence[Entry]:
        """Each of them knows who may ask."""
        for_administrators: tuple[Entry, ...] = (
            ("/webhooks", "GET", self._list_webhooks),
            ("/webhooks", "POST", self._create_webhook),
            ("/webhooks/{webhook}", "DELETE", self._delete_webhook),
            ("/webhooks/{webhook}/test", "POST", self._test_webhook),
        )
        return ("/events", "GET", self._list_events), *guarded(for_administrators, self._authorise)

    async def _list_events(self, request: Request) -> tuple[int, Any]:
        """`after`: an event's id, or 0; `wait`: so many seconds for the next one if there is none yet."""
        connection_id = await self._readable(request)
        query = request.query_params
        page = await self._events.following(
            read_number(query, "after", 0, LAST_POSITION),
            limit=max(1, read_number(query, "limit", MOST_EVENTS, MOST_EVENTS)),
            connection_id=connection_id,
            seconds=read_number(query, "wait", 0, LONGEST_WAIT),
        )
        # Whoever was refused while waiting is not told what has happened since.
        await self._readable(request)
        return 200, {"value": page.events, "next": str(page.next), "more": page.more}

    async def _readable(self, request: Request) -> int | None:
        """The connection whose events may be read and are wanted, None for all. Raises JoinerError."""
        authorization, wanted = request.headers.get("authorization"), request.query_params.get("connection")
        if self._authorise(authorization):
            return None if wanted is None else await self._connections.id_of(wanted)
        identity = await self._tokens.authenticate(None if authorization is None else authorization.encode("latin-1"))
        if identity is None:
            raise UnauthorisedError("the administrator's key or a token of the scope 'events' is required")
        if identity.scope != "events":
            raise RefusedError("this token opens the SCIM endpoint, not the events")
        own = identity.connection
        if wanted is not None and wanted.lower() != own.name.lower():
            raise RefusedError(f"this token opens the events of the connection '{own.name}' only")
        return own.id

    async def _list_webhooks(self, request: Request) -> tuple[int, Any]:
        return 200, {"value": [msgspec.to_builtins(each) for each in await self._webhooks.list()]}

    async def _create_webhook(self, request: Request) -> tuple[int, Any]:
        wanted = await read_body(request, NewWebhook)
        secret, made = await self._webhooks.create(wanted.connection, wanted.url, wanted.after)
        return 201, {**msgspec.to_builtins(made), "secret": secret}

    async def _delete_webhook(self, request: Request) -> tuple[int, Any]:
        await self._webhooks.delete(request.path_params["webhook"])
        return 204, None

    async def _test_webhook(self, request: Request) -> tuple[int, Any]:
        """`error`: why the receiver did not accept an event that tells nothing; null if it did."""
        error = await self._deliveries.try_out(request.path_params["webhook"])
        return 200, {"accepted": error is None, "error": error}
