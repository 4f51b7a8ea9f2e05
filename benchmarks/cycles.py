"""Whole cycles: the directory side provisions into the application side, both as real processes."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.people import write_csv
from tests.processes import Server, fetch, joiner, serving


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result."""

    what: str
    objects: int
    seconds: float
    cpu: dict[str, float]
    """Side → seconds of processor time it used meanwhile."""


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
