"""Installs the programs of system-packages.txt that are missing, where that is possible: as root on Debian.

Runs before the tests and needs nothing but the standard library. Silent and instant when everything is there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PACKAGE_LIST = Path(__file__).with_name("system-packages.txt")

START_POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian's packages ask this program before they start their service; exit status 101 forbids it."""

DEBIAN_MARK = Path("/etc/debian_version")

FORBID_STARTING = "#!/bin/sh\nexit 101\n"

OTHER_NAMES = {"chromium": ("chromium-browser", "google-chrome-stable")}
"""How other distributions call a program."""


class SystemPackage(NamedTuple):
    """One line of the list."""

    package: str
    program: str
    purpose: str


def read_packages() -> list[SystemPackage]:
    """The list's packages in its order."""
    lines = PACKAGE_LIST.read_text(encoding="utf-8").splitlines()
    return [SystemPackage(*line.split(maxsplit=2)) for line in lines if line and not line.startswith("#")]


def find_program(name: str) -> str | None:
    """The absolute path of a program, also where PATH does not lead: Debian keeps servers outside a user's PATH."""
    versioned = Path("/usr/lib/postgresql")
    newest_first = sorted(versioned.glob("*/bin"), key=lambda folder: -float(folder.parent.name))
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *map(str, newest_first)])
    found = (shutil.which(candidate, path=path) for candidate in (name, *OTHER_NAMES.get(name, ())))
    return next((program for program in found if program), None)


def missing_packages() -> list[SystemPackage]:
    """The packages whose program is not on this machine."""
    return [package for package in read_packages() if find_program(package.program) is None]


@contextmanager
def no_service_starts() -> Iterator[None]:
    """While it lasts, the packages being installed start no daemon. A policy that was there already is kept."""
    if START_POLICY.exists():
        yield
        return
    START_POLICY.write_text(FORBID_STARTING, encoding="ascii")
    START_POLICY.chmod(0o755)
    try:
        yield
    finally:
        START_POLICY.unlink(missing_ok=True)


def install(names: list[str]) -> str:
    """Installs Debian packages without questions and without starting them; returns what went wrong, or nothing."""
    patient = ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300", "-qq"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_service_starts():
        for action in (["update"], ["install", "-y", "--no-install-recommends", *names]):
            finished = subprocess.run(
                ["apt-get", *patient, *action],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if finished.returncode != 0:
                return finished.stdout
    return ""


def main() -> int:
    """The exit status: not 0 only when an installation failed in CI, where a skipped test must not look passed."""
    missing = missing_packages()
    if not missing:
        return 0
    names = [package.package for package in missing]
    wanted = " ".join(names)
    if os.geteuid() != 0 or not DEBIAN_MARK.exists() or shutil.which("apt-get") is None:
        print(f"Some tests will be skipped; to run them install: {wanted} (on Debian: apt-get install {wanted})")
        return 0
    print(f"Installing what the tests need: {wanted}", flush=True)
    problem = install(names)
    if problem:
        print(f"{problem}\nCould not install {wanted}; the tests that need them will be skipped.", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
