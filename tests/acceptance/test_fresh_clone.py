"""What the README promises first: on a fresh clone, `make demo` and `make test` set everything up and work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

INSIDE = "JOINER_INSIDE_A_FRESH_CLONE"
"""Set in the clone's environment: these tests must not be among those that run there."""

PASSED_ON = ("PIP_", "SSL_CERT_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""How this machine reaches a package index is not part of what is tested."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fresh clone")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the last commit, without anything else of the working tree."""
    assert INSIDE not in os.environ, "the tests of a fresh clone run the tests of a fresh clone"
    folder = tmp_path_factory.mktemp("fresh") / "joiner"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of someone who has just got the machine: an empty home, and no virtual environment."""
    own = Path(sys.prefix, "bin").resolve()
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder and Path(folder).resolve() != own]
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    home = str(tmp_path_factory.mktemp("home"))
    return {**kept, "PATH": os.pathsep.join(path), "HOME": home, "LANG": "C.UTF-8", INSIDE: "1"}


def make(target: str, clone: Path, environment: dict[str, str]) -> str:
    """What `make target` prints. Fails when it does not succeed."""
    finished = subprocess.run(
        ["make", target],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def test_make_demo_runs_the_tutorial(clone: Path, environment: dict[str, str]) -> None:
    printed = make("demo", clone, environment).lower()
    assert [word for word in ("created", "updated", "disabled", "skipped") if word not in printed] == []


def test_make_test_sets_everything_up_and_runs_the_tests(clone: Path, environment: dict[str, str]) -> None:
    chosen = {**environment, "PYTEST_ADDOPTS": "tests/unit -v", "WORKERS": "1"}
    printed = make("test", clone, chosen)
    assert "PASSED tests/unit/" in printed
    assert "tests/acceptance/" not in printed
    assert " passed" in printed.splitlines()[-1]
