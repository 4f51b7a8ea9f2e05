"""Prints objects per second and milliseconds of CPU per object, for the application side alone and for whole cycles."""

import argparse
import asyncio
import json
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.people import scim_user, write_csv
from tests.processes import Server, fetch, joiner, serving

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result."""

    what: str
    objects: int
    seconds: float
    cpu: dict[str, float]
    """Side → seconds of processor time it used meanwhile."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--users", type=int, default=2000, help="users of the directory (default 2000)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = [*measure_endpoint(Path(folder), options.users), *measure_cycles(Path(folder), options.users)]
    show(figures)
    if options.json:
        options.json.write_text(json.dumps([vars_of(figure) for figure in figures], indent=1) + "\n")


# The application side alone


def measure_endpoint(folder: Path, users: int) -> Iterator[Figure]:
    data = folder / "endpoint"
    with serving(data, "--only", "application") as server:
        token = joiner("token", "create", data=data).strip()
        yield from asyncio.run(_load_endpoint(server, token, users))


async def _load_endpoint(server: Server, token: str, users: int) -> list[Figure]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    ids: list[str] = []
    async with aiohttp.ClientSession(f"{server.url}/", headers=headers, connector=connector) as session:

        async def create(number: int) -> None:
            async with session.post("scim/Users", data=orjson.dumps(scim_user(number))) as answer:
                assert answer.status == 201, await answer.text()
                ids.append(orjson.loads(await answer.read())["id"])

        async def read(number: int) -> None:
            async with session.get(f"scim/Users/{ids[number]}") as answer:
                assert answer.status == 200
                await answer.read()

        async def find(number: int) -> None:
            params = {"filter": f'userName eq "{scim_user(number)["userName"]}"'}
            async with session.get("scim/Users", params=params) as answer:
                assert orjson.loads(await answer.read())["totalResults"] == 1

        async def disable(number: int) -> None:
            operation = {"op": "Replace", "path": "active", "value": "False"}
            body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}
            async with session.patch(f"scim/Users/{ids[number]}", data=orjson.dumps(body)) as answer:
                assert answer.status in (200, 204)
                await answer.read()

        work: tuple[tuple[str, Callable[[int], Awaitable[None]]], ...] = (
            ("POST /Users", create),
            ("GET /Users/{id}", read),
            ("GET /Users?filter=userName eq", find),
            ("PATCH active, Entra's form", disable),
        )
        return [await _spread(name, one, users, server) for name, one in work]


async def _spread(name: str, one: Callable[[int], Awaitable[None]], number: int, server: Server) -> Figure:
    """Does `one` for 0 … number-1, `CONNECTIONS` at a time."""
    numbers = iter(range(number))

    async def worker() -> None:
        for item in numbers:
            await one(item)

    with clocked(name, number, application=server) as measured:
        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return measured[0]


# Whole cycles: the directory side provisions into the application side


def measure_cycles(folder: Path, users: int) -> Iterator[Figure]:
    directory_data, application_data = folder / "directory", folder / "application"
    people, groups = write_csv(folder, users)
    with (
        serving(application_data, "--only", "application") as application,
        serving(directory_data, "--only", "directory") as directory,
    ):
        secret = folder / "token"
        secret.write_text(joiner("token", "create", data=application_data))
        with clocked("directory import (CSV)", users, directory=directory) as measured:
            joiner("directory", "import", str(people), "--groups", str(groups), data=directory_data)
        yield measured[0]
        joiner(
            *("app", "add", "ALVAO", "--tenant-url", f"{application.url}/scim"),
            *("--secret-token-file", str(secret), "--scope", "all"),
            data=directory_data,
        )
        joiner("job", "create", "ALVAO", data=directory_data)
        for name in ("initial cycle, all new", "incremental cycle, nothing changed"):
            with clocked(name, users, directory=directory, application=application) as measured:
                joiner("job", "run", "ALVAO", data=directory_data)
            yield measured[0]
        _touch_everybody(directory)
        with clocked("incremental cycle, every user changed", users, **both(directory, application)) as measured:
            joiner("job", "run", "ALVAO", data=directory_data)
        yield measured[0]


def _touch_everybody(directory: Server) -> None:
    key = (directory.data / "local.key").read_text().strip()
    page: str | None = f"{directory.url}/v1.0/users?$top=999"
    while page:
        answer = fetch(page, key)
        for user in answer["value"]:
            fetch(f"{directory.url}/v1.0/users/{user['id']}", key, {"jobTitle": "Changed"}, "PATCH")
        page = answer.get("@odata.nextLink")


def both(directory: Server, application: Server) -> dict[str, Server]:
    return {"directory": directory, "application": application}


# Measuring and showing


@contextmanager
def clocked(what: str, objects: int, **servers: Server) -> Iterator[list[Figure]]:
    """Measures the block; the list holds the figure afterwards."""
    result: list[Figure] = []
    before, began = {side: server.cpu_seconds() for side, server in servers.items()}, time.perf_counter()
    yield result
    seconds = time.perf_counter() - began
    cpu = {side: server.cpu_seconds() - before[side] for side, server in servers.items()}
    result.append(Figure(what, objects, seconds, cpu))


def show(figures: list[Figure]) -> None:
    table = Table(title=f"Joiner on {platform.machine()}, Python {platform.python_version()}")
    for column in ("workload", "objects", "seconds", "objects/s"):
        table.add_column(column, justify="left" if column == "workload" else "right")
    table.add_column("CPU ms per object: directory", justify="right")
    table.add_column("application", justify="right")
    for figure in figures:
        each = {side: f"{seconds * 1000 / figure.objects:.3f}" for side, seconds in figure.cpu.items()}
        table.add_row(
            figure.what,
            str(figure.objects),
            f"{figure.seconds:.2f}",
            f"{figure.objects / figure.seconds:.0f}",
            each.get("directory", ""),
            each.get("application", ""),
        )
    Console(width=120).print(table)


def vars_of(figure: Figure) -> dict[str, object]:
    return {"what": figure.what, "objects": figure.objects, "seconds": figure.seconds, "cpuSeconds": figure.cpu}


if __name__ == "__main__":
    main()
