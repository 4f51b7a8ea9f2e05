"""Creating users and groups: what a POST needs, tolerates, refuses and answers."""

from typing import Any

import pytest

from tests.scim_client import CORE, ENTERPRISE, ENTRA_USER, GROUP, Client


@pytest.mark.req("REQ-S-080")
async def test_a_new_user_is_answered_with_location_version_and_everything_kept(client: Client) -> None:
    answer = await client.http.post("/Users", json=ENTRA_USER)
    user = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/scim/Users/{user['id']}")
    assert answer.headers["etag"]
    sent = {name: value for name, value in ENTRA_USER.items() if name not in ("schemas", "meta", "roles")}
    assert {name: user[name] for name in sent} == sent
    assert await client.get(f"/Users/{user['id']}") == user


@pytest.mark.req("REQ-S-081", "REQ-S-099")
@pytest.mark.parametrize("value", [..., None, "", " ", "\t\n", []])
@pytest.mark.parametrize(("endpoint", "name"), [("/Users", "userName"), ("/Groups", "displayName")])
async def test_a_resource_without_its_name_is_refused(client: Client, endpoint: str, name: str, value: Any) -> None:
    body = {"externalId": "x"} if value is ... else {"externalId": "x", name: value}
    error = await client.post(endpoint, body, 400)
    assert (error["scimType"], name in error["detail"]) == ("invalidValue", True)
    assert (await client.get(endpoint))["totalResults"] == 0


@pytest.mark.req("REQ-S-082", "REQ-S-083", "REQ-S-085", "REQ-S-340")
@pytest.mark.parametrize("again", ["Zoë@x.example", "ZOË@X.EXAMPLE", "Zoe\u0308@x.example", "Ｚoë@x.example"])
async def test_a_name_that_looks_the_same_is_taken_also_by_a_disabled_user(client: Client, again: str) -> None:
    await client.user("Zoë@x.example", active=False)
    error = await client.post("/Users", {"userName": again}, 409)
    assert error["scimType"] == "uniqueness"
    assert (await client.get("/Users"))["totalResults"] == 1


@pytest.mark.req("REQ-S-084")
async def test_the_name_of_a_deleted_user_is_free(client: Client) -> None:
    old = await client.user("kim", title="Old")
    await client.delete(f"/Users/{old['id']}")
    new = await client.user("kim")
    assert new["id"] != old["id"]
    assert "title" not in new


@pytest.mark.req("REQ-S-086", "REQ-S-087")
async def test_what_is_read_only_or_unknown_does_not_keep_a_user_from_being_created(client: Client) -> None:
    extra: dict[str, Any] = {
        "id": 5,
        "meta": "text",
        "groups": {"value": "g"},
        "shoeSize": 43,
        "urn:example:extension": {"a": 1},
        "name": {"givenName": "Kim", "unknown": 1},
        "emails": [{"value": "k@x.example", "unknown": [1]}],
        ENTERPRISE: {"manager": {"displayName": "Boss"}, "unknown": 1},
    }
    user = await client.post("/Users", {"userName": "kim", **extra})
    assert set(user) == {"schemas", "id", "meta", "userName", "name", "emails", "active"}
    assert user["emails"] == [{"value": "k@x.example"}]
    assert user["name"] == {"givenName": "Kim"}


@pytest.mark.req("REQ-S-088", "REQ-S-089")
async def test_active_is_true_unless_the_client_says_that_it_has_no_value(client: Client) -> None:
    assert (await client.user("absent"))["active"] is True
    assert (await client.user("false", active=False))["active"] is False
    assert "active" not in await client.user("null", active=None)
    assert "active" not in await client.user("empty", active=[])


