"""The directory side dies in the middle of its first cycle, and is started again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PATIENCE, Server, fetch, joiner, serving
from tests.waiting import wait_until

USERS = 600
KILL_AT = 150


def write_directory(folder: Path) -> tuple[Path, Path]:
    """Users with managers, and two groups that hold all of them."""
    users, groups = folder / "users.csv", folder / "groups.csv"
    names = [f"user{number:04d}@fjord.example" for number in range(USERS)]
    rows = ["userPrincipalName,displayName,surname,givenName,mail,accountEnabled,department,manager"]
    rows += [
        f"{name},User {number},Surname{number},Given{number},{name},true,D{number % 7},{names[0] if number else ''}"
        for number, name in enumerate(names)
    ]
    users.write_text("\n".join(rows), encoding="utf-8")
    members = ["groupDisplayName,userPrincipalName"]
    members += [f"{('Even', 'Odd')[number % 2]},{name}" for number, name in enumerate(names)]
    groups.write_text("\n".join(members), encoding="utf-8")
    return users, groups


def everybody(application: Server, token: str, endpoint: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = fetch(f"{application.url}/scim/{endpoint}?startIndex={len(found) + 1}&count=200", token)
        found += page["Resources"]
        if len(found) >= page["totalResults"]:
            return found


@pytest.mark.req("REQ-P-054", "REQ-P-050")
def test_a_killed_initial_cycle_is_finished_without_a_duplicate_or_a_gap(tmp_path: Path) -> None:
    directory_data, application_data = tmp_path / "directory", tmp_path / "application"
    users, groups = write_directory(tmp_path)
    with serving(application_data, "--only", "application") as application:
        token = joiner("token", "create", data=application_data).strip()
        joiner("directory", "import", str(users), "--groups", str(groups), data=directory_data)
        secret = tmp_path / "token"
        secret.write_text(token)
        joiner(
            *("app", "add", "ALVAO", "--tenant-url", f"{application.url}/scim", "--secret-token-file", str(secret)),
            data=directory_data,
        )
        joiner("app", "assign", "ALVAO", "Even", "Odd", data=directory_data)
        joiner("job", "create", "ALVAO", data=directory_data)

        victim = Server(directory_data, "--only", "directory")
        joiner("job", "start", "ALVAO", data=directory_data)
        total = f"{application.url}/scim/Users?count=0"
        wait_until(lambda: fetch(total, token)["totalResults"] >= KILL_AT, PATIENCE)
        victim.kill()
        assert fetch(total, token)["totalResults"] < USERS, "the cycle was over before the kill"

        with serving(directory_data, "--only", "directory") as survivor:
            key = (directory_data / "local.key").read_text().strip()
            job = fetch(
                f"{survivor.url}/v1.0/servicePrincipals?$filter=displayName eq 'ALVAO'".replace(" ", "%20"), key
            )
            jobs = f"{survivor.url}/v1.0/servicePrincipals/{job['value'][0]['id']}/synchronization/jobs"
            status = wait_until(lambda: _ended(fetch(jobs, key)["value"][0]["status"]), PATIENCE)
            assert status is not None
            assert status["lastExecution"]["state"] == "Succeeded", status
            entries = fetch(f"{survivor.url}/v1.0/auditLogs/provisioning?$top=1000", key)["value"]

        people = everybody(application, token, "Users")
        assert Counter(person["userName"] for person in people).most_common(1)[0][1] == 1
        assert len(people) == USERS
        boss = next(person for person in people if person["userName"] == "user0000@fjord.example")
        enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
        assert {person[enterprise]["manager"]["value"] for person in people if person is not boss} == {boss["id"]}
        held = {group["displayName"]: len(group["members"]) for group in everybody(application, token, "Groups")}
        assert held == {"Even": USERS // 2, "Odd": USERS // 2}
        created = {entry["sourceIdentity"]["id"] for entry in entries if entry["provisioningAction"] == "create"}
        assert len(created) == USERS + 2, "every create is in the log, also those that the kill interrupted"


@pytest.mark.req("REQ-P-054")
def test_a_server_that_is_stopped_in_the_middle_of_its_own_cycle_goes_on_without_a_failure(tmp_path: Path) -> None:
    users, groups = write_directory(tmp_path)
    data = tmp_path / "both"
    with serving(data) as server:
        token = joiner("token", "create", data=data).strip()
        joiner("directory", "import", str(users), "--groups", str(groups), data=data)
        tenant_url = f"{server.url}/scim"
        joiner("app", "add", "ALVAO", "--tenant-url", tenant_url, data=data, JOINER_SECRET_TOKEN=token)
        joiner("app", "assign", "ALVAO", "Even", "Odd", data=data)
        joiner("job", "create", "ALVAO", data=data)
        joiner("job", "start", "ALVAO", data=data)
        wait_until(lambda: fetch(f"{tenant_url}/Users?count=0", token)["totalResults"] >= KILL_AT, PATIENCE)
        assert server.stop() == 0
    # The tenant URL names the port, so the second server has to have it too.
    with serving(data, port=server.port) as server:
        key = (data / "local.key").read_text().strip()
        [principal] = fetch(f"{server.url}/v1.0/servicePrincipals", key)["value"]
        jobs = f"{server.url}/v1.0/servicePrincipals/{principal['id']}/synchronization/jobs"
        status = wait_until(lambda: _ended(fetch(jobs, key)["value"][0]["status"]), PATIENCE)
        assert status is not None
        assert (status["lastExecution"]["state"], status["lastExecution"]["countEscrowed"]) == ("Succeeded", 0)
        assert len(everybody(server, token, "Users")) == USERS


def _ended(status: dict[str, Any]) -> dict[str, Any] | None:
    return status if status["lastExecution"] is not None else None
