"""The endpoint inside of somebody else's application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from joiner.application import scim_app
from tests.world import StillClock


def request(app: Any, token: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="https://app.example/provisioning/", headers=headers)


async def test_it_can_be_mounted_at_any_path_and_is_opened_when_it_is_needed(application_database: Path | str) -> None:
    scim = scim_app(str(application_database))
    app = Starlette(routes=[Mount("/provisioning/scim", scim)])
    token = await scim.create_token("Customer", timedelta(days=1))
    async with request(app, token) as http:
        made = await http.post("scim/Users", json={"userName": "kim"})
        assert made.status_code == 201, made.text
        location = f"https://app.example/provisioning/scim/Users/{made.json()['id']}"
        assert (made.json()["meta"]["location"], made.headers["location"]) == (location, location)
        assert (await http.get(location)).status_code == 200
        assert (await http.get("scim/v2/Users")).json()["totalResults"] == 1
        assert (await http.get("scim/Users", headers={"Authorization": ""})).status_code == 401
    await scim.close()
    await scim.close()


async def test_it_opens_and_closes_with_the_application_around_it(tmp_path: Path) -> None:
    scim = scim_app(tmp_path / "scim.db")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with scim:
            yield

    app = Starlette(routes=[Mount("/provisioning/scim", scim)], lifespan=lifespan)
    for number in range(2):
        async with app.router.lifespan_context(app), request(app, await scim.create_token()) as http:
            assert (await http.post("scim/Users", json={"userName": f"user{number}"})).status_code == 201
            assert (await http.get("scim/Users")).json()["totalResults"] == number + 1


async def test_a_server_opens_and_closes_it_when_it_stands_alone(tmp_path: Path) -> None:
    scim = scim_app(tmp_path / "scim.db")
    asked = iter(["lifespan.startup", "lifespan.shutdown"])
    told: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": next(asked)}

    async def send(message: Any) -> None:
        told.append(message["type"])

    await scim({"type": "lifespan"}, receive, send)
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (tmp_path / "scim.db").exists()


async def test_old_events_are_removed_there_as_well(application_database: Path | str) -> None:
    clock = StillClock()
    async with scim_app(application_database, clock=clock) as scim:
        app = Starlette(routes=[Mount("/provisioning/scim", scim)])
        token = await scim.create_token()
        async with request(app, token) as http:
            assert (await http.post("scim/Users", json={"userName": "kim"})).status_code == 201
    clock.move(timedelta(days=31))
    async with scim_app(application_database, clock=clock) as scim:
        side = await scim.open()
        async with asyncio.timeout(30):
            page = await side.events.page(0)
            while page.events:
                page = await side.events.page(0)
