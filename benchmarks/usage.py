"""What a server uses: processor time and memory of all its processes."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")


class Processes:
    """The process trees below some roots; a database's beside a server's own."""

    def __init__(self, *roots: int) -> None:
        self.roots = roots

    def cpu_seconds(self) -> float:
        """Of all processes so far, those included that have ended and were waited for."""
        return sum(self._each(lambda process: sum(process.cpu_times()[:4])))

    def forget_peak(self) -> None:
        """Lets `peak_bytes` begin anew (Linux)."""
        for _ in self._each(lambda process: Path(f"/proc/{process.pid}/clear_refs").write_text("5")):
            pass

    def peak_bytes(self) -> int:
        """The most resident memory of each process, added up (Linux). Shared pages count in every process."""
        return sum(self._each(_peak_bytes))

    def _each(self, ask: Callable[[psutil.Process], T]) -> Iterator[T]:
        """What is asked of every process that is still there."""
        for root in self.roots:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(root)
                for one in (process, *process.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess, OSError):
                        yield ask(one)


def _peak_bytes(process: psutil.Process) -> int:
    # psutil tells the present size alone.
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) * 1024
    return 0
