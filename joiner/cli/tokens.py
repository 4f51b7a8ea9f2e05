"""`joiner token`: secret tokens of the application's SCIM endpoint and of its events."""

from typing import Annotated, Any, Final, Literal

import typer

from joiner.cli.client import Client
from joiner.cli.command import command
from joiner.cli.output import Output, short_time, validity

app = typer.Typer(help="Secret tokens of the application's SCIM endpoint and of its events.", no_args_is_help=True)

SCOPES: Final = {"write": "scim", "read": "scim.read", "events": "events"}
"""How scopes are typed → how the API names them."""


@command(app, "create", sides=("application",), creates=True)
async def create(
    client: Client,
    output: Output,
    connection: Annotated[
        str | None, typer.Option(metavar="NAME", help="The connection (tenant) that the token leads to.")
    ] = None,
    scope: Annotated[
        Literal["write", "read", "events"],
        typer.Option(help="What it opens: all of SCIM, SCIM for reading, or the events and no SCIM."),
    ] = "write",
    user_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The user that /Me means for its holder; default: none.")
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The token ends after so many days; default: never.")
    ] = None,
) -> None:
    """Make a secret token and print it alone. It is shown this once."""
    wanted = {
        "connection": connection,
        "scope": SCOPES[scope],
        "userId": user_id,
        "expiresInDays": expires_in_days,
    }
    made = await client.post("/app/api/tokens", {name: value for name, value in wanted.items() if value is not None})
    output.show(made, lambda out: out.raw(made["token"]))


@command(app, "list", sides=("application",))
async def list_tokens(client: Client, output: Output) -> None:
    """List the tokens: what is known of them, never the tokens themselves."""
    tokens = (await client.get("/app/api/tokens"))["value"]
    output.show(tokens, lambda out: _table(out, tokens))


@command(app, "revoke", sides=("application",))
async def revoke(
    client: Client,
    output: Output,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, from `joiner token list`.")],
) -> None:
    """End a token at once."""
    await client.delete(f"/app/api/tokens/{token_id}")
    output.show({"id": token_id, "revoked": True}, lambda out: out.say(f"The token {token_id} is revoked."))


def _table(output: Output, tokens: list[dict[str, Any]]) -> None:
    columns = ("id", "connection", "scope", "ends with", "made", "last used", "state")
    words = {scope: word for word, scope in SCOPES.items()}
    rows = (
        (
            token["id"],
            token["connectionName"],
            words[token["scope"]],
            f"…{token['hint']}",
            short_time(token["createdAt"]),
            short_time(token["lastUsed"]),
            validity(token),
        )
        for token in tokens
    )
    output.table(columns, rows, empty="There are no tokens yet: joiner token create")
