"""What becomes of writes whose outcome is unknown, because a process died or a target lied."""

import sqlite3

import msgspec
import pytest

from joiner.directory import groups, users
from joiner.errors import InvalidStateError
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.job import cycles
from tests.world import World

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
POWER_CUT = (
    "CREATE TEMP TRIGGER power_cut BEFORE UPDATE ON cycle WHEN NEW.phase IN ({})"
    " BEGIN SELECT raise(ABORT, 'power cut'); END"
)


async def die_after(world: World, phase: str) -> None:
    """Runs a cycle up to the page of this phase, which exports and then dies before its commit."""
    cycle = await begin(world)
    fence = await world.side.runner.take(cycle.id)
    # Phases that are short share a page, so the page that ends this one is what the cut hits.
    later = ", ".join(f"'{each}'" for each in cycles.PHASES[cycles.PHASES.index(phase) + 1 :])
    world.db.write_now(lambda c: c.execute(POWER_CUT.format(later)).rowcount)
    with pytest.raises(Exception, match="power cut"):
        await run_to_the_end(world, cycle.id, fence)
    world.db.write_now(lambda c: c.execute("DROP TRIGGER power_cut").rowcount)


async def run_to_the_end(world: World, cycle_id: str, fence: int) -> None:
    while await world.side.runner.run_page(cycle_id, fence):
        pass


async def begin(world: World) -> cycles.Cycle:
    position = world.directory.feed_position()
    return await world.db.write(lambda c: cycles.begin_cycle(c, world.job_id, position, world.clock()))


