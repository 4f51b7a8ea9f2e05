"""`joiner job`: provisioning jobs of applications, their cycles, and how they stand."""

import shlex
from typing import Annotated, Any, Final

import typer

from joiner.cli import cycles
from joiner.cli.client import Client
from joiner.cli.command import FAILED, HELD, command
from joiner.cli.lookup import (
    SERVICE_PRINCIPALS,
    Document,
    find_application,
    find_connection,
    find_job,
    jobs_path,
    scope_of,
    synchronization_path,
)
from joiner.cli.output import Output, short_time
from joiner.errors import InvalidStateError

app = typer.Typer(help="Provisioning jobs: create, run, start, look.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or its application's display name.")]
HELD_BACK: Final = "TooManyDeletes"
INBOUND_SCOPES: Final = {
    "uploads": "everybody who is uploaded",
    "endpoint": "everybody whom the source has",
}
"""Who is in scope of jobs whose objects come from elsewhere."""
APPLIED: Final = {"Always": "", "ObjectAddOnly": "only when created", "MultiValueAddOnly": "only added to"}


@command(app, "create")
async def create(
    client: Client,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="APP", help="The application's display name or id.")],
) -> None:
    """Make the provisioning job of an application, with the template's mappings. It does not run yet."""
    application = await find_application(client, name)
    job = await create_job(client, application)

    def view(out: Output) -> None:
        out.say(f"Made the job of {application['displayName']}: {job['id']}")
        title = shlex.quote(application["displayName"])
        out.say(f"joiner job plan {title} says what it would do, joiner job start {title} starts it.")

    output.show(job, view)


@command(app, "list")
async def list_jobs(client: Client, output: Output) -> None:
    """List the jobs and their state."""
    jobs = [
        {"application": application["displayName"], **job}
        for application in await client.every(SERVICE_PRINCIPALS)
        for job in await client.every(jobs_path(application))
    ]
    columns = ("application", "state", "last cycle", "ended", "id")
    rows = (
        (
            job["application"],
            job["status"]["code"],
            (job["status"]["lastExecution"] or {}).get("state", "none yet"),
            short_time((job["status"]["lastExecution"] or {}).get("timeEnded")),
            job["id"],
        )
        for job in jobs
    )
    output.show(jobs, lambda out: out.table(columns, rows, empty="There are no jobs yet: joiner job create APP"))


@command(app, "start")
async def start(client: Client, output: Output, name: JobArgument) -> None:
    """Run cycles at the job's interval from now on; lifts a quarantine."""
    await _act(client, output, name, "start", "is started: cycles run at its interval while a server runs")


@command(app, "pause")
async def pause(
    client: Client,
    output: Output,
    name: JobArgument,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the end of a cycle that runs.")] = False,
) -> None:
    """Begin no further cycle; one that runs is finished."""
    await _act(client, output, name, "joiner.stop" if now else "pause", "is paused")


@command(app, "restart")
async def restart(
    client: Client,
    output: Output,
    name: JobArgument,
    full: Annotated[
        bool, typer.Option("--full", help="Also forget which accounts belong to whom; they are matched anew.")
    ] = False,
    scope: Annotated[
        str | None,
        typer.Option(
            metavar="SCOPES",
            help="Only these, with commas between: Watermark, Escrows, QuarantineState, ForceDeletes, Full, None.",
        ),
    ] = None,
) -> None:
    """Make the next cycle an initial one, which looks at everything; lifts a quarantine."""
    chosen = "Full" if full else scope
    body = {"criteria": {"resetScope": chosen}} if chosen else {}
    said = f"is restarted ({scope})" if scope and not full else "is restarted: its next cycle looks at everything"
    await _act(client, output, name, "restart", said, body)


@command(app, "run", engine=True)
async def run(client: Client, output: Output, name: JobArgument) -> None:
    """Run one cycle now, whether the job is started or not, and print what it did."""
    found = await find_job(client, name)
    title = found.application["displayName"]
    cycle = await cycles.run_cycle(client, found.path, title)
    output.show(cycle, lambda out: cycles.show_summary(out, cycle, title))
    if cycle["state"] in cycles.BAD:
        raise typer.Exit(FAILED)
    if cycle["stagedDeletes"]:
        raise typer.Exit(HELD)


@command(app, "status")
async def status(client: Client, output: Output, name: JobArgument) -> None:
    """Show the job's state, progress, last cycles and quarantine."""
    found = await find_job(client, name)
    drift = await client.get(f"{found.path}/joiner.drift")
    output.show(found.job, lambda out: _show_status(out, found.application, found.job, drift))


@command(app, "show")
async def show(client: Client, output: Output, name: JobArgument) -> None:
    """Show the mappings and scoping filters."""
    found = await find_job(client, name)
    schema = await client.get(f"{found.path}/schema")
    connection = await find_connection(client, found.application)
    output.show(schema, lambda out: _show_schema(out, found.job, schema, scope_of(connection)))


