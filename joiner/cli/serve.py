"""`joiner serve`: both sides, or one, in one process until it is stopped.

The process of the command becomes that of the server: what reads command lines would be an eighth of its memory.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from joiner.cli.command import DataOption, OutputOption, fail_use
from joiner.server.options import Options


def serve(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="The address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="The port; 0 takes a free one. [default: 8080]")
    ] = None,
    only: Annotated[Literal["application", "directory"] | None, typer.Option(help="Serve this side alone.")] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Keep the application side's data in this PostgreSQL database. [default: a file in DIR]"
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", envvar="JOINER_CONFIG", help="The settings file. [default: joiner.toml in the data folder]"
        ),
    ] = None,
    data: DataOption = None,
    output: OutputOption = "text",
) -> None:
    """Serve the application side, the directory side and the engine until stopped."""
    if data is None:
        fail_use("say where to keep everything: --data DIR")
    options = Options(
        data=str(data),
        config=None if config is None else str(config),
        only=only,
        overrides={"host": host, "port": port, "database_url": database_url},
        as_json=output == "json",
    )
    if os.name == "posix":
        sys.stdout.flush()
        arguments = [sys.executable, "-m", "joiner.server", msgspec.json.encode(options).decode()]
        os.execv(sys.executable, arguments)  # noqa: S606 - this very program
    from joiner.server.__main__ import run

    raise typer.Exit(run(options))
