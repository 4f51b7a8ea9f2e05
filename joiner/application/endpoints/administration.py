"""`/app/api`: tokens, and connections with their settings, schemas and resource types."""

from typing import Any

import msgspec
from starlette.requests import Request

from joiner.application.access.tokens import TokenService
from joiner.application.connections import DEFAULT_CONNECTION, ConnectionService, ConnectionSettings
from joiner.application.endpoints.admin_requests import Body, Days, Entry, lifetime, read_body
from joiner.application.resources.store import ResourceReader


class NewToken(Body):
    connection: str = DEFAULT_CONNECTION
    expires_in_days: Days | None = None
    scope: str = "scim"
    user_id: str | None = None


class NewConnection(Body):
    name: str
    settings: ConnectionSettings | None = None


class Administration:
    """What there is to ask."""

    def __init__(self, reader: ResourceReader, tokens: TokenService, connections: ConnectionService) -> None:
        self._reader = reader
        self._tokens = tokens
        self._connections = connections

    def entries(self) -> tuple[Entry, ...]:
        return (
            ("/tokens", "GET", self._list_tokens),
            ("/tokens", "POST", self._create_token),
            ("/tokens/{token}", "DELETE", self._revoke_token),
            ("/connections", "GET", self._list_connections),
            ("/connections", "POST", self._create_connection),
            ("/connections/{connection}", "PATCH", self._change_connection),
            ("/connections/{connection}/schemas", "GET", self._list_schemas),
            ("/connections/{connection}/schemas", "POST", self._define_schema),
            ("/connections/{connection}/schemas/{id}", "DELETE", self._undefine_schema),
            ("/connections/{connection}/resource-types", "GET", self._list_types),
            ("/connections/{connection}/resource-types", "POST", self._define_type),
            ("/connections/{connection}/resource-types/{id}", "DELETE", self._undefine_type),
            ("/summary", "GET", self._summary),
        )

    # Tokens

    async def _list_tokens(self, request: Request) -> tuple[int, Any]:
        return 200, {"value": [msgspec.to_builtins(token) for token in await self._tokens.list()]}

    async def _create_token(self, request: Request) -> tuple[int, Any]:
        wanted = await read_body(request, NewToken)
        text, record = await self._tokens.create(
            wanted.connection, lifetime(wanted.expires_in_days), wanted.scope, wanted.user_id
        )
        return 201, {**msgspec.to_builtins(record), "token": text}

    async def _revoke_token(self, request: Request) -> tuple[int, Any]:
        await self._tokens.revoke(request.path_params["token"])
        return 204, None

    # Connections, schemas, resource types

    async def _list_connections(self, request: Request) -> tuple[int, Any]:
        found = await self._connections.all()
        return 200, {"value": [{"name": name, "settings": msgspec.to_builtins(each)} for name, each in found]}

    async def _create_connection(self, request: Request) -> tuple[int, Any]:
        wanted = await read_body(request, NewConnection)
        settings = wanted.settings or ConnectionSettings()
        await self._connections.create(wanted.name, settings)
        return 201, {"name": wanted.name.strip(), "settings": msgspec.to_builtins(settings)}

    async def _change_connection(self, request: Request) -> tuple[int, Any]:
        changes = await read_body(request, dict[str, Any])
        name, settings = await self._connections.change(request.path_params["connection"], changes)
        return 200, {"name": name, "settings": msgspec.to_builtins(settings)}

    async def _list_schemas(self, request: Request) -> tuple[int, Any]:
        return 200, {"value": await self._connections.definitions(request.path_params["connection"], "Schema")}

    async def _list_types(self, request: Request) -> tuple[int, Any]:
        return 200, {"value": await self._connections.definitions(request.path_params["connection"], "ResourceType")}

    async def _define_schema(self, request: Request) -> tuple[int, Any]:
        document = await read_body(request, dict[str, Any])
        await self._connections.define(request.path_params["connection"], "Schema", document)
        return 201, document

    async def _define_type(self, request: Request) -> tuple[int, Any]:
        document = await read_body(request, dict[str, Any])
        await self._connections.define(request.path_params["connection"], "ResourceType", document)
        return 201, document

    async def _undefine_schema(self, request: Request) -> tuple[int, Any]:
        await self._connections.undefine(request.path_params["connection"], "Schema", request.path_params["id"])
        return 204, None

    async def _undefine_type(self, request: Request) -> tuple[int, Any]:
        await self._connections.undefine(request.path_params["connection"], "ResourceType", request.path_params["id"])
        return 204, None

    async def _summary(self, request: Request) -> tuple[int, Any]:
        return 200, {**await self._reader.counts(), "scimEndpoint": f"{str(request.base_url).rstrip('/')}/scim"}
