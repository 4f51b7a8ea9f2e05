"""How the endpoint represents users and groups: ids, meta, names, values, what only the server writes."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.scim_client import CORE, ENTERPRISE, ENTRA_USER, GROUP, Client


def assigned(value: Any) -> bool:
    """Whether no part of the value is null or empty."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value not in (None, "", [], {}) and all(assigned(item) for item in inner)


def everything_in(folder: Path) -> bytes:
    """What all files of the folder hold."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


def without_identity(resource: dict[str, Any]) -> dict[str, Any]:
    """What is left to compare of two resources with the same content."""
    return {name: value for name, value in resource.items() if name not in ("id", "meta", "userName")}


# schemas, id, meta


@pytest.mark.req("REQ-S-001", "REQ-S-090", "REQ-S-091")
@pytest.mark.parametrize(
    "schemas",
    [None, [], [CORE], [CORE, CORE], [CORE.upper()], ["urn:foreign", "not a urn"], "urn:foreign", [ENTERPRISE]],
)
async def test_schemas_names_the_base_schema_once_whatever_was_sent(client: Client, schemas: Any) -> None:
    sent = {"userName": "kim"} if schemas is None else {"userName": "kim", "schemas": schemas}
    user = await client.post("/Users", sent)
    assert user["schemas"] == [CORE]
    assert (await client.group())["schemas"] == [GROUP]


@pytest.mark.req("REQ-S-013", "REQ-S-252")
async def test_schemas_names_an_extension_exactly_while_there_is_data_of_it(client: Client) -> None:
    user = await client.post("/Users", {"schemas": [CORE, ENTERPRISE], "userName": "kim", ENTERPRISE: {}})
    assert user["schemas"] == [CORE]
    path, department = f"/Users/{user['id']}", f"{ENTERPRISE}:department"
    added = await client.patch(path, {"op": "add", "path": department, "value": "Supply"})
    assert (set(added["schemas"]), added[ENTERPRISE]) == ({CORE, ENTERPRISE}, {"department": "Supply"})
    removed = await client.patch(path, {"op": "remove", "path": department})
    assert removed["schemas"] == [CORE]
    assert ENTERPRISE not in removed


@pytest.mark.req("REQ-S-002")
@pytest.mark.parametrize(
    "query", ["attributes=displayName", "attributes=nothing", "excludedAttributes=id,schemas,meta"]
)
async def test_every_answer_shows_the_id_whatever_is_asked_for(client: Client, query: str) -> None:
    for endpoint, body in (("/Users", {"userName": "kim"}), ("/Groups", {"displayName": "Team"})):
        created = await client.post(f"{endpoint}?{query}", body)
        path = f"{endpoint}/{created['id']}?{query}"
        [listed] = (await client.get(f"{endpoint}?{query}"))["Resources"]
        change = {"op": "replace", "path": "displayName", "value": "New"}
        body = {"userName": "kim", "displayName": "Newer"}
        answers = [listed, await client.get(path), await client.put(path, body)]
        if endpoint == "/Users":
            answers.append(await client.patch(path, change))
        assert created["id"]
        assert {answer["id"] for answer in answers} == {created["id"]}


@pytest.mark.req("REQ-S-003", "REQ-S-004", "REQ-S-005")
async def test_ids_are_uuids_that_stay_and_never_come_back(client: Client) -> None:
    token, _ = await client.side.tokens.create("other")
    other = {"Authorization": f"Bearer {token}"}
    wanted = "00000000-0000-4000-8000-000000000000"
    given: list[str] = []
    for _ in range(3):
        user = await client.user(id=wanted)
        team = await client.group("Team", user["id"])
        theirs = await client.post("/Users", {"userName": "kim", "id": wanted}, headers=other)
        path = f"/Users/{user['id']}"
        assert (await client.put(path, {"userName": "kim", "id": wanted}))["id"] == user["id"]
        assert (await client.patch(path, {"op": "replace", "value": {"title": "T"}}))["id"] == user["id"]
        await client.delete(path)
        await client.delete(f"/Groups/{team['id']}")
        await client.delete(f"/Users/{theirs['id']}", headers=other)
        given += [user["id"], team["id"], theirs["id"]]
    assert len(set(given)) == 9
    assert wanted not in given
    assert all(str(UUID(id_)) == id_ and "bulkid" not in id_.lower() for id_ in given)


@pytest.mark.req("REQ-S-006")
async def test_meta_from_a_client_is_ignored_wherever_it_is_sent(client: Client) -> None:
    forged: dict[str, Any] = {
        "meta": {"resourceType": "Group", "created": "1999-01-01T00:00:00Z", "version": 'W/"99"', "location": "x"}
    }
    user = await client.user(**forged)
    path = f"/Users/{user['id']}"
    assert user["meta"]["resourceType"] == "User"
    assert await client.put(path, {"userName": "kim", **forged}) == user
    assert await client.patch(path, {"op": "replace", "value": forged}) == user


@pytest.mark.req("REQ-S-007")
async def test_the_resource_type_is_the_endpoints(client: Client) -> None:
    user, team = await client.user(), await client.group()
    assert (user["meta"]["resourceType"], team["meta"]["resourceType"]) == ("User", "Group")
    assert (await client.get("/ServiceProviderConfig"))["meta"]["resourceType"] == "ServiceProviderConfig"
    for path, name in (("/ResourceTypes", "ResourceType"), ("/Schemas", "Schema")):
        assert {item["meta"]["resourceType"] for item in (await client.get(path))["Resources"]} == {name}


@pytest.mark.req("REQ-S-008")
async def test_dates_have_a_zone_and_only_a_real_change_moves_the_last_one(client: Client) -> None:
    user = await client.user()
    created = datetime.fromisoformat(user["meta"]["created"])
    assert created.tzinfo is not None
    assert user["meta"]["lastModified"] == user["meta"]["created"]
    client.clock.move(timedelta(hours=1))
    path = f"/Users/{user['id']}"
    assert (await client.get(path))["meta"] == user["meta"]
    changed = await client.patch(path, {"op": "replace", "path": "title", "value": "T"})
    assert changed["meta"]["created"] == user["meta"]["created"]
    assert datetime.fromisoformat(changed["meta"]["lastModified"]) - created == timedelta(hours=1)


@pytest.mark.req("REQ-S-009", "REQ-S-010")
@pytest.mark.parametrize(("endpoint", "body"), [("/Users", {"userName": "kim"}), ("/Groups", {"displayName": "Team"})])
async def test_location_and_version_are_those_of_the_headers(client: Client, endpoint: str, body: Any) -> None:
    created = await client.http.post(endpoint, json=body)
    path = f"{endpoint}/{created.json()['id']}"
    answers = [created, await client.http.get(path), await client.http.put(path, json={**body, "externalId": "x"})]
    for answer in answers:
        meta = answer.json()["meta"]
        assert meta["location"] == answer.headers["location"] == f"https://app.example/scim{path}"
        assert meta["version"] == answer.headers["etag"]
    [listed] = (await client.get(endpoint))["Resources"]
    assert listed["meta"] == answers[-1].json()["meta"]


# Names and values


@pytest.mark.req("REQ-S-011", "REQ-S-012")
async def test_names_come_back_in_the_schemas_spelling_at_the_schemas_place(client: Client) -> None:
    user = await client.post(
        "/Users",
        {
            "USERNAME": "kim",
            "Name": {"GIVENNAME": "Kim"},
            "phonenumbers": [{"VALUE": "1", "Type": "work"}],
            ENTERPRISE.lower(): {"COSTCENTER": "C1"},
            "Department": "Supply",
        },
    )
    assert set(user) == {"schemas", "id", "meta", "userName", "name", "phoneNumbers", "active", ENTERPRISE}
    assert user["name"] == {"givenName": "Kim"}
    assert user["phoneNumbers"] == [{"value": "1", "type": "work"}]
    assert user[ENTERPRISE] == {"costCenter": "C1", "department": "Supply"}


@pytest.mark.req("REQ-S-014", "REQ-S-015")
async def test_null_empty_and_absent_are_one_state_that_is_not_shown(client: Client) -> None:
    empty: dict[str, Any] = {"title": None, "emails": [], "name": {"givenName": None}, ENTERPRISE: {"manager": None}}
    null: dict[str, Any] = {"title": None, "emails": None, "name": None, ENTERPRISE: None}
    bodies = [{"userName": f"u{n}", **body} for n, body in enumerate(({}, empty, null))]
    created = [await client.post("/Users", body) for body in bodies]
    assert all(assigned(user) for user in created)
    assert [without_identity(user) for user in created] == [{"schemas": [CORE], "active": True}] * 3
    for body in ({}, empty, null):
        full = await client.post("/Users", ENTRA_USER)
        replaced = await client.put(f"/Users/{full['id']}", {"userName": full["userName"], **body})
        assert without_identity(replaced) == {"schemas": [CORE], "active": True}
        await client.delete(f"/Users/{full['id']}")


@pytest.mark.req("REQ-S-016")
async def test_texts_come_back_as_they_were_sent(client: Client) -> None:
    texts = {
        "displayName": "  Two  blanks and a tab\t",
        "nickName": "Ünïcode 日本 🙂",
        "profileUrl": "HTTPS://Example.ORG/%7Ekim/../x",
        "title": 'O\'Malley "quoted" \\ <b>',
        "phoneNumbers": [{"type": "work", "value": "+47 (555) 123-45 ext. 6"}],
        "emails": [{"type": "work", "value": "Kim.Ålesund@Fjord.Example"}],
        "addresses": [{"type": "work", "formatted": "7 Quay Rd\r\nBergen", "country": "Norway"}],
    }
    user = await client.user("Kim@Fjord.Example", **texts)
    path = f"/Users/{user['id']}"
    for answer in (user, await client.get(path), await client.put(path, {"userName": user["userName"], **texts})):
        assert {name: answer[name] for name in texts} == texts
    changed = await client.patch(path, {"op": "replace", "path": "title", "value": " x "})
    assert changed["title"] == " x "


@pytest.mark.req("REQ-S-017")
async def test_a_type_that_no_schema_suggests_is_accepted(client: Client) -> None:
    values: dict[str, Any] = {
        name: [{"type": "site", "value": "v"}] for name in ("emails", "phoneNumbers", "ims", "photos", "roles")
    }
    values["addresses"] = [{"type": "site", "locality": "Bergen"}]
    user = await client.user(**values)
    assert {name: user[name] for name in values} == values


@pytest.mark.req("REQ-S-018")
@pytest.mark.parametrize(
    ("moment", "found"),
    [
        ("2024-05-06T09:00:00.0000000+02:00", 1),
        ("2024-05-06T07:00:00Z", 1),
        ("2024-05-06T07:00:00.0000100Z", 0),
        ("2024-05-06T02:30:00.1234567-05:00", 0),
    ],
)
async def test_dates_with_offset_and_seven_fraction_digits_are_compared(
    client: Client, moment: str, found: int
) -> None:
    await client.user()
    answer = await client.get("/Users", params={"filter": f'meta.lastModified ge "{moment}"'})
    assert answer["totalResults"] == found


@pytest.mark.req("REQ-S-019")
async def test_binary_values_are_base64_with_or_without_padding(client: Client) -> None:
    for number, text in enumerate(("TUlJQw==", "TUlJQw", "TUlJQ0M=", "TUlJQ0ND")):
        user = await client.user(f"u{number}", x509Certificates=[{"value": text}])
        assert user["x509Certificates"] == [{"value": text}]
    for wrong in ("not base64!", "ab*d", "žluť", {"a": 1}):
        body = {"userName": "kim", "x509Certificates": [{"value": wrong}]}
        assert (await client.post("/Users", body, 400))["scimType"] == "invalidValue"


@pytest.mark.req("REQ-S-022")
async def test_the_primary_address_and_a_members_display_are_published_accepted_and_returned(client: Client) -> None:
    schemas = {schema["id"]: schema["attributes"] for schema in (await client.get("/Schemas"))["Resources"]}
    for urn, name, sub in ((CORE, "addresses", "primary"), (GROUP, "members", "display")):
        [attribute] = [attribute for attribute in schemas[urn] if attribute["name"] == name]
        assert sub in {part["name"] for part in attribute["subAttributes"]}
    addresses = [{"locality": "Bergen", "primary": True}]
    user = await client.user(addresses=addresses)
    assert user["addresses"] == addresses
    team = await client.post("/Groups", {"displayName": "T", "members": [{"value": user["id"], "display": "Shown"}]})
    assert team["members"][0]["display"] == "Shown"


@pytest.mark.req("REQ-S-023", "REQ-S-024")
async def test_a_password_is_in_no_answer_log_or_file(
    client: Client, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "Tr0ub4dor-horse-staple"
    user = await client.user(password=secret)
    path = f"/Users/{user['id']}"
    answers = [
        user,
        await client.put(path, {"userName": "kim", "password": secret}),
        await client.patch(path, {"op": "replace", "path": "password", "value": secret}),
        await client.patch(path, {"op": "replace", "value": {"password": secret, "title": "T"}}),
        await client.get(f"{path}?attributes=password,userName"),
        await client.get("/Users?attributes=password"),
        await client.get("/Users", 400, params={"filter": f'password eq "{secret}"'}),
        await client.post("/Users", {"userName": "x", "password": {"value": secret}}, 400),
    ]
    assert not any(secret in str(answer) or "password" in answer for answer in answers)
    tables = ("resource", "event", "password", "indexed_value", "membership")
    held = [await client.rows(f"SELECT * FROM {table}") for table in tables]
    written = everything_in(tmp_path) + str(held).encode()
    assert user["id"].encode() in written
    assert secret.encode() not in written
    assert secret not in "".join(capfd.readouterr())


# What only the server writes


@pytest.mark.req("REQ-S-025", "REQ-S-026")
async def test_groups_of_a_user_follow_every_change_of_a_group_and_nothing_else(client: Client) -> None:
    forged: dict[str, Any] = {"groups": [{"value": "forged", "display": "Forged"}]}
    kim = await client.user(**forged)
    path = f"/Users/{kim['id']}"
    assert "groups" not in kim
    assert "groups" not in await client.put(path, {"userName": "kim", **forged})
    team = await client.group("Team", kim["id"])
    shown = {"value": team["id"], "$ref": team["meta"]["location"], "display": "Team", "type": "direct"}
    assert (await client.get(path))["groups"] == [shown]
    assert (await client.put(path, {"userName": "kim", "groups": []}))["groups"] == [shown]
    rename = {"op": "replace", "path": "displayName", "value": "Crew"}
    await client.patch(f"/Groups/{team['id']}", rename, status=204)
    assert (await client.get(path))["groups"] == [{**shown, "display": "Crew"}]
    await client.patch(f"/Groups/{team['id']}", {"op": "remove", "path": "members"}, status=204)
    assert "groups" not in await client.get(path)


@pytest.mark.req("REQ-S-028")
async def test_a_managers_name_is_the_managers_own(client: Client) -> None:
    boss = await client.user("boss", displayName="Boss")
    known, unknown = ({"value": id_, "displayName": "Forged"} for id_ in (boss["id"], "nobody"))
    kim = await client.user("kim", **{ENTERPRISE: {"manager": known}})
    assert kim[ENTERPRISE]["manager"]["displayName"] == "Boss"
    ann = await client.user("ann", **{ENTERPRISE: {"manager": unknown}})
    assert ann[ENTERPRISE]["manager"] == {"value": "nobody"}
    await client.patch(f"/Users/{boss['id']}", {"op": "replace", "path": "displayName", "value": "Chief"})
    assert (await client.get(f"/Users/{kim['id']}"))[ENTERPRISE]["manager"]["displayName"] == "Chief"


@pytest.mark.req("REQ-S-029", "REQ-S-035")
async def test_the_type_and_reference_of_members_are_those_of_what_they_name(client: Client) -> None:
    kim, inner = await client.user(), await client.group("Inner")
    forged = {"type": "Printer", "$ref": "https://elsewhere.example/1"}
    members = [{"value": kim["id"], **forged}, {"value": inner["id"], **forged}]
    outer = await client.post("/Groups", {"displayName": "Outer", "members": members})
    shown = {member["value"]: (member["type"], member["$ref"]) for member in outer["members"]}
    assert shown == {
        kim["id"]: ("User", kim["meta"]["location"]),
        inner["id"]: ("Group", inner["meta"]["location"]),
    }


@pytest.mark.req("REQ-S-030")
async def test_a_member_that_is_sent_twice_is_kept_once(client: Client) -> None:
    kim = await client.user()
    twice = [{"value": kim["id"]}, {"value": kim["id"], "display": "Again"}]
    team = await client.post("/Groups", {"displayName": "Team", "members": twice})
    path = f"/Groups/{team['id']}"
    assert len(team["members"]) == 1
    assert len((await client.put(path, {"displayName": "Team", "members": twice}))["members"]) == 1
    await client.patch(path, {"op": "add", "path": "members", "value": twice}, status=204)
    assert len((await client.get(path))["members"]) == 1


@pytest.mark.req("REQ-S-035")
async def test_a_group_cannot_be_made_its_own_member_by_put(client: Client) -> None:
    team = await client.group()
    own = {"displayName": "Team", "members": [{"value": team["id"]}]}
    assert (await client.put(f"/Groups/{team['id']}", own, 400))["scimType"] == "invalidValue"
    assert await client.members(team["id"]) == set()
