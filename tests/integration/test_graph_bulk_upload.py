"""`bulkUpload` over HTTP: what is accepted, what is refused and why, and where the results are found."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from joiner.provisioning.inbound.service import MOST_PER_SECOND
from tests.inbound import API_DRIVEN, bulk, held, person
from tests.job_api import JobApi, opened_api

HEADERS = {"Content-Type": "application/scim+json"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[JobApi]:
    async with opened_api(tmp_path, API_DRIVEN) as api:
        yield api


async def send(api: JobApi, body: Any, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await api.http.post(f"{api.job}/bulkUpload", content=content, headers={**HEADERS, **headers})


def waiting(api: JobApi) -> int:
    number: int = api.world.db.reader.execute("SELECT count(*) FROM upload").fetchone()[0]
    return number


@pytest.mark.req("REQ-C-036")
async def test_an_upload_is_kept_then_acknowledged_and_its_results_are_where_location_says(api: JobApi) -> None:
    answer = await send(api, bulk(person("E-1", "Ada Berg"), person("", "Bo Dahl")))
    assert (answer.status_code, answer.content) == (202, b"")
    assert waiting(api) == 1
    job_id = api.world.job_id
    place = answer.headers["location"]
    assert place == f"https://graph.example/v1.0/auditLogs/provisioning/?$filter=jobid%20eq%20'{job_id}'"
    await api.run()
    entries = (await api.ask("GET", place.partition("/v1.0")[2]))["value"]
    told = {entry["sourceIdentity"]["id"]: entry["provisioningStatusInfo"]["status"] for entry in entries}
    assert told == {"E-1": "success", "b1": "failure"}
    [failed] = [entry for entry in entries if entry["provisioningStatusInfo"]["status"] == "failure"]
    assert "no externalId" in failed["provisioningStatusInfo"]["errorInformation"]["reason"]
    assert failed["targetSystem"]["displayName"] == "Azure Active Directory"
    assert held(api.world, "ada").attributes["displayName"] == "Ada Berg"


@pytest.mark.req("REQ-C-036")
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "application/scim+jsonx"])
async def test_another_content_type_is_refused(api: JobApi, kind: str) -> None:
    answer = await send(api, bulk(person("E-1", "Ada Berg")), **{"Content-Type": kind})
    assert answer.status_code == 400
    assert "application/scim+json" in answer.json()["error"]["message"]
    assert waiting(api) == 0


async def test_parameters_of_the_content_type_and_names_in_any_case_are_accepted(api: JobApi) -> None:
    body = {key.lower(): value for key, value in bulk(person("E-1", "Ada Berg")).items()}
    answer = await send(api, body, **{"Content-Type": "Application/SCIM+JSON; charset=utf-8"})
    assert answer.status_code == 202


OPERATION = bulk(person("E-1", "Ada Berg"))["Operations"][0]


@pytest.mark.req("REQ-C-036")
@pytest.mark.parametrize(
    ("change", "place", "told"),
    [
        ({"method": "PUT"}, "method", "cannot be PUT"),
        ({"method": "DELETE"}, "method", "always POST"),
        ({"method": None}, "method", "is missing"),
        ({"path": "/Groups"}, "path", "cannot be /Groups"),
        ({"path": "/Users/E-1"}, "path", "always /Users"),
        ({"path": None}, "path", "is missing"),
        ({"bulkId": None}, "bulkId", "is required"),
        ({"bulkId": 7}, "bulkId", "as text"),
        ({"data": None}, "data", "is required"),
        ({"data": []}, "data", "SCIM user"),
    ],
)
async def test_an_operation_that_cannot_be_refuses_the_whole_upload_and_is_named(
    api: JobApi, change: dict[str, Any], place: str, told: str
) -> None:
    body = bulk(person("E-0", "Bo Dahl"))
    body["Operations"].append({key: value for key, value in {**OPERATION, **change}.items() if value is not None})
    answer = await send(api, body)
    assert answer.status_code == 400
    [detail] = answer.json()["error"]["details"]
    assert detail["target"] == f"Operations[1].{place}"
    assert told in detail["message"]
    assert waiting(api) == 0


@pytest.mark.req("REQ-C-036")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        ({"Operations": [OPERATION]}, "schemas: must contain"),
        (bulk(), "at least one operation"),
        (bulk(*[person(str(number), "Ada Berg") for number in range(51)]), "may be 50 at most; there are 51"),
        (bulk(person("E-1", "Ada Berg"), failOnErrors=1), "failOnErrors: must be null"),
    ],
)
async def test_a_message_that_is_no_bulk_request_is_refused(api: JobApi, body: Any, told: str) -> None:
    answer = await send(api, body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]
    assert waiting(api) == 0


async def test_fifty_operations_are_accepted_and_a_megabyte_is_not(api: JobApi) -> None:
    people = [person(f"E-{number}", f"P{number} Berg") for number in range(50)]
    assert (await send(api, bulk(*people))).status_code == 202
    answer = await send(api, bulk(person("E-1", "Ada Berg", title="x" * 1024 * 1024)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "RequestTooLarge")
    assert waiting(api) == 1


@pytest.mark.req("REQ-C-036")
async def test_more_than_forty_uploads_in_a_second_are_put_off(api: JobApi) -> None:
    body = bulk(person("E-1", "Ada Berg"))
    for _ in range(MOST_PER_SECOND):
        assert (await send(api, body)).status_code == 202
    answer = await send(api, body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert waiting(api) == 40
    api.world.clock.move(timedelta(seconds=1))
    assert (await send(api, body)).status_code == 202


@pytest.mark.req("REQ-C-036")
async def test_an_outbound_job_takes_no_uploads(tmp_path: Path) -> None:
    async with opened_api(tmp_path) as api:
        answer = await send(api, bulk(person("E-1", "Ada Berg")))
        assert answer.status_code == 400
        assert "takes no uploads" in answer.json()["error"]["message"]
        assert (await api.http.post(f"{api.job}x/bulkUpload", content=b"{}", headers=HEADERS)).status_code == 404


async def test_the_job_is_ready_without_credentials_and_its_mappings_can_be_edited(api: JobApi) -> None:
    [template] = (await api.ask("GET", f"{api.base}/templates"))["value"]
    assert (template["id"], template["factoryTag"]) == ("API2AAD", "API2AAD")
    assert api.world.job_id.startswith("API2AAD.")
    schema = await api.ask("GET", f"{api.job}/schema")
    for mapping in schema["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]:
        if mapping["targetAttributeName"] == "jobTitle":
            mapping["source"] = {"type": "Function", "name": "ToUpper", "expression": "ToUpper([title])"}
    checked = await api.ask("POST", f"{api.job}/schema/joiner.check", schema)
    assert (checked["errors"], checked["warnings"]) == ([], [])
    await api.ask("PUT", f"{api.job}/schema", schema, 204)
    await send(api, bulk(person("E-1", "Ada Berg", title="Buyer")))
    await api.ask("POST", f"{api.job}/start", status=204)
    await api.world.run_due()
    assert held(api.world, "ada").attributes["jobTitle"] == "BUYER"
    status = (await api.ask("GET", api.job))["status"]
    assert (status["code"], status["lastExecution"]["state"]) == ("Active", "Succeeded")
    assert status["synchronizedEntryCountByType"] == [{"key": "User to User", "value": 1}]
