"""Cycles as a person follows them: a progress bar while one runs, and in words what it did."""

import asyncio
import contextlib
import re
import sys
from collections.abc import Callable, Iterator
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
DURATION: Final = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")

Notice = Callable[[int, int], None]
"""Told (completed pages, expected pages)."""


async def run_cycle(client: Client, job_path: str, title: str) -> dict[str, Any]:
    """Runs one cycle of the job to its end, with a progress bar on a terminal, and returns our document of it."""
    begun = await client.post(f"{job_path}/joiner.run")
    with progress_bar(f"{begun['kind'].capitalize()} cycle of {title}") as notice:
        return await follow(client, f"{job_path}/joiner.cycles/{begun['cycleId']}", notice)


async def follow(client: Client, cycle_path: str, notice: Notice) -> dict[str, Any]:
    """Looks at a cycle until it has ended."""
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
    if cycle["state"] in BAD:
        reason = (cycle["error"] or {}).get("message") or "the job was restarted meanwhile"
        output.say(f"The cycle failed: {reason}", style="red")
    elif cycle["stagedDeletes"]:
        output.say(
            f"{cycle['stagedDeletes']} deletions are held back: joiner job deletes JOB lists them,"
            " joiner job deletes JOB allow sends them.",
            style="yellow",
        )
    elif cycle["counts"].get("failure"):
        output.say("Some objects failed and will be tried again: joiner logs JOB --status failure", style="yellow")


def describe_counts(cycle: Document) -> str:
    """`68 objects read; 30 created, 38 skipped`."""
    counts = [f"{cycle['counts'][key]} {word}" for key, word in OUTCOMES.items() if cycle["counts"].get(key)]
    return f"{cycle['objectsRead']} objects read; {', '.join(counts) or 'nothing to do'}"


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
