"""`joiner schema`: the schema document of a job with its mappings, scoping filters and attribute lists."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from joiner.cli.client import Client
from joiner.cli.command import FAILED, command
from joiner.cli.jobs import JobArgument
from joiner.cli.lookup import find_job
from joiner.cli.output import Output, plain, short_time
from joiner.cli.plans import show_begun
from joiner.errors import InvalidValueError, NotFoundError

app = typer.Typer(help="Mappings, scoping filters and attribute lists as one document.", no_args_is_help=True)

PlanOption = Annotated[
    bool,
    typer.Option("--plan", help="Save nothing: say what would become of whom. Exit code 2 if there are changes."),
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The document, also one exported from Entra.")]
NOTHING: Final = "No mapping, filter or attribute changes."
WHOLE: Final = "The next cycle looks at everything."
Found = Sequence[Mapping[str, str]]


@command(app, "check", offline=lambda arguments: arguments["file"] is None)
async def check(
    client: Client | None,
    output: Output,
    job_or_file: Annotated[
        str, typer.Argument(metavar="[JOB] FILE", help="The document, after the job that it is meant for, if any.")
    ],
    file: Annotated[Path | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Say everything that is wrong with a document, each at its place; with a job, also what it would change."""
    if client is None or file is None:
        result = _check_alone(_read(Path(job_or_file)))
    else:
        found = await find_job(client, job_or_file)
        result = await client.post_raw(f"{found.path}/schema/joiner.check", _read(file))

    def view(out: Output) -> None:
        _show_problems(out, result)
        if "changes" in result:
            _show_changes(out, result["changes"], NOTHING)

    output.show(result, view)
    if result["errors"]:
        raise typer.Exit(FAILED)


@command(app, "export")
async def export(
    client: Client,
    output: Output,
    name: JobArgument,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Where to. [default: standard output]")] = None,
) -> None:
    """Write the document to a file or to standard output. It holds no credentials."""
    from joiner.provisioning.document.text import read_document, write_document

    found = await find_job(client, name)
    text = write_document(read_document(await client.get_raw(f"{found.path}/schema")), indent=True)
    if file is None:
        output.raw(text)
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidValueError(f"{file} cannot be written: {error.strerror}") from None
    said = f"Wrote the schema of {found.application['displayName']} to {file}."
    output.show({"file": str(file)}, lambda out: out.say(said))


@command(app, "import")
async def import_schema(
    client: Client,
    output: Output,
    name: JobArgument,
    file: FileArgument,
    plan: PlanOption = False,
) -> None:
    """Replace the job's document, as a whole or not at all, and say what changed."""
    content = _read(file)
    found = await find_job(client, name)
    if plan:
        begun = await client.post_raw(f"{found.path}/schema/joiner.plan", content)
        await show_begun(client, output, found, begun)
        return
    result = await client.post_raw(f"{found.path}/schema/joiner.check", content)
    if result["errors"]:
        output.show(result, lambda out: _show_problems(out, result))
        raise typer.Exit(FAILED)
    await client.put_raw(f"{found.path}/schema", content)

    def view(out: Output) -> None:
        _show_warnings(out, result["warnings"])
        _show_changes(out, result["changes"], NOTHING)
        out.say(f"Imported into the job of {found.application['displayName']}. {WHOLE}")

    output.show(result, view)


@command(app, "restore")
async def restore(client: Client, output: Output, name: JobArgument, plan: PlanOption = False) -> None:
    """Go back to the template's mappings, filters and attribute lists. Best while the job is paused."""
    found = await find_job(client, name)
    if plan:
        begun = await client.post(f"{found.path}/schema/joiner.plan?joiner.template=true")
        await show_begun(client, output, found, begun)
        return
    await client.delete(f"{found.path}/schema")
    said = f"The job of {found.application['displayName']} has its default mappings and filters again. {WHOLE}"
    output.show({"restored": True}, lambda out: out.say(said))


@command(app, "history")
async def history(client: Client, output: Output, name: JobArgument) -> None:
    """List the versions of the document, newest first."""
    found = await find_job(client, name)
    versions = await client.every(f"{found.path}/schema/joiner.versions")
    rows = ((each["version"], short_time(each["savedAt"]), each["reason"]) for each in versions)
    output.show(versions, lambda out: out.table(("version", "saved", "how"), rows))


