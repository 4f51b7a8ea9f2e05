"""The token endpoint over HTTP and the clients behind it, on a real database."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette

from joiner.application.access.assertions import Assertions
from joiner.application.access.failure_limit import MOST_NAMES, FailureLimit
from joiner.application.access.key_sets import KeyDocument, KeySets
from joiner.application.access.oauth import JWT_BEARER, ClientCredentials
from joiner.application.access.oauth_clients import OAuthClient, OAuthClients
from joiner.application.access.trust import TrustedIssuer
from joiner.application.endpoints.oauth import MOST_BYTES, oauth_routes
from joiner.application.side import COMPONENT, MIGRATIONS
from joiner.clock import to_iso
from joiner.errors import InvalidValueError, NotFoundError
from joiner.storage.embedded import EmbeddedDatabase
from joiner.storage.session import Session
from joiner.tokens import hash_token
from tests.world import StillClock

KEY = RSAKey.generate_key(2048)
ISSUER = "https://login.microsoftonline.com/tenant/v2.0"


class Database(EmbeddedDatabase):
    """The application side's tables, with two connections."""

    async def row(self, sql: str, *values: Any) -> Any:
        return await self.read(lambda session: session.row(sql, *values))

    async def with_connections(self) -> "Database":
        async def work(session: Session) -> None:
            for name in ("ours", "theirs"):
                await session.execute("INSERT INTO connection (name, created_at) VALUES (?1, '')", name)

        await self.write(work)
        return self


