"""Whole cycles from a real directory into a real endpoint."""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from joiner.directory import groups, users
from joiner.errors import InvalidStateError
from joiner.provisioning.job import cycles, jobs
from tests.world import World, code_of, joined, opened, status_of

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
REDUNDANT = "other skipped"


@pytest.mark.req("REQ-P-025", "REQ-P-049", "REQ-P-050", "REQ-P-103")
async def test_an_initial_cycle_creates_who_is_assigned_with_groups_members_and_managers(world: World) -> None:
    await joined(world)
    accounts = await world.accounts()
    assert set(accounts) == {"ada", "bea"}
    assert accounts["ada"]["active"] is True
    assert accounts["bea"][ENTERPRISE]["manager"]["value"] == accounts["ada"]["id"]
    assert await world.held_groups() == {"Team": {"ada", "bea"}}
    assert world.cycle().state == "succeeded"
    status = world.status()
    assert [(item["value"]) for item in status["synchronizedEntryCountByType"]] == [2, 1]
    assert status["progress"][0]["completedUnits"] == status["progress"][0]["totalUnits"]


@pytest.mark.req("REQ-P-055", "REQ-C-038", "REQ-C-006")
async def test_a_second_cycle_without_changes_looks_at_nobody_and_sends_no_write(world: World) -> None:
    await joined(world)
    before = await world.requests()
    assert await world.run() == {}
    assert world.cycle().kind == "incremental"
    assert await world.requests() == before


@pytest.mark.req("REQ-P-052", "REQ-P-058")
async def test_a_restart_evaluates_everybody_again_and_writes_nothing(world: World) -> None:
    await joined(world)
    before = await world.requests()
    await world.service.restart(world.job_id, None)
    assert await world.run() == {"ada": REDUNDANT, "bea": REDUNDANT, "cid": "create skipped", "Team": REDUNDANT}
    assert world.cycle().kind == "initial"
    assert await world.requests() == before


async def test_a_restart_that_finds_everything_as_it_was_leaves_links_and_references_alone(world: World) -> None:
    await joined(world)
    await world.run()

    def guard(connection: sqlite3.Connection) -> None:
        for table in ("link", "exported_reference", "pending_reference"):
            for verb in ("INSERT", "UPDATE", "DELETE"):
                name = f"guard_{table}_{verb}"
                connection.execute(
                    f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'written'); END"
                )

    await world.db.write(guard)
    await world.service.restart(world.job_id, None)
    assert await world.run() == {"ada": REDUNDANT, "bea": REDUNDANT, "cid": "create skipped", "Team": REDUNDANT}
    assert world.cycle().state == "succeeded"


@pytest.mark.req("REQ-C-007", "REQ-P-105")
async def test_joiner_mover_leaver_and_a_membership_arrive_in_one_incremental_cycle(world: World) -> None:
    ada, bea, team = await joined(world)
    dan = await world.add_user("dan", manager=ada)
    await world.add_member(team, dan)
    await world.change_user(ada, jobTitle="Director", department="Research")
    await world.change_user(bea, account_enabled=False)
    assert await world.run() == {
        "dan": "create success",
        "ada": "update success",
        "bea": "disable success",
        "Team": "update success",
    }
    accounts = await world.accounts()
    assert accounts["ada"]["title"] == "Director"
    assert accounts["ada"][ENTERPRISE]["department"] == "Research"
    assert accounts["bea"]["active"] is False
    assert accounts["dan"][ENTERPRISE]["manager"]["value"] == accounts["ada"]["id"]
    assert await world.held_groups() == {"Team": {"ada", "bea", "dan"}}
    counts = world.service.cycle_document(world.job_id, world.cycle().id)["counts"]
    assert counts == {"create": 1, "update": 2, "disable": 1, "delete": 0, "skipped": 0, "failure": 0}


async def test_who_changes_the_name_keeps_the_account(world: World) -> None:
    ada = await world.add_user("ada", jobTitle="Clerk")
    await world.assign(ada)
    await world.run()
    account = (await world.accounts())["ada"]
    await world.change_user(ada, user_principal_name="ada.berg@fjord.example", surname="Berg")
    assert await world.run() == {"ada.berg": "update success"}
    renamed = (await world.accounts())["ada.berg"]
    assert (renamed["id"], renamed["name"]["familyName"], renamed["title"]) == (account["id"], "Berg", "Clerk")


