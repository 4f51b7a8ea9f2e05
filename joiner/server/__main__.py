"""The server's process: `joiner serve` becomes it, with its options as one JSON object."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

import joiner
from joiner.config import override, settings_of
from joiner.errors import JoinerError
from joiner.server.data_folder import DataFolder, ServerAddress
from joiner.server.instance import SIDES, Instance
from joiner.server.logs import configure_logging
from joiner.server.loop import loop_factory
from joiner.server.options import Options
from joiner.server.serve import listening, stop_signal

PRIVATE = 0o077
"""The umask: what is written holds personal data, and secrets."""


def run(options: Options) -> int:
    """Serves until the process is told to stop; returns its exit code."""
    os.umask(PRIVATE)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(options))
    except JoinerError as error:
        sys.stderr.write(f"joiner: {error}\n")
        return 1
    return 0


async def _serve(options: Options) -> None:
    data, config = Path(options.data), None if options.config is None else Path(options.config)
    settings = override(settings_of(data, config), **options.overrides)
    settings.check()
    configure_logging(settings.log_level)
    folder = DataFolder.open(data)
    try:
        async with (
            Instance(folder, settings, sides=(options.only,) if options.only else SIDES) as instance,
            listening(instance.app, settings) as url,
            instance.working(),
        ):
            address = ServerAddress(url, os.getpid(), instance.sides, settings.tls_certificate)
            folder.announce(address)
            sys.stdout.write(_as_json(address) if options.as_json else _in_words(address, options))
            sys.stdout.flush()
            await stop_signal()
            folder.withdraw()
    finally:
        folder.close()


def _as_json(address: ServerAddress) -> str:
    told = {"url": address.url, "pid": address.pid, "sides": address.sides}
    return msgspec.json.encode(told).decode() + "\n"


def _in_words(address: ServerAddress, options: Options) -> str:
    lines = [f"Joiner {joiner.__version__} serves the data folder {options.data}"]
    if "application" in address.sides:
        lines.append(f"  SCIM endpoint     {address.url}/scim")
    if "directory" in address.sides:
        lines.append(f"  Graph-shaped API  {address.url}/v1.0")
    lines += [f"  Overview          {address.url}/", "Stop with Ctrl+C."]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(run(msgspec.json.decode(sys.argv[1], type=Options)))
