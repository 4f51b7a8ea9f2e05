"""What can be set for a connection, and what credentials of each kind may do, at the endpoint itself."""

from typing import Any

import pytest

from joiner.errors import InvalidValueError
from joiner.scim.messages import PREFIX
from tests.scim_client import CORE, ENTERPRISE, Client

PATCH = f"{PREFIX}PatchOp"


async def set_up(client: Client, **settings: Any) -> None:
    await client.side.connections.change("default", settings)


@pytest.mark.req("REQ-S-061", "REQ-S-329")
async def test_a_token_that_may_read_does_not_write_and_one_of_a_user_is_me(client: Client) -> None:
    kim = await client.user("kim")
    reading, _ = await client.side.tokens.create(scope="scim.read")
    headers = {"Authorization": f"Bearer {reading}"}
    assert (await client.get("/Users", headers=headers))["totalResults"] == 1
    search = {"schemas": [f"{PREFIX}SearchRequest"]}
    await client.post("/.search", search, 200, headers=headers)
    await client.post("/Users", {"userName": "lee"}, 403, headers=headers)
    await client.delete(f"/Users/{kim['id']}", 403, headers=headers)
    await client.get("/Me", 501)
    own, _ = await client.side.tokens.create(user_id=kim["id"])
    me = {"Authorization": f"Bearer {own}"}
    assert await client.get("/Me", headers=me) == kim
    assert client.http.base_url.path == "/scim/"
    changed = await client.patch("/Me", {"op": "add", "path": "title", "value": "T"}, headers=me)
    assert (changed["title"], changed["meta"]["location"]) == ("T", kim["meta"]["location"])


@pytest.mark.req("REQ-S-227")
@pytest.mark.parametrize(("wanted", "user", "group"), [("auto", 200, 204), ("200", 200, 200), ("204", 204, 204)])
async def test_a_patch_is_answered_as_the_connection_says(client: Client, wanted: str, user: int, group: int) -> None:
    await set_up(client, patchResponse=wanted)
    kim, team = await client.user("kim"), await client.group("Team")
    change = {"op": "replace", "path": "externalId", "value": "1"}
    await client.patch(f"/Users/{kim['id']}", change, status=user)
    await client.patch(f"/Groups/{team['id']}", change, status=group)
    for path in (f"/Users/{kim['id']}", f"/Groups/{team['id']}"):
        await client.patch(f"{path}?attributes=id", change, status=200)
        await client.patch(path, change, status=204, headers={"Prefer": "return=minimal"})
        await client.patch(path, change, status=200, headers={"Prefer": "return=representation"})


@pytest.mark.req("REQ-S-100", "REQ-S-159")
async def test_groups_may_share_a_name_where_the_connection_allows_it(client: Client) -> None:
    await client.group("Team")
    await client.post("/Groups", {"displayName": "TEAM"}, 409)
    await set_up(client, uniqueGroupNames=False)
    await client.post("/Groups", {"displayName": "TEAM"})
    found = await client.get("/Groups", params={"filter": 'displayName eq "team"'})
    assert found["totalResults"] == 2


@pytest.mark.req("REQ-S-096", "REQ-S-283")
async def test_members_and_managers_must_exist_where_the_connection_demands_it(client: Client) -> None:
    team = await client.group("Team", "nobody")
    await set_up(client, membersMustExist=True)
    kim = await client.user("kim")
    error = await client.post("/Groups", {"displayName": "New", "members": [{"value": "nobody"}]}, 400)
    assert (error["scimType"], "'nobody'" in error["detail"]) == ("invalidValue", True)
    add = {"op": "add", "path": "members", "value": [{"value": kim["id"]}, {"value": "no one"}]}
    await client.patch(f"/Groups/{team['id']}", add, status=400)
    assert await client.members(team["id"]) == {"nobody"}
    await client.post("/Users", {"userName": "lee", "manager": "nobody"}, 400)
    await client.post("/Users", {"userName": "lee", "manager": kim["id"]})


@pytest.mark.req("REQ-S-283")
async def test_users_keep_a_manager_who_is_deleted_unless_the_connection_wants_it_removed(client: Client) -> None:
    def managed(manager: str, **others: str) -> dict[str, Any]:
        return {ENTERPRISE: {"manager": {"value": manager}, **others}}

    kept, gone = (await client.user("kept"))["id"], (await client.user("gone"))["id"]
    kim = await client.user("kim", **managed(kept))
    await client.delete(f"/Users/{kept}")
    shown = await client.get(f"/Users/{kim['id']}")
    assert (shown[ENTERPRISE], shown["meta"]["version"]) == ({"manager": {"value": kept}}, kim["meta"]["version"])

    await set_up(client, keepDeletedManagers=False)
    await client.put(f"/Users/{gone}", {"userName": "gone", **managed(gone)})
    bare, full = await client.user("bare", **managed(gone)), await client.user("full", **managed(gone, department="d"))
    last = int((await client.events())[-1]["id"])
    await client.delete(f"/Users/{gone}")
    for before, extension in ((bare, None), (full, {"department": "d"})):
        after = await client.get(f"/Users/{before['id']}")
        assert after.get(ENTERPRISE) == extension
        assert after["meta"]["version"] != before["meta"]["version"]
    assert await client.get(f"/Users/{kim['id']}") == shown
    told = [(event["verb"], event["resourceId"], event["data"]) for event in await client.events(last)]
    assert told == [
        ("update", bare["id"], {ENTERPRISE: None}),
        ("update", full["id"], {ENTERPRISE: {"department": "d"}}),
        ("delete", gone, {}),
    ]
    managers = {"filter": f'{ENTERPRISE}:manager eq "{gone}"'}
    assert (await client.get("/Users", params=managers))["totalResults"] == 0


