"""Inbound from a SCIM source: what is read from an endpoint over real sockets becomes users of the directory."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from joiner.errors import InvalidStateError, InvalidValueError, NotFoundError
from joiner.provisioning.cycle.connection_check import ConnectionTestError
from joiner.provisioning.job.cycles import begin_cycle
from joiner.provisioning.log.audit import SERVICE_ITSELF
from joiner.provisioning.on_demand import Subject
from tests.inbound import ENTERPRISE, SCIM_SOURCE, held, person, upload
from tests.world import World, code_of, opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path, SCIM_SOURCE) as world:
        # The source stamps what it keeps with the time of this machine.
        world.clock.now = datetime.now(UTC)
        await world.service.connections.change_profile(world.job_id, {"pageSize": 2})
        yield world


async def hire(world: World, data: Any) -> str:
    """Adds somebody to the source; their id there."""
    world.clock.now = datetime.now(UTC)
    made = await world._by_hand("POST", "Users", data)
    return str(made["id"])


async def change(world: World, id_: str, **values: Any) -> None:
    """Replaces attributes in the source."""
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    await world._by_hand("PATCH", f"Users/{id_}", {"schemas": schemas, "Operations": operations})


async def cycle(world: World) -> dict[str, str]:
    """Runs one a moment later than whatever was changed last; what became of whom."""
    world.clock.now = datetime.now(UTC)
    world.asked.clear()
    return await world.run()


def lists(world: World) -> list[str]:
    """The requests for lists, with blanks for plus signs."""
    return [each.path.replace("+", " ") for each in world.asked]


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


@pytest.mark.req("REQ-C-037")
async def test_a_full_read_asks_for_the_active_ones_of_all_time_page_by_page(world: World) -> None:
    boss = await hire(world, person("E-0", "Bo Dahl"))
    for number in range(1, 5):
        await hire(world, person(f"E-{number}", f"P{number} Berg", manager=boss, title="Buyer"))
    await hire(world, person("E-9", "Gone Long", active=False))
    outcome = await cycle(world)
    assert outcome == {"bo": "create success", **{f"p{n}": "create success" for n in range(1, 5)}}
    until = stamp(world.clock.now)
    window = f'meta.lastModified ge "0001-01-03T00:00:00.0000000Z" and meta.lastModified le "{until}"'
    condition = f"filter=active eq true and ({window})"
    pages = [f"/Users?{condition}&startIndex={start}&count=2" for start in (1, 3, 5)]
    assert lists(world) == ["/Users?count=1", *pages]
    assert {each.method for each in world.asked} == {"GET"}
    assert held(world, "p4").manager_id == held(world, "bo").id
    assert held(world, "p4").attributes["jobTitle"] == "Buyer"


@pytest.mark.req("REQ-C-037")
async def test_an_incremental_read_asks_for_what_was_modified_since_and_sees_leavers(world: World) -> None:
    ids = [await hire(world, person(f"E-{number}", f"P{number} Berg")) for number in range(5)]
    await cycle(world)
    first = world.clock.now
    await world.db.write(lambda c: c.execute("UPDATE inbound_watermark SET read_to = ?", (stamp(first + MARGIN),)))
    await change(world, ids[0], title="Lead")
    await change(world, ids[1], active=False)
    await hire(world, person("E-7", "New Berg"))
    world.clock.now = datetime.now(UTC)
    assert await cycle(world) == {"p0": "update success", "p1": "disable success", "new": "create success"}
    window = f'meta.lastModified ge "{stamp(first)}" and meta.lastModified le "{stamp(world.clock.now)}"'
    assert lists(world)[1] == f"/Users?filter={window}&startIndex=1&count=2"
    assert not held(world, "p1").account_enabled
    assert held(world, "p0").attributes["jobTitle"] == "Lead"


MARGIN = timedelta(minutes=5)
"""Delta reads begin so much earlier: tests that want to see what is left out take it away."""


async def test_what_has_not_changed_is_read_again_for_a_while_and_written_never(world: World) -> None:
    await hire(world, person("E-1", "Ada Berg"))
    await cycle(world)
    before = world.directory.feed_position()
    assert await cycle(world) == {"ada": "other skipped"}
    assert world.directory.feed_position() == before


async def test_a_manager_that_the_source_takes_away_goes_and_one_set_by_hand_stays(world: World) -> None:
    boss = await hire(world, person("E-0", "Bo Dahl"))
    ada = await hire(world, person("E-1", "Ada Berg", manager=boss))
    await hire(world, person("E-2", "Eva Berg"))
    await cycle(world)
    await world.change_user(held(world, "eva").id, manager_id=held(world, "bo").id)
    await world._by_hand("PUT", f"Users/{ada}", person("E-1", "Ada Berg"))
    await cycle(world)
    assert held(world, "ada").manager_id is None
    assert held(world, "eva").manager_id == held(world, "bo").id


async def test_a_read_that_is_cut_off_goes_on_at_its_page_and_takes_nobody_over_twice(world: World) -> None:
    for number in range(7):
        await hire(world, person(f"E-{number}", f"P{number} Berg"))
    world.clock.now = datetime.now(UTC)
    runner = world.side.runner
    position = world.directory.feed_position()
    begun = await world.db.write(lambda c: begin_cycle(c, world.job_id, position, world.clock.now))
    fence = await runner.take(begun.id)
    await runner.run_page(begun.id, fence)
    await runner.run_page(begun.id, fence)
    world.clock.move(timedelta(hours=1))
    world.asked.clear()
    again = await runner.take(begun.id)
    with pytest.raises(InvalidStateError):
        await runner.run_page(begun.id, fence)
    while await runner.run_page(begun.id, again):
        pass
    assert world.directory.count_users() == 7
    assert world.cycle().counts["create"] == 7
    assert [path.partition("&startIndex=")[2] for path in lists(world)] == ["5&count=2"] * 2 + ["7&count=2"]
    assert f'le "{stamp(datetime.fromisoformat(begun.began_at))}"' in lists(world)[-1]


@pytest.mark.req("REQ-C-037")
async def test_one_is_asked_for_by_id_on_demand(world: World) -> None:
    id_ = await hire(world, person("E-1", "Ada Berg"))
    await hire(world, person("E-2", "Bo Dahl"))
    world.asked.clear()
    entry = await world.side.on_demand.provision(world.job(), Subject("User", id_), SERVICE_ITSELF)
    assert (entry["provisioningAction"], entry["provisioningStatusInfo"]["status"]) == ("create", "success")
    assert lists(world) == [f'/Users?filter=id eq "{id_}"']
    assert held(world, "ada").attributes["employeeId"] == "E-1"
    assert world.directory.count_users() == 1
    with pytest.raises(NotFoundError, match="no user with the id 'nobody'"):
        await world.side.on_demand.provision(world.job(), Subject("User", "nobody"), SERVICE_ITSELF)
    with pytest.raises(InvalidValueError, match="only users"):
        await world.side.on_demand.provision(world.job(), Subject("Group", id_), SERVICE_ITSELF)


async def test_the_connection_is_tested_by_listing_one_user(world: World) -> None:
    world.asked.clear()
    results = await world.service.connections.test_connection(world.principal_id, "SCIM2AAD", None)
    assert [result.problem for result in results] == [None, None, None]
    assert lists(world) == ["/Users?count=1"]
    await world.revoke_tokens()
    with pytest.raises(ConnectionTestError, match="credentials failed"):
        await world.service.connections.validate_credentials(world.principal_id, "SCIM2AAD", None)


async def test_a_source_that_refuses_the_token_quarantines_the_job(world: World) -> None:
    await hire(world, person("E-1", "Ada Berg"))
    await world.revoke_tokens()
    await cycle(world)
    assert world.status()["code"] == "Quarantine"
    assert world.status()["quarantine"]["error"]["code"] == "Unauthorized"
    assert world.directory.count_users() == 0


async def test_a_restart_reads_everything_again_leavers_as_well(world: World) -> None:
    id_ = await hire(world, person("E-1", "Ada Berg"))
    await cycle(world)
    await change(world, id_, active=False)
    await world.service.restart(world.job_id, "Watermark")
    assert await cycle(world) == {"ada": "disable success"}
    assert 'ge "0001-01-03' in lists(world)[1]
    assert "active eq true" not in lists(world)[1]


async def test_who_cannot_be_taken_over_is_tried_again_without_being_read_again(world: World) -> None:
    rival = await world.add_user("ada")
    await hire(world, person("E-1", "Ada Berg", enterprise={"department": "Supply"}))
    assert await cycle(world) == {"ada": "create failure"}
    assert code_of(world.entries()["ada"]) == "Conflict"
    await world.change_user(rival, user_principal_name="other@fjord.example")
    await world.db.write(lambda c: c.execute("UPDATE inbound_watermark SET read_to = ?", (stamp(FAR),)))
    assert await cycle(world) == {"ada": "create success"}
    assert held(world, "ada").attributes["department"] == "Supply"


FAR = datetime(2100, 1, 1, tzinfo=UTC)


async def test_a_job_that_reads_takes_no_uploads(world: World) -> None:
    with pytest.raises(InvalidValueError, match="takes no uploads"):
        await upload(world, person("E-1", "Ada Berg"))
    assert ENTERPRISE in person("E-1", "Ada Berg")
