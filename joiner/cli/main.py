"""The command `joiner`: its sub-commands, each in a module of its own."""

import io
import os
import sys
from typing import Annotated

import typer

import joiner
from joiner.cli import (
    api_keys,
    apps,
    connections,
    directory,
    explain,
    expr,
    job_control,
    logs,
    oauth_clients,
    plans,
    schema,
    scope,
    serve,
    target_profiles,
    tokens,
    tutorial,
    upload,
    webhooks,
)
from joiner.cli.command import command

PRIVATE = 0o077
"""The umask of every command: what it writes holds personal data, and secrets."""

app = typer.Typer(
    name="joiner",
    help="Automatic user provisioning: accounts in applications, in step with a directory.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run() -> None:
    """The program's entry."""
    os.umask(PRIVATE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Not every terminal knows every character of a name.
            stream.reconfigure(errors="replace")
    app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"joiner {joiner.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("tutorial")(tutorial.tutorial)
app.command("serve")(serve.serve)
app.command("expr")(expr.expr)
app.add_typer(logs.app)
app.add_typer(explain.app)
app.add_typer(tokens.app, name="token")
app.add_typer(connections.app, name="connection")
app.add_typer(oauth_clients.app, name="client")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(api_keys.app, name="api-key")
app.add_typer(directory.app, name="directory")
app.add_typer(apps.app, name="app")
command(job_control.app, "profile")(target_profiles.profile)
job_control.app.add_typer(plans.app)
job_control.app.add_typer(upload.app)
app.add_typer(job_control.app, name="job")
app.add_typer(schema.app, name="schema")
app.add_typer(scope.app)