@command(app, "rollback")
async def roll_back(
    client: Client,
    output: Output,
    name: JobArgument,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Such as v1.3; `joiner schema history` lists them.")
    ],
    plan: PlanOption = False,
) -> None:
    """Make an earlier version the present one."""
    found = await find_job(client, name)
    if plan:
        begun = await client.post(f"{found.path}/schema/joiner.plan?joiner.version={quote(version, safe='')}")
        await show_begun(client, output, found, begun)
        return
    await client.post(f"{found.path}/schema/joiner.rollBack", {"version": version})
    said = f"The job of {found.application['displayName']} works by {version} again. {WHOLE}"
    output.show({"version": version}, lambda out: out.say(said))


@command(app, "attributes")
async def attributes(client: Client, output: Output, name: JobArgument) -> None:
    """List the attributes that mappings can read and write."""
    found = await find_job(client, name)
    directories = await client.every(f"{found.path}/schema/directories")

    def view(out: Output) -> None:
        for directory in directories:
            for each in directory["objects"]:
                out.say(f"{directory['name']}: {each['name']}", style="bold")
                out.table(("attribute", "type", ""), (_attribute_row(item) for item in each["attributes"]))
                out.say("")

    output.show(directories, view)


@command(app, "discover")
async def discover(client: Client, output: Output, name: JobArgument) -> None:
    """Add the attributes that the application says it has to the list of target attributes."""
    found = await find_job(client, name)
    path = f"{found.path}/schema/directories"
    directories = await client.every(path)
    target = next((each for each in directories if each.get("discoverabilities") not in (None, "", "None")), None)
    if target is None:
        raise NotFoundError("the schema has no directory that can be discovered")
    known = set(_names(target))
    now = await client.post(f"{path}/{target['id']}/discover")
    added = [each for each in _names(now) if each not in known]

    def view(out: Output) -> None:
        title = found.application["displayName"]
        if not added:
            out.say(f"{title} has no attributes that are not in the list already.")
            return
        out.say(f"{title} has {len(added)} attributes that were not in the list:")
        out.table(("object", "attribute"), added)

    output.show([{"object": each, "attribute": attribute} for each, attribute in added], view)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidValueError(f"{file} cannot be read: {error.strerror}") from None


def _check_alone(content: bytes) -> dict[str, Any]:
    from joiner.provisioning.document.check import check_document
    from joiner.provisioning.document.text import read_document

    report = check_document(read_document(content))
    return {
        "errors": [problem._asdict() for problem in report.errors],
        "warnings": [problem._asdict() for problem in report.warnings],
    }


def _show_problems(output: Output, result: Mapping[str, Found]) -> None:
    errors = result["errors"]
    if errors:
        output.say(f"{_number(errors, 'error')}: the document cannot be used.", style="bold")
        _show_found(output, errors)
    _show_warnings(output, result["warnings"])
    if not errors:
        output.say("The document can be used.")


def _show_warnings(output: Output, warnings: Found) -> None:
    if warnings:
        output.say(f"{_number(warnings, 'warning')}.", style="bold")
        _show_found(output, warnings)


def _show_found(output: Output, found: Found) -> None:
    for problem in found:
        # As they are: the caret below an expression must stay in its place.
        output.raw(plain(f"  {problem['path'] or 'document'}"))
        for line in problem["message"].splitlines():
            output.raw(plain(f"    {line}"))


def _show_changes(output: Output, changes: Found, nothing: str) -> None:
    if not changes:
        output.say(nothing)
        return
    for place, group in groupby(changes, lambda change: change["place"]):
        output.say(_short(place), style="bold")
        rows = ((each["kind"], each["what"], each["before"], each["after"]) for each in group)
        output.table(("", "what", "before", "after"), rows, indent=2)


def _short(place: str) -> str:
    """The place without what all URNs begin with."""
    return place.replace("urn:ietf:params:scim:schemas:", "")


def _number(found: Found, noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def _attribute_row(attribute: Mapping[str, Any]) -> tuple[str, str, str]:
    marks = {
        "anchor": "anchor",
        "required": "required",
        "multivalued": "several values",
        "caseExact": "exact case",
    }
    told = [text for name, text in marks.items() if attribute.get(name)]
    told += [f"refers to {_short(each['referencedObjectName'])}" for each in attribute.get("referencedObjects") or ()]
    mutability = attribute.get("mutability", "ReadWrite")
    told += [] if mutability == "ReadWrite" else [str(mutability)]
    return attribute["name"], attribute.get("type", "String"), ", ".join(told)


def _names(directory: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(each["name"], item["name"]) for each in directory["objects"] for item in each["attributes"]]