class World:
    """A token endpoint, its clients, and what its tokens open."""

    def __init__(self, storage: Database, http: httpx.AsyncClient, clients: OAuthClients, clock: StillClock) -> None:
        self.storage = storage
        self.http = http
        self.clients = clients
        self.clock = clock

    async def client(self, **options: Any) -> tuple[OAuthClient, str]:
        """A client of the connection 1 and its secret."""
        client = await self.clients.create(1, "Entra", **options)
        secret, _ = await self.clients.add_secret(client.id)
        return client, secret

    async def ask(self, client_id: str, secret: str, **form: str) -> httpx.Response:
        body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, **form}
        return await self.http.post("/oauth/token", data=body)

    async def token(self, client_id: str, secret: str, **form: str) -> str:
        answer = await self.ask(client_id, secret, **form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def opens(self, token: str) -> tuple[int, str] | None:
        """Connection and scope that a token opens at this moment."""
        row = await self.storage.row(
            "SELECT connection_id, scope FROM token WHERE token_hash = ?1 AND kind = 'access'"
            " AND revoked_at IS NULL AND expires_at > ?2",
            *(hash_token(token), to_iso(self.clock())),
        )
        return None if row is None else (row[0], row[1])


def assertion(clock: StillClock, **changes: Any) -> str:
    now = int(clock().timestamp())
    claims = {"iss": ISSUER, "aud": "api://joiner", "sub": "entra", "exp": now + 3600, "iat": now, **changes}
    return jwt.encode({"alg": "RS256", "kid": "k"}, claims, KEY, algorithms=["RS256"])


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def world(tmp_path: Path, clock: StillClock) -> AsyncIterator[World]:
    storage = Database(tmp_path / "oauth.db", {COMPONENT: MIGRATIONS / "sqlite"})
    await storage.with_connections()
    clients = OAuthClients(storage, clock)

    async def fetch(url: str) -> KeyDocument:
        return KeyDocument(json.dumps({"keys": [{**KEY.as_dict(private=False), "kid": "k"}]}).encode(), None)

    trusted = [
        TrustedIssuer(
            issuer=ISSUER,
            audience="api://joiner",
            jwks_uri="https://login.example/keys",
            connection_id=1,
            subject="entra",
            client_id=client_id,
        )
        for client_id in (await federated_clients(clients))
    ]
    credentials = ClientCredentials(clients, clock, Assertions(trusted, KeySets(fetch, clock), clock))
    transport = httpx.ASGITransport(app=Starlette(routes=list(oauth_routes(credentials))))
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as http:
        yield World(storage, http, clients, clock)
    await storage.close()


async def federated_clients(clients: OAuthClients) -> list[str]:
    """A client of the connection 1, and one of the connection 2 for which connection 1 was entered by mistake."""
    return [(await clients.create(number, "federated")).id for number in (1, 2)]


async def federated(world: World, connection_id: int) -> str:
    return (await world.clients.of_connection(connection_id))[0].id


def checked_error(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"] == code
    assert ("www-authenticate" in answer.headers) == (status == 401)
    return str(answer.json()["error_description"])


# Tokens


@pytest.mark.req("REQ-S-064")
@pytest.mark.parametrize("minutes", [60, 90, 360])
async def test_a_client_gets_a_token_that_is_valid_as_long_as_it_is_set(world: World, minutes: int) -> None:
    client, secret = await world.client(token_minutes=minutes)
    answer = await world.ask(client.id, secret)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    token = body.pop("access_token")
    assert body == {"token_type": "Bearer", "expires_in": minutes * 60, "scope": "scim"}
    assert token.startswith("joiner_scim_at_")
    world.clock.move(timedelta(minutes=minutes, seconds=-1))
    assert await world.opens(token) == (1, "scim")
    world.clock.move(timedelta(seconds=1))
    assert await world.opens(token) is None


@pytest.mark.req("REQ-S-062")
async def test_neither_secrets_nor_tokens_are_stored(world: World) -> None:
    client, secret = await world.client()
    token = await world.token(client.id, secret)
    assert secret.startswith("joiner_client_secret_")
    stored = b"".join(file.read_bytes() for file in world.storage.path.parent.glob("oauth.db*"))
    assert hash_token(secret).encode() in stored
    assert hash_token(token).encode() in stored
    assert secret.encode() not in stored
    assert token.encode() not in stored


@pytest.mark.req("REQ-S-064")
@pytest.mark.parametrize("minutes", [0, 59, 361])
async def test_a_validity_outside_of_one_to_six_hours_is_refused(world: World, minutes: int) -> None:
    with pytest.raises(InvalidValueError, match="60 to 360 minutes"):
        await world.clients.create(1, "Entra", token_minutes=minutes)


async def test_a_token_does_not_outlive_its_client(world: World) -> None:
    client, secret = await world.client(expires_in=timedelta(minutes=10))
    assert (await world.ask(client.id, secret)).json()["expires_in"] == 600
    world.clock.move(timedelta(minutes=10))
    checked_error(await world.ask(client.id, secret), 401, "invalid_client")


async def test_tokens_that_expired_long_ago_are_forgotten(world: World) -> None:
    client, secret = await world.client()
    await world.token(client.id, secret)
    world.clock.move(timedelta(days=30))
    await world.token(client.id, secret)
    assert await world.storage.row("SELECT count(*) FROM token") == (2,)
    world.clock.move(timedelta(hours=2))
    await world.token(client.id, secret)
    assert await world.storage.row("SELECT count(*) FROM token") == (2,)


@pytest.mark.req("REQ-S-061")
@pytest.mark.parametrize(
    ("allowed", "asked", "given"),
    [
        ("scim", None, "scim"),
        ("scim", "scim", "scim"),
        ("scim", "scim.read", "scim.read"),
        ("scim", "scim.read scim", "scim"),
        ("scim.read", None, "scim.read"),
        ("scim.read", "scim.read", "scim.read"),
        ("scim.read", "scim", None),
        ("scim", "admin", None),
        ("scim", "scim admin", None),
        ("scim", " ", None),
    ],
)
async def test_a_scope_is_given_up_to_what_the_client_may(
    world: World, allowed: str, asked: str | None, given: str | None
) -> None:
    client, secret = await world.client(scope=allowed)
    answer = await world.ask(client.id, secret, **({} if asked is None else {"scope": asked}))
    if given is None:
        assert allowed in checked_error(answer, 400, "invalid_scope")
        return
    assert answer.json()["scope"] == given
    assert await world.opens(answer.json()["access_token"]) == (1, given)


# Clients


@pytest.mark.req("REQ-S-063", "REQ-S-064")
async def test_two_secrets_are_valid_at_once_until_one_is_revoked(world: World) -> None:
    client, old = await world.client()
    world.clock.move(timedelta(days=300))
    new, record = await world.clients.add_secret(client.id)
    assert [secret.hint for secret in await world.clients.secrets_of(client.id)] == [old[-4:], new[-4:]]
    token = await world.token(client.id, old)
    await world.token(client.id, new)
    first = (await world.clients.secrets_of(client.id))[0]
    await world.clients.revoke_secret(first.id)
    checked_error(await world.ask(client.id, old), 401, "invalid_client")
    await world.token(client.id, new)
    assert await world.opens(token), "a rotation does not interrupt what runs"
    await world.clients.revoke_secret(record.id)
    checked_error(await world.ask(client.id, new), 401, "invalid_client")


async def test_a_secret_ends_with_its_time(world: World) -> None:
    client, _ = await world.client()
    secret, _ = await world.clients.add_secret(client.id, timedelta(days=365))
    world.clock.move(timedelta(days=365) - timedelta(seconds=1))
    await world.token(client.id, secret)
    world.clock.move(timedelta(seconds=1))
    checked_error(await world.ask(client.id, secret), 401, "invalid_client")


@pytest.mark.req("REQ-S-062")
async def test_revoking_a_client_ends_its_tokens_at_once_and_nobody_elses(world: World) -> None:
    client, secret = await world.client()
    other, other_secret = await world.client()
    token, other_token = await world.token(client.id, secret), await world.token(other.id, other_secret)
    await world.clients.revoke(client.id)
    assert await world.opens(token) is None
    assert await world.opens(other_token)
    checked_error(await world.ask(client.id, secret), 401, "invalid_client")
    assert await world.clients.issue(client, "scim") is None, "also if it had been authenticated just before"
    with pytest.raises(NotFoundError):
        await world.clients.add_secret(client.id)
    revoked = [entry.revoked_at for entry in await world.clients.of_connection(1) if entry.id == client.id]
    world.clock.move(timedelta(days=1))
    await world.clients.revoke(client.id)
    assert revoked == [entry.revoked_at for entry in await world.clients.of_connection(1) if entry.id == client.id]


@pytest.mark.req("REQ-S-068")
async def test_clients_belong_to_one_connection(world: World) -> None:
    client, _ = await world.client()
    assert client.id not in {entry.id for entry in await world.clients.of_connection(2)}
    assert client in await world.clients.of_connection(1)


async def test_what_cannot_be_administrated_is_refused_in_words(world: World) -> None:
    with pytest.raises(NotFoundError, match="connection '9'"):
        await world.clients.create(9, "Entra")
    with pytest.raises(InvalidValueError, match="name"):
        await world.clients.create(1, " ")
    with pytest.raises(InvalidValueError, match="'all' is not a scope"):
        await world.clients.create(1, "Entra", scope="all")  # type: ignore[arg-type] # as it may come from outside
    with pytest.raises(InvalidValueError, match="future"):
        await world.clients.create(1, "Entra", expires_in=timedelta(0))
    for act in (world.clients.add_secret, world.clients.revoke, world.clients.revoke_secret):
        with pytest.raises(NotFoundError, match="'nothing'"):
            await act("nothing")


# Authentication of clients


@pytest.mark.req("REQ-S-064")
async def test_a_client_may_authenticate_by_basic(world: World) -> None:
    client, secret = await world.client()
    form = {"grant_type": "client_credentials"}
    for id_ in (client.id, client.id.replace("-", "%2D")):
        encoded = base64.b64encode(f"{id_}:{secret}".encode()).decode()
        headers = {"Authorization": f"bAsIc {encoded}"}
        assert (await world.http.post("/oauth/token", data=form, headers=headers)).status_code == 200
        same = {**form, "client_id": client.id}
        assert (await world.http.post("/oauth/token", data=same, headers=headers)).status_code == 200
        other = {**form, "client_id": "other"}
        checked_error(await world.http.post("/oauth/token", data=other, headers=headers), 400, "invalid_request")


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !",
        "Basic OnNlY3JldA==",
        "Basic bm9ib2R5",
        "Basic bm9ib2R5Og==",
        "Basic /w==",
        "Bearer abc",
        "x y",
    ],
)
async def test_an_authorization_that_is_no_basic_is_refused(world: World, authorization: str) -> None:
    answer = await world.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, headers={"Authorization": authorization}
    )
    checked_error(answer, 401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="joiner"'


@pytest.mark.req("REQ-S-060")
async def test_nothing_tells_a_client_that_does_not_exist_from_a_wrong_secret(world: World) -> None:
    client, secret = await world.client()
    other, other_secret = await world.client()
    statements: list[str] = []
    world.storage._reader.set_trace_callback(statements.append)
    asked = []
    for client_id, wrong in (
        (client.id, "x" * 60),
        ("nobody", "x" * 60),
        (client.id, other_secret),
        ("nobody", secret),
    ):
        answer = await world.ask(client_id, wrong)
        asked.append((answer.status_code, answer.text, len(statements)))
        statements.clear()
    assert len(set(asked)) == 1
    assert asked[0][0] == 401
    assert other.id != client.id


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "authorization_code"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "u", "password": "p"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "c"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "s"}, 400, "invalid_request"),
        (
            {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s", "client_assertion": "a"},
            400,
            "invalid_request",
        ),
        (
            {"grant_type": "client_credentials", "client_id": "c", "client_assertion": "a"},
            400,
            "invalid_request",
        ),
        ({"grant_type": "client_credentials", "client_id": ["c", "d"], "client_secret": "s"}, 400, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "c\x00", "client_secret": "s"}, 400, "invalid_request"),
    ],
)
async def test_a_request_that_lacks_something_is_told_what_in_the_terms_of_oauth(
    world: World, form: dict[str, Any], status: int, code: str
) -> None:
    description = checked_error(await world.http.post("/oauth/token", data=form), status, code)
    assert not set(description) & set('"\\'), "RFC 6749 §5.2 forbids them"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"grant_type=client_credentials", "text/plain"),
        (b"grant_type=client_credentials", ""),
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"grant_type=\xff", "application/x-www-form-urlencoded"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"a=1&" * 100, "application/x-www-form-urlencoded"),
        (b"a=" + b"x" * MOST_BYTES, "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_that_is_no_sensible_form_is_refused(world: World, content: bytes, kind: str) -> None:
    answer = await world.http.post("/oauth/token", content=content, headers={"Content-Type": kind})
    checked_error(answer, 400, "invalid_request")


async def test_only_post_is_answered(world: World) -> None:
    answer = await world.http.get("/oauth/token", params={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


# Assertions


async def ask_with_assertion(world: World, client_id: str, token: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": JWT_BEARER,
        "client_assertion": token,
        "scope": "scim",
    }
    return await world.http.post("/oauth/token", data=form)


@pytest.mark.req("REQ-S-065")
async def test_a_client_without_a_secret_authenticates_by_an_assertion(world: World) -> None:
    answer = await ask_with_assertion(world, await federated(world, 1), assertion(world.clock))
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 3600
    assert await world.opens(answer.json()["access_token"]) == (1, "scim")


@pytest.mark.req("REQ-S-067", "REQ-S-065")
@pytest.mark.parametrize("changes", [{"iss": "https://evil.example"}, {"aud": "x"}, {"sub": "other"}, {"exp": 1}])
async def test_an_assertion_with_wrong_claims_is_answered_with_401(world: World, changes: dict[str, Any]) -> None:
    client_id = await federated(world, 1)
    answer = await ask_with_assertion(world, client_id, assertion(world.clock, **changes))
    nobody = await ask_with_assertion(world, "nobody", assertion(world.clock))
    assert checked_error(answer, 401, "invalid_client") == checked_error(nobody, 401, "invalid_client")


@pytest.mark.req("REQ-S-068")
async def test_an_assertion_opens_no_other_connection_and_no_revoked_client(world: World) -> None:
    checked_error(
        await ask_with_assertion(world, await federated(world, 2), assertion(world.clock)), 401, "invalid_client"
    )
    client_id = await federated(world, 1)
    await world.clients.revoke(client_id)
    checked_error(await ask_with_assertion(world, client_id, assertion(world.clock)), 401, "invalid_client")


@pytest.mark.req("REQ-S-067")
async def test_without_trusted_issuers_no_assertion_is_accepted(world: World) -> None:
    credentials = ClientCredentials(world.clients, world.clock)
    transport = httpx.ASGITransport(app=Starlette(routes=list(oauth_routes(credentials))))
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as http:
        alone = World(world.storage, http, world.clients, world.clock)
        answer = await ask_with_assertion(alone, await federated(world, 1), assertion(world.clock))
    checked_error(answer, 401, "invalid_client")


# Guessing


@pytest.mark.req("REQ-S-055")
@pytest.mark.parametrize("exists", [True, False])
async def test_after_ten_failures_in_a_minute_a_client_has_to_wait(world: World, exists: bool) -> None:
    client, secret = await world.client()
    other, other_secret = await world.client()
    name = client.id if exists else "nobody"
    for _ in range(10):
        checked_error(await world.ask(name, "wrong"), 401, "invalid_client")
        world.clock.move(timedelta(seconds=2))
    answer = await world.ask(name, secret)
    checked_error(answer, 429, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "40"
    await world.token(other.id, other_secret)
    world.clock.move(timedelta(seconds=40))
    if exists:
        await world.token(name, secret)
    else:
        checked_error(await world.ask(name, secret), 401, "invalid_client")


async def test_failures_that_are_spread_over_more_than_a_minute_hinder_nobody(world: World) -> None:
    client, secret = await world.client()
    for _ in range(30):
        checked_error(await world.ask(client.id, "wrong"), 401, "invalid_client")
        world.clock.move(timedelta(seconds=7))
    await world.token(client.id, secret)


def test_invented_names_do_not_fill_the_memory(clock: StillClock) -> None:
    limit = FailureLimit(clock)
    for _ in range(10):
        limit.note("\ud800")
    assert limit.wait("\ud800") == 60
    for number in range(MOST_NAMES):
        limit.note(str(number))
    assert limit.wait("\ud800") == 0
