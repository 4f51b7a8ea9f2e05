"""The requirements, and the pages that say which tests prove each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

from tests.repository import ROOT, tracked_files
from tests.requirements.marks import Mark, marks_of

UNPROVEN: Final = ROOT / "tests/requirements/unproven.txt"
"""The numbers of all pages that are known to be without proof."""


@dataclass(frozen=True)
class Page:
    """One table of statements, and the page that is made of it."""

    prefix: str
    """How its numbers begin."""
    statements: Path
    page: Path
    introduction: str


SERVER: Final = Page(
    "REQ-S-",
    ROOT / "tests/requirements/scim-server.tsv",
    ROOT / "docs/requirements-scim.md",
    """\
# Requirements of the SCIM server

What the application side's SCIM endpoint has to do, a line each, and the tests that prove it. Written by `make docs`
from `tests/requirements/scim-server.tsv` and the marks `@pytest.mark.req("REQ-S-…")` in `tests`; a test fails when it
is out of date.

The sources stand in brackets: RFCs with their sections, the clients that need it (Entra, Okta), the suites that check
it (Microsoft validator), T-numbers of the [tolerance list](tolerance.md), *decision* where the RFCs leave it open or
contradict each other, *lenient* where it holds in that profile only.
""",
)
CLIENT: Final = Page(
    "REQ-C-",
    ROOT / "tests/requirements/scim-client.tsv",
    ROOT / "docs/requirements-scim-client.md",
    """\
# Requirements of the SCIM client

What the provisioning engine has to do as a client of SCIM applications, a line each, and the tests that prove it.
Written by `make docs` from `tests/requirements/scim-client.tsv` and the marks `@pytest.mark.req("REQ-C-…")` in
`tests`; a test fails when it is out of date.

The sources stand in brackets: RFCs with their sections, what Entra documents, *inferred* from what is documented,
*decision* where nothing is.
""",
)
PROVISIONING: Final = Page(
    "REQ-P-",
    ROOT / "tests/requirements/provisioning.tsv",
    ROOT / "docs/requirements-provisioning.md",
    """\
# Requirements of the provisioning service

What the directory side has to do, a line each, and the tests that prove it. Written by `make docs` from
`tests/requirements/provisioning.tsv` and the marks `@pytest.mark.req("REQ-P-…")` in `tests`; a test fails when it is
out of date.

They follow what Microsoft documents of the provisioning service of Entra ID.
""",
)
PAGES: Final = (SERVER, CLIENT, PROVISIONING)


@dataclass(frozen=True)
class Requirement:
    """One line of the table of statements."""

    number: str
    area: str
    sources: str
    statement: str


def read_requirements(page: Page) -> list[Requirement]:
    """The requirements in their order."""
    lines = page.statements.read_text("utf-8").splitlines()[1:]
    return [Requirement(*line.split("\t")) for line in lines]


def read_unproven() -> list[str]:
    """The numbers that are known to be without proof, in their order."""
    return UNPROVEN.read_text("utf-8").split()


def all_marks() -> list[Mark]:
    """The marks in all tests."""
    return marks_of(ROOT, tracked_files("tests/*/test_*.py"))


def unproven(requirements: Iterable[Requirement], marks: Iterable[Mark]) -> list[str]:
    """The numbers that no test proves, in their order."""
    proven = {mark.requirement for mark in marks if mark.is_built}
    return [requirement.number for requirement in requirements if requirement.number not in proven]


def render(page: Page, marks: Sequence[Mark]) -> str:
    """The page's text."""
    requirements = read_requirements(page)
    open_numbers = unproven(requirements, marks)
    proven = len(requirements) - len(open_numbers)
    parts = [page.introduction, f"{proven} of {len(requirements)} are proven.\n"]
    for area, group in groupby(requirements, key=attrgetter("area")):
        parts.append(f"## {area}\n\n| number | requirement | tests |\n|---|---|---|\n{''.join(_rows(group, marks))}")
    return "\n".join(parts)


def _rows(requirements: Iterable[Requirement], marks: Sequence[Mark]) -> Iterator[str]:
    for requirement in requirements:
        naming = [mark for mark in marks if mark.requirement == requirement.number]
        proofs = [mark for mark in naming if mark.is_built]
        cell = _links(proofs) or (f"not built yet: {_links(naming)}" if naming else "none yet")
        statement = requirement.statement.replace("|", r"\|")
        yield f"| {requirement.number} | {statement} [{requirement.sources}] | {cell} |\n"


def _links(marks: Iterable[Mark]) -> str:
    """The tests by file: the file as a link, the functions as text."""
    return "; ".join(
        f"[{file.rpartition('/')[2]}](../{file}): {', '.join(f'`{mark.test}`' for mark in group)}"
        for file, group in groupby(sorted(marks, key=attrgetter("file")), key=attrgetter("file"))
    )
