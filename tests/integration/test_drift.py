"""Drift: what somebody changed in the application, what would repair it, and what is left alone."""

from typing import Any

import pytest

from joiner.errors import InvalidStateError
from joiner.provisioning.log import audit
from joiner.provisioning.planning.overlay import Variation
from joiner.provisioning.plans.plans import Plan
from tests.planning import ADA, Requests, actions, apply, items, make_plan
from tests.world import Falsify, World

USER = "urn:ietf:params:scim:schemas:core:2.0:User"


async def look(world: World) -> tuple[Plan, dict[str, Any]]:
    plan = await make_plan(world, Variation(is_drift=True))
    assert plan.state == "ready", plan.error
    assert plan.summary is not None
    return plan, plan.summary["drift"]


async def team(world: World) -> dict[str, str]:
    """Five people in the group Team, provisioned, each the report of the first; name → id of the account."""
    people = {"ada": await world.add_user("ada", jobTitle="Engineer")}
    for name in ("bea", "cid", "dan", "eve"):
        people[name] = await world.add_user(name, manager=people["ada"], jobTitle="Clerk")
    await world.assign(await world.add_group("Team", *people.values()))
    await world.run()
    return {name: account["id"] for name, account in (await world.accounts()).items()}


async def change_members(world: World, *operations: dict[str, Any]) -> None:
    [group] = await world._held("Groups")
    await world._by_hand("PATCH", f"Groups/{group['id']}", {"Operations": list(operations)})


async def test_what_is_as_it_should_be_has_no_drift(world: World) -> None:
    await team(world)
    plan, drift = await look(world)
    assert actions(world, plan.number) == {}
    assert drift == {
        "objectsFound": 6,
        "listed": {"User": True, "Group": True},
        "missing": {},
        "foreignMembers": 0,
        "groupsWithoutReadableMembers": 0,
        "unreadableGroups": [],
        "accounts": {},
    }


async def test_a_group_that_does_not_tell_its_members_is_named(world: World) -> None:
    await team(world)
    await change_members(world, {"op": "remove", "path": "members"})
    plan, drift = await look(world)
    assert (drift["groupsWithoutReadableMembers"], drift["unreadableGroups"]) == (1, ["Team"])
    assert actions(world, plan.number) == {}, "there may be more than it tells"


async def test_changed_values_missing_accounts_and_memberships_are_found_and_repaired(world: World) -> None:
    accounts = await team(world)
    await world.application_change(accounts["ada"], title="Boss")
    await world.application_change(accounts["bea"], active=False)
    await world.application_delete(accounts["cid"])
    await change_members(world, {"op": "remove", "path": f'members[value eq "{accounts["dan"]}"]'})
    plan, drift = await look(world)
    assert drift["missing"] == {"User": 1}
    told = items(world, plan.number)
    assert {name: item["action"] for name, item in told.items()} == {
        "ada": "update",
        "bea": "update",
        "cid": "create",
        "Team": "update",
    }
    assert told["ada"]["changes"] == [{"displayName": "title", "oldValue": "Boss", "newValue": "Engineer"}]
    assert told["bea"]["changes"] == [{"displayName": "active", "oldValue": "False", "newValue": "True"}]
    assert told["cid"]["missing"] == accounts["cid"]
    assert sorted(each["name"][:3] for each in told["Team"]["references"]) == ["cid", "dan"]
    requests, before = Requests(world), len(world.sent)
    assert await apply(world, plan.number) == {"states": {"sent": 4}, "refused": []}
    requests.learn()
    assert requests.planned(plan.number) == requests.sent(world.sent[before:])
    assert await world.held_groups() == {"Team": {"ada", "bea", "cid", "dan", "eve"}}
    after = await world.accounts()
    assert (after["ada"]["title"], after["bea"]["active"]) == ("Engineer", True)
    assert (await look(world))[1]["missing"] == {}
    assert actions(world, plan.number + 1) == {}


