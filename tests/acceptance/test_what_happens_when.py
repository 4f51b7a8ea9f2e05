"""docs/what-happens-when.md: every statement names the tests that prove it, and they exist."""

import ast
import re
from typing import Final

from tests.repository import ROOT, tracked_files

PAGE: Final = ROOT / "docs/what-happens-when.md"
STATEMENT: Final = re.compile(r"^- (.+?)(?=^- |^## |\Z)", re.MULTILINE | re.DOTALL)
PROOF: Final = re.compile(r"<!-- (test_\w+(?:, test_\w+)*) -->\s*\Z")


def statements() -> list[str]:
    return STATEMENT.findall(PAGE.read_text("utf-8"))


def test_every_statement_about_what_happens_is_proved_by_a_test_that_exists() -> None:
    tests = {
        node.name
        for file in tracked_files("tests/*/test_*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    found = statements()
    assert len(found) == PAGE.read_text("utf-8").count("\n- ")
    for statement in found:
        proof = PROOF.search(statement)
        assert proof is not None, f"no test proves: {statement}"
        assert set(proof[1].split(", ")) <= tests, statement
