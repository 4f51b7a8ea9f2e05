"""`joiner job upload` as a program: with and without a server, and what it says of files that cannot be sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import as_json, refused, run
from tests.inbound import API_DRIVEN, bulk, person
from tests.processes import joiner, serving


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with the job of an inbound application, which is not started."""
    folder = tmp_path / "data"
    joiner("api-key", "create", data=folder)
    joiner("app", "add", API_DRIVEN, data=folder)
    joiner("job", "create", API_DRIVEN, data=folder)
    return folder


def message(first: int, number: int) -> str:
    return json.dumps(bulk(*(person(f"E-{each}", f"P{each} Berg") for each in range(first, first + number))))


def upload(data: Path, file: str = "-", *, text: str = "", code: int = 0) -> str:
    done = run("job", "upload", API_DRIVEN, file, "--data", str(data), stdin=text)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def names(data: Path) -> list[str]:
    users = as_json("directory", "users", data=data)
    return sorted(user["userPrincipalName"] for user in users if user["userPrincipalName"].startswith("p"))


def test_without_a_server_a_started_job_takes_the_people_over_and_another_keeps_them(
    data: Path, tmp_path: Path
) -> None:
    told = upload(data, text=message(0, 2))
    assert told.startswith(f"2 people accepted by the job of {API_DRIVEN}, in 1 request.")
    assert "joiner job start JOB" in told
    assert names(data) == []
    joiner("job", "start", API_DRIVEN, data=data)
    file = tmp_path / "people.json"
    file.write_text(message(1, 60), encoding="utf-8")
    told = upload(data, str(file))
    assert told.startswith(f"60 people accepted by the job of {API_DRIVEN}, in 2 requests.")
    # One of the two that were kept is among the sixty.
    assert "61 created, 1 skipped" in " ".join(told.split())
    assert len(names(data)) == 61
    joiner("job", "settings", API_DRIVEN, "QuarantineTooManyDeletesThreshold=1", data=data)
    leavers = bulk(*(person(f"E-{number}", f"P{number} Berg", active=False) for number in (3, 4)))
    told = upload(data, text=json.dumps(leavers), code=3)
    assert "2 held back" in told
    assert f"joiner job deletes '{API_DRIVEN}' lists them" in " ".join(told.split())
    joiner("job", "deletes", API_DRIVEN, "allow", "p3@fjord.example", data=data)
    assert "1 disabled" in run("job", "run", API_DRIVEN, "--data", str(data)).stdout


def test_a_file_that_cannot_be_sent_is_refused_as_a_whole_and_one_that_takes_long_is_sent(
    data: Path, tmp_path: Path
) -> None:
    body = json.loads(message(0, 70))
    body["Operations"][3]["method"] = "PUT"
    del body["Operations"][66]["bulkId"]
    told = upload(data, text=json.dumps(body), code=1)
    assert told.splitlines() == [
        "joiner: the standard input cannot be uploaded; nothing was sent",
        "  Operations[3].method cannot be PUT; it is always POST: whom the directory has already is updated",
        "  Operations[66].bulkId is required, as text",
    ]
    body = bulk(person("E-1", "Ada Berg"), person("E-2", "Bo Dahl", title="x" * 1024 * 1024))
    assert "Operations[1] is too long" in upload(data, text=json.dumps(body), code=1)
    assert "the body is not JSON" in upload(data, text="externalId,userName\n", code=1)
    missing = str(tmp_path / "missing.json")
    assert "missing.json cannot be read: No such file" in upload(data, missing, code=1)
    # More than are taken in a second.
    done = run("job", "upload", API_DRIVEN, "-", "--data", str(data), "--output", "json", stdin=message(0, 2050))
    result = json.loads(done.stdout)
    assert (result["operations"], result["requests"], result["outcomes"]) == (2050, 41, None)
    joiner("app", "add", "Custom", data=data)
    joiner("job", "create", "Custom", data=data)
    done = run("job", "upload", "Custom", "-", "--data", str(data), stdin=message(0, 1))
    assert "this job takes no uploads" in done.stderr


def test_a_server_is_sent_to_by_the_jobs_address_with_a_key_that_may_only_upload(data: Path) -> None:
    joiner("job", "start", API_DRIVEN, data=data)
    key = joiner("api-key", "create", "--role", "uploader", data=data).strip()
    job: Any = as_json("job", "status", API_DRIVEN, data=data)
    application = as_json("app", "show", API_DRIVEN, data=data)
    with serving(data) as server:
        place = f"{server.url}/v1.0/servicePrincipals/{application['id']}/synchronization/jobs/{job['id']}"
        arguments = ("job", "upload", f"{place}/bulkUpload", "-", "--url", server.url)
        done = run(*arguments, stdin=message(0, 1), JOINER_API_KEY=key)
        assert (done.returncode, done.stderr) == (0, "")
        told = " ".join(done.stdout.split())
        accepted = f"1 person accepted by the job of {job['id']}, in 1 request."
        assert told == f"{accepted} What becomes of them: joiner logs JOB"
        told = refused("job", "upload", API_DRIVEN, "-", "--url", server.url, stdin=message(0, 1), JOINER_API_KEY=key)
        assert "Insufficient privileges" in told
        done = run("job", "upload", API_DRIVEN, "-", "--data", str(data), stdin=message(1, 1))
        assert "What becomes of them" in done.stdout
        joiner("job", "run", API_DRIVEN, data=data)
        assert names(data) == ["p0@fjord.example", "p1@fjord.example"]
