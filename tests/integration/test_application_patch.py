"""PATCH of users and groups, as Entra and Okta send it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.scim_client import ENTERPRISE, ENTRA_USER, GROUP, Client

# PATCH of users


@pytest.mark.req("REQ-S-223", "REQ-S-233", "REQ-S-243", "REQ-S-252", "REQ-S-254", "REQ-S-225")
async def test_entras_default_patch(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    changed = await client.patch(
        f"/Users/{user['id']}",
        {"op": "Replace", "path": "displayName", "value": "Marta Lopez-Dahl"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "m.dahl@fjord.example"},
        {"op": "Replace", "path": "name.familyName", "value": "Lopez-Dahl"},
        {"op": "Add", "path": "nickName", "value": "Mar"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "99887766"},
        {"op": "Replace", "path": f"{ENTERPRISE}:employeeNumber", "value": "E-204"},
        {"op": "Replace", "path": "active", "value": "False"},
    )
    assert changed["displayName"] == "Marta Lopez-Dahl"
    assert changed["emails"] == [{"primary": True, "type": "work", "value": "m.dahl@fjord.example"}]
    assert changed["name"]["familyName"] == "Lopez-Dahl"
    assert changed["nickName"] == "Mar"
    assert {"type": "mobile", "value": "99887766"} in changed["phoneNumbers"]
    assert changed[ENTERPRISE] == {"department": "Supply", "employeeNumber": "E-204"}
    assert changed["active"] is False


@pytest.mark.req("REQ-S-248", "REQ-S-229", "REQ-S-247")
async def test_entras_compliant_patch_with_dotted_and_urn_keys(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    changed = await client.patch(
        f"/Users/{user['id']}",
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "m.dahl@fjord.example"},
        {
            "op": "replace",
            "value": {
                "displayName": "Marta Dahl",
                "name.givenName": "Marte",
                "name.familyName": "Dahl",
                f"{ENTERPRISE}:employeeNumber": "E-205",
            },
        },
        {"op": "add", "value": {"title": "Lead buyer", "name.formatted": "Marta Dahl"}},
    )
    assert changed["name"] == {"formatted": "Marta Dahl", "familyName": "Dahl", "givenName": "Marte"}
    assert changed[ENTERPRISE]["employeeNumber"] == "E-205"
    assert (changed["displayName"], changed["title"]) == ("Marta Dahl", "Lead buyer")
    assert not any("." in key and not key.startswith("urn:") for key in changed)


@pytest.mark.req("REQ-S-258", "REQ-S-259", "REQ-S-096")
@pytest.mark.parametrize(
    ("path", "wrap"),
    [
        (f"{ENTERPRISE}:manager", lambda id_: id_),
        ("manager", lambda id_: [{"$ref": f"https://x.example/scim/Users/{id_}", "value": id_}]),
        (f"{ENTERPRISE}:manager", lambda id_: {"value": id_}),
        (f"{ENTERPRISE}.manager", lambda id_: id_),
        (f"{ENTERPRISE}:manager.value", lambda id_: id_),
    ],
)
@pytest.mark.parametrize("empty", [{"value": {"value": ""}}, {"value": ""}, {"value": None}, {"op": "Remove"}])
async def test_every_way_to_set_and_empty_the_manager(client: Client, path: str, wrap: Any, empty: Any) -> None:
    boss, kim = await client.user("boss", displayName="Boss"), await client.user("kim")
    changed = await client.patch(f"/Users/{kim['id']}", {"op": "Add", "path": path, "value": wrap(boss["id"])})
    manager = changed[ENTERPRISE]["manager"]
    assert (manager["value"], manager["displayName"]) == (boss["id"], "Boss")
    assert manager["$ref"] == f"https://app.example/scim/Users/{boss['id']}"
    emptied = await client.patch(f"/Users/{kim['id']}", {"op": "replace", "path": f"{ENTERPRISE}:manager", **empty})
    assert ENTERPRISE not in emptied


@pytest.mark.req("REQ-S-283")
async def test_an_unknown_or_deleted_manager_is_kept_as_a_bare_value(client: Client) -> None:
    kim = await client.user("kim", manager="nobody")
    assert kim[ENTERPRISE]["manager"] == {"value": "nobody"}


@pytest.mark.req("REQ-S-222", "REQ-S-228")
async def test_no_operation_and_no_change_leave_the_version_alone(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    client.clock.move(timedelta(minutes=1))
    path = f"/Users/{user['id']}"
    assert await client.patch(path) == user
    assert await client.patch(path, {"op": "replace", "path": "title", "value": "Buyer"}) == user
    assert await client.patch(path, {"op": "add", "path": "emails", "value": ENTRA_USER["emails"]}) == user


@pytest.mark.req("REQ-S-230", "REQ-S-251", "REQ-S-236", "REQ-S-242", "REQ-S-244")
async def test_adding_appends_and_one_primary_takes_it_from_the_others(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    path = f"/Users/{user['id']}"
    home = {"type": "home", "value": "h@x.example", "primary": True}
    changed = await client.patch(path, {"op": "add", "path": "emails", "value": [home]})
    assert [email["primary"] for email in changed["emails"]] == [False, True]
    changed = await client.patch(path, {"op": "remove", "path": 'emails[type eq "work"]'})
    assert changed["emails"] == [home]
    changed = await client.patch(path, {"op": "remove", "path": "name.givenName"}, {"op": "remove", "path": "emails"})
    assert changed["name"] == {"formatted": "Marta Lopez", "familyName": "Lopez"}
    assert "emails" not in changed
    changed = await client.patch(
        path, {"op": "remove", "path": 'phoneNumbers[type eq "work"].value', "value": "55512345"}
    )
    assert "phoneNumbers" not in changed


@pytest.mark.req("REQ-S-260", "REQ-S-269", "REQ-S-249")
async def test_empty_text_unassigns_json_in_text_stays_and_the_own_id_is_tolerated(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    role = '{"id":"1","value":"Clerk","displayName":"Clerk"}'
    changed = await client.patch(
        f"/Users/{user['id']}",
        {"op": "replace", "path": "title", "value": ""},
        {"op": "Add", "path": "roles", "value": [{"value": role}]},
        {"op": "replace", "value": {"id": user["id"], "displayName": "M", "unknown": 1}},
    )
    assert "title" not in changed
    assert changed["roles"] == [{"value": role}]
    assert changed["displayName"] == "M"


@pytest.mark.req(
    "REQ-S-220",
    "REQ-S-221",
    "REQ-S-224",
    "REQ-S-226",
    "REQ-S-232",
    "REQ-S-234",
    "REQ-S-235",
    "REQ-S-237",
    "REQ-S-245",
    "REQ-S-250",
    "REQ-S-255",
    "REQ-S-270",
)
@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        ({"op": "frob", "path": "title", "value": 1}, "invalidSyntax"),
        ({"op": "add", "path": "title"}, "invalidValue"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "replace", "path": "userName", "value": ""}, "invalidValue"),
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "replace", "path": "meta.created", "value": "x"}, "mutability"),
        ({"op": "add", "path": "groups", "value": [{"value": "g"}]}, "mutability"),
        ({"op": "replace", "path": "nothing", "value": 1}, "invalidPath"),
        ({"op": "replace", "path": "name.nothing", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "emails[type eq", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "emails[type zz 1]", "value": "x"}, "invalidFilter"),
        ({"op": "replace", "path": 'emails[type eq "none"]', "value": {"value": "x"}}, "noTarget"),
        ({"op": "add", "path": 'emails[value co "none"].display', "value": "x"}, "noTarget"),
        ({"op": "replace", "path": "active", "value": "maybe"}, "invalidValue"),
        ({"op": "replace", "path": "urn:x:y:title", "value": "x"}, "invalidPath"),
    ],
)  # fmt: skip
async def test_a_patch_that_cannot_be_is_refused_as_a_whole(client: Client, operation: Any, scim_type: str) -> None:
    user = await client.post("/Users", ENTRA_USER)
    good = {"op": "replace", "path": "title", "value": "Changed"}
    error = await client.patch(f"/Users/{user['id']}", good, operation, status=400)
    assert error["scimType"] == scim_type, error
    assert await client.get(f"/Users/{user['id']}") == user


# Groups


@pytest.mark.req("REQ-S-097", "REQ-S-098", "REQ-S-029", "REQ-S-227", "REQ-S-265", "REQ-S-231", "REQ-S-030")
async def test_entras_group_life(client: Client) -> None:
    ann, ben = await client.user("ann", displayName="Ann"), await client.user("ben")
    created = await client.post(
        "/Groups",
        {
            "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
            "externalId": "0c9d",
            "displayName": "Warehouse",
            "meta": {"resourceType": "Group"},
        },
    )
    assert created["schemas"] == [GROUP]
    path = f"/Groups/{created['id']}"
    await client.patch(path, {"op": "Replace", "path": "displayName", "value": "North"}, status=204)
    add = {"op": "Add", "path": "members", "value": [{"$ref": None, "value": ann["id"]}, {"value": ben["id"]}]}
    await client.patch(path, add, status=204)
    await client.patch(path, add, status=204)
    group = await client.get(path)
    assert (group["displayName"], len(group["members"])) == ("North", 2)
    member = next(item for item in group["members"] if item["value"] == ann["id"])
    assert (member["type"], member["display"]) == ("User", "Ann")
    assert member["$ref"].endswith(f"/Users/{ann['id']}")
    assert "members" not in await client.get(f"{path}?excludedAttributes=members")
    await client.delete(path)
    assert "groups" not in await client.get(f"/Users/{ann['id']}")


@pytest.mark.req("REQ-S-239", "REQ-S-238", "REQ-S-240", "REQ-S-241", "REQ-S-261", "REQ-S-262", "REQ-S-263", "REQ-S-264")
@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ([{"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "ann"}]}], {"ben"}),
        ([{"op": "remove", "path": 'members[value eq "ann"]'}], {"ben"}),
        ([{"op": "remove", "path": "members", "value": [{"value": "stranger"}]}], {"ann", "ben"}),
        ([{"op": "remove", "path": "members", "value": []}], {"ann", "ben"}),
        ([{"op": "remove", "path": "members"}], set()),
        ([{"op": "add", "path": "members", "value": "cid"}], {"ann", "ben", "cid"}),
        ([{"op": "add", "path": f"{GROUP}:members", "value": {"value": "cid"}}], {"ann", "ben", "cid"}),
        ([{"op": "add", "value": {"Members": [{"value": "cid"}]}}], {"ann", "ben", "cid"}),
        ([{"op": "replace", "path": "members", "value": [{"value": "cid"}, {"value": "cid"}]}], {"cid"}),
        (
            [
                {"op": "remove", "path": 'members[value eq "ann"]'},
                {"op": "add", "path": "members", "value": [{"value": "cid", "display": "c"}]},
            ],
            {"ben", "cid"},
        ),
        (
            [
                {"op": "add", "path": "members", "value": [{"value": "cid"}]},
                {"op": "remove", "path": "members", "value": [{"value": "cid"}]},
            ],
            {"ann", "ben"},
        ),
        ([{"op": "replace", "value": {"displayName": "New", "members": [{"value": "ann"}]}}], {"ann"}),
    ],
)
async def test_every_way_to_change_members(client: Client, operations: list[Any], left: set[str]) -> None:
    team = await client.group("Team", "ann", "ben")
    await client.patch(f"/Groups/{team['id']}", *operations, status=204)
    assert await client.members(team["id"]) == left


@pytest.mark.req("REQ-S-268", "REQ-S-035")
async def test_members_are_not_edited_and_a_group_is_not_its_own_member(client: Client) -> None:
    team = await client.group("Team", "ann")
    path = f"/Groups/{team['id']}"
    edit = {"op": "replace", "path": 'members[value eq "ann"].value', "value": "ben"}
    assert (await client.patch(path, edit, status=400))["scimType"] == "mutability"
    own = {"op": "add", "path": "members", "value": [{"value": team["id"]}]}
    assert (await client.patch(path, own, status=400))["scimType"] == "invalidValue"
    assert await client.members(team["id"]) == {"ann"}


@pytest.mark.req("REQ-S-022")
async def test_a_member_is_shown_as_the_client_wants_else_by_name(client: Client) -> None:
    ann, ben = await client.user("ann", displayName="Ann"), await client.user("ben")
    team = await client.group("Team")
    members = [{"value": ann["id"]}, {"value": ben["id"], "display": "Benno"}]
    await client.patch(f"/Groups/{team['id']}", {"op": "add", "path": "members", "value": members}, status=204)
    group = await client.get(f"/Groups/{team['id']}")
    assert {member["value"]: member["display"] for member in group["members"]} == {ann["id"]: "Ann", ben["id"]: "Benno"}


@pytest.mark.req("REQ-S-287")
async def test_parallel_patches_of_one_group_lose_nothing(client: Client) -> None:
    team = await client.group("Team")
    names = [f"member{number}" for number in range(200)]
    add = [
        client.patch(f"/Groups/{team['id']}", {"op": "add", "path": "members", "value": [{"value": name}]}, status=204)
        for name in names
    ]
    await asyncio.gather(*add)
    assert await client.members(team["id"]) == set(names)


@pytest.mark.req("REQ-S-266")
async def test_a_thousand_members_in_one_operation(client: Client) -> None:
    team = await client.group("Team")
    members = [{"value": f"m{number}"} for number in range(1000)]
    await client.patch(f"/Groups/{team['id']}", {"op": "add", "path": "members", "value": members}, status=204)
    assert len(await client.members(team["id"])) == 1000


@pytest.mark.req("REQ-S-282")
async def test_deleting_a_user_takes_it_out_of_its_groups_and_gives_them_a_new_version(client: Client) -> None:
    ann = await client.user("ann")
    team = await client.group("Team", ann["id"])
    await client.delete(f"/Users/{ann['id']}")
    after = await client.get(f"/Groups/{team['id']}")
    assert "members" not in after
    assert after["meta"]["version"] != team["meta"]["version"]
