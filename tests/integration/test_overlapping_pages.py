"""Pages that begin before the one in front of them is committed."""

import pytest

from joiner.provisioning.cycle import objects, phases, references, sources
from joiner.provisioning.job import cycles
from tests.world import World

POWER_CUT = (
    "CREATE TRIGGER power_cut BEFORE INSERT ON link WHEN (SELECT count(*) FROM link) = 3"
    " BEGIN SELECT RAISE(ABORT, 'power cut'); END"
)


@pytest.fixture
async def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for module in (phases, objects, sources):
        monkeypatch.setattr(module, "OBJECTS_PER_PAGE", 2)
    for module in (phases, references):
        monkeypatch.setattr(module, "REFERENCES_PER_PAGE", 3)
    return world


async def begin(world: World) -> tuple[str, int]:
    begun = await world.db.write(
        lambda c: cycles.begin_cycle(c, world.job_id, world.directory.feed_position(), world.clock())
    )
    return begun.id, await world.side.runner.take(begun.id)


async def finish(world: World, cycle_id: str, fence: int) -> None:
    while await world.side.runner.run_pages(cycle_id, fence, lambda: True):
        pass


async def company(world: World, size: int) -> list[str]:
    boss = await world.add_user("boss")
    ids = [boss, *[await world.add_user(f"u{number}", manager=boss) for number in range(size - 1)]]
    await world.assign(await world.add_group("Team", *ids))
    return ids


async def test_many_pages_arrive_whole_and_are_counted_once(world: World) -> None:
    await company(world, 9)
    outcome = await world.run()
    assert list(outcome.values()) == ["create success"] * 10
    accounts = await world.accounts()
    assert len(accounts) == 9
    assert await world.held_groups() == {"Team": set(accounts)}
    ended = world.cycle()
    assert (ended.counts["imported"], ended.counts["create"]) == (10, 10)
    assert ended.completed_pages == ended.total_pages
    assert await world.run() == {}


@pytest.mark.req("REQ-P-065")
@pytest.mark.parametrize("number", [2, 3, 5])
async def test_of_objects_with_the_same_matching_value_only_the_first_is_written(world: World, number: int) -> None:
    """Side by side in a page, in the next one, and further away."""

    def match_by_nickname(document: dict[str, object]) -> None:
        rules: list[dict[str, list[dict[str, list[dict[str, object]]]]]] = document["synchronizationRules"]  # type: ignore[assignment]
        for mapping in rules[0]["objectMappings"][0]["attributeMappings"]:
            if mapping["targetAttributeName"] == "externalId":
                mapping["source"] = {
                    "expression": "[employeeId]", "name": "employeeId", "type": "Attribute", "parameters": []
                }  # fmt: skip

    await world.set_schema(match_by_nickname)
    await world.assign(*[await world.add_user(f"u{each}", employeeId="7") for each in range(number)])
    outcome = await world.run()
    assert sorted(outcome.values()) == ["create success", *["other failure"] * (number - 1)]
    assert len(await world.accounts()) == 1


@pytest.mark.req("REQ-P-054")
async def test_a_page_that_was_lost_takes_the_begun_one_with_it_and_both_are_done_again(world: World) -> None:
    await company(world, 9)
    cycle_id, fence = await begin(world)
    world.db.write_now(lambda c: c.execute(POWER_CUT).rowcount)
    with pytest.raises(Exception, match="power cut"):
        await finish(world, cycle_id, fence)
    world.db.write_now(lambda c: c.execute("DROP TRIGGER power_cut").rowcount)
    assert world.db.reader.execute("SELECT count(*) FROM link").fetchone()[0] == 2
    fence = await world.side.runner.take(cycle_id)
    await finish(world, cycle_id, fence)
    assert {e["provisioningAction"] for e in world.entries().values()} == {"create"}
    creates = [sent for sent in world.sent if sent.method == "POST"]
    assert len(creates) == 10
    assert world.cycle().counts["create"] == 10


async def test_a_target_that_becomes_unusable_ends_the_cycle_and_leaves_no_page_begun(world: World) -> None:
    await company(world, 9)
    cycle_id, fence = await begin(world)
    while not await world.accounts():
        await world.side.runner.run_page(cycle_id, fence)
    await world.revoke_tokens()
    await finish(world, cycle_id, fence)
    assert world.cycle().state == "failed"
    assert len(await world.accounts()) == 2


async def test_a_restart_ends_the_cycle_at_the_next_page(world: World) -> None:
    await company(world, 9)
    cycle_id, fence = await begin(world)
    asked = 0

    def goes_on() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:
            world.db.write_now(lambda c: c.execute("UPDATE job SET restart_requested = 1").rowcount)
        return True

    while await world.side.runner.run_pages(cycle_id, fence, goes_on):
        pass
    assert world.cycle().state == "abandoned"
    assert len(await world.accounts()) == 4
