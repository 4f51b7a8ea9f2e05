"""`joiner client`: OAuth clients, which get their access tokens for the SCIM endpoint at `/oauth/token`."""

from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from joiner.cli.client import Client
from joiner.cli.command import command
from joiner.cli.output import Output, short_time, validity
from joiner.cli.tokens import SCOPES

app = typer.Typer(help="OAuth clients of the application's SCIM endpoint.", no_args_is_help=True)


@command(app, "create", sides=("application",))
async def create(
    client: Client,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, to recognise it by.")],
    connection: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The connection that its tokens lead to; default: the one named default."),
    ] = None,
    scope: Annotated[
        Literal["read", "write"], typer.Option(help="`write`: tokens for everything, `read`: for reading alone.")
    ] = "write",
    token_minutes: Annotated[
        int | None, typer.Option(metavar="N", min=60, max=360, help="How long its tokens are valid; default: 60.")
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="It ends after so many days; default: never.")
    ] = None,
) -> None:
    """Make a client with its first secret, which is shown this once."""
    wanted = {
        "name": name,
        "connection": connection,
        "scope": SCOPES[scope],
        "tokenMinutes": token_minutes,
        "expiresInDays": expires_in_days,
    }
    made = await client.post("/app/api/clients", {key: value for key, value in wanted.items() if value is not None})
    fields = (("client id", made["id"]), ("client secret", made["secret"]), ("token endpoint", "/oauth/token"))
    output.show(made, lambda out: out.fields(fields))


@command(app, "list", sides=("application",))
async def list_clients(client: Client, output: Output) -> None:
    """List the clients of every connection: what is known of them, never their secrets."""
    found = []
    for connection in (await client.get("/app/api/connections"))["value"]:
        path = f"/app/api/connections/{quote(connection['name'], safe='')}/clients"
        found += [{**each, "connectionName": connection["name"]} for each in (await client.get(path))["value"]]
    output.show(found, lambda out: _table(out, found))


@command(app, "revoke", sides=("application",))
async def revoke(
    client: Client,
    output: Output,
    client_id: Annotated[str, typer.Argument(metavar="ID", help="The client's id, from `joiner client list`.")],
) -> None:
    """End a client and all of its tokens at once."""
    await client.delete(f"/app/api/clients/{client_id}")
    output.show({"id": client_id, "revoked": True}, lambda out: out.say(f"The client {client_id} is revoked."))


def _table(output: Output, clients: list[dict[str, Any]]) -> None:
    columns = ("id", "name", "connection", "scope", "made", "state")
    words = {scope: word for word, scope in SCOPES.items()}
    rows = (
        (
            each["id"],
            each["name"],
            each["connectionName"],
            words[each["scope"]],
            short_time(each["createdAt"]),
            validity(each),
        )
        for each in clients
    )
    output.table(columns, rows, empty="There are no clients yet: joiner client create NAME")
