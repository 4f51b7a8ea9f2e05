"""Mappings see the time and chance that come with their object, and none can be saved that fails for every object."""

from datetime import UTC, datetime
from typing import Any

import pytest

from joiner.expressions.environment import Environment
from joiner.provisioning.decisions.decision import Entitlement, Scope, Settings, SourceObject
from joiner.provisioning.decisions.scope import source_values
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.mapping.schema import SchemaError, parse_schema

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
SOURCE = SourceObject("User", "a1", "ada@x.example", {"userPrincipalName": "ada@x.example"}, True, False)


def plan_of(**expressions: str) -> ObjectPlan:
    """A plan with these mappings beside the one that matches."""
    mappings: list[dict[str, Any]] = [
        {
            "targetAttributeName": "userName",
            "matchingPriority": 1,
            "source": {"type": "Attribute", "name": "userPrincipalName", "expression": "[userPrincipalName]"},
        }
    ]
    mappings += [
        {"targetAttributeName": target, "source": {"type": "Function", "name": "x", "expression": expression}}
        for target, expression in expressions.items()
    ]
    mapping = {"sourceObjectName": "User", "targetObjectName": "User", "attributeMappings": mappings}
    rule = {"id": "r", "sourceDirectoryName": "s", "targetDirectoryName": "t", "objectMappings": [mapping]}
    plan = compile_plan(parse_schema({"synchronizationRules": [rule]})).users
    assert plan is not None
    return plan


def test_all_mappings_of_an_object_see_the_same_time_and_draw_their_own_chance() -> None:
    drawn: list[int] = []

    def below(limit: int) -> int:
        drawn.append(limit)
        return len(drawn)

    plan = plan_of(title='Append("at ", Now())', nickName="Now()", displayName="Guid()", userType="Guid()")
    values = source_values(SOURCE, Entitlement(True), Scope(None, "in scope", {}), Settings(), Environment(NOON, below))
    computed = {flow.target: value for flow, value in plan.compute(values, creating=True).values}
    assert computed["title"] == "at 5/6/2026 12:00:00 PM"
    assert computed["nickName"] == "5/6/2026 12:00:00 PM"
    assert computed["displayName"] != computed["userType"]
    assert drawn == [1 << 128] * 2


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        (
            'Replace([x], , "(", , "b")',
            "the pattern '(' cannot be used: a group is not closed (position 2) (position 1)",
        ),
        ('Append([a], CDate("soon"))', "expression of CDate cannot be used: the constant is not a date: 'soon'"),
        ("DNComponent([dn], 1)", "the function 'DNComponent' of other services is not supported (position 1)"),
    ],
)
def test_a_mapping_that_fails_for_every_object_is_refused_when_it_is_saved(expression: str, problem: str) -> None:
    with pytest.raises(SchemaError) as caught:
        plan_of(title=expression)
    (told,) = caught.value.problems
    assert told.startswith(f"synchronizationRules[0].objectMappings[0].attributeMappings[1].source: {problem}")


def test_a_constant_that_some_objects_never_reach_is_no_reason_to_refuse_a_mapping() -> None:
    plan = plan_of(title='IIF([a] = "x", CDate("soon"), "later")')
    computed = plan.compute({"userPrincipalName": "u", "a": "y"}, creating=True)
    assert [value for _, value in computed.values] == ["u", "later"]


def test_several_texts_copied_to_one_are_evaluated_all_the_same() -> None:
    plan = plan_of(title="[a]", nickName="[b]")
    computed = plan.compute({"userPrincipalName": "u", "a": ["one", "two"], "b": 5}, creating=True)
    assert [value for _, value in computed.values] == ["u", "one", "5"]
