"""`joiner logs`: the provisioning log."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

import typer

from joiner.cli.client import Client
from joiner.cli.command import command
from joiner.cli.entries import row_of, show_entries
from joiner.cli.lookup import find_job, literal
from joiner.cli.output import Output
from joiner.errors import InvalidStateError

app = typer.Typer()
PATH: Final = "/v1.0/auditLogs/provisioning"
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
    top: Annotated[int, typer.Option(metavar="N", min=1, max=MOST_A_PAGE * 100, help="At most so many.")] = ROWS,
) -> None:
    """Print the provisioning log, newest first: what was done to whom, what changed, and why not."""
    if follow and not client.is_remote:
        raise InvalidStateError("no server runs on this data folder, so that nothing new can come")
    job = (await find_job(client, name)).job
    chosen = _filter(job["id"], user, status)
    entries = [entry async for entry in newest(client, chosen, top)]
    if not follow:
        output.show(entries, lambda out: show_entries(out, entries, empty="The log has no such entries yet."))
        return
    with contextlib.suppress(asyncio.CancelledError):
        await _follow(client, chosen, entries, output)


async def newest(client: Client, chosen: str, most: int) -> AsyncIterator[dict[str, Any]]:
    """At most so many entries that the `$filter` lets through, newest first."""
    number = 0
    async for entry in client.items(PATH, filter=chosen, top=str(min(most, MOST_A_PAGE))):
        yield entry
        number += 1
        if number == most:
            return


async def _follow(client: Client, chosen: str, entries: list[dict[str, Any]], output: Output) -> None:
    """Prints the entries, oldest first, and new ones as they come, until cancelled."""
    printed: OrderedDict[str, None] = OrderedDict()
    while True:
        for entry in reversed(entries):
            printed[entry["id"]] = None
            if output.as_json:
                output.json_line(entry)
            else:
                output.raw("  ".join(row_of(entry)))
        while len(printed) > REMEMBERED:
            printed.popitem(last=False)
        await asyncio.sleep(LOOK_AGAIN)
        entries = []
        async for entry in newest(client, chosen, REMEMBERED):
            if entry["id"] in printed:
                break
            entries.append(entry)


def _filter(job_id: str, user: str | None, status: str | None) -> str:
    parts = [f"jobId eq {literal(job_id)}"]
    if user is not None:
        parts.append(f"tolower(sourceIdentity/details/UserPrincipalName) eq {literal(user.lower())}")
    if status is not None:
        parts.append(f"provisioningStatusInfo/status eq {literal(status)}")
    return " and ".join(parts)
