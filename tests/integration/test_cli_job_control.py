"""`joiner job` and `joiner logs` as programs, against one server with both sides."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands import as_json, refused, run
from tests.processes import joiner, serving

INGRID = "ingrid.dahl@fjordlight.example"


@dataclass
class Office:
    """The example company, its application and job, served."""

    data: Path

    def refuse(self, *arguments: str) -> str:
        """The one line of a command that must fail."""
        return refused(*arguments, JOINER_DATA=str(self.data))

    def say(self, *arguments: str, code: int = 0) -> str:
        """The standard output of a command that ends with this code."""
        done = run(*arguments, JOINER_DATA=str(self.data))
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    data = tmp_path_factory.mktemp("office") / "data"
    token = joiner("token", "create", data=data).strip()
    with serving(data) as server:
        it = Office(data)
        it.say("directory", "import", "--example")
        joiner("app", "add", "ALVAO", "--tenant-url", f"{server.url}/scim", "--secret-token", token, data=data)
        it.say("app", "assign", "ALVAO", "Finance", INGRID)
        it.say("job", "create", "ALVAO")
        yield it


@pytest.mark.req("REQ-P-119", "REQ-P-112", "REQ-P-115", "REQ-P-128", "REQ-P-135")
def test_on_demand_settings_held_deletions_quarantine_audit_and_export(office: Office, tmp_path: Path) -> None:
    told = office.say("job", "on-demand", "ALVAO", INGRID)
    assert told.startswith(f"{INGRID} in ALVAO: Success\n")
    assert "was created in ALVAO" in told
    result = as_json("job", "on-demand", "ALVAO", INGRID, data=office.data)
    assert (result["result"], result["details"]["errorCode"]) == ("Skipped", "RedundantExport")
    assert "there is no user or group 'nobody'" in office.refuse("job", "on-demand", "ALVAO", "nobody")

    office.say("job", "run", "ALVAO")
    shown = office.say(
        "job", "settings", "ALVAO", "QuarantineTooManyDeletesThreshold=2", "NotificationEmail=a@b.example"
    )
    assert "a@b.example" in shown
    assert "did you mean 'Mode'" in office.refuse("job", "settings", "ALVAO", "Mod=entra")
    assert "is not NAME=VALUE" in office.refuse("job", "settings", "ALVAO", "Mode")

    office.say("app", "unassign", "ALVAO", "Finance")
    held = office.say("job", "run", "ALVAO", code=3)
    assert "10 deletions are held back: joiner job deletes ALVAO lists them" in held
    status = office.say("job", "status", "ALVAO")
    for fact in ("Quarantine", "TooManyDeletes", "It took", "Activity id", "Job id", "makes no attempt by itself"):
        assert fact in status
    assert "Looks for drift" not in status
    assert office.say("job", "deletes", "ALVAO").count("none yet") == 10
    assert "held back" in office.say("logs", "ALVAO", "--top", "3")
    rejected = office.say("job", "deletes", "ALVAO", "reject", "jakub.marek@fjordlight.example")
    assert rejected == "1 deletion rejected. It is not sent. 9 wait for an answer.\n"
    assert office.say("job", "deletes", "ALVAO", "allow") == "9 deletions allowed. The next cycle sends them.\n"
    assert "8 disabled, 1 deleted" in office.say("job", "run", "ALVAO")
    assert office.say("job", "deletes", "ALVAO") == "Nothing is held back.\n"

    assert "is in quarantine" in office.say("job", "quarantine", "ALVAO", "--reason", "moving house")
    assert "moving house" in office.say("job", "status", "ALVAO")
    assert "is restarted (QuarantineState)" in office.say("job", "restart", "ALVAO", "--scope", "QuarantineState")
    assert "'Some' is not a resetScope" in office.refuse("job", "restart", "ALVAO", "--scope", "Some")

    audits = as_json("logs", "ALVAO", "--audit", "--top", "1", data=office.data)
    assert [entry["activityDisplayName"] for entry in audits] == ["Enable/restart provisioning configuration"]
    reasons = [entry["resultReason"] for entry in as_json("logs", "ALVAO", "--audit", data=office.data)]
    assert {"1 held deletion rejected", "9 held deletions allowed"} <= set(reasons)
    assert "moving house" in " ".join(office.say("logs", "ALVAO", "--audit").split())
    assert "only --top goes with --audit" in refused(
        "logs", "ALVAO", "--audit", "--follow", code=2, JOINER_DATA=str(office.data)
    )
    (tmp_path / "file").touch()
    assert "cannot be written" in office.refuse("logs", "ALVAO", "--export", str(tmp_path / "file"))
    assert_exports(office, tmp_path)


def assert_exports(office: Office, folder: Path) -> None:
    """Three CSV files joined by the change id, or one of JSON; the filters hold for both."""
    entries = as_json("logs", "ALVAO", "--top", "1000", data=office.data)
    names = office.say("logs", "ALVAO", "--export", str(folder / "all")).split()
    logs, steps, changes = (
        list(csv.DictReader(Path(name).read_text("utf-8-sig").splitlines(keepends=True))) for name in names
    )
    assert [Path(name).name for name in names] == [
        "ProvisioningLogs.csv",
        "ProvisioningLogs_ProvisioningSteps.csv",
        "ProvisioningLogs_ModifiedProperties.csv",
    ]
    assert [row["Change ID"] for row in logs] == [entry["changeId"] for entry in entries]
    for entry in entries:
        own = [row for row in steps if row["Change ID"] == entry["changeId"]]
        assert [row["Name"] for row in own] == [step["name"] for step in entry["provisioningSteps"]]
    assert len(changes) == sum(len(entry["modifiedProperties"]) for entry in entries)
    phone = next(row["New value"] for row in changes if row["Property"].startswith("phoneNumbers"))
    assert phone.startswith("'+"), "no spreadsheet calculates it"
    [one] = office.say(
        "logs", "ALVAO", "--export", str(folder / "json"), "--format", "json", "--user", INGRID, "--top", "1"
    ).split()
    assert json.loads(Path(one).read_text("utf-8")) == [
        next(e for e in entries if e["sourceIdentity"]["details"].get("UserPrincipalName") == INGRID)
    ]
    assert "exists already" in office.refuse("logs", "ALVAO", "--export", str(folder / "all"))
