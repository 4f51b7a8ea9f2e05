"""The endpoint's HTTP surface: media types, addresses, methods, errors, load; credentials and tenants."""

import asyncio
import time
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette

from tests.scim_client import ERROR, Client


async def other_tenant(client: Client) -> dict[str, str]:
    """The Authorization header of another connection."""
    token, _ = await client.side.tokens.create("other")
    return {"Authorization": f"Bearer {token}"}


async def get_raw(client: Client, path: str, query: bytes) -> tuple[int, Any]:
    """Status and body of a GET with exactly these bytes as its query, which HTTP libraries would encode."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [
            (b"host", b"app.example"),
            (b"authorization", client.http.headers["authorization"].encode()),
        ],
    }
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await Starlette(routes=client.side.routes())(scope, receive, send)
    return sent[0]["status"], orjson.loads(b"".join(message.get("body", b"") for message in sent))


# Media types


@pytest.mark.req("REQ-S-040")
@pytest.mark.parametrize("kind", ["application/scim+json", "application/json"])
@pytest.mark.parametrize("charset", ["", ";charset=utf-8", "; charset=UTF-8", '; charset="utf-8"'])
async def test_every_method_with_a_body_takes_both_media_types(client: Client, kind: str, charset: str) -> None:
    headers = {"Content-Type": kind + charset}
    user = await client.post("/Users", {"userName": "kim"}, headers=headers)
    path = f"/Users/{user['id']}"
    assert (await client.put(path, {"userName": "kim", "title": "A"}, headers=headers))["title"] == "A"
    replace = {"op": "replace", "path": "title", "value": "B"}
    assert (await client.patch(path, replace, headers=headers))["title"] == "B"


@pytest.mark.req("REQ-S-041", "REQ-S-052")
@pytest.mark.parametrize(
    ("method", "path", "options", "status", "scim_type"),
    [
        ("GET", "/Users?filter=", {}, 400, "invalidFilter"),
        ("GET", "/Users?count=x", {}, 400, "invalidValue"),
        ("GET", "/Users/none", {}, 404, None),
        ("GET", "/none", {}, 404, None),
        ("GET", "/Users", {"headers": {"Authorization": "Bearer none"}}, 401, None),
        ("GET", "/Schemas?filter=id%20pr", {}, 403, None),
        ("GET", "/Users", {"headers": {"Accept": "text/html"}}, 406, None),
        ("PUT", "/Users", {"json": {}}, 405, None),
        ("POST", "/Users", {"json": {}}, 400, "invalidValue"),
        ("POST", "/Users", {"json": {"userName": "kim"}}, 409, "uniqueness"),
        ("POST", "/Users", {"content": b"{"}, 400, "invalidSyntax"),
        ("POST", "/Users", {"content": b"<a/>", "headers": {"Content-Type": "text/xml"}}, 415, None),
        ("DELETE", "/Users/{kim}", {"headers": {"If-Match": 'W/"99"'}}, 412, None),
        ("PATCH", "/Users/{kim}", {"json": {"Operations": [{"op": "remove", "path": "zz"}]}}, 400, "invalidPath"),
        ("PATCH", "/Users/{kim}", {"json": {"Operations": [{"op": "remove", "path": "id"}]}}, 400, "mutability"),
    ],
)  # fmt: skip
async def test_every_error_is_a_scim_error_with_its_status_as_text(
    client: Client, method: str, path: str, options: dict[str, Any], status: int, scim_type: str | None
) -> None:
    kim = await client.user("kim")
    answer = await client.http.request(method, path.replace("{kim}", kim["id"]), **options)
    assert answer.headers["content-type"] == "application/scim+json"
    body = answer.json()
    detail = body.pop("detail")
    assert isinstance(detail, str)
    assert detail
    expected = {"schemas": [ERROR], "status": str(status)}
    assert (answer.status_code, body) == (status, {**expected, **({"scimType": scim_type} if scim_type else {})})


@pytest.mark.req("REQ-S-042")
@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/scim+json", 200),
        ("*/*", 200),
        ("text/html, application/xhtml+xml, */*;q=0.8", 200),
        ("text/html", 406),
        ("application/xml", 406),
    ],
)
async def test_what_a_client_accepts_decides_whether_it_is_answered(client: Client, accept: str, status: int) -> None:
    await client.get("/Users", status, headers={"Accept": accept})


# Addresses and methods


@pytest.mark.req("REQ-S-045")
@pytest.mark.parametrize("path", ["/User", "/Users/a/b/c", "/Schemas/urn:none", "/ResourceTypes/none", "/.well-known"])
async def test_an_unknown_address_is_not_found(client: Client, path: str) -> None:
    await client.get(path, 404)


@pytest.mark.req("REQ-S-046")
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/Users", {"GET", "POST"}),
        ("/Groups", {"GET", "POST"}),
        ("/Users/none", {"GET", "PUT", "PATCH", "DELETE"}),
        ("/Groups/none", {"GET", "PUT", "PATCH", "DELETE"}),
        ("/ServiceProviderConfig", {"GET"}),
        ("/Schemas", {"GET"}),
        ("/ResourceTypes/User", {"GET"}),
    ],
)
async def test_a_method_that_an_endpoint_does_not_have_is_405_and_never_404(
    client: Client, path: str, allowed: set[str]
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - allowed:
        answer = await client.http.request(method, path)
        assert answer.status_code == 405, (method, answer.text)
        assert answer.json()["schemas"] == [ERROR]
        assert {name.strip() for name in answer.headers["allow"].split(",")} - {"HEAD"} == allowed


@pytest.mark.req("REQ-S-049", "REQ-S-051")
@pytest.mark.parametrize("prefix", ["", "/v2"])
@pytest.mark.parametrize("endpoint", ["/Users", "/users", "/USERS/", "//Users", "/Users//"])
async def test_every_spelling_of_an_address_reaches_the_same_user(client: Client, prefix: str, endpoint: str) -> None:
    kim = await client.user()
    base = f"https://app.example/scim{prefix}{endpoint}"
    assert (await client.get(base))["totalResults"] == 1
    assert (await client.get(f"{base}/{kim['id']}"))["userName"] == "kim"


@pytest.mark.req("REQ-S-051")
@pytest.mark.parametrize("version", ["v1", "v9", "v2.1", "v22"])
async def test_another_version_of_the_protocol_is_refused(client: Client, version: str) -> None:
    answer = await client.http.get(f"https://app.example/scim/{version}/Users")
    assert answer.status_code in (400, 404)
    assert answer.json().get("scimType") == ("invalidVers" if answer.status_code == 400 else None)


@pytest.mark.req("REQ-S-048")
@pytest.mark.parametrize("query", ["aadOptscim062020", "AzureAdScimPatch2017=", "api-version=1&x[]=%00", "=", "&&"])
async def test_unknown_query_parameters_are_ignored(client: Client, query: str) -> None:
    await client.user()
    assert (await client.get(f"/Users?{query}&startIndex=1"))["totalResults"] == 1


@pytest.mark.req("REQ-S-050")
@pytest.mark.parametrize(
    "query",
    [
        b'filter=userName+eq+"kim"',
        b'filter=userName%20eq%20"kim"',
        b"filter=userName+eq+%22kim%22",
        b'filter=userName eq "kim"',
        b'attributes=emails[type+eq+"work"]&filter=userName+eq+"kim"',
    ],
)
async def test_a_query_may_hold_quotes_brackets_and_blanks_as_they_are(client: Client, query: bytes) -> None:
    await client.user("kim", emails=[{"type": "work", "value": "k@x.example"}])
    await client.user("ann")
    status, body = await get_raw(client, "/scim/Users", query)
    assert (status, body["totalResults"]) == (200, 1)
    assert body["Resources"][0]["emails"]


# Errors and load


@pytest.mark.req("REQ-S-053")
async def test_an_error_of_our_own_shows_nothing_of_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(authorization: str | None) -> None:
        raise RuntimeError("SELECT secret FROM somewhere")

    monkeypatch.setattr(client.side.tokens, "authenticate", broken)
    answer = await client.http.get("/Users")
    capfd.readouterr()
    assert answer.status_code == 500
    body = answer.json()
    assert (body["schemas"], body["status"]) == ([ERROR], "500")
    assert not any(word in answer.text for word in ("SELECT", "RuntimeError", "Traceback", ".py"))


@pytest.mark.req("REQ-S-053", "REQ-S-068")
async def test_no_error_repeats_what_another_tenant_holds(client: Client) -> None:
    kim = await client.user("kim", displayName="Kim of the other tenant")
    other = await other_tenant(client)
    path = f"/Users/{kim['id']}"
    rename = {"op": "replace", "path": "displayName", "value": "Mine"}
    errors = [
        await client.get(path, 404, headers=other),
        await client.put(path, {"userName": "kim"}, 404, headers=other),
        await client.patch(path, rename, status=404, headers=other),
        await client.delete(path, 404, headers=other),
    ]
    assert not any("Kim of" in error["detail"] for error in errors)
    assert await client.get(path) == kim


@pytest.mark.req("REQ-S-056")
async def test_twenty_five_requests_a_second_go_on_without_a_refusal(client: Client) -> None:
    for _ in range(10):
        answers = await asyncio.gather(*(client.http.get("/Users?count=1") for _ in range(25)))
        assert {answer.status_code for answer in answers} == {200}
        client.clock.move(timedelta(seconds=1))


@pytest.mark.slow
@pytest.mark.req("REQ-S-057")
async def test_groups_are_listed_at_once_while_there_are_ten_thousand_users(client: Client) -> None:
    for start in range(0, 10_000, 500):
        await asyncio.gather(*(client.user(f"user{number}") for number in range(start, start + 500)))
    for number in range(50):
        await client.group(f"Team {number}")
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        listed = await client.get("/Groups")
        seconds.append(time.perf_counter() - began)
    assert listed["totalResults"] == 50
    assert min(seconds) < 0.6


# Credentials and tenants


@pytest.mark.req("REQ-S-060")
@pytest.mark.parametrize("path", ["/Users", "/Users/none", "/Groups", "/ServiceProviderConfig", "/Schemas", "/none"])
async def test_every_address_needs_a_credential(client: Client, path: str) -> None:
    for header in ("Bearer wrong", "Basic a2ltOmtpbQ=="):
        answer = await client.http.get(path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (answer.json()["status"], answer.json()["schemas"]) == ("401", [ERROR])
        assert answer.json()["detail"]


@pytest.mark.req("REQ-S-069")
async def test_names_of_another_tenant_are_free(client: Client) -> None:
    other = await other_tenant(client)
    await client.user("kim", externalId="x")
    await client.group("Team")
    await client.post("/Users", {"userName": "KIM", "externalId": "x"}, headers=other)
    await client.post("/Groups", {"displayName": "team"}, headers=other)
    for path in ("/Users", "/Groups"):
        assert (await client.get(path, headers=other))["totalResults"] == 1


@pytest.mark.req("REQ-S-068")
async def test_naming_another_tenants_user_as_a_member_or_manager_shows_nothing_of_it(client: Client) -> None:
    other = await other_tenant(client)
    kim = await client.user("kim", displayName="Kim")
    body = {"displayName": "Theirs", "members": [{"value": kim["id"]}]}
    team = await client.post("/Groups", body, headers=other)
    assert "Kim" not in str(team)
    ann = await client.post("/Users", {"userName": "ann", "manager": kim["id"]}, headers=other)
    assert "Kim" not in str(ann)
    assert await client.get(f"/Users/{kim['id']}") == kim


@pytest.mark.req("REQ-S-070")
@pytest.mark.parametrize(
    "path", ["/scim/other/Users", "/scim/v2/other/Users", "/other/scim/Users", "/scim/Users/other"]
)
async def test_an_address_that_names_another_tenant_shows_no_data(client: Client, path: str) -> None:
    await client.post("/Users", {"userName": "kim"}, headers=await other_tenant(client))
    answer = await client.http.get(f"https://app.example{path}")
    assert answer.status_code in (403, 404)
    assert "kim" not in answer.text


@pytest.mark.req("REQ-S-347")
async def test_who_would_take_an_answer_later_gets_it_at_once(client: Client) -> None:
    """RFC 9967 §2.5 leaves it to the server."""
    answer = await client.http.post("/Users", json={"userName": "kim"}, headers={"Prefer": "respond-async, wait=10"})
    assert answer.status_code == 201
    assert "set-txn" not in answer.headers
    assert (await client.get(f"/Users/{answer.json()['id']}"))["userName"] == "kim"
