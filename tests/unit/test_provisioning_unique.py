"""Values that no other target object has: drawn lazily, asked about one by one, and escrowed when all are taken."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from joiner.expressions.compiler import Candidates
from joiner.expressions.errors import EvaluationError
from joiner.provisioning.decisions.decide import decide
from joiner.provisioning.decisions.decision import (
    Create,
    QueryMatch,
    QueryUnique,
    Scope,
    Settings,
    SourceObject,
    TargetState,
)
from joiner.provisioning.decisions.matching import match_queries, next_lookup
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.mapping.schema import SchemaError, parse_schema
from tests.mappings import document, mapping, users_of

NICK = "nickName"
IN_SCOPE = Scope(None, "in scope", {})
SEARCHED = TargetState(queries=((QueryMatch("userName", "a@x", False), 0),))
VALUES = {"userPrincipalName": "a@x"}


def plan_with(candidates: Candidates, **more: Any) -> ObjectPlan:
    plan = users_of(document(mapping(NICK, "[a]", flowType="ObjectAddOnly"), **{NICK: more}))
    flows = (replace(flow, candidates=candidates) if flow.target == NICK else flow for flow in plan.flows)
    return replace(plan, flows=tuple(flows))


def names(attributes: Mapping[str, Any]) -> Iterator[str]:
    yield "ada"
    yield "ada2"
    raise AssertionError("nobody asked for a third")


def answered(*taken: bool) -> TargetState:
    queries = zip(("ada", "ada2"), taken, strict=False)
    return msgspec.structs.replace(
        SEARCHED, unique=tuple(QueryUnique(NICK, value, is_taken) for value, is_taken in queries)
    )


def asked(plan: ObjectPlan, known: TargetState) -> Any:
    return next_lookup(plan, VALUES, IN_SCOPE, None, known, lambda: match_queries(plan, VALUES))


def decision_on(plan: ObjectPlan, known: TargetState) -> Any:
    source = SourceObject("User", "a1", "a@x", VALUES, True, False)
    return decide(source, VALUES, IN_SCOPE, None, known, plan, Settings())


def two(attributes: Mapping[str, Any]) -> Iterator[str]:
    return iter(("ada", "ada2"))


def test_candidates_are_asked_about_until_one_is_free() -> None:
    plan = plan_with(names)
    assert isinstance(asked(plan, TargetState()), QueryMatch)
    assert asked(plan, SEARCHED) == QueryUnique(NICK, "ada")
    assert asked(plan, answered(True)) == QueryUnique(NICK, "ada2")
    assert asked(plan, answered(False)) is None
    assert asked(plan, answered(True, False)) is None
    assert asked(replace(plan, adds=False), SEARCHED) is None


def test_the_free_candidate_is_created() -> None:
    request = decision_on(plan_with(names), answered(True, False)).request
    assert isinstance(request, Create)
    assert request.resource[NICK] == "ada2"


def test_an_object_whose_candidates_are_all_taken_is_not_created() -> None:
    plan = plan_with(two)
    assert asked(plan, answered(True, True)) is None
    decision = decision_on(plan, answered(True, True))
    assert (decision.status, decision.request) == ("failure", None)
    assert "every value that it may take exists in the target already: 'ada', 'ada2'" in decision.problem.reason


def test_without_candidates_the_value_is_null() -> None:
    none: Candidates = lambda attributes: iter(())  # noqa: E731
    assert asked(plan_with(none), SEARCHED) is None
    assert NICK not in decision_on(plan_with(none), SEARCHED).request.resource
    assert decision_on(plan_with(none, required=True), SEARCHED).problem.code == "MandatoryFieldsMissing"


def test_a_candidate_that_cannot_be_evaluated_fails_the_object() -> None:
    def fail(name: str) -> str:
        raise EvaluationError("no such thing")

    broken: Candidates = lambda attributes: map(fail, ["ada"])  # noqa: E731
    assert asked(plan_with(broken), SEARCHED) is None
    assert (
        "the mapping of nickName failed: no such thing, in [a]"
        in decision_on(plan_with(broken), SEARCHED).problem.reason
    )


def test_a_unique_value_is_never_written_to_who_exists() -> None:
    computed = plan_with(names).compute(VALUES, creating=False)
    assert NICK not in {flow.target for flow, _ in computed.values}


@pytest.mark.parametrize(
    ("more", "definition", "problem"),
    [
        ({}, {}, "needs the flowType ObjectAddOnly"),
        ({"flowType": "ObjectAddOnly", "matchingPriority": 2}, {}, "cannot be matched by"),
        ({"flowType": "ObjectAddOnly"}, {"multivalued": True}, "gives one text"),
    ],
)
def test_what_cannot_be_unique_is_refused(more: dict[str, Any], definition: dict[str, Any], problem: str) -> None:
    unique = mapping(NICK, "SelectUniqueValue([a], [b])", **more)
    with pytest.raises(SchemaError, match=problem):
        compile_plan(parse_schema(document(unique, **{NICK: definition})))


def test_a_guest_draws_from_the_name_that_is_exported() -> None:
    unique = mapping(NICK, 'SelectUniqueValue([userPrincipalName], "x")', flowType="ObjectAddOnly")
    (flow,) = users_of(document(unique, **{NICK: {}})).unique
    assert flow.candidates is not None
    drawn = flow.candidates({"userPrincipalName": "dana_north.example#EXT#@home.example"})
    assert list(drawn) == ["dana@north.example", "x"]