@pytest.mark.req("REQ-P-090", "REQ-P-094", "REQ-C-017")
async def test_who_loses_the_last_assignment_is_disabled_and_who_gets_it_back_is_enabled(world: World) -> None:
    ada, _, team = await joined(world)
    before = (await world.accounts())["ada"]["id"]
    await world.remove_member(team, ada)
    outcome = await world.run()
    assert outcome["ada"] == "disable success"
    assert (await world.accounts())["ada"]["active"] is False
    assert await world.held_groups() == {"Team": {"bea"}}
    await world.add_member(team, ada)
    outcome = await world.run()
    assert outcome["ada"] == "update success"
    assert ((await world.accounts())["ada"]["id"], (await world.accounts())["ada"]["active"]) == (before, True)
    assert await world.held_groups() == {"Team": {"ada", "bea"}}


@pytest.mark.req("REQ-P-029")
async def test_a_second_path_keeps_a_user_in_scope(world: World) -> None:
    ada, _, team = await joined(world)
    await world.assign(ada)
    await world.remove_member(team, ada)
    await world.run()
    assert (await world.accounts())["ada"]["active"] is True


@pytest.mark.req("REQ-P-090")
async def test_an_unassigned_user_who_is_deleted_later_is_not_deleted_in_the_application(world: World) -> None:
    ada, _, team = await joined(world)
    await world.remove_member(team, ada)
    await world.run()
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    await world.directory.change(lambda c, now: users.purge_user(c, ada, now))
    await world.run()
    assert "ada" in await world.accounts()


@pytest.mark.req("REQ-P-092", "REQ-P-093", "REQ-P-094")
async def test_a_deleted_user_is_disabled_restored_enabled_and_purged_deleted(world: World) -> None:
    ada, _, _ = await joined(world)
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    assert (await world.run())["ada"] == "disable success"
    assert (await world.accounts())["ada"]["active"] is False
    await world.directory.change(lambda c, now: users.restore_user(c, ada, now))
    assert (await world.run())["ada"] == "update success"
    assert (await world.accounts())["ada"]["active"] is True
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    await world.directory.change(lambda c, now: users.purge_user(c, ada, now))
    assert (await world.run())["ada"] == "delete success"
    assert set(await world.accounts()) == {"bea"}
    assert await world.held_groups() == {"Team": {"bea"}}


@pytest.mark.req("REQ-P-062")
async def test_a_restart_deletes_who_was_purged_while_nobody_looked(world: World) -> None:
    ada, _, _ = await joined(world)
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    await world.directory.change(lambda c, now: users.purge_user(c, ada, now))
    await world.service.restart(world.job_id, None)
    assert (await world.run())["ada"] == "delete success"
    assert set(await world.accounts()) == {"bea"}


@pytest.mark.req("REQ-P-102")
async def test_the_recycle_bin_is_purged_after_30_days(world: World) -> None:
    ada, _, _ = await joined(world)
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    await world.run()
    world.clock.move(timedelta(days=30))
    assert await world.directory.purge_recycle_bin() == 0
    world.clock.move(timedelta(seconds=1))
    assert await world.directory.purge_recycle_bin() == 1
    assert (await world.run())["ada"] == "delete success"


@pytest.mark.req("REQ-P-100")
async def test_an_unassigned_group_is_deleted_and_its_members_are_disabled(world: World) -> None:
    _, _, team = await joined(world)
    await world.unassign(team)
    assert await world.run() == {"ada": "disable success", "bea": "disable success", "Team": "delete success"}
    assert await world.held_groups() == {}


async def test_a_deleted_group_is_deleted_in_the_application(world: World) -> None:
    _, _, team = await joined(world)
    await world.directory.change(lambda c, now: groups.delete_group(c, team, now))
    outcome = await world.run()
    assert outcome["Team"] == "delete success"
    assert await world.held_groups() == {}
    assert (await world.accounts())["ada"]["active"] is False


