"""Scoping filters: all vectors, and what is refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from joiner.provisioning.schema import Filter
from joiner.provisioning.scoping import FilterError, compile_filter

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "scoping-vectors.json").read_text("utf-8")
)


def filter_of(groups: list[list[dict[str, Any]]]) -> Filter:
    return msgspec.convert({"groups": [{"name": "title", "clauses": clauses} for clauses in groups]}, Filter)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    compiled = compile_filter(filter_of(vector["clauses"]))
    assert compiled.passes(vector["attributes"]) is vector["in_scope"]
    assert compiled.evaluate(vector["attributes"]).passed is vector["in_scope"]


def clause(operator: str, *values: str) -> list[list[dict[str, Any]]]:
    return [[{"sourceOperandName": "department", "operatorName": operator, "targetOperand": {"values": list(values)}}]]


@pytest.mark.req("REQ-P-048")
def test_each_clause_is_shown_with_title_attribute_operator_and_value() -> None:
    result = compile_filter(filter_of(clause("equals", "Sales"))).evaluate({"department": "Sales"})
    assert result.clauses == (("title department EQUALS 'Sales'", True),)


@pytest.mark.req("REQ-P-042", "REQ-P-046")
@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (clause("LIKE", "x"), "not an operator"),
        (clause("EQUALS"), "needs one value"),
        (clause("Greater_Than", "1.5"), "not a whole number"),
        (clause("REGEX MATCH", "(?<!x)y"), "cannot be used"),
        (clause("REGEX MATCH", "("), "cannot be used"),
    ],
)
def test_a_clause_that_cannot_work_is_refused(groups: list[list[dict[str, Any]]], reason: str) -> None:
    with pytest.raises(FilterError, match=reason):
        compile_filter(filter_of(groups))
