"""`joiner job profile`: what a job's target can do, shown, changed and found out."""

from typing import Annotated, Any, Final

import typer

from joiner.cli.client import Client
from joiner.cli.command import fail_use
from joiner.cli.jobs import JobArgument
from joiner.cli.lookup import find_job
from joiner.cli.output import Output

WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "none": None, "default": None}
LISTS: Final = ("filterable",)
"""Members whose value is a list, typed with commas."""
OUTCOMES: Final = {"found": "found out", "assumed": "says itself", "unknown": "UNKNOWN"}


async def profile(
    client: Client,
    output: Output,
    name: JobArgument,
    members: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE…", help="Members to set, such as updates=put; none sets the default."),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Find out, with three users and a group that are made and deleted again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --probe: tell what was found and keep nothing.")
    ] = False,
) -> None:
    """Show what the job's target can do; with KEY=VALUE change it, with --probe find it out."""
    if dry_run and not probe:
        fail_use("--dry-run belongs to --probe")
    changes = _parsed(members or [])
    found = await find_job(client, name)
    if probe:
        report = await client.post(f"{found.path}/joiner.probe", {"keep": not dry_run})
        if not changes:
            output.show(report, lambda out: _show_report(out, report, dry_run))
            return
    path = f"{found.path}/joiner.profile"
    document = await (client.patch(path, changes) if changes else client.get(path))
    output.show(document, lambda out: _show_profile(out, document))


def _parsed(members: list[str]) -> dict[str, Any]:
    """What was typed as `key=value`, in the types of JSON. Wrong use ends the command."""
    found: dict[str, Any] = {}
    for item in members:
        key, equals, value = item.partition("=")
        if not equals or not key:
            fail_use(f"'{item}' is not of the form KEY=VALUE")
        found[key] = _typed(key, value)
    return found


def _typed(key: str, value: str) -> Any:
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    if key in LISTS:
        return [name for part in value.split(",") if (name := part.strip())]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _show_profile(output: Output, document: dict[str, Any]) -> None:
    rows = [
        (key, _shown(value), "" if key in document["changed"] else "default")
        for key, value in document.items()
        if key != "changed" and not key.startswith("@")
    ]
    output.table(("member", "value", ""), rows)


def _show_report(output: Output, report: dict[str, Any], dry_run: bool) -> None:
    rows = [(each["about"], OUTCOMES[each["outcome"]], each["explanation"]) for each in report["findings"]]
    output.table(("what", "how", "result"), rows)
    output.say("")
    for item in report["leftBehind"]:
        output.say(f"Could not be deleted: {item}", style="yellow")
    changes = {key: value for key, value in report["changes"].items() if value is not None}
    told = ", ".join(f"{key}={_shown(value)}" for key, value in changes.items())
    if not told:
        output.say("The target can do all that is needed.")
    else:
        output.say(f"{'The profile would be' if dry_run else 'The profile is now'} {told}.")


def _shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return next((word for word, meant in WORDS.items() if meant is value), str(value))
