"""Every command as a program: with a server and without, its output, its errors and its exit codes."""

import csv
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import as_json, refused, run
from tests.processes import fetch, joiner, serving, takes_interrupts
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the example company and the application ALVAO; no server runs on it. Only for reading."""
    data = tmp_path_factory.mktemp("example") / "data"
    joiner("directory", "import", "--example", data=data)
    joiner("app", "add", "ALVAO", data=data)
    joiner("app", "assign", "ALVAO", "Finance", "ingrid.dahl@fjordlight.example", data=data)
    joiner("job", "create", "ALVAO", data=data)
    return data


def test_help_is_there_for_every_command_and_imports_nothing_slow() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "tutorial" in done.stdout
    program = (
        "import sys, joiner.cli.main\n"
        "slow = {'httpx', 'starlette', 'uvicorn', 'aiohttp', 'dbos', 'structlog', 'rich.console', 'sqlite3'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_the_version_is_told() -> None:
    assert run("--version").stdout.startswith("joiner ")


def test_a_command_without_a_place_to_work_is_wrong_use() -> None:
    assert refused("token", "list", code=2).startswith("say where to work: --data DIR")
    assert refused("serve", code=2).startswith("say where to keep everything: --data DIR")
    assert "--url needs --api-key" in refused("token", "list", "--url", "http://127.0.0.1:1", code=2)
    both = ("--url", "http://127.0.0.1:1", "--data", "x", "--api-key", "k")
    assert refused("token", "list", *both, code=2) == "use either --data or --url"


def test_an_option_that_does_not_exist_is_wrong_use() -> None:
    assert run("token", "list", "--colour").returncode == 2


def test_reading_commands_do_not_make_a_folder(tmp_path: Path) -> None:
    missing = tmp_path / "mistyped"
    assert refused("directory", "users", "--data", str(missing)) == f"there is no data folder {missing}"
    assert not missing.exists()


def test_a_token_is_printed_alone_listed_without_itself_and_revoked(tmp_path: Path) -> None:
    token = joiner("token", "create", "--connection", "entra", "--expires-in-days", "3", data=tmp_path)
    assert token.strip().isascii()
    assert token.count("\n") == 1
    assert len(token.split()) == 1
    listed = as_json("token", "list", data=tmp_path)
    assert token.strip() not in json.dumps(listed)
    assert [(item["connectionName"], item["revokedAt"]) for item in listed] == [("entra", None)]
    joiner("token", "revoke", listed[0]["id"], data=tmp_path)
    assert as_json("token", "list", data=tmp_path)[0]["revokedAt"] is not None
    assert "there is no token 'x'" in refused("token", "revoke", "x", "--data", str(tmp_path))


def test_commands_work_on_the_folder_and_on_its_server_alike(tmp_path: Path) -> None:
    joiner("directory", "import", "--example", data=tmp_path)
    alone = as_json("directory", "groups", data=tmp_path)
    with serving(tmp_path) as server:
        assert as_json("directory", "groups", data=tmp_path) == alone
        key = joiner("api-key", "create", "--name", "script", data=tmp_path).strip()
        remote = ("--url", server.url, "--output", "json")
        assert json.loads(run("directory", "groups", *remote, JOINER_API_KEY=key).stdout) == alone
        reader = joiner("api-key", "create", "--role", "reader", data=tmp_path).strip()
        (tmp_path / "reader").write_text(reader, encoding="ascii")
        by_file = str(tmp_path / "reader")
        shown = run("directory", "groups", "--output", "json", JOINER_URL=server.url, JOINER_API_KEY_FILE=by_file)
        assert json.loads(shown.stdout) == alone
        told = refused("app", "add", "ALVAO", JOINER_URL=server.url, JOINER_API_KEY_FILE=by_file)
        assert "Insufficient privileges" in told
        assert "does not accept the key" in refused("app", "list", "--url", server.url, "--api-key", "wrong")
        keys = as_json("api-key", "list", data=tmp_path)
        assert [(item["name"], item["role"]) for item in keys] == [("script", "admin"), ("", "reader")]
        joiner("api-key", "revoke", keys[0]["id"], data=tmp_path)
        assert "valid bearer token" in refused("app", "list", "--url", server.url, "--api-key", key)
    assert "cannot be reached" in refused("app", "list", "--url", server.url, "--api-key", key)
    for address in ("nonsense", "http://127.0.0.1:port", "http://[::1"):
        assert "is not the address of a server" in refused("app", "list", "--url", address, "--api-key", key)
    for wrong in ("clé", "two\nlines"):
        told = refused("app", "list", "--url", server.url, "--api-key", wrong)
        assert told == "the API key has a character in it that no key has"


def test_a_terminal_that_knows_few_characters_is_told_what_it_can_show(example: Path) -> None:
    done = run("directory", "users", "--top", "100", "--data", str(example), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "?se Ribeiro" in done.stdout


def test_an_option_that_is_typed_counts_more_than_a_variable(example: Path) -> None:
    done = run("directory", "groups", "--data", str(example), JOINER_URL="http://127.0.0.1:9", JOINER_API_KEY="k")
    assert done.returncode == 0, done.stderr


def test_commands_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "joiner", "token", "create", "--data", str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * 4, ended
    assert len(as_json("token", "list", data=tmp_path)) == 4


# The directory


def write_csv(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_an_import_tells_what_it_did_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    users = write_csv(
        tmp_path / "u.csv", ("userPrincipalName", "displayName"), ("a@x.example", "A"), ("b@x.example", "B")
    )
    groups = write_csv(tmp_path / "g.csv", ("groupDisplayName", "userPrincipalName"), ("G", "a@x.example"))
    data = tmp_path / "data"
    told = joiner("directory", "import", str(users), "--groups", str(groups), data=data)
    assert "Users: 2 added, 0 updated, 0 unchanged." in told
    assert "Groups: 1 added" in told
    assert "Memberships: 1 added, 0 unchanged." in told
    report = as_json("directory", "import", str(users), "--groups", str(groups), data=data)
    assert (report["usersAdded"], report["usersUnchanged"], report["membersUnchanged"]) == (0, 2, 1)
    assert "a@x.example" in joiner("directory", "users", data=data)
    shown = joiner("directory", "users", "--top", "1", data=data)
    assert "… and more" in shown


def test_a_bad_file_is_refused_as_a_whole_with_line_and_reason(tmp_path: Path) -> None:
    users = write_csv(tmp_path / "u.csv", ("userPrincipalName", "displayName"), ("a@x.example", "A"), ("", "B"))
    data = tmp_path / "data"
    done = run("directory", "import", str(users), "--data", str(data))
    assert done.returncode == 1
    assert done.stderr.count("userPrincipalName is empty") == 1
    assert "line 3: userPrincipalName is empty" in done.stderr
    assert as_json("directory", "users", data=data) == []
    told = joiner("directory", "import", str(users), "--skip-bad-rows", data=data)
    assert "Users: 1 added" in told
    assert "Left out (1):" in told
    assert "line 3" in told


def test_an_import_names_its_file(tmp_path: Path) -> None:
    place = ("--data", str(tmp_path))
    assert "cannot be read: No such file" in refused("directory", "import", str(tmp_path / "none.csv"), *place)
    assert "name a file of users" in refused("directory", "import", *place, code=2)
    assert "name a file of users" in refused("directory", "import", "x.csv", "--example", *place, code=2)


# Applications and jobs


def test_the_gallery_is_searched_by_name_and_a_near_miss_is_pointed_out(example: Path) -> None:
    assert "ALVAO" in joiner("app", "list", "--gallery", data=example)
    told = refused("app", "add", "ALVAAO", "--data", str(example))
    assert "did you mean ALVAO" in told
    assert told.endswith("joiner app add Custom --name ALVAAO")
    assert "there is an application named 'ALVAO'" in refused("app", "add", "alvao", "--data", str(example))


def test_an_application_is_shown_with_its_assignments_and_without_its_token(example: Path) -> None:
    shown = as_json("app", "show", "alvao", data=example)
    assert shown["scope"] == "only assigned users and groups"
    assert {(item["principalType"], item["displayName"], item["role"]) for item in shown["assignments"]} == {
        ("Group", "Finance", "User"),
        ("User", "Ingrid Dahl", "User"),
    }
    assert "Ingrid Dahl" in joiner("app", "show", shown["id"], data=example)
    assert "there is no application 'x'; there are ALVAO" in refused("app", "show", "x", "--data", str(example))


def test_assigning_finds_everybody_before_it_changes_anything(example: Path) -> None:
    told = refused("app", "assign", "ALVAO", "Research", "nobody@x.example", "--data", str(example))
    assert told == "there is no user or group 'nobody@x.example'"
    assert len(as_json("app", "show", "ALVAO", data=example)["assignments"]) == 2
    assert "has no role 'King'" in refused(
        "app", "assign", "ALVAO", "Finance", "--role", "King", "--data", str(example)
    )
    assert "was already assigned" in joiner("app", "assign", "ALVAO", "finance", data=example)
    assert "is not assigned" in refused("app", "unassign", "ALVAO", "Research", "--data", str(example))


def test_what_has_no_name_is_nobody(example: Path) -> None:
    for command in (("app", "assign"), ("job", "on-demand"), ("job", "connection"), ("explain",)):
        assert refused(*command, "ALVAO", "", "--data", str(example)).startswith("'' is no user or group")


def test_assignments_are_taken_away_again(tmp_path: Path) -> None:
    joiner("directory", "import", "--example", data=tmp_path)
    joiner("app", "add", "Custom", "--name", "Our wiki", "--scope", "all", data=tmp_path)
    joiner("app", "assign", "our wiki", "Finance", "Research", data=tmp_path)
    assert "is no longer assigned" in joiner("app", "unassign", "Our wiki", "FINANCE", data=tmp_path)
    shown = as_json("app", "show", "Our wiki", data=tmp_path)
    assert [item["displayName"] for item in shown["assignments"]] == ["Research"]
    assert shown["scope"] == "all users and groups"


def test_a_job_is_made_once_and_shown_with_its_mappings(example: Path) -> None:
    assert "has a job already" in refused("job", "create", "ALVAO", "--data", str(example))
    jobs = as_json("job", "list", data=example)
    assert [job["application"] for job in jobs] == ["ALVAO"]
    schema = as_json("job", "show", jobs[0]["id"], data=example)
    users, groups = schema["synchronizationRules"][0]["objectMappings"]
    assert (len(users["attributeMappings"]), len(groups["attributeMappings"])) == (22, 3)
    shown = joiner("job", "show", "ALVAO", data=example)
    assert "externalId" in shown
    assert shown.count("Scope: only assigned users and groups\n") == 2
    joiner("app", "connect", "ALVAO", "--scope", "all", "--untested", data=example)
    assert joiner("job", "show", "ALVAO", data=example).count("Scope: all users and groups\n") == 2
    assert "NotConfigured" in joiner("job", "status", "alvao", data=example)
    assert "there is no job or application 'x'" in refused("job", "status", "x", "--data", str(example))
    assert "has no Tenant URL yet" in refused("job", "run", "ALVAO", "--data", str(example))


@pytest.mark.parametrize(
    ("application", "scope"),
    [
        ("API-driven provisioning to Microsoft Entra ID", "everybody who is uploaded"),
        ("Inbound provisioning from a SCIM source", "everybody whom the source has"),
    ],
)
def test_the_scope_of_an_inbound_job_is_who_comes_in(tmp_path: Path, application: str, scope: str) -> None:
    joiner("app", "add", application, data=tmp_path)
    joiner("job", "create", application, data=tmp_path)
    assert f"Scope: {scope}\n" in joiner("job", "show", application, data=tmp_path)


@pytest.mark.req("REQ-P-004")
def test_a_wrong_address_or_token_stops_at_test_connection_and_adds_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        token = joiner("token", "create", data=tmp_path).strip()
        place = ("--data", str(tmp_path))
        add = ("app", "add", "ALVAO", *place, "--tenant-url")
        wrong = refused(*add, f"{server.url}/scim", "--secret-token-stdin", stdin="mistyped\n")
        assert "refused the secret token" in wrong
        assert "mistyped" not in wrong
        elsewhere = refused(*add, f"{server.url}/nothing", "--secret-token-stdin", stdin=token)
        assert "no SCIM endpoint at this address" in elsewhere
        unreachable = refused(*add, "http://127.0.0.1:9/scim", JOINER_SECRET_TOKEN=token)
        assert unreachable.endswith("cannot be reached: 127.0.0.1:9: connection refused")
        assert "belong together" in refused(*add, f"{server.url}/scim", code=2)
        assert "in one way only" in refused(
            *add, f"{server.url}/scim", "--secret-token-stdin", "--secret-token", "x", code=2
        )
        assert "is empty" in refused(*add, f"{server.url}/scim", "--secret-token-stdin", stdin="\n", code=2)
        assert as_json("app", "list", data=tmp_path) == []
        added = joiner(*add[:3], "--tenant-url", f"{server.url}/scim", data=tmp_path, JOINER_SECRET_TOKEN=token)
        assert added == "Added ALVAO. The connection was tested and works.\n"
        assert token not in joiner("app", "show", "ALVAO", data=tmp_path)
        connect = ("app", "connect", "ALVAO")
        assert "refused the secret token" in refused(*connect, *place, JOINER_SECRET_TOKEN="mistyped")
        assert "needs the SecretToken" in refused(*connect, *place, "--tenant-url", f"{server.url}/scim/v2")
        assert "nothing to change" in refused(*connect, *place, code=2)
        rotated = joiner("token", "create", data=tmp_path).strip()
        changed = joiner(*connect, "--scope", "all", data=tmp_path, JOINER_SECRET_TOKEN=rotated)
        assert changed == "Changed ALVAO. The connection was tested and works.\n"
        assert as_json("app", "show", "ALVAO", data=tmp_path)["scope"] == "all users and groups"


@pytest.mark.req("REQ-P-004", "REQ-P-005")
def test_a_connection_is_tested_check_by_check_and_may_be_kept_untested(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        token = joiner("token", "create", data=tmp_path).strip()
        secret = tmp_path / "token.txt"
        secret.write_text(f"{token}\n")
        add = ("app", "add", "ALVAO", "--tenant-url", f"{server.url}/scim", "--credential")
        added = joiner(*add, f"SecretToken=@{secret}", data=tmp_path)
        assert added == "Added ALVAO. The connection was tested and works.\n"
        tested = as_json("app", "test", "ALVAO", data=tmp_path)
        assert [check["result"] for check in tested["checks"]] == ["passed"] * 4
        assert "query for a group" in joiner("app", "test", "ALVAO", data=tmp_path)
        place = ("--data", str(tmp_path))
        wrong = ("app", "connect", "ALVAO", "--credential", "SecretToken=mistyped")
        assert "refused the secret token" in refused(*wrong, *place)
        assert joiner(*wrong, "--untested", data=tmp_path) == "Changed ALVAO.\n"
        done = run("app", "test", "ALVAO", *place)
        assert (done.returncode, done.stdout.count("FAILED"), done.stdout.count("not tried")) == (1, 1, 2)
        assert "KEY=VALUE" in refused("app", "connect", "ALVAO", "--credential", "SecretToken", *place, code=2)
        assert "is not a key" in refused("app", "connect", "ALVAO", "--credential", "Token=x", *place)
        assert "cannot be read" in refused("app", "connect", "ALVAO", "--credential", "SecretToken=@none", *place)


def test_the_profile_of_a_target_is_shown_changed_and_found_out(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        token = joiner("token", "create", data=tmp_path).strip()
        joiner("app", "add", "ALVAO", "--tenant-url", f"{server.url}/scim", data=tmp_path, JOINER_SECRET_TOKEN=token)
        joiner("job", "create", "ALVAO", data=tmp_path)
        profile = ("job", "profile", "ALVAO")
        assert as_json(*profile, data=tmp_path)["changed"] == []
        changed = as_json(
            *profile, "updates=put", "filterable=userName, externalId", "requestsPerSecond=2.5", data=tmp_path
        )
        assert changed["changed"] == ["filterable", "requestsPerSecond", "updates"]
        assert (changed["filterable"], changed["requestsPerSecond"]) == (["userName", "externalId"], 2.5)
        shown = joiner(*profile, data=tmp_path)
        assert "userName,externalId" in shown
        place = ("--data", str(tmp_path))
        assert "there is no 'speed' in the profile" in refused(*profile, "speed=1", *place)
        assert "pageSize" in refused(*profile, "pageSize=none", "pageSize=0", *place)
        assert "KEY=VALUE" in refused(*profile, "updates", *place, code=2)
        assert "belongs to --probe" in refused(*profile, "--dry-run", *place, code=2)
        report = as_json(*profile, "--probe", "--dry-run", data=tmp_path)
        assert report["profile"]["updates"] == "put"
        told = joiner(*profile, "--probe", data=tmp_path, COLUMNS="200")
        assert "The target can do all that is needed." in told
        assert as_json(*profile, data=tmp_path)["changed"] == ["requestsPerSecond"]
        assert fetch(f"{server.url}/scim/Users?count=0", token)["totalResults"] == 0


def test_a_job_is_run_by_hand_and_its_log_read(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        joiner("directory", "import", "--example", data=tmp_path)
        token = joiner("token", "create", data=tmp_path).strip()
        add = ("app", "add", "ALVAO", "--tenant-url", f"{server.url}/scim")
        joiner(*add, data=tmp_path, JOINER_SECRET_TOKEN=token)
        joiner("app", "assign", "ALVAO", "Finance", data=tmp_path)
        joiner("job", "create", "ALVAO", data=tmp_path)
        first = joiner("job", "run", "ALVAO", data=tmp_path)
        assert first.startswith("Initial cycle of ALVAO: 76 objects read; 10 created, 66 skipped")
        assert fetch(f"{server.url}/scim/Users?count=0", token)["totalResults"] == 9
        again = as_json("job", "run", "ALVAO", data=tmp_path)
        assert (again["kind"], again["state"], again["objectsRead"]) == ("incremental", "succeeded", 0)
        status = joiner("job", "status", "ALVAO", data=tmp_path)
        assert "Succeeded" in status
        assert "Users ever synchronized" in status
        log = joiner("logs", "ALVAO", "--top", "200", data=tmp_path, COLUMNS="200")
        assert log.count(" created ") == 10
        assert "not assigned to the application" in log
        skipped = as_json("logs", "ALVAO", "--status", "skipped", "--top", "5", data=tmp_path)
        assert [entry["provisioningStatusInfo"]["status"] for entry in skipped] == ["skipped"] * 5
        own = as_json("logs", "ALVAO", "--user", "SOLVEIG.tremblay@fjordlight.example", data=tmp_path)
        assert [entry["provisioningAction"] for entry in own] == ["create"]
        for action, word in (("start", "is started"), ("pause", "is paused"), ("restart", "looks at everything")):
            assert word in joiner("job", action, "ALVAO", data=tmp_path)


def test_a_cycle_that_fails_ends_with_exit_code_1_and_the_reason(tmp_path: Path) -> None:
    application, data = tmp_path / "application", tmp_path / "directory"
    with serving(application, "--only", "application") as server:
        token = joiner("token", "create", data=application).strip()
        joiner("directory", "import", "--example", data=data)
        add = ("app", "add", "ALVAO", "--scope", "all", "--tenant-url", f"{server.url}/scim")
        joiner(*add, data=data, JOINER_SECRET_TOKEN=token)
        joiner("job", "create", "ALVAO", data=data)
        joiner("token", "revoke", as_json("token", "list", data=application)[0]["id"], data=application)
        done = run("job", "run", "ALVAO", "--data", str(data))
        assert done.returncode == 1
        assert "The cycle failed: " in done.stdout
        assert "In quarantine since" in joiner("job", "status", "ALVAO", data=data)


def test_a_cycle_that_is_not_waited_for_goes_on_and_the_command_says_where(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        joiner("directory", "import", "--example", data=tmp_path)
        joiner("app", "add", "ALVAO", "--untested", "--tenant-url", url, "--secret-token", "x", data=tmp_path)
        joiner("job", "create", "ALVAO", data=tmp_path)
        cycle = ("job", "run", "ALVAO", "--data", str(tmp_path))
        told = "Initial cycle of ALVAO is cut off: joiner serve goes on with it, and so does: joiner job run ALVAO"
        assert told in interrupted(*cycle)
        with serving(tmp_path):
            told = "Initial cycle of ALVAO goes on at the server: joiner job status ALVAO shows how far it is"
            assert told in interrupted(*cycle)
            assert "Under way" in joiner("job", "status", "ALVAO", data=tmp_path)
            joiner("job", "pause", "ALVAO", "--now", data=tmp_path)


def interrupted(*arguments: str) -> str:
    """What a command writes to a terminal that Ctrl+C ends when its progress bar is there."""
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "joiner", *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=end, env=environment, preexec_fn=takes_interrupts
    ) as process:
        os.close(end)
        os.read(terminal, 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    told = os.read(terminal, 10_000).decode()
    os.close(terminal)
    return told


def test_following_a_log_needs_a_server(example: Path) -> None:
    assert "no server runs on this data folder" in refused("logs", "ALVAO", "--follow", "--data", str(example))


def test_following_a_log_prints_new_entries_until_it_is_stopped(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        joiner("directory", "import", "--example", data=tmp_path)
        token = joiner("token", "create", data=tmp_path).strip()
        add = ("app", "add", "ALVAO", "--tenant-url", f"{server.url}/scim")
        joiner(*add, data=tmp_path, JOINER_SECRET_TOKEN=token)
        joiner("job", "create", "ALVAO", data=tmp_path)
        output = tmp_path / "followed"
        options = ("--follow", "--top", "100", "--output", "json", "--data", str(tmp_path))
        command = [sys.executable, "-m", "joiner", "logs", "ALVAO", *options]
        with (
            output.open("w", encoding="utf-8") as file,
            subprocess.Popen(command, stdout=file, preexec_fn=takes_interrupts) as log,
        ):
            try:
                joiner("job", "run", "ALVAO", data=tmp_path)
                wait_until(lambda: len(output.read_text(encoding="utf-8").splitlines()) == 76)
                log.send_signal(signal.SIGINT)
                assert log.wait(30) == 0
            finally:
                log.kill()
        entries = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert len({entry["id"] for entry in entries}) == 76, "none twice"
