"""PUT: what it sets, clears, keeps, ignores and refuses."""

from datetime import timedelta
from typing import Any

import pytest

from tests.scim_client import CORE, ENTERPRISE, ENTRA_USER, Client


@pytest.mark.req("REQ-S-200")
@pytest.mark.parametrize(
    ("endpoint", "body"),
    [("/Users", {"userName": "kim", "title": "New"}), ("/Groups", {"displayName": "Team", "externalId": "New"})],
)
async def test_put_answers_with_the_whole_resource_and_a_new_version(client: Client, endpoint: str, body: Any) -> None:
    created = await client.post(endpoint, {**body, "externalId": "Old"})
    path = f"{endpoint}/{created['id']}"
    answer = await client.http.put(path, json={**body, "externalId": "New"})
    replaced = answer.json()
    assert (answer.status_code, replaced["externalId"]) == (200, "New")
    assert answer.headers["etag"] == replaced["meta"]["version"] != created["meta"]["version"]
    assert await client.get(path) == replaced


@pytest.mark.req("REQ-S-201")
async def test_put_never_creates(client: Client) -> None:
    await client.put("/Users/none", {"userName": "kim"}, 404)
    await client.put("/Groups/none", {"displayName": "Team"}, 404)
    for endpoint in ("/Users", "/Groups"):
        assert (await client.get(endpoint))["totalResults"] == 0


@pytest.mark.req("REQ-S-202")
async def test_put_of_what_was_read_and_edited_ignores_what_only_the_server_writes(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    team = await client.group("Team", user["id"])
    path = f"/Users/{user['id']}"
    read = await client.get(path)
    forged = {
        **read,
        "id": "other",
        "meta": {"version": "x", "resourceType": "Group"},
        "groups": [],
        "displayName": "Edited",
    }
    replaced = await client.put(path, forged)
    assert {**replaced, "meta": None, "displayName": None} == {**read, "meta": None, "displayName": None}
    assert replaced["displayName"] == "Edited"
    assert await client.members(team["id"]) == {user["id"]}


@pytest.mark.req("REQ-S-203")
@pytest.mark.parametrize("body", [{}, {"userName": ""}, {"userName": None}, {"userName": "  ", "title": "T"}])
async def test_put_without_a_name_is_refused_and_changes_nothing(client: Client, body: Any) -> None:
    user = await client.post("/Users", ENTRA_USER)
    error = await client.put(f"/Users/{user['id']}", body, 400)
    assert (error["scimType"], "userName" in error["detail"]) == ("invalidValue", True)
    assert await client.get(f"/Users/{user['id']}") == user


@pytest.mark.req("REQ-S-204", "REQ-S-205", "REQ-S-210")
@pytest.mark.parametrize("active", [True, False])
async def test_put_clears_what_it_does_not_name_but_active(client: Client, active: bool) -> None:
    user = await client.post("/Users", {**ENTRA_USER, "active": not active})
    path = f"/Users/{user['id']}"
    assert (await client.put(path, {**ENTRA_USER, "active": active}))["active"] is active
    bare = await client.put(path, {"userName": "new"})
    assert set(bare) == {"schemas", "id", "meta", "userName", "active"}
    assert (bare["schemas"], bare["active"]) == ([CORE], active)


@pytest.mark.req("REQ-S-207")
async def test_put_cannot_take_another_users_name(client: Client) -> None:
    await client.user("kim")
    ann = await client.user("ann")
    error = await client.put(f"/Users/{ann['id']}", {"userName": "KIM"}, 409)
    assert error["scimType"] == "uniqueness"
    assert (await client.put(f"/Users/{ann['id']}", {"userName": "ANN"}))["userName"] == "ANN"


@pytest.mark.req("REQ-S-208")
async def test_put_that_changes_nothing_leaves_version_and_date_alone(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    team = await client.group("Team", user["id"])
    client.clock.move(timedelta(hours=1))
    for path in (f"/Users/{user['id']}", f"/Groups/{team['id']}"):
        before = await client.get(path)
        assert await client.put(path, before) == before
    reordered = dict(reversed(list(ENTRA_USER.items())))
    assert (await client.put(f"/Users/{user['id']}", reordered))["meta"] == user["meta"]


@pytest.mark.req("REQ-S-209")
async def test_put_of_a_group_sets_exactly_its_members(client: Client) -> None:
    kim, ann = await client.user("kim"), await client.user("ann")
    team = await client.group("Team", kim["id"])
    path = f"/Groups/{team['id']}"
    body = {**team, "members": [{"value": ann["id"], "display": "ann"}]}
    assert [member["value"] for member in (await client.put(path, body))["members"]] == [ann["id"]]
    assert "groups" not in await client.get(f"/Users/{kim['id']}")
    assert [group["value"] for group in (await client.get(f"/Users/{ann['id']}"))["groups"]] == [team["id"]]
    await client.put(path, {"displayName": "Team"})
    assert "groups" not in await client.get(f"/Users/{ann['id']}")


@pytest.mark.req("REQ-S-211")
async def test_put_ignores_misspelt_names(client: Client) -> None:
    user = await client.user()
    body = {"userName": "kim", "diplayName": "K", "emals": [{"value": "k"}], f"{ENTERPRISE}x": {"department": "S"}}
    replaced = await client.put(f"/Users/{user['id']}", body)
    assert set(replaced) == {"schemas", "id", "meta", "userName", "active"}
