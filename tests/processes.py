"""Real Joiner processes for tests: started, waited for, killed, always ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

PATIENCE = 60.0
"""Seconds after which a condition that has not come true fails the test."""


def joiner(*arguments: str, data: Path, check: bool = True, seconds: float = PATIENCE * 3, **environment: str) -> str:
    """Runs one command of the command line in a process of its own, without the width of somebody's terminal, and
    returns what it printed. `seconds`: it must not take longer."""
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "joiner", *arguments, "--data", str(data)],
        capture_output=True,
        text=True,
        env={**kept, **environment},
        timeout=seconds,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"joiner {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def takes_interrupts() -> None:
    """For `preexec_fn`: what a shell starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Server:
    """`joiner serve` on a data folder; port 0 is a free one."""

    def __init__(self, data: Path, *arguments: str, port: int = 0) -> None:
        self.data = data
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "joiner", "serve", "--data", str(data), "--port", str(port), *arguments],
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        try:
            self.url = wait_until(self._address, PATIENCE) or ""
        except BaseException:
            self.kill()
            raise

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed and logged so far."""
        self._output.seek(0)
        return self._output.read().decode("utf-8", "replace")

    def kill(self) -> None:
        """As the power cut does it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def stop(self) -> int:
        """As the operator does it; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._output.close()

    def cpu_seconds(self) -> float:
        """Processor time that the process has used so far (Linux)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _address(self) -> str | None:
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended with {self._process.returncode}:\n{self.output}")
        try:
            told = json.loads((self.data / "server.json").read_text())
        except (OSError, ValueError):
            return None
        return told["url"] if told["pid"] == self._process.pid else None


@contextlib.contextmanager
def serving(data: Path, *arguments: str, port: int = 0) -> Iterator[Server]:
    server = Server(data, *arguments, port=port)
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
