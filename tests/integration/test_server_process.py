"""`joiner serve` as a real process: ready, stopped, killed, refused."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.people import write_csv
from tests.processes import Server, fetch, joiner, serving
from tests.services import free_port
from tests.waiting import wait_until


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`joiner serve` whose output can be read; never left behind."""
    command = [sys.executable, "-m", "joiner", "serve", "--port", "0", "--output", "json", *arguments]
    env = {**os.environ, **environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "joiner", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_it_serves_a_free_port_and_stops_without_leaving_an_address(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--only", "application") as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.url)
        assert fetch(f"{server.url}/readyz", "")["sides"] == ["application"]
        assert server.stop() == 0
        assert not (server.data / "server.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully_with_exit_code_0(tmp_path: Path, number: signal.Signals) -> None:
    with started("--data", str(tmp_path / "data")) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["sides"] == ["application", "directory"]
        assert told["pid"] == process.pid
        assert fetch(f"{told['url']}/readyz", "")["status"] == "ready"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors


def test_a_second_server_on_the_folder_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    with serving(tmp_path, "--only", "application") as server:
        second = run("serve", "--data", str(tmp_path), "--port", "0")
        assert second.returncode == 1
        assert second.stdout == ""
        assert second.stderr.count("\n") == 1
        assert f"serves it at {server.url}" in second.stderr
        assert fetch(f"{server.url}/readyz", "")["status"] == "ready"


def test_a_port_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    with serving(tmp_path / "first", "--only", "application") as server:
        port = server.url.rpartition(":")[2]
        second = run("serve", "--data", str(tmp_path / "second"), "--port", port, "--only", "application")
    assert second.returncode == 1
    assert second.stderr == f"joiner: port {port} of 127.0.0.1 is taken; choose another one with --port\n"


def test_after_a_kill_the_folder_works_again_with_and_without_a_server(tmp_path: Path) -> None:
    server = Server(tmp_path, "--only", "application")
    token = joiner("token", "create", data=tmp_path).strip()
    server.kill()
    assert (tmp_path / "server.json").exists()
    assert len(json.loads(joiner("token", "list", "--output", "json", data=tmp_path))) == 1
    with serving(tmp_path, "--only", "application") as again:
        assert fetch(f"{again.url}/scim/Users", token)["totalResults"] == 0


def test_settings_come_from_the_folder_the_environment_and_options(tmp_path: Path) -> None:
    taken = free_port()
    (tmp_path / "joiner.toml").write_text(f'port = {taken}\nlog_level = "error"\n', encoding="utf-8")
    with serving(tmp_path, "--only", "application") as server:
        assert not server.url.endswith(f":{taken}")
    (tmp_path / "joiner.toml").write_text("prot = 1\n", encoding="utf-8")
    refused = run("serve", "--data", str(tmp_path))
    assert refused.returncode == 1
    assert "did you mean 'port'?" in refused.stderr
    missing = run("serve", "--data", str(tmp_path), "--config", str(tmp_path / "none.toml"))
    assert missing.returncode == 1
    assert "there is no settings file" in missing.stderr


@pytest.mark.req("REQ-S-072")
def test_the_log_holds_neither_tokens_nor_whom_somebody_asked_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started("--data", str(data), JOINER_LOG_LEVEL="debug") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        token = joiner("token", "create", data=data).strip()
        fetch(f"{url}/scim/Users?filter=userName%20eq%20%22ada.example%22", token)
        key = (data / "local.key").read_text(encoding="ascii").strip()
        fetch(f"{url}/v1.0/users?$filter=mail%20eq%20%27ada.example%27", key)
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert [secret for secret in (token, key, "ada.example") if secret.encode() in log] == []


def test_a_stop_in_the_middle_of_a_cycle_into_its_own_other_side_is_no_failure(tmp_path: Path) -> None:
    users, groups = write_csv(tmp_path, 900)
    data, port = tmp_path / "data", str(free_port())
    # The target's address must be the same after the second start.
    first = Server(data, "--port", port)
    try:
        joiner("directory", "import", str(users), "--groups", str(groups), data=data)
        token = joiner("token", "create", data=data).strip()
        add = ("app", "add", "ALVAO", "--scope", "all", "--tenant-url", f"{first.url}/scim")
        joiner(*add, data=data, JOINER_SECRET_TOKEN=token)
        joiner("job", "create", "ALVAO", data=data)
        joiner("job", "start", "ALVAO", data=data)
        total = f"{first.url}/scim/Users?count=0"
        wait_until(lambda: fetch(total, token)["totalResults"] > 0)
    finally:
        code = first.stop()
    assert code == 0
    job = json.loads(joiner("job", "status", "ALVAO", "--output", "json", data=data))
    assert (job["status"]["quarantine"], job["status"]["lastExecution"]) == (None, None)
    with serving(data, "--port", port):
        wait_until(lambda: fetch(total, token)["totalResults"] == 900)
