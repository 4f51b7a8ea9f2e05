"""What is sent for somebody who leaves, by the way of leaving, and for a later deletion (provisioning service §9)."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from joiner.directory import groups, users
from tests.world import World, joined, opened

Leave = Callable[[World, str], Awaitable[None]]
DISABLE = ("PATCH", [{"op": "replace", "path": "active", "value": False}])
DELETE = ("DELETE", None)


def is_deleted(world: World, user_id: str) -> bool:
    return world.directory.users_by_id([user_id])[user_id].deleted_at is not None


async def unassign(world: World, user_id: str) -> None:
    await world.unassign(user_id)


async def leave_department(world: World, user_id: str) -> None:
    await world.change_user(user_id, department="Legal")


async def disable(world: World, user_id: str) -> None:
    await world.change_user(user_id, account_enabled=False)


async def soft_delete(world: World, user_id: str) -> None:
    await world.directory.change(lambda c, now: users.delete_user(c, user_id, now))


async def purge(world: World, user_id: str) -> None:
    if not is_deleted(world, user_id):
        await soft_delete(world, user_id)
    await world.directory.change(lambda c, now: users.purge_user(c, user_id, now))


async def disable_and_unassign(world: World, user_id: str) -> None:
    await disable(world, user_id)
    await unassign(world, user_id)


def only_sales(document: dict[str, Any]) -> None:
    clause = {"sourceOperandName": "department", "operatorName": "EQUALS", "targetOperand": {"values": ["Sales"]}}
    scope = {"groups": [{"name": "Sales only", "clauses": [clause]}]}
    document["synchronizationRules"][0]["objectMappings"][0]["scope"] = scope


async def sent_for(world: World, user_id: str, leave: Leave) -> list[tuple[str, Any]]:
    """What the cycle after it writes; a change of another attribute at the same time goes nowhere."""
    if not is_deleted(world, user_id):
        await world.change_user(user_id, jobTitle="Changed")
    await leave(world, user_id)
    world.sent.clear()
    await world.run()
    return [(sent.method, sent.body and sent.body["Operations"]) for sent in world.sent]


TABLE: list[tuple[Leave, list[Any], list[Any], list[Any]]] = [
    (unassign, [DISABLE], [], []),
    (leave_department, [DISABLE], [], []),
    (disable, [DISABLE], [DISABLE], [DELETE]),
    (soft_delete, [DISABLE], [DISABLE], [DELETE]),
    (purge, [DELETE], [DELETE], []),
    (disable_and_unassign, [DISABLE], [DISABLE], []),
]
"""Way to leave → what is sent, what with SkipOutOfScopeDeletions, and what when the user is purged afterwards."""


@pytest.mark.req(
    "REQ-P-020", "REQ-P-090", "REQ-P-091", "REQ-P-092", "REQ-P-093", "REQ-P-096", "REQ-P-097", "REQ-P-098", "REQ-P-099"
)
@pytest.mark.parametrize("soft_deletes", [True, False])
@pytest.mark.parametrize("skips", [True, False])
async def test_each_way_to_leave_sends_what_the_table_says(tmp_path: Path, skips: bool, soft_deletes: bool) -> None:
    async with opened(tmp_path, SkipOutOfScopeDeletions=str(skips)) as world:
        await world.set_schema(only_sales)
        await world.service.connections.change_profile(world.job_id, {"softDelete": soft_deletes})
        people = [await world.add_user(leave.__name__, department="Sales") for leave, *_ in TABLE]
        await world.assign(*people)
        await world.run()
        for person, (leave, sent, sent_if_skipped, sent_later) in zip(people, TABLE, strict=True):
            expected = sent_if_skipped if skips else sent
            assert await sent_for(world, person, leave) == (expected if soft_deletes else [DELETE] * len(expected))
            if leave is not purge:
                assert await sent_for(world, person, purge) == (sent_later if soft_deletes else [])


@pytest.mark.req("REQ-P-090")
async def test_who_is_unassigned_while_disabled_is_not_managed_any_more(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.run()
    assert await sent_for(world, ada, disable) == [DISABLE]
    assert await sent_for(world, ada, unassign) == []
    assert await sent_for(world, ada, purge) == []
    assert "ada" in await world.accounts()


@pytest.mark.req("REQ-P-058", "REQ-P-094", "REQ-P-109")
async def test_memberships_of_who_comes_back_are_written_once_more_by_a_restart(world: World) -> None:
    _, bea, _ = await joined(world)
    account = (await world.accounts())["bea"]["id"]
    assert await sent_for(world, bea, disable) == [DISABLE]
    assert await world.held_groups() == {"Team": {"ada", "bea"}}
    # As applications do that take disabled accounts out of their groups.
    [group] = await world._held("Groups")
    left = {"op": "remove", "path": f'members[value eq "{account}"]'}
    await world._by_hand("PATCH", f"Groups/{group['id']}", {"Operations": [left]})
    await world.change_user(bea, account_enabled=True)
    world.sent.clear()
    await world.run()
    assert [sent.path for sent in world.sent] == [f"/scim/Users/{account}"]
    for outcome in ("update success", "other skipped"):
        await world.service.restart(world.job_id, None)
        assert (await world.run())["Team"] == outcome
        assert await world.held_groups() == {"Team": {"ada", "bea"}}


@pytest.mark.req("REQ-P-095")
async def test_without_a_mapping_of_is_soft_deleted_nobody_is_disabled_and_who_is_purged_is_deleted(
    world: World,
) -> None:
    def unmap(document: dict[str, Any]) -> None:
        mappings = document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
        mappings[:] = [each for each in mappings if each["targetAttributeName"] != "active"]

    await world.set_schema(unmap)
    people = [await world.add_user(name) for name in ("ada", "bea", "cid")]
    await world.assign(*people)
    await world.run()
    for person, leave in zip(people, (unassign, disable, soft_delete), strict=True):
        assert await sent_for(world, person, leave) == []
    assert [await sent_for(world, person, purge) for person in people] == [[], [DELETE], [DELETE]]


@pytest.mark.req("REQ-P-097", "REQ-P-100")
async def test_a_group_that_is_left_alone_is_told_as_a_deletion_that_was_skipped(tmp_path: Path) -> None:
    async with opened(tmp_path, SkipOutOfScopeDeletions="True") as world:
        team, crew = await world.add_group("Team"), await world.add_group("Crew")
        await world.assign(team, crew)
        await world.run()
        await world.unassign(team)
        await world.directory.change(lambda c, now: groups.delete_group(c, crew, now))
        assert await world.run() == {"Team": "delete skipped", "Crew": "delete success"}
        assert set(await world.held_groups()) == {"Team"}
