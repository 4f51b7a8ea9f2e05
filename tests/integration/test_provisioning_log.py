"""The provisioning log: what an entry says, how to ask for it, how little room it takes, that nobody changes it."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.journal_dictionary import anonymous, samples
from benchmarks.people import write_csv
from joiner.clock import to_iso
from joiner.directory.csv_import import import_directory
from joiner.provisioning.decisions.decision import Action, Change, Problem, Status, Step
from joiner.provisioning.log import journal_packing, journal_rows
from joiner.provisioning.log.journal import added, with_addition
from joiner.provisioning.log.journal_packing import extended, repacked, unpack
from joiner.provisioning.retention import Retention
from tests.job_api import JobApi, opened_api
from tests.world import START

LOG = "/auditLogs/provisioning"
MOST_BYTES_A_ROW = 600
FIELDS = {
    "id", "activityDateTime", "tenantId", "jobId", "cycleId", "changeId", "provisioningAction",
    "durationInMilliseconds", "provisioningStatusInfo", "provisioningSteps", "modifiedProperties", "servicePrincipal",
    "initiatedBy",
    "sourceSystem", "targetSystem", "sourceIdentity", "targetIdentity", "joiner.requests",
}  # fmt: skip


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[JobApi]:
    async with opened_api(tmp_path) as it:
        yield it


async def provisioned(api: JobApi) -> dict[str, str]:
    """Ada and Bea created, Cid failed, Dan skipped, then Ada updated a day later; name → id."""
    world = api.world
    ids = {name: await world.add_user(name) for name in ("ada", "bea", "cid", "dan")}
    await world.assign(ids["ada"], ids["bea"])
    await world.run()
    world.clock.move(timedelta(days=1))
    await world.assign(ids["cid"])
    await world.change_user(ids["ada"], jobTitle="Director")
    world.fail(lambda method, path: 409 if method == "POST" else None)
    await world.run()
    world.fail(None)
    return ids


async def found(api: JobApi, text: str, **options: str) -> list[str]:
    """`name action` of what the filter lets through, in the order of the answer."""
    params = {"$filter": text, **{f"${name}": value for name, value in options.items()}}
    page = await api.ask("GET", LOG, params=params)
    return [f"{_name(entry)} {entry['provisioningAction']}" for entry in page["value"]]


def _name(entry: dict[str, Any]) -> str:
    name: str = entry["sourceIdentity"]["details"]["UserPrincipalName"]
    return name.partition("@")[0]


@pytest.mark.req("REQ-P-131", "REQ-P-132", "REQ-P-133")
async def test_an_entry_has_every_field_and_survives_being_packed(api: JobApi) -> None:
    ids = await provisioned(api)
    entries = (await api.ask("GET", LOG))["value"]
    assert [_name(entry) for entry in entries].count("ada") == 2
    assert all(set(entry) == FIELDS for entry in entries)
    for entry in entries:
        assert await api.ask("GET", f"{LOG}/{entry['id']}") == entry
        assert entry["provisioningAction"] in ("create", "update", "delete", "disable", "stagedDelete", "other")
        assert entry["provisioningStatusInfo"]["status"] in ("success", "failure", "skipped", "warning")
        assert {step["provisioningStepType"] for step in entry["provisioningSteps"]} <= {
            "import", "scoping", "matching", "processing", "referenceResolution", "export",
        }  # fmt: skip
    failed = next(entry for entry in entries if entry["sourceIdentity"]["id"] == ids["cid"])
    error = failed["provisioningStatusInfo"]["errorInformation"]
    assert error.pop("recommendedAction").startswith("Change the value that is taken")
    assert error == {
        "errorCode": "Conflict",
        "reason": "the application answered HTTP 409: made to fail",
        "additionalDetails": None,
        "errorCategory": "nonServiceFailure",
    }
    assert failed["provisioningSteps"][-1]["name"] == "EntryExportAdd"
    assert {"displayName": "userName", "oldValue": None, "newValue": "cid@fjord.example"} in failed[
        "modifiedProperties"
    ]
    assert failed["targetSystem"]["displayName"] == "ALVAO"
    await api.ask("GET", f"{LOG}/{api.world.job_id}", status=404)
    await api.ask("GET", f"{LOG}/00000000-0000-8000-a000-000000000000", status=404)


@pytest.mark.req("REQ-P-137")
async def test_the_log_is_filtered_ordered_and_paged(api: JobApi) -> None:
    ids = await provisioned(api)
    job, cycle = api.world.job_id, api.world.cycle().id
    day_later = to_iso(START + timedelta(hours=1))
    assert sorted(await found(api, f"jobId eq '{job}' and provisioningStatusInfo/status eq 'failure'")) == [
        "cid create"
    ]
    assert await found(api, f"(cycleId eq '{cycle}') and provisioningAction eq 'update'") == ["ada update"]
    assert await found(api, f"sourceIdentity/id eq '{ids['ada']}'") == ["ada update", "ada create"]
    early = f"activityDateTime lt {day_later} and provisioningAction eq 'create'"
    assert set(await found(api, early)) == {f"{name} create" for name in ("ada", "bea", "cid", "dan")}
    assert len(await found(api, early, top="1")) == 1
    assert set(await found(api, f"activityDateTime gt {day_later}")) == {"ada update", "cid create"}
    assert await found(api, "contains(tolower(sourceIdentity/displayName), 'bea')") == ["bea create"]
    assert await found(api, "jobId eq 'another' or provisioningAction eq 'update'") == ["ada update"]
    assert await found(api, "not (provisioningAction eq 'create')") == ["ada update"]
    assert await found(api, "provisioningAction eq 'Create'") == [], "with case"
    assert await found(api, "jobId eq 'another'") == []
    newest, oldest = [await found(api, f"jobId eq '{job}'", orderby=f"activityDateTime {o}") for o in ("desc", "asc")]
    assert (len(oldest), oldest) == (6, newest[::-1])
    first = await api.ask("GET", LOG, params={"$top": "4"})
    token = first["@odata.nextLink"].rpartition("skiptoken=")[2]
    second = await api.ask("GET", LOG, params={"$top": "4", "$skiptoken": token})
    names = [entry["id"] for entry in first["value"] + second["value"]]
    assert (len(names), len(set(names)), "@odata.nextLink" in second) == (6, 6, False)
    for wrong in ("provisioningAction is 'x'", "provisioningActoin eq 'x'", "activityDateTime gt yesterday"):
        await api.ask("GET", LOG, params={"$filter": wrong}, status=400)
    await api.ask("GET", LOG, params={"$skiptoken": "9" * 20}, status=400)
    for path in (LOG, "/auditLogs/directoryAudits"):
        for name in (await api.ask("GET", path))["value"][0]:
            await api.ask("GET", path, params={"$filter": f"{name} ne null"})


@pytest.mark.req("REQ-P-134")
@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE"])
async def test_no_interface_changes_an_entry(api: JobApi, method: str) -> None:
    await provisioned(api)
    entry = (await api.ask("GET", LOG))["value"][0]
    for path in (LOG, f"{LOG}/{entry['id']}"):
        await api.ask(method, path, {"provisioningAction": "other"}, 405)
    assert await api.ask("GET", f"{LOG}/{entry['id']}") == entry


@pytest.mark.req("REQ-P-136")
async def test_entries_are_removed_when_their_time_is_over_and_so_are_ended_cycles_and_changes(api: JobApi) -> None:
    world = api.world
    ids = await provisioned(api)
    retention = Retention(world.db, world.directory, world.clock, timedelta(days=30))
    world.clock.move(timedelta(days=29))
    await retention.purge()
    assert len((await api.ask("GET", LOG))["value"]) == 6
    world.clock.move(timedelta(seconds=1))
    await retention.purge()
    assert set(await found(api, f"jobId eq '{world.job_id}'")) == {"ada update", "cid create"}
    before = world.directory.feed_position()
    world.clock.move(timedelta(days=31))
    await world.run()
    for _ in range(3):
        await world.run()
    await retention.purge()
    assert await found(api, f"jobId eq '{world.job_id}'") != []
    assert world.directory.feed_position() == before
    changes, cycles = (
        world.db.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("change", "cycle")
    )
    assert (changes, cycles) == (1, 4)
    await world.change_user(ids["bea"], jobTitle="Late")
    assert (await world.run())["bea"] == "update success"


async def test_changes_that_a_paused_job_has_not_read_are_kept(api: JobApi) -> None:
    world = api.world
    ids = await provisioned(api)
    await world.change_user(ids["bea"], jobTitle="Unread")
    await world.service.pause(world.job_id)
    world.clock.move(timedelta(days=90))
    await world.change_user(ids["ada"], jobTitle="Recent")
    await Retention(world.db, world.directory, world.clock, timedelta(days=30)).purge()
    assert {"ada", "bea"} <= set(await world.run())


async def test_a_row_takes_little_room(api: JobApi, tmp_path: Path) -> None:
    world = api.world
    await world.service.connections.put_credentials(world.principal_id, [("SyncAll", "true")])
    people, groups = write_csv(tmp_path, 250)
    await import_directory(world.directory, BytesIO(people.read_bytes()), BytesIO(groups.read_bytes()))
    await world.run()
    entries = journal_rows.entries_of(world.db.reader, world.cycle().id)
    rows = world.db.reader.execute(
        "SELECT sum(pgsize) FROM dbstat WHERE name LIKE '%journal%' AND name NOT LIKE '%journal_run%'"
    ).fetchone()
    assert len(entries) > 250
    assert sum(len(entry["joiner.requests"]) for entry in entries) > 2 * 250, "those that write are in them"
    assert rows[0] / len(entries) <= MOST_BYTES_A_ROW
    assert len(orjson.dumps(entries)) / len(entries) > 5 * MOST_BYTES_A_ROW


async def test_a_dictionary_that_is_trained_anew_names_nobody(api: JobApi, tmp_path: Path) -> None:
    await provisioned(api)
    texts = list(samples([api.world.db.path]))
    assert any(b"ada@" in text for text in texts)
    told = [anonymous(text, random.Random(1)) for text in texts]
    assert not any(f"{name}@".encode() in text for name in ("ada", "bea", "cid", "dan") for text in told)
    assert [len(text) for text in told] == [len(text) for text in texts], "the form is the same"


async def test_ids_that_are_no_uuids_and_values_of_any_kind_come_back_as_they_were(api: JobApi) -> None:
    await provisioned(api)
    entry = journal_rows.entries_of(api.world.db.reader, api.world.cycle().id)[0]
    for id_ in ("1", "a'b\"c\\", "Ω" * 16, "0B7C1A52-AAAA-4BBB-8CCC-DDDDDDDDDDDD", "x" * 16):
        details = {**entry["sourceIdentity"]["details"], "id": id_}
        said = [
            orjson.dumps(["GET", f"/Users/{id_}", 200, None, text, "\x01\x02\x03\x04"])
            for text in ("newer", f"{id_}newer", '"new","', "1")
        ]
        odd = {
            **entry,
            "sourceIdentity": {**entry["sourceIdentity"], "id": id_, "details": details},
            "targetIdentity": {**entry["targetIdentity"], "id": "1"},
            "modifiedProperties": [
                {"displayName": "x", "oldValue": f"\x01 {id_} \u0001", "newValue": value}
                for value in (None, "new", "newer", "1", "", '","')
            ],
            "joiner.requests": said,
        }
        unpacked = unpack(repacked(odd))
        assert unpacked == {name: odd[name] for name in unpacked}
        assert unpack(repacked(unpacked)) == unpacked, "packed once more, as when references add to it"


async def test_what_is_added_to_a_row_reads_as_if_it_had_been_there(
    api: JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 600
    monkeypatch.setattr(journal_packing, "LONGEST_EXTENDED", longest)
    await provisioned(api)
    entry = journal_rows.entries_of(api.world.db.reader, api.world.cycle().id)[0]
    row = repacked({**entry, "joiner.requests": []})
    known = unpack(row)
    for number in range(60):
        failed = number % 20 == 13
        problem = Problem("Conflict", f"number {number}") if failed else None
        step = Step("EntryExportUpdate", "export", Status.FAILURE if failed else Status.SUCCESS, f"step {number}", {})
        changes = [Change("members", None, f"{number}-{place}") for place in range(20)]
        requests = [
            b'["PATCH","/Groups/%d"]' % number,
            b'["GET","/Groups/%s"]' % entry["sourceIdentity"]["id"].encode(),
        ]
        now = (Action(known["provisioningAction"]), Status(known["provisioningStatusInfo"]["status"]))
        known = with_addition(known, added(*now, [step], changes, problem, requests))
        row = extended(row, [step], changes, problem, requests)
        assert unpack(row) == known
    assert len(row[4]) > longest, "the last ones were packed anew"
    assert known["provisioningStatusInfo"]["errorInformation"]["reason"] == "number 13"
