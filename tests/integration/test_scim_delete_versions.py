"""Deleting, and what becomes of references; versions that guard reads and writes."""

import asyncio

import pytest

from tests.scim_client import ENTERPRISE, Client

RENAME = {"op": "replace", "path": "displayName", "value": "New"}


@pytest.mark.req("REQ-S-280", "REQ-S-281", "REQ-S-267")
@pytest.mark.parametrize(("endpoint", "name"), [("/Users", "userName"), ("/Groups", "displayName")])
async def test_what_is_deleted_is_gone_for_every_method_and_query(client: Client, endpoint: str, name: str) -> None:
    created = await client.post(endpoint, {name: "kim", "externalId": "x"})
    path = f"{endpoint}/{created['id']}"
    answer = await client.http.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    await client.delete(path, 404)
    await client.get(path, 404)
    await client.put(path, {name: "kim"}, 404)
    await client.patch(path, RENAME, status=404)
    for filter_ in (f'{name} eq "kim"', 'externalId eq "x"', f'id eq "{created["id"]}"'):
        assert (await client.get(endpoint, params={"filter": filter_}))["totalResults"] == 0
    assert (await client.get(endpoint))["totalResults"] == 0


@pytest.mark.req("REQ-S-281", "REQ-S-282")
async def test_deleting_either_end_of_a_membership_ends_it(client: Client) -> None:
    kim, ann = await client.user("kim"), await client.user("ann")
    team, crew = await client.group("Team", kim["id"], ann["id"]), await client.group("Crew", ann["id"])
    await client.delete(f"/Users/{kim['id']}")
    changed = await client.get(f"/Groups/{team['id']}")
    assert [member["value"] for member in changed["members"]] == [ann["id"]]
    assert changed["meta"]["version"] != team["meta"]["version"]
    assert (await client.get(f"/Groups/{crew['id']}"))["meta"] == crew["meta"]
    await client.delete(f"/Groups/{team['id']}")
    assert [group["display"] for group in (await client.get(f"/Users/{ann['id']}"))["groups"]] == ["Crew"]


@pytest.mark.req("REQ-S-283")
async def test_who_had_a_deleted_manager_is_read_and_changed_without_trouble(client: Client) -> None:
    boss = await client.user("boss", displayName="Boss")
    kim = await client.user("kim", manager=boss["id"])
    path = f"/Users/{kim['id']}"
    await client.delete(f"/Users/{boss['id']}")
    after = await client.get(path)
    assert after.get(ENTERPRISE, {}).get("manager", {}) in ({}, {"value": boss["id"]})
    assert (await client.get("/Users"))["Resources"] == [after]
    assert (await client.patch(path, RENAME))["displayName"] == "New"


@pytest.mark.req("REQ-S-284")
async def test_a_read_that_names_the_present_version_is_answered_without_a_body(client: Client) -> None:
    user = await client.user()
    path, tag = user["meta"]["location"], user["meta"]["version"]
    for condition in (tag, tag.removeprefix("W/"), f'W/"other", {tag}', "*"):
        answer = await client.http.get(path, headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    await client.patch(path, RENAME)
    for condition in (tag, 'W/"other"', "nonsense"):
        assert (await client.get(path, headers={"If-None-Match": condition}))["displayName"] == "New"


@pytest.mark.req("REQ-S-285")
@pytest.mark.parametrize(("endpoint", "name"), [("/Users", "userName"), ("/Groups", "displayName")])
async def test_a_write_that_names_an_old_version_changes_nothing(client: Client, endpoint: str, name: str) -> None:
    created = await client.post(endpoint, {name: "kim"})
    path = f"{endpoint}/{created['id']}"
    stale = {"If-Match": created["meta"]["version"]}
    body = {name: "kim", "externalId": "x"}
    await client.put(path, body, headers=stale)
    current = await client.get(path)
    await client.put(path, {name: "other"}, 412, headers=stale)
    await client.patch(path, {"op": "replace", "path": name, "value": "other"}, status=412, headers=stale)
    await client.delete(path, 412, headers=stale)
    assert await client.get(path) == current
    await client.put(path, {**body, "externalId": "y"}, headers={"If-Match": "*"})
    fresh = {"If-Match": (await client.get(path))["meta"]["version"]}
    await client.delete(path, headers=fresh)


@pytest.mark.req("REQ-S-286")
async def test_every_change_alters_the_version_and_no_way_of_looking_does(client: Client) -> None:
    kim, team = await client.user(), await client.group()
    versions = [team["meta"]["version"]]
    path = f"/Groups/{team['id']}"
    member = [{"value": kim["id"]}]
    for operation in (
        RENAME,
        {"op": "add", "path": "members", "value": member},
        {"op": "remove", "path": "members", "value": member},
        {"op": "replace", "path": "externalId", "value": "x"},
    ):
        await client.patch(path, operation, status=204)
        versions.append((await client.get(path))["meta"]["version"])
    assert len(set(versions)) == len(versions)
    for query in ("attributes=displayName", "excludedAttributes=members", "attributes=meta.version"):
        assert (await client.http.get(f"{path}?{query}")).headers["etag"] == versions[-1]


@pytest.mark.req("REQ-S-287")
async def test_parallel_adds_and_removes_of_members_are_all_kept(client: Client) -> None:
    old, new = [f"old{number}" for number in range(50)], [f"new{number}" for number in range(50)]
    team = await client.group("Team", *old)
    path = f"/Groups/{team['id']}"
    adds = (client.patch(path, {"op": "add", "path": "members", "value": [{"value": id_}]}, status=204) for id_ in new)
    removes = (client.patch(path, {"op": "remove", "path": f'members[value eq "{id_}"]'}, status=204) for id_ in old)
    await asyncio.gather(*adds, *removes)
    assert await client.members(team["id"]) == set(new)
