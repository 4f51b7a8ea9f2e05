"""`python -m tests.requirements` writes docs/requirements-scim.md."""

from tests.requirements.page import PAGE, read_requirements, render, server_marks

PAGE.write_text(render(read_requirements(), server_marks()), "utf-8")
