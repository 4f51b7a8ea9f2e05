"""SelectUniqueValue: the first of several values that nobody has in the target yet."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from joiner.expressions.environment import environment_of
from joiner.expressions.errors import EvaluationError
from joiner.expressions.function import Evaluate, Missing
from joiner.expressions.values import Value, text_of

Arguments = Sequence[Evaluate | Missing]


def candidates(rules: Arguments, attributes: Mapping[str, Any]) -> Iterator[str]:
    """The rules' values one after the other, each evaluated when it is asked for; null and empty ones are left out
    (D-25)."""
    for rule in rules:
        text = None if isinstance(rule, Missing) else text_of(rule(attributes))
        if text:
            yield text


def select(rules: Arguments, attributes: Mapping[str, Any]) -> Value:
    """The first candidate that does not exist by what the environment says. Raises EvaluationError if all do."""
    exists = environment_of(attributes, "SelectUniqueValue").exists
    if exists is None:
        raise EvaluationError("SelectUniqueValue has to ask the target, which cannot be done here")
    taken = []
    for candidate in candidates(rules, attributes):
        if not exists(candidate):
            return candidate
        taken.append(candidate)
    raise EvaluationError(f"SelectUniqueValue finds no free value; taken: {', '.join(taken) or 'there is none'}")
