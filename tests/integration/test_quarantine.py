"""Quarantine from end to end: what imposes it, its attempts, what lifts it, and what it ends in."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.world import World, opened

HOURS, DAYS = timedelta(hours=1), timedelta(days=1)
SMALL_NUMBERS = {"QuarantineEvaluationThreshold": "3", "QuarantineEscrowPercent": "40"}


async def assigned(world: World, *names: str) -> list[str]:
    ids = [await world.add_user(name) for name in names]
    await world.assign(*ids)
    return ids


def no_creates(method: str, path: str) -> int | None:
    return 400 if method == "POST" else None


async def out_of_reach(world: World) -> list[tuple[str, str | None]]:
    """The address is one where nobody listens; returns the credentials that were good."""
    token, _ = await world.application.tokens.create()
    wrong = [("BaseAddress", "http://127.0.0.1:9/scim"), ("SecretToken", token)]
    await world.service.connections.put_credentials(world.principal_id, wrong)
    return [("BaseAddress", f"{world.url}/scim"), ("SecretToken", token)]


def quarantine(world: World) -> Any:
    return world.status()["quarantine"]


@pytest.mark.req("REQ-P-077", "REQ-P-081", "REQ-P-085", "REQ-C-025")
async def test_too_many_failures_quarantine_at_the_end_of_the_initial_cycle_and_success_lifts(world: World) -> None:
    await world.configure(**SMALL_NUMBERS)
    await assigned(world, "ada", "bea", "cid")
    world.fail(no_creates)
    await world.service.start(world.job_id)
    [outcome] = await world.run_due()
    assert set(outcome.values()) == {"create failure"}
    assert world.cycle().state == "entry_level_errors", "the cycle ran to its end"
    assert quarantine(world)["reason"] == "EncounteredEscrowProportionThreshold"
    assert world.status()["escrowsPruned"] is False
    began = world.clock()
    world.clock.move(6 * HOURS - timedelta(seconds=1))
    assert await world.run_due() == [], "at reduced frequency"
    world.clock.move(timedelta(seconds=1))
    assert len(await world.run_due()) == 1
    found = quarantine(world)
    assert (found["seriesCount"], found["currentBegan"] > found["seriesBegan"]) == (1, True)
    world.fail(None)
    world.clock.move(began + 12 * HOURS - world.clock())
    assert await world.run_due() == [dict.fromkeys(("ada", "bea", "cid"), "create success")]
    assert (quarantine(world), world.status()["code"]) == (None, "Active")
    world.clock.move(timedelta(minutes=40))
    assert await world.run_due() == [{}], "back at its interval"


@pytest.mark.req("REQ-P-079", "REQ-P-088")
async def test_failures_among_enough_successes_and_any_number_of_skips_quarantine_nothing(world: World) -> None:
    await world.configure(**SMALL_NUMBERS)
    for number in range(5):
        await world.add_user(f"unassigned{number}")
    await assigned(world, "ada", "bea", "cid", "dan", "eve")
    await world.run()
    await assigned(world, "fay", "gus", "hal")
    world.fail(no_creates)
    await world.run()
    assert quarantine(world) is None, "3 of 8 is below 40 %"
    await world.run()
    assert quarantine(world) is None, "also when a cycle looks at the failed ones alone"
    await assigned(world, "ida")
    await world.run()
    assert quarantine(world)["error"]["message"] == "4 of 9 objects fail; more than 40 % are too many"


@pytest.mark.req("REQ-P-080")
async def test_failing_references_count_in_the_total_alone(world: World) -> None:
    await world.configure(**SMALL_NUMBERS, QuarantineTotalEscrowThreshold="4")
    members = [await world.add_user(name) for name in ("ada", "bea")]
    teams = [await world.add_group(f"Team {number}", *members) for number in range(4)]
    await world.assign(*teams)
    world.fail(lambda method, path: 400 if method == "PATCH" else None)
    await world.run()
    assert quarantine(world) is None
    await world.assign(await world.add_group("Team 5", *members))
    await world.run()
    assert quarantine(world)["reason"] == "EncounteredTotalEscrowThreshold"


@pytest.mark.req("REQ-P-078")
async def test_too_many_failures_whatever_succeeded(world: World) -> None:
    await world.configure(**SMALL_NUMBERS, QuarantineBaseEscrowThreshold="3")
    await assigned(world, *(f"user{number}" for number in range(20)))
    await world.run()
    await assigned(world, "ada", "bea", "cid", "dan")
    world.fail(no_creates)
    await world.run()
    assert quarantine(world)["reason"] == "EncounteredBaseEscrowThreshold"


@pytest.mark.req("REQ-P-082")
async def test_three_completely_failed_cycles_quarantine_a_small_tenant_unless_the_mode_is_entra(
    tmp_path: Path,
) -> None:
    for mode, expected in (("improved", "EncounteredEscrowProportionThreshold"), ("entra", None)):
        folder = tmp_path / mode
        folder.mkdir()
        async with opened(folder) as world:
            await world.configure(Mode=mode)
            ids = await assigned(world, "ada", "bea")
            world.fail(no_creates)
            for number in range(3):
                assert quarantine(world) is None
                await world.change_user(ids[0], jobTitle=str(number))
                await world.run()
            assert world.status()["countSuccessiveCompleteFailures"] == 3
            assert (quarantine(world) and quarantine(world)["reason"]) == expected


async def test_one_bad_record_in_a_quiet_tenant_quarantines_nothing(world: World) -> None:
    await assigned(world, "ada", "bea")
    await world.run()
    await assigned(world, "bad")
    world.fail(no_creates)
    for hours in (0, 1, 5, 6, 12):
        await world.run()
        world.clock.move(hours * HOURS)
    assert world.status()["countSuccessiveCompleteFailures"] >= 3
    assert quarantine(world) is None


async def test_only_cycles_that_could_not_reach_the_application_count_as_such(world: World) -> None:
    await assigned(world, "ada", "bea", "cid")
    await world.run()
    await assigned(world, "bad")
    world.fail(no_creates)
    for hours in (0, 0, 6):
        world.clock.move(hours * HOURS)
        await world.run()
    assert world.status()["countSuccessiveCompleteFailures"] == 3
    good = await out_of_reach(world)
    for _ in range(2):
        await world.run()
    await world.service.connections.put_credentials(world.principal_id, good)
    assert await world.run() == {}
    assert world.status()["countSuccessiveCompleteFailures"] == 0, "it was reached"
    await out_of_reach(world)
    for expected in (None, None, "EncounteredQuarantineException"):
        await world.run()
        assert (quarantine(world) and quarantine(world)["reason"]) == expected


@pytest.mark.req("REQ-P-082")
async def test_cycles_that_could_not_reach_the_application_are_not_taken_for_failed_exports(world: World) -> None:
    await assigned(world, "ada", "bea")
    address = await out_of_reach(world)
    for _ in range(2):
        await world.run()
    await world.service.connections.put_credentials(world.principal_id, address)
    world.fail(no_creates)
    for expected in (None, None, "EncounteredEscrowProportionThreshold"):
        await world.service.restart(world.job_id, "Watermark")
        await world.run()
        assert (quarantine(world) and quarantine(world)["reason"]) == expected


async def test_as_documented_an_initial_cycle_forgets_its_failures_and_pauses_the_job(world: World) -> None:
    await world.configure(**SMALL_NUMBERS, parity_quarantineAfterInitialCycle="off")
    await assigned(world, "ada", "bea", "cid")
    world.fail(lambda method, path: 401)
    await world.service.start(world.job_id)
    await world.run_due()
    assert quarantine(world)["reason"] == "EncounteredQuarantineException"
    world.fail(no_creates)
    world.clock.move(6 * HOURS)
    await world.run_due()
    assert (quarantine(world), world.status()["escrowsPruned"]) == (None, True)
    assert world.job().schedule_state == "Paused"
    assert world.db.reader.execute("SELECT count(*) FROM escrow").fetchone()[0] == 0


@pytest.mark.req("REQ-P-075")
async def test_as_documented_an_application_that_cannot_be_reached_quarantines_at_once(world: World) -> None:
    await world.configure(parity_patientWhenUnreachable="off")
    await out_of_reach(world)
    await world.run()
    assert quarantine(world)["reason"] == "EncounteredQuarantineException"


@pytest.mark.req("REQ-P-087")
@pytest.mark.parametrize("lifts", ["start", "restart", "credentials"])
async def test_start_restart_and_new_credentials_end_a_quarantine(world: World, lifts: str) -> None:
    await assigned(world, "ada")
    await world.service.start(world.job_id)
    await world.revoke_tokens()
    await world.run_due()
    assert quarantine(world)["reason"] == "EncounteredQuarantineException"
    token, _ = await world.application.tokens.create()
    if lifts != "credentials":
        before = world.job().next_run_at
        await world.service.connections.put_credentials(world.principal_id, [("SecretToken", token)])
        assert (world.job().next_run_at or "") < (before or "")
        await (world.service.start(world.job_id) if lifts == "start" else world.service.restart(world.job_id, None))
        assert quarantine(world) is None
    else:
        await world.service.connections.put_credentials(world.principal_id, [("SecretToken", token)])
    assert await world.run_due() == [{"ada": "create success"}]
    assert quarantine(world) is None


@pytest.mark.req("REQ-P-086", "REQ-C-025")
async def test_after_28_days_the_job_is_disabled_sends_nothing_and_starts_with_an_initial_cycle(world: World) -> None:
    ada = (await assigned(world, "ada"))[0]
    await world.service.start(world.job_id)
    await world.run_due()
    world.fail(lambda method, path: 401)
    requests: list[str] = []
    for _ in range(60):
        await world.run_due()
        world.clock.move(DAYS / 2)
    assert (world.job().schedule_state, world.status()["code"]) == ("Disabled", "Quarantine")
    world.fail(lambda method, path: requests.append(path))
    await world.change_user(ada, jobTitle="New")
    world.clock.move(2 * DAYS)
    assert await world.run_due() == []
    assert requests == []
    await world.service.start(world.job_id)
    assert await world.run_due() == [{"ada": "update success"}]
    assert (world.cycle().kind, quarantine(world)) == ("initial", None)


async def test_stopping_a_job_in_quarantine_keeps_what_is_known_of_it(world: World) -> None:
    await world.service.quarantine(world.job_id, "maintenance")
    await world.service.pause(world.job_id)
    assert world.job().schedule_state == "Paused"
    assert quarantine(world)["error"]["message"] == "maintenance"


async def test_a_quarantine_by_hand_slows_the_job_down_until_an_administrator_lifts_it(world: World) -> None:
    await assigned(world, "ada")
    await world.service.start(world.job_id)
    await world.run_due()
    await world.service.quarantine(world.job_id, "the application is being moved")
    found = quarantine(world)
    assert (found["reason"], found["error"]["message"]) == ("QuarantinedOnDemand", "the application is being moved")
    world.clock.move(HOURS)
    assert await world.run_due() == []
    world.clock.move(5 * HOURS)
    assert await world.run_due() == [{}]
    assert (quarantine(world)["reason"], quarantine(world)["seriesCount"]) == ("QuarantinedOnDemand", 1)
    await world.service.start(world.job_id)
    assert quarantine(world) is None
