"""The guard against accidental deletions: nothing of what it holds back reaches the application until it is allowed."""

from pathlib import Path

import pytest

from joiner.directory import users
from joiner.errors import NotFoundError
from joiner.provisioning.job import cycles
from tests.world import World, opened


@pytest.fixture
async def world(world: World) -> World:
    await world.configure(QuarantineTooManyDeletesThreshold="3", NotificationEmail="ops@fjord.example")
    return world


async def employed(world: World, *names: str) -> dict[str, str]:
    """Each user assigned directly and provisioned; name → id."""
    ids = {name: await world.add_user(name) for name in names}
    await world.assign(*ids.values())
    await world.service.start(world.job_id)
    await world.run_due()
    return ids


def staged(world: World) -> set[str]:
    return {
        f"{item.action} {item.object_name.partition('@')[0]}" for item in world.service.removals.staged(world.job_id)
    }


async def active(world: World) -> set[str]:
    return {name for name, account in (await world.accounts()).items() if account["active"]}


def reason(world: World) -> str | None:
    quarantine = world.status()["quarantine"]
    return quarantine["reason"] if quarantine else None


FIVE = ("ada", "bea", "cid", "dan", "eve")


@pytest.mark.req("REQ-P-112", "REQ-P-114")
async def test_one_more_than_the_threshold_is_held_back_as_a_whole_while_everything_else_goes_on(world: World) -> None:
    ids = await employed(world, *FIVE)
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.change_user(ids["eve"], jobTitle="New")
    await world.assign(await world.add_user("fay"))
    assert await world.run() == {
        **dict.fromkeys(FIVE[:4], "stagedDelete skipped"),
        "eve": "update success",
        "fay": "create success",
    }
    assert await active(world) == {*FIVE, "fay"}
    assert (reason(world), world.status()["code"]) == ("TooManyDeletes", "Quarantine")
    assert staged(world) == {f"disable {name}" for name in FIVE[:4]}
    entry = world.entries()["ada"]
    assert entry["modifiedProperties"] == [{"displayName": "active", "oldValue": "True", "newValue": "False"}]
    assert entry["provisioningStatusInfo"]["errorInformation"]["errorCode"] == "TooManyDeletes"
    [mail] = world.db.reader.execute("SELECT recipients, subject FROM mail").fetchall()
    assert tuple(mail) == ("ops@fjord.example", "Provisioning to ALVAO: deletions are held back")
    document = world.service.cycle_document(world.job_id, world.cycle().id)
    assert (document["state"], document["stagedDeletes"]) == ("entry_level_errors", 4)


@pytest.mark.req("REQ-P-113", "REQ-P-117")
async def test_exactly_the_threshold_is_sent_and_the_count_begins_anew_with_every_cycle(world: World) -> None:
    ids = await employed(world, *FIVE, "fay")
    for names in (FIVE[:3], (*FIVE[3:], "fay")):
        for name in names:
            await world.unassign(ids[name])
        assert await world.run() == dict.fromkeys(names, "disable success")
        assert reason(world) is None
    assert await active(world) == set()


@pytest.mark.req("REQ-P-115")
@pytest.mark.parametrize("how", ["allow", "ForceDeletes"])
async def test_allowed_deletions_are_sent_and_the_job_is_healthy_after_that_cycle(world: World, how: str) -> None:
    ids = await employed(world, *FIVE)
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.run()
    if how == "allow":
        assert await world.service.removals.allow(world.job_id, None) == 4
    else:
        await world.service.restart(world.job_id, "ForceDeletes")
    assert await world.run_due() == [dict.fromkeys(FIVE[:4], "disable success")]
    assert (reason(world), staged(world)) == (None, set())
    assert await active(world) == {"eve"}
    assert world.cycle().kind == "incremental"


async def test_only_what_was_shown_is_allowed_and_new_deletions_are_counted_afresh(world: World) -> None:
    ids = await employed(world, *FIVE, "fay", "gus", "hal")
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.run()
    await world.service.removals.allow(world.job_id, None)
    for name in ("eve", "fay", "gus", "hal"):
        await world.unassign(ids[name])
    [outcome] = await world.run_due()
    assert {name for name, what in outcome.items() if what == "disable success"} == set(FIVE[:4])
    assert staged(world) == {"disable eve", "disable fay", "disable gus", "disable hal"}
    assert reason(world) == "TooManyDeletes"


async def test_one_can_be_allowed_and_another_rejected(world: World) -> None:
    ids = await employed(world, *FIVE)
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.run()
    await world.service.removals.allow(world.job_id, [ids["ada"]])
    assert await world.service.removals.reject(world.job_id, [ids["bea"]]) == 1
    with pytest.raises(NotFoundError, match="no deletion 'nobody' is held back"):
        await world.service.removals.allow(world.job_id, ["nobody", ids["cid"]])
    assert reason(world) == "TooManyDeletes", "two are not answered yet"
    await world.service.removals.reject(world.job_id, [ids["cid"], ids["dan"]])
    assert reason(world) is None
    assert await world.run_due() == [{"ada": "disable success"}]
    assert await active(world) == {"bea", "cid", "dan", "eve"}