@pytest.mark.req("REQ-S-091", "REQ-S-092")
@pytest.mark.parametrize(
    "schemas",
    [
        [CORE],
        [CORE, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:Usr"],
        ["http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/User", CORE],
        [f"{CORE} ", "", None, 5],
        [],
    ],
)
async def test_data_of_an_extension_is_kept_whatever_schemas_says(client: Client, schemas: list[Any]) -> None:
    user = await client.post("/Users", {"schemas": schemas, "userName": "kim", ENTERPRISE: {"department": "Supply"}})
    assert user[ENTERPRISE] == {"department": "Supply"}
    assert user["schemas"] == [CORE, ENTERPRISE]


@pytest.mark.req("REQ-S-093")
@pytest.mark.parametrize(("text", "value"), [("True", True), ("true", True), ("False", False), ("FALSE", False)])
async def test_booleans_may_be_text(client: Client, text: str, value: bool) -> None:
    roles = [{"value": "clerk", "primary": text}]
    user = await client.user(active=text, roles=roles)
    assert (user["active"], user["roles"]) == (value, [{"value": "clerk", "primary": value}])


@pytest.mark.req("REQ-S-094", "REQ-S-095")
async def test_random_texts_and_repeated_types_and_external_ids_are_created(client: Client) -> None:
    random = {
        "externalId": "same",
        "locale": "QWXZ",
        "timezone": "Nowhere/Town",
        "preferredLanguage": "zz-random",
        "profileUrl": "not a url",
        "emails": [{"type": "work", "value": "no address"}, {"type": "work", "value": "b@x.example"}],
        "phoneNumbers": [{"type": "work", "value": "++a"}],
        "addresses": [{"type": "work", "country": "Atlantis"}, {"type": "work", "country": "Mu"}],
    }
    for name in ("kim", "ann"):
        user = await client.user(name, **random)
        assert {key: user[key] for key in random} == random


@pytest.mark.req("REQ-S-096")
@pytest.mark.parametrize("shape", [{"value": "m-1"}, "m-1", [{"value": "m-1", "$ref": None}], ["m-1"]])
@pytest.mark.parametrize("place", ["extension", "top"])
async def test_a_manager_of_any_shape_comes_back_as_an_object(client: Client, shape: Any, place: str) -> None:
    user = await client.user(**({ENTERPRISE: {"manager": shape}} if place == "extension" else {"manager": shape}))
    assert user[ENTERPRISE]["manager"] == {"value": "m-1"}


@pytest.mark.req("REQ-S-097")
@pytest.mark.parametrize("members", [..., None, []])
async def test_a_group_without_members_shows_none(client: Client, members: Any) -> None:
    body = {"schemas": [GROUP], "displayName": "Team"}
    team = await client.post("/Groups", body if members is ... else {**body, "members": members})
    assert team.get("members", []) == []


@pytest.mark.req("REQ-S-098")
async def test_a_group_comes_back_with_its_members_of_both_kinds(client: Client) -> None:
    kim, inner = await client.user(), await client.group("Inner")
    team = await client.group("Team", kim["id"], inner["id"], "unknown")
    found = {member["value"]: member for member in team["members"]}
    assert set(found) == {kim["id"], inner["id"], "unknown"}
    assert found[kim["id"]]["type"] == "User"
    assert found[inner["id"]]["type"] == "Group"
    assert found[kim["id"]]["$ref"] == kim["meta"]["location"]


@pytest.mark.req("REQ-S-100")
async def test_a_group_name_is_taken_in_any_case_and_by_renaming_too(client: Client) -> None:
    await client.group("Straße")
    crew = await client.group("Crew")
    path = f"/Groups/{crew['id']}"
    for name in ("Straße", "STRASSE", "straße"):
        taken = {"displayName": name}
        errors = [
            await client.post("/Groups", taken, 409),
            await client.put(path, taken, 409),
            await client.patch(path, {"op": "replace", "value": taken}, status=409),
        ]
        assert {error["scimType"] for error in errors} == {"uniqueness"}
    assert (await client.put(path, {"displayName": "CREW"}))["displayName"] == "CREW"


@pytest.mark.req("REQ-S-101")
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("attributes=displayName", {"schemas", "id", "displayName"}),
        ("excludedAttributes=members,meta", {"schemas", "id", "displayName"}),
    ],
)
async def test_the_answer_to_a_post_shows_what_is_asked_for_and_everything_is_kept(
    client: Client, query: str, shown: set[str]
) -> None:
    team = await client.post(f"/Groups?{query}", {"displayName": "Team", "members": [{"value": "m-1"}]})
    assert set(team) == shown
    assert await client.members(team["id"]) == {"m-1"}
