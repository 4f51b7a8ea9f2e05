"""`joiner logs`: the provisioning log."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from joiner.cli.client import Client
from joiner.cli.command import command, fail_use
from joiner.cli.entries import line_of, show_entries
from joiner.cli.log_export import export_log
from joiner.cli.lookup import Document, find_job, literal
from joiner.cli.output import Output, short_time
from joiner.cli.requests_view import show_requests
from joiner.errors import InvalidStateError

app = typer.Typer()
PATH: Final = "/v1.0/auditLogs/provisioning"
AUDIT_PATH: Final = "/v1.0/auditLogs/directoryAudits"
ROWS: Final = 50
MOST_A_PAGE: Final = 1000
LOOK_AGAIN: Final = 1.0
"""Seconds between two looks of --follow."""
REMEMBERED: Final = 10_000
"""So many entries --follow knows that it has printed; a look goes back at most so far."""


@command(app, "logs")
async def logs(
    client: Client,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or its application's display name.")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on printing new entries.")] = False,
    user: Annotated[str | None, typer.Option(metavar="UPN", help="Only this user's entries.")] = None,
    status: Annotated[
        Literal["success", "failure", "skipped", "warning"] | None, typer.Option(help="Only entries of this status.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="At most so many; default 50, with --export all.")
    ] = None,
    requests: Annotated[
        bool, typer.Option("--requests", help="Below each entry, what was sent and what was answered.")
    ] = False,
    audit: Annotated[bool, typer.Option("--audit", help="What was done to the job, by whom, instead.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Write the entries into files in this folder.")
    ] = None,
    form: Annotated[
        Literal["csv", "json"], typer.Option("--format", help="Of --export: three CSV files, or one of JSON.")
    ] = "csv",
) -> None:
    """Print the provisioning log, newest first: what was done to whom, what changed, and why not."""
    if export and follow:
        fail_use("--follow does not go with --export")
    if audit and (follow or user or status or requests or export):
        fail_use("of the other options only --top goes with --audit")
    if audit:
        await _audit(client, output, name, top or ROWS)
        return
    if follow and not client.is_remote:
        raise InvalidStateError("no server runs on this data folder, so that nothing new can come")
    job = (await find_job(client, name)).job
    chosen = _filter(job["id"], user, status)
    if export is not None:
        files = await export_log(newest(client, chosen, top), export, form)
        paths = [str(file) for file in files]
        output.show({"files": paths}, lambda out: out.raw("\n".join(paths)))
        return
    entries = [entry async for entry in newest(client, chosen, top or ROWS)]
    if not follow:
        empty = "The log has no such entries yet."
        show = _show_with_requests if requests else show_entries
        output.show(entries, lambda out: show(out, entries, empty=empty))
        return
    with contextlib.suppress(asyncio.CancelledError):
        await _follow(client, chosen, entries, output, requests=requests)


async def newest(client: Client, chosen: str, most: int | None) -> AsyncIterator[dict[str, Any]]:
    """At most so many entries, or all, that the `$filter` lets through, newest first."""
    number = 0
    async for entry in client.items(PATH, filter=chosen, top=str(min(most or MOST_A_PAGE, MOST_A_PAGE))):
        yield entry
        number += 1
        if number == most:
            return


async def _follow(
    client: Client, chosen: str, entries: list[dict[str, Any]], output: Output, *, requests: bool
) -> None:
    """Prints the entries, oldest first, and new ones as they come, until cancelled."""
    printed: OrderedDict[str, None] = OrderedDict()
    while True:
        for entry in reversed(entries):
            printed[entry["id"]] = None
            if output.as_json:
                output.json_line(entry)
            else:
                _show_entry(output, entry, requests=requests)
        while len(printed) > REMEMBERED:
            printed.popitem(last=False)
        await asyncio.sleep(LOOK_AGAIN)
        entries = []
        async for entry in newest(client, chosen, REMEMBERED):
            if entry["id"] in printed:
                break
            entries.append(entry)


def _show_with_requests(output: Output, entries: Sequence[Document], *, empty: str) -> None:
    if not entries:
        output.say(empty)
    for entry in entries:
        _show_entry(output, entry, requests=True)


def _show_entry(output: Output, entry: Document, *, requests: bool) -> None:
    output.raw(line_of(entry))
    if requests:
        show_requests(output, entry)


async def _audit(client: Client, output: Output, name: str, most: int) -> None:
    """Prints what was done to the job, and to the application that it belongs to, newest first."""
    found = await find_job(client, name)
    entries = []
    async for entry in client.items(AUDIT_PATH, top=str(MOST_A_PAGE)):
        if entry["targetResources"][0]["id"] == found.application["id"]:
            entries.append(entry)
        if len(entries) == most:
            break
    columns = ("time (UTC)", "activity", "who", "what changed")
    rows = ((*_audit_row(entry),) for entry in entries)
    output.show(entries, lambda out: out.table(columns, rows, empty="Nothing has been done to it yet."))


def _audit_row(entry: Document) -> tuple[str, str, str, str]:
    who = entry["initiatedBy"]["user"] or entry["initiatedBy"]["app"]
    changes = [
        f"{change['displayName']}: {change['oldValue'] or 'none'} → {change['newValue'] or 'none'}"
        for change in entry["targetResources"][0]["modifiedProperties"]
    ]
    details = [
        f"{item['key']} {item['value']}"
        for item in entry["additionalDetails"]
        if item["key"] not in ("JobId", "CycleId", "ObjectId") and item["value"] != "0"
    ]
    told = [entry["resultReason"], *changes, *details]
    return (
        short_time(entry["activityDateTime"]),
        entry["activityDisplayName"],
        who["displayName"],
        "; ".join(part for part in told if part),
    )


def _filter(job_id: str, user: str | None, status: str | None) -> str:
    parts = [f"jobId eq {literal(job_id)}"]
    if user is not None:
        parts.append(f"tolower(sourceIdentity/details/UserPrincipalName) eq {literal(user.lower())}")
    if status is not None:
        parts.append(f"provisioningStatusInfo/status eq {literal(status)}")
    return " and ".join(parts)
