"""Connections and their settings: changed while the endpoint runs, effective with the next request."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from joiner.application.endpoints.rates import BURST_SECONDS
from tests.scim_client import CORE, ENTERPRISE, ENTRA_USER, GROUP, Client, opened_endpoint
from tests.services import PostgreSQL

DEFAULTS: dict[str, Any] = {
    "profile": "lenient",
    "patchResponse": "auto",
    "uniqueGroupNames": True,
    "membersMustExist": False,
    "keepDeletedManagers": True,
    "indirectGroups": False,
    "mostResults": 1000,
    "mostOperations": 1000,
    "requestsPerSecond": None,
}


async def configure(client: Client, **settings: Any) -> None:
    """Changes settings of the client's connection, which it has used before."""
    await client.get("/Users")
    changed = await client.admin("PATCH", "/connections/default", settings)
    assert changed["settings"].items() >= settings.items()


# Administration


async def test_a_connection_is_made_with_settings_and_listed(client: Client) -> None:
    assert (await client.admin("GET", "/connections"))["value"] == [{"name": "default", "settings": DEFAULTS}]
    made = await client.admin("POST", "/connections", {"name": " Entra ", "settings": {"profile": "strict"}}, 201)
    assert made == {"name": "Entra", "settings": {**DEFAULTS, "profile": "strict"}}
    assert (await client.admin("GET", "/connections"))["value"][1] == made
    assert "already" in (await client.admin("POST", "/connections", {"name": "ENTRA"}, 409))["error"]


