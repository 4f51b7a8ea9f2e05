"""A system of record uploads its people, and the directory side dies while it takes them over."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.inbound import API_DRIVEN, bulk, person
from tests.processes import PATIENCE, Server, fetch, joiner, serving
from tests.waiting import wait_until

UPLOADS, EACH = 40, 50


def post(url: str, key: str, body: Any) -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/scim+json"}
    return httpx.post(url, json=body, headers=headers).status_code


def count_users(server: Server, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}", "ConsistencyLevel": "eventual"}
    answer = httpx.get(f"{server.url}/v1.0/users?$count=true&$top=1", headers=headers)
    return int(answer.json()["@odata.count"])


@pytest.mark.req("REQ-C-036")
def test_every_acknowledged_upload_survives_a_kill_and_is_taken_over_once(tmp_path: Path) -> None:
    joiner("app", "add", API_DRIVEN, data=tmp_path)
    joiner("job", "create", API_DRIVEN, data=tmp_path)
    key = (tmp_path / "local.key").read_text().strip()
    victim = Server(tmp_path, "--only", "directory")
    [principal] = fetch(f"{victim.url}/v1.0/servicePrincipals", key)["value"]
    jobs = f"/v1.0/servicePrincipals/{principal['id']}/synchronization/jobs"
    [job] = fetch(f"{victim.url}{jobs}", key)["value"]
    joiner("job", "start", API_DRIVEN, data=tmp_path)
    for number in range(UPLOADS):
        people = [person(f"E-{number}-{each}", f"P{number}x{each} Berg", manager="E-0-0") for each in range(EACH)]
        assert post(f"{victim.url}{jobs}/{job['id']}/bulkUpload", key, bulk(*people)) == 202
    assert count_users(victim, key) < UPLOADS * EACH, "everything was taken over before the kill"
    victim.kill()
    with serving(tmp_path, "--only", "directory") as survivor:
        wait_until(lambda: count_users(survivor, key) >= UPLOADS * EACH, PATIENCE)
        assert count_users(survivor, key) == UPLOADS * EACH
        condition = quote(f"jobId eq '{job['id']}' and provisioningAction eq 'create'")
        url = f"{survivor.url}/v1.0/auditLogs/provisioning?$filter={condition}&$top=1000"
        created: list[str] = []
        while url:
            page = fetch(url, key)
            created += [entry["sourceIdentity"]["id"] for entry in page["value"]]
            url = page.get("@odata.nextLink", "")
        assert len(created) == len(set(created)) == UPLOADS * EACH
