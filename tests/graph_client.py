"""A directory behind the Graph-shaped API, called without a network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from joiner.clock import system_clock
from joiner.directory.api_keys import ApiKeys, Principal
from joiner.directory.store import MIGRATIONS, DirectoryStore
from joiner.graph.endpoint import graph_routes
from joiner.provisioning.side import MIGRATIONS as ENGINE_MIGRATIONS
from joiner.storage.sqlite import Database
from joiner.tokens import bearer_token

ORIGIN = "https://graph.example"


class Graph:
    """Requests as an administrator; the paths are below `/v1.0`."""

    def __init__(self, http: httpx.AsyncClient, store: DirectoryStore) -> None:
        self.http = http
        self.store = store

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """The answer's document, None without one."""
        answer = await self.http.request(method, path, json=body, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def get(self, path: str, status: int = 200, **query: str) -> Any:
        """`query`: options without `$`."""
        params = {f"${name}": value for name, value in query.items()} or None
        return await self.ask("GET", path, status=status, params=params)

    async def refused(self, path: str, **query: str) -> tuple[str, str]:
        """(code, message) of the 400 that the request must get."""
        error = (await self.get(path, 400, **query))["error"]
        return error["code"], error["message"]

    async def add_user(self, name: str, **properties: Any) -> str:
        body = {"accountEnabled": True, "displayName": name, "userPrincipalName": f"{name}@fjord.example", **properties}
        made: dict[str, Any] = await self.ask("POST", "/users", body, 201)
        return str(made["id"])

    async def add_group(self, name: str, **properties: Any) -> str:
        made: dict[str, Any] = await self.ask("POST", "/groups", {"displayName": name, **properties}, 201)
        return str(made["id"])


@asynccontextmanager
async def opened_graph(folder: Path) -> AsyncIterator[Graph]:
    """An empty directory; the token `root` is an administrator's."""
    db = Database(folder / "directory.db", {"directory": MIGRATIONS, "provisioning": ENGINE_MIGRATIONS})
    keys, store = ApiKeys(db, system_clock), DirectoryStore(db, system_clock)

    def authenticate(header: str | None) -> Principal | None:
        token = bearer_token(header)
        return Principal("root", "admin") if token == "root" else keys.authenticate(token) if token else None

    transport = httpx.ASGITransport(app=Starlette(routes=graph_routes(store, keys, authenticate, [])))
    headers = {"Authorization": "Bearer root"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/v1.0", headers=headers) as http:
            yield Graph(http, store)
    finally:
        db.close()
