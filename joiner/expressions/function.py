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
    choices: tuple[str, ...] = ()
    """The only texts that it takes; any if empty."""
    check: Callable[[str], object] | None = None
    """Raises EvaluationError for a text that it does not take, where there are too many to list."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function. Exactly one of `eager`, `lazy` and `prepare` is set."""

    name: str
    parameters: tuple[Parameter, ...]
    documentation: str
    when_null: str = "A null source gives null."
    """What becomes of null arguments (D-15)."""
    limits: str = ""
    """What arguments cannot be, beyond what the parameters say."""
    eager: Callable[..., Value] | None = None
    """Gets the values of its arguments."""
    lazy: Lazy | None = None
    """Gets the arguments compiled and the object's attributes, and evaluates only what it needs."""
    prepare: Callable[[Sequence[Node]], Callable[..., Value]] | None = None
    """Gets the arguments' trees once, and gives what `eager` would be for this call; what need not be done for every
    object is done here. Raises InvalidValueError if the arguments make no sense together."""
    asks: bool = False
    """It needs the clock or chance: its body gets the object's attributes first, which hold the environment."""
    check: Callable[[int], str | None] | None = None
    """Given the number of arguments, what is wrong with it beyond the parameters' own limits."""
    only_outermost: bool = False
    """No other function may call it."""

    def count_problem(self, number: int) -> str | None:
        """What is wrong with a call with so many arguments, None if nothing."""
        least = sum(parameter.required for parameter in self.parameters)
        most = None if any(parameter.repeats for parameter in self.parameters) else len(self.parameters)
        if number < least or (most is not None and number > most):
            wanted = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            plural = "" if wanted == "1" else "s"
            return f"{self.name} takes {wanted} argument{plural}, not {number}"
        return self.check(number) if self.check else None

    def parameter(self, index: int) -> Parameter:
        """The parameter of an argument; from the one that repeats on, its parameters take turns."""
        if index < len(self.parameters):
            return self.parameters[index]
        first = next(n for n, parameter in enumerate(self.parameters) if parameter.repeats)
        turn = len(self.parameters) - first
        return self.parameters[first + (index - first) % turn]

    @property
    def signature(self) -> str:
        """`Mid(source, start, length)`, with brackets around what may be left out."""
        last = self.parameters[-1] if self.parameters else None
        shown = []
        for parameter in self.parameters:
            text = f"{parameter.name}, …" if parameter.repeats and parameter is last else parameter.name
            shown.append(text if parameter.required else f"[{text}]")
        return f"{self.name}({', '.join(shown)})"
