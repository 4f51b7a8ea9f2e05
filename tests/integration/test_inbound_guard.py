"""The guard against accidental deletions in front of our own directory: whom an inbound job would disable."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from joiner.errors import InvalidStateError
from joiner.provisioning.job.cycles import begin_cycle
from joiner.provisioning.log import journal_rows
from joiner.provisioning.log.audit import SERVICE_ITSELF
from joiner.provisioning.on_demand import Subject
from tests.inbound import API_DRIVEN, SCIM_SOURCE, held, person, send, upload
from tests.world import World, opened

NAMES = ("Ada Berg", "Bea Dahl", "Cid Eng", "Dan Foss", "Eve Gran", "Fay Hol")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path, API_DRIVEN) as it:
        await it.configure(QuarantineTooManyDeletesThreshold="3", NotificationEmail="ops@fjord.example")
        await send(it, *(someone(number) for number in range(6)))
        yield it


def someone(number: int, *, active: bool = True, **more: Any) -> Any:
    return person(f"E-{number}", NAMES[number], active=active, **more)


async def lose(world: World, *numbers: int) -> dict[str, str]:
    """These leave, each with an upload of their own; what one cycle makes of it."""
    for number in numbers:
        await upload(world, someone(number, active=False))
    return await world.run()


def enabled(world: World) -> str:
    """The initials of those who may sign in."""
    names = (name.partition(" ")[0].lower() for name in NAMES)
    return "".join(name[0] for name in names if held(world, name).account_enabled)


def staged(world: World) -> set[str]:
    return {
        f"{item.action} {item.object_name.partition('@')[0]}" for item in world.service.removals.staged(world.job_id)
    }


def reason(world: World) -> str | None:
    quarantine = world.status()["quarantine"]
    return quarantine["reason"] if quarantine else None


FOUR = {f"disable {name}" for name in ("ada", "bea", "cid", "dan")}


@pytest.mark.req("REQ-P-112", "REQ-P-114")
async def test_one_more_than_the_threshold_is_held_back_however_small_the_uploads_are(world: World) -> None:
    await upload(world, someone(4, title="Lead"), person("E-9", "Gus Iver"))
    told = await lose(world, 0, 1, 2, 3)
    assert told == {
        **dict.fromkeys(("ada", "bea", "cid", "dan"), "stagedDelete skipped"),
        "eve": "update success",
        "gus": "create success",
    }
    assert enabled(world) == "abcdef"
    assert staged(world) == FOUR
    assert (reason(world), world.status()["code"]) == ("TooManyDeletes", "Quarantine")
    entry = world.entries()["ada"]
    assert entry["modifiedProperties"] == [{"displayName": "accountEnabled", "oldValue": "True", "newValue": "False"}]
    assert entry["provisioningStatusInfo"]["errorInformation"]["errorCode"] == "TooManyDeletes"
    assert world.db.reader.execute("SELECT count(*) FROM mail").fetchone()[0] == 1
    document = world.service.cycle_document(world.job_id, world.cycle().id)
    assert (document["state"], document["stagedDeletes"]) == ("entry_level_errors", 4)


@pytest.mark.req("REQ-P-113", "REQ-P-117")
async def test_as_many_as_the_threshold_are_disabled_and_the_next_cycle_counts_anew(world: World) -> None:
    assert await lose(world, 0, 1, 2) == dict.fromkeys(("ada", "bea", "cid"), "disable success")
    assert world.cycle().counts["disable"] == 3
    assert await lose(world, 3, 4, 5) == dict.fromkeys(("dan", "eve", "fay"), "disable success")
    assert (enabled(world), reason(world)) == ("", None)


async def test_by_default_a_fifth_of_the_people_is_too_many_over_all_pages_of_a_cycle(tmp_path: Path) -> None:
    async with opened(tmp_path, API_DRIVEN) as world:
        people = [(f"E-{number}", f"P{number} Berg") for number in range(110)]
        for start in range(0, 110, 50):
            await send(world, *(person(*each) for each in people[start : start + 50]))
        for start in range(0, 60, 20):
            await upload(world, *(person(*each, active=False) for each in people[start : start + 20]))
        assert set((await world.run()).values()) == {"stagedDelete skipped"}
        assert len(staged(world)) == 60
        await world.service.removals.allow(world.job_id, None)
        await world.run()
        assert world.cycle().counts["disable"] == 60
        assert not held(world, "p59").account_enabled
        assert held(world, "p60").account_enabled


@pytest.mark.req("REQ-P-115")
async def test_what_is_allowed_is_written_and_the_rest_stays_held(world: World) -> None:
    await lose(world, 0, 1, 2, 3, 4)
    assert await world.service.removals.allow(world.job_id, ["E-4"]) == 1
    assert reason(world) == "TooManyDeletes"
    assert (await world.run())["eve"] == "disable success"
    assert (enabled(world), staged(world), reason(world)) == ("abcdf", FOUR, "TooManyDeletes")
    await world.service.removals.allow(world.job_id, None)
    assert reason(world) is None
    assert await world.run() == dict.fromkeys(("ada", "bea", "cid", "dan"), "disable success")
    assert (enabled(world), staged(world), world.status()["code"]) == ("f", set(), "Paused")


async def test_only_what_was_shown_is_allowed_and_later_leavers_are_counted_with_those_who_wait(world: World) -> None:
    await lose(world, 0, 1, 2, 3)
    await world.service.removals.allow(world.job_id, None)
    assert await lose(world, 4, 5) == dict.fromkeys(("ada", "bea", "cid", "dan", "eve", "fay"), "disable success")
    await send(world, *(someone(number) for number in range(6)))
    await lose(world, 0, 1, 2, 3)
    told = await lose(world, 4)
    assert told == dict.fromkeys(("ada", "bea", "cid", "dan", "eve"), "stagedDelete skipped")
    assert enabled(world) == "abcdef"


async def test_what_is_rejected_is_counted_again_when_the_source_says_it_again(world: World) -> None:
    await lose(world, 0, 1, 2, 3)
    assert await world.service.removals.reject(world.job_id, None) == 4
    assert reason(world) is None
    assert await world.run() == {}
    assert (enabled(world), staged(world)) == ("abcdef", set())
    await lose(world, 0, 1, 2, 3)
    assert staged(world) == FOUR


@pytest.mark.req("REQ-P-116")
async def test_who_is_active_again_or_was_disabled_by_hand_is_no_longer_held(world: World) -> None:
    await lose(world, 0, 1, 2, 3)
    await world.change_user(held(world, "bea").id, account_enabled=False)
    told = await send(world, someone(0, title="Buyer"))
    assert told == {"ada": "update success", "cid": "disable success", "dan": "disable success"}
    assert (enabled(world), staged(world), reason(world)) == ("aef", set(), None)


@pytest.mark.req("REQ-P-118")
async def test_a_restart_without_a_remedy_holds_them_back_again(world: World) -> None:
    await lose(world, 0, 1, 2, 3)
    await world.service.restart(world.job_id, None)
    assert reason(world) is None
    await world.run_due()
    assert (reason(world), staged(world), enabled(world)) == ("TooManyDeletes", FOUR, "abcdef")


async def test_only_the_disabling_waits_and_everything_else_of_the_person_is_written(world: World) -> None:
    for number in range(3):
        await upload(world, someone(number, active=False))
    assert (await send(world, someone(3, active=False, title="Former", manager="E-4")))["dan"] == "stagedDelete skipped"
    dan = held(world, "dan")
    assert (dan.account_enabled, dan.attributes["jobTitle"]) == (True, "Former")
    assert dan.manager_id == held(world, "eve").id
    names = [each["displayName"] for each in world.entries()["dan"]["modifiedProperties"]]
    assert names == ["jobTitle", "manager", "accountEnabled"]


async def test_who_leaves_and_comes_back_in_one_cycle_is_never_disabled_and_every_operation_is_told(
    world: World,
) -> None:
    begun = held(world, "ada")
    await upload(world, someone(0, active=False, title="Former"))
    await send(world, someone(0, enterprise={"department": "Supply"}))
    ada = held(world, "ada")
    assert ada.account_enabled
    assert {**begun.attributes, "jobTitle": "Former", "department": "Supply"} == ada.attributes
    rows = world.db.reader.execute(
        f"SELECT {journal_rows.COLUMNS} FROM journal_run r JOIN journal j ON j.run = r.number ORDER BY j.position"
    )
    told = [
        entry["provisioningAction"]
        for _, entry in journal_rows.documents(rows)
        if entry["sourceIdentity"]["id"] == "E-0"
    ]
    assert told == ["create", "update", "update"]


async def test_the_last_operation_of_a_leaver_has_the_entry_that_tells_the_end(world: World) -> None:
    await upload(world, someone(0, title="Lead"))
    await send(world, someone(0, active=False))
    entries = journal_rows.entries_of_source(world.db.reader, world.job_id, "E-0", 2)
    assert [entry["provisioningAction"] for entry in entries] == ["disable", "update"]
    assert not held(world, "ada").account_enabled


async def test_who_leaves_the_scope_is_managed_until_disabled(world: World) -> None:
    await world.configure(QuarantineTooManyDeletesThreshold="0")
    clause = {"sourceOperandName": "title", "operatorName": "NOT EQUALS", "targetOperand": {"values": ["Former"]}}
    scope: Any = {"groups": [{"name": "not former", "clauses": [clause]}]}

    def narrow(document: Any) -> None:
        document["synchronizationRules"][0]["objectMappings"][0]["scope"] = scope

    await world.set_schema(narrow)

    def is_managed() -> bool:
        row = world.db.reader.execute("SELECT is_managed FROM link WHERE source_id = 'E-0'").fetchone()
        return bool(row[0])

    assert (await send(world, someone(0, title="Former")))["ada"] == "stagedDelete skipped"
    assert (enabled(world), is_managed()) == ("abcdef", True)
    await world.service.removals.allow(world.job_id, None)
    assert (await world.run())["ada"] == "disable success"
    assert (enabled(world), is_managed()) == ("bcdef", False)


async def test_a_job_whose_guard_is_off_disables_at_once(world: World) -> None:
    await world.configure(QuarantineTooManyDeletesThreshold=None, PreventAccidentalDeletions="false")
    assert await lose(world, 0, 1, 2, 3, 4) == dict.fromkeys(("ada", "bea", "cid", "dan", "eve"), "disable success")


async def test_a_worker_that_dies_between_counting_and_disabling_is_followed_by_one_that_goes_on(world: World) -> None:
    for number in range(3):
        await upload(world, someone(number, active=False))
    position = world.directory.feed_position()
    begun = await world.db.write(lambda c: begin_cycle(c, world.job_id, position, world.clock.now))
    runner = world.side.runner
    stale = await runner.take(begun.id)
    while world.cycle_running().phase != "disables":
        await runner.run_page(begun.id, stale)
    # Somebody is quicker than the cycle.
    await world.change_user(held(world, "ada").id, account_enabled=False)
    fresh = await runner.take(begun.id)
    with pytest.raises(InvalidStateError, match="another worker"):
        await runner.run_page(begun.id, stale)
    while await runner.run_page(begun.id, fresh):
        pass
    assert enabled(world) == "def"
    assert world.cycle().counts["disable"] == 2


async def test_a_scim_source_is_guarded_too_and_one_on_demand_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path, SCIM_SOURCE) as world:
        await world.configure(QuarantineTooManyDeletesThreshold="1")
        ids = [str((await world._by_hand("POST", "Users", someone(number)))["id"]) for number in range(3)]
        for id_ in ids:
            await world.side.on_demand.provision(world.job(), Subject("User", id_), SERVICE_ITSELF)
        for id_ in ids:
            operations = [{"op": "replace", "path": "active", "value": False}]
            schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
            await world._by_hand("PATCH", f"Users/{id_}", {"schemas": schemas, "Operations": operations})
        world.clock.now = world.clock.now.replace(year=2100)
        assert await world.run() == dict.fromkeys(("ada", "bea", "cid"), "stagedDelete skipped")
        await world.side.on_demand.provision(world.job(), Subject("User", ids[0]), SERVICE_ITSELF)
        assert not held(world, "ada").account_enabled
        assert staged(world) == {"disable bea", "disable cid"}
