"""The census of a target whose lists are read by cursor (RFC 9865)."""

from collections.abc import Callable
from itertools import count

import pytest

from tests.census import (
    Body,
    begin,
    census_states,
    finish,
    gets,
    list_in_parts,
    looked_up,
    others,
    people,
    prefetch,
    uncounted,
)
from tests.world import Falsify, World

REDUNDANT = "other skipped"


@pytest.fixture
async def world(world: World) -> World:
    await prefetch(world, "on")
    return world


async def list_by_cursor(world: World, size: int) -> None:
    await world.service.connections.change_profile(world.job_id, {"paging": "cursor", "pageSize": size})


def lists(world: World, parameter: str) -> list[str]:
    return [path for path in gets(world) if "/Users?" in path and f"{parameter}=" in path]


def untold(body: Body) -> Body:
    """The number of objects is told on no page."""
    return uncounted(body)


def told_once(body: Body) -> Body:
    """It is told on the first page alone."""
    return body if "previousCursor" not in body else uncounted(body)


@pytest.mark.req("REQ-C-029")
@pytest.mark.parametrize("falsify", [None, untold, told_once])
async def test_lists_are_read_by_cursor(world: World, falsify: Falsify | None) -> None:
    await list_by_cursor(world, 2)
    world.falsify = falsify
    strangers = await others(world, 4)
    ada, *_ = await people(world, "ada", "bea", "cid")
    mine = await world.application_add(userName="x@fjord.example", externalId=ada)
    assert await world.run() == {"ada": "update success", "bea": "create success", "cid": "create success"}
    assert looked_up(world) == [f"/Users/{strangers[0]}"]
    assert len(lists(world, "cursor")) == 3
    assert lists(world, "startIndex") == []
    assert (await world.accounts())["ada"]["id"] == mine
    await world.service.restart(world.job_id, None)
    before = len(world.sent)
    assert set((await world.run()).values()) == {REDUNDANT}
    assert len(world.sent) == before


@pytest.mark.req("REQ-C-029")
async def test_a_cursor_that_comes_unasked_is_followed(world: World) -> None:
    await list_in_parts(world, 2)
    await others(world, 5)
    ada, _ = await people(world, "ada", "bea")
    mine = await world.application_add(userName="x@fjord.example", externalId=ada)
    given = (await world._by_hand("GET", "Users?cursor=&count=2"))["nextCursor"]
    world.falsify = lambda body: (
        {**body, "nextCursor": given} if "startIndex" in body and "userName" in str(body) else body
    )
    assert await world.run() == {"ada": "update success", "bea": "create success"}
    assert (len(lists(world, "startIndex")), len(lists(world, "cursor"))) == (1, 2)
    assert (await world.accounts())["ada"]["id"] == mine


def expired(number: int, body: Body) -> Body | int:
    return 400 if number == 1 else body


def without_end(number: int, body: Body) -> Body:
    return {**body, "Resources": [], "nextCursor": "again"} if number else body


def in_circles(number: int, body: Body) -> Body:
    return {**body, "Resources": body["Resources"][:1] * 2} if number else body


def cut_short(number: int, body: Body) -> Body:
    return {name: value for name, value in body.items() if name != "nextCursor"} if number else body


@pytest.mark.parametrize("falsify", [expired, without_end, in_circles, cut_short])
async def test_a_list_by_cursor_that_breaks_off_is_given_up_for_queries(
    world: World, falsify: Callable[[int, Body], Body | int]
) -> None:
    await list_by_cursor(world, 2)
    await others(world, 5)
    ada, _ = await people(world, "ada", "bea")
    mine = await world.application_add(userName="x@fjord.example", externalId=ada)
    numbers = count()
    world.falsify = lambda body: falsify(next(numbers), body)
    cycle_id, fence = await begin(world)
    assert census_states(world)["User"] == "given up"
    await finish(world, cycle_id, fence)
    assert world.cycle().state == "succeeded"
    accounts = await world.accounts()
    assert (len(accounts), accounts["ada"]["id"]) == (7, mine)


@pytest.mark.parametrize(("falsify", "parts"), [(None, 1), (untold, 2)])
async def test_a_list_by_cursor_is_not_read_on_when_asking_would_take_less(
    world: World, falsify: Falsify | None, parts: int
) -> None:
    await list_by_cursor(world, 2)
    await prefetch(world, "auto")
    await people(world, *(f"p{number}" for number in range(6)))
    await others(world, 20)
    world.falsify = falsify
    await begin(world)
    assert census_states(world) == {"User": "given up"}
    assert len(lists(world, "cursor")) == parts
