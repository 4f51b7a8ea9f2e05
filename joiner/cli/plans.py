"""`joiner job plan`, `joiner job plans`, `joiner job apply`: what a cycle would do, and doing exactly that."""

import asyncio
import shlex
from typing import Annotated, Any, Final

import typer

from joiner.cli import cycles
from joiner.cli.client import Client
from joiner.cli.command import FAILED, HELD, PENDING, command, fail_use
from joiner.cli.jobs import JobArgument
from joiner.cli.lookup import Document, FoundJob, find_job
from joiner.cli.output import Output, short_time
from joiner.cli.plan_view import show_comparison, show_plan, show_report
from joiner.errors import InvalidStateError

app = typer.Typer()
LOOK_AGAIN: Final = 0.1
"""Seconds between two looks at a plan that is being computed."""
MOST_PLANS: Final = 2**31
SHOWN: Final = 10
"""Items of each action, and accounts, that are shown without `--all`."""


@command(app, "plan")
async def plan(
    client: Client,
    output: Output,
    name: JobArgument,
    initial: Annotated[bool, typer.Option("--initial", help="Plan a cycle that looks at everything.")] = False,
    incremental: Annotated[bool, typer.Option("--incremental", help="Plan one that looks at what changed.")] = False,
    compare: Annotated[
        int | None, typer.Option(metavar="N", help="Show what is new, gone or different, seen from plan N.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every item.")] = False,
) -> None:
    """Say what the next cycle would do, without doing it. Exit code 2 if it would write to the application."""
    if initial and incremental:
        fail_use("use either --initial or --incremental")
    found = await find_job(client, name)
    kind = "initial" if initial else "incremental" if incremental else None
    begun = await client.post(f"{found.path}/joiner.plan", {"kind": kind})
    document = await follow_plan(client, found, begun)
    if compare is None:
        await show(client, output, found, document, everything=everything)
    else:
        await _compare(client, output, found, document["number"], compare)
    if document["hasChanges"]:
        raise typer.Exit(PENDING)


@command(app, "plans")
async def plans(
    client: Client,
    output: Output,
    name: JobArgument,
    number: Annotated[int | None, typer.Option("--show", metavar="N", help="Show this plan again.")] = None,
    compare: Annotated[int | None, typer.Option(metavar="M", help="With --show: compare it with plan M.")] = None,
    delete: Annotated[int | None, typer.Option(metavar="N", help="Delete this plan.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="With --show: every item and account.")] = False,
) -> None:
    """List the plans of a job, show one again, compare two, or delete one."""
    if compare is not None and number is None:
        fail_use("--compare goes with --show")
    found = await find_job(client, name)
    path = f"{found.path}/joiner.plans"
    if delete is not None:
        await client.delete(f"{path}/{delete}")
        output.show({"deleted": delete}, lambda out: out.say(f"Plan {delete} is deleted."))
    elif number is not None and compare is not None:
        await _compare(client, output, found, number, compare)
    elif number is not None:
        document = await client.get(f"{path}/{number}")
        if document["summary"] is None:
            raise InvalidStateError(f"there is no plan {number}: {document['error'] or 'it is still being computed'}")
        await show(client, output, found, document, everything=everything)
    else:
        known = await client.every(path)
        rows = (
            (each["number"], each["kind"], short_time(each["madeDateTime"]), each["madeBy"]["displayName"],
             each["state"], _changes(each))
            for each in known
        )  # fmt: skip
        columns = ("plan#", "cycle", "made (UTC)", "by", "state", "changes")
        output.show(known, lambda out: out.table(columns, rows, empty="There are no plans yet: joiner job plan JOB"))


@command(app, "apply", engine=True)
async def apply(
    client: Client,
    output: Output,
    name: JobArgument,
    number: Annotated[int, typer.Argument(metavar="PLAN", min=1, max=MOST_PLANS, help="The plan's number.")],
    item: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this user or group, by name or id; can be given several times."),
    ] = None,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Also what the guard against accidental deletions holds back.")
    ] = False,
) -> None:
    """Carry out a plan, exactly as it was made; what has changed since is refused, each item with its reason."""
    found = await find_job(client, name)
    await _apply(client, output, found, {"plan": number, "items": item or None, "allowDeletes": allow_deletes})


