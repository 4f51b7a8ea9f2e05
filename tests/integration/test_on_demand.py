"""Provisioning on demand through the API, with a real application behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from joiner.directory import users
from tests.job_api import JobApi, opened_api
from tests.mappings import add_mappings, mapping

STEPS = ["EntryImport", "EntrySynchronizationScoping", "EntrySynchronizationAdd", "EntryExportAdd"]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[JobApi]:
    async with opened_api(tmp_path) as it:
        yield it


async def provision(
    api: JobApi, object_id: str, kind: str = "User", members: list[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Key and value of the answer, decoded."""
    answer = await api.ask("POST", f"{api.job}/provisionOnDemand", body(api, object_id, kind, members))
    return json.loads(answer["key"]), json.loads(answer["value"])


def body(api: JobApi, object_id: str, kind: str = "User", members: list[str] | None = None) -> dict[str, Any]:
    subject: dict[str, Any] = {"objectId": object_id, "objectTypeName": kind}
    if members is not None:
        subject["links"] = {"members": [{"objectId": id_, "objectTypeName": "User"} for id_ in members]}
    rule_id = api.world.job().schema["synchronizationRules"][0]["id"]
    return {"parameters": [{"ruleId": rule_id, "subjects": [subject]}]}


@pytest.mark.req("REQ-P-119", "REQ-P-120", "REQ-P-123", "REQ-P-126")
async def test_one_user_is_created_with_every_step_told_linked_and_logged_in_the_administrators_name(
    api: JobApi,
) -> None:
    world = api.world
    ada = await world.add_user("ada", jobTitle="Engineer", hireYear="unmapped")
    await world.add_user("bea")
    await world.assign(ada)
    watermark = world.job().watermark
    key, value = await provision(api, ada)
    assert key == {"result": "Success", "details": {}}
    assert (value["action"], value["statusInfo"]["status"]) == ("Create", "Success")
    assert [step["name"] for step in value["provisioningSteps"]][:1] == STEPS[:1]
    assert {step["name"] for step in value["provisioningSteps"]} == set(STEPS)
    read = value["provisioningSteps"][0]["details"]
    assert (read["accountEnabled"], read["userPrincipalName"], read["jobTitle"]) == (
        "True",
        "ada@fjord.example",
        "Engineer",
    )
    assert not {"department", "hireYear"} & set(read), "empty, and not mapped"
    kinds = [step["type"] for step in value["provisioningSteps"]]
    assert (kinds[0], kinds[-1]) == ("Import", "Export")
    scoping = next(step for step in value["provisioningSteps"] if step["type"] == "Scoping")
    assert scoping["details"]["Assigned to the application"] == "True"
    assert {"displayName": "title", "oldValue": None, "newValue": "Engineer"} in value["modifiedProperties"]
    assert set(await world.accounts()) == {"ada"}
    assert world.job().watermark == watermark
    [entry] = (await api.ask("GET", f"/auditLogs/provisioning?$filter=changeId eq '{value['changeId']}'"))["value"]
    assert entry["initiatedBy"]["displayName"] == "root"
    assert entry["initiatedBy"]["initiatorType"] == "user"
    assert (await world.run())["ada"] == "other skipped", "the link is there"


@pytest.mark.req("REQ-P-119")
async def test_who_is_as_wanted_already_and_who_is_not_assigned_are_skipped_with_the_reason(api: JobApi) -> None:
    ada, bea = await api.world.add_user("ada"), await api.world.add_user("bea")
    await api.world.assign(ada)
    await provision(api, ada)
    key, _ = await provision(api, ada)
    assert (key["result"], key["details"]["errorCode"]) == ("Skipped", "RedundantExport")
    key, _ = await provision(api, bea)
    assert (key["result"], key["details"]["errorCode"]) == ("Skipped", "NotEffectivelyEntitled")


@pytest.mark.req("REQ-P-120")
async def test_a_connection_that_fails_is_told_as_a_step_and_nothing_is_quarantined(api: JobApi) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    await api.world.revoke_tokens()
    key, value = await provision(api, ada)
    assert (key["result"], key["details"]["errorCode"]) == ("Failure", "Unauthorized")
    assert "test of the connection" in value["provisioningSteps"][-1]["description"]
    assert api.world.status()["quarantine"] is None


async def test_a_refusal_is_told_with_what_was_attempted(api: JobApi) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    api.world.fail(lambda method, path: 400 if method == "POST" else None)
    key, value = await provision(api, ada)
    assert (key["result"], key["details"]["errorCode"]) == ("Failure", "UnprocessableEntity")
    assert any(change["displayName"] == "userName" for change in value["modifiedProperties"])


async def test_what_only_a_mapping_with_redact_reads_is_not_shown_of_the_source(api: JobApi) -> None:
    hidden = mapping("nickName", "Redact([extensionAttribute1])")
    await api.world.set_schema(lambda document: add_mappings(document, hidden, nickName={"type": "String"}))
    ada = await api.world.add_user("ada", extensionAttribute1="s3cret")
    await api.world.assign(ada)
    _, value = await provision(api, ada)
    assert value["provisioningSteps"][0]["details"]["extensionAttribute1"] == "[Redact]"
    assert "s3cret" not in json.dumps(value)


@pytest.mark.req("REQ-P-121")
async def test_a_group_is_provisioned_with_the_members_named_and_no_sixth(api: JobApi) -> None:
    world = api.world
    ids = [await world.add_user(f"user{number}") for number in range(7)]
    team = await world.add_group("Team", *ids)
    await world.assign(team)
    await api.ask("POST", f"{api.job}/provisionOnDemand", body(api, team, "Group", ids[:6]), 400)
    key, value = await provision(api, team, "Group", ids[:5])
    assert (key["result"], value["action"]) == ("Success", "Create")
    assert await world.held_groups() == {"Team": {f"user{number}" for number in range(5)}}
    await world.remove_member(team, ids[0])
    key, value = await provision(api, team, "Group", [ids[0], ids[5]])
    assert value["action"] == "Update"
    assert await world.held_groups() == {"Team": {f"user{number}" for number in range(1, 6)}}
    await world.run()
    assert await world.held_groups() == {"Team": {f"user{number}" for number in range(1, 7)}}