@pytest.mark.req("REQ-P-108")
async def test_a_manager_and_a_member_who_come_into_scope_later_are_set_then(world: World) -> None:
    boss = await world.add_user("boss")
    ada = await world.add_user("ada", manager=boss)
    team = await world.add_group("Team", ada, boss)
    other = await world.add_group("Other", boss)
    await world.assign(ada)
    await world.run()
    assert "manager" not in (await world.accounts())["ada"].get(ENTERPRISE, {})
    assert status_of(world.entries()["ada"]) == "warning"
    await world.assign(boss)
    await world.run()
    accounts = await world.accounts()
    assert accounts["ada"][ENTERPRISE]["manager"]["value"] == accounts["boss"]["id"]
    await world.assign(team)
    await world.run()
    assert await world.held_groups() == {"Team": {"ada", "boss"}}
    assert other


@pytest.mark.req("REQ-P-106", "REQ-P-107")
async def test_a_member_out_of_scope_is_left_out_and_named_in_the_log(world: World) -> None:
    ada = await world.add_user("ada")
    off = await world.add_user("off")
    await world.change_user(off, account_enabled=False)
    team = await world.add_group("Team", ada, off)
    await world.assign(team)
    outcome = await world.run()
    assert outcome["Team"] == "create warning"
    assert code_of(world.entries()["Team"]) == "UnableToResolveReferenceAttributeValue"
    assert await world.held_groups() == {"Team": {"ada"}}


@pytest.mark.req("REQ-P-026")
async def test_a_group_in_a_group_is_named_in_the_log_and_not_written(world: World) -> None:
    ada = await world.add_user("ada")
    bea = await world.add_user("bea")
    cid = await world.add_user("cid")
    await world.change_user(cid, account_enabled=False)
    inner = await world.add_group("Inner", ada)
    outer = await world.add_group("Outer", bea, cid, inner)
    await world.assign(outer)
    outcome = await world.run()
    assert outcome["Outer"] == "create warning"
    steps = [step for step in world.entries()["Outer"]["provisioningSteps"] if step["status"] == "warning"]
    assert [step["description"] for step in steps] == [
        "unable to assign cid@fjord.example as the members of Outer: not in scope",
        "unable to assign Inner as the members of Outer: groups inside of groups are not provisioned",
    ]
    assert set(await world.accounts()) == {"bea"}
    assert await world.held_groups() == {"Outer": {"bea"}}


async def test_a_manager_who_is_taken_away_is_removed(world: World) -> None:
    _, bea, _ = await joined(world)
    await world.change_user(bea, manager_id=None)
    assert (await world.run())["bea"] == "update success"
    assert "manager" not in (await world.accounts())["bea"].get(ENTERPRISE, {})


@pytest.mark.req("REQ-P-013")
async def test_a_manager_that_only_the_application_knows_is_left_alone(world: World) -> None:
    boss = await world.application_add(userName="boss@fjord.example", displayName="Boss", active=True)
    extension = {ENTERPRISE: {"manager": {"value": boss}}}
    await world.application_add(userName="ada@fjord.example", displayName="Ada", active=True, **extension)
    ada = await world.add_user("ada")
    await world.assign(ada)
    assert (await world.run())["ada"] == "update success"
    assert (await world.accounts())["ada"][ENTERPRISE]["manager"]["value"] == boss


@pytest.mark.req("REQ-P-052")
async def test_a_manager_that_the_application_has_already_is_not_written_again(world: World) -> None:
    ada, bea, _ = await joined(world)
    before = await world.requests()
    await world.service.restart(world.job_id, "Full")
    assert (await world.run())["bea"] == REDUNDANT
    # The members are sent once more, because nothing is known of them any more; they are there, so nothing changes.
    assert await world.requests() == before
    assert (await world.accounts())["bea"][ENTERPRISE]["manager"]["value"] == (await world.accounts())["ada"]["id"]
    assert ada
    assert bea


@pytest.mark.req("REQ-P-107", "REQ-P-109")
async def test_a_new_manager_out_of_scope_ends_the_old_one_and_a_disabled_one_stays(world: World) -> None:
    ada, bea, _ = await joined(world)
    outsider = await world.add_user("outsider")
    await world.change_user(bea, manager_id=outsider)
    assert (await world.run())["bea"] == "update warning"
    assert ENTERPRISE not in (await world.accounts())["bea"]
    await world.change_user(bea, manager_id=ada)
    await world.run()
    await world.change_user(ada, account_enabled=False)
    await world.change_user(bea, jobTitle="x")
    await world.run()
    assert (await world.accounts())["bea"][ENTERPRISE]["manager"]["value"] == (await world.accounts())["ada"]["id"]


