"""`joiner serve`: both sides, or one, in one process until it is stopped."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import joiner
from joiner.cli.client import settings_of
from joiner.cli.command import DataOption, OutputOption, fail_use, run_async
from joiner.cli.output import Output
from joiner.config import Settings, override

if TYPE_CHECKING:
    from joiner.server.data_folder import ServerAddress


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
    overrides = {"host": host, "port": port, "database_url": database_url}
    run_async(_serve(data, config, overrides, only, Output(as_json=output == "json")))


async def _serve(
    data: Path,
    config: Path | None,
    overrides: dict[str, Any],
    only: Literal["application", "directory"] | None,
    output: Output,
) -> None:
    from joiner.server.data_folder import DataFolder, ServerAddress
    from joiner.server.instance import SIDES, Instance
    from joiner.server.logs import configure_logging
    from joiner.server.serve import listening, stop_signal

    settings: Settings = override(settings_of(data, config), **overrides)
    settings.check()
    configure_logging(settings.log_level)
    folder = DataFolder.open(data)
    try:
        async with (
            Instance(folder, settings, sides=(only,) if only else SIDES) as instance,
            listening(instance.app, settings) as url,
            instance.working(),
        ):
            address = ServerAddress(url, os.getpid(), instance.sides, settings.tls_certificate)
            folder.announce(address)
            _tell(output, address, data)
            await stop_signal()
            folder.withdraw()
    finally:
        folder.close()


def _tell(output: Output, address: "ServerAddress", data: Path) -> None:
    if output.as_json:
        output.json_line({"url": address.url, "pid": address.pid, "sides": list(address.sides)})
        return
    output.say(f"Joiner {joiner.__version__} serves the data folder {data}")
    if "application" in address.sides:
        output.raw(f"  SCIM endpoint     {address.url}/scim")
    if "directory" in address.sides:
        output.raw(f"  Graph-shaped API  {address.url}/v1.0")
    output.raw(f"  Overview          {address.url}/")
    output.say("Stop with Ctrl+C.")
