"""What one function of the mapping language is; the functions themselves stand in `functions.py`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from joiner.expressions.syntax import Node
from joiner.expressions.values import Value


class Missing:
    """The type of `MISSING`: an argument that was not provided, which differs from an empty text."""


MISSING: Final = Missing()
Evaluate = Callable[[Mapping[str, Any]], Value]
"""Attribute name → value in, value out. Raises EvaluationError, IgnoreAttribute, IgnoreObject."""
Lazy = Callable[[Sequence[Evaluate | Missing], Mapping[str, Any]], Value]
Kind = Literal["String", "Integer", "Boolean", "DateTime", "Any", "Roles"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as the function list of the API shows it."""

    name: str
    kind: Kind = "String"
    required: bool = True
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """One function. Exactly one of `eager`, `lazy` and `prepare` is set."""

    name: str
    parameters: tuple[Parameter, ...]
    documentation: str
    eager: Callable[..., Value] | None = None
    """Gets the values of its arguments."""
    lazy: Lazy | None = None
    """Gets the arguments compiled and the object's attributes, and evaluates only what it needs."""
    prepare: Callable[[Sequence[Node]], Callable[..., Value]] | None = None
    """Gets the arguments' trees once, and gives what `eager` would be for this call; what need not be done for every
    object is done here. Raises InvalidValueError if the arguments make no sense together."""
    check: Callable[[int], str | None] | None = None
    """Given the number of arguments, what is wrong with it beyond the parameters' own limits."""

    def count_problem(self, number: int) -> str | None:
        """What is wrong with a call with so many arguments, None if nothing."""
        least = sum(parameter.required for parameter in self.parameters)
        most = None if any(parameter.repeats for parameter in self.parameters) else len(self.parameters)
        if number < least or (most is not None and number > most):
            wanted = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            return f"{self.name} takes {wanted} arguments, not {number}"
        return self.check(number) if self.check else None
