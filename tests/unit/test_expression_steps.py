"""An evaluation shows the value of each part, and of what was not needed that it was not evaluated."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.expressions.compiler import compile_expression
from joiner.expressions.errors import ExpressionError
from joiner.expressions.function import Evaluate
from joiner.expressions.steps import NOT_EVALUATED, Outcome, Step, explain
from joiner.expressions.syntax import Node
from joiner.expressions.values import Value


def shown(text: str, **attributes: object) -> list[tuple[str, int, object]]:
    return [
        (step.text, step.depth, step.outcome.value if step.outcome.result == "value" else step.outcome.result)
        for step in explain(text, attributes)
    ]


def test_every_part_has_its_text_place_depth_and_value() -> None:
    text = 'Join(" ", [a], Left([b], 2))'
    steps = explain(text, {"a": "x", "b": "yyy"})
    assert [(step.text, step.position, step.depth, step.outcome.value) for step in steps] == [
        (text, 0, 0, "x yy"),
        ('" "', 5, 1, " "),
        ("[a]", 10, 1, "x"),
        ("Left([b], 2)", 15, 1, "yy"),
        ("[b]", 20, 2, "yyy"),
        ("2", 25, 2, 2),
    ]


def test_what_a_lazy_function_did_not_need_is_not_evaluated() -> None:
    assert shown('IIF([a] = "1", Left([b], 1), [c])', a="2", b="x", c="y") == [
        ('IIF([a] = "1", Left([b], 1), [c])', 0, "y"),
        ('[a] = "1"', 1, False),
        ("[a]", 2, "2"),
        ('"1"', 2, "1"),
        ("Left([b], 1)", 1, "not evaluated"),
        ("[b]", 2, "not evaluated"),
        ("1", 2, "not evaluated"),
        ("[c]", 1, "y"),
    ]


def test_an_error_shows_where_it_arose_and_what_was_not_reached() -> None:
    whole, inner, *rest = explain("Append(CDate([a]), [b])", {"a": "never"})
    assert whole.outcome == inner.outcome
    assert inner.outcome.error == "the argument of CDate is not a date: 'never'"
    assert rest == [
        Step("[a]", 13, 2, Outcome("value", "never")),
        Step("[b]", 19, 1, NOT_EVALUATED),
    ]


def test_what_is_ignored_says_so() -> None:
    assert explain("IgnoreFlowIfNullOrEmpty([a])", {})[0].outcome.result == "ignore attribute"
    assert explain("IIF(True, IgnoreObjectFlow, 1)", {})[0].outcome.result == "ignore object"


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(st.sampled_from(["Join", "Coalesce", "Switch"]), st.lists(inner, min_size=4, max_size=4)).map(
            lambda found: f"{found[0]}({', '.join(found[1])})"
        ),
        st.tuples(inner, inner, inner).map(lambda found: f"IIF(IsNull({found[0]}), {found[1]}, {found[2]})"),
    )


@given(st.recursive(st.sampled_from(["[a]", '"x"', "1", "[none]"]), calls, max_leaves=20))
def test_no_part_is_evaluated_twice(text: str) -> None:
    evaluated: list[Node] = []

    def observe(node: Node, evaluate: Evaluate) -> Evaluate:
        def counted(attributes: Mapping[str, Any]) -> Value:
            evaluated.append(node)
            return evaluate(attributes)

        return counted

    compile_expression(text, observe).evaluate({"a": "x"})
    assert len(evaluated) == len({id(node) for node in evaluated})


def test_omitted_arguments_are_no_parts() -> None:
    assert shown('Switch([a], , "k", "v")', a="k")[0][2] == "v"
    assert "" not in [text for text, _, _ in shown('Switch([a], , "k", "v")', a="k")]


def test_what_cannot_be_parsed_is_no_evaluation() -> None:
    with pytest.raises(ExpressionError):
        explain("Append(", {})
