"""Start, pause and restart with every scope, and when failures are tried again: whole cycles, a clock that is moved."""

from datetime import timedelta
from pathlib import Path

import pytest

from joiner.directory import users
from joiner.errors import InvalidValueError
from joiner.provisioning.decisions.decision import Problem
from joiner.provisioning.job import cycles, jobs, links
from tests.world import World, code_of, joined, opened

MINUTES, HOURS, DAYS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def provisioned(world: World) -> str:
    """Ada, assigned and created; the job has a watermark."""
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.service.start(world.job_id)
    assert await world.run_due() == [{"ada": "create success"}]
    return ada


def numbers_kept(world: World) -> dict[str, int]:
    count = "SELECT count(*) FROM {} WHERE job_id = ?"
    tables = ("link", "escrow")
    return {name: world.db.reader.execute(count.format(name), (world.job_id,)).fetchone()[0] for name in tables}


@pytest.mark.req("REQ-P-058", "REQ-P-059", "REQ-P-087", "REQ-P-127")
@pytest.mark.parametrize(
    ("scope", "links_left", "escrows_left", "quarantined", "initial"),
    [
        (None, 1, 0, False, True),
        ("", 1, 0, False, True),
        ("QuarantineState, Watermark, Escrows", 1, 0, False, True),
        ("Watermark", 1, 1, True, True),
        ("Escrows", 1, 0, True, False),
        ("QuarantineState", 1, 1, False, False),
        ("watermark,quarantinestate", 1, 1, False, True),
        ("None", 1, 1, False, False),
        ("Full", 0, 0, False, True),
        ("ConnectorDataStore", 0, 0, False, True),
        ("ForceDeletes", 1, 1, True, False),
    ],
)
async def test_a_restart_forgets_what_its_scope_names_and_nothing_else(
    world: World, scope: str | None, links_left: int, escrows_left: int, quarantined: bool, initial: bool
) -> None:
    await provisioned(world)
    problem = Problem("Conflict", "taken")
    await world.db.write(lambda c: links.escrow(c, world.job_id, "u", "User", problem, world.clock()))
    await world.service.quarantine(world.job_id, "by hand")
    await world.service.restart(world.job_id, scope)
    assert numbers_kept(world) == {"link": links_left, "escrow": escrows_left}
    assert (world.job().quarantine is not None) is quarantined
    assert (world.job().watermark is None) is initial
    assert world.job().schedule_state == "Active"
    assert jobs.due_jobs(world.db.reader, world.clock()) == [world.job_id]
    counted = world.status()["synchronizedEntryCountByType"]
    assert bool(counted) is bool(links_left), "counted anew once the links are forgotten"


@pytest.mark.req("REQ-P-127")
async def test_who_is_deleted_stays_counted_and_who_comes_is_counted_besides(world: World) -> None:
    def counted() -> list[int]:
        return [each["value"] for each in world.status()["synchronizedEntryCountByType"]]

    ada, _, team = await joined(world)
    assert counted() == [2, 1]
    await world.directory.change(lambda c, now: users.delete_user(c, ada, now))
    await world.directory.change(lambda c, now: users.purge_user(c, ada, now))
    await world.unassign(team)
    await world.run()
    assert counted() == [2, 1]
    dan = await world.add_user("dan")
    await world.assign(dan, await world.add_group("Crew"))
    await world.run()
    assert counted() == [3, 2]
    await world.service.restart(world.job_id, None)
    await world.run()
    assert counted() == [3, 2]
    await world.service.pause(world.job_id)
    await world.service.object_connections.forget(world.job_id, dan)
    assert counted() == [2, 2]
    assert await world.run() == {}
    await world.change_user(dan, jobTitle="Clerk")
    assert await world.run() == {"dan": "update success"}
    assert counted() == [3, 2], "matched again, and counted once"
    await world.service.restart(world.job_id, "ConnectorDataStore")
    await world.run()
    assert counted() == [1, 1], "who is provisioned now"


async def test_an_unknown_scope_is_refused_and_changes_nothing(world: World) -> None:
    await provisioned(world)
    with pytest.raises(InvalidValueError, match="'Everything' is not a resetScope"):
        await world.service.restart(world.job_id, "Watermark, Everything")
    assert world.job().watermark is not None


