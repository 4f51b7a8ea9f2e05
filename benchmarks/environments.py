"""Throw-away environments for programs that are measured or measure, and are no dependencies of the project.

Each is made at its first use in a cache folder, from the pinned versions in its folder here.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent


class InstallationError(Exception):
    """An environment could not be made. The text is what the installer said last."""


def environment(folder: Path) -> Path:
    """The folder that holds the programs which `folder` lists. Raises InstallationError."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    install = next(INSTALLERS[path.name] for path in files if path.name in INSTALLERS)
    made = _cache() / f"{folder.name}-{digest}"
    finished = made / "finished"
    made.parent.mkdir(parents=True, exist_ok=True)
    # Tests run side by side: one makes it, the others wait.
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            install(folder, made)
            finished.touch()
    return made


def _install_python(folder: Path, made: Path) -> None:
    _run(sys.executable, "-m", "venv", str(made))
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    _run(str(made / "bin/python"), *install, "--requirement", str(folder / "requirements.txt"))


def _install_node(folder: Path, made: Path) -> None:
    for path in folder.iterdir():
        shutil.copy(path, made)
    _run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", str(made))


INSTALLERS: Mapping[str, Callable[[Path, Path], None]] = {
    "requirements.txt": _install_python,
    "package-lock.json": _install_node,
}


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "joiner-benchmarks"


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except OSError as error:
        raise InstallationError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InstallationError(said[-1] if said else f"{command[0]} ended with {done.returncode}")
