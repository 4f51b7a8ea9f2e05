"""What Okta's SPEC and CRUD tests send, in their order, and what they check (REQ-S-348)."""

import time
from typing import Any

import pytest

from tests.scim_client import CORE, ERROR, GROUP, Client

HEADERS = {
    "Accept": "application/scim+json",
    "Content-Type": "application/scim+json; charset=utf-8",
    "User-Agent": "Okta SCIM Client 1.0.0",
}

NEW_USER: dict[str, Any] = {
    "schemas": [CORE],
    "userName": "runscope-7f2@quay.example",
    "name": {"givenName": "Rune", "familyName": "Skope"},
    "emails": [{"primary": True, "value": "runscope-7f2@quay.example", "type": "work"}],
    "displayName": "Rune Skope",
    "locale": "en-US",
    "externalId": "00u1abcdEFGH2ijkl3m4",
    "groups": [],
    "password": "meaningless-1mz050nq",
    "active": True,
}

FIRST_USER: dict[str, Any] = {
    "schemas": [CORE],
    "userName": "first@quay.example",
    "name": {"givenName": "First", "familyName": "User"},
    "emails": [{"primary": True, "value": "first@quay.example", "type": "work"}],
}


@pytest.fixture
async def client(client: Client) -> Client:
    """The endpoint with the one user that the tests want to find."""
    client.http.headers.update(HEADERS)
    await client.post("/Users", FIRST_USER)
    return client


async def find(client: Client, endpoint: str, filter_: str) -> Any:
    """A query as Okta asks it."""
    answer = await client.get(endpoint, params={"filter": filter_, "startIndex": "1", "count": "100"})
    assert {type(answer[name]) for name in ("totalResults", "startIndex", "itemsPerPage")} == {int}
    return answer


@pytest.mark.req("REQ-S-348", "REQ-S-052", "REQ-S-060", "REQ-S-082", "REQ-S-115", "REQ-S-159")
async def test_the_spec_test(client: Client) -> None:
    # 1: the first user.
    listed = await client.get("/Users?count=1&startIndex=1")
    assert (listed["itemsPerPage"], listed["startIndex"], listed["totalResults"]) == (1, 1, 1)
    first = listed["Resources"][0]
    assert first["id"]
    assert (first["userName"], first["active"]) == ("first@quay.example", True)
    assert (first["name"]["givenName"], first["name"]["familyName"]) == ("First", "User")
    assert first["emails"][0]["value"] == "first@quay.example"

    # 2: the same by id.
    assert await client.get(f"/Users/{first['id']}") == first

    # 3, 4: somebody who is not there, by name and by id.
    assert (await find(client, "/Users", 'userName eq "nobody-91@quay.example"'))["totalResults"] == 0
    missing = await client.get("/Users/010101001010101011001010101011", 404)
    assert (missing["schemas"], missing["status"], bool(missing["detail"])) == ([ERROR], "404", True)

    # 5, 6: a new user, and the same by id.
    created = await client.post("/Users", NEW_USER)
    assert (created["active"], created["userName"]) == (True, NEW_USER["userName"])
    assert created["name"] == NEW_USER["name"]
    assert CORE in created["schemas"]
    assert "password" not in created
    assert await client.get(f"/Users/{created['id']}") == created

    # 7, 8: once more, and in capitals.
    assert (await client.post("/Users", NEW_USER, 409))["schemas"] == [ERROR]
    found = await find(client, "/Users", f'userName eq "{NEW_USER["userName"].upper()}"')
    assert [user["id"] for user in found["Resources"]] == [created["id"]]

    # 9: groups, soon.
    began = time.perf_counter()
    assert (await client.get("/Groups"))["totalResults"] == 0
    assert time.perf_counter() - began < 0.6

    # 10, 11: a wrong token, and the status of an unknown id as text.
    refused = await client.get("/Users?startIndex=1&count=1", 401, headers={"Authorization": "Bearer non-token"})
    assert (refused["schemas"], refused["status"], bool(refused["detail"])) == ([ERROR], "401", True)
    assert (await client.get("/Users/00919288221112222", 404))["status"] == "404"