async def test_members_that_should_not_be_there_go_and_strangers_stay(world: World) -> None:
    accounts = await team(world)
    stranger = await world.application_add(userName="local@fjord.example", schemas=[USER])
    fred = await world.add_user("fred")
    await world.assign(fred)
    await world.run()
    account = (await world.accounts())["fred"]["id"]
    both = [{"value": stranger}, {"value": account}]
    await change_members(world, {"op": "add", "path": "members", "value": both})
    plan, drift = await look(world)
    assert drift["foreignMembers"] == 1
    assert drift["accounts"] == {"User": {"local": 1}}
    told = items(world, plan.number)
    assert [(each["name"], each["action"]) for each in told["Team"]["references"]] == [("fred@fjord.example", "remove")]
    await apply(world, plan.number)
    assert await world.held_groups() == {"Team": {*accounts, "local"}}


async def test_a_manager_that_was_taken_away_is_written_again(world: World) -> None:
    accounts = await team(world)
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    await world._by_hand(
        "PATCH", f"Users/{accounts['eve']}", {"Operations": [{"op": "remove", "path": f"{enterprise}:manager"}]}
    )
    plan, _ = await look(world)
    assert items(world, plan.number)["eve"]["referenceCounts"] == {"manager": {"add": 1}}
    await apply(world, plan.number)
    assert (await world.accounts())["eve"][enterprise]["manager"]["value"] == accounts["ada"]


async def test_accounts_that_nobody_manages_are_told_apart_and_never_touched(world: World) -> None:
    await team(world)
    una, ass = await world.add_user("una"), await world.add_user("ass")
    await world.assign(ass)
    for name, external_id in (("loc", "unknown"), ("una", una), ("ass", ass)):
        await world.application_add(userName=f"{name}@fjord.example", externalId=external_id, schemas=[USER])
    plan, drift = await look(world)
    assert actions(world, plan.number) == {}
    assert drift["accounts"] == {"User": {"local": 1, "unassigned": 1, "assigned": 1}}
    found = world.side.planning.accounts(world.job_id, plan.number, ("", ""), 10)
    assert {each["name"][:3]: (each["state"], each["matches"]) for each in found} == {
        "loc": ("local", None),
        "una": ("unassigned", "una@fjord.example"),
        "ass": ("assigned", "ass@fjord.example"),
    }


def refusing(status: int) -> Falsify:
    return lambda body: status


def nothing(body: dict[str, Any]) -> dict[str, Any]:
    """An application that shows nobody unless it is asked for somebody."""
    return {**body, "totalResults": 0, "itemsPerPage": 0, "Resources": []}


def one_page(body: dict[str, Any]) -> dict[str, Any] | int:
    """An application that fails at its second page."""
    return {**body, "totalResults": 100} if body["startIndex"] == 1 else 500


@pytest.mark.parametrize(
    ("falsify", "listed"),
    [(refusing(400), False), (refusing(403), False), (refusing(501), False), (nothing, True), (one_page, False)],
)
async def test_drift_of_what_the_job_manages_is_found_in_an_application_that_cannot_list(
    world: World, falsify: Falsify, listed: bool
) -> None:
    world.falsify = falsify
    accounts = await team(world)
    await world.application_change(accounts["ada"], title="Boss")
    await world.application_delete(accounts["cid"])
    await change_members(world, {"op": "remove", "path": f'members[value eq "{accounts["dan"]}"]'})
    stranger = await world.application_add(userName="local@fjord.example", schemas=[USER])
    await change_members(world, {"op": "add", "path": "members", "value": [{"value": stranger}]})
    plan, drift = await look(world)
    assert (drift["listed"], drift["missing"], drift["foreignMembers"]) == (
        {"User": listed, "Group": listed},
        {"User": 1},
        1,
    )
    assert actions(world, plan.number) == {"ada": "update", "cid": "create", "Team": "update"}
    assert await apply(world, plan.number) == {"states": {"sent": 3}, "refused": []}
    assert (await world.accounts())["ada"]["title"] == "Engineer"
    assert await world.held_groups() == {"Team": {*accounts, "local"}}
    plan, drift = await look(world)
    assert (actions(world, plan.number), drift["missing"]) == ({}, {})


async def test_a_look_at_an_application_whose_lists_are_not_found_fails_and_changes_nothing(world: World) -> None:
    # A wrong address would make everybody missing.
    world.falsify = refusing(404)
    await team(world)
    plan = await make_plan(world, Variation(is_drift=True))
    assert (plan.state, "404" in (plan.error or "")) == ("failed", True)
    world.falsify = None
    assert len(await world.accounts()) == 5


