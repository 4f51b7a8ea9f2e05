"""An independent SCIM client's own checks of a service provider, run against the endpoint on a real socket."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.processes import joiner, serving


@pytest.fixture
def scim(tmp_path: Path) -> Iterator[SyncSCIMClient]:
    with serving(tmp_path, "--only", "application") as server:
        headers = {"Authorization": f"Bearer {joiner('token', 'create', data=tmp_path).strip()}"}
        with httpx2.Client(base_url=f"{server.url}/scim", headers=headers) as http:
            client = SyncSCIMClient(http)
            client.discover()
            yield client


def test_every_check_of_the_independent_tester_succeeds(scim: SyncSCIMClient) -> None:
    results = check_server(scim)
    refused = [f"{result.title}: {result.reason}" for result in results if result.status is Status.ERROR]
    assert refused == []
    assert sum(result.status is Status.SUCCESS for result in results) > 100
