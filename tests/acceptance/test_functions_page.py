"""docs/expression-functions.md says what the table of functions says."""

from joiner.expressions.functions import FUNCTIONS
from tests.functions_page import PAGE, render


def test_the_page_of_functions_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(), "run `make docs`"


def test_every_function_has_its_section() -> None:
    headings = [line.removeprefix("## ") for line in render().splitlines() if line.startswith("## ")]
    assert headings == list(FUNCTIONS)
