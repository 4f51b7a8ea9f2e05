"""The documentation holds: its links lead somewhere and its examples run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repository import FENCE, HEADING, ROOT, name_of, prose_lines, tracked_files
from tests.services import accepts_connections, free_port, require_program, skipped_if_missing
from tests.waiting import wait_until

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INLINE_CODE = re.compile(r"`[^`]*`")

MARK = re.compile(r"^ *<!-- runs(: in the background)? -->$")
"""The line before an example that is to be executed; in the background until the page's last example has ended."""

SHOWN_PORT = "8080"
"""The port in the examples, the default one; replaced by a free one, which the server gets through JOINER_PORT."""


def markdown_files() -> list[Path]:
    """The pages that a reader may come across."""
    return tracked_files("*.md")


def anchors(path: Path) -> set[str]:
    """The names of a page's headings as the usual hosting sites make them."""
    titles = [found[1] for _, line in prose_lines(path.read_text(encoding="utf-8")) if (found := HEADING.match(line))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    """Where a relative link of the page leads to nothing."""
    for number, line in prose_lines(page.read_text(encoding="utf-8")):
        for target in LINK.findall(INLINE_CODE.sub("", line)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            if not file.is_relative_to(ROOT) or not file.exists():
                yield f"{name_of(page)}:{number}: {target} does not exist"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield f"{name_of(page)}:{number}: {target} has no such heading"


def test_every_relative_link_leads_somewhere() -> None:
    pages = markdown_files()
    assert len(pages) > 5
    assert [broken for page in pages for broken in broken_links(page)] == []


@dataclass(frozen=True)
class Example:
    """A marked block of shell commands."""

    line: int
    commands: str
    in_background: bool


def examples_of(page: Path) -> list[Example]:
    """The page's marked examples in their order. Raises ValueError for a mark that no ```sh block follows."""
    lines = page.read_text(encoding="utf-8").splitlines()
    examples = []
    for index, line in enumerate(lines):
        mark = MARK.match(line)
        if mark is None:
            continue
        if index + 1 == len(lines) or lines[index + 1].strip() != "```sh":
            raise ValueError(f"{name_of(page)}:{index + 1}: no ```sh block follows")
        end = next(number for number in range(index + 2, len(lines)) if FENCE.match(lines[number]))
        examples.append(Example(index + 3, "\n".join(lines[index + 2 : end]), mark[1] is not None))
    return examples


def marked_pages() -> list[Path]:
    """The pages that have examples to run."""
    return [page for page in markdown_files() if examples_of(page)]


@contextmanager
def background(command: list[str], port: int, log: Path, cwd: Path, env: dict[str, str]) -> Iterator[None]:
    """Runs the command while the block lasts, which begins once the port answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: process.poll() is not None or accepts_connections(port))
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("page", marked_pages(), ids=name_of)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    with skipped_if_missing():
        bash, _ = require_program("bash"), require_program("curl")
    port, folder = free_port(), tmp_path / "reader"
    folder.mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "JOINER_PORT": str(port)}
    with ExitStack() as running:
        for example in examples_of(page):
            commands = example.commands.replace(SHOWN_PORT, str(port))
            if example.in_background:
                # `exec` lets the signal that ends it reach the command instead of its shell.
                command, log = [bash, "-c", f"exec {commands}"], tmp_path / f"{example.line}.log"
                running.enter_context(background(command, port, log, cwd=folder, env=environment))
                continue
            finished = subprocess.run(
                [bash, "-euo", "pipefail", "-c", commands],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert finished.returncode == 0, f"{name_of(page)}:{example.line}\n{finished.stdout}{finished.stderr}"