@pytest.mark.req("REQ-S-283")
async def test_two_who_manage_each_other_can_be_deleted_together(client: Client) -> None:
    await set_up(client, keepDeletedManagers=False)
    kim = await client.user("kim")
    lee = await client.user("lee", manager=kim["id"])
    await client.patch(f"/Users/{kim['id']}", {"op": "add", "path": f"{ENTERPRISE}:manager", "value": lee["id"]})
    deletions = [{"method": "DELETE", "path": f"/Users/{each['id']}"} for each in (kim, lee)]
    done = await client.post("/Bulk", {"schemas": [f"{PREFIX}BulkRequest"], "Operations": deletions}, 200)
    assert [each["status"] for each in done["Operations"]] == ["204", "204"]
    assert (await client.get("/Users"))["totalResults"] == 0


@pytest.mark.req("REQ-S-027")
async def test_groups_of_groups_are_shown_where_the_connection_wants_them(client: Client) -> None:
    kim = await client.user("kim")
    inner = await client.group("Inner", kim["id"])
    outer = await client.group("Outer", inner["id"])
    circle = {"op": "add", "path": "members", "value": [{"value": outer["id"]}]}
    await client.patch(f"/Groups/{inner['id']}", circle, status=204)
    direct = {"Inner": "direct"}
    shown = (await client.get(f"/Users/{kim['id']}"))["groups"]
    assert {each["display"]: each["type"] for each in shown} == direct
    await set_up(client, indirectGroups=True)
    shown = (await client.get(f"/Users/{kim['id']}"))["groups"]
    assert {each["display"]: each["type"] for each in shown} == {**direct, "Outer": "indirect"}


@pytest.mark.req("REQ-S-090", "REQ-S-220", "REQ-S-222", "REQ-S-246", "REQ-S-151", "REQ-S-049")
async def test_a_strict_connection_follows_the_rfc(client: Client) -> None:
    kim = await client.user("kim", active="True")
    path = f"/Users/{kim['id']}"
    await set_up(client, profile="strict")
    await client.post("/Users", {"userName": "lee"}, 400)
    await client.post("/Users", {"schemas": [CORE], "userName": "lee", "active": "True"}, 400)
    await client.post("/Users", {"schemas": [CORE], "userName": "lee", "active": True})
    await client.get("/users", 404)
    await client.get("/Users?filter=userName eq kim", 400)
    assert (await client.get('/Users?filter=userName eq "kim"'))["totalResults"] == 1
    missing = {"op": "replace", "path": 'emails[type eq "work"].value', "value": "k@x"}
    await client.patch(path, missing, status=400)
    await client.patch(path, status=400)
    await set_up(client, profile="lenient")
    await client.patch(path)
    assert (await client.patch(path, missing))["emails"] == [{"type": "work", "value": "k@x"}]


@pytest.mark.req("REQ-S-176", "REQ-S-310", "REQ-S-311")
async def test_the_limits_of_a_connection_are_those_that_it_publishes(client: Client) -> None:
    await set_up(client, mostResults=2, mostOperations=1)
    for name in ("a", "b", "c"):
        await client.user(name)
    config = await client.get("/ServiceProviderConfig")
    assert (config["filter"]["maxResults"], config["bulk"]["maxOperations"]) == (2, 1)
    assert config["pagination"]["maxPageSize"] == 2
    assert len((await client.get("/Users?count=10"))["Resources"]) == 2
    operation = {"method": "DELETE", "path": "/Users/x"}
    body = {"schemas": [f"{PREFIX}BulkRequest"], "Operations": [operation, operation]}
    error = await client.post("/Bulk", body, 413)
    assert "1 operations" in error["detail"]


@pytest.mark.req("REQ-S-055")
async def test_more_requests_than_allowed_are_told_to_wait(client: Client) -> None:
    await set_up(client, requestsPerSecond=25)
    answers = [await client.http.get("/ServiceProviderConfig") for _ in range(120)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert all(answer.json()["status"] == "429" for answer in refused)


async def test_settings_that_do_not_exist_are_refused_by_name(client: Client) -> None:
    for wrong in ({"profil": "strict"}, {"profile": "loose"}, {"mostResults": 0}, {"requestsPerSecond": 1}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            await set_up(client, **wrong)
    [(name, settings)] = await client.side.connections.all()
    assert (name, settings.profile) == ("default", "lenient")
