"""`joiner tutorial` from end to end: the example company, and other people's CSV files."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import fetch, joiner
from tests.waiting import wait_until

HEADINGS = (
    *("User principal name", "displayName", "surname", "givenName", "mail", "accountEnabled", "department"),
    *("jobTitle", "userType", "manager", "costCenter"),
)


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOINER_")}
    return subprocess.run(
        [sys.executable, "-m", "joiner", "tutorial", *arguments],
        capture_output=True,
        text=True,
        env={**kept, **environment},
        timeout=300,
        check=False,
    )


def write_company(folder: Path, users: int) -> tuple[Path, Path]:
    """Someone else's files: semicolons, a BOM, headings in another case, guests, disabled people, odd names."""
    people = [
        (
            f"person{number}@{'sub.' * (number % 3 == 0)}kestrel.example",
            f'Person "{number}", the [bold]{number}[/bold]',
            f"O'Family{number}",
            f"Žofie{number}",
            f"person{number}@kestrel.example" if number % 4 else "",
            "False" if number % 10 == 9 else "true",
            ("Air", "Sea", "Land")[number % 3],
            f"Job {number % 5}",
            "Guest" if number % 12 == 11 else "Member",
            "person0@sub.kestrel.example" if number else "",
            f"{number % 7}",
        )
        for number in range(users)
    ]
    memberships = [("groupDisplayName", "userPrincipalName")]
    memberships += [(("Pilots", "Crew & Co")[number % 2], row[0]) for number, row in enumerate(people) if number % 5]
    paths = folder / "users.csv", folder / "groups.csv"
    tables: tuple[list[Any], ...] = ([HEADINGS, *people], memberships)
    for path, rows in zip(paths, tables, strict=True):
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=";").writerows(rows)
    return paths


def test_the_example_company_is_provisioned_and_every_kind_of_result_is_shown() -> None:
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    printed = done.stdout
    assert "Everything worked." in printed
    assert re.findall(r"^\d  ", printed, re.MULTILINE) == [f"{number}  " for number in range(1, 8)]
    for word in ("created", "updated", "disabled", "skipped"):
        assert re.search(rf"^ +{word} +\d+ +\d+$", printed, re.MULTILINE), f"no count of what was {word}"
        assert re.search(rf"^ +{word} +\S+ \S+.*$", printed, re.MULTILINE), f"no row of what was {word}"
    told = " ".join(printed.split())
    assert "refused the secret token" in told, "a mistyped token stops at Test Connection, with the reason"
    assert "22 of a user and 3 of a group" in printed
    assert "not assigned to the application" in printed
    assert "active: True → False" in printed


def test_its_result_for_programs_is_one_document(tmp_path: Path) -> None:
    done = run("--output", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [cycle["kind"] for cycle in result["cycles"]] == ["initial", "incremental"]
    assert [cycle["state"] for cycle in result["cycles"]] == ["succeeded", "succeeded"]
    assert result["problems"] == []
    assert result["application"]["users"] - result["application"]["activeUsers"] == 1, "only the leaver is disabled"


def test_other_peoples_files_work_as_well(tmp_path: Path) -> None:
    users, groups = write_company(tmp_path, 120)
    done = run("--users", str(users), "--groups", str(groups), COLUMNS="80")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 users (10 guests, 12 disabled) in 3 departments" in " ".join(done.stdout.split())
    assert "Crew & Co" in done.stdout
    assert "[bold]" in done.stdout, "data is shown as it is"
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Everything worked." in done.stdout


def test_users_without_groups_work_as_well(tmp_path: Path) -> None:
    users, _ = write_company(tmp_path, 30)
    done = run("--users", str(users))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the largest department" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_ten_thousand_people_work_as_well(tmp_path: Path) -> None:
    users, groups = write_company(tmp_path, 10_000)
    done = run("--users", str(users), "--groups", str(groups), "--output", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["cycles"][0]["objectsRead"] == 10_002
    in_groups = sum(number % 5 > 0 and number % 10 != 9 for number in range(10_000))
    outsider, newcomer = 1, 1
    assert result["application"]["users"] == in_groups + outsider + newcomer


def test_a_bad_file_is_refused_with_line_and_reason(tmp_path: Path) -> None:
    users, groups = write_company(tmp_path, 5)
    with users.open("a", encoding="utf-8") as file:
        file.write("too;few\n")
    done = run("--users", str(users), "--groups", str(groups))
    assert done.returncode == 1
    assert "line 7" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Everything worked" not in done.stdout


def test_wrong_use_is_told_in_a_line(tmp_path: Path) -> None:
    _, groups = write_company(tmp_path, 5)
    done = run("--groups", str(groups))
    assert done.returncode == 2
    assert "--groups needs --users" in done.stderr


def test_what_it_made_is_kept_in_a_folder_of_ones_own_and_never_mixed_with_another(tmp_path: Path) -> None:
    data = tmp_path / "kept"
    assert run("--data", str(data)).returncode == 0
    jobs = json.loads(joiner("job", "list", "--output", "json", data=data))
    assert [job["application"] for job in jobs] == ["ALVAO"]
    again = run("--data", str(data))
    assert again.returncode == 2
    assert "needs a new folder" in again.stderr


def test_with_serve_both_sides_go_on_until_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "joiner", "tutorial", "--serve", "--data", str(data)]
    output = tmp_path / "output"
    with output.open("w", encoding="utf-8") as file, subprocess.Popen(command, stdout=file) as process:
        try:
            wait_until(lambda: process.poll() is not None or "Stop with Ctrl+C" in output.read_text(encoding="utf-8"))
            printed = output.read_text(encoding="utf-8")
            found = re.search(r"curl -H 'Authorization: Bearer (\S+)' '(\S+)'", printed)
            assert found, printed
            assert fetch(found[2], found[1])["totalResults"] > 0
            assert "created" in joiner("logs", "ALVAO", "--top", "500", data=data)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(60)
            finally:
                process.kill()
    assert code == 0
