"""Which tests name which requirements, read from the tests' source without running or importing them."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Mark:
    """One requirement named by one test with `@pytest.mark.req`."""

    requirement: str
    file: str
    """From the repository's root, with slashes."""
    test: str
    is_built: bool
    """False while the test is expected to fail: it says what is required, and proves nothing yet."""


def marks_of(root: Path, files: Iterable[Path]) -> list[Mark]:
    """The marks in the files, sorted. Raises ValueError for one that is not a test's decorator with constants."""
    return sorted(mark for file in files for mark in _marks(file.relative_to(root).as_posix(), file.read_text("utf-8")))


def _marks(file: str, source: str) -> Iterator[Mark]:
    tree = ast.parse(source, file)
    seen = 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        is_built = not any(_is_mark(decorator, "xfail") for decorator in node.decorator_list)
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) or not _is_mark(decorator, "req"):
                continue
            seen += 1
            for argument in decorator.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    raise ValueError(f"{file}:{argument.lineno}: a requirement is named by a plain text")
                yield Mark(argument.value, file, node.name, is_built)
    if seen != sum(_is_mark(node, "req") for node in ast.walk(tree) if isinstance(node, ast.Call)):
        raise ValueError(f"{file}: pytest.mark.req stands only directly on a test")


def _is_mark(node: ast.expr, name: str) -> bool:
    """Whether the expression is `pytest.mark.NAME` or a call of it."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node) == f"pytest.mark.{name}"
