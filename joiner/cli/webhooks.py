"""`joiner webhook`: addresses that are told of the application's changes."""

from typing import Annotated, Any

import typer

from joiner.cli.client import Client
from joiner.cli.command import FAILED, command
from joiner.cli.output import Output, short_time

app = typer.Typer(help="Addresses that are told of what changes in the application side.", no_args_is_help=True)

WebhookId = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id, from `joiner webhook list`.")]


@command(app, "add", sides=("application",))
async def add(
    client: Client,
    output: Output,
    address: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent, with POST.")],
    connection: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The connection whose events are sent; default: the one named default."),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            metavar="EVENT", min=0, help="Begin behind this event, 0: with the first; default: with the next."
        ),
    ] = None,
) -> None:
    """Add an address and print the secret that signs what it gets. It is shown this once."""
    wanted = {"url": address, "connection": connection, "after": after}
    made = await client.post("/app/api/webhooks", {name: value for name, value in wanted.items() if value is not None})
    output.show(made, lambda out: out.raw(made["secret"]))


@command(app, "list", sides=("application",))
async def list_webhooks(client: Client, output: Output) -> None:
    """List the addresses, how far each is, and why one is behind."""
    webhooks = (await client.get("/app/api/webhooks"))["value"]
    output.show(webhooks, lambda out: _table(out, webhooks))


@command(app, "remove", sides=("application",))
async def remove(client: Client, output: Output, webhook_id: WebhookId) -> None:
    """Send nothing any more to an address."""
    await client.delete(f"/app/api/webhooks/{webhook_id}")
    output.show({"id": webhook_id, "removed": True}, lambda out: out.say(f"The webhook {webhook_id} is removed."))


@command(app, "test", sides=("application",))
async def test(client: Client, output: Output, webhook_id: WebhookId) -> None:
    """Send an event that tells nothing. Exit code 1 if it is not accepted."""
    result = await client.post(f"/app/api/webhooks/{webhook_id}/test")
    told = "The event was accepted." if result["accepted"] else f"The event was not accepted: {result['error']}"
    output.show(result, lambda out: out.say(told))
    if not result["accepted"]:
        raise typer.Exit(FAILED)


def _table(output: Output, webhooks: list[dict[str, Any]]) -> None:
    columns = ("id", "connection", "address", "told up to#", "state")
    rows = ((each["id"], each["connectionName"], each["url"], each["delivered"], _state(each)) for each in webhooks)
    output.table(columns, rows, empty="There are no webhooks yet: joiner webhook add URL")


def _state(webhook: dict[str, Any]) -> str:
    lost = f"; {webhook['givenUp']} events lost" if webhook["givenUp"] else ""
    if not webhook["failures"]:
        return f"works{lost}"
    return f"failed {webhook['failures']}x, next try {short_time(webhook['nextAttempt'])}: {webhook['lastError']}{lost}"
