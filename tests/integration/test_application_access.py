"""Who may do what at the SCIM endpoint: tokens and their scopes, OAuth clients, signed tokens of trusted issuers."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette

from joiner.application.access.oauth import JWT_BEARER
from joiner.config import Settings
from joiner.server.serve import listening
from tests.local_server import served
from tests.scim_client import Client, opened_endpoint
from tests.services import PostgreSQL


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def new_token(client: Client, **wanted: Any) -> dict[str, Any]:
    made: dict[str, Any] = await client.admin("POST", "/tokens", wanted, 201)
    return made


# Secret tokens


@pytest.mark.req("REQ-S-061")
async def test_a_token_for_reading_reads_everything_and_writes_nothing(client: Client) -> None:
    path = f"/Users/{(await client.user('kim'))['id']}"
    reader = bearer((await new_token(client, scope="scim.read"))["token"])
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": 'userName eq "kim"'}
    for found in (
        await client.get("/Users", headers=reader),
        await client.post("/Users/.search", search, 200, headers=reader),
        await client.post("/.search", search, 200, headers=reader),
    ):
        assert found["totalResults"] == 1
    await client.get(path, headers=reader)
    assert (await client.http.head(path, headers=reader)).status_code == 200
    await client.post("/Users", {"userName": "lea"}, 403, headers=reader)
    await client.post("/Bulk", {"Operations": []}, 403, headers=reader)
    await client.put(path, {"userName": "kim"}, 403, headers=reader)
    await client.patch(path, {"op": "add", "path": "title", "value": "T"}, status=403, headers=reader)
    await client.delete(path, 403, headers=reader)
    await client.post("/Usersx.search", search, 403, headers=reader)
    assert (await client.get("/Users"))["totalResults"] == 1


@pytest.mark.req("REQ-S-062")
async def test_tokens_are_listed_without_themselves_and_with_their_use(client: Client) -> None:
    made = await new_token(client, connection="Entra", expiresInDays=2)
    assert made["connectionName"] == "Entra"
    await client.get("/Users", headers=bearer(made["token"]))
    listed = {each["id"]: each for each in (await client.admin("GET", "/tokens"))["value"]}
    assert set(listed) == {client.token_id, made["id"]}
    assert "token" not in listed[made["id"]]
    assert listed[made["id"]]["lastUsed"] == listed[made["id"]]["createdAt"]
    client.clock.move(timedelta(days=2))
    await client.get("/Users", 401, headers=bearer(made["token"]))
    await client.admin("DELETE", f"/tokens/{client.token_id}", status=204)
    await client.get("/Users", 401)
    await client.admin("DELETE", "/tokens/nobody", status=404)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"scope": "everything"}, "scope"),
        ({"expiresInDays": 0}, "expiresInDays"),
        ({"expiresInDays": 10**12}, "expiresInDays"),
        ({"connection": ""}, "name"),
        ({"connection": "a\x00"}, "NUL"),
        ({"token": "mine"}, "token"),
    ],
)
async def test_what_makes_no_token_is_refused(client: Client, wanted: dict[str, Any], named: str) -> None:
    assert named in (await client.admin("POST", "/tokens", wanted, 400))["error"]


@pytest.mark.req("REQ-S-061", "REQ-S-329")
async def test_me_is_the_user_of_the_token(client: Client) -> None:
    kim = await client.user("kim")
    me = bearer((await new_token(client, userId=kim["id"]))["token"])
    shown = await client.get("/Me", headers=me)
    assert shown == kim
    answer = await client.http.get("/Me", headers=me)
    location = f"https://app.example/scim/Users/{kim['id']}"
    assert (answer.headers["location"], shown["meta"]["location"]) == (location, location)
    changed = await client.patch("/Me", {"op": "add", "path": "nickName", "value": "K"}, headers=me)
    assert (changed["nickName"], changed["meta"]["location"]) == ("K", location)
    await client.put("/me", {"userName": "kim", "nickName": "L"}, headers=me)
    assert (await client.get(f"/Users/{kim['id']}"))["nickName"] == "L"
    assert set(await client.get("/Me?attributes=userName", headers=me)) == {"schemas", "id", "userName"}
    reader = bearer((await new_token(client, userId=kim["id"], scope="scim.read"))["token"])
    await client.patch("/Me", {"op": "add", "path": "title", "value": "T"}, status=403, headers=reader)
    await client.delete("/Me", headers=me)
    await client.get("/Me", 404, headers=me)
    await client.get(f"/Users/{kim['id']}", 404)


@pytest.mark.req("REQ-S-068")
async def test_me_is_nobody_where_the_user_is_another_connections(client: Client) -> None:
    kim = await client.user("kim")
    other = bearer((await new_token(client, connection="other", userId=kim["id"]))["token"])
    await client.get("/Me", 404, headers=other)


# OAuth clients


async def new_client(client: Client, **wanted: Any) -> dict[str, Any]:
    made: dict[str, Any] = await client.admin("POST", "/clients", {"name": "Entra", **wanted}, 201)
    return made


async def granted(client: Client, status: int = 200, **form: str) -> dict[str, Any]:
    body = {"grant_type": "client_credentials", **form}
    answer = await client.http.post("https://app.example/oauth/token", data=body, headers={"Authorization": ""})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.req("REQ-S-064")
async def test_a_client_gets_a_token_and_provisions_with_it_until_it_ends(client: Client) -> None:
    entra = await new_client(client, tokenMinutes=90)
    grant = await granted(client, client_id=entra["id"], client_secret=entra["secret"])
    assert (grant["token_type"], grant["expires_in"]) == ("Bearer", 90 * 60)
    token = bearer(grant["access_token"])
    await client.post("/Users", {"userName": "kim"}, headers=token)
    client.clock.move(timedelta(minutes=90, seconds=-1))
    await client.get("/Users", headers=token)
    client.clock.move(timedelta(seconds=1))
    await client.get("/Users", 401, headers=token)


@pytest.mark.req("REQ-S-061")
async def test_a_client_for_reading_gets_tokens_for_reading(client: Client) -> None:
    entra = await new_client(client, scope="scim.read")
    login = {"client_id": entra["id"], "client_secret": entra["secret"]}
    token = bearer((await granted(client, **login))["access_token"])
    await client.get("/Users", headers=token)
    await client.post("/Users", {"userName": "kim"}, 403, headers=token)
    assert (await granted(client, 400, **login, scope="scim"))["error"] == "invalid_scope"
    assert (await granted(client, 400, **login, scope="events"))["error"] == "invalid_scope"


@pytest.mark.req("REQ-S-062", "REQ-S-063")
async def test_secrets_rotate_and_a_revoked_client_is_out_at_once(client: Client) -> None:
    entra = await new_client(client)
    token = bearer((await granted(client, client_id=entra["id"], client_secret=entra["secret"]))["access_token"])
    client.clock.move(timedelta(minutes=1))
    second = await client.admin("POST", f"/clients/{entra['id']}/secrets", {"expiresInDays": 1}, 201)
    first, _ = listed = (await client.admin("GET", f"/clients/{entra['id']}/secrets"))["value"]
    assert all("secret" not in each for each in listed)
    await client.admin("DELETE", f"/secrets/{first['id']}", status=204)
    assert (await granted(client, 401, client_id=entra["id"], client_secret=entra["secret"]))[
        "error"
    ] == "invalid_client"
    newer = bearer((await granted(client, client_id=entra["id"], client_secret=second["secret"]))["access_token"])
    for header in (token, newer):
        await client.get("/Users", headers=header)
    await client.admin("DELETE", f"/clients/{entra['id']}", status=204)
    for header in (token, newer):
        await client.get("/Users", 401, headers=header)
    await granted(client, 401, client_id=entra["id"], client_secret=second["secret"])
    [shown] = (await client.admin("GET", "/connections/default/clients"))["value"]
    assert shown["revokedAt"] is not None
    await client.admin("DELETE", "/clients/nobody", status=404)
    await client.admin("GET", "/connections/nobody/clients", status=404)


@pytest.mark.req("REQ-S-062")
async def test_revoking_reaches_every_process(postgresql: PostgreSQL) -> None:
    with postgresql.new_database() as url:
        async with opened_endpoint(url) as one, opened_endpoint(url) as two:
            entra = await new_client(one)
            token = bearer((await granted(two, client_id=entra["id"], client_secret=entra["secret"]))["access_token"])
            async with asyncio.timeout(30):
                while not two.side.tokens.remembers:
                    await two.get("/Users?count=0")
                await two.get("/Users", headers=token)
                await one.admin("DELETE", f"/clients/{entra['id']}", status=204)
                while (status := (await two.http.get("/Users?count=0", headers=token)).status_code) == 200:
                    await one.get("/Users?count=0")
            assert status == 401


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"name": " "}, "name"),
        ({"tokenMinutes": 59}, "60 to 360"),
        ({"tokenMinutes": 361}, "60 to 360"),
        ({"scope": "events"}, "scope"),
        ({"expiresInDays": -1}, "expiresInDays"),
        ({"secret": "mine"}, "secret"),
    ],
)
async def test_what_makes_no_client_is_refused(client: Client, wanted: dict[str, Any], named: str) -> None:
    assert named in (await client.admin("POST", "/clients", {"name": "Entra", **wanted}, 400))["error"]


# Trusted issuers


def encoded(content: bytes) -> str:
    """As a part of a JWT (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


ISSUER = "https://login.example/tenant/v2.0"
OLD, NEW = RSAKey.generate_key(2048), RSAKey.generate_key(2048)


class Issuer:
    """An issuer that publishes its keys on this machine, and a client of the endpoint that trusts it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.keys = {"old": OLD}
        self.trust: dict[str, Any] = {}

    async def answer(self, request: web.BaseRequest) -> web.Response:
        keys = [{**key.as_dict(private=False), "kid": name} for name, key in self.keys.items()]
        return web.Response(text=json.dumps({"keys": keys}), content_type="application/json")

    def token(self, key: Any = OLD, header: dict[str, Any] | None = None, **changes: Any) -> str:
        now = int(self.client.clock().timestamp())
        claims = {"iss": ISSUER, "aud": "api://joiner", "sub": "entra", "exp": now + 3600, "iat": now, **changes}
        head = {"alg": "RS256", "kid": "old", **(header or {})}
        return jwt.encode(head, claims, key, algorithms=[head["alg"]])

    async def status(self, token: str) -> int:
        return (await self.client.http.get("/Users", headers=bearer(token))).status_code


@pytest.fixture
async def issuer(application_database: Path | str) -> AsyncIterator[Issuer]:
    async with opened_endpoint(application_database, allow_loopback=True) as client:
        issuer = Issuer(client)
        async with served(issuer.answer) as port:
            trust = {"issuer": ISSUER, "audience": "api://joiner", "jwksUri": f"http://127.0.0.1:{port}/keys"}
            issuer.trust = await client.admin("POST", "/issuers", trust, 201)
            yield issuer


@pytest.mark.req("REQ-S-066")
async def test_a_signed_token_of_a_trusted_issuer_provisions(issuer: Issuer) -> None:
    client = issuer.client
    await client.post("/Users", {"userName": "kim"}, headers=bearer(issuer.token()))
    assert (await client.get("/Users"))["totalResults"] == 1
    assert (await client.admin("GET", "/issuers"))["value"] == [issuer.trust]
    await client.admin("DELETE", f"/issuers/{issuer.trust['id']}", status=204)
    assert await issuer.status(issuer.token()) == 401
    await client.admin("DELETE", f"/issuers/{issuer.trust['id']}", status=404)


@pytest.mark.req("REQ-S-066")
async def test_the_keys_for_a_signed_token_are_fetched_when_the_first_request_reads(issuer: Issuer) -> None:
    side = issuer.client.side
    app = side.in_front_of(Starlette(routes=side.routes()))
    async with listening(app, Settings(port=0)) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/scim/Users", headers=bearer(issuer.token()))).status_code == 200


@pytest.mark.req("REQ-S-067")
async def test_a_signed_token_that_is_not_right_is_no_token(issuer: Issuer) -> None:
    now = int(issuer.client.clock().timestamp())
    head, body, signature = issuer.token().split(".")
    hmac_head, none_head = (encoded(json.dumps({"alg": name, "kid": "old"}).encode()) for name in ("HS256", "none"))
    by_public_key = hmac.digest(OLD.as_pem(private=False), f"{hmac_head}.{body}".encode(), "sha256")
    for wrong in (
        issuer.token(iss="https://elsewhere.example/"),
        issuer.token(aud="api://somebody"),
        issuer.token(exp=now - 3600),
        issuer.token(nbf=now + 3600),
        issuer.token(key=NEW),
        issuer.token(header={"kid": "unknown"}),
        f"{hmac_head}.{body}.{encoded(by_public_key)}",
        f"{hmac_head}.{body}.{signature}",
        f"{none_head}.{body}.",
        f"{head}.{body}.",
        "a.b.c",
    ):
        assert await issuer.status(wrong) == 401, wrong
    assert await issuer.status(issuer.token()) == 200


@pytest.mark.req("REQ-S-065", "REQ-S-066")
async def test_an_issuer_changes_its_keys_without_anybody_noticing(issuer: Issuer) -> None:
    assert await issuer.status(issuer.token()) == 200
    issuer.keys = {"new": NEW}
    issuer.client.clock.move(timedelta(days=1))
    assert await issuer.status(issuer.token(key=NEW, header={"kid": "new"})) == 200
    assert await issuer.status(issuer.token()) == 401


@pytest.mark.req("REQ-S-065")
async def test_a_client_without_a_secret_gets_its_token_by_an_assertion(issuer: Issuer) -> None:
    client = issuer.client
    entra = await new_client(client)
    await client.admin("DELETE", f"/issuers/{issuer.trust['id']}", status=204)
    trust = {name: issuer.trust[name] for name in ("issuer", "audience", "jwksUri")}
    await client.admin("POST", "/issuers", {**trust, "subject": "entra", "clientId": entra["id"]}, 201)
    form = {"client_id": entra["id"], "client_assertion_type": JWT_BEARER}
    grant = await granted(client, **form, client_assertion=issuer.token())
    await client.post("/Users", {"userName": "kim"}, headers=bearer(grant["access_token"]))
    assert await issuer.status(issuer.token()) == 401, "an assertion is no bearer token"
    for wrong in (issuer.token(sub="another"), issuer.token(key=NEW)):
        assert (await granted(client, 401, **form, client_assertion=wrong))["error"] == "invalid_client"


@pytest.mark.req("REQ-S-068")
async def test_a_signed_token_opens_the_connection_that_trusts_it(issuer: Issuer) -> None:
    client = issuer.client
    await client.side.connections.create("other")
    trust = {name: issuer.trust[name] for name in ("issuer", "audience", "jwksUri")}
    await client.admin("POST", "/issuers", {**trust, "connection": "other", "subject": "theirs"}, 201)
    await client.user("kim")
    listed = await client.get("/Users", headers=bearer(issuer.token(sub="theirs")))
    assert listed["totalResults"] == 0
    assert "same issuer" in (await client.admin("POST", "/issuers", {**trust, "subject": "theirs"}, 400))["error"]


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"jwksUri": "nonsense"}, 400),
        ({"issuer": ""}, 400),
        ({"audience": "x" * 2001}, 400),
        ({"connection": "nobody"}, 404),
        ({"trusted": True}, 400),
    ],
)
async def test_what_makes_no_trust_is_refused(client: Client, wanted: dict[str, Any], status: int) -> None:
    trust = {"issuer": ISSUER, "audience": "api://joiner", "jwksUri": "https://login.example/keys"}
    await client.admin("POST", "/issuers", {**trust, **wanted}, status)
    assert (await client.admin("GET", "/issuers"))["value"] == []
