"""The engine alone: initial and later cycles into a target that answers at once, beside what naive scripts take for the
same requests. Every server is a process of its own.
"""

import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.filling import fill_directory
from benchmarks.usage import Processes
from tests.processes import Server, fetch, joiner, serving

NAIVE = ("aiohttp", "httpx")
PARTS = ("plan", "initial", "later", "restart", "takeover", "drift")
LONGEST = 7200.0
"""Seconds that a cycle may take."""
FEW = 100
"""So many users change before the cycle of few changes."""
LARGE = "Everybody"
FEW_MEMBERS = 10

Run = Callable[[Path], tuple[str, str]]
"""Has something done by the server over a data folder; when it began and ended."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one cycle or script took."""

    what: str
    users: int
    seconds: float
    cpu_seconds: float
    writes: int
    """Requests that change something, as the target counted them."""
    peak_mb: float | None = None


@contextmanager
def stub_target() -> Iterator[int]:
    """The port of a target that answers at once."""
    command = [sys.executable, "-m", "benchmarks.stub_target"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def measure_engine(
    folder: Path,
    users: int,
    naive: tuple[str, ...] = NAIVE,
    group_members: int = 0,
    parts: Collection[str] = PARTS,
) -> Iterator[Figure]:
    """`group_members`: one more group has so many. Of the parts, those after `initial` need it."""
    for library in naive:
        with stub_target() as port:
            command = [sys.executable, "-m", "benchmarks.naive", library, str(port), str(users)]
            seconds, cpu = map(
                float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            )
            yield Figure(f"naive script, {library}: everybody new", users, seconds, cpu, _writes(port))
    data = folder / "directory"
    fill_directory(data, users, group_members, LARGE if group_members else "")
    with stub_target() as port, serving(data, "--only", "directory") as directory:
        secret = folder / "token"
        secret.write_text("a-token-that-the-stub-does-not-look-at")
        address = f"http://127.0.0.1:{port}/scim"
        joiner(
            *("app", "add", "ALVAO", "--tenant-url", address, "--secret-token-file", str(secret), "--scope", "all"),
            data=data,
        )
        joiner("job", "create", "ALVAO", data=data)
        if "plan" in parts:
            yield _measure("plan of the initial cycle", users, port, directory, _plan)
        if "initial" in parts:
            yield _measure("initial cycle: everybody new", users, port, directory, _cycle)
        if "later" in parts:
            yield _measure("incremental cycle: nothing changed", users, port, directory, _cycle)
            _touch(directory, FEW)
            yield _measure(f"incremental cycle: {FEW} changed", users, port, directory, _cycle)
            if group_members:
                _take_out(directory, FEW_MEMBERS)
                what = f"incremental cycle: {FEW_MEMBERS} of {group_members:,} members"
                yield _measure(what, users, port, directory, _cycle)
        if "restart" in parts:
            joiner("job", "restart", "ALVAO", data=data)
            yield _measure("restart: all looked at, nothing changed", users, port, directory, _cycle)
            joiner("job", "settings", "ALVAO", "Prefetch=off", data=data)
            joiner("job", "restart", "ALVAO", data=data)
            yield _measure("the same, without reading lists first", users, port, directory, _cycle)
            joiner("job", "settings", "ALVAO", "Prefetch=auto", data=data)
        if "takeover" in parts:
            joiner("job", "restart", "ALVAO", "--full", data=data)
            yield _measure("initial cycle: everybody is there", users, port, directory, _cycle)
        if "drift" in parts:
            yield _measure("drift check: nothing differs", users, port, directory, _drift)


def _measure(what: str, users: int, port: int, directory: Server, run: Run) -> Figure:
    """What `run` took, by the clock of the server: the command that starts it is not the engine."""
    processes = Processes(directory.pid)
    processes.forget_peak()
    before, writes = processes.cpu_seconds(), _writes(port)
    began, ended = map(datetime.fromisoformat, run(directory.data))
    return Figure(
        what,
        users,
        (ended - began).total_seconds(),
        processes.cpu_seconds() - before,
        _writes(port) - writes,
        processes.peak_bytes() / 1e6,
    )


def _cycle(data: Path) -> tuple[str, str]:
    cycle = orjson.loads(joiner("job", "run", "ALVAO", "--output", "json", data=data, seconds=LONGEST))
    return cycle["beganDateTime"], cycle["endedDateTime"]


def _plan(data: Path) -> tuple[str, str]:
    joiner("job", "plan", "ALVAO", data=data, check=False, seconds=LONGEST)
    return _last_plan(data)


def _drift(data: Path) -> tuple[str, str]:
    joiner("job", "drift", "ALVAO", data=data, check=False, seconds=LONGEST)
    return _last_plan(data)


def _last_plan(data: Path) -> tuple[str, str]:
    [plan, *_] = orjson.loads(joiner("job", "plans", "ALVAO", "--output", "json", data=data))
    return plan["madeDateTime"], plan["endedDateTime"]


def _touch(directory: Server, count: int) -> None:
    key = (directory.data / "local.key").read_text().strip()
    for user in fetch(f"{directory.url}/v1.0/users?$top={count}", key)["value"]:
        fetch(f"{directory.url}/v1.0/users/{user['id']}", key, {"jobTitle": "Changed"}, "PATCH")


def _take_out(directory: Server, count: int) -> None:
    key = (directory.data / "local.key").read_text().strip()
    groups = fetch(f"{directory.url}/v1.0/groups?$top=999", key)["value"]
    group = next(group["id"] for group in groups if group["displayName"] == LARGE)
    for member in fetch(f"{directory.url}/v1.0/groups/{group}/members?$top={count}", key)["value"]:
        fetch(f"{directory.url}/v1.0/groups/{group}/members/{member['id']}/$ref", key, method="DELETE")


def _writes(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/writes") as answer:
        return int(answer.read())


def show(figures: list[Figure]) -> None:
    table = Table()
    for column in ("what", "users", "seconds", "users/s", "CPU ms per user", "writes", "peak MB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for each in figures:
        table.add_row(
            each.what,
            f"{each.users:,}",
            f"{each.seconds:.2f}",
            f"{each.users / each.seconds:,.0f}" if each.seconds else "",
            f"{each.cpu_seconds * 1000 / each.users:.3f}",
            f"{each.writes:,}",
            "" if each.peak_mb is None else f"{each.peak_mb:.0f}",
        )
    Console(width=120).print(table)


def document_of(figures: list[Figure]) -> list[Any]:
    return [msgspec.to_builtins(figure) for figure in figures]
