"""Schemas and resource types that are added at run time, and what they must not do to what is stored."""

from typing import Any

import pytest

from joiner.errors import InvalidValueError
from tests.scim_client import Client

BADGE = "urn:example:schemas:extension:1.0:Badge"
DEVICE = "urn:example:schemas:1.0:Device"


def badge(**number: Any) -> dict[str, Any]:
    return {"id": BADGE, "attributes": [{"name": "number", "uniqueness": "server", **number}]}


async def define_badges(client: Client, **number: Any) -> None:
    await client.side.connections.define("default", "Schema", badge(**number))
    user = await client.get("/ResourceTypes/User")
    user["schemaExtensions"].append({"schema": BADGE, "required": False})
    await client.side.connections.define("default", "ResourceType", user)


@pytest.mark.req("REQ-S-033", "REQ-S-082")
async def test_what_an_extension_says_is_unique_is_unique_whatever_its_case(client: Client) -> None:
    await define_badges(client)
    kim = await client.user("kim", **{BADGE: {"number": "A-1"}})
    assert kim[BADGE] == {"number": "A-1"}
    error = await client.post("/Users", {"userName": "lee", BADGE: {"number": "a-1"}}, 409)
    assert (error["scimType"], BADGE in error["detail"]) == ("uniqueness", True)
    lee = await client.user("lee", **{BADGE: {"number": "A-2"}})
    change = {"op": "replace", "path": f"{BADGE}:number", "value": "A-1"}
    await client.patch(f"/Users/{lee['id']}", change, status=409)
    await client.delete(f"/Users/{kim['id']}")
    assert (await client.patch(f"/Users/{lee['id']}", change))[BADGE] == {"number": "A-1"}
    found = await client.get("/Users", params={"filter": f'{BADGE}:number eq "A-1"'})
    assert [user["userName"] for user in found["Resources"]] == ["lee"]


@pytest.mark.req("REQ-S-033")
async def test_a_schema_in_use_can_grow_but_not_change_its_meaning(client: Client) -> None:
    await define_badges(client)
    # Nobody has a badge yet, but there could be users by now who are found by what they do not have.
    await client.side.connections.define("default", "Schema", badge(caseExact=True))
    await client.user("kim", **{BADGE: {"number": "A-1"}})
    for change in ({"type": "integer"}, {"multiValued": True}, {"caseExact": False}, {"uniqueness": "none"}):
        with pytest.raises(InvalidValueError, match="number"):
            await client.side.connections.define("default", "Schema", badge(**{"caseExact": True, **change}))
    grown = badge(caseExact=True, description="On the door")
    grown["attributes"].append({"name": "colour"})
    await client.side.connections.define("default", "Schema", grown)
    assert (await client.user("lee", **{BADGE: {"colour": "red"}}))[BADGE] == {"colour": "red"}


@pytest.mark.req("REQ-S-033", "REQ-S-322")
async def test_a_new_resource_type_is_there_at_once_and_for_this_connection_only(client: Client) -> None:
    schema = {
        "id": DEVICE,
        "attributes": [
            {"name": "serial", "required": True, "uniqueness": "server"},
            {"name": "ports", "type": "integer"},
        ],
    }
    await client.get("/Devices", 404)
    await client.side.connections.define("default", "Schema", schema)
    await client.side.connections.define(
        "default", "ResourceType", {"name": "Device", "endpoint": "/Devices", "schema": DEVICE}
    )
    made = await client.post("/Devices", {"serial": "S-1", "ports": 8})
    assert (made["schemas"], made["meta"]["resourceType"]) == ([DEVICE], "Device")
    await client.post("/Devices", {"serial": "s-1"}, 409)
    await client.post("/Devices", {"ports": 1}, 400)
    more = await client.patch(f"/Devices/{made['id']}", {"op": "replace", "path": "ports", "value": "16"})
    assert more["ports"] == 16
    found = await client.get("/Devices?filter=ports gt 10&sortBy=ports")
    assert found["totalResults"] == 1
    everything = await client.get("/")
    assert [each["meta"]["resourceType"] for each in everything["Resources"]] == ["Device"]
    other, _ = await client.side.tokens.create("other")
    await client.get("/Devices", 404, headers={"Authorization": f"Bearer {other}"})
    with pytest.raises(InvalidValueError, match="still resources"):
        await client.side.connections.undefine("default", "ResourceType", "Device")
    await client.delete(f"/Devices/{made['id']}")
    await client.side.connections.undefine("default", "ResourceType", "Device")
    await client.get("/Devices", 404)