async def test_adopting_links_found_accounts_and_forgets_missing_ones_without_a_request(world: World) -> None:
    accounts = await team(world)
    await world.application_delete(accounts["cid"])
    newcomer = await world.add_user("ass")
    await world.assign(newcomer)
    await world.application_add(userName="ass@fjord.example", externalId=newcomer, schemas=[USER])
    plan, drift = await look(world)
    assert drift["accounts"] == {"User": {"assigned": 1}}
    before = len(world.sent)
    job = world.job()
    assert await world.side.planning.adopt(job, plan.number, ADA) == {"linked": 1, "forgotten": 1}
    assert len(world.sent) == before
    reasons = [row[1]["resultReason"] for row in audit.documents(world.db.reader, 2**62, False, 10)]
    assert reasons[0] == f"plan {plan.number} adopted: 1 accounts linked, 1 links to missing accounts forgotten"
    with pytest.raises(InvalidStateError, match="used already"):
        await world.side.planning.adopt(job, plan.number, ADA)


async def test_a_list_that_leaves_attributes_out_shows_no_drift(world: World) -> None:
    world.falsify = lambda body: {
        **body,
        "Resources": [
            {name: each[name] for name in ("id", "displayName") if name in each} for each in body["Resources"]
        ],
    }
    accounts = await team(world)
    plan, drift = await look(world)
    assert (actions(world, plan.number), drift["accounts"]) == ({}, {})
    await world.application_change(accounts["ada"], title="Boss")
    plan, _ = await look(world)
    assert actions(world, plan.number) == {"ada": "update"}


async def test_a_leaver_whose_account_is_gone_is_forgotten_by_the_repair(world: World) -> None:
    accounts = await team(world)
    [eve] = world.db.reader.execute("SELECT source_id FROM link WHERE target_id = ?", (accounts["eve"],)).fetchone()
    await world.change_user(eve, account_enabled=False)
    await world.run()
    await world.application_delete(accounts["eve"])
    plan, drift = await look(world)
    assert drift["missing"] == {"User": 1}
    assert actions(world, plan.number) == {"eve": "release"}
    assert await apply(world, plan.number) == {"states": {"sent": 1}, "refused": []}
    assert (await look(world))[1]["missing"] == {}


async def test_the_guard_also_holds_back_what_a_repair_would_take_away(world: World) -> None:
    accounts = await team(world)
    await world.configure(QuarantineTooManyDeletesThreshold="1")
    for name in ("dan", "eve"):
        [person] = world.db.reader.execute(
            "SELECT source_id FROM link WHERE target_id = ?", (accounts[name],)
        ).fetchone()
        await world.change_user(person, account_enabled=False)
        await world.run()
        await world.application_change(accounts[name], active=True)
    plan, _ = await look(world)
    told = items(world, plan.number)
    assert {name: (item["action"], item["isHeld"]) for name, item in told.items()} == {
        "dan": ("disable", True),
        "eve": ("disable", True),
    }
    assert await apply(world, plan.number) == {"states": {"held": 2}, "refused": []}
    held = await world.accounts()
    assert (held["dan"]["active"], held["eve"]["active"]) == (True, True)


async def test_an_account_that_is_there_after_all_stays_linked_when_its_repair_is_refused(world: World) -> None:
    hidden: set[str] = set()
    world.falsify = lambda body: {
        **body,
        "Resources": [each for each in body["Resources"] if each["id"] not in hidden],
    }
    accounts = await team(world)
    [ada] = world.db.reader.execute("SELECT source_id FROM link WHERE target_id = ?", (accounts["ada"],)).fetchone()
    hidden.add(accounts["ada"])
    world.fail(lambda method, path: 404 if accounts["ada"] in path else None)
    plan, drift = await look(world)
    assert drift["missing"] == {"User": 1}
    await world.change_user(ada, jobTitle="Boss")
    await apply(world, plan.number)
    world.fail(None)
    hidden.clear()
    await world.change_user(ada, account_enabled=False)
    await world.run()
    assert (await world.accounts())["ada"]["active"] is False