async def test_settings_are_changed_one_by_one(client: Client) -> None:
    await client.admin("PATCH", "/connections/DEFAULT", {"mostResults": 10})
    changed = await client.admin("PATCH", "/connections/default", {"requestsPerSecond": 50})
    assert changed == {"name": "default", "settings": {**DEFAULTS, "mostResults": 10, "requestsPerSecond": 50}}
    changed = await client.admin("PATCH", "/connections/default", {"requestsPerSecond": None})
    assert changed["settings"]["requestsPerSecond"] is None
    await client.admin("PATCH", "/connections/nobody", {"mostResults": 10}, 404)


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("PATCH", "/connections/default", {"profil": "strict"}, "profil"),
        ("PATCH", "/connections/default", {"patch_response": "204"}, "patch_response"),
        ("PATCH", "/connections/default", {"profile": "severe"}, "profile"),
        ("PATCH", "/connections/default", {"mostResults": 0}, "mostResults"),
        ("PATCH", "/connections/default", {"mostResults": "10"}, "mostResults"),
        ("PATCH", "/connections/default", {"mostOperations": 10**20}, "mostOperations"),
        ("PATCH", "/connections/default", {"requestsPerSecond": 24}, "requestsPerSecond"),
        ("PATCH", "/connections/default", ["strict"], "object"),
        ("POST", "/connections", {"name": "x", "settings": {"speed": 1}}, "speed"),
        ("POST", "/connections", {"name": "x", "speed": 1}, "speed"),
        ("POST", "/connections", {"name": " "}, "needs a name"),
        ("POST", "/connections", {"name": "x" * 101}, "100"),
        ("POST", "/connections", {"name": "a\nb"}, "printable"),
        ("POST", "/connections", {"name": "a\x00b"}, "NUL"),
        ("POST", "/connections", {}, "name"),
    ],
)
async def test_what_is_no_setting_is_refused_by_name(
    client: Client, method: str, path: str, body: Any, named: str
) -> None:
    assert named in (await client.admin(method, path, body, 400))["error"]
    assert (await client.admin("GET", "/connections"))["value"] == [{"name": "default", "settings": DEFAULTS}]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"not json", 400),
        (b"\xff\xfe", 400),
        (rb'{"name": "\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b" " * (1024 * 1024 + 1), 413),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(client: Client, content: bytes, status: int) -> None:
    url, headers = "https://app.example/app/api/connections", {"Authorization": "Bearer administrator"}
    answer = await client.http.post(url, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


async def test_a_name_that_no_database_knows_is_nothing(client: Client) -> None:
    await client.admin("PATCH", "/connections/a%00b", {}, 404)
    await client.admin("DELETE", "/tokens/%00", status=404)
    await client.admin("GET", "/events?connection=%00", status=404)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/connections", "/tokens", "/clients", "/issuers", "/webhooks"])
async def test_only_administrators_administrate(client: Client, method: str, path: str) -> None:
    if (method, path) == ("GET", "/clients"):
        path = "/connections/default/clients"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": client.http.headers["Authorization"]}):
        await client.admin(method, path, {} if method == "POST" else None, 401, headers=headers)


# What settings do


@pytest.mark.req("REQ-S-055")
async def test_more_requests_than_allowed_have_to_wait(client: Client) -> None:
    await configure(client, requestsPerSecond=25)
    for _ in range(25 * BURST_SECONDS):
        await client.get("/Users?count=0")
    answer = await client.http.get("/Users")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["status"] == "429"
    token, _ = await client.side.tokens.create("other")
    await client.get("/Users", headers={"Authorization": f"Bearer {token}"})
    client.clock.move(timedelta(seconds=1))
    for _ in range(25):
        await client.get("/Users?count=0")
    await client.get("/Users?count=0", 429)
    client.clock.move(timedelta(days=-1))
    await client.get("/Users?count=0", 429)


@pytest.mark.parametrize(
    ("setting", "user_status", "group_status"), [("auto", 200, 204), ("200", 200, 200), ("204", 204, 204)]
)
@pytest.mark.req("REQ-S-227")
async def test_the_answer_to_a_patch_is_chosen(
    client: Client, setting: str, user_status: int, group_status: int
) -> None:
    user, group = await client.user("kim"), await client.group("Team")
    await configure(client, patchResponse=setting)
    change = {"op": "replace", "path": "displayName", "value": "X"}
    for path, status in ((f"/Users/{user['id']}", user_status), (f"/Groups/{group['id']}", group_status)):
        answer = await client.patch(path, change, status=status)
        assert answer is None or answer["displayName"] == "X"
        assert (await client.patch(f"{path}?attributes=displayName", change))["displayName"] == "X"
        assert await client.patch(path, change, status=204, headers={"Prefer": "return=minimal"}) is None
        assert await client.patch(path, change, headers={"Prefer": "return=representation"})


@pytest.mark.req("REQ-S-100")
async def test_group_names_may_occur_twice_if_it_is_set(client: Client) -> None:
    one = await client.group("Team")
    await client.post("/Groups", {"displayName": "TEAM"}, 409)
    await configure(client, uniqueGroupNames=False)
    two = await client.group("TEAM")
    listed = await client.get("/Groups", params={"filter": 'displayName eq "team"'})
    assert {each["id"] for each in listed["Resources"]} == {one["id"], two["id"]}
    rename = {"op": "replace", "path": "displayName", "value": "Team"}
    await client.patch(f"/Groups/{two['id']}", rename, status=204)
    await client.delete(f"/Groups/{one['id']}")
    await configure(client, uniqueGroupNames=True)
    await client.patch(f"/Groups/{two['id']}", {"op": "replace", "path": "displayName", "value": "Crew"}, status=204)
    await client.post("/Groups", {"displayName": "crew"}, 409)


async def test_members_and_managers_must_exist_if_it_is_set(client: Client) -> None:
    kim, team = await client.user("kim"), await client.group("Team", "somebody")
    await configure(client, membersMustExist=True)
    add = {"op": "add", "path": "members", "value": [{"value": kim["id"]}, {"value": "nobody"}]}
    refusal = await client.patch(f"/Groups/{team['id']}", add, status=400)
    assert refusal["scimType"] == "invalidValue"
    assert "'nobody'" in refusal["detail"]
    assert await client.members(team["id"]) == {"somebody"}
    await client.post("/Groups", {"displayName": "Crew", "members": [{"value": "nobody"}]}, 400)
    boss = {"op": "add", "path": f"{ENTERPRISE}:manager", "value": "nobody"}
    assert "nobody" in (await client.patch(f"/Users/{kim['id']}", boss, status=400))["detail"]
    lea = await client.user("lea", **{ENTERPRISE: {"manager": {"value": kim["id"]}}})
    await client.group("Crew", kim["id"], lea["id"], team["id"])


@pytest.mark.req("REQ-S-027")
async def test_groups_through_groups_are_listed_if_it_is_set(client: Client) -> None:
    kim = await client.user("kim")
    inner = await client.group("Inner", kim["id"])
    outer = await client.group("Outer", inner["id"])
    await client.group("Outmost", outer["id"], kim["id"])
    path = f"/Users/{kim['id']}"

    async def groups() -> dict[str, str]:
        return {each["display"]: each["type"] for each in (await client.get(path))["groups"]}

    assert await groups() == {"Inner": "direct", "Outmost": "direct"}
    await configure(client, indirectGroups=True)
    assert await groups() == {"Inner": "direct", "Outmost": "direct", "Outer": "indirect"}
    circle = {"op": "add", "path": "members", "value": [{"value": outer["id"]}]}
    await client.patch(f"/Groups/{inner['id']}", circle, status=204)
    assert await groups() == {"Inner": "direct", "Outmost": "direct", "Outer": "indirect"}
    listed = await client.get("/Users")
    assert len(listed["Resources"][0]["groups"]) == 3


@pytest.mark.req("REQ-S-320")
async def test_limits_are_kept_and_told(client: Client) -> None:
    for number in range(4):
        await client.user(f"user{number}")
    await configure(client, mostResults=3, mostOperations=2)
    config = await client.get("/ServiceProviderConfig")
    assert (config["filter"]["maxResults"], config["pagination"]["maxPageSize"]) == (3, 3)
    assert config["bulk"]["maxOperations"] == 2
    page = await client.get("/Users?count=10")
    assert (page["totalResults"], page["itemsPerPage"], len(page["Resources"])) == (4, 3, 3)
    delete = {"method": "DELETE", "path": "/Users/x"}
    await client.post("/Bulk", {"Operations": [delete] * 2}, 200)
    await client.post("/Bulk", {"Operations": [delete] * 3}, 413)


# The strict profile


@pytest.fixture
async def strict(client: Client) -> Client:
    await configure(client, profile="strict")
    return client


async def test_what_the_rfc_allows_is_understood_strictly_too(strict: Client) -> None:
    body = {name: value for name, value in ENTRA_USER.items() if name != "roles"}
    made = await strict.post("/Users", body)
    team = await strict.post("/Groups", {"schemas": [GROUP], "displayName": "Team", "members": [{"value": made["id"]}]})
    path = f"/Users/{made['id']}"
    answer = await strict.patch(
        path,
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "x@fjord.example"},
        {"op": "add", "path": f"{ENTERPRISE}:manager.value", "value": made["id"]},
        {"op": "remove", "path": "title"},
    )
    assert answer["emails"][0]["value"] == "x@fjord.example"
    assert await strict.members(team["id"]) == {made["id"]}
    listed = await strict.get("/Users", params={"filter": 'USERNAME eq "M.Lopez@fjord.example"'})
    assert listed["totalResults"] == 1


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        ({"op": "replace", "path": "active", "value": "True"}, "invalidValue"),
        ({"op": "replace", "path": 'emails[type eq "home"].value', "value": "x@y.example"}, "noTarget"),
        ({"op": "add", "path": f"{ENTERPRISE}:manager", "value": "u-3"}, "invalidValue"),
        ({"op": "add", "path": "manager", "value": {"value": "u-3"}}, "invalidPath"),
    ],
)
async def test_what_is_tolerated_otherwise_is_refused_strictly(
    strict: Client, operation: dict[str, Any], scim_type: str
) -> None:
    kim = await strict.post("/Users", {"schemas": [CORE], "userName": "kim"})
    refusal = await strict.patch(f"/Users/{kim['id']}", operation, status=400)
    assert refusal["scimType"] == scim_type
    await configure(strict, profile="lenient")
    if scim_type != "noTarget":
        await strict.patch(f"/Users/{kim['id']}", operation)


