"""Whom an object is matched with: by which attributes in which order, and every way in which that fails (provisioning
service §7)."""

from typing import Any

import orjson
import pytest

from tests.mappings import add_mappings, mapping
from tests.world import World, code_of


async def match_by(world: World, *matched: tuple[str, str]) -> None:
    """Users are matched by these target attributes, each with its expression, in this order; by no others."""

    def change(document: dict[str, Any]) -> None:
        for flow in document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]:
            flow["matchingPriority"] = 0
        numbered = enumerate(matched, 1)
        add_mappings(document, *(mapping(name, text, matchingPriority=place) for place, (name, text) in numbered))

    await world.set_schema(change)


def searched(world: World) -> list[str]:
    """The matching attributes that users were searched by, in order, without the test of the connection."""
    filters = [asked.path.partition("filter=")[2] for asked in world.asked if asked.path.startswith("/Users?filter=")]
    return [each.partition(" ")[0] for each in filters[1:]]


def details(world: World, name: str) -> list[dict[str, str]]:
    """Of the steps that told what was searched by and found."""
    return [
        step["details"] for step in world.entries()[name]["provisioningSteps"] if step["description"].startswith("Sear")
    ]


@pytest.mark.req("REQ-P-063", "REQ-P-067")
async def test_the_first_attribute_that_finds_one_ends_the_search(world: World) -> None:
    by_number = await world.application_add(userName="old.name@fjord.example", externalId="7")
    by_name = await world.application_add(userName="ada@fjord.example")
    await match_by(world, ("externalId", "[employeeId]"), ("userName", "[userPrincipalName]"))
    await world.configure(Prefetch="off")
    await world.assign(await world.add_user("ada", employeeId="7"))
    # The name that the account would get is another one's.
    assert await world.run() == {"ada": "update failure"}
    assert code_of(world.entries()["ada"]) == "Conflict"
    assert searched(world) == ["externalId"]
    assert details(world, "ada") == [{"externalId": "7", "id": by_number}]
    assert (await world.accounts())["ada"]["id"] == by_name


@pytest.mark.req("REQ-P-064")
async def test_who_is_found_twice_is_not_searched_for_by_the_next_attribute_and_the_log_names_both(
    world: World,
) -> None:
    await match_by(world, ("externalId", "[employeeId]"), ("userName", "[userPrincipalName]"))
    await world.configure(Prefetch="off")
    found = [await world.application_add(userName=f"x{n}@fjord.example", externalId="7") for n in range(2)]
    await world.application_add(userName="ada@fjord.example")
    await world.assign(await world.add_user("ada", employeeId="7"))
    assert await world.run() == {"ada": "other failure"}
    assert searched(world) == ["externalId"]
    assert world.sent == []
    [step] = details(world, "ada")
    assert set(step["id"].split(", ")) == set(found)
    error = world.entries()["ada"]["provisioningStatusInfo"]["errorInformation"]
    assert error["errorCode"] == "DuplicateTargetEntries"
    assert all(id_ in error["reason"] for id_ in found)


@pytest.mark.req("REQ-P-065")
async def test_the_second_who_finds_the_same_account_fails_and_the_first_keeps_it(world: World) -> None:
    await match_by(world, ("externalId", "[employeeId]"))
    ada = await world.add_user("ada", employeeId="7")
    await world.assign(ada)
    await world.run()
    before = await world.accounts()
    await world.assign(await world.add_user("bea", employeeId="7"))
    assert await world.run() == {"bea": "other failure"}
    error = world.entries()["bea"]["provisioningStatusInfo"]["errorInformation"]
    assert (error["errorCode"], ada in error["reason"]) == ("DuplicateSourceEntries", True)
    assert await world.accounts() == before


@pytest.mark.req("REQ-P-066")
async def test_who_has_no_matching_value_is_skipped_and_the_application_is_asked_nothing(world: World) -> None:
    await match_by(world, ("externalId", "[employeeId]"))
    await world.configure(Prefetch="off")
    await world.assign(await world.add_user("ada"))
    assert await world.run() == {"ada": "other skipped"}
    assert code_of(world.entries()["ada"]) == "ImportSkipped"
    assert searched(world) == []
    assert world.sent == []


async def test_a_matching_value_that_is_to_be_hidden_is_not_in_the_log(world: World) -> None:
    await match_by(world, ("externalId", "Redact([employeeId])"))
    for number in range(2):
        await world.application_add(userName=f"x{number}@fjord.example", externalId="s3cret")
    await world.assign(await world.add_user("ada", employeeId="s3cret"))
    assert await world.run() == {"ada": "other failure"}
    assert b"s3cret" not in orjson.dumps(world.entries())
    assert details(world, "ada")[0]["externalId"] == "[Redact]"
