"""`joiner directory`: the users and groups that applications are kept in step with."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from joiner.cli.client import Client
from joiner.cli.command import command, fail_use
from joiner.cli.output import Output
from joiner.errors import InvalidValueError

app = typer.Typer(help="The directory: users and groups.", no_args_is_help=True)

ROWS: Final = 50
"""So many rows a table shows unless told otherwise."""
USER_FIELDS: Final = "id,userPrincipalName,displayName,jobTitle,department,country,userType,accountEnabled"
GROUP_FIELDS: Final = "id,displayName,description,groupTypes,membershipRule,membershipRuleProcessingState"
LEFT_OUT_SHOWN: Final = 50

TopOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help=f"At most so many. [default: {ROWS}; all of them with --output json]"),
]


@command(app, "import", creates=True)
async def import_files(
    client: Client,
    output: Output,
    users: Annotated[
        Path | None, typer.Argument(metavar="[USERS.csv]", help="Users: the columns of the portal's 'Download users'.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Groups and their members: 'Download group members'.")
    ] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Import the good rows and list those left out.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Import the example company.")] = False,
) -> None:
    """Bring users and groups from CSV files into the directory, as a whole or not at all."""
    if example == bool(users or groups):
        fail_use("name a file of users, --groups FILE, or --example")
    report = await import_example(client) if example else await import_csv(client, users, groups, skip_bad_rows)
    output.show(report, lambda out: show_report(out, report))


@command(app, "users")
async def users(client: Client, output: Output, top: TopOption = None) -> None:
    """List the users of the directory."""
    found, more = await first(client, "/v1.0/users", USER_FIELDS, top, output)
    columns = ("user principal name", "name", "job title", "department", "country", "active")
    rows = (
        (
            user["userPrincipalName"],
            user["displayName"],
            user.get("jobTitle"),
            user.get("department"),
            user.get("country"),
            user["accountEnabled"],
        )
        for user in found
    )

    def view(out: Output) -> None:
        out.table(columns, rows, empty="The directory has no users yet: joiner directory import")
        _tell_more(out, more)

    output.show(found, view)


@command(app, "groups")
async def groups(client: Client, output: Output, top: TopOption = None) -> None:
    """List the groups of the directory."""
    found, more = await first(client, "/v1.0/groups", GROUP_FIELDS, top, output)
    rows = [
        (
            group["displayName"],
            group.get("description"),
            "dynamic" if group["groupTypes"] else "assigned",
            await count_members(client, group["id"]),
            group["id"],
        )
        for group in ([] if output.as_json else found)
    ]

    def view(out: Output) -> None:
        out.table(
            ("name", "description", "membership", "members#", "id"), rows, empty="The directory has no groups yet."
        )
        _tell_more(out, more)

    output.show(found, view)


async def import_example(client: Client) -> dict[str, Any]:
    """Imports the example company and returns the report."""
    report: dict[str, Any] = await client.post("/v1.0/directory/joiner.importExample")
    return report


async def import_csv(client: Client, users: Path | None, groups: Path | None, skip_bad_rows: bool) -> dict[str, Any]:
    """Imports the files and returns the report. Raises ApiError with every line that is wrong."""
    query = {"skipBadRows": str(skip_bad_rows).lower()}
    if groups is not None:
        # The portal's list of one group's members does not say which group: the file's name does.
        query["onlyGroup"] = groups.stem
    with ExitStack() as opened:
        files = []
        for name, path in (("usersBytes", users), ("groupsBytes", groups)):
            if path is not None:
                file = opened.enter_context(_opened(path))
                query[name] = str(os.fstat(file.fileno()).st_size)
                files.append(file)
        report: dict[str, Any] = await client.post_files("/v1.0/directory/joiner.import", files, query)
    return report


def show_report(output: Output, report: dict[str, Any]) -> None:
    """What an import did, in words."""
    for kind in ("users", "groups"):
        added, updated, unchanged = (report[f"{kind}{what}"] for what in ("Added", "Updated", "Unchanged"))
        if added or updated or unchanged:
            output.say(f"{kind.capitalize()}: {added} added, {updated} updated, {unchanged} unchanged.")
    if report["membersAdded"] or report["membersUnchanged"]:
        output.say(f"Memberships: {report['membersAdded']} added, {report['membersUnchanged']} unchanged.")
    for title, lines in (("Left out", report["leftOut"]), ("Imported, but look at", report["warnings"])):
        if lines:
            output.say(f"{title} ({len(lines)}):")
            output.say(*(f"  {line}" for line in lines[:LEFT_OUT_SHOWN]))
        if len(lines) > LEFT_OUT_SHOWN:
            output.say(f"  … and {len(lines) - LEFT_OUT_SHOWN} more")


async def first(
    client: Client, path: str, fields: str, top: int | None, output: Output
) -> tuple[list[dict[str, Any]], bool]:
    """The first objects of a collection, and whether there are more."""
    most = top or (None if output.as_json else ROWS)
    found: list[dict[str, Any]] = []
    async for item in client.items(path, select=fields, top="999" if most is None else str(min(most + 1, 999))):
        if most is not None and len(found) == most:
            return found, True
        found.append(item)
    return found, False


async def count_members(client: Client, group_id: str) -> int:
    """The number of direct members."""
    return len(await client.every(f"/v1.0/groups/{group_id}/members", select="id", top="999"))


def _tell_more(output: Output, more: bool) -> None:
    if more:
        output.say("… and more: --top N shows as many as you like.", style="dim")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, or a copy of what is no file on a disk, such as a pipe: its size must be known."""
    try:
        with path.open("rb") as file, tempfile.TemporaryFile() as copy:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield file
                return
            shutil.copyfileobj(file, copy)
            copy.flush()
            copy.seek(0)
            yield copy
    except OSError as error:
        raise InvalidValueError(f"{path} cannot be read: {error.strerror}") from None