@pytest.mark.req("REQ-P-115")
async def test_who_was_not_answered_with_the_others_waits_however_few_are_left(world: World) -> None:
    ids = await employed(world, *FIVE, "fay")
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.run()
    since = {item.object_name: item.staged_at for item in world.service.removals.staged(world.job_id)}
    await world.run()
    assert {item.object_name: item.staged_at for item in world.service.removals.staged(world.job_id)} == since
    await world.service.removals.allow(world.job_id, [ids["ada"]])
    await world.service.removals.reject(world.job_id, [ids["bea"]])
    await world.unassign(ids["fay"])
    [outcome] = await world.run_due()
    assert (outcome["ada"], outcome["fay"]) == ("disable success", "disable success"), "one that is new is not too many"
    assert (staged(world), reason(world)) == ({"disable cid", "disable dan"}, "TooManyDeletes")
    left = world.service.removals.staged(world.job_id)
    assert {item.object_name: item.staged_at for item in left}.items() <= since.items()
    await world.assign(ids["cid"])
    await world.run()
    assert (staged(world), await active(world)) == ({"disable dan"}, {"bea", "cid", "dan", "eve"})
    await world.service.restart(world.job_id, "None")
    assert await world.run_due() == [{"dan": "disable success"}]
    assert (staged(world), reason(world)) == (set(), None)


@pytest.mark.req("REQ-P-116")
async def test_who_is_assigned_again_is_no_longer_staged(world: World) -> None:
    ids = await employed(world, *FIVE)
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.run()
    await world.assign(ids["ada"], ids["bea"])
    assert await world.run() == {
        "ada": "other skipped",
        "bea": "other skipped",
        "cid": "disable success",
        "dan": "disable success",
    }
    assert (staged(world), reason(world)) == (set(), None)
    assert await active(world) == {"ada", "bea", "eve"}


@pytest.mark.req("REQ-P-118")
async def test_a_restart_without_a_remedy_triggers_the_guard_again(world: World) -> None:
    ids = await employed(world, *FIVE)
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.run()
    for scope in (None, "Watermark", "None"):
        await world.service.restart(world.job_id, scope)
        [outcome] = await world.run_due()
        assert [outcome[name] for name in FIVE[:4]] == ["stagedDelete skipped"] * 4
        assert reason(world) == "TooManyDeletes"
    assert await active(world) == set(FIVE)


@pytest.mark.req("REQ-P-117")
async def test_disables_deletes_groups_and_members_are_counted_together(world: World) -> None:
    ids = await employed(world, *FIVE)
    crew = await world.add_group("Crew", ids["ada"], ids["bea"], ids["cid"])
    club = await world.add_group("Club", ids["eve"])
    await world.assign(crew, club)
    await world.run()
    await world.unassign(club)
    await world.directory.change(lambda c, now: users.delete_user(c, ids["dan"], now))
    await world.directory.change(lambda c, now: users.purge_user(c, ids["dan"], now))
    await world.remove_member(crew, ids["ada"])
    await world.remove_member(crew, ids["bea"])
    assert await world.run() == {
        "ada": "other skipped",
        "bea": "other skipped",
        "dan": "stagedDelete skipped",
        "eve": "other skipped",
        "Club": "stagedDelete skipped",
        "Crew": "other skipped",
    }
    assert await world.held_groups() == {"Crew": {"ada", "bea", "cid"}, "Club": {"eve"}}
    assert "dan" in await world.accounts()
    actions = sorted(item.action for item in world.service.removals.staged(world.job_id))
    assert actions == ["delete", "delete", "removeMember", "removeMember"]
    assert "is held back" in world.entries()["Crew"]["provisioningSteps"][-1]["description"]
    await world.service.removals.allow(world.job_id, None)
    await world.run_due()
    assert await world.held_groups() == {"Crew": {"cid"}}
    assert "dan" not in await world.accounts()
    assert (staged(world), reason(world)) == (set(), None)


async def test_who_loses_the_account_and_a_membership_counts_once(world: World) -> None:
    ids = await employed(world, *FIVE)
    crew = await world.add_group("Crew", *(ids[name] for name in FIVE))
    await world.assign(crew)
    await world.run()
    for name in FIVE[:3]:
        await world.unassign(ids[name])
        await world.remove_member(crew, ids[name])
    outcome = await world.run()
    assert [outcome[name] for name in FIVE[:3]] == ["disable success"] * 3
    assert await world.held_groups() == {"Crew": {"dan", "eve"}}


