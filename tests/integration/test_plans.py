"""Plans: what they say, and that a cycle then does exactly that, over a real socket."""

import contextlib
import random
from typing import Any

import orjson
import pytest

from joiner.directory import groups, users
from joiner.errors import JoinerError
from joiner.provisioning.cycle import objects, phases, sources
from joiner.provisioning.planning.overlay import Variation
from tests.mappings import add_mappings, mapping
from tests.planning import actions, items, make_plan, plan_and_run
from tests.world import World, joined

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def state(world: World) -> list[list[tuple[Any, ...]]]:
    """Everything that the engine keeps of its job, but for plans."""
    tables = ("job", "cycle", "link", "escrow", "pending_reference", "exported_reference", "intent", "journal")
    return [
        [tuple(row) for row in world.db.reader.execute(f"SELECT * FROM {table}")] for table in tables if table != "job"
    ]


async def test_a_plan_of_an_initial_cycle_names_everything_that_would_be_created(world: World) -> None:
    ada = await world.add_user("ada", jobTitle="Engineer")
    bea = await world.add_user("bea", manager=ada)
    await world.add_user("cid")
    await world.assign(await world.add_group("Team", ada, bea))
    plan, _ = await plan_and_run(world)
    assert plan.summary is not None
    assert plan.summary["counts"] == {"User": {"create": 2}, "Group": {"create": 1}}
    assert plan.summary["references"] == {"manager": {"add": 1}, "members": {"add": 2}}
    assert plan.summary["requests"] == {"POST": 3, "PATCH": 2}
    assert [(each["reason"], each["count"]) for each in plan.summary["skipped"]] == [
        ("not assigned to the application", 1)
    ]
    told = items(world, plan.number)
    assert told["ada"]["causes"] == [{"kind": "assignment", "text": "assigned through the group Team"}]
    assert {"displayName": "displayName", "oldValue": None, "newValue": "Ada"} in told["ada"]["changes"]
    assert told["Team"]["references"] == [
        {"attribute": "members", "name": f"{name}@fjord.example", "action": "add"}
        for name in sorted(("ada", "bea"), key=lambda name: {"ada": ada, "bea": bea}[name])
    ]
    assert told["bea"]["requests"][1]["path"] == f"/Users/new:{bea}"


async def test_a_plan_changes_nothing_that_the_engine_keeps(world: World) -> None:
    ada, _, _ = await joined(world)
    await world.change_user(ada, jobTitle="Director")
    before = state(world)
    assert actions(world, (await make_plan(world)).number) == {"ada": "update"}
    await make_plan(world, Variation(is_initial=True))
    assert state(world) == before
    assert not list(world.db.path.parent.glob("planning-*"))


async def test_a_plan_that_a_crash_cut_off_has_failed_when_the_next_process_starts(world: World) -> None:
    await joined(world)
    plan = await make_plan(world)
    unfinished = "UPDATE plan SET state = 'computing', error = NULL"
    await world.db.write(lambda connection: connection.execute(unfinished).rowcount)
    leftover = world.db.path.parent / "planning-left"
    leftover.mkdir()
    await world.side.start()
    await world.side.stop()
    plan = world.side.planning.plan(world.job_id, plan.number)
    assert (plan.state, plan.error) == ("failed", "the process ended while the plan was being computed")
    assert not leftover.exists()


async def test_movers_leavers_and_memberships_are_planned_with_old_and_new_values_and_the_rule(world: World) -> None:
    ada, bea, team = await joined(world)
    await world.change_user(ada, jobTitle="Director")
    await world.change_user(bea, account_enabled=False)
    dan = await world.add_user("dan", manager=ada)
    await world.add_member(team, dan)
    plan, _ = await plan_and_run(world)
    told = items(world, plan.number)
    assert {name: item["action"] for name, item in told.items()} == {
        "ada": "update",
        "bea": "disable",
        "dan": "create",
        "Team": "update",
    }
    assert told["ada"]["changes"] == [{"displayName": "title", "oldValue": "Engineer", "newValue": "Director"}]
    assert told["ada"]["causes"] == [{"kind": "mapping", "text": "title ← [jobTitle]"}]
    assert told["bea"]["causes"] == [{"kind": "directory", "text": "the account is disabled in the directory"}]
    assert told["bea"]["changes"] == [{"displayName": "active", "oldValue": "True", "newValue": "False"}]
    assert told["Team"]["causes"] == [{"kind": "reference", "text": "members ← a member of the group in the directory"}]


async def test_a_plan_with_other_filters_says_who_would_be_disabled_and_by_which_clause(world: World) -> None:
    await joined(world)

    def narrow(document: dict[str, Any]) -> None:
        operand = {"values": [r"Engineer\.?"]}
        clause = {"sourceOperandName": "jobTitle", "operatorName": "REGEX MATCH", "targetOperand": operand}
        mappings = document["synchronizationRules"][0]["objectMappings"][0]
        mappings["scope"] = {"groups": [{"name": 'The "Engineers"', "clauses": [clause]}]}

    schema = world.job().schema
    changed = orjson.loads(orjson.dumps(schema))
    narrow(changed)
    plan = await make_plan(world, Variation(schema=orjson.dumps(changed).decode()))
    assert actions(world, plan.number) == {"bea": "disable"}
    assert items(world, plan.number)["bea"]["causes"] == [
        {"kind": "filter", "text": r"""the filter is not passed: The "Engineers" jobTitle REGEX MATCH 'Engineer\.?'"""}
    ]
    await world.set_schema(narrow)
    await world.service.restart(world.job_id, None)
    await plan_and_run(world)


