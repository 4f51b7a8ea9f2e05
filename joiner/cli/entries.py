"""Entries of the provisioning log in words: what became of whom, what changed, and why not."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from joiner.cli.changes import changes_in_words, names_in_words
from joiner.cli.lookup import Document
from joiner.cli.output import Output, plain, short_time

VERBS: Final = {"create": "created", "update": "updated", "disable": "disabled", "delete": "deleted"}
HELD: Final = "held back"
OUTCOMES: Final = ("created", "updated", "disabled", "deleted", "skipped", "failed", HELD)
MOST_CHANGES: Final = 200
"""The log keeps at most so many changes of an entry."""
CHANGES_SHOWN: Final = 3
NAMES_SHOWN: Final = 2
COLUMNS: Final = ("time (UTC)", "result", "who", "what changed, or why not")


def outcome(entry: Document) -> str:
    """One of `OUTCOMES`."""
    status = entry["provisioningStatusInfo"]["status"]
    if status == "failure":
        return "failed"
    if entry["provisioningAction"] == "stagedDelete":
        return HELD
    return "skipped" if status == "skipped" else VERBS.get(entry["provisioningAction"], "skipped")


def who(entry: Document) -> str:
    """The user's principal name, or the group's name."""
    source = entry["sourceIdentity"]
    name = source["details"].get("UserPrincipalName")
    return str(name) if name else f"{source['identityType'].lower()} {source['displayName']}"


def display_name(entry: Document) -> str:
    """The name for people: shorter than `who`, and not unique."""
    source = entry["sourceIdentity"]
    name = str(source["displayName"])
    return name if source["identityType"] == "User" else f"{source['identityType'].lower()} {name}"


def explain(entry: Document) -> str:
    """What changed, or the reason why nothing did."""
    result, reason = outcome(entry), reason_of(entry)
    if result in ("skipped", "failed", HELD):
        return reason
    told = _created(entry) if result == "created" else _changes(entry)
    return f"{told}; but {reason}" if reason else told


def reason_of(entry: Document) -> str:
    """Why an object was skipped, failed or not written in full; the advice that follows it is left out of a skip."""
    error = entry["provisioningStatusInfo"]["errorInformation"]
    if error is None:
        return ""
    source = entry["sourceIdentity"]
    name = source["details"].get("UserPrincipalName") or source["displayName"]
    # Whom it is about stands beside it.
    reason = str(error["reason"]).removeprefix(f"{source['identityType']} '{name}' ").removesuffix(f" of {name}")
    return reason.partition(": ")[0] if outcome(entry) == "skipped" else reason


def row_of(entry: Document) -> tuple[str, str, str, str]:
    """The entry as a row under `COLUMNS`."""
    return short_time(entry["activityDateTime"]), outcome(entry), who(entry), explain(entry)


def line_of(entry: Document) -> str:
    """The entry on a line of its own, however long."""
    return plain("  ".join(row_of(entry)))


def show_entries(output: Output, entries: Iterable[Document], *, empty: str) -> None:
    """The entries as a table."""
    output.table(COLUMNS, (row_of(entry) for entry in entries), empty=empty)


def _created(entry: Document) -> str:
    attributes = {change["displayName"] for change in entry["modifiedProperties"]} - {"members"}
    members = sum(change["displayName"] == "members" for change in entry["modifiedProperties"])
    told = f"{len(attributes)} attribute{'s' * (len(attributes) != 1)}"
    at_least = "at least " if len(entry["modifiedProperties"]) >= MOST_CHANGES else ""
    return f"{told}, {at_least}{members} member{'s' * (members != 1)}" if members else told


def _changes(entry: Document) -> str:
    changes: Sequence[dict[str, Any]] = entry["modifiedProperties"]
    told = changes_in_words((change for change in changes if change["displayName"] != "members"), CHANGES_SHOWN)
    members = [change for change in changes if change["displayName"] == "members"]
    added = [str(change["newValue"]) for change in members if change["newValue"] is not None]
    removed = [str(change["oldValue"]) for change in members if change["newValue"] is None]
    lists = [
        f"members {verb}: {names_in_words(names, len(names), NAMES_SHOWN)}"
        for verb, names in (("added", added), ("removed", removed))
        if names
    ]
    return "; ".join([*told, *lists])
