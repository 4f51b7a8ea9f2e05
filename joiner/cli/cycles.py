"""Cycles as a person follows them: a progress bar while one runs, and in words what it did."""

import asyncio
import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from joiner.cli.client import Client
from joiner.cli.lookup import Document
from joiner.cli.output import Output, make_console, plain, short_time

FIRST_LOOK: Final = 0.02
LONGEST_LOOK: Final = 0.5
"""Seconds between two looks at a running cycle: short at first, longer the longer it takes."""
BAD: Final = frozenset({"failed", "abandoned"})
OUTCOMES: Final = {
    "create": "created",
    "update": "updated",
    "disable": "disabled",
    "delete": "deleted",
    "skipped": "skipped",
    "failure": "failed",
}
STOPPED: Final = "the job was restarted, or stopped, meanwhile"
REMEDIES: Final = {
    "Unauthorized": "joiner app connect {job} enters new credentials.",
    "WebExceptionProtocolError": "joiner app test {job} tries the connection.",
    "TooManyDeletes": "joiner job deletes {job} lists what is held back.",
}
DURATION: Final = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")

Notice = Callable[[int, int], None]
"""Told (completed pages, expected pages)."""


async def run_cycle(client: Client, job_path: str, title: str) -> dict[str, Any]:
    """Runs one cycle of the job to its end, with a progress bar on a terminal, and returns our document of it."""
    begun = await client.post(f"{job_path}/joiner.run")
    kind = f"{begun['kind'].capitalize()} cycle of {title}"
    path = f"{job_path}/joiner.cycles/{begun['cycleId']}"
    return await follow(client, path, kind, title, f"joiner job run {shlex.quote(title)}")


async def follow(client: Client, cycle_path: str, what: str, title: str, again: str) -> dict[str, Any]:
    """Looks at a cycle until it has ended, with a progress bar. Who does not wait for that is told how to go on:
    `again` is the command that does."""
    try:
        with progress_bar(what) as notice:
            return await _ended(client, cycle_path, notice)
    except asyncio.CancelledError:
        job = shlex.quote(title)
        told = (
            f"{what} goes on at the server: joiner job status {job} shows how far it is, joiner job pause {job} --now"
            " ends it."
            if client.is_remote
            else f"{what} is cut off: joiner serve goes on with it, and so does: {again}"
        )
        sys.stderr.write(f"joiner: {plain(told)}\n")
        raise


async def _ended(client: Client, cycle_path: str, notice: Notice) -> dict[str, Any]:
    pause = FIRST_LOOK
    while True:
        cycle: dict[str, Any] = await client.get(cycle_path)
        notice(cycle["completedPages"], cycle["totalPages"])
        if cycle["state"] != "running":
            return cycle
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_LOOK)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Notice]:
    """A bar on the terminal that goes away at the end; nothing where standard error is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda _completed, _total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=make_console(stderr=True), transient=True) as progress:
        task = progress.add_task(plain(title), total=None)
        yield lambda completed, total: progress.update(task, completed=completed, total=total or None)


def show_summary(output: Output, cycle: Document, title: str) -> None:
    """What the cycle did, in a sentence, and why it failed if it did."""
    output.say(f"{cycle['kind'].capitalize()} cycle of {title}: {describe_counts(cycle)} in {seconds_of(cycle):.1f} s.")
    job = shlex.quote(title)
    if cycle["state"] in BAD:
        error = cycle["error"] or {}
        output.say(f"The cycle failed: {error.get('message') or STOPPED}", style="red")
        output.say(*remedies(error, job))
    elif cycle["stagedDeletes"]:
        number = cycle["stagedDeletes"]
        held = "1 deletion is" if number == 1 else f"{number} deletions are"
        output.say(
            f"{held} held back: joiner job deletes {job} lists them, joiner job deletes {job} allow sends them.",
            style="yellow",
        )
    elif cycle["counts"].get("failure"):
        output.say(f"Some objects failed and will be tried again: joiner logs {job} --status failure", style="yellow")


def remedies(error: Mapping[str, Any], job: str) -> list[str]:
    """What an administrator can do about the error of a cycle or a quarantine; empty if there is nothing to say."""
    remedy = REMEDIES.get(error.get("code", ""))
    return [remedy.format(job=job)] if remedy else []


def describe_counts(cycle: Document) -> str:
    """`68 objects read; 30 created, 38 skipped`."""
    counts = [f"{cycle['counts'][key]} {word}" for key, word in OUTCOMES.items() if cycle["counts"].get(key)]
    nothing = "nothing done" if cycle["state"] in BAD else "nothing to do"
    return f"{cycle['objectsRead']} objects read; {', '.join(counts) or nothing}"


def describe_execution(execution: Document | None) -> str:
    """A `synchronizationTaskExecution` in a line; empty if there was none."""
    if not execution:
        return ""
    counts = (
        f"{execution['countImported']} read, {execution['countExported']} exported, {execution['countEscrowed']} failed"
    )
    message = execution["error"]["message"] if execution["error"] else ""
    reason = f": {message}" if message else ""
    return f"{execution['state']} {short_time(execution['timeEnded'])} ({counts}){reason}"


def seconds_of(cycle: Document) -> float:
    """How long an ended cycle took."""
    began, ended = (datetime.fromisoformat(cycle[name]) for name in ("beganDateTime", "endedDateTime"))
    return (ended - began).total_seconds()


def duration_of(execution: Document | None) -> str:
    """How long a `synchronizationTaskExecution` took; empty if there was none."""
    if not execution:
        return ""
    began, ended = (datetime.fromisoformat(execution[name]) for name in ("timeBegan", "timeEnded"))
    return f"{(ended - began).total_seconds():.1f} s"


def readable_duration(duration: str) -> str:
    """`PT1H30M` → `1 h 30 min`."""
    match = DURATION.fullmatch(duration)
    if match is None:
        return duration
    return " ".join(
        f"{number} {unit}" for number, unit in zip(match.groups(), ("h", "min", "s"), strict=True) if number
    )
