"""Plans for an application that knows no PATCH: they say what is sent, and carrying them out loses
nothing that the application has beside."""

from collections import Counter
from collections.abc import Mapping

import orjson
import pytest

from joiner.provisioning.planning.overlay import Variation
from tests.planning import Requests, apply, items, make_plan
from tests.world import Sent, World

PUT_ALONE = {"updates": "put"}
MEMBERS_BY_PATCH = {"updates": "put", "memberUpdates": "patch", "removesMembersBy": "value"}


@pytest.fixture(
    params=[PUT_ALONE, {**PUT_ALONE, "membersAddedPerPatch": 1, "mixedMemberChanges": False}, MEMBERS_BY_PATCH],
    ids=["put", "put one by one", "members by patch"],
)
async def world(request: pytest.FixtureRequest, world: World) -> World:
    await world.service.connections.change_profile(world.job_id, request.param)
    refused = "/scim/" if request.param["updates"] == request.param.get("memberUpdates", "put") else "/scim/Users"
    world.fail(lambda method, path: 405 if method == "PATCH" and path.startswith(refused) else None)
    return world


async def team_of(world: World) -> dict[str, str]:
    """Four people, three of them in the group Team."""
    ids = {"ada": await world.add_user("ada", jobTitle="Engineer")}
    for name in ("bea", "cid", "dan"):
        ids[name] = await world.add_user(name, manager=ids["ada"], jobTitle="Clerk")
    ids["Team"] = await world.add_group("Team", ids["ada"], ids["bea"], ids["dan"])
    await world.assign(ids["Team"], ids["cid"])
    return ids


async def change(world: World, ids: Mapping[str, str]) -> None:
    await world.change_user(ids["ada"], jobTitle="Director")
    await world.change_user(ids["bea"], account_enabled=False)
    await world.change_user(ids["cid"], manager_id=ids["bea"])
    await world.remove_member(ids["Team"], ids["bea"])
    await world.add_member(ids["Team"], ids["cid"])
    await world.add_member(ids["Team"], await world.add_user("eve", manager=ids["cid"]))


async def carried_out(world: World, variation: Variation | None = None) -> list[Sent]:
    """Makes a plan, carries it out, and proves that what it said was sent; returns that."""
    requests = Requests(world)
    plan = await make_plan(world, variation)
    assert plan.state == "ready", plan.error
    before = len(world.sent)
    report = await apply(world, plan.number)
    assert (report["states"].keys(), report["refused"]) == ({"sent"}, [])
    requests.learn()
    sent = world.sent[before:]
    assert compared(requests.planned(plan.number)) == compared(requests.sent(sent))
    return sent


def compared(requests: Counter[str]) -> Counter[str]:
    """The requests, without the order that the application gives to members, and what it says of them."""
    found: Counter[str] = Counter()
    for text, number in requests.items():
        method, path, content = text.split(" ", 2)
        body = orjson.loads(content)
        if path.startswith("/Groups"):
            body["members"] = sorted(each["value"] for each in body.get("members", ()))
        found[f"{method} {path} {orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()}"] += number
    return found


async def sends_nothing(world: World) -> None:
    before = len(world.sent)
    await world.run()
    assert world.cycle().kind == "initial"
    assert len(world.sent) == before


async def test_what_is_planned_is_sent_and_then_nothing_is_left_to_do(world: World) -> None:
    ids = await team_of(world)
    await carried_out(world)
    assert await world.held_groups() == {"Team": {"ada", "bea", "dan"}}
    await change(world, ids)
    sent = await carried_out(world)
    assert {request.method for request in sent if request.path.startswith("/scim/Users")} == {"POST", "PUT"}
    assert await world.held_groups() == {"Team": {"ada", "cid", "dan", "eve"}}
    accounts = await world.accounts()
    assert (accounts["ada"]["title"], accounts["bea"]["active"]) == ("Director", False)
    await sends_nothing(world)


async def test_drift_is_repaired_without_a_loss(world: World) -> None:
    await team_of(world)
    await world.run()
    accounts = {name: account["id"] for name, account in (await world.accounts()).items()}
    [group] = await world._held("Groups")
    stranger = await world.application_add(userName="local@fjord.example", nickName="Lo")
    await world.application_change(accounts["ada"], title="Boss", nickName="A")
    operations = [
        {"op": "remove", "path": f'members[value eq "{accounts["bea"]}"]'},
        {"op": "add", "path": "members", "value": [{"value": stranger}]},
    ]
    await world._by_hand("PATCH", f"Groups/{group['id']}", {"Operations": operations})
    plan = await make_plan(world, Variation(is_drift=True))
    assert items(world, plan.number).keys() == {"ada", "Team"}
    await carried_out(world, Variation(is_drift=True))
    assert await world.held_groups() == {"Team": {"ada", "bea", "dan", "local"}}
    ada = (await world.accounts())["ada"]
    assert (ada["title"], ada["nickName"]) == ("Engineer", "A")
    plan = await make_plan(world, Variation(is_drift=True))
    assert items(world, plan.number) == {}
