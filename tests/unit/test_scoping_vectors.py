"""Scoping filters: all vectors, and what is refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from joiner.errors import InvalidValueError
from joiner.provisioning.mapping.schema import AttributeDefinition, Filter
from joiner.provisioning.mapping.scope_vectors import run_vector, run_vectors
from joiner.provisioning.mapping.scoping import compile_filter, validate_filter

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "scoping-vectors.json").read_text("utf-8")
)


def filter_of(groups: list[list[dict[str, Any]]]) -> Filter:
    return msgspec.convert({"groups": [{"name": "title", "clauses": clauses} for clauses in groups]}, Filter)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    assert run_vector(0, vector) is None


def clause(operator: str, *values: str) -> list[list[dict[str, Any]]]:
    return [[{"sourceOperandName": "department", "operatorName": operator, "targetOperand": {"values": list(values)}}]]


@pytest.mark.req("REQ-P-048")
def test_each_clause_is_shown_with_title_attribute_operator_and_value() -> None:
    result = compile_filter(filter_of(clause("equals", "Sales"))).evaluate({"department": "Sales"})
    assert result.clauses == (("title department EQUALS 'Sales'", True),)
    assert result.document == "{\"title.department EQUALS 'Sales'\":true}"


@pytest.mark.req("REQ-P-048")
def test_the_result_is_json_whatever_the_filter_says() -> None:
    groups = [{"name": 'the "best"', "clauses": clause("REGEX MATCH", r"R\.D")[0] + clause("EQUALS", '"')[0]}]
    result = compile_filter(msgspec.convert({"groups": groups}, Filter)).evaluate({"department": "R.D"})
    told = {r"""the "best".department REGEX MATCH 'R\.D'""": True, """the "best".department EQUALS '"'""": False}
    assert json.loads(result.document) == told
    assert result.failed == ("""the "best" department EQUALS '"'""",)


@pytest.mark.req("REQ-P-037", "REQ-P-038", "REQ-P-039", "REQ-P-040", "REQ-P-041", "REQ-P-043", "REQ-P-044")
@pytest.mark.parametrize(
    ("operator", "operand", "value", "holds"),
    [
        ("REGEX MATCH", "([1-9][0-9])", "42", True),
        ("REGEX MATCH", "([1-9][0-9])", "100", False),
        ("REGEX MATCH", "([1-9][0-9])", 42, True),
        ("REGEX MATCH", "a|ab", "ab", True),
        ("REGEX MATCH", "Sales", "Sales team", False),
        ("REGEX MATCH", ".*sales.*", "Sales", False),
        ("NOT REGEX MATCH", "([1-9][0-9])", "100", True),
        ("NOT REGEX MATCH", "([1-9][0-9])", "42", False),
        ("NOT REGEX MATCH", "x", None, False),
        ("EQUALS", "sales", "Sales", False),
        ("EQUALS", "false", False, False),
        ("EQUALS", "False", False, True),
        ("NOT EQUALS", "sales", "", False),
        ("NOT EQUALS", "sales", " ", False),
        ("Includes", "a", None, False),
        ("ENDS_WITH", ".COM", "a.com", False),
        ("&", "Sales;HR", "HR", True),
        ("&", "Sales;HR", "hr", False),
        ("&", "Sales;HR", "", False),
        ("!&", "Sales;HR", "IT", True),
        ("!&", "Sales;HR", "", False),
        ("Greater_Than", "9", "10", True),
        ("Greater_Than", "10", "10", False),
        ("Greater_Than", "-5", -4, True),
        ("Greater_Than", "9", "9.5", False),
        ("Greater_Than", "0", True, False),
        ("Greater_Than", "many", "10", False),
        ("Greater_Than_OR_EQUALS", "10", 10, True),
        ("Greater_Than_OR_EQUALS", "10", None, False),
        ("IS NULL", None, None, True),
        ("IS NULL", None, "", True),
        ("IS NULL", None, "  ", True),
        ("IS NULL", None, [], True),
        ("IS NULL", None, False, False),
        ("IS NULL", None, 0, False),
        ("IS NOT NULL", None, False, True),
        ("IS NOT NULL", None, "", False),
        ("IS TRUE", None, True, True),
        ("IS TRUE", None, "True", True),
        ("IS TRUE", None, False, False),
        ("IS TRUE", None, 1, False),
        ("IS TRUE", None, None, False),
        ("IS FALSE", None, False, True),
        ("IS FALSE", None, "False", True),
        ("IS FALSE", None, None, False),
        ("IS FALSE", None, "", False),
    ],
)
def test_each_operator_is_true_when_the_specification_says(
    operator: str, operand: str | None, value: Any, holds: bool
) -> None:
    groups = clause(operator, *([] if operand is None else [operand]))
    assert compile_filter(filter_of(groups)).passes({"department": value}) is holds


@pytest.mark.parametrize("spelling", ["not_equals", "NOT_EQUALS", "Not Equals", " NOT EQUALS "])
def test_operators_may_be_spelled_with_underscores_and_in_any_case(spelling: str) -> None:
    assert compile_filter(filter_of(clause(spelling, "HR"))).passes({"department": "Sales"})


@pytest.mark.req("REQ-P-042", "REQ-P-046")
@pytest.mark.parametrize(
    ("groups", "path", "reason"),
    [
        (clause("LIKE", "x"), "operatorName", "'LIKE' is not an operator"),
        (clause("EQUALS"), "targetOperand.values", "needs one value"),
        (clause("EQUALS", ""), "targetOperand.values", "needs one value"),
        (clause("EQUALS", "a", "b"), "targetOperand.values", "needs one value"),
        (clause("IS NULL", "a"), "targetOperand.values", "takes no value"),
        (clause("Greater_Than", "1.5"), "targetOperand.values[0]", "not a whole number"),
        (clause("REGEX MATCH", "(?<!x)y"), "targetOperand.values[0]", "cannot be used"),
        (clause("NOT REGEX MATCH", "("), "targetOperand.values[0]", "'(' cannot be used: a group is not closed"),
    ],
)
def test_a_clause_that_cannot_work_is_refused(groups: list[list[dict[str, Any]]], path: str, reason: str) -> None:
    (problem,) = validate_filter(filter_of(groups), {})
    assert problem.path == f"groups[0].clauses[0].{path}"
    assert reason in problem.message


@pytest.mark.parametrize("groups", [clause("LIKE", "x"), clause("EQUALS"), clause("REGEX MATCH", "(")])
def test_a_clause_that_means_nothing_is_not_compiled(groups: list[list[dict[str, Any]]]) -> None:
    with pytest.raises(InvalidValueError):
        compile_filter(filter_of(groups))


def test_a_vector_that_fails_tells_what_each_clause_said() -> None:
    vectors = [
        {"id": "good", "clauses": clause("EQUALS", "HR"), "attributes": {"department": "HR"}, "in_scope": True},
        {"id": "bad", "clauses": clause("EQUALS", "HR"), "attributes": {"department": "IT"}, "in_scope": True},
        {"id": "odd", "clauses": clause("LIKE", "HR"), "attributes": {}, "in_scope": True},
    ]
    bad, odd = run_vectors(vectors)
    assert (bad.id, bad.expected, bad.got, bad.reason) == ("bad", True, False, "department EQUALS 'HR': false")
    assert (odd.id, odd.got) == ("odd", None)
    assert "'LIKE' is not an operator" in odd.reason


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        ({}, "must hold a list"),
        ([5], "entry 1 must be an object"),
        ([{"id": "x", "attributes": {}, "in_scope": True}], "x: 'clauses' must be a list"),
        ([{"clauses": [], "attributes": [], "in_scope": True}], "entry 1: 'attributes' must be an object"),
        ([{"clauses": [], "attributes": {}, "in_scope": 1}], "entry 1: 'in_scope' must be true or false"),
    ],
)
def test_a_file_that_holds_no_vectors_is_refused_naming_the_entry(vectors: Any, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        run_vectors(vectors)


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
    assert problem.path == "groups[0].clauses[0].sourceOperandName"
    assert problem.message.startswith(f"'{name}' cannot be filtered by")


def test_every_problem_of_a_filter_is_listed_with_its_place() -> None:
    good = {"sourceOperandName": "city", "operatorName": "EQUALS", "targetOperand": {"values": ["Oslo"]}}
    document = {
        "groups": [
            {"name": "one", "clauses": [good, {**good, "operatorName": "LIKE"}]},
            {"name": "", "clauses": [good]},
            {"name": "one", "clauses": []},
        ]
    }
    assert [problem.path for problem in validate_filter(msgspec.convert(document, Filter), {})] == [
        "groups[0].clauses[1].operatorName",
        "groups[1].name",
        "groups[2].name",
        "groups[2].clauses",
    ]
    assert validate_filter(None, {}) == []
