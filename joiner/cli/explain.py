"""`joiner explain`: why somebody is, or is not, provisioned."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from joiner.cli.changes import short_name
from joiner.cli.client import Client
from joiner.cli.command import command
from joiner.cli.entries import explain as told_of
from joiner.cli.entries import outcome
from joiner.cli.logs import PATH as LOG
from joiner.cli.lookup import Document, find_job, find_principal, literal
from joiner.cli.output import Output, short_time
from joiner.cli.requests_view import WIDEST, last_requests, show_requests
from joiner.errors import NotFoundError

app = typer.Typer()
LONGEST: Final = 60
KNOWN_BY: Final = (
    "sourceIdentity/id eq {0}",
    "tolower(sourceIdentity/details/UserPrincipalName) eq {1}",
    "sourceIdentity/identityType eq 'Group' and sourceIdentity/displayName eq {0}",
)
"""Filters of the log, of a name and of the same in small letters."""
STEP_INDENT: Final = "  "


@command(app, "explain")
async def explain(
    client: Client,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or its application's display name.")],
    principal: Annotated[str, typer.Argument(metavar="USER", help="A user principal name, a group's name, or an id.")],
    live: Annotated[bool, typer.Option("--live", help="Also ask the application what it has now.")] = False,
    steps: Annotated[bool, typer.Option("--steps", help="Show the value of every part of the mappings.")] = False,
) -> None:
    """Say why a user or group is, or is not, provisioned: scope, matching, mappings, failures, log."""
    found = await find_job(client, name)
    kind, id_ = await _find(client, found.job["id"], principal)
    path = f"{found.path}/joiner.explain/{kind}/{quote(id_, safe='')}"
    told = await client.get(path, live="true" if live else "false")
    output.show(told, lambda out: show_explanation(out, told, steps=steps))


async def _find(client: Client, job_id: str, name: str) -> tuple[str, str]:
    """The kind and the id of a user or group: who has been deleted from the directory is found in the job's log."""
    try:
        kind, document = await find_principal(client, name)
    except NotFoundError:
        for condition in KNOWN_BY:
            chosen = f"jobId eq {literal(job_id)} and {condition.format(literal(name), literal(name.lower()))}"
            entries = (await client.get(LOG, filter=chosen, top="1"))["value"]
            if entries:
                source = entries[0]["sourceIdentity"]
                return source["identityType"], source["id"]
        raise
    return kind, document["id"]


def show_explanation(output: Output, told: Document, *, steps: bool = False) -> None:
    """The verdict first, then everything that it rests on."""
    output.say(told["verdict"], style="bold")
    if told["advice"]:
        output.say(told["advice"])
    _show_scope(output, told["scope"])
    _show_matching(output, told)
    _show_mappings(output, told, steps=steps)
    _show_references(output, told["references"])
    _show_failures(output, told)
    if told["live"]:
        _show_requests(output, told["live"])
    _show_log(output, told["log"])
    said = last_requests(told["log"])
    if said is not None:
        _heading(output, f"Last said to the application, {short_time(said['activityDateTime'])}")
        show_requests(output, said)


def _show_scope(output: Output, scope: Document) -> None:
    _heading(output, f"In scope: {'yes' if scope['inScope'] else 'no'}")
    paths = [_path(each) for each in scope["paths"]]
    everybody = ["everybody is in scope"] if scope["everybodyIsInScope"] else []
    output.fields(
        [
            ("  active in the directory", "yes" if scope["isActive"] else "no"),
            ("  assigned", "; ".join([*paths, *everybody]) or "no"),
            ("  scoping filter", "none: everybody passes" if not scope["clauses"] else None),
        ]
    )
    if scope["clauses"]:
        rows = (
            (each["filter"] + 1, each["clause"], _value(each["value"]), "yes" if each["holds"] else "no")
            for each in scope["clauses"]
        )
        output.table(("filter#", "clause", "the attribute is", "holds"), rows, indent=2)


