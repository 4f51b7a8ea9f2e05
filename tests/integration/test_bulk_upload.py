"""API-driven provisioning: what a system of record uploads becomes users of the directory."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from joiner.directory import users
from joiner.errors import InvalidStateError
from joiner.provisioning.inbound import people as people_module
from joiner.provisioning.job.cycles import begin_cycle
from joiner.provisioning.log import journal_rows
from joiner.provisioning.log.audit import SERVICE_ITSELF
from joiner.provisioning.on_demand import Subject
from joiner.provisioning.planning.overlay import Variation
from tests.inbound import API_DRIVEN, ENTERPRISE, bulk, held, person, send, upload
from tests.world import World, code_of, opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path, API_DRIVEN) as world:
        yield world


@pytest.mark.req("REQ-C-036")
async def test_people_become_users_with_the_default_mappings(world: World) -> None:
    ada = person(
        "E-1", "Ada Berg", title="Buyer", preferredLanguage="nb-NO",
        emails=[{"type": "work", "value": "ada.berg@fjord.example"}],
        phoneNumbers=[{"type": "work", "value": "+47 1"}, {"type": "mobile", "value": "+47 2"}],
        addresses=[{"type": "work", "streetAddress": "Kai 1", "locality": "Bergen", "country": "Norway"}],
        enterprise={"department": "Supply", "organization": "Fjord"},
    )  # fmt: skip
    assert await send(world, ada) == {"ada": "create success"}
    user = held(world, "ada")
    assert user.account_enabled
    assert user.attributes == {
        "displayName": "Ada Berg",
        "mailNickname": "ada",
        "mail": "ada.berg@fjord.example",
        "employeeId": "E-1",
        "givenName": "Ada",
        "surname": "Berg",
        "jobTitle": "Buyer",
        "department": "Supply",
        "companyName": "Fjord",
        "streetAddress": "Kai 1",
        "city": "Bergen",
        "country": "Norway",
        "telephoneNumber": "+47 1",
        "mobile": "+47 2",
        "preferredLanguage": "nb-NO",
    }


async def test_what_is_uploaded_again_unchanged_writes_nothing(world: World) -> None:
    ada = person("E-1", "Ada Berg")
    await send(world, ada)
    before = world.directory.feed_position()
    assert await send(world, ada) == {"ada": "other skipped"}
    assert code_of(world.entries()["ada"]) == "RedundantExport"
    assert world.directory.feed_position() == before


@pytest.mark.req("REQ-C-036")
async def test_somebody_with_the_employee_id_is_updated_and_nobody_is_made_twice(world: World) -> None:
    id_ = await world.add_user("old.name", employeeId="e-1", jobTitle="Clerk")
    assert await send(world, person("E-1", "Ada Berg")) == {"ada": "update success"}
    user = held(world, "ada")
    assert (user.id, user.attributes["jobTitle"], user.attributes["employeeId"]) == (id_, "Clerk", "E-1")
    assert world.directory.count_users() == 1
    [step] = [each for each in world.entries()["ada"]["provisioningSteps"] if each["name"] == "EntryImport"]
    assert step["description"] == "Searched the directory for 'ada@fjord.example' by employeeId: 1 found"


@pytest.mark.req("REQ-C-036")
@pytest.mark.parametrize("active", [False, "False", None])
async def test_who_is_not_active_or_comes_without_active_is_disabled_until_active_again(
    world: World, active: Any
) -> None:
    await send(world, person("E-1", "Ada Berg"))
    assert await send(world, person("E-1", "Ada Berg", active=active)) == {"ada": "disable success"}
    assert not held(world, "ada").account_enabled
    assert await send(world, person("E-1", "Ada Berg", active="true")) == {"ada": "update success"}
    assert held(world, "ada").account_enabled


@pytest.mark.req("REQ-C-036")
async def test_managers_are_named_by_their_external_id_wherever_they_stand(world: World) -> None:
    boss_id = await world.add_user("boss", employeeId="E-0")
    await send(world, person("E-1", "Ada Berg", manager="E-2"), person("E-2", "Bo Dahl", manager="E-0"))
    assert held(world, "ada").manager_id == held(world, "bo").id
    assert held(world, "bo").manager_id == boss_id
    [change] = [each for each in world.entries()["bo"]["modifiedProperties"] if each["displayName"] == "manager"]
    assert (change["oldValue"], change["newValue"]) == (None, boss_id)


@pytest.mark.req("REQ-C-036")
async def test_a_manager_who_comes_later_is_set_when_they_come(world: World) -> None:
    assert await send(world, person("E-1", "Ada Berg", manager="E-2")) == {"ada": "create warning"}
    assert code_of(world.entries()["ada"]) == "UnableToResolveReferenceAttributeValue"
    assert held(world, "ada").manager_id is None
    assert await send(world, person("E-2", "Bo Dahl")) == {"bo": "create success", "ada": "update success"}
    assert held(world, "ada").manager_id == held(world, "bo").id


async def test_a_manager_who_comes_from_elsewhere_is_set_in_the_next_cycle(world: World) -> None:
    await send(world, person("E-1", "Ada Berg", manager="E-2"))
    boss_id = await world.add_user("boss", employeeId="E-2")
    assert await world.run() == {"ada": "update success"}
    assert held(world, "ada").manager_id == boss_id
    assert await world.run() == {}


async def test_a_manager_goes_when_the_source_says_so_and_stays_when_it_says_nothing(world: World) -> None:
    await send(world, person("E-2", "Bo Dahl"), person("E-1", "Ada Berg", manager="E-2"))
    await send(world, person("E-1", "Ada Berg"))
    assert held(world, "ada").manager_id is not None
    for nobody in (None, "", {}, {"value": ""}):
        await send(world, person("E-1", "Ada Berg", manager="E-2"))
        assert held(world, "ada").manager_id is not None
        assert await send(world, person("E-1", "Ada Berg", enterprise={"manager": nobody})) == {"ada": "update success"}
        assert held(world, "ada").manager_id is None


async def test_nobody_becomes_their_own_manager(world: World) -> None:
    assert await send(world, person("E-1", "Ada Berg", manager="E-1")) == {"ada": "create warning"}
    assert held(world, "ada").manager_id is None


@pytest.mark.req("REQ-P-013", "REQ-P-014")
async def test_what_is_left_out_stays_unless_both_gates_are_open(world: World) -> None:
    full = person("E-1", "Ada Berg", title="Buyer", enterprise={"department": "Supply"})
    await send(world, full)
    assert await send(world, person("E-1", "Ada Berg")) == {"ada": "other skipped"}

    def open_gates(document: Any) -> None:
        [source, _] = document["directories"]
        for attribute in source["objects"][0]["attributes"]:
            attribute["flowNullValues"] = attribute["name"] == "title"
        for mapping in document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]:
            mapping["metadata"] = [{"key": "FlowNullValues", "value": "true"}]
            if mapping["targetAttributeName"] not in ("jobTitle", "department"):
                mapping["metadata"] = []

    await world.set_schema(open_gates)
    assert await send(world, person("E-1", "Ada Berg")) == {"ada": "update success"}
    assert "jobTitle" not in held(world, "ada").attributes
    assert held(world, "ada").attributes["department"] == "Supply"


async def test_a_part_of_a_person_changes_that_part_alone(world: World) -> None:
    await send(world, person("E-1", "Ada Berg"))
    before = held(world, "ada")
    assert await send(world, {"externalId": "E-1", "active": True, "title": "Buyer"}) == {"E-1": "update success"}
    after = held(world, "ada")
    assert after.attributes == {**before.attributes, "jobTitle": "Buyer"}
    assert after.account_enabled


@pytest.mark.req("REQ-P-064")
async def test_two_users_with_the_employee_id_are_left_alone(world: World) -> None:
    for name in ("one", "two"):
        await world.add_user(name, employeeId="E-1")
    before = world.directory.feed_position()
    assert await send(world, person("E-1", "Ada Berg")) == {"ada": "other failure"}
    assert code_of(world.entries()["ada"]) == "DuplicateTargetEntries"
    assert world.directory.feed_position() == before


@pytest.mark.req("REQ-P-065")
async def test_one_user_belongs_to_one_person_of_the_source(world: World) -> None:
    await send(world, person("E-1", "Ada Berg"))
    assert await send(world, person("e-1", "Bo Dahl")) == {"bo": "other failure"}
    assert code_of(world.entries()["bo"]) == "DuplicateSourceEntries"
    assert held(world, "ada").attributes["displayName"] == "Ada Berg"


@pytest.mark.req("REQ-P-072", "REQ-P-073", "REQ-P-074")
async def test_who_cannot_be_taken_over_is_told_and_tried_again_later(world: World) -> None:
    rival = await world.add_user("ada")
    outcome = await send(world, person("E-1", "Ada Berg"), person("E-2", "Bo Dahl"))
    assert outcome == {"ada": "create failure", "bo": "create success"}
    assert code_of(world.entries()["ada"]) == "Conflict"
    assert world.cycle().state == "entry_level_errors"
    world.clock.move(timedelta(minutes=40))
    assert await world.run() == {"ada": "create failure"}
    await world.change_user(rival, user_principal_name="other@fjord.example")
    assert await world.run() == {}
    world.clock.move(timedelta(hours=6))
    assert await world.run() == {"ada": "create success"}
    assert held(world, "ada").attributes["employeeId"] == "E-1"
    world.clock.move(timedelta(days=2))
    assert await world.run() == {}
    assert world.cycle().state == "succeeded"


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"userName": "ada"}, "UnprocessableEntity"),
        ({"userName": ""}, "MandatoryFieldsMissing"),
        ({"externalId": None}, "MandatoryFieldsMissing"),
    ],
)
async def test_a_person_who_cannot_be_a_user_is_refused_with_the_reason(
    world: World, broken: dict[str, Any], code: str
) -> None:
    await send(world, {**person("E-1", "Ada Berg"), **broken})
    [entry] = journal_rows.entries_of(world.db.reader, world.cycle().id)
    assert (entry["provisioningStatusInfo"]["status"], code_of(entry)) == ("failure", code)
    assert world.directory.count_users() == 0


async def test_a_user_of_the_recycle_bin_comes_back_with_an_active_person(world: World) -> None:
    await send(world, person("E-1", "Ada Berg"))
    id_ = held(world, "ada").id
    await world.directory.change(lambda c, now: users.delete_user(c, id_, now))
    assert await send(world, person("E-1", "Ada Berg", active=False)) == {"ada": "other skipped"}
    assert await send(world, person("E-1", "Ada Berg", title="Buyer")) == {"ada": "update success"}
    assert (held(world, "ada").id, held(world, "ada").attributes["jobTitle"]) == (id_, "Buyer")


async def test_a_user_who_was_purged_is_made_anew(world: World) -> None:
    await send(world, person("E-1", "Ada Berg"))
    id_ = held(world, "ada").id
    await world.directory.change(lambda c, now: users.delete_user(c, id_, now))
    await world.directory.change(lambda c, now: users.purge_user(c, id_, now))
    assert await send(world, person("E-1", "Ada Berg")) == {"ada": "create success"}
    assert held(world, "ada").id != id_


def only_supply(document: Any) -> None:
    clause = {
        "sourceOperandName": f"{ENTERPRISE}:department",
        "operatorName": "EQUALS",
        "targetOperand": {"values": ["Supply"]},
    }
    mapping = document["synchronizationRules"][0]["objectMappings"][0]
    mapping["scope"] = {"groups": [{"name": "Supply", "clauses": [clause]}]}


@pytest.mark.parametrize("keeps", [False, True])
async def test_the_scoping_filter_keeps_people_out_and_disables_those_who_leave(world: World, keeps: bool) -> None:
    await world.set_schema(only_supply)
    secrets = [("SkipOutOfScopeDeletions", "true" if keeps else "false")]
    await world.service.connections.put_credentials(world.principal_id, secrets)
    inside = person("E-1", "Ada Berg", enterprise={"department": "Supply"})
    outside = person("E-2", "Bo Dahl", enterprise={"department": "Sales"})
    assert await send(world, inside, outside) == {"ada": "create success", "bo": "other skipped"}
    assert code_of(world.entries()["bo"]) == "NotEffectivelyEntitled"
    moved = person("E-1", "Ada Berg", enterprise={"department": "Sales"})
    assert await send(world, moved) == {"ada": "disable skipped" if keeps else "disable success"}
    assert held(world, "ada").account_enabled is keeps
    assert held(world, "ada").attributes["department"] == "Supply"
    assert await send(world, moved) == {"ada": "other skipped"}
    await send(world, inside)
    assert held(world, "ada").account_enabled


@pytest.mark.req("REQ-C-036")
async def test_every_operation_has_an_entry_also_when_the_bulk_id_or_the_person_is_repeated(world: World) -> None:
    ada = person("E-1", "Ada Berg")
    operations = [
        {"method": "POST", "bulkId": "same", "path": "/Users", "data": data}
        for data in (ada, {**ada, "title": "Buyer"}, ada, person("E-2", "Bo Dahl"), {**ada, "title": "Lead"})
    ]
    body = bulk()
    body["Operations"] = operations
    await world.side.inbound.upload(world.job(), orjson.dumps(body))
    cycle = await world.service.run_now(world.job_id)
    await world.engine.wait(cycle.id)
    rows = world.db.reader.execute(
        f"SELECT {journal_rows.COLUMNS} FROM journal_run r JOIN journal j ON j.run = r.number ORDER BY j.position"
    )
    told = [
        (entry["sourceIdentity"]["id"], entry["provisioningAction"], entry["provisioningStatusInfo"]["status"])
        for _, entry in journal_rows.documents(rows)
    ]
    assert sorted(told) == sorted([
        ("E-1", "create", "success"), ("E-1", "update", "success"), ("E-1", "other", "skipped"),
        ("E-2", "create", "success"), ("E-1", "update", "success"),
    ])  # fmt: skip
    assert held(world, "ada").attributes["jobTitle"] == "Lead"


@pytest.mark.req("REQ-C-036")
async def test_uploads_wait_until_the_job_is_started_and_are_taken_over_in_their_order(world: World) -> None:
    for title in ("one", "two", "three"):
        await upload(world, person("E-1", "Ada Berg", title=title))
    assert await world.run_due() == []
    await world.service.start(world.job_id)
    await world.run_due()
    assert held(world, "ada").attributes["jobTitle"] == "three"
    assert world.status()["code"] == "Active"
    assert await world.run_due() == []
    await upload(world, person("E-1", "Ada Berg", title="four"))
    await world.run_due()
    assert held(world, "ada").attributes["jobTitle"] == "four"


@pytest.mark.req("REQ-C-036")
async def test_a_worker_that_dies_leaves_the_uploads_for_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [person(f"E-{number}", f"U{number} Berg") for number in range(40)]
    for _ in range(6):
        await upload(world, *people)
    position = world.directory.feed_position()
    begun = await world.db.write(lambda c: begin_cycle(c, world.job_id, position, world.clock.now))
    runner = world.side.runner
    stale = await runner.take(begun.id)
    with monkeypatch.context() as patched:
        patched.setattr(people_module, "write", dies_at(people_module.write, 20))
        with pytest.raises(RuntimeError):
            await runner.run_page(begun.id, stale)
    assert world.directory.count_users() == 0
    fresh = await runner.take(begun.id)
    with pytest.raises(InvalidStateError, match="another worker"):
        await runner.run_page(begun.id, stale)
    while await runner.run_page(begun.id, fresh):
        pass
    assert world.directory.count_users() == 40
    assert world.cycle().counts["create"] == 40
    assert world.cycle().counts["imported"] == 240
    assert world.db.reader.execute("SELECT count(*) FROM upload").fetchone()[0] == 0


def dies_at(write: Any, number: int) -> Any:
    """The function, until it is called for the so-many-eth time."""
    called = 0

    def written(*arguments: Any) -> Any:
        nonlocal called
        called += 1
        if called == number:
            raise RuntimeError("the process dies")
        return write(*arguments)

    return written


async def test_unique_values_are_chosen_among_those_that_no_user_has(world: World) -> None:
    await world.add_user("ada")

    def choose(document: Any) -> None:
        for mapping in document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]:
            if mapping["targetAttributeName"] == "userPrincipalName":
                text = 'SelectUniqueValue([userName], Append([name.givenName], "2@fjord.example"))'
                mapping["source"] = {"type": "Function", "name": "SelectUniqueValue", "expression": text}
                mapping["flowType"] = "ObjectAddOnly"

    await world.set_schema(choose)
    assert await send(world, person("E-1", "Ada Berg")) == {"ada": "create success"}
    assert held(world, "Ada2").attributes["employeeId"] == "E-1"


async def test_people_who_come_in_get_accounts_in_the_applications(world: World) -> None:
    await send(world, person("E-1", "Ada Berg", title="Buyer", manager="E-2"), person("E-2", "Bo Dahl"))
    token, _ = await world.application.tokens.create()
    await world.add_application(token, "ALVAO", SyncAll="true")
    assert await world.run() == {"ada": "create success", "bo": "create success"}
    accounts = await world.accounts()
    assert accounts["ada"]["title"] == "Buyer"
    assert accounts["ada"][ENTERPRISE]["manager"]["value"] == accounts["bo"]["id"]


async def test_an_inbound_job_has_no_target_to_plan_for_probe_or_test(world: World) -> None:
    for asked in (
        world.service.connections.probe_profile(world.job_id),
        world.service.connections.test_connection(world.principal_id, "API2AAD", None),
        world.side.on_demand.provision(world.job(), Subject("User", "E-1"), SERVICE_ITSELF),
        world.side.planning.make(world.job(), Variation(), SERVICE_ITSELF),
        world.side.explanations.explain(world.job(), "User", "E-1", live=False),
    ):
        with pytest.raises(InvalidStateError):
            await asked
