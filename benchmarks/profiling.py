"""Where our server spends its time under one workload, by function; sampled from outside with py-spy."""

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.cells import Cell, Workload
from benchmarks.environments import HERE, environment
from benchmarks.servers import joiner_sqlite

SAMPLES_A_SECOND = "250"
MOST_CELLS = 10
"""Some workloads are over before there is much to see; they are repeated."""
MOST_LINES = 30
WARM_UP_SECONDS = 0.5
PATIENCE = 30.0

FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::\d+)?\)")


@dataclass
class Profile:
    """Samples of the server's threads while they were at work, by function."""

    samples: int = 0
    own: Counter[str] = field(default_factory=Counter)
    """In the function itself, or in C code that it called."""
    below: Counter[str] = field(default_factory=Counter)
    """In the function or in anything that it called."""

    def add(self, stacks: str) -> None:
        """Takes in lines of the form `outer (file);inner (file) samples`."""
        for line in stacks.splitlines():
            stack, _, count = line.rpartition(" ")
            frames = [_function(frame) for frame in stack.split(";") if FRAME.fullmatch(frame)]
            if frames:
                self.samples += int(count)
                self.own[frames[-1]] += int(count)
                for frame in set(frames):
                    self.below[frame] += int(count)


def profile(workload: Workload, size: int, connections: int, seconds: float, folder: Path) -> Profile:
    """Runs the workload on our server and watches it for about `seconds`. Raises InstallationError."""
    py_spy = environment(HERE / "profiler") / "bin/py-spy"
    connections = workload.connections or connections
    found = Profile()
    with joiner_sqlite(folder) as target:
        target.seed(max(size, workload.users), seconds=600)
        with workload.prepare(Cell(target, size, WARM_UP_SECONDS)) as job:
            target.drive(job, connections, PATIENCE)
        watched, cells = 0.0, 0
        while watched < seconds and cells < MOST_CELLS:
            with workload.prepare(Cell(target, size, seconds - watched)) as job:
                with _watching(py_spy, target.processes.roots[0], folder / "stacks"):
                    watched += target.drive(job, connections, seconds + PATIENCE).seconds
                found.add((folder / "stacks").read_text())
            cells += 1
    return found


@contextmanager
def _watching(py_spy: Path, pid: int, stacks: Path) -> Iterator[None]:
    """Samples the process while the block lasts; the stacks are in the file afterwards."""
    command = [str(py_spy), "record", "--pid", str(pid), "--format", "raw", "--function", "--output", str(stacks)]
    command += ["--rate", SAMPLES_A_SECOND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as watching:
        assert watching.stdout is not None
        # Its first line says that it has found the process and is sampling.
        said = watching.stdout.readline()
        try:
            yield
        finally:
            watching.send_signal(signal.SIGINT)
            said += watching.communicate()[0]
    if not stacks.exists():
        raise RuntimeError(f"py-spy wrote nothing: {said}")


def _function(frame: str) -> str:
    found = FRAME.fullmatch(frame)
    assert found is not None
    return f"{found['file']}: {found['function']}"


def show_profile(found: Profile, console: Console) -> None:
    """The functions in which most of the time was spent."""
    table = Table(title=f"{found.samples} samples of threads at work", title_justify="left", box=SIMPLE_HEAD)
    for column in ("itself", "with calls"):
        table.add_column(column, justify="right")
    table.add_column("function", no_wrap=True)
    for function, count in found.own.most_common(MOST_LINES):
        table.add_row(f"{count / found.samples:.1%}", f"{found.below[function] / found.samples:.1%}", function)
    console.print(table)