@pytest.mark.req("REQ-P-060")
async def test_drift_in_the_application_stays_until_the_source_changes_or_a_restart(world: World) -> None:
    ada, _, _ = await joined(world)
    await world.application_change((await world.accounts())["ada"]["id"], title="Queen")
    await world.run()
    assert (await world.accounts())["ada"]["title"] == "Queen"
    await world.service.restart(world.job_id, None)
    assert (await world.run())["ada"] == "update success"
    assert (await world.accounts())["ada"]["title"] == "Engineer"
    assert ada


@pytest.mark.req("REQ-P-070", "REQ-A-082", "REQ-P-061")
async def test_an_account_made_by_hand_is_matched_linked_and_taken_over(world: World) -> None:
    made = await world.application_add(userName="ADA@fjord.example", displayName="Old", active=False)
    stranger = await world.application_add(userName="stranger@fjord.example", displayName="S", active=True)
    ada = await world.add_user("ada")
    await world.assign(ada)
    assert (await world.run())["ada"] == "update success"
    account = (await world.accounts())["ada"]
    assert (account["id"], account["externalId"], account["active"], account["displayName"]) == (
        made,
        ada,
        True,
        "Ada",
    )
    assert (await world.accounts())["stranger"]["id"] == stranger


@pytest.mark.req("REQ-P-068")
async def test_an_account_that_vanished_is_reported_and_not_recreated(world: World) -> None:
    ada, _, _ = await joined(world)
    await world.application_delete((await world.accounts())["ada"]["id"])
    await world.change_user(ada, jobTitle="New")
    await world.run()
    entry = world.entries()["ada"]
    assert (status_of(entry), code_of(entry)) == ("failure", "InvalidAnchor")
    assert "ada" not in await world.accounts()


@pytest.mark.req("REQ-P-072", "REQ-P-073", "REQ-P-074")
async def test_one_failing_object_stops_nobody_and_is_tried_again(world: World) -> None:
    rival = await world.application_add(userName="x@fjord.example", externalId="other", displayName="X", active=True)
    ada = await world.add_user("ada")
    taken = await world.add_user("taken")
    await world.assign(ada, taken)
    await world.set_schema(_match_by_external_id_only)
    await world.change_user(taken, user_principal_name="x@fjord.example")
    outcome = await world.run()
    assert (outcome["ada"], outcome["x"]) == ("create success", "create failure")
    assert code_of(world.entries()["x"]) == "Conflict"
    assert world.cycle().state == "entry_level_errors"
    await world.application_delete(rival)
    assert await world.run() == {"x": "create success"}
    assert await world.run() == {}


def _match_by_external_id_only(document: dict[str, Any]) -> None:
    for mapping in document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]:
        if mapping["targetAttributeName"] == "userName":
            mapping["matchingPriority"] = 0


