"""Schemas and resource types that are added while the endpoint runs, used by SCIM requests at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.scim_client import CORE, ENTERPRISE, GROUP, Client, opened_endpoint

BADGE = "urn:example:schemas:extension:badge:1.0:User"
DEVICE = "urn:example:schemas:core:1.0:Device"
WARRANTY = "urn:example:schemas:extension:warranty:1.0:Device"

BADGE_SCHEMA: dict[str, Any] = {
    "id": BADGE,
    "name": "Badge",
    "attributes": [
        {"name": "number", "uniqueness": "server", "caseExact": True},
        {"name": "nick"},
        {"name": "isVip", "type": "boolean"},
        {"name": "weight", "type": "decimal"},
        {"name": "floor", "type": "integer"},
        {"name": "since", "type": "dateTime"},
        {"name": "photo", "type": "binary"},
        {"name": "page", "type": "reference", "referenceTypes": ["external"]},
        {"name": "tags", "multiValued": True},
        {
            "name": "desk",
            "type": "complex",
            "subAttributes": [{"name": "room", "required": True}, {"name": "seat", "type": "integer"}],
        },
        {
            "name": "cards",
            "type": "complex",
            "multiValued": True,
            "subAttributes": [
                {"name": "value"},
                {"name": "type", "canonicalValues": ["door", "car"]},
                {"name": "primary", "type": "boolean"},
            ],
        },
        {"name": "serial", "mutability": "immutable"},
        {"name": "level", "type": "integer", "mutability": "readOnly"},
        {"name": "pin", "mutability": "writeOnly", "returned": "never"},
        {"name": "notes", "returned": "request"},
        {"name": "label", "returned": "always"},
    ],
}
USER_TYPE: dict[str, Any] = {
    "name": "User",
    "endpoint": "/Users",
    "schema": CORE,
    "schemaExtensions": [{"schema": ENTERPRISE, "required": False}, {"schema": BADGE, "required": False}],
}
DEVICE_SCHEMA: dict[str, Any] = {
    "id": DEVICE,
    "name": "Device",
    "attributes": [
        {"name": "serialNumber", "required": True, "uniqueness": "server", "caseExact": True},
        {"name": "displayName"},
        {"name": "active", "type": "boolean"},
        {"name": "ram", "type": "integer"},
        {"name": "boughtAt", "type": "dateTime"},
        {"name": "model", "mutability": "immutable"},
        {"name": "owner", "type": "reference", "referenceTypes": ["User"]},
        {
            "name": "addresses",
            "type": "complex",
            "multiValued": True,
            "subAttributes": [{"name": "value", "uniqueness": "server"}, {"name": "type"}],
        },
    ],
}
WARRANTY_SCHEMA: dict[str, Any] = {
    "id": WARRANTY,
    "name": "Warranty",
    "attributes": [{"name": "until", "type": "dateTime", "required": True}, {"name": "contract"}],
}
DEVICE_TYPE: dict[str, Any] = {
    "name": "Device",
    "endpoint": "/Devices",
    "schema": DEVICE,
    "schemaExtensions": [{"schema": WARRANTY, "required": False}],
}
SCHEMAS = "/connections/default/schemas"
TYPES = "/connections/default/resource-types"


async def define(client: Client, path: str, document: dict[str, Any], **changes: Any) -> None:
    made = {**document, **changes}
    assert await client.admin("POST", path, made, 201) == made


@pytest.fixture
async def badges(client: Client) -> Client:
    """Users can have a badge. The client has spoken to the endpoint before, and nothing was restarted."""
    await client.get("/Users")
    await define(client, SCHEMAS, BADGE_SCHEMA)
    await define(client, TYPES, USER_TYPE)
    return client


@pytest.fixture
async def devices(client: Client) -> Client:
    """There are devices. The client has spoken to the endpoint before, and nothing was restarted."""
    await client.get("/Devices", 404)
    for schema in (DEVICE_SCHEMA, WARRANTY_SCHEMA):
        await define(client, SCHEMAS, schema)
    await define(client, TYPES, DEVICE_TYPE)
    return client


def changed(document: dict[str, Any], name: str, /, **characteristics: Any) -> list[dict[str, Any]]:
    """The attributes of a schema, one of them changed."""
    return [
        {**attribute, **characteristics} if attribute["name"] == name else attribute
        for attribute in document["attributes"]
    ]


# A custom extension of users

FULL: dict[str, Any] = {
    "number": "N-1",
    "nick": "Kit",
    "isVip": True,
    "weight": 1.5,
    "floor": 3,
    "since": "2024-05-06T07:08:09Z",
    "photo": "aGVsbG8=",
    "page": "https://kim.example/",
    "tags": ["red", "blue"],
    "desk": {"room": "2.11", "seat": 4},
    "cards": [{"value": "c1", "type": "door", "primary": True}, {"value": "c2", "type": "car"}],
    "serial": "S1",
    "label": "Ms K",
}


@pytest.mark.req("REQ-S-033")
async def test_an_extension_holds_every_kind_of_attribute(badges: Client) -> None:
    made = await badges.user("kim", **{BADGE: FULL})
    assert made[BADGE] == FULL
    assert made["schemas"] == [CORE, BADGE]
    assert (await badges.get(f"/Users/{made['id']}"))[BADGE] == FULL
    assert BADGE in {schema["id"] for schema in (await badges.get("/Schemas"))["Resources"]}
    attributes = {each["name"]: each for each in (await badges.get(f"/Schemas/{BADGE}"))["attributes"]}
    assert attributes["number"]["uniqueness"] == "server"
    assert attributes["serial"]["mutability"] == "immutable"
    shown = (await badges.get("/ResourceTypes/User"))["schemaExtensions"]
    assert [each["schema"] for each in shown] == [ENTERPRISE, BADGE]


@pytest.mark.req("REQ-S-033")
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"isVip": "perhaps"}, "isVip"),
        ({"weight": "heavy"}, "weight"),
        ({"floor": 1.5}, "floor"),
        ({"since": "yesterday"}, "since"),
        ({"photo": "not base64!"}, "photo"),
        ({"desk": {"seat": 4}}, "room"),
        ({"cards": [{"value": "a", "primary": True}, {"value": "b", "primary": True}]}, "cards"),
        ({"tags": [{"value": "x"}]}, "tags"),
    ],
)
async def test_a_value_of_the_wrong_kind_is_refused_and_named(badges: Client, wrong: Any, named: str) -> None:
    refusal = await badges.post("/Users", {"userName": "kim", BADGE: wrong}, 400)
    assert refusal["scimType"] == "invalidValue"
    assert named in refusal["detail"]


@pytest.mark.req("REQ-S-033")
@pytest.mark.parametrize(
    "query",
    [
        f'{BADGE}:number eq "N-1"',
        f'{BADGE}:nick eq "KIT"',
        f"{BADGE}:isVip eq true",
        f"{BADGE}:weight gt 1.2",
        f"{BADGE}:floor le 3",
        f'{BADGE}:since gt "2024-05-06T09:00:00+02:00"',
        f'{BADGE}:page co "kim"',
        f'{BADGE}:tags eq "Blue"',
        f'{BADGE}:desk.room sw "2."',
        f'{BADGE}:cards[type eq "car" and value eq "c2"]',
        f'{BADGE}:cards.value eq "c1"',
        f"{BADGE}:serial pr",
        'nick eq "kit"',
        f'not ({BADGE}:number eq "n-1")',
    ],
)
async def test_users_are_found_by_what_an_extension_says(badges: Client, query: str) -> None:
    kim = await badges.user("kim", **{BADGE: FULL})
    if not query.startswith("not"):
        await badges.user("lea")
    listed = await badges.get("/Users", params={"filter": query})
    assert [each["id"] for each in listed["Resources"]] == [kim["id"]]


@pytest.mark.req("REQ-S-033")
@pytest.mark.parametrize("attribute", ["number", "weight", "floor", "since", "desk.seat", "tags", "cards"])
async def test_users_are_sorted_by_what_an_extension_says(badges: Client, attribute: str) -> None:
    low = {"number": "A", "weight": 9.5, "floor": 9, "since": "2024-01-01T00:00:00Z", "tags": ["a"]}
    low.update(desk={"room": "x", "seat": 9}, cards=[{"value": "z"}, {"value": "a", "primary": True}])
    high = {"number": "B", "weight": 10.0, "floor": 10, "since": "2024-01-01T00:00:00.5Z", "tags": ["b"]}
    high.update(desk={"room": "x", "seat": 10}, cards=[{"value": "b"}])
    for name, badge in (("high", high), ("none", {}), ("low", low)):
        await badges.user(name, **{BADGE: badge})
    for order, expected in (("ascending", ["low", "high", "none"]), ("descending", ["none", "high", "low"])):
        listed = await badges.get("/Users", params={"sortBy": f"{BADGE}:{attribute}", "sortOrder": order})
        assert [each["userName"] for each in listed["Resources"]] == expected


@pytest.mark.req("REQ-S-033")
async def test_an_extension_is_patched_by_path_and_without(badges: Client) -> None:
    path = f"/Users/{(await badges.user('kim', **{BADGE: FULL}))['id']}"
    answer = await badges.patch(
        path,
        {"op": "replace", "path": f"{BADGE}:nick", "value": "K"},
        {"op": "replace", "path": f'{BADGE}:cards[type eq "car"].value', "value": "c9"},
        {"op": "add", "path": f"{BADGE}:tags", "value": ["green"]},
        {"op": "add", "path": f"{BADGE}:desk.seat", "value": 5},
        {"op": "remove", "path": f"{BADGE}:weight"},
        {"op": "replace", "value": {f"{BADGE}:floor": 7, BADGE: {"isVip": False}}},
    )
    expected = {**FULL, "nick": "K", "tags": ["red", "blue", "green"], "desk": {"room": "2.11", "seat": 5}}
    expected.update(floor=7, isVip=False, cards=[FULL["cards"][0], {"value": "c9", "type": "car"}])
    del expected["weight"]
    assert answer[BADGE] == expected
    removed = await badges.patch(path, {"op": "remove", "path": f"{BADGE}:desk.room"}, status=400)
    assert "desk.room" in removed["detail"]
    [_, event] = await badges.events()
    assert event["attributes"] == [BADGE]
    assert event["data"][BADGE] == expected


@pytest.mark.req("REQ-S-033", "REQ-S-206")
async def test_an_immutable_attribute_keeps_its_first_value(badges: Client) -> None:
    kim = await badges.user("kim", **{BADGE: {"nick": "K"}})
    path = f"/Users/{kim['id']}"
    set_once = {"op": "add", "path": f"{BADGE}:serial", "value": "S1"}
    assert (await badges.patch(path, set_once))[BADGE]["serial"] == "S1"
    await badges.patch(path, set_once)
    for change in (
        {"op": "replace", "path": f"{BADGE}:serial", "value": "S2"},
        {"op": "remove", "path": f"{BADGE}:serial"},
    ):
        assert (await badges.patch(path, change, status=400))["scimType"] == "mutability"
    refusal = await badges.put(path, {"userName": "kim", BADGE: {"serial": "S2"}}, 400)
    assert refusal["scimType"] == "mutability"
    assert (await badges.put(path, {"userName": "kim", BADGE: {"serial": "S1"}}))[BADGE] == {"serial": "S1"}
    assert (await badges.put(path, {"userName": "kim"}))[BADGE] == {"serial": "S1"}


@pytest.mark.req("REQ-S-033")
async def test_read_only_and_write_only_attributes(badges: Client) -> None:
    kim = await badges.user("kim", **{BADGE: {"level": 9, "pin": "1234", "nick": "K"}})
    assert kim[BADGE] == {"nick": "K"}
    path = f"/Users/{kim['id']}"
    refusal = await badges.patch(path, {"op": "replace", "path": f"{BADGE}:level", "value": 1}, status=400)
    assert refusal["scimType"] == "mutability"
    for query in (f"attributes={BADGE}:pin", f"attributes={BADGE}"):
        assert "pin" not in (await badges.get(f"{path}?{query}")).get(BADGE, {})
    refusal = await badges.get("/Users", 400, params={"filter": f'{BADGE}:pin eq "1234"'})
    assert refusal["scimType"] == "invalidFilter"
    assert "1234" not in str(await badges.rows("SELECT body, search FROM resource")) + str(await badges.events())


@pytest.mark.req("REQ-S-031", "REQ-S-032", "REQ-S-033")
async def test_what_is_returned_on_request_is_shown_when_asked_for_or_just_set(badges: Client) -> None:
    kim = await badges.user("kim", **{BADGE: {"notes": "N", "label": "L"}})
    assert kim[BADGE] == {"notes": "N", "label": "L"}
    path = f"/Users/{kim['id']}"
    assert (await badges.get(path))[BADGE] == {"label": "L"}
    assert (await badges.get("/Users"))["Resources"][0][BADGE] == {"label": "L"}
    assert (await badges.get(f"{path}?attributes={BADGE}:notes"))[BADGE] == {"notes": "N", "label": "L"}
    assert (await badges.get(f"{path}?attributes=userName"))[BADGE] == {"label": "L"}
    assert (await badges.get(f"{path}?excludedAttributes={BADGE}:label"))[BADGE] == {"label": "L"}
    shown = await badges.patch(path, {"op": "replace", "path": f"{BADGE}:notes", "value": "M"})
    assert shown[BADGE] == {"notes": "M", "label": "L"}
    assert (await badges.patch(path, {"op": "replace", "path": "title", "value": "T"}))[BADGE] == {"label": "L"}
    put = await badges.put(path, {"userName": "kim", BADGE: {"notes": "P", "label": "L"}})
    assert put[BADGE] == {"notes": "P", "label": "L"}


@pytest.mark.req("REQ-S-033")
async def test_a_unique_attribute_of_an_extension_is_unique(badges: Client) -> None:
    kim = await badges.user("kim", **{BADGE: {"number": "N-1"}})
    lea = await badges.user("lea", **{BADGE: {"number": "n-1"}})
    refusal = await badges.post("/Users", {"userName": "mia", BADGE: {"number": "N-1"}}, 409)
    assert refusal["scimType"] == "uniqueness"
    assert f"{BADGE}:number" in refusal["detail"]
    take = {"op": "replace", "path": f"{BADGE}:number", "value": "N-1"}
    assert (await badges.patch(f"/Users/{lea['id']}", take, status=409))["scimType"] == "uniqueness"
    await badges.patch(f"/Users/{kim['id']}", {"op": "replace", "path": f"{BADGE}:number", "value": "N-2"})
    await badges.patch(f"/Users/{lea['id']}", take)
    await badges.delete(f"/Users/{kim['id']}")
    await badges.user("mia", **{BADGE: {"number": "N-2"}})


@pytest.mark.req("REQ-S-034")
async def test_a_required_extension_must_be_there(badges: Client) -> None:
    await define(
        badges, TYPES, USER_TYPE, schemaExtensions=[{"schema": BADGE, "required": True}, {"schema": ENTERPRISE}]
    )
    refusal = await badges.post("/Users", {"userName": "kim"}, 400)
    assert refusal["scimType"] == "invalidValue"
    assert BADGE in refusal["detail"]
    kim = await badges.user("kim", **{BADGE: {"nick": "K"}})
    remove = await badges.patch(f"/Users/{kim['id']}", {"op": "remove", "path": BADGE}, status=400)
    assert BADGE in remove["detail"]
    await badges.put(f"/Users/{kim['id']}", {"userName": "kim"}, 400)


@pytest.mark.req("REQ-S-033")
async def test_a_required_attribute_of_an_extension_must_be_there_with_it(badges: Client) -> None:
    required = changed(BADGE_SCHEMA, "number", required=True)
    await define(badges, SCHEMAS, BADGE_SCHEMA, attributes=required)
    await badges.user("lea")
    assert "number" in (await badges.post("/Users", {"userName": "kim", BADGE: {"nick": "K"}}, 400))["detail"]


# A resource type of its own


@pytest.mark.req("REQ-S-033")
async def test_resources_of_a_custom_type_live_like_any_others(devices: Client) -> None:
    body = {"schemas": [DEVICE, WARRANTY], "serialNumber": "A1", "displayName": "Laptop", "ram": 16, "active": True}
    body.update(boughtAt="2024-05-06T00:00:00Z", model="M", addresses=[{"value": "02:00", "type": "mac"}])
    body[WARRANTY] = {"until": "2026-01-01T00:00:00Z", "contract": "C"}
    made = await devices.post("/Devices", {**body, "externalId": "x"})
    path = f"/Devices/{made['id']}"
    assert made["meta"]["resourceType"] == "Device"
    assert made["meta"]["location"] == f"https://app.example/scim{path}"
    assert {name: made[name] for name in body} == body
    assert await devices.get(path) == made
    patched = await devices.patch(
        path,
        {"op": "replace", "path": "ram", "value": 32},
        {"op": "add", "path": f"{WARRANTY}:contract", "value": "D"},
        {"op": "remove", "path": 'addresses[type eq "mac"]'},
    )
    assert (patched["ram"], patched[WARRANTY]["contract"], patched["meta"]["version"]) == (32, "D", 'W/"2"')
    assert "addresses" not in patched
    put = await devices.put(path, {"serialNumber": "A1", "displayName": "Old laptop"})
    assert (put["displayName"], put["model"], "ram" in put) == ("Old laptop", "M", False)
    await devices.put(path, {"serialNumber": "A1", "model": "N"}, 400)
    await devices.get(path, 304, headers={"If-None-Match": put["meta"]["version"]})
    await devices.delete(path)
    await devices.get(path, 404)
    verbs = [(event["verb"], event["resourceType"]) for event in await devices.events()]
    assert verbs == [("create", "Device"), ("update", "Device"), ("update", "Device"), ("delete", "Device")]


@pytest.mark.req("REQ-S-033")
async def test_resources_of_a_custom_type_are_found_sorted_and_counted(devices: Client) -> None:
    for number, ram in (("A1", 8), ("B2", 16), ("a1", 4)):
        await devices.post(
            "/Devices", {"serialNumber": number, "ram": ram, "displayName": f"D{ram}", "active": ram > 4}
        )

    async def found(query: str) -> list[str]:
        return [each["serialNumber"] for each in (await devices.get(f"/Devices?{query}"))["Resources"]]

    assert await found('filter=serialNumber eq "A1"') == ["A1"]
    assert await found('filter=displayName eq "d8"') == ["A1"]
    assert await found("filter=active eq false") == ["a1"]
    assert await found("filter=ram ge 8 and ram lt 16") == ["A1"]
    assert await found("sortBy=ram") == ["a1", "A1", "B2"]
    assert await found("sortBy=displayName&sortOrder=descending") == ["A1", "a1", "B2"]
    assert await found("count=1&startIndex=2") == ["B2"]
    page = await devices.get("/Devices?count=2&cursor")
    assert len(page["Resources"]) == 2
    assert [
        each["serialNumber"]
        for each in (await devices.get(f"/Devices?count=2&cursor={page['nextCursor']}"))["Resources"]
    ] == ["a1"]
    search = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "ram gt 4",
        "attributes": ["ram"],
    }
    answer = await devices.post("/Devices/.search", search, 200)
    assert [sorted(each) for each in answer["Resources"]] == [["id", "ram", "schemas"]] * 2
    await devices.user("kim")
    everything = await devices.get('/?filter=displayName pr or userName eq "kim"')
    assert everything["totalResults"] == 4


@pytest.mark.req("REQ-S-033")
async def test_custom_resources_take_part_in_bulk_requests(devices: Client) -> None:
    old = await devices.post("/Devices", {"serialNumber": "old"})
    answer = await devices.post(
        "/Bulk",
        {
            "Operations": [
                {"method": "POST", "path": "/Devices", "bulkId": "d", "data": {"serialNumber": "new"}},
                {
                    "method": "PATCH",
                    "path": f"/Devices/{old['id']}",
                    "data": {"Operations": [{"op": "add", "value": {"ram": 1}}]},
                },
                {"method": "DELETE", "path": f"/Devices/{old['id']}"},
                {"method": "POST", "path": "/Devices", "bulkId": "e", "data": {"serialNumber": "new"}},
            ]
        },
        200,
    )
    assert [each["status"] for each in answer["Operations"]] == ["201", "200", "204", "409"]
    assert [each["serialNumber"] for each in (await devices.get("/Devices"))["Resources"]] == ["new"]


@pytest.mark.req("REQ-S-033")
async def test_unique_values_of_a_custom_type_are_unique_in_it(devices: Client) -> None:
    one = await devices.post("/Devices", {"serialNumber": "A1", "addresses": [{"value": "x"}, {"value": "X"}]})
    refusal = await devices.post("/Devices", {"serialNumber": "A1"}, 409)
    assert (refusal["scimType"], "serialNumber" in refusal["detail"]) == ("uniqueness", True)
    refusal = await devices.post("/Devices", {"serialNumber": "A2", "addresses": [{"value": "X"}]}, 409)
    assert "addresses.value" in refusal["detail"]
    await devices.patch(f"/Devices/{one['id']}", {"op": "remove", "path": "addresses"})
    await devices.post("/Devices", {"serialNumber": "A2", "addresses": [{"value": "X"}]})


@pytest.mark.req("REQ-S-033")
async def test_a_custom_type_describes_itself(devices: Client) -> None:
    types = {each["name"]: each for each in (await devices.get("/ResourceTypes"))["Resources"]}
    assert types["Device"]["endpoint"] == "/Devices"
    assert types["Device"]["schemaExtensions"] == [{"schema": WARRANTY, "required": False}]
    for urn in (DEVICE, WARRANTY):
        assert (await devices.get(f"/Schemas/{urn}"))["id"] == urn
    assert len((await devices.admin("GET", SCHEMAS))["value"]) == 2
    assert (await devices.admin("GET", TYPES))["value"] == [DEVICE_TYPE]


@pytest.mark.req("REQ-S-068")
async def test_definitions_belong_to_one_connection(devices: Client) -> None:
    token, _ = await devices.side.tokens.create("other")
    other = {"Authorization": f"Bearer {token}"}
    await devices.get("/Devices", 404, headers=other)
    await devices.get(f"/Schemas/{DEVICE}", 404, headers=other)


# Changing and removing


async def test_a_definition_is_removed_at_once_when_nothing_needs_it(devices: Client) -> None:
    assert "no schema" in (await devices.admin("DELETE", f"{SCHEMAS}/{DEVICE}", status=400))["error"]
    await devices.admin("DELETE", f"{TYPES}/DEVICE", status=204)
    await devices.get("/Devices", 404)
    for urn in (DEVICE, WARRANTY.upper()):
        await devices.admin("DELETE", f"{SCHEMAS}/{urn}", status=204)
    await devices.get(f"/Schemas/{DEVICE}", 404)
    await devices.admin("DELETE", f"{TYPES}/Device", status=404)
    await devices.admin("DELETE", f"{SCHEMAS}/{CORE}", status=404)
    await devices.admin("DELETE", "/connections/nobody/schemas/x", status=404)


async def test_a_type_stays_while_there_are_resources_of_it(devices: Client) -> None:
    made = await devices.post("/Devices", {"serialNumber": "A1"})
    refusal = await devices.admin("DELETE", f"{TYPES}/Device", status=400)
    assert refusal["error"] == "there are still resources of the type 'Device': it cannot be removed"
    await devices.delete(f"/Devices/{made['id']}")
    await devices.admin("DELETE", f"{TYPES}/Device", status=204)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({**DEVICE_SCHEMA, "attributes": DEVICE_SCHEMA["attributes"][:3]}, "ram' cannot be removed"),
        ({**DEVICE_SCHEMA, "attributes": changed(DEVICE_SCHEMA, "ram", type="string")}, "the type of"),
        ({**DEVICE_SCHEMA, "attributes": changed(DEVICE_SCHEMA, "ram", multiValued=True)}, "the multiValued of"),
        ({**DEVICE_SCHEMA, "attributes": changed(DEVICE_SCHEMA, "displayName", caseExact=True)}, "the caseExact of"),
        ({**DEVICE_SCHEMA, "attributes": changed(DEVICE_SCHEMA, "ram", uniqueness="server")}, "the uniqueness of"),
        ({**DEVICE_SCHEMA, "attributes": changed(DEVICE_SCHEMA, "ram", returned="never")}, "ram' cannot be hidden"),
        ({**DEVICE_SCHEMA, "attributes": changed(DEVICE_SCHEMA, "ram", name="RAM")}, "the name of"),
        (
            {**DEVICE_SCHEMA, "attributes": changed(DEVICE_SCHEMA, "addresses", subAttributes=[{"name": "type"}])},
            "addresses.value' cannot be removed",
        ),
        ({**DEVICE_TYPE, "schemaExtensions": []}, f"the extension '{WARRANTY}' cannot be removed"),
        ({**DEVICE_TYPE, "schema": WARRANTY, "schemaExtensions": []}, f"its schema stays '{DEVICE}'"),
        ({**DEVICE_TYPE, "name": "device"}, "it cannot be removed"),
    ],
)
async def test_what_resources_hold_is_not_redefined(devices: Client, document: dict[str, Any], named: str) -> None:
    made = await devices.post("/Devices", {"serialNumber": "A1", "ram": 8, "addresses": [{"value": "x"}]})
    path = TYPES if "endpoint" in document else SCHEMAS
    refusal = await devices.admin("POST", path, document, 400)
    assert refusal["error"].startswith("there are still resources of the type 'Device'")
    assert named in refusal["error"]
    await devices.delete(f"/Devices/{made['id']}")
    await devices.admin("POST", path, document, 201)
    await devices.get("/ResourceTypes")


async def test_attributes_can_be_added_while_there_are_resources(devices: Client) -> None:
    made = await devices.post("/Devices", {"serialNumber": "A1"})
    more = [*DEVICE_SCHEMA["attributes"], {"name": "color", "uniqueness": "server"}]
    await define(devices, SCHEMAS, DEVICE_SCHEMA, attributes=more)
    await define(devices, TYPES, DEVICE_TYPE, endpoint="/Machines")
    patched = await devices.patch(f"/Machines/{made['id']}", {"op": "add", "path": "color", "value": "red"})
    assert patched["color"] == "red"
    await devices.post("/Machines", {"serialNumber": "A2", "color": "RED"}, 409)
    await devices.get("/Devices", 404)


async def test_a_definition_of_the_same_id_takes_the_place_of_the_one_before(devices: Client) -> None:
    await define(devices, TYPES, DEVICE_TYPE, name="DEVICE", endpoint="/Things")
    await devices.post("/Things", {"serialNumber": "A1"})
    assert [each["name"] for each in (await devices.admin("GET", TYPES))["value"]] == ["DEVICE"]


async def test_definitions_in_parallel_fit_together_in_the_end(devices: Client) -> None:
    async def post(number: int) -> int:
        document = {**DEVICE_TYPE, "name": f"Type{number}", "endpoint": "/Things"}
        headers = {"Authorization": "Bearer administrator"}
        url = f"https://app.example/app/api{TYPES}"
        return (await devices.http.post(url, json=document, headers=headers)).status_code

    assert sorted(await asyncio.gather(*(post(number) for number in range(4)))) == [201, 400, 400, 400]
    await devices.get("/Things")


@pytest.mark.parametrize(
    ("path", "document", "named"),
    [
        (SCHEMAS, {}, "needs 'id'"),
        (SCHEMAS, {"id": "Device"}, "is not a URN"),
        (SCHEMAS, {"id": DEVICE}, "attributes: must be a list"),
        (SCHEMAS, {**DEVICE_SCHEMA, "id": CORE}, "cannot be replaced"),
        (SCHEMAS, {"id": DEVICE, "attributes": [{"name": "a", "type": "text"}]}, "attributes[0].type"),
        (SCHEMAS, {"id": DEVICE, "attributes": [{"name": "a"}, {"name": "A"}]}, "attributes[1].name"),
        (SCHEMAS, {"id": DEVICE, "attributes": [{"name": "members", "multiValued": True}]}, "attributes[0].name"),
        (SCHEMAS, {"id": DEVICE, "attributes": [{"name": "active"}]}, "'active' is one boolean"),
        (SCHEMAS, {"id": DEVICE, "attributes": [{"name": "displayName", "multiValued": True}]}, "is one string"),
        (SCHEMAS, {"id": DEVICE, "attributes": [{"name": "a", "description": "\x00"}]}, "NUL"),
        (
            SCHEMAS,
            {
                "id": DEVICE,
                "attributes": [
                    {"name": "a", "type": "complex", "subAttributes": [{"name": "b", "returned": "request"}]}
                ],
            },
            "attributes[0].subAttributes[0].returned",
        ),
        (TYPES, {}, "needs 'name'"),
        (TYPES, {"name": "Device", "endpoint": "/Devices", "schema": DEVICE}, "there is no schema"),
        (TYPES, {"name": "Device", "endpoint": "/Users", "schema": CORE}, "endpoint '/Users' is taken"),
        (TYPES, {"name": "Device", "endpoint": "/bulk", "schema": CORE}, "endpoint '/bulk' is taken"),
        (TYPES, {"name": "Team", "endpoint": "/Teams", "schema": GROUP}, "only groups have members"),
        (TYPES, {"name": "User", "endpoint": "/People", "schema": CORE}, "keeps its endpoint"),
        (TYPES, {"name": "user", "endpoint": "/People", "schema": CORE}, "the same name"),
    ],
)
async def test_a_document_that_cannot_be_is_refused_with_its_place(
    tmp_path: Path, path: str, document: dict[str, Any], named: str
) -> None:
    async with opened_endpoint(tmp_path / "application.db") as client:
        assert named in (await client.admin("POST", path, document, 400))["error"]
        assert (await client.get("/ResourceTypes"))["totalResults"] == 2


async def test_definitions_are_compiled_once_for_all_tokens(devices: Client) -> None:
    token, _ = await devices.side.tokens.create()
    found = [
        await devices.side.tokens.authenticate(f"Bearer {text}".encode())
        for text in (token, devices.http.headers["authorization"][7:])
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].connection.registry is found[1].connection.registry