async def test_what_cannot_be_done_is_planned_as_a_failure_with_its_reason(world: World) -> None:
    await world.application_add(userName="ada@fjord.example", schemas=["urn:ietf:params:scim:schemas:core:2.0:User"])
    await world.set_schema(lambda document: add_mappings(document, mapping("title", "NumFromDate([displayName])")))
    await world.assign(await world.add_user("ada"))
    plan, _ = await plan_and_run(world)
    item = items(world, plan.number)["ada"]
    assert item["action"] == "failure"
    assert item["problem"]["code"] == "InternalError"


async def test_the_same_failure_of_many_is_one_reason(world: World) -> None:
    await joined(world)
    for account in (await world.accounts()).values():
        await world.application_delete(account["id"])
    plan = await make_plan(world, Variation(is_initial=True))
    assert plan.summary is not None
    [cause] = [each for each in plan.summary["causes"] if each["objectType"] == "User"]
    assert cause["count"] == 2
    assert cause["text"].startswith("InvalidAnchor: the target object '…' linked to '…' no longer exists")


async def test_an_account_that_would_only_be_linked_is_no_change(world: World) -> None:
    ada, _, _ = await joined(world)
    await world.service.restart(world.job_id, "Full")
    plan, _ = await plan_and_run(world)
    assert actions(world, plan.number) == {"ada": "link", "bea": "link", "Team": "link"}
    assert ada in {item["objectId"] for item in items(world, plan.number).values()}


async def test_a_renamed_account_leaves_its_name_to_a_newcomer_in_the_next_cycle(world: World) -> None:
    ada, _, team = await joined(world)
    await world.change_user(ada, user_principal_name="ada.old@fjord.example")
    newcomer = await world.add_user("zoe")
    await world.change_user(newcomer, user_principal_name="ada@fjord.example")
    await world.add_member(team, newcomer)
    _, done = await plan_and_run(world)
    # Whoever is looked up in the same page still finds the name taken.
    assert done == {"ada.old": "update success", "ada": "other failure", "Team": "other warning"}
    _, done = await plan_and_run(world)
    assert done == {"ada": "create success", "Team": "update success"}
    assert set(await world.accounts()) == {"ada.old", "ada", "bea"}


async def test_secret_values_are_not_kept_in_plans(world: World) -> None:
    hidden = mapping("title", 'Redact(Append("Top ", [givenName]))')
    await world.set_schema(lambda document: add_mappings(document, hidden))
    await world.assign(await world.add_user("ada"))
    plan = await make_plan(world)
    rows = [line for line in world.db.reader.iterdump() if line.startswith('INSERT INTO "plan_')]
    item = items(world, plan.number)["ada"]
    assert {"displayName": "title", "oldValue": None, "newValue": "[Redact]"} in item["changes"]
    assert item["requests"][0]["body"]["title"] == "[Redact]"
    assert rows
    assert not [line for line in rows if "Top Ada" in line]


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happened_a_cycle_sends_what_the_plan_said(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        # Pages of a plan overlap as those of a cycle.
        for module in (phases, objects, sources):
            monkeypatch.setattr(module, "OBJECTS_PER_PAGE", 2)
    chance = random.Random(seed)
    people: list[str] = []
    teams: list[str] = []

    async def join() -> None:
        manager = chance.choice([*people, None])
        people.append(await world.add_user(f"user{len(people)}", manager, jobTitle=chance.choice("abc")))
        if chance.random() < 0.5:
            await world.assign(people[-1])

    async def found() -> None:
        members = chance.sample(people, min(len(people), chance.randrange(4)))
        teams.append(await world.add_group(f"Team{len(teams)}", *members))
        if chance.random() < 0.7:
            await world.assign(teams[-1])

    async def move() -> None:
        await world.change_user(chance.choice(people), jobTitle=chance.choice("abc"), department=chance.choice("xy"))

    async def rename() -> None:
        await world.change_user(chance.choice(people), user_principal_name=f"n{chance.randrange(99)}@fjord.example")

    async def switch() -> None:
        await world.change_user(chance.choice(people), account_enabled=chance.random() < 0.5)

    async def follow() -> None:
        await world.change_user(chance.choice(people), manager_id=chance.choice([*people, None]))

    async def regroup() -> None:
        if teams:
            act = chance.choice((groups.add_member, groups.remove_member))
            team, person = chance.choice(teams), chance.choice(people)
            await world.directory.change(lambda c, now: act(c, team, person, now))

    async def delete() -> None:
        await world.directory.change(lambda c, now: users.delete_user(c, chance.choice(people), now))

    async def narrow() -> None:
        def change(document: dict[str, Any]) -> None:
            wanted = chance.choice("abc")
            clause = {
                "sourceOperandName": "jobTitle",
                "operatorName": "NOT EQUALS",
                "targetOperand": {"values": [wanted]},
            }
            mappings = document["synchronizationRules"][0]["objectMappings"][0]
            mappings["scope"] = {"groups": [{"name": "Not these", "clauses": [clause]}]}

        await world.set_schema(change)
        await world.service.restart(world.job_id, None)

    for _ in range(6):
        await join()
    await found()
    for _ in range(4):
        await plan_and_run(world)
        for _ in range(5):
            event = chance.choice((join, found, move, rename, switch, follow, regroup, delete, narrow))
            # What the directory refuses, such as deleting somebody twice, has not happened.
            with contextlib.suppress(JoinerError):
                await event()
    await plan_and_run(world)
