"""A group of 100,000 members through every verb, on both databases, compared with a plain dict of its members.

A thousand of them are users; the others are ids of nobody here, which cost the same and need no users to be made.
"""

from typing import Any

import pytest

from joiner.storage.session import Session
from tests.scim_client import Client

MANY = 100_000
USERS = 1000
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
WITHOUT = "excludedAttributes=members"

Members = dict[str, dict[str, str]]
"""Id → the element of `members` as it is answered."""


class LargeGroup:
    """A group on the endpoint, and what its members must be."""

    def __init__(self, client: Client, path: str, users: list[str], members: Members) -> None:
        self.client = client
        self.path = path
        self.users = users
        self.members = members
        self.version = 'W/"1"'

    async def check(self) -> None:
        """The endpoint shows exactly the members that it must, each once."""
        shown = (await self.client.get(self.path)).get("members", [])
        assert len(shown) == len(self.members)
        assert {member["value"]: member for member in shown} == self.members

    async def check_changed(self, *, changed: bool = True) -> None:
        """The version is another one than when it was last asked for, if something has changed."""
        group = await self.client.get(f"{self.path}?{WITHOUT}")
        assert "members" not in group
        assert (group["meta"]["version"] != self.version) is changed
        self.version = group["meta"]["version"]

    async def patch(self, *operations: dict[str, Any], **options: Any) -> None:
        await self.client.patch(self.path, *operations, status=options.pop("status", 204), **options)

    def body(self, ids: Any) -> dict[str, Any]:
        return {"displayName": "Everybody", "members": [{"value": id_} for id_ in ids]}


def user_element(id_: str, name: str) -> dict[str, str]:
    return {"value": id_, "$ref": f"https://app.example/scim/Users/{id_}", "type": "User", "display": name}


def nobodies(prefix: str, count: int) -> Members:
    return {id_: {"value": id_} for id_ in (f"{prefix}-0000-4000-8000-{number:012d}" for number in range(count))}


