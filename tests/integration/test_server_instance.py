"""Both sides as one application: what runs, who may, and the page that says so. Without a network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from joiner.config import Settings
from joiner.server.data_folder import DataFolder
from joiner.server.instance import SIDES, Instance, Side


@asynccontextmanager
async def opened(path: Path, *sides: Side) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client without a key, and the local key."""
    folder = DataFolder.open(path)
    try:
        async with (
            Instance(folder, Settings(), sides=sides or SIDES) as instance,
            httpx.AsyncClient(transport=httpx.ASGITransport(instance.app), base_url="http://joiner.test") as client,
        ):
            yield client, folder.local_key
    finally:
        folder.close()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_it_says_that_it_is_alive_and_ready(tmp_path: Path) -> None:
    async with opened(tmp_path) as (client, _):
        assert (await client.get("/healthz")).text == "ok\n"
        assert (await client.get("/readyz")).json() == {"status": "ready", "sides": ["application", "directory"]}


async def test_the_overview_needs_no_script_and_shows_nothing_secret(tmp_path: Path) -> None:
    async with opened(tmp_path) as (client, key):
        page = await client.get("/")
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.text
        assert "http://joiner.test/scim" in page.text
        assert "http://joiner.test/v1.0" in page.text
        assert key not in page.text
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy


async def test_the_address_that_a_visitor_used_is_escaped_in_the_overview(tmp_path: Path) -> None:
    async with opened(tmp_path) as (client, _):
        page = await client.get("/", headers={"Host": 'x"><b>y'})
        assert "<b>" not in page.text


@pytest.mark.parametrize(
    ("sides", "there", "absent"),
    [
        (("application",), "/app/api/summary", "/v1.0/users"),
        (("directory",), "/v1.0/users", "/app/api/summary"),
    ],
)
async def test_a_side_that_does_not_run_says_so(
    tmp_path: Path, sides: tuple[Side, ...], there: str, absent: str
) -> None:
    async with opened(tmp_path, *sides) as (client, key):
        assert (await client.get(there, headers=bearer(key))).status_code == 200
        refused = await client.get(absent, headers=bearer(key))
        assert refused.status_code == 404
        assert "side does not run here" in refused.json()["error"]["message"]
        other = "application" if sides == ("directory",) else "directory"
        assert f"<h2>{other.capitalize()} side</h2>" not in (await client.get("/")).text


@pytest.mark.parametrize("path", ["/app/api/tokens", "/v1.0/users", "/beta/users"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
async def test_nobody_gets_in_without_a_key(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    async with opened(tmp_path) as (client, _):
        assert (await client.get(path, headers=headers)).status_code == 401


async def test_an_administrators_key_opens_both_sides_and_a_readers_only_shows_the_directory(tmp_path: Path) -> None:
    async with opened(tmp_path) as (client, local):
        keys = {}
        for role in ("admin", "reader", "uploader"):
            made = await client.post("/v1.0/joiner.apiKeys", json={"role": role}, headers=bearer(local))
            keys[role] = bearer(made.json()["key"])
        assert (await client.get("/app/api/tokens", headers=keys["admin"])).status_code == 200
        for role in ("reader", "uploader"):
            assert (await client.get("/app/api/tokens", headers=keys[role])).status_code == 401
        assert (await client.get("/v1.0/users", headers=keys["reader"])).status_code == 200
        created = await client.post("/v1.0/groups", json={"displayName": "x"}, headers=keys["reader"])
        assert created.status_code == 403


async def test_a_secret_token_of_the_application_opens_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as (client, local):
        token = (await client.post("/app/api/tokens", json={}, headers=bearer(local))).json()["token"]
        assert (await client.get("/scim/Users", headers=bearer(token))).status_code == 200
        assert (await client.get("/v1.0/users", headers=bearer(token))).status_code == 401
        assert (await client.get("/app/api/tokens", headers=bearer(token))).status_code == 401
        assert (await client.get("/scim/Users", headers=bearer(local))).status_code == 401


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    async with opened(tmp_path) as (client, key):
        made = await client.post("/v1.0/groups", json={"displayName": "Kept"}, headers=bearer(key))
        assert made.status_code == 201
    async with opened(tmp_path) as (client, key):
        found = (await client.get("/v1.0/groups", headers=bearer(key))).json()["value"]
        assert [group["displayName"] for group in found] == ["Kept"]
