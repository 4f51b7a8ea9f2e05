"""Explanations: the first line says why, the rest says what it rests on, and nothing is written for it."""

from typing import Any

import pytest

from joiner.errors import NotFoundError
from tests.mappings import add_mappings, mapping
from tests.world import World


async def explain(world: World, object_id: str, kind: Any = "User", *, live: bool = False) -> dict[str, Any]:
    before = len(world.sent)
    job = world.job()
    told = await world.side.explanations.explain(job, kind, object_id, live=live)
    assert len(world.sent) == before
    return told


def narrow(document: dict[str, Any]) -> None:
    clauses = [
        {"sourceOperandName": "jobTitle", "operatorName": "EQUALS", "targetOperand": {"values": ["Engineer"]}},
        {"sourceOperandName": "country", "operatorName": "IS NOT NULL"},
    ]
    mappings = document["synchronizationRules"][0]["objectMappings"][0]
    mappings["scope"] = {"groups": [{"name": "Builders", "clauses": clauses}]}


async def test_who_is_not_assigned_is_told_so_first(world: World) -> None:
    told = await explain(world, await world.add_user("ada"))
    assert told["verdict"] == (
        "ada@fjord.example is not provisioned because it is not assigned to the application, neither directly nor"
        " through a group."
    )
    assert told["advice"].startswith("Assign it")
    assert told["scope"]["paths"] == []


async def test_every_clause_of_the_filter_is_shown_with_the_value_that_it_saw(world: World) -> None:
    await world.set_schema(narrow)
    ada = await world.add_user("ada", jobTitle="Engineer")
    team = await world.add_group("Team", ada)
    await world.assign(team, ada)
    told = await explain(world, ada)
    assert told["verdict"].startswith(
        "ada@fjord.example is not provisioned because it does not pass the scoping filter"
    )
    assert [(each["attribute"], each["value"], each["holds"]) for each in told["scope"]["clauses"]] == [
        ("jobTitle", "Engineer", True),
        ("country", None, False),
    ]
    assert [each["groupName"] for each in told["scope"]["paths"]] == [None, "Team"]


async def test_a_live_explanation_compares_each_mapping_with_what_the_application_has(world: World) -> None:
    ada = await world.add_user("ada", jobTitle="Engineer")
    await world.assign(ada)
    told = await explain(world, ada, live=True)
    assert told["verdict"].startswith("ada@fjord.example is in scope and has no account in ALVAO yet")
    assert told["matching"]["answers"][-1] == {"attribute": "userName", "value": "ada@fjord.example", "found": 0}
    assert told["live"]["requests"][-1]["request"] == 'GET /Users?filter=userName eq "ada@fjord.example"'
    await world.run()
    account = (await world.accounts())["ada"]["id"]
    await world.application_change(account, title="Boss")
    told = await explain(world, ada, live=True)
    assert told["verdict"].endswith("The next look at it will change title.")
    title = next(each for each in told["mappings"] if each["target"] == "title")
    assert (title["value"], title["inTarget"], title["differs"], title["sources"]) == (
        "Engineer", "Boss", True, {"jobTitle": "Engineer"},
    )  # fmt: skip
    assert told["link"] == {"targetId": account, "isManaged": True, "isDisabled": False}
    assert [entry["provisioningAction"] for entry in told["log"]] == ["create"]


@pytest.mark.parametrize("status", [401, 503])
async def test_an_application_that_does_not_answer_is_told_and_nothing_is_said_of_its_values(
    world: World, status: int
) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.run()
    world.fail(lambda method, path: status if "/Users" in path else None)
    told = await explain(world, ada, live=True)
    account = told["link"]["targetId"]
    assert told["verdict"] == f"ada@fjord.example is provisioned: its account in ALVAO is {account}."
    assert f"HTTP {status}" in told["live"]["error"]
    assert (told["decision"], told["live"]["requests"][-1]["error"]) == (None, told["live"]["error"])


async def test_the_parts_of_an_expression_and_its_error_are_shown(world: World) -> None:
    await world.set_schema(
        lambda document: add_mappings(document, mapping("title", "Append([displayName], NumFromDate([givenName]))"))
    )
    ada = await world.add_user("ada")
    await world.assign(ada)
    told = await explain(world, ada)
    title = next(each for each in told["mappings"] if each["target"] == "title")
    assert title["result"] == "error"
    assert [(step["text"], step["result"]) for step in title["steps"]][1:] == [
        ("[displayName]", "value"),
        ("NumFromDate([givenName])", "error"),
        ("[givenName]", "value"),
    ]
    assert told["verdict"].startswith("ada@fjord.example cannot be provisioned because the mapping of title failed")
    await world.run()
    told = await explain(world, ada)
    assert told["verdict"].startswith("ada@fjord.example could not be provisioned")
    assert told["advice"].startswith("Correct the mapping that is named")
    assert "tried again by the first cycle after" in told["advice"]
    assert told["escrow"]["attempts"] == 1


async def test_what_only_secret_mappings_read_is_not_shown(world: World) -> None:
    await world.set_schema(lambda document: add_mappings(document, mapping("title", "Redact([extensionAttribute1])")))
    ada = await world.add_user("ada", extensionAttribute1="hunter2")
    await world.assign(ada)
    await world.run()
    assert "hunter2" not in str(await explain(world, ada, live=True))


async def test_leavers_and_groups_are_explained_and_strangers_are_not_found(world: World) -> None:
    ada = await world.add_user("ada")
    team = await world.add_group("Team", ada)
    await world.assign(team)
    await world.run()
    told = await explain(world, team, "Group", live=True)
    assert told["verdict"].endswith("with all values as they should be.")
    assert [(each["attribute"], each["name"]) for each in told["references"]] == [("members", "ada@fjord.example")]
    await world.unassign(team)
    assert "will be deleted" in (await explain(world, team, "Group", live=True))["verdict"]
    assert "will be disabled" in (await explain(world, ada, live=True))["verdict"]
    await world.run()
    told = await explain(world, ada)
    assert told["verdict"].startswith("ada@fjord.example has no access to ALVAO any more")
    with pytest.raises(NotFoundError):
        await explain(world, "nobody")