@pytest.mark.req("REQ-P-056")
async def test_the_interval_can_be_set_down_to_a_minute_and_counts_at_once(world: World) -> None:
    await world.service.start(world.job_id)
    assert len(await world.run_due()) == 1
    await world.configure(IntervalMinutes="1")
    assert world.service.job_document(world.job())["schedule"]["interval"] == "PT1M"
    for _ in range(2):
        assert await world.run_due() == []
        world.clock.move(timedelta(minutes=1))
        assert await world.run_due() == [{}]
    await world.configure(IntervalMinutes=None)
    world.clock.move(timedelta(minutes=1))
    assert await world.run_due() == [{}], "as was said when the last one began"
    world.clock.move(timedelta(minutes=39))
    assert await world.run_due() == []
    for wrong in ("0", "1.5", "1441"):
        with pytest.raises(InvalidValueError, match="IntervalMinutes must be a"):
            await world.configure(IntervalMinutes=wrong)


@pytest.mark.req("REQ-P-057")
async def test_a_paused_job_goes_on_where_it_stopped(world: World) -> None:
    ada = await provisioned(world)
    await world.service.pause(world.job_id)
    await world.change_user(ada, jobTitle="Late")
    world.clock.move(2 * DAYS)
    assert await world.run_due() == []
    await world.service.start(world.job_id)
    assert await world.run_due() == [{"ada": "update success"}]
    assert world.cycle().kind == "incremental"


async def test_a_restart_starts_a_paused_job(world: World) -> None:
    await provisioned(world)
    await world.service.pause(world.job_id)
    await world.service.restart(world.job_id, None)
    assert await world.run_due() == [{"ada": "other skipped"}]
    assert (world.cycle().kind, world.status()["code"]) == ("initial", "Active")


@pytest.mark.req("REQ-P-056")
async def test_starting_a_job_that_runs_begins_no_second_cycle(world: World) -> None:
    await provisioned(world)
    await world.service.start(world.job_id)
    assert await world.run_due() == []


async def test_a_restart_while_a_cycle_runs_ends_it_at_its_page_and_an_initial_one_follows(world: World) -> None:
    await world.add_user("ada")
    await world.service.start(world.job_id)
    position = world.directory.feed_position()
    cycle = await world.db.write(lambda c: cycles.begin_cycle(c, world.job_id, position, world.clock()))
    fence = await world.side.runner.take(cycle.id)
    assert await world.side.runner.run_page(cycle.id, fence)
    await world.service.restart(world.job_id, "Full")
    assert await world.run_due() == [], "cycles never overlap"
    assert not await world.side.runner.run_page(cycle.id, fence)
    assert world.cycle().state == "abandoned"
    assert world.job().watermark is None
    [outcome] = await world.run_due()
    assert (outcome, world.cycle().kind) == ({"ada": "create skipped"}, "initial")


@pytest.mark.req("REQ-P-035")
async def test_a_narrower_scope_restarts_the_job_unless_the_mode_waits_for_the_administrator(tmp_path: Path) -> None:
    for mode, kind in (("improved", "initial"), ("entra", "incremental")):
        folder = tmp_path / mode
        folder.mkdir()
        async with opened(folder, SyncAll="true") as world:
            await world.configure(Mode=mode)
            await world.add_user("ada")
            assert await world.run() == {"ada": "create success"}
            assert world.service.count_leaving(world.job()) == 1
            await world.service.connections.put_credentials(world.principal_id, [("SyncAll", "false")])
            outcome = await world.run()
            assert world.cycle().kind == kind
            assert outcome == ({"ada": "disable success"} if mode == "improved" else {})
            await world.service.restart(world.job_id, None)
            await world.run()
            assert (await world.accounts())["ada"]["active"] is False


