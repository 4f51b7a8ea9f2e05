"""The checks V1 to V21 of Microsoft's SCIM validator, each with the requests that it sends (REQ-S-349).

Its data is random: locales, countries and manager ids are texts that mean nothing, booleans may be text. After every
PATCH it reads the resource back and compares.
"""

from typing import Any

import pytest

from tests.scim_client import CORE, ENTERPRISE, GROUP, Client

USER: dict[str, Any] = {
    "schemas": [CORE, ENTERPRISE],
    "userName": "hollis@bechtelar.example",
    "externalId": "0f0ac31e-7be6",
    "active": True,
    "displayName": "KQBXHUYWTPVF",
    "title": "WNJGKDNUVZLS",
    "nickName": "TTQWZDPFOEIX",
    "userType": "OUTCAVIHRMNW",
    "locale": "NLXHYGJUMBQZ",
    "timezone": "Africa/Nowhere",
    "preferredLanguage": "bas-CM",
    "profileUrl": "EVBKGTYXCWOP",
    "name": {
        "formatted": "Cassie",
        "familyName": "Isaac",
        "givenName": "Leonor",
        "middleName": "Cecil",
        "honorificPrefix": "Myriam",
        "honorificSuffix": "Zion",
    },
    "emails": [{"type": "work", "value": "ceasar@rath.example", "primary": True}],
    "phoneNumbers": [
        {"type": "work", "value": "54-717-6213", "primary": True},
        {"type": "mobile", "value": "54-717-6213"},
        {"type": "fax", "value": "54-717-6213"},
    ],
    "addresses": [
        {
            "type": "work",
            "formatted": "MGTUWCWDJXAE",
            "streetAddress": "88217 Kris Burgs",
            "locality": "PDVNWIJUUEXX",
            "region": "RJEAWKXNOXNF",
            "postalCode": "cr7 4jx",
            "country": "Guernsey",
            "primary": True,
        }
    ],
    "roles": [{"type": "CAUTZVHDGBNI", "display": "UXWEJVGHYIVB", "value": "ZHPRVQGMBDQF", "primary": "True"}],
    ENTERPRISE: {
        "employeeNumber": "ELYDKSXFQHCR",
        "costCenter": "IIWWYDDTJUQA",
        "organization": "JAWNBXNSZWAB",
        "division": "RSRGZZBAKYMC",
        "department": "QPFTDTNHAGSX",
        "manager": {"value": "MUHJYKQYPPNO"},
    },
}
READ_ONLY = ("schemas", "id", "meta")


async def patched(client: Client, path: str, *operations: Any) -> Any:
    """The resource as it is read after a PATCH, which may be answered by 200 or 204."""
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list(operations)}
    answer = await client.http.patch(path, json=body)
    assert answer.status_code in (200, 204), answer.text
    return await client.get(path)


async def find(client: Client, endpoint: str, name: str, value: str) -> list[Any]:
    others = {"excludedAttributes": "members"} if endpoint == "/Groups" else {}
    answer = await client.get(endpoint, params={**others, "filter": f'{name} eq "{value}"'})
    assert answer["totalResults"] == len(answer["Resources"])
    found: list[Any] = answer["Resources"]
    return found


# Users


@pytest.mark.req("REQ-S-349", "REQ-S-094")
async def test_v1_create_a_new_user(client: Client) -> None:
    created = await client.post("/Users", USER)
    assert await find(client, "/Users", "userName", USER["userName"]) == [created]
    expected = {**USER, "roles": [{**USER["roles"][0], "primary": True}]}
    assert {name: created[name] for name in expected if name not in READ_ONLY} == {
        name: value for name, value in expected.items() if name not in READ_ONLY
    }


@pytest.mark.req("REQ-S-349", "REQ-S-082")
async def test_v2_create_a_duplicate_user(client: Client) -> None:
    await client.post("/Users", USER)
    await client.post("/Users", USER, 409)


@pytest.mark.req("REQ-S-349", "REQ-S-159", "REQ-S-113")
async def test_v3_v4_v5_filter_for_an_existing_user_in_any_case_and_for_nobody(client: Client) -> None:
    created = await client.post("/Users", USER)
    for name in (USER["userName"], USER["userName"].upper(), "Hollis@Bechtelar.Example"):
        assert await find(client, "/Users", "userName", name) == [created]
    assert await find(client, "/Users", "userName", "OLSHZZMNGEIX") == []


