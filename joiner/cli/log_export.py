"""The provisioning log as files: the portal's three CSV files, or one of JSON (provisioning service §14.3)."""

import csv
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal

from joiner.cli.lookup import Document
from joiner.errors import AlreadyExistsError, InvalidValueError

Form = Literal["csv", "json"]

ENTRY_COLUMNS: Final[tuple[tuple[str, Callable[[Document], Any]], ...]] = (
    ("Id", lambda e: e["id"]),
    ("Date (UTC)", lambda e: e["activityDateTime"]),
    ("Change ID", lambda e: e["changeId"]),
    ("Cycle ID", lambda e: e["cycleId"]),
    ("Job ID", lambda e: e["jobId"]),
    ("Tenant ID", lambda e: e["tenantId"]),
    ("Action", lambda e: e["provisioningAction"]),
    ("Duration (ms)", lambda e: e["durationInMilliseconds"]),
    ("Status", lambda e: e["provisioningStatusInfo"]["status"]),
    ("Error code", lambda e: _error(e, "errorCode")),
    ("Reason", lambda e: _error(e, "reason")),
    ("Error category", lambda e: _error(e, "errorCategory")),
    ("Recommended action", lambda e: _error(e, "recommendedAction")),
    ("Source ID", lambda e: e["sourceIdentity"]["id"]),
    ("Source display name", lambda e: e["sourceIdentity"]["displayName"]),
    ("Source type", lambda e: e["sourceIdentity"]["identityType"]),
    ("Source user principal name", lambda e: e["sourceIdentity"]["details"].get("UserPrincipalName", "")),
    ("Target ID", lambda e: e["targetIdentity"]["id"]),
    ("Target display name", lambda e: e["targetIdentity"]["displayName"]),
    ("Target type", lambda e: e["targetIdentity"]["identityType"]),
    ("Source system", lambda e: e["sourceSystem"]["displayName"]),
    ("Target system", lambda e: e["targetSystem"]["displayName"]),
    ("Service principal ID", lambda e: e["servicePrincipal"]["id"]),
    ("Service principal name", lambda e: e["servicePrincipal"]["displayName"]),
    ("Initiated by", lambda e: e["initiatedBy"]["displayName"]),
    ("Initiator type", lambda e: e["initiatedBy"]["initiatorType"]),
)
STEP_COLUMNS: Final = ("Change ID", "Number", "Name", "Type", "Status", "Description", "Details")
CHANGE_COLUMNS: Final = ("Change ID", "Property", "Old value", "New value")
CSV_FILES: Final = (
    "ProvisioningLogs.csv",
    "ProvisioningLogs_ProvisioningSteps.csv",
    "ProvisioningLogs_ModifiedProperties.csv",
)
"""Joined by the change ID."""
JSON_FILE: Final = "ProvisioningLogs.json"
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


async def export_log(entries: AsyncIterator[Document], folder: Path, form: Form) -> list[Path]:
    """Writes the entries as they come into a folder and returns the files. Raises AlreadyExistsError rather than
    overwrite one, InvalidValueError if the folder cannot be written to."""
    try:
        files = _new_files(folder, CSV_FILES if form == "csv" else (JSON_FILE,))
        await (_write_csv(entries, files) if form == "csv" else _write_json(entries, files[0]))
    except OSError as error:
        raise InvalidValueError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    return files


def _new_files(folder: Path, names: Sequence[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in names]
    existing = next((file for file in files if file.exists()), None)
    if existing is not None:
        raise AlreadyExistsError(f"{existing} exists already; name another folder")
    return files


async def _write_csv(entries: AsyncIterator[Document], files: Sequence[Path]) -> None:
    with ExitStack() as opened:
        # Spreadsheets need the mark to see that it is UTF-8.
        streams = [opened.enter_context(file.open("x", encoding="utf-8-sig", newline="")) for file in files]
        logs, steps, changes = (csv.writer(stream) for stream in streams)
        logs.writerow([title for title, _ in ENTRY_COLUMNS])
        steps.writerow(STEP_COLUMNS)
        changes.writerow(CHANGE_COLUMNS)
        async for entry in entries:
            logs.writerow([_cell(value(entry)) for _, value in ENTRY_COLUMNS])
            steps.writerows(_step_rows(entry))
            changes.writerows(_change_rows(entry))


async def _write_json(entries: AsyncIterator[Document], file: Path) -> None:
    import orjson

    with file.open("xb") as stream:
        stream.write(b"[")
        separator = b""
        async for entry in entries:
            stream.write(separator + orjson.dumps(entry))
            separator = b",\n"
        stream.write(b"]\n")


def _step_rows(entry: Document) -> Iterator[list[str]]:
    import orjson

    for number, step in enumerate(entry["provisioningSteps"], 1):
        details = orjson.dumps(step["details"]).decode()
        told = (number, step["name"], step["provisioningStepType"], step["status"], step["description"], details)
        yield [entry["changeId"], *(_cell(value) for value in told)]


def _change_rows(entry: Document) -> Iterator[list[str]]:
    for change in entry["modifiedProperties"]:
        told = (change["displayName"], change["oldValue"], change["newValue"])
        yield [entry["changeId"], *(_cell(value) for value in told)]


def _error(entry: Document, name: str) -> str:
    error = entry["provisioningStatusInfo"]["errorInformation"]
    return str(error[name] or "") if error else ""


def _cell(value: Any) -> str:
    """The value as text; one that a spreadsheet would calculate gets an apostrophe in front."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
