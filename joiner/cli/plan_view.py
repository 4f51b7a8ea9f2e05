"""A plan as a person reads it: the numbers first, then the reasons, then who and what."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from joiner.cli.changes import changes_in_words, names_in_words
from joiner.cli.lookup import Document
from joiner.cli.output import Output

TITLES: Final[Mapping[str, str]] = {
    "create": "To be created",
    "update": "To be updated",
    "disable": "To be disabled",
    "delete": "To be deleted",
    "link": "To be linked with an account that needs no change",
    "release": "No longer managed; nothing is sent",
    "failure": "Cannot be done",
}
VERBS: Final[Mapping[str, str]] = {"add": "added", "remove": "removed", "held": "to be removed, held back"}
CHANGES_SHOWN: Final = 4
NAMES_SHOWN: Final = 4
CAUSES_SHOWN: Final = 15


class Items(Protocol):
    """Where items come from."""

    async def of(self, action: str, most: int | None) -> list[dict[str, Any]]:
        """The first items of an action, all of them for None."""

    async def accounts(self, most: int | None) -> list[dict[str, Any]]:
        """The first accounts that nobody manages, all of them for None."""


async def show_plan(output: Output, plan: Document, title: str, items: Items, most: int | None) -> None:
    """`most`: items of each action, and accounts; None: all."""
    summary = plan["summary"]
    what = REPAIR if plan["kind"] == "drift" else f"what an {plan['kind']} cycle would do"
    output.say(f"Plan {plan['number']} of {title}: {what}. {summary['read']} objects read.")
    if plan["kind"] == "drift":
        _show_survey(output, plan, await items.accounts(most))
    if not _total(summary):
        unread = plan["kind"] == "drift" and summary["drift"]["groupsWithoutReadableMembers"]
        told = "what the application tells" if unread else "everything"
        output.say(f"Nothing: {told} is as it should be.")
    else:
        output.say("")
        _show_counts(output, summary)
    _show_causes(output, summary)
    for action, heading in TITLES.items():
        number = sum(counts.get(action, 0) for counts in summary["counts"].values())
        if number:
            output.say("")
            output.say(f"{heading}: {number}", style="bold")
            found = await items.of(action, most)
            output.table(("who", _column(action), "because"), (_row(each) for each in found), indent=2)
            _show_rest(output, number, len(found))
    _show_skipped(output, summary)
    if plan["state"] == "ready" and plan["hasChanges"] and plan["schemaVersion"] is not None:
        apply = f"joiner job apply {shlex.quote(title)} {plan['number']}"
        output.say("", f"Nothing has been done. To do exactly this: {apply}")
        if summary["held"]:
            output.say("What the guard would hold back is left out then, unless --allow-deletes is given.")


def _show_survey(output: Output, plan: Document, accounts: Sequence[Document]) -> None:
    drift = plan["summary"]["drift"]
    output.say(f"{drift['objectsFound']} objects found in the application.")
    unlisted = [kind for kind, is_listed in drift["listed"].items() if not is_listed]
    if unlisted:
        output.say(f"It cannot list its {' and '.join(unlisted).lower()}s: only linked ones were looked at.")
    missing = sum(drift["missing"].values())
    if missing:
        output.say(f"{missing} accounts or groups of this job are gone.", style="yellow")
    if drift["foreignMembers"]:
        output.say(f"{drift['foreignMembers']} members of managed groups are not managed; they are left alone.")
    if drift["groupsWithoutReadableMembers"]:
        number, names = drift["groupsWithoutReadableMembers"], drift.get("unreadableGroups", [])
        output.say(f"{number} groups do not tell their members: {names_in_words(names, number, NAMES_SHOWN)}.")
    if drift["accounts"]:
        total = sum(number for counts in drift["accounts"].values() for number in counts.values())
        output.say("", f"Nobody manages {total} of them; they are never touched:")
        rows = ((each["name"], ACCOUNT_STATES[each["state"]], each["matches"] or "") for each in accounts)
        output.table(("account", "what it is", "matches"), rows, indent=2)
        _show_rest(output, total, len(accounts))
    output.say("")


def _show_rest(output: Output, number: int, shown: int) -> None:
    if number > shown:
        output.say(f"  … and {number - shown} more: --all shows them")


REPAIR: Final = "what would make the application as it should be"
ACCOUNT_STATES: Final[Mapping[str, str]] = {
    "local": "local: nobody in the directory matches",
    "unassigned": "unassigned: matches somebody who is not in scope",
    "assigned": "assigned: matches somebody in scope; --adopt, or the next cycle, links it",
    "duplicate": "duplicate: its owner is linked with another account",
}


def show_comparison(output: Output, comparison: Document) -> None:
    """What is new, gone or different in one plan, seen from another."""
    words = {"new": "New", "gone": "Gone", "different": "Different"}
    output.say(f"Plan {comparison['number']}, seen from plan {comparison['comparedTo']}:")
    if not any(comparison[name]["count"] for name in words):
        output.say("they say the same.")
        return
    for name, word in words.items():
        part = comparison[name]
        if part["count"]:
            output.say("")
            output.say(f"{word}: {part['count']}", style="bold")
            rows = ((each["name"], _action(each)) for each in part["items"])
            output.table(("who", "action"), rows, indent=2)


def show_report(output: Output, cycle: Document, report: Document, title: str, number: int) -> None:
    """What became of a plan that was applied."""
    states = report["states"]
    sent, failed = states.get("sent", 0), cycle["counts"].get("failure", 0)
    told = [f"{sent} of {sum(states.values())} items carried out"]
    if failed:
        told.append(f"{failed} of them failed")
    told += [f"{states[name]} {word}" for name, word in REPORTED.items() if states.get(name)]
    output.say(f"Plan {number} of {title}: {', '.join(told)}.")
    if cycle["error"]:
        output.say(f"It was broken off: {cycle['error']['message']}", style="red")
    if report["refused"]:
        output.say("", "Refused, because things are no longer as they were; a new plan says what is to be done now:")
        rows = ((each["name"], each["action"], each["reason"]) for each in report["refused"])
        output.table(("who", "action", "reason"), rows, indent=2)
    if failed:
        command = f"joiner logs {shlex.quote(title)} --status failure"
        output.say(f"The failures will be tried again: {command}", style="yellow")
    if states.get("held"):
        output.say("The guard against accidental deletions holds the rest back; --allow-deletes lets it through.")


REPORTED: Final[Mapping[str, str]] = {
    "refused": "refused",
    "held": "held back by the guard",
    "planned": "not chosen, or impossible",
    "chosen": "not reached",
}


def _show_counts(output: Output, summary: Document) -> None:
    users, groups = summary["counts"].get("User", {}), summary["counts"].get("Group", {})
    rows: list[Sequence[Any]] = [
        (action, users.get(action, 0) or "", groups.get(action, 0) or "")
        for action in TITLES
        if users.get(action) or groups.get(action)
    ]
    output.table(("action", "users#", "groups#"), rows)
    references = [
        f"{attribute}: {', '.join(f'{number} {VERBS[verb]}' for verb, number in sorted(verbs.items()))}"
        for attribute, verbs in summary["references"].items()
    ]
    requests = ", ".join(f"{number} {method}" for method, number in summary["requests"].items())
    if references or requests or summary["held"]:
        output.say("")
    if references:
        output.say("; ".join(references))
    if requests:
        output.say(f"requests that would be sent: {requests}")
    if summary["held"]:
        output.say(
            f"The guard against accidental deletions would hold back {summary['held']} of these.", style="yellow"
        )


def _show_causes(output: Output, summary: Document) -> None:
    causes = summary["causes"]
    if not causes:
        return
    output.say("")
    output.say("The reasons, the most frequent first", style="bold")
    rows = ((each["action"], each["count"], each["text"]) for each in causes[:CAUSES_SHOWN])
    output.table(("action", "objects#", "because"), rows, indent=2)
    more = len(causes) - CAUSES_SHOWN + summary["otherCauses"]
    if more > 0:
        output.say(f"  … and {more} other reasons")


def _show_skipped(output: Output, summary: Document) -> None:
    if not summary["skipped"]:
        return
    counts: Counter[tuple[str, str]] = Counter()
    for each in summary["skipped"]:
        counts[f"{each['objectType'].lower()}s", each["reason"]] += each["count"]
    output.say("")
    output.say(f"Left alone: {counts.total() + summary['otherSkipped']}", style="bold")
    rows = ((number, kind, reason) for (kind, reason), number in counts.most_common())
    output.table(("objects#", "", "because"), rows, indent=2)


def _row(item: Document) -> tuple[str, str, str]:
    held = " (held back)" if item["isHeld"] else ""
    return f"{_who(item)}{held}", _what(item), "; ".join(dict.fromkeys(_cause(each) for each in item["causes"]))


def _who(item: Document) -> str:
    return str(item["name"]) if item["objectType"] == "User" else f"group {item['name']}"


def _what(item: Document) -> str:
    if item["problem"]:
        return str(item["problem"]["code"])
    changes = item["changes"]
    if item["action"] == "create":
        told = [f"{len(changes)} attribute{'s' * (len(changes) != 1)}"]
    else:
        told = changes_in_words(changes, CHANGES_SHOWN)
    for attribute, verbs in item["referenceCounts"].items():
        for verb, number in verbs.items():
            names = [
                each["name"] for each in item["references"] if (each["attribute"], each["action"]) == (attribute, verb)
            ]
            said = attribute if item["action"] == "create" else f"{attribute} {VERBS[verb]}"
            told.append(f"{said}: {names_in_words(names, number, NAMES_SHOWN)}")
    return "; ".join(told)


def _cause(cause: Document) -> str:
    separator = {"mapping": " ← ", "reference": " ← ", "problem": ": "}.get(cause["kind"])
    return str(cause["text"]).partition(separator)[2] if separator else str(cause["text"])


def _action(item: Document) -> str:
    was = item.get("wasAction")
    return f"{was} → {item['action']}" if was and was != item["action"] else str(item["action"])


def _column(action: str) -> str:
    return {"failure": "error", "create": "with"}.get(action, "what")


def _total(summary: Document) -> int:
    return sum(number for counts in summary["counts"].values() for number in counts.values())
