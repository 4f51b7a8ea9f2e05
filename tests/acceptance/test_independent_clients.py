"""SCIM clients and checkers that others have written, run against the endpoint on a real socket, on both databases."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.parallel import administer, application_servers
from tests.processes import PATIENCE, Server
from tests.scim_client import CORE
from tests.services import PostgreSQL

PROFILES = ("lenient", "strict")
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
ANSWERED_WITHOUT_A_BODY = {
    "PATCH /Groups/{id}",
    "PATCH /Groups/{id} add member",
    "PATCH /Groups/{id} remove members",
}
"""What scim-sanity counts as wrong: RFC 7644 §3.5.2 allows 204."""
SKIPPED_WITHOUT_AGENTS = {"Agent CRUD Lifecycle", "AgenticApplication CRUD Lifecycle", "Agent Rapid Lifecycle"}
"""scim-sanity tries these where ResourceTypes has them; they are from a draft, draft-abbey-scim-agent-extension."""
AGENT_ATTRIBUTES = [
    {"name": "name", "type": "string", "required": True, "uniqueness": "server"},
    {"name": "displayName", "type": "string"},
    {"name": "active", "type": "boolean"},
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("independent")
    if request.param == "sqlite":
        with application_servers(folder, None, 1) as (started,):
            yield started
        return
    postgresql: PostgreSQL = request.getfixturevalue("postgresql")
    with postgresql.new_database() as url, application_servers(folder, url, 1) as (started,):
        yield started


@dataclass(frozen=True)
class Connection:
    """A new connection of the server, and a token of it."""

    server: Server
    name: str
    token: str

    @property
    def url(self) -> str:
        return f"{self.server.url}/scim"

    def scim2(self, *arguments: str, stdin: str = "", code: int = 0) -> Any:
        """What a command of scim2-cli prints, read as JSON; None if it prints nothing."""
        printed = self.run_scim2(*arguments, stdin=stdin, code=code)
        return json.loads(printed) if printed.strip() else None

    def run_scim2(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """What a command of scim2-cli prints."""
        environment = {"SCIM_CLI_URL": self.url, "SCIM_CLI_HEADERS": f"Authorization: Bearer {self.token}"}
        return run_program("scim2", *arguments, stdin=stdin, code=code, environment=environment)

    def scim_sanity(self, code: int) -> dict[str, str]:
        """What scim-sanity's probe makes of the endpoint: the names of its tests and their results."""
        arguments = ("probe", self.url, "--token", self.token, "--i-accept-side-effects", "--json-output")
        printed = run_program("scim-sanity", *arguments, code=code)
        return {result["name"]: result["status"] for result in json.loads(printed)["results"]}


def run_program(
    name: str, *arguments: str, stdin: str = "", code: int = 0, environment: dict[str, str] | None = None
) -> str:
    """What a program of this environment prints. It must end with this code."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(name)), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, f"{name} {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def new_connection(server: Server, name: str, **settings: Any) -> Connection:
    administer(server, "/connections", {"name": name, "settings": settings})
    return Connection(server, name, administer(server, "/tokens", {"connection": name})["token"])


@pytest.mark.parametrize("profile", PROFILES)
def test_every_check_of_scim2_tester_succeeds(server: Server, profile: str) -> None:
    connection = new_connection(server, f"tester-{profile}", profile=profile)
    headers = {"Authorization": f"Bearer {connection.token}"}
    with httpx2.Client(base_url=connection.url, headers=headers) as http:
        client = SyncSCIMClient(http)
        client.discover()
        results = check_server(client)
    others = [f"{result.title}: {result.reason}" for result in results if result.status is not Status.SUCCESS]
    assert others == []
    assert len(results) > 100


def test_a_walk_with_the_command_line_of_scim2_cli(server: Server) -> None:
    scim2 = new_connection(server, "cli", profile="strict").scim2
    user = scim2("create", "user", "--user-name", "kim", "--name", '{"givenName": "Kim"}')
    assert scim2("query", "user", user["id"]) == user
    found = scim2("query", "user", "--filter", 'userName eq "KIM"', "--attribute", "userName")
    assert [(each["id"], each["userName"]) for each in found["Resources"]] == [(user["id"], "kim")]

    emails = '[{"value": "kim@fjord.example", "type": "work"}]'
    changed = scim2("modify", "user", user["id"], "remove", "name", "add", "emails", emails)
    assert "name" not in changed
    path = 'emails[type eq "work"].value'
    changed = scim2("modify", "user", user["id"], "replace", path, "k@fjord.example")
    assert changed["emails"] == [{"value": "k@fjord.example", "type": "work"}]
    replaced = scim2("replace", "user", "--id", user["id"], "--user-name", "kim2")
    assert (replaced["userName"], "emails" in replaced) == ("kim2", False)

    group = scim2("create", "group", "--display-name", "Team", "--members", json.dumps([{"value": user["id"]}]))
    assert [member["display"] for member in group["members"]] == ["kim2"]
    assert scim2("modify", "group", group["id"], "replace", "displayName", "Crew") is None
    [shown] = scim2("search", "user", "--cursor", "", "--count", "1")["Resources"]
    assert [each["display"] for each in shown["groups"]] == ["Crew"]

    new = {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"schemas": [CORE], "userName": "lee"}}
    bulk = json.dumps({"schemas": [BULK], "Operations": [new]})
    assert [each["status"] for each in scim2("bulk", stdin=bulk)["Operations"]] == ["201"]
    assert scim2("create", "user", "--user-name", "LEE", code=1)["scimType"] == "uniqueness"

    assert scim2("delete", "user", user["id"]) is None
    assert scim2("query", "user", user["id"], code=1)["status"] == "404"
    assert scim2("query")["totalResults"] == 2


def test_the_check_of_scim2_cli_finds_nothing_wrong(server: Server) -> None:
    told = new_connection(server, "check", profile="strict").run_scim2("test").splitlines()[1:]
    statuses = [line.split()[0] for line in told if line[:1].isupper()]
    assert set(statuses) == {"SUCCESS"}
    assert len(statuses) > 100


@pytest.mark.parametrize("profile", PROFILES)
def test_every_probe_of_scim_sanity_passes_but_for_the_answer_without_a_body(server: Server, profile: str) -> None:
    results = new_connection(server, f"sanity-{profile}", profile=profile).scim_sanity(code=1)
    assert {name for name, status in results.items() if status not in ("pass", "skip")} == ANSWERED_WITHOUT_A_BODY
    assert {name for name, status in results.items() if status == "skip"} == SKIPPED_WITHOUT_AGENTS


@pytest.mark.parametrize("profile", PROFILES)
def test_every_probe_of_scim_sanity_passes_where_agents_are_defined_and_a_patch_is_answered(
    server: Server, profile: str
) -> None:
    connection = new_connection(server, f"agents-{profile}", profile=profile, patchResponse="200")
    for name in ("Agent", "AgenticApplication"):
        urn = f"urn:ietf:params:scim:schemas:core:2.0:{name}"
        schema = {"schemas": [SCHEMA], "id": urn, "name": name, "attributes": AGENT_ATTRIBUTES}
        administer(server, f"/connections/{connection.name}/schemas", schema)
        kind = {"schemas": [RESOURCE_TYPE], "id": name, "name": name, "endpoint": f"/{name}s", "schema": urn}
        administer(server, f"/connections/{connection.name}/resource-types", kind)
    results = connection.scim_sanity(code=0)
    assert set(results.values()) == {"pass"}
    assert len(results) > 40
