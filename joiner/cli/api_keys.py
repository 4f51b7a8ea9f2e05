"""`joiner api-key`: bearer keys of the Graph-shaped API, and of `--api-key`."""

from typing import Annotated, Any, Literal

import typer

from joiner.cli.client import Client
from joiner.cli.command import command
from joiner.cli.output import Output, short_time, validity

app = typer.Typer(help="Keys of the Graph-shaped API, for programs and for --api-key.", no_args_is_help=True)


@command(app, "create", creates=True)
async def create(
    client: Client,
    output: Output,
    role: Annotated[
        Literal["admin", "reader", "uploader"],
        typer.Option(help="`admin` may do everything, `reader` may look, `uploader` may send people to inbound jobs."),
    ] = "admin",
    name: Annotated[str, typer.Option(metavar="NAME", help="What it is for, to recognise it by.")] = "",
    expires_in_days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The key ends after so many days; default: never.")
    ] = None,
) -> None:
    """Make a key and print it alone. It is shown this once."""
    wanted: dict[str, Any] = {"role": role, "name": name}
    if expires_in_days is not None:
        wanted["expiresInDays"] = expires_in_days
    made = await client.post("/v1.0/joiner.apiKeys", wanted)
    output.show(made, lambda out: out.raw(made["key"]))


@command(app, "list")
async def list_keys(client: Client, output: Output) -> None:
    """List the keys: what is known of them, never the keys themselves."""
    keys = await client.every("/v1.0/joiner.apiKeys")
    output.show(keys, lambda out: _table(out, keys))


@command(app, "revoke")
async def revoke(
    client: Client,
    output: Output,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, from `joiner api-key list`.")],
) -> None:
    """End a key at once."""
    await client.delete(f"/v1.0/joiner.apiKeys/{key_id}")
    output.show({"id": key_id, "revoked": True}, lambda out: out.say(f"The key {key_id} is revoked."))


def _table(output: Output, keys: list[dict[str, Any]]) -> None:
    columns = ("id", "name", "role", "made", "last used", "state")
    rows = (
        (
            key["id"],
            key["name"],
            key["role"],
            short_time(key["createdAt"]),
            short_time(key["lastUsed"]),
            validity(key),
        )
        for key in keys
    )
    output.table(columns, rows, empty="There are no keys yet: joiner api-key create")
