"""What an application has acknowledged and not done: who finds it, and that nobody is fought with over what is his."""

import orjson
import pytest

from joiner.directory import users
from tests.world import World, code_of

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


async def restarted(world: World) -> dict[str, str]:
    await world.service.restart(world.job_id, None)
    return await world.run()


async def released(world: World) -> str:
    """Somebody who has left the scope, and whose disable the application has lost; the id of the account."""
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.run()
    await world.unassign(ada)
    assert await world.run() == {"ada": "disable success"}
    account: str = (await world.accounts())["ada"]["id"]
    await world.application_change(account, active=True)
    return account


async def named_a_leaver(world: World) -> str:
    """Id of ada, whose manager in the directory is somebody who has left the scope: in the application she has none."""
    boss, chief = await world.add_user("boss"), await world.add_user("chief")
    ada = await world.add_user("ada", manager=boss)
    await world.assign(boss, chief, ada)
    await world.run()
    await world.unassign(chief)
    await world.run()
    await world.change_user(ada, manager_id=chief)
    await world.run()
    return ada


async def test_a_disable_that_was_lost_is_sent_again_by_the_next_initial_cycle(world: World) -> None:
    await released(world)
    assert await world.run() == {}
    assert (await restarted(world))["ada"] == "disable success"
    assert (await world.accounts())["ada"]["active"] is False


async def test_who_was_seen_disabled_after_leaving_the_scope_is_the_applications_own(world: World) -> None:
    account = await released(world)
    await restarted(world)
    assert (await restarted(world))["ada"] == "other skipped"
    await world.application_change(account, active=True)
    before = len(world.asked)
    assert (await restarted(world))["ada"] == "other skipped"
    assert (await world.accounts())["ada"]["active"] is True
    assert not [sent for sent in world.asked[before:] if account in sent.path]


@pytest.mark.req("REQ-P-090")
async def test_between_initial_cycles_nothing_is_asked_of_whom_the_job_has_released(world: World) -> None:
    account = await released(world)
    [ada] = (row[0] for row in world.db.reader.execute("SELECT source_id FROM link"))
    before = len(world.asked)
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    await world.run()
    await world.directory.change(lambda c, now: users.purge_user(c, ada, now))
    await world.run()
    assert not [sent for sent in world.asked[before:] if account in sent.path]


async def test_a_manager_whose_removal_was_lost_is_taken_away_by_the_next_initial_cycle(world: World) -> None:
    boss = await world.add_user("boss")
    ada = await world.add_user("ada", manager=boss)
    await world.assign(boss, ada)
    await world.run()
    held = {name: account["id"] for name, account in (await world.accounts()).items()}
    await world.change_user(ada, manager_id=None)
    await world.run()
    extension = {ENTERPRISE: {"manager": {"value": held["boss"]}}}
    await world.application_change(held["ada"], **extension)
    assert (await restarted(world))["ada"] == "update success"
    assert "manager" not in (await world.accounts())["ada"].get(ENTERPRISE, {})
    await restarted(world)
    # Now that it was seen to be gone, a manager is the application's own (REQ-P-013).
    await world.application_change(held["ada"], **extension)
    assert (await restarted(world))["ada"] == "other skipped"
    assert (await world.accounts())["ada"][ENTERPRISE]["manager"]["value"] == held["boss"]


async def test_a_manager_whose_removal_was_lost_is_taken_away_also_when_a_leaver_had_taken_the_place(
    world: World,
) -> None:
    ada = await named_a_leaver(world)
    held = {name: account["id"] for name, account in (await world.accounts()).items()}
    assert "manager" not in (await world.accounts())["ada"].get(ENTERPRISE, {})
    await world.application_change(held["ada"], **{ENTERPRISE: {"manager": {"value": held["boss"]}}})
    await world.change_user(ada, manager_id=None)
    assert (await restarted(world))["ada"] == "update success"
    assert "manager" not in (await world.accounts())["ada"].get(ENTERPRISE, {})


async def test_a_manager_is_taken_away_once_where_somebody_who_left_is_named_instead(world: World) -> None:
    await named_a_leaver(world)
    before = len(world.sent)
    await restarted(world)
    await restarted(world)
    assert world.sent[before:] == []


