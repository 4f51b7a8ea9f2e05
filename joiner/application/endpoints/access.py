"""`/app/api`: OAuth clients with their secrets, and trusted issuers."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request

from joiner.application.access.issuers import IssuerService
from joiner.application.access.oauth_clients import SHORTEST, OAuthClients, Scope
from joiner.application.connections import DEFAULT_CONNECTION, ConnectionService
from joiner.application.endpoints.admin_requests import Body, Days, Entry, lifetime, read_body


class NewClient(Body):
    name: str
    connection: str = DEFAULT_CONNECTION
    token_minutes: int = SHORTEST
    scope: Scope = "scim"
    expires_in_days: Days | None = None


class NewSecret(Body):
    expires_in_days: Days | None = None


class NewIssuer(Body):
    issuer: str
    audience: str
    jwks_uri: str
    connection: str = DEFAULT_CONNECTION
    subject: str | None = None
    client_id: str | None = None


class AccessAdministration:
    """`changed` is called when something that was valid has ended."""

    def __init__(
        self,
        connections: ConnectionService,
        clients: OAuthClients,
        issuers: IssuerService,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._connections = connections
        self._clients = clients
        self._issuers = issuers
        self._changed = changed

    def entries(self) -> tuple[Entry, ...]:
        return (
            ("/connections/{connection}/clients", "GET", self._list_clients),
            ("/clients", "POST", self._create_client),
            ("/clients/{client}", "DELETE", self._revoke_client),
            ("/clients/{client}/secrets", "GET", self._list_secrets),
            ("/clients/{client}/secrets", "POST", self._create_secret),
            ("/secrets/{secret}", "DELETE", self._revoke_secret),
            ("/issuers", "GET", self._list_issuers),
            ("/issuers", "POST", self._create_issuer),
            ("/issuers/{issuer}", "DELETE", self._delete_issuer),
        )

    async def _list_clients(self, request: Request) -> tuple[int, Any]:
        id_ = await self._connections.id_of(request.path_params["connection"])
        return 200, {"value": [msgspec.to_builtins(each) for each in await self._clients.of_connection(id_)]}

    async def _create_client(self, request: Request) -> tuple[int, Any]:
        """With its first secret, which is shown this once."""
        wanted = await read_body(request, NewClient)
        client = await self._clients.create(
            await self._connections.id_of(wanted.connection),
            wanted.name,
            token_minutes=wanted.token_minutes,
            scope=wanted.scope,
            expires_in=lifetime(wanted.expires_in_days),
        )
        text, _ = await self._clients.add_secret(client.id, lifetime(wanted.expires_in_days))
        return 201, {**msgspec.to_builtins(client), "secret": text}

    async def _revoke_client(self, request: Request) -> tuple[int, Any]:
        await self._clients.revoke(request.path_params["client"])
        await self._changed()
        return 204, None

    async def _list_secrets(self, request: Request) -> tuple[int, Any]:
        found = await self._clients.secrets_of(request.path_params["client"])
        return 200, {"value": [msgspec.to_builtins(each) for each in found]}

    async def _create_secret(self, request: Request) -> tuple[int, Any]:
        wanted = await read_body(request, NewSecret)
        text, secret = await self._clients.add_secret(request.path_params["client"], lifetime(wanted.expires_in_days))
        return 201, {**msgspec.to_builtins(secret), "secret": text}

    async def _revoke_secret(self, request: Request) -> tuple[int, Any]:
        await self._clients.revoke_secret(request.path_params["secret"])
        return 204, None

    async def _list_issuers(self, request: Request) -> tuple[int, Any]:
        return 200, {"value": [msgspec.to_builtins(each) for each in await self._issuers.all()]}

    async def _create_issuer(self, request: Request) -> tuple[int, Any]:
        wanted = await read_body(request, NewIssuer)
        made = await self._issuers.create(
            wanted.connection,
            issuer=wanted.issuer,
            audience=wanted.audience,
            jwks_uri=wanted.jwks_uri,
            subject=wanted.subject,
            client_id=wanted.client_id,
        )
        await self._changed()
        return 201, msgspec.to_builtins(made)

    async def _delete_issuer(self, request: Request) -> tuple[int, Any]:
        await self._issuers.delete(request.path_params["issuer"])
        await self._changed()
        return 204, None