@pytest.mark.req("REQ-P-075", "REQ-P-087", "REQ-C-020")
async def test_a_revoked_token_quarantines_the_job_until_it_is_put_right(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.service.start(world.job_id)
    await world.revoke_tokens()
    before = len(world.asked)
    assert await world.run() == {}
    assert len(world.asked) == before + 1
    status = world.status()
    assert (status["code"], status["quarantine"]["reason"]) == ("Quarantine", "EncounteredQuarantineException")
    assert "secret token" in status["quarantine"]["error"]["message"]
    fresh, _ = await world.application.tokens.create()
    assert await world.side.scheduler.begin_due_cycles() == []
    await world.service.connections.put_credentials(world.principal_id, [("SecretToken", fresh)])
    [attempt] = await world.side.scheduler.begin_due_cycles()
    await world.engine.wait(attempt)
    assert set(await world.accounts()) == {"ada"}
    assert world.status()["quarantine"] is None


@pytest.mark.req("REQ-P-076", "REQ-C-021")
async def test_a_wrong_tenant_url_quarantines_the_job(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    token, _ = await world.application.tokens.create()
    await world.service.connections.put_credentials(
        world.principal_id, [("BaseAddress", f"{world.url}/wrong"), ("SecretToken", token)]
    )
    await world.run()
    assert world.status()["code"] == "Quarantine"
    assert "Tenant URL" in world.status()["quarantine"]["error"]["message"]


@pytest.mark.req("REQ-P-082")
async def test_an_application_that_cannot_be_reached_quarantines_the_job_at_the_third_cycle(world: World) -> None:
    token, _ = await world.application.tokens.create()
    nowhere = [("BaseAddress", "http://127.0.0.1:9/scim"), ("SecretToken", token)]
    await world.service.connections.put_credentials(world.principal_id, nowhere)
    for expected in (None, None, "EncounteredQuarantineException"):
        await world.run()
        assert world.cycle().state == "failed"
        quarantine = world.status()["quarantine"]
        assert (quarantine and quarantine["reason"]) == expected
    await world.assign(await world.add_user("ada"))
    await world.run()
    back = [("BaseAddress", f"{world.url}/scim"), ("SecretToken", token)]
    await world.service.connections.put_credentials(world.principal_id, back)
    assert await world.run() == {"ada": "create success"}
    assert (world.status()["quarantine"], world.status()["countSuccessiveCompleteFailures"]) == (None, 0)


@pytest.mark.req("REQ-P-027")
async def test_sync_all_provisions_everybody(tmp_path: Path) -> None:
    async with opened(tmp_path, SyncAll="true") as world:
        await world.add_user("ada")
        await world.add_group("Team")
        assert await world.run() == {"ada": "create success", "Team": "create success"}


@pytest.mark.req("REQ-P-111", "REQ-C-009", "REQ-C-010")
@pytest.mark.parametrize("flag", ["", "?aadOptscim062020", "?AzureAdScimPatch2017"])
async def test_every_dialect_leads_to_the_same_state(tmp_path: Path, flag: str) -> None:
    async with opened(tmp_path) as world:
        token, _ = await world.application.tokens.create()
        await world.service.connections.put_credentials(
            world.principal_id, [("BaseAddress", f"{world.url}/scim/{flag}"), ("SecretToken", token)]
        )
        ada, bea, team = await joined(world)
        await world.change_user(ada, jobTitle="Director", mobile="+47 1", manager_id=bea)
        await world.change_user(bea, manager_id=None)
        await world.remove_member(team, bea)
        await world.run()
        accounts = await world.accounts()
        assert accounts["ada"]["title"] == "Director"
        assert {"type": "mobile", "value": "+47 1"} in accounts["ada"]["phoneNumbers"]
        assert accounts["ada"][ENTERPRISE]["manager"]["value"] == accounts["bea"]["id"]
        assert accounts["bea"]["active"] is False
        assert await world.held_groups() == {"Team": {"ada"}}


# Crashes

POWER_CUT = "CREATE TEMP TRIGGER power_cut BEFORE INSERT ON journal BEGIN SELECT raise(ABORT, 'power cut'); END"


@pytest.mark.req("REQ-P-054")
async def test_a_page_whose_results_were_lost_is_done_again_without_a_duplicate(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    cycle = await begin(world)
    fence = await world.side.runner.take(cycle.id)
    # The page has exported, and dies before its transaction.
    world.db.write_now(lambda c: c.execute(POWER_CUT).rowcount)
    with pytest.raises(Exception, match="power cut"):
        await world.side.runner.run_page(cycle.id, fence)
    world.db.write_now(lambda c: c.execute("DROP TRIGGER power_cut").rowcount)
    assert set(await world.accounts()) == {"ada"}
    fence = await world.side.runner.take(cycle.id)
    while await world.side.runner.run_page(cycle.id, fence):
        pass
    entry = world.entries()["ada"]
    assert (entry["provisioningAction"], status_of(entry)) == ("create", "success")
    assert len(await world.accounts()) == 1


async def test_a_worker_that_was_overtaken_cannot_commit(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    cycle = await begin(world)
    stale = await world.side.runner.take(cycle.id)
    fresh = await world.side.runner.take(cycle.id)
    with pytest.raises(InvalidStateError, match="taken over"):
        await world.side.runner.run_page(cycle.id, stale)
    while await world.side.runner.run_page(cycle.id, fresh):
        pass
    assert world.cycle().state == "succeeded"


@pytest.mark.req("REQ-P-053")
async def test_a_change_during_a_cycle_is_seen_by_the_next_one(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    cycle = await begin(world)
    fence = await world.side.runner.take(cycle.id)
    await world.side.runner.run_page(cycle.id, fence)
    await world.change_user(ada, jobTitle="Late")
    while await world.side.runner.run_page(cycle.id, fence):
        pass
    assert "title" not in (await world.accounts())["ada"]
    assert await world.run() == {"ada": "update success"}


async def test_a_restart_in_the_middle_ends_the_cycle_without_a_watermark(world: World) -> None:
    await world.add_user("ada")
    cycle = await begin(world)
    fence = await world.side.runner.take(cycle.id)
    await world.side.runner.run_page(cycle.id, fence)
    await world.service.restart(world.job_id, None)
    assert await world.side.runner.run_page(cycle.id, fence) is False
    assert world.cycle().state == "abandoned"
    await world.run()
    assert world.cycle().kind == "initial"


async def begin(world: World) -> cycles.Cycle:
    position = world.directory.feed_position()
    return await world.db.write(lambda c: cycles.begin_cycle(c, world.job_id, position, world.clock()))


@pytest.mark.req("REQ-P-056", "REQ-P-057")
async def test_a_started_job_is_due_at_once_and_then_every_40_minutes_until_it_is_paused(world: World) -> None:
    await world.service.start(world.job_id)
    assert len(await world.side.scheduler.begin_due_cycles()) == 1
    assert await world.side.scheduler.begin_due_cycles() == [], "cycles of a job never overlap"
    await world.engine.wait(world.cycle_running().id)
    world.clock.move(timedelta(minutes=39))
    assert await world.side.scheduler.begin_due_cycles() == []
    world.clock.move(timedelta(minutes=1))
    [second] = await world.side.scheduler.begin_due_cycles()
    await world.engine.wait(second)
    await world.service.pause(world.job_id)
    world.clock.move(timedelta(days=1))
    assert await world.side.scheduler.begin_due_cycles() == []
    assert jobs.job_by_id(world.db.reader, world.job_id).schedule_state == "Paused"


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_that_meets_news_for_the_scheduler_ends_it(world: World, turns: int) -> None:
    """A cancellation must not get lost because the wait that it breaks off ends in the same turn of the loop."""
    await world.side.start()
    for _ in range(20):  # its first round ends meanwhile
        await world.service.change_settings(world.job_id, ())
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await world.side.stop()
    assert "scheduler" not in {task.get_name() for task in asyncio.all_tasks()}


# Scope


def only_sales(document: dict[str, Any]) -> None:
    clause = {"sourceOperandName": "department", "operatorName": "EQUALS", "targetOperand": {"values": ["Sales"]}}
    scope = {"groups": [{"name": "Sales only", "clauses": [clause]}]}
    document["synchronizationRules"][0]["objectMappings"][0]["scope"] = scope


@pytest.mark.req("REQ-P-028", "REQ-P-047", "REQ-P-091", "REQ-P-048")
async def test_who_no_longer_passes_the_filter_is_disabled_and_the_log_shows_the_clause(world: World) -> None:
    ada = await world.add_user("ada", department="Sales")
    bea = await world.add_user("bea", department="Legal")
    await world.set_schema(only_sales)
    await world.assign(ada, bea)
    assert await world.run() == {"ada": "create success", "bea": "create skipped"}
    await world.change_user(ada, department="Legal")
    assert await world.run() == {"ada": "disable success"}
    assert (await world.accounts())["ada"]["active"] is False
    scoping = next(step for step in world.entries()["ada"]["provisioningSteps"] if step["name"].endswith("Scoping"))
    assert scoping["details"]["ScopeEvaluationResult"] == "{\"Sales only.department EQUALS 'Sales'\":false}"
    await world.change_user(ada, department="Sales")
    assert await world.run() == {"ada": "update success"}


@pytest.mark.req("REQ-P-097", "REQ-C-018")
async def test_skip_out_of_scope_leaves_the_unassigned_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, SkipOutOfScopeDeletions="True") as world:
        ada = await world.add_user("ada")
        await world.assign(ada)
        await world.run()
        before = await world.requests()
        await world.unassign(ada)
        assert await world.run() == {"ada": "disable skipped"}
        assert await world.requests() == before


@pytest.mark.req("REQ-P-030", "REQ-P-031")
async def test_default_access_is_a_role_like_any_other(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    assert (await world.run())["ada"] == "create success"