async def _apply(client: Client, output: Output, found: FoundJob, body: Document) -> None:
    """Carries a plan out, says what became of it, and ends the command with the exit code that fits."""
    number, title = body["plan"], found.application["displayName"]
    begun = await client.post(f"{found.path}/joiner.apply", body)
    path, again = f"{found.path}/joiner.cycles/{begun['cycleId']}", f"joiner job apply {shlex.quote(title)} {number}"
    cycle = await cycles.follow(client, path, f"Plan {number} of {title}", title, again)
    report = await client.get(f"{found.path}/joiner.plans/{number}/report")
    output.show({"cycle": cycle, **report}, lambda out: show_report(out, cycle, report, title, number))
    if cycle["state"] in cycles.BAD or cycle["counts"].get("failure") or report["refused"]:
        raise typer.Exit(FAILED)
    if report["states"].get("held"):
        raise typer.Exit(HELD)


@command(app, "drift", engine=True)
async def drift(
    client: Client,
    output: Output,
    name: JobArgument,
    repair: Annotated[bool, typer.Option("--repair", help="Write everything as it should be.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Link accounts that were found, forget those that are gone; send nothing.")
    ] = False,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="With --repair: also what the guard holds back.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show every item and account.")] = False,
) -> None:
    """Compare the whole application with what it should be. Exit code 2 if something is not as it should be."""
    if repair and adopt:
        fail_use("use either --repair or --adopt")
    found = await find_job(client, name)
    document = await follow_plan(client, found, await client.post(f"{found.path}/joiner.drift"))
    number = document["number"]
    if adopt:
        result = await client.post(f"{found.path}/joiner.adopt", {"plan": number})
        told = f"{result['linked']} accounts were linked, {result['forgotten']} links to missing accounts forgotten."
        output.show({"plan": document, **result}, lambda out: out.say(told))
        return
    if not repair or not document["hasChanges"]:
        await show(client, output, found, document, everything=everything)
        if document["hasChanges"]:
            raise typer.Exit(PENDING)
        return
    await _apply(client, output, found, {"plan": number, "items": None, "allowDeletes": allow_deletes})


async def follow_plan(client: Client, found: FoundJob, begun: Document) -> dict[str, Any]:
    """The plan when it is ready. Raises InvalidStateError if it cannot be computed."""
    path = f"{found.path}/joiner.plans/{begun['number']}"
    with cycles.progress_bar(f"Plan {begun['number']} of {found.application['displayName']}") as notice:
        while True:
            document: dict[str, Any] = await client.get(path)
            progress = document["progress"]
            notice(progress["read"], progress["expected"])
            if document["state"] != "computing":
                break
            await asyncio.sleep(LOOK_AGAIN)
    if document["error"]:
        raise InvalidStateError(f"there is no plan: {document['error']}")
    return document


async def show_begun(client: Client, output: Output, found: FoundJob, begun: Document) -> None:
    """Shows the first of each action of a plan when it is ready; the exit code says whether there is anything to do."""
    document = await follow_plan(client, found, begun)
    await show(client, output, found, document, everything=False)
    if document["hasChanges"]:
        raise typer.Exit(PENDING)


async def show(client: Client, output: Output, found: FoundJob, document: Document, *, everything: bool) -> None:
    """The plan and its items: as JSON, a line each, every item; for people the first of each action."""
    plan = f"{found.path}/joiner.plans/{document['number']}"
    if output.as_json:
        output.json_line(document)
        for collection in ("items", "accounts") if document["kind"] == "drift" else ("items",):
            async for each in client.items(f"{plan}/{collection}", top="500"):
                output.json_line(each)
        return
    most = None if everything else SHOWN
    await show_plan(output, document, found.application["displayName"], _Items(client, plan), most)


class _Items:
    """The items of the plan at `path`, by their action, and the accounts that it found."""

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path

    async def of(self, action: str, most: int | None) -> list[dict[str, Any]]:
        return await self._first("items", most, filter=f"action eq '{action}'")

    async def accounts(self, most: int | None) -> list[dict[str, Any]]:
        return await self._first("accounts", most)

    async def _first(self, collection: str, most: int | None, **query: str) -> list[dict[str, Any]]:
        path = f"{self._path}/{collection}"
        if most is None:
            return await self._client.every(path, top="500", **query)
        found: list[dict[str, Any]] = (await self._client.get(path, top=str(most), **query))["value"]
        return found


async def _compare(client: Client, output: Output, found: FoundJob, number: int, older: int) -> None:
    comparison = await client.get(f"{found.path}/joiner.plans/{number}/comparison/{older}")
    output.show(comparison, lambda out: show_comparison(out, comparison))


def _changes(document: Document) -> str:
    summary = document["summary"]
    if summary is None:
        return str(document["error"] or "")
    total: dict[str, int] = {}
    for counts in summary["counts"].values():
        for action, number in counts.items():
            total[action] = total.get(action, 0) + number
    return ", ".join(f"{number} {action}" for action, number in total.items()) or "none"
