"""The documented gaps that a switch opens, seen from the application; others are where their subject is."""

from datetime import timedelta
from pathlib import Path

import pytest

from joiner.errors import NotFoundError
from joiner.provisioning.client.profile import ENTRA_RATE
from joiner.provisioning.cycle.prepare import profile_of
from joiner.provisioning.log.audit import SERVICE_ITSELF
from joiner.provisioning.on_demand import Subject
from tests.world import World, code_of, opened

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


async def late_manager_and_member(world: World) -> tuple[bool, dict[str, set[str]]]:
    """Whether Ada has her manager, and who is in the group, when the manager comes into scope after her."""
    boss = await world.add_user("boss")
    ada = await world.add_user("ada", manager=boss)
    team = await world.add_group("Team", ada)
    await world.assign(team)
    await world.run()
    await world.change_user(boss, account_enabled=False)
    await world.add_member(team, boss)
    await world.run()
    await world.change_user(boss, account_enabled=True)
    await world.run()
    assert "boss" in await world.accounts()
    has_manager = "manager" in (await world.accounts())["ada"].get(ENTERPRISE, {})
    return has_manager, await world.held_groups()


@pytest.mark.req("REQ-P-108")
async def test_late_references_are_set_in_that_cycle_or_as_documented_after_a_restart(tmp_path: Path) -> None:
    for mode, expected in (("improved", (True, {"Team": {"ada", "boss"}})), ("entra", (False, {"Team": {"ada"}}))):
        folder = tmp_path / mode
        folder.mkdir()
        async with opened(folder) as world:
            await world.configure(Mode=mode)
            assert await late_manager_and_member(world) == expected
            await world.service.restart(world.job_id, None)
            await world.run()
            assert await world.held_groups() == {"Team": {"ada", "boss"}}
            assert "manager" in (await world.accounts())["ada"][ENTERPRISE]


@pytest.mark.req("REQ-C-005", "REQ-P-068")
async def test_who_lost_the_account_is_reported_or_with_the_switch_matched_again_then_created(world: World) -> None:
    people = {name: await world.add_user(name) for name in ("ada", "bea")}
    team = await world.add_group("Team", *people.values())
    await world.assign(team, *people.values())
    await world.run()
    before = await world.accounts()
    for account in before.values():
        await world.application_delete(account["id"])
    restored = await world.application_add(userName="bea@fjord.example", displayName="Bea", active=True)
    for person in people.values():
        await world.change_user(person, jobTitle="New")
    await world.run()
    assert {name: code_of(entry) for name, entry in world.entries().items()} == dict.fromkeys(people, "InvalidAnchor")
    assert set(await world.accounts()) == {"bea"}
    await world.configure(parity_rematchMissing="on")
    outcome = await world.run()
    assert (outcome["ada"], outcome["bea"]) == ("create success", "update success")
    after = await world.accounts()
    assert after["bea"]["id"] == restored
    assert after["ada"]["id"] != before["ada"]["id"]
    assert await world.held_groups() == {"Team": {"ada", "bea"}}
    assert await world.run() == {}


async def test_with_the_switch_a_leaver_whose_account_is_gone_is_forgotten(world: World) -> None:
    await world.configure(parity_rematchMissing="on")
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.run()
    await world.application_delete((await world.accounts())["ada"]["id"])
    await world.change_user(ada, account_enabled=False)
    assert await world.run() == {"ada": "create skipped"}
    with pytest.raises(NotFoundError):
        world.service.object_connections.find(world.job_id, ada)


async def test_who_comes_back_after_the_account_was_deleted_gets_a_new_one_in_any_mode(tmp_path: Path) -> None:
    for mode in ("improved", "entra"):
        folder = tmp_path / mode
        folder.mkdir()
        async with opened(folder) as world:
            await world.configure(Mode=mode)
            ada = await world.add_user("ada")
            await world.assign(ada)
            await world.run()
            await world.unassign(ada)
            await world.run()
            await world.application_delete((await world.accounts())["ada"]["id"])
            await world.assign(ada)
            assert await world.run() == {"ada": "create success"}
            assert (await world.accounts())["ada"]["active"] is True


@pytest.mark.req("REQ-P-111")
async def test_on_demand_writes_as_a_cycle_does_or_as_documented_without_the_flag(tmp_path: Path) -> None:

    for mode, expected in (("improved", "replace"), ("entra", "Replace")):
        folder = tmp_path / mode
        folder.mkdir()
        async with opened(folder) as world:
            await world.configure(Mode=mode)
            token, _ = await world.application.tokens.create()
            flagged = [("BaseAddress", f"{world.url}/scim?aadOptscim062020"), ("SecretToken", token)]
            await world.service.connections.put_credentials(world.principal_id, flagged)
            ada = await world.add_user("ada", jobTitle="Old")
            await world.assign(ada)
            await world.run()
            await world.change_user(ada, jobTitle="New")
            await world.side.on_demand.provision(world.job(), Subject("User", ada), SERVICE_ITSELF)
            patch = next(sent.body for sent in world.sent if sent.method == "PATCH")
            assert patch["Operations"][0]["op"] == expected
            await world.change_user(ada, jobTitle="Newer")
            await world.run()
            assert world.sent[-1].body["Operations"][0]["op"] == "replace"


@pytest.mark.req("REQ-C-035")
async def test_a_job_as_the_reference_keeps_to_its_rate_and_another_goes_by_the_target(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        rates = []
        for settings in ({"Mode": "improved"}, {"Mode": "entra"}, {"parity_adaptivePace": "on"}):
            await world.configure(**settings)
            rates.append(profile_of(world.job()).requests_per_second)
        assert rates == [None, ENTRA_RATE, None]
        await world.configure(parity_adaptivePace=None)
        await world.service.connections.change_profile(world.job_id, {"requestsPerSecond": 100})
        assert profile_of(world.job()).requests_per_second == 100


async def test_a_cycle_in_the_mode_of_the_reference_really_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.configure(Mode="entra")
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            world.clock.move(timedelta(seconds=seconds))

        world.clock.sleep = sleep  # type: ignore[method-assign]
        world.side._targets._sleep = sleep
        for number in range(20):
            await world.assign(await world.add_user(f"user{number}"))
        began, asked = world.clock.now, len(world.asked)
        await world.run()
        took = (world.clock.now - began).total_seconds()
        assert slept
        assert (len(world.asked) - asked) / took <= ENTRA_RATE * 1.2
