"""A plan is being carried out by a process that is killed, again and again, and each time started anew."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from tests.acceptance.test_kill import USERS, everybody, write_directory
from tests.processes import PATIENCE, Server, fetch, joiner, serving
from tests.waiting import wait_until

APPLY = ("job", "apply", "ALVAO", "1")
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def killed_when(data: Path, condition: Callable[[], bool]) -> bool:
    """Whether `joiner job apply` was still at it when the condition came true and it was killed."""
    command = [sys.executable, "-m", "joiner", *APPLY, "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: condition() or process.poll() is not None, PATIENCE)
            was_running = process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
    return was_running


def test_a_plan_whose_process_is_killed_again_and_again_is_carried_out_once(tmp_path: Path) -> None:
    directory_data, application_data = tmp_path / "directory", tmp_path / "application"
    users, groups = write_directory(tmp_path)
    with serving(application_data, "--only", "application") as application:
        token = joiner("token", "create", data=application_data).strip()
        joiner("directory", "import", str(users), "--groups", str(groups), data=directory_data)
        tenant_url = f"{application.url}/scim"
        joiner("app", "add", "ALVAO", "--tenant-url", tenant_url, data=directory_data, JOINER_SECRET_TOKEN=token)
        joiner("app", "assign", "ALVAO", "Even", "Odd", data=directory_data)
        joiner("job", "create", "ALVAO", data=directory_data)
        joiner("job", "plan", "ALVAO", data=directory_data, check=False)

        def number_of(endpoint: str) -> int:
            found: int = fetch(f"{tenant_url}/{endpoint}?count=0", token)["totalResults"]
            return found

        def has_managers() -> bool:
            condition = f"{ENTERPRISE}:manager.value pr".replace(":", "%3A").replace(" ", "%20")
            return bool(fetch(f"{tenant_url}/Users?count=0&filter={condition}", token)["totalResults"])

        points: list[Callable[[], bool]] = [
            lambda: number_of("Users") >= 1,
            lambda: number_of("Users") >= USERS // 3,
            lambda: number_of("Users") >= USERS,
            lambda: number_of("Groups") >= 1,
            has_managers,
        ]
        kills = [killed_when(directory_data, point) for point in points]
        assert sum(kills) >= 3, "the plan was carried out before it could be cut off"

        report = orjson.loads(joiner(*APPLY, "--output", "json", data=directory_data))
        assert report["states"] == {"sent": USERS + 2}
        assert report["refused"] == []
        assert (report["cycle"]["state"], report["cycle"]["counts"].get("failure", 0)) == ("succeeded", 0)

        people, made = everybody(application, token, "Users"), created(application, application_data)
        assert len(people) == USERS
        assert made.keys() == {person["id"] for person in people} | {
            group["id"] for group in everybody(application, token, "Groups")
        }
        assert set(made.values()) == {1}, "nothing was made twice"
        assert sum(ENTERPRISE in person and "manager" in person[ENTERPRISE] for person in people) == USERS - 1
        held = {group["displayName"]: len(group["members"]) for group in everybody(application, token, "Groups")}
        assert held == {"Even": USERS // 2, "Odd": USERS // 2}
        again = joiner(*APPLY, data=directory_data, check=False)
        assert "was applied" in again or not again, "nothing is carried out a second time"
        assert len(created(application, application_data)) == USERS + 2


def created(application: Server, data: Path) -> Counter[str]:
    """Id → how often the application says that it was created."""
    key = (data / "local.key").read_text().strip()
    found: Counter[str] = Counter()
    after = "0"
    while True:
        page: dict[str, Any] = fetch(f"{application.url}/app/api/events?after={after}", key)
        found.update(event["resourceId"] for event in page["value"] if event["verb"].startswith("create"))
        after = page["next"]
        if not page["more"]:
            return found
