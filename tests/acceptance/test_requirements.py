"""The pages of requirements in docs tell the truth: which are proven, by which tests."""

from pathlib import Path

import pytest

from tests.requirements.marks import Mark, marks_of
from tests.requirements.page import PAGES, Page, all_marks, read_requirements, read_unproven, render, unproven

EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.prefix)


@EACH_PAGE
def test_the_page_of_requirements_is_up_to_date(page: Page) -> None:
    assert page.page.read_text("utf-8") == render(page, all_marks()), "run `make docs`"


@EACH_PAGE
def test_every_requirement_has_one_statement_with_its_source_in_order(page: Page) -> None:
    requirements = read_requirements(page)
    numbers = [requirement.number for requirement in requirements]
    assert numbers == sorted(set(numbers))
    assert all(number.startswith(page.prefix) for number in numbers)
    assert [item for item in requirements if not (item.sources and item.statement.endswith("."))] == []


def test_no_test_names_a_requirement_that_does_not_exist() -> None:
    known = {requirement.number for page in PAGES for requirement in read_requirements(page)}
    # Those of the application side's administration have no page yet.
    numbers = {mark.requirement for mark in all_marks() if not mark.requirement.startswith("REQ-A-")}
    assert numbers - known == set()


def test_the_requirements_that_no_test_proves_are_exactly_those_listed() -> None:
    marks, listed = all_marks(), read_unproven()
    found = [number for page in PAGES for number in unproven(read_requirements(page), marks)]
    assert sorted(set(found) - set(listed)) == [], "no test proves these: do not let a proof go"
    assert sorted(set(listed) - set(found)) == [], "these are proven or unknown: take them out of unproven.txt"
    assert listed == found, "unproven.txt lists each number once, in order"


def write_test(folder: Path, text: str) -> list[Mark]:
    """The marks of one test file with this text."""
    file = folder / "test_it.py"
    file.write_text(text, "utf-8")
    return marks_of(folder, [file])


def test_a_test_that_is_expected_to_fail_proves_nothing(tmp_path: Path) -> None:
    marked = '@pytest.mark.req("REQ-S-001", "REQ-S-002")\n{}async def test_a(): ...\n'
    built = write_test(tmp_path, marked.format(""))
    assert [(mark.requirement, mark.test, mark.is_built) for mark in built] == [
        ("REQ-S-001", "test_a", True),
        ("REQ-S-002", "test_a", True),
    ]
    expected = write_test(tmp_path, marked.format('@pytest.mark.xfail(strict=True, reason="not built yet")\n'))
    assert [mark.is_built for mark in expected] == [False, False]


@pytest.mark.parametrize(
    "text",
    ['pytestmark = pytest.mark.req("REQ-S-001")\n', "@pytest.mark.req(NUMBER)\ndef test_a(): ...\n"],
)
def test_a_mark_that_would_be_overlooked_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"test_it\.py"):
        write_test(tmp_path, text)