@pytest.mark.req("REQ-P-121")
async def test_who_is_no_member_of_the_group_is_named_and_nothing_is_sent(api: JobApi) -> None:
    world = api.world
    ada, bea = await world.add_user("ada"), await world.add_user("bea")
    team = await world.add_group("Team", ada)
    await world.assign(team, ada, bea)
    answer = await api.ask("POST", f"{api.job}/provisionOnDemand", body(api, team, "Group", [ada, bea]), 400)
    assert answer["error"]["message"] == "'bea@fjord.example' is no member of the group 'Team'"
    assert world.sent == []


async def test_a_user_gets_the_manager_who_has_an_account(api: JobApi) -> None:
    world = api.world
    boss = await world.add_user("boss")
    ada = await world.add_user("ada", manager=boss)
    await world.assign(boss, ada)
    await provision(api, boss)
    await provision(api, ada)
    accounts = await world.accounts()
    extension = accounts["ada"]["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]
    assert extension["manager"]["value"] == accounts["boss"]["id"]


@pytest.mark.req("REQ-P-122")
async def test_an_unassigned_user_is_disabled_and_search_finds_only_the_active(api: JobApi) -> None:
    world = api.world
    ada, bea, cid = [await world.add_user(name) for name in ("ada", "bea", "cid")]
    await world.add_user("asa", displayName="Øystein 100%")
    await world.assign(ada, bea, cid)
    await world.run()
    await world.unassign(ada)
    _, value = await provision(api, ada)
    assert value["action"] == "Disable"
    assert (await world.accounts())["ada"]["active"] is False
    await world.change_user(bea, account_enabled=False)
    await world.directory.change(lambda c, now: users.delete_user(c, cid, now))

    async def found(text: str) -> list[str]:
        page = await api.ask("GET", f"{api.job}/joiner.search", params={"$search": text})
        return [item["userPrincipalName"].partition("@")[0] for item in page["value"]]

    assert await found("A") == ["ada", "asa"]
    assert await found("øYSTEIN") == ["asa"]
    assert await found("100%") == ["asa"]
    assert await found("ada@fjord") == ["ada"]
    assert await found("bea") == await found("cid") == []
    await api.ask("GET", f"{api.job}/joiner.search", status=400)


async def test_as_documented_who_is_disabled_in_the_directory_is_refused(api: JobApi) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    await api.world.run()
    await api.world.change_user(ada, account_enabled=False)
    await api.world.configure(parity_onDemandLeavers="off")
    await api.ask("POST", f"{api.job}/provisionOnDemand", body(api, ada), 400)
    await api.world.configure(parity_onDemandLeavers="on")
    _, value = await provision(api, ada)
    assert value["action"] == "Disable"


@pytest.mark.req("REQ-P-124")
async def test_the_sixth_call_within_ten_seconds_is_refused(api: JobApi) -> None:
    ada = await api.world.add_user("ada")
    for _ in range(5):
        await provision(api, ada)
    answer = await api.http.post(f"{api.job}/provisionOnDemand", json=body(api, ada))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    assert answer.json()["error"]["code"] == "TooManyRequests"
    api.world.clock.move(timedelta(seconds=10))
    await provision(api, ada)


@pytest.mark.req("REQ-P-125")
async def test_it_works_while_the_job_is_paused_or_quarantined_and_lifts_nothing(api: JobApi) -> None:
    ada, bea = await api.world.add_user("ada"), await api.world.add_user("bea")
    await api.world.assign(ada, bea)
    await api.ask("POST", f"{api.job}/pause", status=204)
    assert (await provision(api, ada))[0]["result"] == "Success"
    await api.ask("POST", f"{api.job}/joiner.quarantine", {"reason": "moving"}, 204)
    assert (await provision(api, bea))[0]["result"] == "Success"
    assert api.world.status()["quarantine"]["reason"] == "QuarantinedOnDemand"
    assert api.world.job().schedule_state == "Paused"


async def test_the_same_user_on_demand_and_in_a_cycle_at_once_is_created_once(api: JobApi) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    outcomes = await asyncio.gather(api.world.run(), provision(api, ada), api.world.run())
    assert len(await api.world.accounts()) == 1
    assert outcomes[1][0]["result"] in ("Success", "Skipped")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"parameters": []},
        {"parameters": [{"ruleId": "nothing", "subjects": [{"objectId": "x", "objectTypeName": "User"}]}]},
        {"parameters": [{"subjects": []}]},
        {"parameters": [{"subjects": [{"objectId": "x", "objectTypeName": "Device"}]}]},
        {"parameters": [{"subjects": [{"objectTypeName": "User"}]}]},
        {"parameters": [{"subjects": [{"objectId": "x", "objectTypeName": "Group", "links": {"members": "x"}}]}]},
        {"parameters": [{"subjects": [{"objectId": "x", "objectTypeName": "Group", "links": {"members": [{}]}}]}]},
    ],
)
async def test_a_request_that_says_nothing_useful_is_refused(api: JobApi, wrong: dict[str, Any]) -> None:
    await api.ask("POST", f"{api.job}/provisionOnDemand", wrong, 400)


async def test_an_object_that_the_directory_does_not_have_is_not_found(api: JobApi) -> None:
    await api.ask("POST", f"{api.job}/provisionOnDemand", body(api, "nobody"), 404)
