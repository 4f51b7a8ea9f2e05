"""Looks for drift that come round by themselves: when, what becomes of what they find, who is told."""

from datetime import timedelta
from typing import Any

import pytest

from joiner.provisioning.planning.drift_checks import TRIED_AGAIN, DriftChecks
from tests.world import World

DAY = timedelta(hours=24)
TO = "ops@fjord.example"


async def ada_is_watched(world: World, action: str = "report") -> str:
    """Ada is provisioned, the job started, and looked at every day; the id of her account."""
    await world.assign(await world.add_user("ada", jobTitle="Engineer"))
    await world.service.start(world.job_id)
    await world.run_due()
    await world.configure(DriftCheckHours="24", DriftCheckAction=action, NotificationEmail=TO)
    account: str = (await world.accounts())["ada"]["id"]
    return account


async def look(world: World, checks: DriftChecks | None = None) -> dict[str, Any]:
    """What the scheduler does until nothing is under way any more; how it stands then."""
    checks = checks or world.side.drift_checks
    for _ in range(10):
        await checks.advance()
        await world.side.planning.wait()
        for cycle_id in list(world.engine._tasks):
            await world.engine.wait(cycle_id)
    stands = checks.document(world.job())
    assert stands["plan"] is None
    return stands


def mails(world: World) -> list[tuple[str, str]]:
    """(subject, body) of the e-mails that wait."""
    return [tuple(row) for row in world.db.reader.execute("SELECT subject, body FROM mail ORDER BY created_at, id")]


async def test_a_look_comes_round_at_its_interval_and_tells_once_what_it_found(world: World) -> None:
    account = await ada_is_watched(world)
    first = await look(world)
    assert (first["everyHours"], first["action"], first["lastPlan"]) == (24, "report", 1)
    assert mails(world) == [], "there is nothing to tell"
    await world.application_change(account, title="Boss")
    assert (await look(world))["lastPlan"] == 1, "it is not due yet"
    world.clock.move(DAY)
    assert (await look(world))["lastPlan"] == 2
    [(subject, body)] = mails(world)
    assert subject.endswith("the application is not as it should be")
    assert "To be updated: 1" in body
    assert 'plans "ALVAO" --show 2' in body
    world.clock.move(DAY)
    assert (await look(world))["lastPlan"] == 3
    assert len(mails(world)) == 1, "it is the same as yesterday"
    assert (await world.accounts())["ada"]["title"] == "Boss"
    await world.application_change(account, displayName="Somebody")
    world.clock.move(DAY)
    await look(world)
    assert len(mails(world)) == 2, "something more was found"


async def test_what_is_to_be_repaired_is_and_the_logs_name_who_did_it(world: World) -> None:
    account = await ada_is_watched(world, "repair")
    await world.application_change(account, title="Boss")
    await look(world)
    assert (await world.accounts())["ada"]["title"] == "Engineer"
    [(subject, body)] = mails(world)
    assert subject.endswith("have been put right")
    assert "Put right: 1" in body
    entry = world.entries()["ada"]
    assert entry["initiatedBy"]["initiatorType"] == "system"
    [reason] = world.db.reader.execute("SELECT reason FROM audit WHERE reason LIKE 'plan %'").fetchall()
    assert reason[0] == "plan 1 (repair of drift) is carried out: 1 objects chosen"
    world.clock.move(DAY)
    assert (await look(world))["lastPlan"] == 2
    assert len(mails(world)) == 1


async def test_nobody_looks_while_the_job_does_not_run_and_again_when_it_does(world: World) -> None:
    await ada_is_watched(world)
    await world.service.pause(world.job_id)
    assert (await look(world))["lastPlan"] is None
    assert world.side.drift_checks.next_due() is None
    await world.service.start(world.job_id)
    await world.run_due()
    assert (await look(world))["lastPlan"] == 1
    await world.configure(DriftCheckHours=None)
    world.clock.move(2 * DAY)
    assert await look(world) == {
        "everyHours": 0, "action": "report", "nextDateTime": None, "plan": None, "lastPlan": None, "lastDateTime": None,
    }  # fmt: skip


@pytest.mark.parametrize("action", ["report", "repair"])
async def test_a_process_that_dies_in_a_look_begins_it_anew_and_one_that_dies_later_goes_on(
    world: World, action: str
) -> None:
    account = await ada_is_watched(world, action)
    await world.application_change(account, title="Boss")
    await world.side.drift_checks.advance()
    assert world.side.drift_checks.document(world.job())["plan"] == 1
    # The plan is left behind as it is when the process that computes it is killed.
    await world.side.planning.stop()
    await world.db.write(lambda c: c.execute("UPDATE plan SET state = 'computing', error = NULL, summary = NULL"))
    assert (await look(world, DriftChecks(world.db, world.side.planning, world.clock)))["lastPlan"] == 2
    assert len(mails(world)) == 1
    expected = "Engineer" if action == "repair" else "Boss"
    assert (await world.accounts())["ada"]["title"] == expected


async def test_a_look_that_cannot_be_made_is_tried_again_after_an_hour(world: World) -> None:
    await ada_is_watched(world)
    world.fail(lambda method, path: 503 if method == "GET" else None)
    stands = await look(world)
    assert stands["lastPlan"] is None
    world.fail(None)
    world.clock.move(TRIED_AGAIN)
    assert (await look(world))["lastPlan"] is not None
