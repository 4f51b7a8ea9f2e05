"""A SCIM client for tests that checks every answer's form, and the endpoint it talks to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from joiner.application.side import ApplicationSide
from joiner.storage.session import Session
from tests.world import StillClock

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

ADMIN = "Bearer administrator"
"""The Authorization header of an administrator."""

ENTRA_USER: dict[str, Any] = {
    "schemas": [CORE, ENTERPRISE],
    "externalId": "mlopez",
    "userName": "m.lopez@fjord.example",
    "active": True,
    "displayName": "Marta Lopez",
    "title": "Buyer",
    "preferredLanguage": "es",
    "emails": [{"primary": True, "type": "work", "value": "m.lopez@fjord.example"}],
    "addresses": [{"type": "work", "streetAddress": "7 Quay Rd", "locality": "Bergen", "country": "Norway"}],
    "phoneNumbers": [{"type": "work", "value": "55512345"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "Marta Lopez", "familyName": "Lopez", "givenName": "Marta"},
    ENTERPRISE: {"department": "Supply"},
    "roles": [],
}


class Client:
    """One connection's client; `last` is the latest answer."""

    def __init__(self, http: httpx.AsyncClient, side: ApplicationSide, clock: StillClock, token_id: str) -> None:
        self.http = http
        self.side = side
        self.clock = clock
        self.token_id = token_id

    async def post(self, path: str, body: Any, status: int = 201, **options: Any) -> Any:
        return self._checked(await self.http.post(path, json=body, **options), status)

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        return self._checked(await self.http.get(path, **options), status)

    async def put(self, path: str, body: Any, status: int = 200, **options: Any) -> Any:
        return self._checked(await self.http.put(path, json=body, **options), status)

    async def patch(self, path: str, *operations: Any, status: int = 200, **options: Any) -> Any:
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return self._checked(await self.http.patch(path, json=body, **options), status)

    async def delete(self, path: str, status: int = 204, **options: Any) -> Any:
        return self._checked(await self.http.delete(path, **options), status)

    async def admin(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """A request to `/app/api` with the administrator's key, or with the headers of `options`."""
        headers = options.pop("headers", {"Authorization": ADMIN})
        url = f"https://app.example/app/api{path}"
        answer = await self.http.request(method, url, json=body, headers=headers, **options)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert list(answer.json()) == ["error"]
        return answer.json() if answer.content else None

    async def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What was accepted behind an event, as applications read it."""
        found: list[dict[str, Any]] = (await self.admin("GET", f"/events?after={after}"))["value"]
        return found

    async def user(self, name: str = "kim", **attributes: Any) -> dict[str, Any]:
        created: dict[str, Any] = await self.post("/Users", {"userName": name, **attributes})
        return created

    async def group(self, name: str = "Team", *members: str) -> dict[str, Any]:
        body = {"displayName": name, "members": [{"value": member} for member in members]}
        created: dict[str, Any] = await self.post("/Groups", body)
        return created

    async def members(self, group_id: str) -> set[str]:
        group = await self.get(f"/Groups/{group_id}")
        return {member["value"] for member in group.get("members", [])}

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database holds."""

        async def work(session: Session) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await session.rows(sql)]

        return await self.side.storage.read(work)

    def _checked(self, answer: httpx.Response, status: int) -> Any:
        assert answer.status_code == status, answer.text
        if not answer.content:
            assert status in (204, 304)
            return None
        assert answer.headers["content-type"] == "application/scim+json"
        body = answer.json()
        if status >= 400:
            assert body["schemas"] == [ERROR]
            assert body["status"] == str(status)
            assert body["detail"]
        return body


@asynccontextmanager
async def opened_endpoint(database: Path | str, **options: Any) -> AsyncIterator[Client]:
    """An endpoint on a new database (an SQLite file or a URL), and a client that holds a token of it.

    `options` are those of `ApplicationSide.open`.
    """
    clock = StillClock()
    side = await ApplicationSide.open(
        database, authorise_admin=ADMIN.__eq__, secret_key=bytes(32), clock=clock, **options
    )
    token, record = await side.tokens.create()
    transport = httpx.ASGITransport(app=side.in_front_of(Starlette(routes=side.routes())))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example/scim", headers=headers) as http:
        yield Client(http, side, clock, record.id)
    await side.close()
