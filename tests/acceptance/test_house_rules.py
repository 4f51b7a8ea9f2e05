"""The rules that keep the house in order, where no linter knows them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import joiner
from tests.repository import ROOT, name_of, tracked_files

LINES_IN_A_FILE = 600

LOCK_LINE = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)

UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")

MACHINE_PATH = re.compile(r"(?<![\w.~}/-])/(?:root|work|home)/")

REGISTRIES = ("pypi" + ".org", "python" + "hosted.org", "registry.npm" + "js.org", "deb.debian" + ".org")


def texts() -> dict[str, str]:
    """The repository's text files by name."""
    found = {}
    for path in tracked_files():
        try:
            found[name_of(path)] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def dependencies() -> list[Requirement]:
    """What the project and its extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in [*project["dependencies"], *extras]]


def test_no_source_file_is_longer_than_one_idea() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in tracked_files("*.py")}
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > LINES_IN_A_FILE} == {}


def test_nothing_is_left_as_unfinished() -> None:
    assert [name for name, text in texts().items() if UNFINISHED.search(text)] == []


def test_no_file_names_a_path_of_some_machine_or_a_package_registry() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line) or any(registry in line for registry in REGISTRIES)
    ]
    assert found == []


@pytest.mark.parametrize("line", ["see /" + "root/notes", "cd '/" + "home/ada/joiner'", 'open("/' + 'work/x")'])
def test_a_path_of_some_machine_is_recognised(line: str) -> None:
    assert MACHINE_PATH.search(line)


def test_every_dependency_is_justified() -> None:
    table = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    justified = {canonicalize_name(name) for name in re.findall(r"^\| `([^`\[]+)[^`]*` \|", table, re.MULTILINE)}
    wanted = {canonicalize_name(requirement.name) for requirement in dependencies()}
    assert wanted - justified == set(), "docs/dependencies.md does not say what these are for"
    assert justified - wanted == set(), "docs/dependencies.md explains what is not used"


def test_the_lock_file_pins_every_dependency_to_an_allowed_version_with_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {canonicalize_name(name): version for name, version in LOCK_LINE.findall(lock)}
    wrong = [
        str(requirement)
        for requirement in dependencies()
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert wrong == [], "run `make lock`"
    assert lock.count("--hash=sha256:") >= len(pinned)


def test_every_decision_is_listed_in_order() -> None:
    folder = ROOT / "docs/decisions"
    decisions = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    linked = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert decisions
    assert linked == decisions
    assert [name[:4] for name in decisions] == [f"{number:04d}" for number in range(1, len(decisions) + 1)]


def test_packages_import_only_from_lower_floors() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout


def test_the_changelog_has_an_entry_for_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(joiner.__version__)}\b", changelog, re.MULTILINE)