@pytest.mark.req("REQ-S-349", "REQ-S-110")
async def test_v6_get_a_user_by_id(client: Client) -> None:
    created = await client.post("/Users", USER)
    assert await client.get(f"/Users/{created['id']}") == created


@pytest.mark.req("REQ-S-349", "REQ-S-248")
async def test_v7_replace_attributes_in_one_object_with_dotted_keys(client: Client) -> None:
    created = await client.post("/Users", USER)
    texts = ("displayName", "title", "nickName", "userType", "locale", "timezone", "preferredLanguage", "profileUrl")
    value = {
        **{name: f"NEW {name}" for name in texts},
        **{f"name.{part}": f"NEW {part}" for part in USER["name"]},
        **{f"{ENTERPRISE}:{part}": f"NEW {part}" for part in ("employeeNumber", "costCenter", "department")},
    }
    after = await patched(
        client,
        f"/Users/{created['id']}",
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "new@rath.example"},
        {"op": "replace", "path": 'addresses[type eq "work"].country', "value": "NEW country"},
        {"op": "replace", "path": 'roles[primary eq "True"].value', "value": "NEW role"},
        {"op": "replace", "value": value},
    )
    assert {name: after[name] for name in texts} == {name: f"NEW {name}" for name in texts}
    assert after["name"] == {part: f"NEW {part}" for part in USER["name"]}
    assert after["emails"] == [{"type": "work", "value": "new@rath.example", "primary": True}]
    assert after["addresses"] == [{**USER["addresses"][0], "country": "NEW country"}]
    assert after["roles"][0]["value"] == "NEW role"
    assert after[ENTERPRISE]["costCenter"] == "NEW costCenter"
    assert after[ENTERPRISE]["division"] == "RSRGZZBAKYMC"


@pytest.mark.req("REQ-S-349", "REQ-S-243")
async def test_v7_replace_attributes_one_by_one(client: Client) -> None:
    created = await client.post("/Users", USER)
    wanted = {
        **{name: f"NEW {name}" for name in ("displayName", "title", "nickName", "userType", "locale", "profileUrl")},
        **{f"name.{part}": f"NEW {part}" for part in USER["name"]},
        **{f'phoneNumbers[type eq "{kind}"].value': f"NEW {kind}" for kind in ("work", "mobile", "fax")},
        **{f'addresses[type eq "work"].{part}': f"NEW {part}" for part in USER["addresses"][0] if part[0] not in "tp"},
        **{f"{ENTERPRISE}:{part}": f"NEW {part}" for part in USER[ENTERPRISE] if part != "manager"},
        'emails[type eq "work"].value': "new@rath.example",
    }
    operations = [{"op": "replace", "path": path, "value": value} for path, value in wanted.items()]
    after = await patched(client, f"/Users/{created['id']}", *operations)
    assert after["displayName"] == "NEW displayName"
    assert set(after["name"].values()) == {f"NEW {part}" for part in USER["name"]}
    assert [number["value"] for number in after["phoneNumbers"]] == ["NEW work", "NEW mobile", "NEW fax"]
    assert (after["addresses"][0]["formatted"], after["addresses"][0]["type"]) == ("NEW formatted", "work")
    assert after[ENTERPRISE]["division"] == "NEW division"
    assert after["emails"][0]["value"] == "new@rath.example"


