"""Jobs through the Graph-shaped API, as an administrator's tools use it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.job_api import JobApi as Api
from tests.job_api import opened_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened_api(tmp_path) as it:
        yield it


@pytest.mark.req("REQ-P-003", "REQ-P-009")
async def test_a_new_job_is_disabled_and_named_after_template_and_tenant(api: Api) -> None:
    templates = (await api.ask("GET", f"{api.base}/templates"))["value"]
    assert [(template["id"], template["default"]) for template in templates] == [("alvaoScim", True)]
    job = await api.ask("POST", f"{api.base}/jobs", {"templateId": "alvaoScim"}, 201)
    template_id, tenant, own = job["id"].split(".")
    assert (template_id, len(tenant), len(own)) == ("alvaoScim", 32, 36)
    assert job["schedule"] == {"expiration": None, "interval": "PT40M", "state": "Disabled"}
    status = job["status"]
    assert (status["code"], status["quarantine"], status["progress"]) == ("Paused", None, [])
    assert status["steadyStateFirstAchievedTime"] == "0001-01-01T00:00:00Z"
    await api.ask("POST", f"{api.base}/jobs", {"templateId": "nothing"}, 400)
    await api.ask("POST", f"{api.base}/jobs", {}, 400)
    assert len((await api.ask("GET", f"{api.base}/jobs"))["value"]) == 2


@pytest.mark.req("REQ-P-005", "REQ-P-006", "REQ-P-007")
async def test_secrets_are_merged_masked_and_removed_by_an_empty_value(api: Api) -> None:
    async def stored() -> dict[str, str]:
        pairs = (await api.ask("GET", f"{api.base}/secrets"))["value"]
        assert (await api.ask("GET", api.base))["secrets"] == pairs
        return {pair["key"]: pair["value"] for pair in pairs}

    async def put(status: int = 204, tested: str = "true", **pairs: str) -> None:
        body = {"value": [{"key": key, "value": value} for key, value in pairs.items()]}
        await api.ask("PUT", f"{api.base}/secrets?joiner.test={tested}", body, status)

    address = f"{api.world.url}/scim"
    assert await stored() == {"BaseAddress": address, "SecretToken": "*"}
    await put(SyncAll="true", SecretToken="*")
    assert await stored() == {"BaseAddress": address, "SecretToken": "*", "SyncAll": "true"}
    await put(SyncAll="")
    assert await stored() == {"BaseAddress": address, "SecretToken": "*"}
    await put(400, BaseAddress="https://elsewhere.example/scim")
    await put(400, Nonsense="1")
    await put(400, BaseAddress="ftp://x")
    await put(400, BaseAddress="https://elsewhere.example/scim", SecretToken="new")
    await put(400, SecretToken="two\nlines")
    await put(400, AuthenticationType="telepathy")
    assert await stored() == {"BaseAddress": address, "SecretToken": "*"}
    await put(tested="false", BaseAddress="https://elsewhere.example/scim", SecretToken="new")
    raw = api.world.db.reader.execute("SELECT value FROM secret").fetchall()
    assert len(raw) == 2
    assert all(b"new" not in row["value"] and b"elsewhere" not in row["value"] for row in raw)
    await api.ask("PUT", f"{api.base}/secrets", {"value": "x"}, 400)
    await api.ask("PUT", f"{api.base}/secrets", {"value": [{"value": "x"}]}, 400)


@pytest.mark.req("REQ-P-004", "REQ-P-005", "REQ-C-001")
@pytest.mark.parametrize(
    ("address", "token", "reason"),
    [
        ("{url}/scim", "wrong", "refused the secret token"),
        ("{url}/nowhere", "wrong", "there is no SCIM endpoint at this address"),
        ("http://127.0.0.1:9/scim", "wrong", "cannot be reached"),
        ("https://no-such-host.invalid/scim", "wrong", "cannot be found"),
        ("http://169.254.169.254/latest", "wrong", "never called"),
        ("http://10.0.0.1/scim", "wrong", "private address"),
        ("", "wrong", "no Tenant URL"),
        ("{url}/scim", "", "no Secret Token"),
    ],
)
async def test_a_connection_that_does_not_work_is_refused_in_words(
    api: Api, address: str, token: str, reason: str
) -> None:
    credentials = [
        {"key": "BaseAddress", "value": address.format(url=api.world.url)},
        {"key": "SecretToken", "value": token},
    ]
    body = {"useSavedCredentials": False, "credentials": credentials, "templateId": "alvaoScim"}
    for path in (f"{api.job}/validateCredentials", f"{api.base}/jobs/validateCredentials"):
        error = (await api.ask("POST", path, body, 400))["error"]
        assert error["code"] == "CredentialsValidationFailed"
        assert reason in error["message"]
        assert "wrong" not in error["message"]


@pytest.mark.req("REQ-P-005")
async def test_each_check_of_a_connection_is_told_apart(api: Api) -> None:
    checks = (await api.ask("POST", f"{api.base}/joiner.testConnection"))["checks"]
    assert [(check["name"].partition(" (")[0], check["result"]) for check in checks] == [
        ("connection", "passed"),
        ("credentials", "passed"),
        ("query for a user", "passed"),
        ("query for a group", "passed"),
    ]
    pairs = [{"key": "SecretToken", "value": "wrong"}]
    for method, path, body in (
        ("PUT", f"{api.base}/secrets?joiner.test=true", {"value": pairs}),
        ("POST", f"{api.job}/validateCredentials", {"credentials": pairs}),
    ):
        error = (await api.ask(method, path, body, 400))["error"]
        assert [detail["code"] for detail in error["details"]] == ["passed", "failed", "notTried", "notTried"]
        assert "refused the secret token" in error["details"][1]["message"]
    await api.world.revoke_tokens()
    checks = (await api.ask("POST", f"{api.base}/joiner.testConnection"))["checks"]
    assert [check["result"] for check in checks] == ["passed", "failed", "notTried", "notTried"]


async def test_the_profile_of_a_target_is_part_of_its_job(api: Api) -> None:
    path = f"{api.job}/joiner.profile"
    assert (await api.ask("GET", path))["changed"] == []
    changed = await api.ask("PATCH", path, {"membersAddedPerPatch": 20, "mixedMemberChanges": False})
    assert (changed["membersAddedPerPatch"], changed["changed"]) == (20, ["membersAddedPerPatch", "mixedMemberChanges"])
    for wrong in ({"x": 1}, {"pageSize": "many"}):
        await api.ask("PATCH", path, wrong, 400)
    report = await api.ask("POST", f"{api.job}/joiner.probe", {"keep": False})
    assert {finding["about"] for finding in report["findings"]} >= {"PATCH", "filters", "pages", "active"}
    assert (await api.ask("GET", path))["changed"] == ["membersAddedPerPatch", "mixedMemberChanges"]
    report = await api.ask("POST", f"{api.job}/joiner.probe")
    assert report["leftBehind"] == []
    assert report["profile"]["changed"] == []


async def test_the_saved_credentials_work(api: Api) -> None:
    await api.ask("POST", f"{api.job}/validateCredentials", {"useSavedCredentials": True}, 204)


@pytest.mark.req("REQ-P-126", "REQ-P-128", "REQ-P-131", "REQ-P-137")
async def test_a_cycle_is_run_followed_and_read_in_the_log(api: Api) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    await api.world.add_user("bea")
    cycle = await api.run()
    assert (cycle["kind"], cycle["state"], cycle["objectsRead"]) == ("initial", "succeeded", 2)
    assert cycle["counts"] == {"create": 1, "update": 0, "disable": 0, "delete": 0, "skipped": 1, "failure": 0}
    status = (await api.ask("GET", api.job))["status"]
    execution = status["lastExecution"]
    assert (execution["state"], execution["countExported"], execution["activityIdentifier"]) == (
        "Succeeded",
        1,
        cycle["id"],
    )
    log = "/auditLogs/provisioning"
    entries = (await api.ask("GET", log, params={"$filter": f"jobId eq '{api.world.job_id}'"}))["value"]
    created = next(
        entry for entry in entries if entry["provisioningAction"] == "create" and entry["targetIdentity"]["id"]
    )
    assert created["provisioningStatusInfo"] == {"status": "success", "errorInformation": None}
    assert [step["provisioningStepType"] for step in created["provisioningSteps"]] == [
        "import", "scoping", "matching", "matching", "matching", "export",
    ]  # fmt: skip
    assert {"displayName": "userName", "oldValue": None, "newValue": "ada@fjord.example"} in created[
        "modifiedProperties"
    ]
    assert created["initiatedBy"]["initiatorType"] == "system"
    assert await api.ask("GET", f"{log}/{created['id']}") == created
    found = await api.ask("GET", log, params={"$filter": "provisioningStatusInfo/status eq 'skipped'"})
    assert [entry["sourceIdentity"]["displayName"] for entry in found["value"]] == ["Bea"]
    first = await api.ask("GET", log, params={"$top": "1", "$orderby": "activityDateTime"})
    second = await api.ask("GET", first["@odata.nextLink"])
    assert {first["value"][0]["id"], second["value"][0]["id"]} == {entry["id"] for entry in entries}
    assert "@odata.nextLink" not in second


@pytest.mark.req("REQ-P-134")
async def test_the_log_cannot_be_changed(api: Api) -> None:
    await api.world.add_user("ada")
    await api.run()
    [entry] = (await api.ask("GET", "/auditLogs/provisioning"))["value"]
    for method in ("PATCH", "PUT", "DELETE", "POST"):
        await api.ask(method, f"/auditLogs/provisioning/{entry['id']}", {}, 405)
    assert (await api.ask("GET", "/auditLogs/provisioning"))["value"] == [entry]


@pytest.mark.req("REQ-P-057", "REQ-P-058", "REQ-P-059", "REQ-P-087")
async def test_start_pause_and_restart(api: Api) -> None:
    async def state() -> tuple[str, str]:
        job = await api.ask("GET", api.job)
        return job["schedule"]["state"], job["status"]["code"]

    assert await state() == ("Disabled", "Paused")
    await api.ask("POST", f"{api.job}/start", status=204)
    assert await state() == ("Active", "NotRun")
    await api.run()
    assert await state() == ("Active", "Active")
    await api.ask("POST", f"{api.job}/start", status=204)
    await api.ask("POST", f"{api.job}/pause", status=204)
    assert await state() == ("Paused", "Paused")
    assert (await api.run())["kind"] == "incremental"
    for body in (None, {}, {"criteria": {"resetScope": "watermark,escrows"}}, {"criteria": {"resetScope": "Full"}}):
        await api.ask("POST", f"{api.job}/restart", body, 204)
        assert (await api.run())["kind"] == "initial"
    await api.ask("POST", f"{api.job}/restart", {"criteria": {"resetScope": "Everything"}}, 400)
    await api.ask("POST", f"{api.job}/restart", {"criteria": 5}, 400)


@pytest.mark.req("REQ-P-059")
async def test_a_full_restart_matches_everybody_again(api: Api) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    await api.run()
    await api.ask("POST", f"{api.job}/restart", {"criteria": {"resetScope": "Full"}}, 204)
    assert api.world.db.reader.execute("SELECT count(*) FROM link").fetchone()[0] == 0
    await api.run()
    entry = api.world.entries()["ada"]
    assert any("Searched the target" in step["description"] for step in entry["provisioningSteps"])
    assert len(await api.world.accounts()) == 1


@pytest.mark.req("REQ-P-140")
async def test_a_deleted_job_takes_its_links_along_and_leaves_the_accounts(api: Api) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    await api.run()
    await api.ask("DELETE", api.job, status=204)
    await api.ask("GET", api.job, status=404)
    assert api.world.db.reader.execute("SELECT count(*) FROM link").fetchone()[0] == 0
    assert set(await api.world.accounts()) == {"ada"}


@pytest.mark.req("REQ-P-141")
async def test_the_schema_holds_mappings_and_no_credentials(api: Api) -> None:
    schema = await api.ask("GET", f"{api.job}/schema")
    assert schema["id"] == api.world.job_id
    assert len(schema["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]) == 22
    assert "SecretToken" not in str(schema)
    template = await api.ask("GET", f"{api.base}/templates/alvaoScim/schema")
    assert template["synchronizationRules"] == schema["synchronizationRules"]


async def test_jobs_of_other_applications_are_not_found(api: Api) -> None:
    other = await api.ask("POST", "/applicationTemplates/alvao/instantiate", {"displayName": "Second"}, 201)
    foreign = f"/servicePrincipals/{other['servicePrincipal']['id']}/synchronization/jobs/{api.world.job_id}"
    await api.ask("GET", foreign, status=404)
    await api.ask("POST", f"{foreign}/start", status=404)
    await api.ask("GET", "/servicePrincipals/nobody/synchronization/jobs", status=404)


@pytest.mark.req("REQ-P-083", "REQ-P-084", "REQ-P-086")
async def test_a_quarantine_is_tried_after_6_12_24_hours_then_daily_and_given_up_after_28_days(api: Api) -> None:
    await api.world.add_user("ada")
    await api.world.revoke_tokens()
    await api.ask("POST", f"{api.job}/start", status=204)
    began = api.world.clock()
    waits: list[tuple[int, int, str]] = []
    day = timedelta(days=1)
    for _ in range(40):
        begun = await api.world.side.scheduler.begin_due_cycles()
        if begun:
            await api.world.engine.wait(begun[0])
            quarantine = (await api.ask("GET", api.job))["status"]["quarantine"]
            waits.append((len(waits), quarantine["seriesCount"], quarantine["seriesBegan"]))
        api.world.clock.move(day / 4 if api.world.clock() - began < day else day)
    assert [number for number, _, _ in waits] == [count for _, count, _ in waits]
    assert len({began_at for _, _, began_at in waits}) == 1
    assert len(waits) == 4 + 27, "at once, after 6, 12 and 24 hours, and daily to the 28th day"
    job = await api.ask("GET", api.job)
    assert (job["schedule"]["state"], job["status"]["code"]) == ("Disabled", "Quarantine")


@pytest.mark.req("REQ-P-071", "REQ-P-068", "REQ-P-051")
async def test_an_object_connection_is_found_by_either_id_and_forgotten_while_the_job_is_paused(api: Api) -> None:
    world = api.world
    ada = await world.add_user("ada")
    await world.assign(ada)
    await api.ask("POST", f"{api.job}/start", status=204)
    await world.run_due()
    account = (await world.accounts())["ada"]["id"]
    connections = f"{api.job}/joiner.objectConnections"
    found = await api.ask("GET", f"{connections}/{ada}")
    assert (found["sourceAnchor"], found["targetAnchor"], found["objectTypeName"]) == (ada, account, "User")
    assert await api.ask("GET", f"{connections}/{account}") == found
    await api.ask("GET", f"{connections}/nobody", status=404)
    await api.ask("GET", connections, status=400)
    await api.ask("DELETE", f"{connections}/{ada}", status=409)
    await world.change_user(ada, jobTitle="New")
    await world.run()
    assert [sent.path for sent in world.sent if sent.method == "PATCH"] == [f"/scim/Users/{account}"]
    await world.application_delete(account)
    await world.change_user(ada, jobTitle="Newer")
    assert await world.run() == {"ada": "update failure"}
    await api.ask("POST", f"{api.job}/pause", status=204)
    for _ in range(2):
        await api.ask("DELETE", f"{connections}/{account}", status=204)
    subject = {"parameters": [{"subjects": [{"objectId": ada, "objectTypeName": "User"}]}]}
    await api.ask("POST", f"{api.job}/provisionOnDemand", subject)
    assert set(await world.accounts()) == {"ada"}


@pytest.mark.req("REQ-P-130")
async def test_the_references_own_place_for_notification_settings_is_understood(api: Api) -> None:
    async def put(value: str, status: int = 204) -> None:
        body = {"value": [{"key": "SyncNotificationSettings", "value": value}]}
        await api.ask("PUT", f"{api.base}/secrets", body, status)

    async def settings() -> dict[str, str]:
        pairs = (await api.ask("GET", api.job))["synchronizationJobSettings"]
        return {pair["name"]: pair["value"] for pair in pairs}

    await put(
        '{"Enabled":true,"Recipients":"ops@fjord.example","DeleteThresholdEnabled":true,"DeleteThresholdValue":7}'
    )
    assert await settings() == {
        "NotificationEmail": "ops@fjord.example",
        "SendNotificationEmail": "true",
        "PreventAccidentalDeletions": "true",
        "QuarantineTooManyDeletesThreshold": "7",
    }
    await put('{"Enabled":false,"DeleteThresholdEnabled":false}')
    assert (await settings())["SendNotificationEmail"] == "false"
    await put("nonsense", 400)
    second = await api.ask("POST", f"{api.base}/jobs", {"templateId": "alvaoScim"}, 201)
    assert {"name": "SendNotificationEmail", "value": "false"} in second["synchronizationJobSettings"]


@pytest.mark.req("REQ-P-126", "REQ-P-128")
async def test_the_status_names_the_last_executions_and_when_nothing_was_left_to_do(api: Api) -> None:
    world = api.world
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.run()
    writing = world.cycle().id
    first = world.status()["steadyStateFirstAchievedTime"]
    assert first == world.cycle().ended_at
    world.clock.move(timedelta(minutes=40))
    await world.run()
    quiet = world.cycle().id
    await world.assign(await world.add_user("bea"))
    world.fail(lambda method, path: 400 if method == "POST" else None)
    world.clock.move(timedelta(minutes=40))
    await world.run()
    status = world.status()
    assert status["lastExecution"]["activityIdentifier"] == world.cycle().id
    assert (status["lastExecution"]["state"], status["lastExecution"]["countEscrowed"]) == ("EntryLevelErrors", 1)
    assert status["lastSuccessfulExecution"]["activityIdentifier"] == quiet
    assert status["lastSuccessfulExecutionWithExports"]["activityIdentifier"] == writing
    assert status["steadyStateFirstAchievedTime"] == first < status["steadyStateLastAchievedTime"]
    world.fail(None)
    [progress] = status["progress"]
    assert (progress["units"], progress["completedUnits"]) == ("pages", progress["totalUnits"])


@pytest.mark.req("REQ-P-139", "REQ-P-047")
async def test_a_saved_schema_is_in_the_audit_log_and_lifts_a_quarantine(api: Api) -> None:
    await api.ask("POST", f"{api.job}/joiner.quarantine", {"reason": "x"}, 204)
    schema = await api.ask("GET", f"{api.job}/schema")
    schema["synchronizationRules"][0]["objectMappings"][1]["enabled"] = False
    await api.ask("PUT", f"{api.job}/schema", schema, 204)
    assert api.world.status()["quarantine"] is None
    entries = (await api.ask("GET", "/auditLogs/directoryAudits", params={"$top": "2"}))["value"]
    lifted, saved = entries
    assert (lifted["activityDisplayName"], lifted["resultReason"]) == ("Quarantine", "the quarantine is lifted")
    assert saved["activityDisplayName"] == "Update attribute mappings or scope"
    assert saved["initiatedBy"]["user"]["displayName"] == "root"


@pytest.mark.req("REQ-P-002")
async def test_provisioning_mode_goes_from_manual_to_automatic_and_never_back(api: Api) -> None:
    template = (await api.ask("GET", "/applicationTemplates"))["value"][0]["id"]
    made = await api.ask("POST", f"/applicationTemplates/{template}/instantiate", {"displayName": "New"}, 201)
    base = f"/servicePrincipals/{made['servicePrincipal']['id']}/synchronization"

    async def mode(base: str) -> str:
        shown: dict[str, str] = await api.ask("GET", f"{base}/joiner.provisioningMode")
        return shown["provisioningMode"]

    async def put(base: str, value: str, status: int = 204) -> None:
        error = await api.ask("PUT", f"{base}/joiner.provisioningMode", {"provisioningMode": value}, status)
        assert status != 409 or "cannot become Manual again; pause the job" in error["error"]["message"]

    assert await mode(base) == "Manual"
    await put(base, "Manual")
    await put(base, "automatic", 400)
    await put(base, "Automatic")
    await put(base, "Automatic")
    await put(base, "Manual", 409)
    assert await mode(base) == "Automatic"
    audits = (await api.ask("GET", "/auditLogs/directoryAudits"))["value"]
    names = [p["displayName"] for entry in audits for r in entry["targetResources"] for p in r["modifiedProperties"]]
    assert names.count("provisioningMode") == 2


@pytest.mark.req("REQ-P-002")
async def test_the_first_job_makes_provisioning_automatic_and_deleting_it_does_not_undo_that(api: Api) -> None:
    shown = await api.ask("GET", f"{api.base}/joiner.provisioningMode")
    assert shown == {"provisioningMode": "Automatic"}
    await api.ask("DELETE", api.job, status=204)
    assert await api.ask("GET", f"{api.base}/joiner.provisioningMode") == shown
    await api.ask("PUT", f"{api.base}/joiner.provisioningMode", {"provisioningMode": "Manual"}, 409)
