"""An evaluation to look at: the value of every part of an expression, for whoever asks why it gave what it gave."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from joiner.errors import JoinerError
from joiner.expressions.compiler import compile_expression
from joiner.expressions.errors import IgnoreAttribute, IgnoreObject
from joiner.expressions.function import Evaluate
from joiner.expressions.syntax import Call, Comparison, Node, Omitted
from joiner.expressions.values import Value

Result = Literal["value", "error", "ignore attribute", "ignore object", "not evaluated"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What evaluating one part gave."""

    result: Result
    value: Value = None
    """With the result `value`."""
    error: str = ""
    """With the result `error`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One part of an expression."""

    text: str
    """As it is written."""
    position: int
    """Where it begins, from 0."""
    depth: int
    """0 for the whole, 1 for its arguments."""
    outcome: Outcome


NOT_EVALUATED = Outcome("not evaluated")


def explain(text: str, attributes: Mapping[str, Any]) -> tuple[Step, ...]:
    """The parts of the expression in the order of the text, the whole first. What a lazy function did not need is not
    evaluated here either. Raises ExpressionError."""
    outcomes: dict[int, Outcome] = {}

    def observe(node: Node, evaluate: Evaluate) -> Evaluate:
        def watched(attributes: Mapping[str, Any]) -> Value:
            try:
                value = evaluate(attributes)
            except IgnoreAttribute:
                outcomes[id(node)] = Outcome("ignore attribute")
                raise
            except IgnoreObject:
                outcomes[id(node)] = Outcome("ignore object")
                raise
            except JoinerError as error:
                outcomes[id(node)] = Outcome("error", error=str(error))
                raise
            outcomes[id(node)] = Outcome("value", value)
            return value

        return watched

    compiled = compile_expression(text, observe)
    # What it raises, the outermost step says.
    with suppress(JoinerError, IgnoreAttribute, IgnoreObject):
        compiled.evaluate(attributes)
    steps: list[Step] = []

    def collect(node: Node, depth: int) -> None:
        if isinstance(node, Omitted):
            return
        start, end = node.span
        steps.append(Step(text[start:end], start, depth, outcomes.get(id(node), NOT_EVALUATED)))
        match node:
            case Call(_, arguments):
                for argument in arguments:
                    collect(argument, depth + 1)
            case Comparison(_, left, right):
                collect(left, depth + 1)
                collect(right, depth + 1)

    collect(compiled.tree, 0)
    return tuple(steps)