@pytest.mark.req("REQ-S-349", "REQ-S-233")
async def test_v8_add_attributes_to_a_user_that_has_none(client: Client) -> None:
    created = await client.user("hollis")
    after = await patched(
        client,
        f"/Users/{created['id']}",
        {"op": "add", "path": 'emails[type eq "home"].value', "value": "home@rath.example"},
        {"op": "add", "path": 'emails[type eq "home"].display', "value": "YGVHXPKJCQNF"},
        {"op": "add", "path": 'emails[type eq "home"].primary', "value": True},
        {"op": "add", "path": 'phoneNumbers[type eq "work"].value', "value": "54-717"},
        {"op": "add", "path": 'addresses[type eq "work"].locality', "value": "PDVNWIJUUEXX"},
        {"op": "add", "path": 'roles[primary eq "True"].value', "value": "ZHPRVQGMBDQF"},
        {"op": "add", "path": f"{ENTERPRISE}:employeeNumber", "value": "ELYD"},
        {"op": "add", "value": {"title": "WNJG", "name.givenName": "Leonor", f"{ENTERPRISE}:division": "RSRG"}},
    )
    home = {"type": "home", "value": "home@rath.example", "display": "YGVHXPKJCQNF", "primary": True}
    assert after["emails"] == [home]
    assert after["phoneNumbers"] == [{"type": "work", "value": "54-717"}]
    assert after["addresses"] == [{"type": "work", "locality": "PDVNWIJUUEXX"}]
    assert after["roles"] == [{"primary": True, "value": "ZHPRVQGMBDQF"}]
    assert (after["title"], after["name"]) == ("WNJG", {"givenName": "Leonor"})
    assert after[ENTERPRISE] == {"employeeNumber": "ELYD", "division": "RSRG"}


@pytest.mark.req("REQ-S-349", "REQ-S-236")
async def test_v9_remove_attributes(client: Client) -> None:
    created = await client.post("/Users", USER)
    paths = ("displayName", "name.middleName", 'phoneNumbers[type eq "fax"].value', 'emails[type eq "work"]')
    after = await patched(
        client,
        f"/Users/{created['id']}",
        *({"op": "remove", "path": path} for path in (*paths, "roles", f"{ENTERPRISE}:department")),
    )
    assert not {"displayName", "emails", "roles"} & set(after)
    assert "middleName" not in after["name"]
    assert [number["type"] for number in after["phoneNumbers"]] == ["work", "mobile"]
    assert "department" not in after[ENTERPRISE]


@pytest.mark.req("REQ-S-349")
async def test_v10_update_the_joining_property(client: Client) -> None:
    created = await client.post("/Users", USER)
    rename = {"op": "replace", "path": "userName", "value": "dorcas@bechtelar.example"}
    after = await patched(client, f"/Users/{created['id']}", rename)
    assert await find(client, "/Users", "userName", "dorcas@bechtelar.example") == [after]
    assert await find(client, "/Users", "userName", USER["userName"]) == []


@pytest.mark.req("REQ-S-349", "REQ-S-112", "REQ-S-270")
@pytest.mark.parametrize("value", [False, "False"])
async def test_v11_disable_a_user(client: Client, value: Any) -> None:
    created = await client.post("/Users", USER)
    disable = {"op": "replace", "path": "active", "value": value}
    after = await patched(client, f"/Users/{created['id']}", disable)
    assert after["active"] is False
    assert await find(client, "/Users", "userName", USER["userName"]) == [after]


@pytest.mark.req("REQ-S-349", "REQ-S-259")
async def test_v12_add_replace_and_remove_the_manager(client: Client) -> None:
    created = await client.user("hollis")
    for op, manager in (("add", "MUHJYKQYPPNO"), ("replace", "QQZLKDBNUWTE"), ("replace", "")):
        operation = {"op": op, "path": f"{ENTERPRISE}:manager", "value": {"value": manager}}
        after = await patched(client, f"/Users/{created['id']}", operation)
        assert after.get(ENTERPRISE, {}).get("manager", {}).get("value", "") == manager
    assert after["schemas"] == [CORE]


