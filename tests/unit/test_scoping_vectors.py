"""Scoping filters: all vectors, and what is refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from joiner.errors import InvalidValueError
from joiner.provisioning.schema import AttributeDefinition, Filter
from joiner.provisioning.scoping import compile_filter, validate_filter

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
    with pytest.raises(InvalidValueError, match=reason) as caught:
        compile_filter(filter_of(groups))
    assert validate_filter(filter_of(groups), {}) == [f"groups[0].clauses[0]: {caught.value}"]


def test_the_reason_why_a_pattern_is_refused_is_told_in_words() -> None:
    (problem,) = validate_filter(filter_of(clause("REGEX MATCH", "(")), {})
    assert problem.endswith("the pattern '(' cannot be used: a group is not closed (position 2)")


@pytest.mark.req("REQ-P-045")
@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("appRoleAssignments", None),
        ("userType", None),
        ("manager", None),
        ("members", None),
        ("accountExpires", None),
        ("hired", AttributeDefinition(name="hired", type="DateTime")),
        ("proxyAddresses", AttributeDefinition(name="proxyAddresses", multivalued=True)),
        ("assistant", AttributeDefinition(name="assistant", type="Reference")),
    ],
)
def test_attributes_that_are_no_single_plain_value_are_refused(
    name: str, definition: AttributeDefinition | None
) -> None:
    groups = [[{"sourceOperandName": name, "operatorName": "IS NOT NULL"}]]
    (problem,) = validate_filter(filter_of(groups), {name: definition} if definition else {})
    assert problem.startswith(f"groups[0].clauses[0]: '{name}' cannot be filtered by")


def test_every_problem_of_a_filter_is_listed_with_its_place() -> None:
    good = {"sourceOperandName": "city", "operatorName": "EQUALS", "targetOperand": {"values": ["Oslo"]}}
    document = {
        "groups": [
            {"name": "one", "clauses": [good, {**good, "operatorName": "LIKE"}]},
            {"name": "", "clauses": [good]},
            {"name": "one", "clauses": []},
        ]
    }
    assert [problem.partition(":")[0] for problem in validate_filter(msgspec.convert(document, Filter), {})] == [
        "groups[0].clauses[1]",
        "groups[1].name",
        "groups[2].name",
        "groups[2].clauses",
    ]
    assert validate_filter(None, {}) == []
