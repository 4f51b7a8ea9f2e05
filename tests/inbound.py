"""What tests of inbound jobs share: people as a system of record sends them, and the job that takes them."""

from typing import Any

import orjson

from joiner.directory import users
from joiner.directory.model import User
from joiner.provisioning.inbound.messages import BULK_REQUEST
from tests.world import World

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
API_DRIVEN = "API-driven provisioning to Microsoft Entra ID"
SCIM_SOURCE = "Inbound provisioning from a SCIM source"


def person(number: str, name: str, *, active: bool | str | None = True, manager: str | None = None, **more: Any) -> Any:
    """`name` such as `Ada Berg`; members of the enterprise extension are given in `enterprise`."""
    given, _, family = name.partition(" ")
    enterprise = dict(more.pop("enterprise", {}))
    if manager is not None:
        enterprise["manager"] = {"value": manager}
    data = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "externalId": number,
        "userName": f"{given.lower()}@fjord.example",
        "displayName": name,
        "name": {"givenName": given, "familyName": family},
        "active": active,
        ENTERPRISE: enterprise,
        **more,
    }
    return {key: value for key, value in data.items() if value is not None}


def bulk(*people: Any, **more: Any) -> dict[str, Any]:
    operations = [
        {"method": "POST", "bulkId": f"b{number}", "path": "/Users", "data": data} for number, data in enumerate(people)
    ]
    return {"schemas": [BULK_REQUEST], "Operations": operations, "failOnErrors": None, **more}


async def upload(world: World, *people: Any) -> None:
    """Uploads these as one request."""
    await world.side.inbound.upload(world.job(), orjson.dumps(bulk(*people)))


async def send(world: World, *people: Any) -> dict[str, str]:
    """Uploads these and runs a cycle; what became of them, by name."""
    await upload(world, *people)
    return await world.run()


def held(world: World, name: str) -> User:
    """The user `name@fjord.example`."""
    return users.user_by_id(world.db.reader, f"{name}@fjord.example")