@pytest.mark.req("REQ-S-349", "REQ-S-225")
async def test_v13_several_operations_on_different_attributes_and_on_one(client: Client) -> None:
    created = await client.post("/Users", USER)
    path = f"/Users/{created['id']}"
    different = await patched(
        client,
        path,
        {"op": "remove", "path": "displayName"},
        {"op": "add", "path": "nickName", "value": "A"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@rath.example"},
    )
    assert "displayName" not in different
    assert (different["nickName"], different["emails"][0]["value"]) == ("A", "a@rath.example")
    one = await patched(
        client,
        path,
        {"op": "remove", "path": "displayName"},
        {"op": "add", "path": "displayName", "value": "B"},
        {"op": "replace", "path": "displayName", "value": "C"},
    )
    assert one["displayName"] == "C"


@pytest.mark.req("REQ-S-349", "REQ-S-222")
async def test_v14_a_patch_without_operations(client: Client) -> None:
    created, team = await client.post("/Users", USER), await client.group()
    assert await patched(client, f"/Users/{created['id']}") == created
    assert await patched(client, f"/Groups/{team['id']}") == team


@pytest.mark.req("REQ-S-349", "REQ-S-280")
@pytest.mark.parametrize(("endpoint", "body"), [("/Users", USER), ("/Groups", {"displayName": "GHUIYTKKVLWD"})])
async def test_v15_v20_delete_once_twice_and_what_is_unknown(client: Client, endpoint: str, body: Any) -> None:
    path = f"{endpoint}/{(await client.post(endpoint, body))['id']}"
    await client.delete(path)
    await client.get(path, 404)
    await client.delete(path, 404)
    await client.delete(f"{endpoint}/4fd1c3a6-OLSHZZMNGEIX", 404)


# Groups


@pytest.mark.req("REQ-S-349", "REQ-S-100")
async def test_v16_create_a_group_and_a_duplicate(client: Client) -> None:
    body = {"schemas": [GROUP], "externalId": "8aa1a0c0-c4c3", "displayName": "GHUIYTKKVLWD"}
    created = await client.post("/Groups", body)
    assert (created["displayName"], created["externalId"]) == (body["displayName"], body["externalId"])
    await client.post("/Groups", body, 409)


@pytest.mark.req("REQ-S-349", "REQ-S-188", "REQ-S-159")
async def test_v17_get_a_group_by_id_and_by_name_without_its_members(client: Client) -> None:
    kim = await client.user()
    team = await client.group("GHUIYTKKVLWD", kim["id"])
    read = await client.get(f"/Groups/{team['id']}?excludedAttributes=members")
    assert read == {name: value for name, value in team.items() if name != "members"}
    for name in ("GHUIYTKKVLWD", "ghuiytkkvlwd"):
        assert await find(client, "/Groups", "displayName", name) == [read]
    assert await find(client, "/Groups", "displayName", "OLSHZZMNGEIX") == []


@pytest.mark.req("REQ-S-349", "REQ-S-247")
async def test_v18_replace_attributes_of_a_group(client: Client) -> None:
    path = f"/Groups/{(await client.group('GHUIYTKKVLWD'))['id']}"
    after = await patched(client, path, {"op": "replace", "value": {"displayName": "NTXEHLRTRTQG", "externalId": "e"}})
    assert (after["displayName"], after["externalId"]) == ("NTXEHLRTRTQG", "e")
    after = await patched(client, path, {"op": "replace", "path": "displayName", "value": "XVRMUPSMAUGM"})
    assert after["displayName"] == "XVRMUPSMAUGM"


@pytest.mark.req("REQ-S-349", "REQ-S-262", "REQ-S-264")
async def test_v19_add_and_remove_members(client: Client) -> None:
    kim, ann = (await client.user("kim"))["id"], (await client.user("ann"))["id"]
    team = await client.group("GHUIYTKKVLWD")
    path = f"/Groups/{team['id']}"

    def added(id_: str, op: str = "add") -> dict[str, Any]:
        return {"op": op, "path": "members", "value": [{"$ref": None, "value": id_}]}

    def removed(id_: str) -> dict[str, Any]:
        return {"op": "remove", "path": f'members[value eq "{id_}"]'}

    for operations, members in (
        ([added(kim, "replace")], {kim}),
        ([removed(kim)], set()),
        ([added(kim), added(ann), removed(kim)], {ann}),
        ([added(kim), removed(kim)], {ann}),
        ([added(kim, "replace")], {kim}),
    ):
        after = await patched(client, path, *operations)
        assert {member["value"] for member in after.get("members", [])} == members


@pytest.mark.req("REQ-S-349", "REQ-S-328")
async def test_v21_every_attribute_that_it_sends_is_in_the_schemas(client: Client) -> None:
    schemas = {schema["id"]: schema["attributes"] for schema in (await client.get("/Schemas"))["Resources"]}
    names = {urn: {attribute["name"] for attribute in attributes} for urn, attributes in schemas.items()}
    common = {*READ_ONLY, "externalId"}
    assert set(USER) - common - {ENTERPRISE} <= names[CORE]
    assert set(USER[ENTERPRISE]) <= names[ENTERPRISE]
    assert {"displayName", "members"} <= names[GROUP]
