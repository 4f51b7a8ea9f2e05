"""`joiner connection`: the tenants of the application's SCIM endpoint and their settings."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from joiner.cli.client import Client
from joiner.cli.command import command, fail_use
from joiner.cli.output import Output

app = typer.Typer(help="Connections (tenants) of the application's SCIM endpoint.", no_args_is_help=True)

WORDS: dict[str, Any] = {"true": True, "false": False, "none": None}
CHOICES = ("profile", "patchResponse")
"""Settings whose values are words, even if they look like numbers."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="The connection's name.")]
Settings = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE…", help="Settings, such as profile=strict mostResults=200.")
]


@command(app, "list", sides=("application",))
async def list_connections(client: Client, output: Output) -> None:
    """List the connections with their settings."""
    connections = (await client.get("/app/api/connections"))["value"]
    output.show(connections, lambda out: _show(out, connections))


@command(app, "create", sides=("application",), creates=True)
async def create(client: Client, output: Output, name: Name, settings: Settings = None) -> None:
    """Make a connection: a tenant with users and groups of its own."""
    made = await client.post("/app/api/connections", {"name": name, "settings": _parsed(settings or [])})
    output.show(made, lambda out: out.say(f"The connection {made['name']} is made."))


@command(app, "set", sides=("application",))
async def set_settings(client: Client, output: Output, name: Name, settings: Settings = None) -> None:
    """Change settings of a connection; the others stay. In effect with the next request."""
    if not settings:
        fail_use("nothing to change; name settings, such as profile=strict")
    changed = await client.patch(f"/app/api/connections/{quote(name, safe='')}", _parsed(settings))
    output.show(changed, lambda out: _show(out, [changed]))


def _parsed(settings: list[str]) -> dict[str, Any]:
    """What was typed as `key=value`, in the types of JSON. Wrong use ends the command."""
    found: dict[str, Any] = {}
    for item in settings:
        key, equals, value = item.partition("=")
        if not equals or not key:
            fail_use(f"'{item}' is not of the form key=value")
        if key in CHOICES:
            found[key] = value
        else:
            found[key] = int(value) if value.isascii() and value.isdigit() else WORDS.get(value.lower(), value)
    return found


def _show(output: Output, connections: list[dict[str, Any]]) -> None:
    columns = ("connection", "settings")
    rows = (
        (each["name"], "  ".join(f"{key}={_typed(value)}" for key, value in each["settings"].items()))
        for each in connections
    )
    output.table(columns, rows, empty="There are no connections yet: joiner connection create NAME")


def _typed(value: Any) -> str:
    """A value as it is typed."""
    return next((word for word, meant in WORDS.items() if meant is value), str(value))
