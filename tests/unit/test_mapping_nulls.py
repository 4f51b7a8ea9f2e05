"""Null values, defaults and clearing: what a create and an update make of a source without value."""

from typing import Any

import pytest

from joiner.provisioning.decisions.differences import differences
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.mapping.schema import SchemaError, parse_schema
from tests.mappings import FLOW_NULL, document, mapping, open_gates, users_of

NOTHING = "nothing is written"


def plan_with(source_gate: bool, mapping_gate: bool, **more: Any) -> ObjectPlan:
    gate = FLOW_NULL if mapping_gate else {}
    schema = document(mapping("title", "[jobTitle]", **gate, **more))
    if source_gate:
        open_gates(schema, "jobTitle")
    return users_of(schema)


def created(plan: ObjectPlan, title: Any) -> Any:
    computed = plan.compute({"userPrincipalName": "a@x", "jobTitle": title}, creating=True)
    return {flow.target: value for flow, value in computed.values}.get("title", NOTHING)


def updated(plan: ObjectPlan, title: Any, held: Any) -> Any:
    computed = plan.compute({"userPrincipalName": "a@x", "jobTitle": title}, creating=False)
    found = differences(computed.values, {"userName": "a@x", **({} if held is None else {"title": held})})
    return next(((item.verb, item.value) for item in found), NOTHING)


@pytest.mark.req("REQ-P-011", "REQ-P-013", "REQ-P-014")
@pytest.mark.parametrize(
    ("gates", "default", "title", "on_create", "on_update"),
    [
        ((False, False), None, "Boss", "Boss", ("replace", "Boss")),
        ((False, False), None, None, NOTHING, NOTHING),
        ((False, False), "None", None, "None", NOTHING),
        ((False, False), None, "", "", ("replace", "")),
        ((False, False), "None", "", "", ("replace", "")),
        ((True, False), None, None, NOTHING, NOTHING),
        ((False, True), None, None, NOTHING, NOTHING),
        ((True, True), None, None, NOTHING, ("remove", None)),
        ((True, True), None, "", NOTHING, ("remove", None)),
        ((True, True), "None", None, "None", ("remove", None)),
        ((True, True), "None", "", "None", ("remove", None)),
        ((True, True), "None", "Boss", "Boss", ("replace", "Boss")),
    ],
)
def test_what_becomes_of_a_value_that_is_null_or_empty(
    gates: tuple[bool, bool], default: str | None, title: Any, on_create: Any, on_update: Any
) -> None:
    plan = plan_with(*gates, defaultValue=default)
    assert created(plan, title) == on_create
    assert updated(plan, title, "Clerk") == on_update


@pytest.mark.req("REQ-P-014")
def test_what_the_target_does_not_have_is_not_cleared() -> None:
    assert updated(plan_with(True, True), None, None) == NOTHING
    assert updated(plan_with(False, False), "", None) == NOTHING


@pytest.mark.req("REQ-P-014")
def test_null_results_of_an_expression_clear_if_the_gates_of_all_it_reads_are_open() -> None:
    expression = 'Switch([jobTitle], , "Boss", [department])'
    for names, wanted in ((("jobTitle",), NOTHING), (("jobTitle", "department"), ("remove", None))):
        schema = document(mapping("title", expression, **FLOW_NULL))
        open_gates(schema, *names)
        assert updated(users_of(schema), "Clerk", "Boss") == wanted


@pytest.mark.req("REQ-P-014")
@pytest.mark.parametrize("flow_type", ["ObjectAddOnly", "ValueAddOnly", "AttributeAddOnly", "MultiValueAddOnly"])
def test_flow_types_that_only_add_clear_nothing(flow_type: str) -> None:
    assert updated(plan_with(True, True, flowType=flow_type), None, "Clerk") == NOTHING


@pytest.mark.req("REQ-P-014")
@pytest.mark.parametrize(
    ("definition", "more", "why"),
    [
        ({"multivalued": True}, {}, "has several values"),
        ({"required": True}, {}, "is required by the target"),
        ({}, {"matchingPriority": 2}, "is matched by"),
        ({"type": "Reference"}, {}, "is a reference"),
    ],
)
def test_null_values_are_refused_where_clearing_would_do_harm(
    definition: dict[str, Any], more: dict[str, Any], why: str
) -> None:
    schema = document(mapping("custom", "[jobTitle]", **FLOW_NULL, **more), custom=definition)
    with pytest.raises(SchemaError, match=f"null values cannot flow to 'custom': it {why}"):
        compile_plan(parse_schema(schema))


def test_a_required_attribute_without_value_takes_its_defaults_or_is_missing_when_created() -> None:
    for default, declared, wanted in (("m", "d", "m"), (None, "d", "d"), (None, None, NOTHING)):
        plan = users_of(
            document(
                mapping("custom", "[jobTitle]", defaultValue=default),
                custom={"required": True, "defaultValue": declared},
            )
        )
        computed = plan.compute({"userPrincipalName": "a@x"}, creating=True)
        assert {flow.target: value for flow, value in computed.values}.get("custom", NOTHING) == wanted
        assert [flow.target for flow in computed.missing] == (["custom"] if wanted == NOTHING else [])
        assert plan.compute({"userPrincipalName": "a@x"}, creating=False).missing == ()


def test_an_attribute_that_is_immutable_is_written_once() -> None:
    plan = users_of(document(mapping("custom", "[jobTitle]"), custom={"mutability": "Immutable"}))
    for creating in (True, False):
        computed = plan.compute({"userPrincipalName": "a@x", "jobTitle": "x"}, creating=creating)
        assert ("custom" in {flow.target for flow, _ in computed.values}) is creating