async def test_who_is_deleted_because_there_is_no_soft_delete_gets_the_manager_with_the_new_account(
    world: World,
) -> None:
    profile = orjson.dumps({"softDelete": False}).decode()
    await world.db.write(lambda c: c.execute("UPDATE job SET profile = ?", (profile,)).rowcount)
    boss = await world.add_user("boss")
    ada = await world.add_user("ada", manager=boss)
    await world.assign(boss, ada)
    await world.run()
    await world.change_user(ada, account_enabled=False)
    assert await world.run() == {"ada": "delete success"}
    await world.change_user(ada, account_enabled=True)
    await world.run()
    accounts = await world.accounts()
    assert accounts["ada"][ENTERPRISE]["manager"]["value"] == accounts["boss"]["id"]


@pytest.mark.req("REQ-P-068")
async def test_who_was_gone_when_the_manager_was_to_be_set_is_looked_at_by_the_next_cycle(world: World) -> None:
    boss = await world.add_user("boss")
    ada = await world.add_user("ada", manager=boss)
    await world.assign(ada)
    await world.run()
    await world.application_delete((await world.accounts())["ada"]["id"])
    await world.assign(boss)
    assert await world.run() == {"boss": "create success", "ada": "update failure"}
    sent = len(world.sent)
    await world.configure(parity_rematchMissing="on")
    assert await world.run() == {"ada": "create success"}
    accounts = await world.accounts()
    assert accounts["ada"][ENTERPRISE]["manager"]["value"] == accounts["boss"]["id"]
    assert [request.method for request in world.sent[sent:]] == ["POST", "PATCH"]


@pytest.mark.req("REQ-P-068")
async def test_a_group_that_was_gone_when_a_member_was_to_be_added_is_sent_nothing_more(world: World) -> None:
    ada, bea = await world.add_user("ada"), await world.add_user("bea")
    team = await world.add_group("Team", ada, bea)
    await world.assign(team)
    await world.change_user(bea, account_enabled=False)
    await world.run()
    await world.application_delete(world.service.object_connections.find(world.job_id, team).target_anchor, "Groups")
    await world.change_user(bea, account_enabled=True)
    await world.run()
    sent = len(world.sent)
    await world.run()
    assert code_of(world.entries()["Team"]) == "InvalidAnchor"
    await world.run()
    assert world.sent[sent:] == []


@pytest.mark.req("REQ-P-105")
@pytest.mark.parametrize("status", [404, 400, 413])
async def test_a_member_whose_account_is_gone_keeps_nobody_else_out_of_the_group(world: World, status: int) -> None:
    people = [await world.add_user(name) for name in ("ada", "bea", "cid", "dan", "eva")]
    team = await world.add_group("Team")
    await world.assign(team, *people)
    await world.run()
    bea = (await world.accounts())["bea"]["id"]
    await world.application_delete(bea)
    for person in people:
        await world.add_member(team, person)
    world.fail(lambda method, path: status if method == "PATCH" and bea in str(world.sent[-1].body) else None)
    outcome = await world.run()
    assert (outcome["Team"], outcome["bea"], outcome["ada"]) == ("update failure", "update failure", "other skipped")
    assert await world.held_groups() == {"Team": {"ada", "cid", "dan", "eva"}}
    reason = world.entries()["Team"]["provisioningStatusInfo"]["errorInformation"]["reason"]
    assert reason.startswith("bea@fjord.example: ")
    sent = len(world.sent)
    assert (await world.run())["Team"] == "update failure"
    assert len(world.sent) == sent + 1, "nobody else is sent again"


@pytest.mark.req("REQ-P-105")
async def test_who_is_gone_from_the_application_is_no_member_either(world: World) -> None:
    ada, bea = await world.add_user("ada"), await world.add_user("bea")
    team = await world.add_group("Team", ada, bea)
    await world.assign(team, ada, bea)
    await world.run()
    gone = (await world.accounts())["bea"]["id"]
    await world.application_delete(gone)
    await world.remove_member(team, bea)
    world.fail(lambda method, path: 404 if method == "PATCH" and gone in str(world.sent[-1].body) else None)
    assert (await world.run())["Team"] == "update success"


@pytest.mark.req("REQ-P-105")
async def test_a_group_that_takes_no_members_is_not_asked_about_each_of_them(world: World) -> None:
    people = [await world.add_user(f"user{number}") for number in range(50)]
    team = await world.add_group("Team", *people)
    await world.assign(team, *people)
    world.fail(lambda method, path: 400 if method == "PATCH" and "/Groups/" in path else None)
    assert (await world.run())["Team"] == "create failure"
    assert len([each for each in world.sent if each.method == "PATCH"]) < 20