@pytest.mark.req("REQ-S-348", "REQ-S-202", "REQ-S-210", "REQ-S-247")
@pytest.mark.parametrize("personality", ["custom application", "catalogue application"])
async def test_a_user_is_created_renamed_deactivated_reactivated_and_unassigned(
    client: Client, personality: str
) -> None:
    async def change(user_id: str, **attributes: Any) -> Any:
        """Custom applications read the user and put it back whole; those of the catalogue patch what they can."""
        path = f"/Users/{user_id}"
        if personality == "custom application" or set(attributes) != {"active"}:
            return await client.put(path, {**await client.get(path), **attributes})
        await client.patch(path, {"op": "replace", "value": attributes})
        return await client.get(path)

    assert (await find(client, "/Users", f'userName eq "{NEW_USER["userName"]}"'))["totalResults"] == 0
    id_ = (await client.post("/Users", NEW_USER))["id"]
    renamed = await change(id_, name={"givenName": "Runa", "familyName": "Skope"}, displayName="Runa Skope")
    assert (renamed["name"]["givenName"], renamed["emails"]) == ("Runa", NEW_USER["emails"])
    assert (await change(id_, active=False))["active"] is False
    assert (await client.get(f"/Users/{id_}"))["active"] is False
    assert (await change(id_, active=True))["active"] is True
    assert (await change(id_, active=False))["active"] is False
    [kept] = (await find(client, "/Users", f'userName eq "{NEW_USER["userName"]}"'))["Resources"]
    assert (kept["id"], kept["displayName"], kept["active"]) == (id_, "Runa Skope", False)


@pytest.mark.req("REQ-S-348", "REQ-S-209", "REQ-S-249", "REQ-S-263", "REQ-S-264")
async def test_a_group_is_pushed_renamed_changed_and_removed(client: Client) -> None:
    ids = [(await client.user(f"{name}@quay.example"))["id"] for name in ("ann", "ben", "cid")]
    ann, ben, cid = ids
    assert (await find(client, "/Groups", 'displayName eq "Day shift"'))["totalResults"] == 0
    members = [{"value": ann, "display": "ann@quay.example"}]
    body = {"schemas": [GROUP], "displayName": "Day shift", "members": members}
    team = await client.post("/Groups", body)
    path = f"/Groups/{team['id']}"

    rename = {"op": "replace", "value": {"id": team["id"], "displayName": "Night shift"}}
    await client.patch(path, rename, status=204)
    await client.patch(
        path,
        {"op": "remove", "path": f'members[value eq "{ann}"]'},
        {"op": "add", "path": "members", "value": [{"value": ben, "display": "ben@quay.example"}]},
        status=204,
    )
    assert await client.members(team["id"]) == {ben}
    everybody = [{"value": id_, "display": "x"} for id_ in ids]
    await client.patch(path, {"op": "replace", "path": "members", "value": everybody}, status=204)
    assert await client.members(team["id"]) == set(ids)

    read = await client.get(path)
    kept = [member for member in read["members"] if member["value"] == cid]
    replaced = await client.put(path, {**read, "members": kept})
    assert (replaced["displayName"], [member["value"] for member in replaced["members"]]) == ("Night shift", [cid])
    await client.delete(path)
    assert (await client.get("/Groups?startIndex=1&count=100"))["totalResults"] == 0


@pytest.mark.req("REQ-S-348", "REQ-S-178")
async def test_an_import_reads_every_user_once(client: Client) -> None:
    for number in range(249):
        await client.user(f"user{number}@quay.example")
    seen: list[str] = []
    start, total = 1, 1
    while start <= total:
        page = await client.get(f"/Users?startIndex={start}&count=100")
        total, start = page["totalResults"], start + 100
        seen += [user["userName"] for user in page["Resources"]]
    assert len(seen) == len(set(seen)) == 250
