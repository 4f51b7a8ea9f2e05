"""Every vector of the specification holds, every function has some, and the comparison can tell wrong from right."""

import json
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from joiner.errors import InvalidValueError
from joiner.expressions.environment import Environment
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.vectors import Vector, failures, holds, outcome, read_vectors

VECTORS = read_vectors(
    json.loads((Path(__file__).parents[1] / "vectors" / "expression-vectors.json").read_text("utf-8"))
)
HERE = Environment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), secrets.randbelow)
CALL = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|([A-Za-z][A-Za-z0-9_]*)\s*\(')
EXTRA = frozenset({"ConvertFromBase64", "Prepend", "Trim"})
"""Functions of other services' schemas, which no vector calls."""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_vector(vector: Vector) -> None:
    got = outcome(vector, HERE)
    assert holds(vector.expected, got), f"{vector.expression}\nexpected {vector.expected!r}, got {got!r}"


def test_every_function_has_vectors_and_there_are_44() -> None:
    proved = {
        match[1]
        for vector in VECTORS
        if vector.expected != {"$error": True}
        for match in CALL.finditer(vector.expression)
    }
    assert FUNCTIONS.keys() - EXTRA <= proved
    assert len(FUNCTIONS.keys() - EXTRA) == 44


@pytest.mark.parametrize(
    ("expected", "right", "wrong"),
    [
        ("a", "a", "A"),
        (True, "True", "true"),
        (12, "12", "12.5"),
        (None, [], ""),
        (["a", 1], ["a", "1"], ["a"]),
        ({"$error": True}, {"$error": "why"}, None),
        ({"$ignore": True}, {"$ignore": True}, {"$ignoreObject": True}),
        ({"$ignoreObject": True}, {"$ignoreObject": True}, "x"),
        ({"$pattern": "^[0-9a-f]{4}$"}, "0af9", "0AF9"),
        ({"$random": {"length": 3, "min_digits": 1, "excluded": "x"}}, "a1b", "abc"),
        ({"$random": {"length": 3, "min_upper": 1}}, "aBc", "abcD"),
        ({"$random": {"excluded": "xy"}}, "abc", "ax"),
    ],
)
def test_an_outcome_is_compared_by_value(expected: Any, right: Any, wrong: Any) -> None:
    assert holds(expected, right)
    assert not holds(expected, wrong)


def test_a_failure_has_the_vector_and_what_came_of_it() -> None:
    vectors = read_vectors(
        [
            {"expression": "Append([a], [b])", "attributes": {"a": "1", "b": None}, "expected": "1"},
            {"expression": "Append([a])", "expected": "1"},
        ]
    )
    (failure,) = failures(vectors, HERE)
    assert failure.vector is vectors[1]
    assert failure.got["$error"].startswith("Append takes 2 arguments, not 1")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "a file of vectors is an array of objects"),
        ([{"id": "one", "expression": "[a]", "expected": 1}, 5], "entry 2: Expected `object`, got `int`"),
        ([{"id": "one", "expression": "[a]"}], "entry 1 (one): Object missing required field `expected`"),
        ([{"id": "x", "expression": 5, "expected": 1}], "entry 1 (x): Expected `str`, got `int` - at `$.expression`"),
        ([{"expression": "[a]", "expected": {"$eror": True}}], "entry 1: expected: an object has one member"),
        ([{"expression": "[a]", "expected": {"$pattern": "("}}], "entry 1: the pattern '(' cannot be used"),
        ([{"expression": "[a]", "expected": 1, "now": "noon"}], "entry 1: now: 'noon' is not a time"),
    ],
)
def test_a_malformed_file_is_refused_with_the_entry(document: Any, problem: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        read_vectors(document)
    assert str(caught.value).startswith(problem)