@pytest.fixture
async def group(client: Client) -> LargeGroup:
    """Made by one POST with all its members."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(number), "data": {"userName": f"user{number}"}}
        for number in range(USERS)
    ]
    done = await client.post("/Bulk", {"schemas": [BULK], "Operations": operations}, 200)
    users = [operation["location"].rpartition("/")[2] for operation in done["Operations"]]
    members = {id_: user_element(id_, f"user{number}") for number, id_ in enumerate(users)}
    members |= nobodies("00000001", MANY - USERS)
    made = LargeGroup(client, "", users, members)
    created = await client.post(f"/Groups?{WITHOUT}", made.body(members))
    made.path = f"/Groups/{created['id']}"
    return made


def add(*ids: str) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": id_} for id_ in ids]}


@pytest.mark.req("REQ-S-098", "REQ-S-188", "REQ-S-025")
async def test_a_large_group_is_read_and_found(client: Client, group: LargeGroup) -> None:
    await group.check()
    whole = await client.get(group.path)
    rest = {name: value for name, value in whole.items() if name != "members"}
    assert await client.get(f"{group.path}?{WITHOUT}") == rest
    only = await client.get(f"{group.path}?attributes=members")
    assert only == {name: whole[name] for name in ("schemas", "id", "members")}
    values = await client.get(f"{group.path}?attributes=members.value")
    assert values["members"] == [{"value": member["value"]} for member in whole["members"]]

    user, nobody = group.users[-1], "00000001-0000-4000-8000-000000077777"
    for id_, found in ((user, [rest]), (nobody, [rest]), ("nobody-at-all", [])):
        for text in (f'members.value eq "{id_}"', f'members[value eq "{id_}"]', f'members eq "{id_}"'):
            params = {"filter": text, "excludedAttributes": "members"}
            assert (await client.get("/Groups", params=params))["Resources"] == found
    assert (await client.get("/Groups"))["Resources"] == [whole]
    shown = {"value": rest["id"], "$ref": rest["meta"]["location"], "display": "Everybody", "type": "direct"}
    assert (await client.get(f"/Users/{user}"))["groups"] == [shown]
    assert all(each["groups"] == [shown] for each in (await client.get("/Users?count=1000"))["Resources"])


@pytest.mark.req("REQ-S-188")
async def test_members_that_are_not_shown_are_not_read(client: Client, group: LargeGroup) -> None:
    async def hide(session: Session) -> None:
        await session.execute("ALTER TABLE membership RENAME TO hidden")

    await client.side.storage.write(hide)
    assert (await client.get(f"{group.path}?{WITHOUT}"))["displayName"] == "Everybody"
    assert (await client.get(f"/Groups?{WITHOUT}"))["totalResults"] == 1
    assert (await client.get("/Groups?attributes=displayName"))["totalResults"] == 1
    await client.get(group.path, 500)


@pytest.mark.req("REQ-S-231", "REQ-S-238", "REQ-S-239", "REQ-S-240", "REQ-S-264", "REQ-S-285", "REQ-S-286", "REQ-S-345")
async def test_a_large_group_is_patched(group: LargeGroup) -> None:
    members = group.members
    new = "00000002-0000-4000-8000-000000000000"
    await group.patch(add(new))
    members[new] = {"value": new}
    await group.check_changed()
    await group.check()
    await group.patch(add(new, group.users[0]))
    await group.check_changed(changed=False)
    stale = {"If-Match": 'W/"1"'}
    await group.patch({"op": "remove", "path": "members"}, status=412, headers=stale)

    await group.patch({"op": "remove", "path": f'members[value eq "{new}"]'})
    del members[new]
    await group.check_changed()
    await group.check()
    await group.patch({"op": "remove", "path": f'members[value eq "{new}"]'})
    await group.check_changed(changed=False)

    gone = list(members)[500:1500]
    await group.patch({"op": "remove", "path": "members", "value": [{"value": id_} for id_ in gone]})
    for id_ in gone:
        del members[id_]
    await group.check_changed()
    await group.check()
    gone = list(members)[:400]
    await group.patch(*({"op": "remove", "path": f'members[value eq "{id_}"]'} for id_ in gone), add(new))
    for id_ in gone:
        del members[id_]
    members[new] = {"value": new}
    await group.check()
    await group.patch({"op": "remove", "path": 'members[type eq "User"]'})
    group.members = members = {id_: member for id_, member in members.items() if "type" not in member}
    await group.check_changed()
    await group.check()

    others = nobodies("00000003", MANY)
    others |= dict(list(members.items())[:10])
    await group.patch({"op": "replace", "path": "members", "value": [{"value": id_} for id_ in others]})
    group.members = others
    await group.check_changed()
    await group.check()
    await group.patch({"op": "remove", "path": "members"})
    group.members = {}
    await group.check_changed()
    await group.check()


@pytest.mark.req("REQ-S-209", "REQ-S-286")
async def test_a_large_group_is_put(client: Client, group: LargeGroup) -> None:
    # As it has been read: all that clients do not need to send is in the body as well.
    whole = await client.get(group.path)
    assert await client.put(group.path, whole) == whole
    await group.check_changed(changed=False)

    kept = dict(list(group.members.items())[: MANY // 2])
    group.members = kept | nobodies("00000004", MANY // 2)
    answer = await client.put(group.path, group.body(group.members))
    assert {member["value"]: member for member in answer["members"]} == group.members
    await group.check_changed()
    await group.check()
    # One value is kept once, however many times it comes.
    answer = await client.put(f"{group.path}?{WITHOUT}", group.body([*group.members, *group.members]))
    assert "members" not in answer
    await group.check_changed(changed=False)
    await client.put(group.path, {"displayName": "Everybody"})
    group.members = {}
    await group.check_changed()
    await group.check()


@pytest.mark.req("REQ-S-281", "REQ-S-282", "REQ-S-025")
async def test_a_large_group_follows_its_members_and_ends(client: Client, group: LargeGroup) -> None:
    renamed, deleted, left = group.users[7], group.users[8], group.users[9]
    await client.patch(f"/Users/{renamed}", {"op": "replace", "path": "displayName", "value": "Kim Berg"})
    group.members[renamed] = user_element(renamed, "Kim Berg")
    await group.check()
    await group.check_changed(changed=False)
    await client.delete(f"/Users/{deleted}")
    del group.members[deleted]
    await group.check_changed()
    await group.check()
    await group.patch({"op": "replace", "path": "displayName", "value": "All"})
    assert [each["display"] for each in (await client.get(f"/Users/{left}"))["groups"]] == ["All"]

    await client.delete(group.path)
    await client.get(group.path, 404)
    assert "groups" not in await client.get(f"/Users/{left}")
    assert (await client.get("/Groups", params={"filter": f'members eq "{left}"'}))["totalResults"] == 0
    assert await client.rows("SELECT count(*) FROM membership") == [(0,)]


@pytest.mark.req("REQ-S-054", "REQ-S-098")
async def test_a_group_may_have_as_many_members_as_fit_into_16_mebibytes(client: Client) -> None:
    def body(count: int) -> dict[str, Any]:
        members = [{"value": id_, "type": "User", "display": "x" * 60} for id_ in nobodies("00000005", count)]
        return {"displayName": "Long", "members": members}

    await client.post(f"/Groups?{WITHOUT}", body(MANY))
    refused = await client.post("/Groups", body(MANY + MANY // 4), 413)
    assert "16777216" in refused["detail"]
