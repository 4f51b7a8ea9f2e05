"""More of `joiner job`: settings, provisioning on demand, quarantine by hand, and the deletions that are held back."""

from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import typer

from joiner.cli.client import Client
from joiner.cli.command import FAILED, command
from joiner.cli.jobs import JobArgument
from joiner.cli.jobs import app as app
from joiner.cli.lookup import Document, FoundJob, find_job, find_principal
from joiner.cli.output import Output, short_time
from joiner.errors import InvalidValueError, NotFoundError

ACTIONS: Final = {"disable": "disable", "delete": "delete", "removeMember": "remove from the group"}
ANSWERS: Final = {"allow": "allowed", "reject": "rejected"}


@command(app, "settings")
async def settings(
    client: Client,
    output: Output,
    name: JobArgument,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE…]", help="An empty value goes back to the default.")
    ] = None,
) -> None:
    """Show the job's settings, or change some."""
    found = await find_job(client, name)
    if changes:
        await client.patch(found.path, {"synchronizationJobSettings": [_pair(change) for change in changes]})
        found = await find_job(client, found.job["id"])
    shown = found.job["synchronizationJobSettings"]
    rows = ((pair["name"], pair["value"]) for pair in shown)
    output.show(shown, lambda out: out.table(("setting", "value"), rows))


@command(app, "quarantine")
async def quarantine(
    client: Client,
    output: Output,
    name: JobArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who look at it later.")] = "",
) -> None:
    """Put the job into quarantine: it runs less often until it is started or restarted."""
    found = await find_job(client, name)
    await client.post(f"{found.path}/joiner.quarantine", {"reason": reason})
    job = await client.get(found.path)
    title = found.application["displayName"]
    output.show(job, lambda out: out.say(f"The job of {title} is in quarantine. `joiner job start` ends that."))


@command(app, "deletes")
async def deletes(
    client: Client,
    output: Output,
    name: JobArgument,
    action: Annotated[
        Literal["list", "allow", "reject"], typer.Argument(help="What to do with them.", show_default=True)
    ] = "list",
    items: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ITEM…]", help="Only these: names, GROUP/MEMBER, or ids."),
    ] = None,
) -> None:
    """List the deletions that are held back, let the next cycle send them, or forget them."""
    found = await find_job(client, name)
    held = await client.every(f"{found.path}/joiner.deletes")
    if action == "list":
        output.show(held, lambda out: _show_held(out, held))
        return
    body = {"items": [_held_id(held, item) for item in items]} if items else {}
    answer = await client.post(f"{found.path}/joiner.deletes/{action}", body)
    number = answer[ANSWERS[action]]
    one = number == 1
    after = {
        "allow": f"The next cycle sends {'it' if one else 'them'}.",
        "reject": "It is not sent." if one else "They are not sent.",
    }[action]
    left = sum(not each["isAllowed"] for each in await client.every(f"{found.path}/joiner.deletes"))
    waiting = f" {left} {'waits' if left == 1 else 'wait'} for an answer." if left else ""
    what = f"{number} {'deletion' if one else 'deletions'} {ANSWERS[action]}"
    output.show(answer, lambda out: out.say(f"{what}. {after}{waiting}"))


@command(app, "connection")
async def connection(
    client: Client,
    output: Output,
    name: JobArgument,
    principal: Annotated[str, typer.Argument(metavar="USER", help="A user or group, by name or id; or a target id.")],
    forget: Annotated[bool, typer.Option("--forget", help="Forget it: the object is matched anew.")] = False,
) -> None:
    """Show which account belongs to a user or group, or forget it; the job must be paused for that."""
    found = await find_job(client, name)
    try:
        anchor = str((await find_principal(client, principal))[1]["id"])
    except NotFoundError:
        anchor = principal
    path = f"{found.path}/joiner.objectConnections/{quote(anchor, safe='')}"
    known = await client.get(path)
    if forget:
        await client.delete(path)
    said = "Forgotten: " if forget else ""
    told = f"{said}{known['objectTypeName']} {known['sourceAnchor']} is {known['targetAnchor']} in the application."
    output.show(known, lambda out: out.say(told))


@command(app, "on-demand", engine=True)
async def on_demand(
    client: Client,
    output: Output,
    name: JobArgument,
    principal: Annotated[str, typer.Argument(metavar="USER", help="A user or group, by name or id.")],
    member: Annotated[
        list[str] | None, typer.Option(metavar="USER", help="A member of the group to write; at most five.")
    ] = None,
) -> None:
    """Provision one user, or one group with a few members, now, and print every step."""
    import orjson

    found = await find_job(client, name)
    kind, document = await find_principal(client, principal)
    members = [(await find_principal(client, each))[1]["id"] for each in member or ()]
    subject: dict[str, Any] = {"objectId": document["id"], "objectTypeName": kind}
    if members:
        subject["links"] = {"members": [{"objectId": id_, "objectTypeName": "User"} for id_ in members]}
    schema = await client.get(f"{found.path}/schema")
    rule_id = schema["synchronizationRules"][0]["id"]
    body = {"parameters": [{"ruleId": rule_id, "subjects": [subject]}]}
    answer = await client.post(f"{found.path}/provisionOnDemand", body)
    key, value = orjson.loads(answer["key"]), orjson.loads(answer["value"])
    output.show({**key, **value}, lambda out: _show_steps(out, found, key, value))
    if key["result"] == "Failure":
        raise typer.Exit(FAILED)


def _pair(text: str) -> dict[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise InvalidValueError(f"'{text}' is not NAME=VALUE")
    return {"name": name.strip(), "value": value}


def _held_id(held: list[dict[str, Any]], item: str) -> str:
    """The id of what was named by its id, by the name of the object, or by GROUP/MEMBER."""
    named = [each["id"] for each in held if item in (each["id"], each["objectName"], _of_member(each))]
    if len(named) > 1:
        raise InvalidValueError(f"'{item}' names {len(named)} deletions; use their ids: {', '.join(named)}")
    return named[0] if named else item


def _of_member(held: dict[str, Any]) -> str:
    return f"{held['objectName']}/{held['memberName']}"


def _show_held(output: Output, held: list[dict[str, Any]]) -> None:
    columns = ("what", "who", "member", "since (UTC)", "answer")
    rows = (
        (
            ACTIONS[item["action"]],
            item["objectName"],
            item["memberName"],
            short_time(item["stagedAt"]),
            "allowed" if item["isAllowed"] else "none yet",
        )
        for item in held
    )
    output.table(columns, rows, empty="Nothing is held back.")


def _show_steps(output: Output, found: FoundJob, key: Document, value: Document) -> None:
    output.say(f"{value['reportableIdentifier']} in {found.application['displayName']}: {key['result']}", style="bold")
    columns = ("step", "status", "what happened")
    rows = ((step["type"], step["status"], step["description"]) for step in value["provisioningSteps"])
    output.table(columns, rows)
    changes = value["modifiedProperties"]
    if changes:
        output.say("")
        table = ((change["displayName"], change["oldValue"], change["newValue"]) for change in changes)
        output.table(("attribute", "before", "after"), table)
    advice = value["statusInfo"].get("recommendedAction")
    if advice and key["result"] == "Failure":
        output.say("", advice)