@pytest.mark.req("REQ-P-073", "REQ-P-074")
async def test_a_failing_user_is_tried_at_its_times_dropped_after_28_days_and_taken_up_when_changed(
    world: World,
) -> None:
    await world.configure(parity_smallTenantQuarantine="off")
    ada = await world.add_user("ada")
    await world.assign(ada)
    world.fail(lambda method, path: 400 if method == "POST" else None)
    began, tried = world.clock(), []
    looked_at = [0 * HOURS, 40 * MINUTES, 80 * MINUTES, *(n * HOURS for n in (6, 7, 12, 13, 24, 30, 48, 49, 72))]
    for moment in looked_at:
        world.clock.move(began + moment - world.clock())
        if await world.run():
            tried.append(moment)
    assert tried == [0 * HOURS, 40 * MINUTES, *(n * HOURS for n in (6, 12, 24, 48, 72))]
    world.clock.move(began + 28 * DAYS - world.clock())
    assert (await world.run()) == {"ada": "create failure"}
    assert any("has failed for 28 days" in s["description"] for s in world.entries()["ada"]["provisioningSteps"])
    world.clock.move(2 * DAYS)
    assert await world.run() == {}
    assert world.job().schedule_state != "Paused", "one object's failure does not stop the job"
    world.fail(None)
    await world.change_user(ada, jobTitle="New")
    assert await world.run() == {"ada": "create success"}


@pytest.mark.req("REQ-P-074")
async def test_a_change_or_an_assignment_makes_a_failed_user_due_at_once(world: World) -> None:
    await world.configure(parity_smallTenantQuarantine="off")
    ada = await world.add_user("ada")
    await world.assign(ada)
    world.fail(lambda method, path: 400 if method == "POST" else None)
    await world.run()
    await world.run()
    assert await world.run() == {}, "not due for six hours"
    await world.change_user(ada, jobTitle="New")
    assert await world.run() == {"ada": "create failure"}
    await world.assign(await world.add_group("Team", ada))
    assert (await world.run())["ada"] == "create failure"
    assert numbers_kept(world)["escrow"] == 2
    world.fail(None)
    await world.change_user(ada, jobTitle="Newer")
    assert (await world.run())["ada"] == "create success"


@pytest.mark.req("REQ-P-080", "REQ-P-088")
async def test_references_that_fail_are_counted_apart_and_tried_at_their_times(world: World) -> None:
    ada = await world.add_user("ada")
    team = await world.add_group("Team", ada)
    await world.assign(team)
    world.fail(lambda method, path: 400 if method == "PATCH" and "/Groups" in path else None)
    assert (await world.run())["Team"] == "create failure"
    assert code_of(world.entries()["Team"]) == "UnprocessableEntity"
    assert links.count_escrows(world.db.reader, world.job_id) == (0, 1)
    assert set(await world.run()) == {"Team"}, "in the next cycle"
    assert await world.run() == {}, "then after six hours"
    bea = await world.add_user("bea")
    await world.add_member(team, bea)
    assert (await world.run())["Team"] == "update failure", "a new member makes them due at once"
    world.fail(None)
    world.clock.move(6 * HOURS)
    assert await world.run() == {"Team": "update success"}
    assert await world.held_groups() == {"Team": {"ada", "bea"}}
    assert links.count_escrows(world.db.reader, world.job_id) == (0, 0)


async def test_failures_that_are_forgotten_are_not_tried_again_before_the_next_initial_cycle(world: World) -> None:
    team = await world.add_group("Team", await world.add_user("ada"))
    await world.assign(team)
    for refused in ("POST", "PATCH"):
        world.fail(lambda method, path, refused=refused: 400 if method == refused else None)  # type: ignore[misc] # binds it
        await world.service.restart(world.job_id, "Watermark")
        assert any(outcome.endswith("failure") for outcome in (await world.run()).values())
        await world.service.restart(world.job_id, "Escrows")
        world.sent.clear()
        assert await world.run() == {}
        assert world.sent == []
    world.fail(None)
    await world.service.restart(world.job_id, "Watermark")
    await world.run()
    assert await world.held_groups() == {"Team": {"ada"}}


async def test_a_stop_at_once_ends_the_cycle_at_its_page_and_start_does_the_rest(world: World) -> None:
    ada = await provisioned(world)
    await world.change_user(ada, jobTitle="Late")
    watermark = world.job().watermark
    position = world.directory.feed_position()
    cycle = await world.db.write(lambda c: cycles.begin_cycle(c, world.job_id, position, world.clock()))
    fence = await world.side.runner.take(cycle.id)
    await world.service.pause(world.job_id, at_once=True)
    assert not await world.side.runner.run_page(cycle.id, fence)
    assert (world.cycle().state, world.job().watermark) == ("abandoned", watermark)
    await world.service.start(world.job_id)
    assert await world.run_due() == [{"ada": "update success"}]
    assert world.cycle().kind == "incremental"
