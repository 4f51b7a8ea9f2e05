"""What tests of the census share: people, lists in parts, and what was asked about whom."""

from typing import Any

import orjson

from joiner.provisioning.job import cycles
from tests.world import World

Body = dict[str, Any]


async def prefetch(world: World, wanted: str) -> None:
    settings = orjson.dumps({"Prefetch": wanted}).decode()
    await world.db.write(lambda c: c.execute("UPDATE job SET settings = ?", (settings,)).rowcount)


async def people(world: World, *names: str) -> list[str]:
    ids = [await world.add_user(name) for name in names]
    await world.assign(*ids)
    return ids


async def list_in_parts(world: World, size: int) -> None:
    profile = orjson.dumps({"pageSize": size}).decode()
    await world.db.write(lambda c: c.execute("UPDATE job SET profile = ?", (profile,)).rowcount)


def gets(world: World) -> list[str]:
    return [sent.path for sent in world.asked if sent.method == "GET"]


def looked_up(world: World) -> list[str]:
    """What was asked about single objects, without the test of the connection and of the list."""
    return [
        path
        for path in gets(world)
        if "count=" not in path and not ("filter" in path and is_probe(path.rpartition('"')[0][-36:]))
    ]


def is_probe(value: str) -> bool:
    """Whether the value is a random UUID: ids of the directory are derived ones."""
    return value.count("-") == 4 and value[14] == "4"


async def begin(world: World) -> tuple[str, int]:
    """A cycle that has read its census and nothing else: its id and fencing number."""
    cycle = await world.db.write(
        lambda c: cycles.begin_cycle(c, world.job_id, world.directory.feed_position(), world.clock())
    )
    fence = await world.side.runner.take(cycle.id)
    while world.cycle_running().phase == "census":
        await world.side.runner.run_page(cycle.id, fence)
    return cycle.id, fence


async def finish(world: World, cycle_id: str, fence: int) -> None:
    while await world.side.runner.run_page(cycle_id, fence):
        pass


def census_states(world: World) -> dict[str, str]:
    return dict(world.db.reader.execute("SELECT object_type, state FROM census").fetchall())


async def others(world: World, number: int) -> list[str]:
    """So many accounts that belong to nobody in the directory."""
    return [await world.application_add(userName=f"u{at}@fjord.example") for at in range(number)]


async def begin_with_one_page(world: World) -> tuple[str, int]:
    """A cycle that has read one part of the users' list."""
    cycle = await world.db.write(
        lambda c: cycles.begin_cycle(c, world.job_id, world.directory.feed_position(), world.clock())
    )
    fence = await world.side.runner.take(cycle.id)
    await world.side.runner.run_page(cycle.id, fence)
    return cycle.id, fence


def uncounted(body: Body) -> Body:
    return {name: value for name, value in body.items() if name != "totalResults"}
