"""Keys that may only upload people: what they open, and that they open nothing else."""

import re
import shutil
from pathlib import Path

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from joiner.config import Settings
from joiner.directory.api_keys import ApiKeys, Principal
from joiner.directory.store import MIGRATIONS
from joiner.server.data_folder import DataFolder
from joiner.server.instance import Instance
from joiner.storage.sqlite import Database
from tests.inbound import API_DRIVEN, bulk, held, person
from tests.job_api import opened_api
from tests.world import StillClock

UPLOADER = {"Authorization": "Bearer hr"}
JOB = "/servicePrincipals/{sp}/synchronization/jobs/{job}"
OPEN = {("POST", f"{JOB}/bulkUpload"), ("GET", JOB), ("GET", "/auditLogs/provisioning")}


async def test_of_all_routes_three_are_open_to_an_uploader(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path)
    try:
        async with (
            Instance(folder, Settings(), sides=("directory",)) as instance,
            httpx.AsyncClient(transport=httpx.ASGITransport(instance.app), base_url="http://joiner.test") as client,
        ):
            local = {"Authorization": f"Bearer {folder.local_key}"}
            made = await client.post("/v1.0/joiner.apiKeys", json={"role": "uploader", "name": "HR"}, headers=local)
            key = {"Authorization": f"Bearer {made.json()['key']}"}
            assert isinstance(instance.app, Starlette)
            [graph] = [route for route in instance.app.routes if isinstance(route, Mount) and route.path == "/v1.0"]
            reached = set()
            for route in graph.routes:
                assert isinstance(route, Route)
                for method in (route.methods or set()) - {"HEAD"}:
                    path = f"/v1.0{re.sub(r'{[^}]*}', 'x', route.path)}"
                    answer = await client.request(method, path, headers=key)
                    if answer.status_code != 403:
                        reached.add((method, route.path))
            assert reached == OPEN
    finally:
        folder.close()


@pytest.mark.req("REQ-C-036")
async def test_an_uploader_sends_people_and_reads_what_became_of_them(tmp_path: Path) -> None:
    async with opened_api(tmp_path, API_DRIVEN) as api:
        content = orjson.dumps(bulk(person("E-1", "Ada Berg")))
        headers = {**UPLOADER, "Content-Type": "application/scim+json"}
        answer = await api.http.post(f"{api.job}/bulkUpload", content=content, headers=headers)
        assert answer.status_code == 202
        await api.run()
        assert held(api.world, "ada").account_enabled
        status = await api.ask("GET", api.job, headers=UPLOADER)
        assert status["status"]["lastExecution"]["state"] == "Succeeded"
        place = answer.headers["location"].partition("/v1.0")[2]
        [entry] = (await api.ask("GET", place, headers=UPLOADER))["value"]
        assert entry["sourceIdentity"]["id"] == "E-1"
        await api.ask("GET", f"/auditLogs/provisioning/{entry['id']}", status=403, headers=UPLOADER)
        await api.ask("GET", f"{api.job}/schema", status=403, headers=UPLOADER)
        await api.ask("POST", f"{api.job}/start", status=403, headers=UPLOADER)


async def test_an_uploader_sees_nothing_of_a_job_that_takes_no_uploads(tmp_path: Path) -> None:
    async with opened_api(tmp_path) as api:
        await api.world.assign(await api.world.add_user("ada"))
        await api.run()
        assert len((await api.ask("GET", "/auditLogs/provisioning"))["value"]) == 1
        assert (await api.ask("GET", "/auditLogs/provisioning", headers=UPLOADER))["value"] == []
        chosen = f"/auditLogs/provisioning?$filter=jobId eq '{api.world.job_id}' or jobId eq 'x'"
        assert (await api.ask("GET", chosen, headers=UPLOADER))["value"] == []
        await api.ask("GET", api.job, status=403, headers=UPLOADER)


async def test_keys_that_were_made_before_the_role_still_open(tmp_path: Path) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for file in sorted(MIGRATIONS.glob("*.sql"))[:3]:
        shutil.copy(file, older)
    db = Database(tmp_path / "directory.db", {"directory": older})
    text, record = await ApiKeys(db, StillClock()).create("reader", "dashboard")
    db.close()
    db = Database(tmp_path / "directory.db", {"directory": MIGRATIONS})
    try:
        keys = ApiKeys(db, StillClock())
        assert keys.list() == [record]
        assert keys.authenticate(text) == Principal("dashboard", "reader")
        text, _ = await keys.create("uploader")
        assert keys.authenticate(text) is not None
    finally:
        db.close()