async def test_a_member_who_is_added_again_is_no_longer_held_back(world: World) -> None:
    await world.configure(QuarantineTooManyDeletesThreshold="0")
    ids = await employed(world, "ada", "bea")
    crew = await world.add_group("Crew", *ids.values())
    await world.assign(crew)
    await world.run()
    await world.remove_member(crew, ids["ada"])
    await world.run()
    assert staged(world) == {"removeMember Crew"}
    assert await world.held_groups() == {"Crew": {"ada", "bea"}}
    await world.add_member(crew, ids["ada"])
    await world.run()
    assert (staged(world), reason(world)) == (set(), None)
    await world.remove_member(crew, ids["ada"])
    await world.run()
    await world.service.removals.reject(world.job_id, None)
    await world.run()
    assert await world.held_groups() == {"Crew": {"ada", "bea"}}


async def test_as_documented_memberships_are_not_guarded(world: World) -> None:
    await world.configure(Mode="entra", QuarantineTooManyDeletesThreshold="0")
    ids = await employed(world, "ada", "bea")
    crew = await world.add_group("Crew", *ids.values())
    await world.assign(crew)
    await world.run()
    await world.remove_member(crew, ids["ada"])
    await world.run()
    assert (await world.held_groups(), reason(world)) == ({"Crew": {"bea"}}, None)


async def test_an_account_that_is_inactive_already_does_not_count(world: World) -> None:
    ids = await employed(world, *FIVE)
    held = await world.accounts()
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    await world.application_change(held["ada"]["id"], active=False)
    outcome = await world.run()
    assert (outcome["ada"], outcome["bea"]) == ("other skipped", "disable success")


async def test_with_the_guard_off_everything_is_sent(world: World) -> None:
    await world.configure(PreventAccidentalDeletions="false")
    ids = await employed(world, *FIVE)
    for id_ in ids.values():
        await world.unassign(id_)
    assert await world.run() == dict.fromkeys(FIVE, "disable success")


@pytest.mark.req("REQ-P-112")
async def test_an_initial_cycle_holds_back_who_was_purged_while_nobody_looked(world: World) -> None:
    ids = await employed(world, *FIVE)
    for name in FIVE[:4]:
        await world.directory.change(lambda c, now, id_=ids[name]: users.delete_user(c, id_, now))  # type: ignore[misc] # binds id_
        await world.directory.change(lambda c, now, id_=ids[name]: users.purge_user(c, id_, now))  # type: ignore[misc] # binds id_
    await world.service.restart(world.job_id, None)
    [outcome] = await world.run_due()
    assert [outcome[name] for name in FIVE[:4]] == ["stagedDelete skipped"] * 4
    assert await active(world) == set(FIVE)
    await world.service.removals.allow(world.job_id, None)
    assert await world.run_due() == [dict.fromkeys(FIVE[:4], "delete success")]
    assert await active(world) == {"eve"}


async def test_a_share_of_the_managed_objects_is_too_many_by_default(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        names = [f"user{number}" for number in range(60)]
        ids = await employed(world, *names)
        for name in names[:25]:
            await world.unassign(ids[name])
        assert set((await world.run()).values()) == {"disable success"}, "25 are never too many"
        for name in names[25:51]:
            await world.unassign(ids[name])
        assert set((await world.run()).values()) == {"stagedDelete skipped"}
        assert len(await active(world)) == 35


async def test_who_leaves_a_group_after_everything_was_counted_is_counted_by_the_next_cycle(world: World) -> None:
    await world.configure(QuarantineTooManyDeletesThreshold="0")
    ada = await world.add_user("ada")
    team = await world.add_group("Team", ada)
    await world.assign(team, ada)
    await world.run()
    # Who left and came back between two cycles is looked at as a member once more, and leaves just then.
    await world.remove_member(team, ada)
    await world.add_member(team, ada)
    begun = await world.db.write(
        lambda c: cycles.begin_cycle(c, world.job_id, world.directory.feed_position(), world.clock())
    )
    fence = await world.side.runner.take(begun.id)
    while world.cycle_running().phase != "references":
        await world.side.runner.run_page(begun.id, fence)
    await world.remove_member(team, ada)
    while await world.side.runner.run_page(begun.id, fence):
        pass
    assert await world.held_groups() == {"Team": {"ada"}}
    await world.run()
    assert staged(world) == {"removeMember Team"}
    assert await world.held_groups() == {"Team": {"ada"}}


async def test_what_is_held_back_survives_a_page_that_was_cut_off(world: World) -> None:
    ids = await employed(world, *FIVE)
    for name in FIVE[:4]:
        await world.unassign(ids[name])
    cycle = await world.service.run_now(world.job_id)
    await world.engine.wait(cycle.id)
    before = staged(world)
    position = world.directory.feed_position()
    again = await world.db.write(lambda c: cycles.begin_cycle(c, world.job_id, position, world.clock()))
    for _ in range(6):
        # A new worker for every page: each takes over from the one before.
        fence = await world.side.runner.take(again.id)
        await world.side.runner.run_page(again.id, fence)
    assert staged(world) == before
    assert (await active(world), reason(world)) == (set(FIVE), "TooManyDeletes")
