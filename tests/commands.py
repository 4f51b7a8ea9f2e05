"""The command line as a program: one command, what it printed, how it ended."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.processes import joiner


def run(*arguments: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """One command in an environment without settings of its own, and without the width of somebody's terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOINER_") and name != "COLUMNS"}
    return subprocess.run(
        [sys.executable, "-m", "joiner", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**kept, **environment},
        timeout=120,
        check=False,
    )


def refused(*arguments: str, code: int = 1, stdin: str = "", **environment: str) -> str:
    """The one line on standard error of a command that must fail."""
    done = run(*arguments, stdin=stdin, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("joiner: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("joiner: ").strip()


def as_json(*arguments: str, data: Path) -> Any:
    return json.loads(joiner(*arguments, "--output", "json", data=data))