def _path(path: Document) -> str:
    way = "directly" if path["groupId"] is None else f"through the group {path['groupName']}"
    return f"{way} as {path['role']}"


def _show_matching(output: Output, told: Document) -> None:
    link, matching = told["link"], told["matching"]
    _heading(output, "Account")
    if link is not None:
        state = "managed" if link["isManaged"] else "no longer managed"
        disabled = ", disabled" if link["isDisabled"] else ""
        output.say(f"  linked with {link['targetId']} ({state}{disabled})")
        return
    answers = {(each["attribute"], each["value"]): each["found"] for each in matching["answers"]}
    if not matching["queries"]:
        output.say("  not linked, and no matching attribute has a value")
    for each in matching["queries"]:
        number = answers.get((each["attribute"], each["value"]))
        answer = "not asked" if number is None else f"{number} found"
        output.say(f'  not linked; is searched for by {each["attribute"]} eq "{each["value"]}": {answer}')


def _show_mappings(output: Output, told: Document, *, steps: bool) -> None:
    is_known = any("inTarget" in each for each in told["mappings"])
    _heading(output, "Mappings")
    columns = ("target", "expression", "gives", "the application has" if is_known else "")
    rows = []
    for each in told["mappings"]:
        gives = each["error"] or (_value(each["value"]) if each["result"] == "value" else f"({each['result']})")
        held = _value(each.get("inTarget")) if is_known else ""
        rows.append(
            (
                short_name(each["target"]),
                each["expression"] or "(constant)",
                gives,
                f"{held}  ≠" if each.get("differs") else held,
            )
        )
        if steps:
            rows += [("", STEP_INDENT * (part["depth"] + 1) + part["text"], _part(part), "") for part in each["steps"]]
    output.table(columns, rows, indent=2)


def _part(part: Document) -> str:
    return str(part["error"] or (_value(part["value"]) if part["result"] == "value" else f"({part['result']})"))


def _show_references(output: Output, references: Iterable[Mapping[str, Any]]) -> None:
    rows = [(each["attribute"], each["name"] or "", each["state"], each["targetId"] or "") for each in references]
    if rows:
        _heading(output, "Manager and members")
        output.table(("attribute", "who", "state", "account"), rows, indent=2)


def _show_failures(output: Output, told: Document) -> None:
    escrow, job = told["escrow"], told["job"]
    _heading(output, f"Job: {job['state']}")
    if job["quarantine"]:
        output.paragraph(f"in quarantine: {job['quarantine']['error']['message']}", indent=2, widest=WIDEST)
    if escrow is not None:
        number = escrow["attempts"]
        text = (
            f"{number} attempt{'s' * (number != 1)} failed since {short_time(escrow['firstFailure'])}, the last with "
            f"{escrow['code']}: {escrow['reason']}; the next one after {short_time(escrow['nextAttempt'])}"
        )
        output.paragraph(text, indent=2, widest=WIDEST)


def _show_requests(output: Output, live: Document) -> None:
    _heading(output, "Asked now")
    for each in live["requests"]:
        answer = each["error"] or f"{len(each['answer']) if isinstance(each['answer'], list) else 1} found"
        output.say(f"  {each['request']}: {answer}")
    if live["error"] and all(each["error"] != live["error"] for each in live["requests"]):
        output.say(f"  {live['error']}", style="red")
    elif not live["requests"]:
        output.say("  nothing: what is to be done does not depend on what the application has")


def _show_log(output: Output, log: list[dict[str, Any]]) -> None:
    _heading(output, "Last in the log")
    rows = ((short_time(each["activityDateTime"]), outcome(each), told_of(each)) for each in log)
    output.table(("time (UTC)", "result", "what changed, or why not"), rows, empty="  nothing yet", indent=2)


def _heading(output: Output, text: str) -> None:
    output.say("")
    output.say(text, style="bold")


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else _json(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()
