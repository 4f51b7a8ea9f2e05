"""Real Joiner processes for tests: started, waited for, killed, always ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

POLL = threading.Event()
"""Never set: waiting for it leaves the processor to the process that the condition is about."""
PATIENCE = 60.0
"""Seconds after which a condition that has not come true fails the test."""


def joiner(*arguments: str, data: Path, check: bool = True, **environment: str) -> str:
    """Runs one command of the command line in a process of its own and returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "joiner", *arguments, "--data", str(data)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=PATIENCE * 3,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"joiner {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Server:
    """`joiner serve` on a data folder and a free port."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self._process = subprocess.Popen(
            [sys.executable, "-m", "joiner", "serve", "--data", str(data), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = wait_for(self._address)

    def kill(self) -> None:
        """As the power cut does it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """As the operator does it; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=PATIENCE)
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()

    def cpu_seconds(self) -> float:
        """Processor time that the process has used so far (Linux)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _address(self) -> str | None:
        if self._process.poll() is not None:
            output = self._process.stdout.read() if self._process.stdout else ""
            raise AssertionError(f"the server ended with {self._process.returncode}:\n{output}")
        try:
            told = json.loads((self.data / "server.json").read_text())
        except (OSError, ValueError):
            return None
        return told["url"] if told["pid"] == self._process.pid else None


@contextlib.contextmanager
def serving(data: Path, *arguments: str) -> Iterator[Server]:
    server = Server(data, *arguments)
    try:
        yield server
    finally:
        server.stop()


def fetch(url: str, token: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> Any:
    """The parsed JSON answer of one request, None if it has no body."""
    request = urllib.request.Request(  # noqa: S310 - our own server on loopback
        url,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        content = answer.read()
    return json.loads(content) if content else None


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true value of `condition`; fails the test if there is none in time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        POLL.wait(0.02)
    raise AssertionError(f"{condition} did not come true within {PATIENCE:.0f} seconds")
