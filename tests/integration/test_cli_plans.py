"""`joiner job plan`, `apply`, `drift` and `joiner explain` as programs, against a real application."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import as_json, refused, run
from tests.processes import fetch, joiner, serving


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A directory with the example company and ALVAO, to which the group Finance is assigned."""
    folder, token = tmp_path / "directory", tmp_path / "token"
    with serving(tmp_path / "application", "--only", "application") as application:
        token.write_text(joiner("token", "create", data=tmp_path / "application"))
        joiner("directory", "import", "--example", data=folder)
        joiner(
            *("app", "add", "ALVAO", "--tenant-url", f"{application.url}/scim", "--secret-token-file", str(token)),
            data=folder,
        )
        joiner("job", "create", "ALVAO", data=folder)
        joiner("app", "assign", "ALVAO", "Finance", data=folder)
        yield folder


def test_a_plan_is_shown_applied_and_leaves_nothing_to_do(data: Path, tmp_path: Path) -> None:
    place = ("--data", str(data))
    first = run("job", "plan", "ALVAO", *place)
    assert first.returncode == 2, first.stderr
    assert "Plan 1 of ALVAO: what an initial cycle would do." in first.stdout
    assert "assigned through the group Finance" in first.stdout
    assert "joiner job apply ALVAO 1" in first.stdout
    lines = run("job", "plan", "ALVAO", "--output", "json", *place).stdout.splitlines()
    plan, *found = map(json.loads, lines)
    assert len(found) == sum(sum(counts.values()) for counts in plan["summary"]["counts"].values())
    assert "they say the same" in run("job", "plans", "ALVAO", "--show", "2", "--compare", "1", *place).stdout
    applied = run("job", "apply", "ALVAO", "2", *place)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert f"{len(found)} of {len(found)} items carried out" in applied.stdout
    assert "was applied at" in refused("job", "apply", "ALVAO", "2", *place)
    again = run("job", "plan", "ALVAO", *place)
    assert again.returncode == 0
    assert "everything is as it should be" in again.stdout
    assert run("job", "drift", "ALVAO", *place).returncode == 0
    assert "Plan 1 is deleted" in run("job", "plans", "ALVAO", "--delete", "1", *place).stdout
    told = run("explain", "ALVAO", "Finance", "--live", *place)
    assert told.stdout.startswith("Finance is provisioned: its account in ALVAO is ")
    told = run("explain", "ALVAO", "Service desk", *place)
    assert told.stdout.startswith("Service desk is not provisioned because it is not assigned")
    schema = tmp_path / "schema.json"
    joiner("schema", "export", "ALVAO", str(schema), data=data)
    planned = run("schema", "import", "ALVAO", str(schema), "--plan", *place)
    assert planned.returncode == 0, planned.stdout
    [version] = json.loads(run("schema", "history", "ALVAO", "--output", "json", *place).stdout)
    assert version["version"] == "v1.0"


def test_who_has_been_deleted_from_the_directory_is_explained_by_name_and_id(data: Path) -> None:
    jakub = "jakub.marek@fjordlight.example"
    joiner("job", "run", "ALVAO", data=data)
    key = joiner("api-key", "create", data=data).strip()
    with serving(data, "--only", "directory") as server:
        id_ = fetch(f"{server.url}/v1.0/users/{jakub}", key)["id"]
        fetch(f"{server.url}/v1.0/users/{jakub}", key, method="DELETE")
        told = " ".join(joiner("explain", "ALVAO", jakub.upper(), data=data).split())
        assert told.startswith(f"The account of {jakub} in ALVAO is to be taken away because it was deleted")
        joiner("job", "run", "ALVAO", data=data)
        fetch(f"{server.url}/v1.0/directory/deletedItems/{id_}", key, method="DELETE")
        joiner("job", "run", "ALVAO", data=data)
        told = " ".join(joiner("explain", "ALVAO", id_, data=data).split())
        assert told.startswith(f"{jakub} is not provisioned because it was permanently deleted from the directory.")
        assert "there is no user or group 'nobody'" in refused("explain", "ALVAO", "nobody", "--data", str(data))


def test_a_plan_that_could_not_be_made_says_why_again(data: Path) -> None:
    place = ("--data", str(data))
    joiner("app", "connect", "ALVAO", "--untested", "--secret-token", "mistyped", data=data)
    told = refused("job", "plan", "ALVAO", *place)
    assert told.startswith("there is no plan: the application refused the secret token")
    assert refused("job", "plans", "ALVAO", "--show", "1", *place) == told.replace("no plan", "no plan 1")
    assert "plan 1 is not ready: the application refused" in refused("job", "apply", "ALVAO", "1", *place)


def test_wrong_use_is_told(data: Path) -> None:
    place = ("--data", str(data))
    assert "either --initial or --incremental" in refused(
        "job", "plan", "ALVAO", "--initial", "--incremental", *place, code=2
    )
    assert "no cycle yet" in refused("job", "plan", "ALVAO", "--incremental", *place)
    assert "no plan 9" in refused("job", "apply", "ALVAO", "9", *place)
    assert "--compare goes with --show" in refused("job", "plans", "ALVAO", "--compare", "1", *place, code=2)


def test_of_many_accounts_that_nobody_manages_the_first_are_shown_and_all_when_asked_for(
    data: Path, tmp_path: Path
) -> None:
    url, token = as_json("app", "show", "ALVAO", data=data)["tenantUrl"], (tmp_path / "token").read_text().strip()
    for number in range(12):
        fetch(f"{url}/Users", token, {"userName": f"local{number}@fjord.example"}, "POST")
    joiner("job", "run", "ALVAO", data=data)
    some = joiner("job", "drift", "ALVAO", data=data)
    assert "Nobody manages 12 of them" in some
    assert some.count("local: nobody in the directory matches") == 10
    assert "  … and 2 more: --all shows them\n" in some
    everybody = joiner("job", "plans", "ALVAO", "--show", "1", "--all", data=data)
    assert everybody.count("local: nobody in the directory matches") == 12
    assert "more: --all" not in everybody