@pytest.mark.parametrize(
    ("path", "status"), [("/users", 404), ("/Users/", 404), ("//Users", 404), ("/Users?filter=userName eq 'kim'", 400)]
)
async def test_addresses_and_filters_are_read_as_they_are_written_strictly(
    strict: Client, path: str, status: int
) -> None:
    answer = await strict.http.get(f"https://app.example/scim{path}")
    assert answer.status_code == status
    await configure(strict, profile="lenient")
    assert (await strict.http.get(f"https://app.example/scim{path}")).status_code == 200


@pytest.mark.req("REQ-S-090", "REQ-S-222")
async def test_a_post_without_schemas_and_a_patch_without_operations_are_refused_strictly(strict: Client) -> None:
    assert (await strict.post("/Users", {"userName": "kim"}, 400))["scimType"] == "invalidSyntax"
    kim = await strict.post("/Users", {"schemas": [CORE], "userName": "kim"})
    await strict.patch(f"/Users/{kim['id']}", status=400)
    team = await strict.post("/Groups", {"schemas": [GROUP], "displayName": "T", "members": [{"value": kim["id"]}]})
    remove = {"op": "remove", "path": "members", "value": [{"value": "somebody else"}]}
    await strict.patch(f"/Groups/{team['id']}", remove, status=204)
    assert await strict.members(team["id"]) == set(), "the RFC's remove takes no value: all go (T8)"


async def test_text_json_is_no_media_type_strictly(strict: Client) -> None:
    headers = {"Content-Type": "text/json"}
    body = b'{"schemas": ["' + CORE.encode() + b'"], "userName": "kim"}'
    assert (await strict.http.post("/Users", content=body, headers=headers)).status_code == 415
    await configure(strict, profile="lenient")
    assert (await strict.http.post("/Users", content=body, headers=headers)).status_code == 201


async def test_a_change_reaches_other_processes(postgresql: PostgreSQL) -> None:
    with postgresql.new_database() as url:
        async with opened_endpoint(url) as one, opened_endpoint(url) as two:
            while not two.side.tokens.remembers:
                await one.get("/Users?count=0")
            await two.get("/users")
            await configure(one, profile="strict")
            async with asyncio.timeout(30):
                while (status := (await two.http.get("/users")).status_code) == 200:
                    await one.get("/Users?count=0")
            assert status == 404
