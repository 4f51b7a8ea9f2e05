"""Commands for the application side: connections, tokens, OAuth clients, webhooks; with a server and without."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from aiohttp import web

from tests.commands import as_json, refused, run
from tests.local_server import served
from tests.processes import fetch, joiner, serving


@contextmanager
def receiving(status: int) -> Iterator[str]:
    """A receiver of webhooks that answers with this status, on a thread of its own; gives its URL."""
    loop, stop, url = asyncio.new_event_loop(), asyncio.Event(), []
    ready = threading.Event()

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status)

    async def serve() -> None:
        async with served(answer) as port:
            url.append(f"http://127.0.0.1:{port}/")
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield url[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def status_of(url: str, token: str, body: dict[str, Any] | None = None) -> int:
    try:
        fetch(url, token, body)
    except HTTPError as error:
        return error.code
    return 200


def test_connections_are_made_changed_and_listed_without_a_server_and_with_one(tmp_path: Path) -> None:
    assert "no connections yet" in joiner("connection", "list", data=_empty(tmp_path))
    assert joiner("connection", "create", "Okta", "profile=strict", data=tmp_path) == "The connection Okta is made.\n"
    place = ("--data", str(tmp_path))
    assert "there is a connection 'okta' already" in refused("connection", "create", "okta", *place)
    with serving(tmp_path, "--only", "application") as server:
        token = joiner("token", "create", "--connection", "okta", data=tmp_path).strip()
        assert status_of(f"{server.url}/scim/users", token) == 404
        shown = joiner("connection", "set", "OKTA", "profile=lenient", "requestsPerSecond=50", data=tmp_path)
        assert "profile=lenient" in shown
        assert status_of(f"{server.url}/scim/users", token) == 200
        listed = as_json("connection", "list", data=tmp_path)
        assert [(each["name"], each["settings"]["requestsPerSecond"]) for each in listed] == [("Okta", 50)]
        joiner("connection", "set", "Okta", "requestsPerSecond=none", "patchResponse=204", data=tmp_path)
        settings = as_json("connection", "list", data=tmp_path)[0]["settings"]
        assert (settings["requestsPerSecond"], settings["patchResponse"]) == (None, "204")
        assert "`speed`" in refused("connection", "set", "Okta", "speed=1", *place)
        assert "mostResults" in refused("connection", "set", "Okta", "mostResults=many", *place)
    assert "there is no connection 'x'" in refused("connection", "set", "x", "profile=strict", *place)
    assert "not of the form key=value" in refused("connection", "set", "Okta", "profile", *place, code=2)
    assert "nothing to change" in refused("connection", "set", "Okta", *place, code=2)


def _empty(folder: Path) -> Path:
    """A data folder in which there is nothing."""
    data = folder / "empty"
    data.mkdir()
    return data


@pytest.mark.req("REQ-S-061")
def test_a_token_opens_what_its_scope_says(tmp_path: Path) -> None:
    tokens = {
        scope: joiner("token", "create", "--scope", scope, data=tmp_path).strip()
        for scope in ("write", "read", "events")
    }
    assert sorted(each["scope"] for each in as_json("token", "list", data=tmp_path)) == ["events", "scim", "scim.read"]
    assert all(f" {scope} " in joiner("token", "list", data=tmp_path) for scope in tokens)
    with serving(tmp_path, "--only", "application") as server:
        users, events = f"{server.url}/scim/Users", f"{server.url}/app/api/events"
        assert [status_of(users, token, {"userName": name}) for name, token in tokens.items()] == [200, 403, 403]
        assert [status_of(users, token) for token in tokens.values()] == [200, 200, 403]
        assert [status_of(events, token) for token in tokens.values()] == [403, 403, 200]
        kim = fetch(users, tokens["read"])["Resources"][0]
        me = joiner("token", "create", "--user-id", kim["id"], data=tmp_path).strip()
        assert fetch(f"{server.url}/scim/Me", me) == kim


@pytest.mark.req("REQ-S-064")
def test_an_oauth_client_is_made_used_and_revoked(tmp_path: Path) -> None:
    joiner("connection", "create", "Entra", data=tmp_path)
    place = ("--data", str(tmp_path))
    assert "there is no connection 'default'" in refused("client", "create", "x", *place)
    made = joiner("client", "create", "Provisioning", "--connection", "entra", "--token-minutes", "90", data=tmp_path)
    words = made.split()
    login = {"client_id": words[words.index("id") + 1], "client_secret": words[words.index("secret") + 1]}
    with serving(tmp_path, "--only", "application") as server:
        form = urlencode({"grant_type": "client_credentials", **login}).encode()
        with urlopen(Request(f"{server.url}/oauth/token", form)) as answer:  # noqa: S310 - our own server
            grant = json.load(answer)
        assert grant["expires_in"] == 90 * 60
        assert status_of(f"{server.url}/scim/Users", grant["access_token"], {"userName": "kim"}) == 200
        [listed] = as_json("client", "list", data=tmp_path)
        assert (listed["name"], listed["connectionName"], listed["scope"]) == ("Provisioning", "Entra", "scim")
        assert login["client_secret"] not in joiner("client", "list", data=tmp_path)
        joiner("client", "revoke", login["client_id"], data=tmp_path)
        assert status_of(f"{server.url}/scim/Users", grant["access_token"]) == 401
    assert "revoked" in joiner("client", "list", data=tmp_path)
    reader = as_json("client", "create", "r", "--connection", "Entra", "--scope", "read", data=tmp_path)
    assert reader["scope"] == "scim.read"
    assert "there is no client 'x'" in refused("client", "revoke", "x", *place)


def test_a_webhook_is_added_tested_and_removed(tmp_path: Path) -> None:
    place = ("--data", str(tmp_path))
    joiner("token", "create", data=tmp_path)
    with receiving(204) as url:
        secret = joiner("webhook", "add", url, data=tmp_path).strip()
        assert secret.startswith("whsec_")
        [listed] = as_json("webhook", "list", data=tmp_path)
        assert (listed["url"], listed["failures"], "secret" in listed) == (url, 0, False)
        assert joiner("webhook", "test", listed["id"], data=tmp_path) == "The event was accepted.\n"
        with serving(tmp_path, "--only", "application"):
            assert "was accepted" in joiner("webhook", "test", listed["id"], data=tmp_path)
        shown = joiner("webhook", "list", data=tmp_path, COLUMNS="200")
        assert url in shown
        assert "works" in shown
        assert secret not in shown
    done = run("webhook", "test", listed["id"], *place)
    assert done.returncode == 1
    assert done.stdout.startswith("The event was not accepted: ")
    assert "is removed" in joiner("webhook", "remove", listed["id"], data=tmp_path)
    assert "no webhooks yet" in joiner("webhook", "list", data=tmp_path)
    assert "there is no webhook" in refused("webhook", "remove", listed["id"], *place)
    assert "is never called" in refused("webhook", "add", "https://169.254.169.254/", *place)


def test_a_webhook_that_fails_says_why_and_when_it_is_tried_again(tmp_path: Path) -> None:
    token = joiner("token", "create", data=tmp_path).strip()
    with receiving(500) as url, serving(tmp_path, "--only", "application") as server:
        joiner("webhook", "add", url, "--after", "0", data=tmp_path)
        fetch(f"{server.url}/scim/Users", token, {"userName": "kim"})
        while not (shown := as_json("webhook", "list", data=tmp_path)[0])["failures"]:
            pass
        told = joiner("webhook", "list", data=tmp_path, COLUMNS="300")
        assert "failed 1x, next try" in told
        assert "answered with status 500" in told
        assert shown["delivered"] == 0