@pytest.mark.req("REQ-P-054", "REQ-P-092")
async def test_who_is_disabled_after_a_create_that_was_lost_has_no_active_account(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await die_after(world, "users")
    assert (await world.accounts())["ada"]["active"] is True
    await world.change_user(ada, account_enabled=False)
    assert (await world.run())["ada"] == "disable success"
    assert (await world.accounts())["ada"]["active"] is False


@pytest.mark.req("REQ-P-054", "REQ-P-093")
async def test_who_is_purged_after_a_create_that_was_lost_is_deleted_even_by_a_restart(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await die_after(world, "users")
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    await world.directory.change(lambda c, now: users.purge_user(c, ada, now))
    await world.service.restart(world.job_id, None)
    await world.run()
    await world.run()
    assert await world.accounts() == {}


@pytest.mark.req("REQ-P-054", "REQ-P-090")
async def test_who_comes_back_as_the_process_dies_and_leaves_again_is_disabled_again(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.run()
    await world.unassign(ada)
    await world.run()
    await world.run()
    await world.assign(ada)
    await die_after(world, "users")
    assert (await world.accounts())["ada"]["active"] is True
    await world.unassign(ada)
    assert (await world.run())["ada"] == "disable success"
    assert (await world.accounts())["ada"]["active"] is False


@pytest.mark.req("REQ-P-054", "REQ-P-092")
async def test_whose_account_is_taken_over_as_the_process_dies_and_who_leaves_is_disabled(world: World) -> None:
    await world.application_add(userName="ada@fjord.example", active=True)
    ada = await world.add_user("ada")
    team = await world.add_group("Team", ada)
    await world.assign(ada, team)
    await die_after(world, "users")
    assert (await world.accounts())["ada"]["externalId"] == ada
    await world.unassign(ada)
    await world.unassign(team)
    assert (await world.run())["ada"] == "disable success"
    assert (await world.accounts())["ada"]["active"] is False


@pytest.mark.req("REQ-P-103")
async def test_who_was_taken_over_as_the_process_died_becomes_a_member(world: World) -> None:
    await world.application_add(userName="ada@fjord.example", active=True)
    ada = await world.add_user("ada")
    await world.assign(ada, await world.add_group("Team", ada))
    await die_after(world, "users")
    await world.run()
    assert await world.held_groups() == {"Team": {"ada"}}


@pytest.mark.req("REQ-P-068")
async def test_an_account_that_is_deleted_before_it_can_be_taken_over_is_not_linked(world: World) -> None:
    account = await world.application_add(userName="ada@fjord.example", active=True)
    ada = await world.add_user("ada")
    await world.assign(ada)
    world.fail(lambda method, path: 404 if method == "PATCH" else None)
    assert (await world.run())["ada"] == "update failure"
    world.fail(None)
    await world.application_delete(account)
    assert (await world.run())["ada"] == "create success"


@pytest.mark.req("REQ-P-068", "REQ-P-101")
async def test_a_group_that_is_wanted_again_after_a_deletion_that_was_lost_is_made_again(world: World) -> None:
    ada = await world.add_user("ada")
    team = await world.add_group("Team", ada)
    await world.assign(team, ada)
    await world.run()
    await world.unassign(team)
    world.fail(lambda method, path: 504 if method == "DELETE" else None)
    assert (await world.run())["Team"] == "delete failure"
    # It took effect all the same.
    world.fail(None)
    [group] = await world._held("Groups")
    await world.application_delete(group["id"], "Groups")
    await world.assign(team)
    await world.run()
    assert await world.held_groups() == {"Team": {"ada"}}


@pytest.mark.req("REQ-P-054")
async def test_a_group_that_was_renamed_after_a_create_that_was_lost_is_not_made_again(world: World) -> None:
    team = await world.add_group("Team")
    await world.assign(team)
    await die_after(world, "groups")

    def rename(connection: sqlite3.Connection, now: str) -> None:
        stored = groups.group_by_id(connection, team)
        groups.update_group(connection, msgspec.structs.replace(stored, display_name="Crew"), now)

    await world.directory.change(rename)
    await world.run()
    assert set(await world.held_groups()) == {"Crew"}


@pytest.mark.req("REQ-P-054", "REQ-P-105")
async def test_a_member_whose_addition_was_lost_and_who_leaves_is_taken_out(world: World) -> None:
    ada, bea = await world.add_user("ada"), await world.add_user("bea")
    team = await world.add_group("Team", ada, bea)
    await world.assign(ada, bea, team)
    await die_after(world, "references")
    assert await world.held_groups() == {"Team": {"ada", "bea"}}
    await world.remove_member(team, ada)
    await world.run()
    await world.run()
    assert await world.held_groups() == {"Team": {"bea"}}


@pytest.mark.req("REQ-P-105")
@pytest.mark.parametrize("statuses", [(503, 400), (504, 500, 409), (500, 429)])
async def test_a_member_whose_addition_is_refused_after_a_try_without_an_answer_is_taken_out_when_they_leave(
    world: World, statuses: tuple[int, ...]
) -> None:
    ada = await world.add_user("ada")
    team = await world.add_group("Team", ada)
    await world.assign(ada, team)
    answers = iter(statuses)

    def refuse(method: str, path: str) -> int | None:
        return next(answers, statuses[-1]) if method == "PATCH" and "/Groups/" in path else None

    world.fail(refuse)
    await world.run()
    world.fail(None)
    await world.remove_member(team, ada)
    await world.run()
    assert [operation["op"].lower() for operation in world.sent[-1].body["Operations"]] == ["remove"]


@pytest.mark.req("REQ-P-105")
async def test_a_group_that_stays_after_all_loses_the_member_who_left_meanwhile(world: World) -> None:
    ada, bea = await world.add_user("ada"), await world.add_user("bea")
    team = await world.add_group("Team", ada, bea)
    await world.assign(ada, bea, team)
    await world.run()
    await world.remove_member(team, ada)
    await world.unassign(team)
    cycle = await begin(world)
    fence = await world.side.runner.take(cycle.id)
    while world.cycle_running().phase != "removals":
        await world.side.runner.run_page(cycle.id, fence)
    await world.assign(team)
    while await world.side.runner.run_page(cycle.id, fence):
        pass
    await world.run()
    assert await world.held_groups() == {"Team": {"bea"}}


async def test_a_worker_that_was_overtaken_sends_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    cycle = await begin(world)
    stale = await world.side.runner.take(cycle.id)
    query = ScimTarget.query

    async def overtaken(self: ScimTarget, *args: object, **options: object) -> list[dict[str, object]]:
        await world.side.runner.take(cycle.id)
        return await query(self, *args, **options)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(ScimTarget, "query", overtaken)
    with pytest.raises(InvalidStateError, match="taken over"):
        await world.side.runner.run_page(cycle.id, stale)
    assert await world.accounts() == {}
    assert world.db.reader.execute("SELECT count(*) FROM intent").fetchone()[0] == 0


@pytest.mark.req("REQ-P-060")
async def test_a_manager_that_the_application_has_lost_is_set_again_by_a_restart(world: World) -> None:
    ada = await world.add_user("ada")
    bea = await world.add_user("bea", manager=ada)
    await world.assign(ada, bea)
    await world.run()
    accounts = await world.accounts()
    await world.application_remove(accounts["bea"]["id"], f"{ENTERPRISE}:manager")
    await world.run()
    assert ENTERPRISE not in (await world.accounts())["bea"]
    await world.service.restart(world.job_id, None)
    await world.run()
    assert (await world.accounts())["bea"][ENTERPRISE]["manager"]["value"] == accounts["ada"]["id"]
