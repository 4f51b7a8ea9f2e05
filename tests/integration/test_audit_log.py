"""The audit log through the API: who did what to a job, and what the engine did by itself."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.job_api import JobApi, opened_api

AUDIT = "/auditLogs/directoryAudits"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[JobApi]:
    async with opened_api(tmp_path) as it:
        yield it


async def activities(api: JobApi) -> list[tuple[str, str]]:
    """(activity, who), oldest first."""
    entries = (await api.ask("GET", AUDIT, params={"$orderby": "activityDateTime asc"}))["value"]
    return [(entry["activityDisplayName"], _who(entry)) for entry in entries]


def _who(entry: dict[str, Any]) -> str:
    initiator = entry["initiatedBy"]
    name: str = (initiator["user"] or initiator["app"])["displayName"]
    return name


@pytest.mark.req("REQ-P-139")
async def test_everything_that_an_administrator_does_to_a_job_is_noted_with_who_when_and_what(api: JobApi) -> None:
    job = await api.ask("POST", f"{api.base}/jobs", {"templateId": "alvaoScim"}, 201)
    path = f"{api.base}/jobs/{job['id']}"
    await api.ask("POST", f"{path}/start", status=204)
    await api.ask("POST", f"{path}/pause", status=204)
    await api.ask("POST", f"{path}/restart", {"criteria": {"resetScope": "Full"}}, 204)
    await api.ask("PUT", f"{api.base}/secrets", {"value": [{"key": "SecretToken", "value": "s3cr3t-value"}]}, 204)
    settings = [{"name": "NotificationEmail", "value": "ops@fjord.example"}]
    await api.ask("PATCH", path, {"synchronizationJobSettings": settings}, 204)
    await api.ask("POST", f"{path}/joiner.quarantine", {"reason": "moving"}, 204)
    await api.ask("DELETE", path, status=204)
    own = [activity for activity, who in await activities(api) if who == "root"]
    assert own == [
        "Add provisioning configuration",
        "Enable/start provisioning configuration",
        "Disable/pause provisioning configuration",
        "Enable/restart provisioning configuration",
        "Update provisioning setting or credentials",
        "Update provisioning setting or credentials",
        "Quarantine",
        "Delete provisioning configuration",
    ]
    entries = (await api.ask("GET", AUDIT))["value"]
    assert "s3cr3t-value" not in str(entries)
    changed = [
        change
        for entry in entries
        if entry["activityDisplayName"] == "Update provisioning setting or credentials" and _who(entry) == "root"
        for change in entry["targetResources"][0]["modifiedProperties"]
    ]
    assert changed == [
        {"displayName": "NotificationEmail", "oldValue": None, "newValue": "ops@fjord.example"},
        {"displayName": "SecretToken", "oldValue": "[Redact]", "newValue": "[Redact]"},
    ]
    assert entries[0]["category"] == "ProvisioningManagement"
    assert entries[0]["targetResources"][0]["displayName"] == "ALVAO"
    assert {"key": "JobId", "value": job["id"]} in entries[0]["additionalDetails"]
    assert await api.ask("GET", f"{AUDIT}/{entries[0]['id']}") == entries[0]
    await api.ask("GET", f"{AUDIT}/nothing", status=404)
    text = "activityDisplayName eq 'Quarantine'"
    assert len((await api.ask("GET", AUDIT, params={"$filter": text}))["value"]) == 1


@pytest.mark.req("REQ-P-139")
async def test_what_the_engine_does_by_itself_is_noted_in_its_own_name(api: JobApi) -> None:
    world = api.world
    ada = await world.add_user("ada")
    await world.assign(ada)
    world.fail(lambda method, path: 400 if method == "POST" else None)
    await world.run()
    world.fail(None)
    await world.run()
    await world.service.start(world.job_id)
    world.fail(lambda method, path: 401)
    for _ in range(60):
        await world.run_due()
        world.clock.move(timedelta(hours=12))
    told = [activity for activity, who in await activities(api) if who == "Azure AD Provisioning Service"]
    assert told[2:] == [
        "Import",
        "Export",
        "Export",
        "Process escrow",
        "Enable/start provisioning configuration",
        "Quarantine",
        "Disable/pause provisioning configuration",
    ]
    export = (await api.ask("GET", AUDIT, params={"$filter": "activityDisplayName eq 'Export'"}))["value"]
    details = {item["key"]: item["value"] for item in export[0]["additionalDetails"]}
    assert (details["create"], details["failure"]) == ("1", "0")


@pytest.mark.req("REQ-P-139", "REQ-P-115")
async def test_held_deletions_their_answer_and_runs_on_demand_are_noted(api: JobApi) -> None:
    world = api.world
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.configure(QuarantineTooManyDeletesThreshold="0")
    await world.run()
    await world.unassign(ada)
    await world.run()
    [held] = (await api.ask("GET", f"{api.job}/joiner.deletes"))["value"]
    assert (held["id"], held["action"], held["objectName"]) == (ada, "disable", "ada@fjord.example")
    assert await api.ask("POST", f"{api.job}/joiner.deletes/allow", {"items": [ada]}) == {"allowed": 1}
    subject = {"parameters": [{"subjects": [{"objectId": ada, "objectTypeName": "User"}]}]}
    await api.ask("POST", f"{api.job}/provisionOnDemand", subject)
    told = await activities(api)
    assert ("Synchronization rule action", "Azure AD Provisioning Service") in told
    assert told[-3:] == [("Quarantine", "root"), ("Other", "root"), ("User Provisioning", "root")]
    await api.ask("POST", f"{api.job}/joiner.deletes/reject", {"items": "all"}, 400)
    await api.ask("POST", f"{api.job}/joiner.deletes/reject", {"items": ["nothing"]}, 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE"])
async def test_no_interface_changes_the_audit_log(api: JobApi, method: str) -> None:
    before = (await api.ask("GET", AUDIT))["value"]
    await api.ask(method, f"{AUDIT}/{before[0]['id']}", {}, 405)
    assert (await api.ask("GET", AUDIT))["value"] == before
