"""`python -m tests.requirements` writes the pages of requirements in docs."""

from tests.requirements.page import PAGES, all_marks, render

for page in PAGES:
    page.page.write_text(render(page, all_marks()), "utf-8")