async def create_job(client: Client, application: Document) -> dict[str, Any]:
    """The new job of an application. Raises InvalidStateError if it has one: two would undo each other's work."""
    name = application["displayName"]
    existing = await client.every(jobs_path(application))
    if existing:
        raise InvalidStateError(f"{name} has a job already: {existing[0]['id']}")
    templates = await client.every(f"{synchronization_path(application)}/templates")
    job: dict[str, Any] = await client.post(jobs_path(application), {"templateId": templates[0]["id"]})
    return job


async def _act(
    client: Client, output: Output, name: str, action: str, said: str, body: dict[str, Any] | None = None
) -> None:
    found = await find_job(client, name)
    await client.post(f"{found.path}/{action}", body)
    job = await client.get(found.path)
    output.show(job, lambda out: out.say(f"The job of {found.application['displayName']} {said}."))


def _show_status(output: Output, application: Document, job: Document, drift: Document) -> None:
    state, schedule = job["status"], job["schedule"]
    output.say(application["displayName"], style="bold")
    output.fields(
        [
            ("State", state["code"]),
            ("Schedule", f"{schedule['state']}, every {cycles.readable_duration(schedule['interval'])}"),
            ("Under way", _under_way(state)),
            ("Last cycle", cycles.describe_execution(state["lastExecution"])),
            ("It took", cycles.duration_of(state["lastExecution"])),
            ("Activity id", (state["lastExecution"] or {}).get("activityIdentifier")),
            ("Last without errors", cycles.describe_execution(state["lastSuccessfulExecution"])),
            *(
                (f"{entry['key'].partition(' to ')[0]}s ever synchronized", entry["value"])
                for entry in state["synchronizedEntryCountByType"]
            ),
            ("Looks for drift", _looks(drift) if drift["everyHours"] else ""),
            ("Job id", job["id"]),
        ]
    )
    quarantine = state["quarantine"]
    if quarantine:
        since = short_time(quarantine["seriesBegan"])
        output.say(f"In quarantine since {since} ({quarantine['reason']}): {quarantine['error']['message']}")
        if schedule["state"] == "Active":
            output.say(f"Next attempt {short_time(quarantine['nextAttempt'])}.")
        else:
            output.say("The job is not started, and makes no attempt by itself.")
        name = shlex.quote(application["displayName"])
        output.say(*cycles.remedies(quarantine["error"], name))
        if quarantine["reason"] != HELD_BACK:
            output.say(f"joiner job start {name} tries at once.")


def _under_way(state: Document) -> str:
    """How far a cycle is that has not ended; empty if none is under way."""
    progress, last = state["progress"], state["lastExecution"]
    if not progress or (last and progress[0]["progressObservationDateTime"] <= last["timeEnded"]):
        return ""
    return f"a cycle, {progress[0]['completedUnits']} of {progress[0]['totalUnits']} {progress[0]['units']}"


def _looks(drift: Document) -> str:
    last = f"; the last is plan {drift['lastPlan']}" if drift["lastPlan"] is not None else ""
    following = f", next {short_time(drift['nextDateTime'])}" if drift["nextDateTime"] else ""
    return f"every {drift['everyHours']} h{following}, then {drift['action']}{last}"


def _show_schema(output: Output, job: Document, schema: Document, outbound_scope: str) -> None:
    from joiner.provisioning.document.changes import scope_in_words
    from joiner.provisioning.job.templates import source_of
    from joiner.provisioning.mapping.schema import SynchronizationSchema
    from joiner.provisioning.mapping.shape import read_shape

    parsed, _ = read_shape(schema, SynchronizationSchema)
    scope = INBOUND_SCOPES.get(source_of(job["templateId"]), outbound_scope)
    for rule in parsed.synchronization_rules:
        for mapping in rule.object_mappings:
            enabled = "" if mapping.enabled else " (not enabled)"
            flows = ", ".join(flow for flow in ("Add", "Update", "Delete") if flow.lower() in mapping.flows)
            output.say(f"{mapping.name}: {flows}{enabled}", style="bold")
            condition = scope_in_words(mapping.scope)
            output.say(f"Scope: {scope} where {condition}" if condition else f"Scope: {scope}")
            rows = (
                (
                    flow.target_attribute_name,
                    flow.source.expression if flow.source else f"none; {flow.default_value!r} where it is empty",
                    f"matching {flow.matching_priority}" if flow.matching_priority else "",
                    APPLIED.get(flow.flow_type, flow.flow_type),
                )
                for flow in mapping.attribute_mappings
            )
            output.table(("target", "source", "", "applied"), rows)
            output.say("")
