"""Every vector of every function in the table, and nothing in the table without a vector."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from joiner.errors import JoinerError
from joiner.expressions.compiler import compile_expression
from joiner.expressions.errors import IgnoreAttribute, IgnoreObject
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.values import canonical_text

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "expression-vectors.json").read_text("utf-8")
)
CALL = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|([A-Za-z][A-Za-z0-9_]*)\s*\(')


ABSENT = frozenset({"Guid", "Now", "RandomString", "SelectUniqueValue"})
"""Functions of the language that do not exist yet."""


def calls(vector: dict[str, Any]) -> set[str]:
    return {match[1] for match in CALL.finditer(vector["expression"]) if match[1]}


def is_error(vector: dict[str, Any]) -> bool:
    return bool(vector["expected"] == {"$error": True})


# A function that does not exist yet is an error like any other, so an expected error would prove nothing.
RUNNABLE = [v for v in VECTORS if calls(v) <= FUNCTIONS.keys() or (v["function"] == "(grammar)" and is_error(v))]


def outcome(vector: dict[str, Any]) -> Any:
    attributes = {name: value for name, value in vector["attributes"].items() if value is not None}
    try:
        return plain(compile_expression(vector["expression"]).evaluate(attributes))
    except IgnoreAttribute:
        return {"$ignore": True}
    except IgnoreObject:
        return {"$ignoreObject": True}
    except JoinerError:
        return {"$error": True}


def plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return value
    return canonical_text(value)


@pytest.mark.parametrize("vector", RUNNABLE, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    assert outcome(vector) == (expected if isinstance(expected, dict) else plain(expected))


def test_every_function_of_the_table_has_vectors() -> None:
    proved = {name for vector in RUNNABLE if not is_error(vector) for name in calls(vector)}
    assert FUNCTIONS.keys() <= proved


def test_vectors_of_functions_that_do_not_exist_yet_are_counted() -> None:
    waiting = Counter(name for vector in VECTORS if vector not in RUNNABLE for name in calls(vector) - FUNCTIONS.keys())
    print(f"{len(VECTORS) - len(RUNNABLE)} of {len(VECTORS)} vectors wait for {dict(waiting)}")
    assert waiting.keys() == ABSENT
