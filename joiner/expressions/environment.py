"""What an evaluation may know besides the object: the time, chance, and which values the target already has.

The language itself has neither clock nor randomness (they come in from whoever evaluates). The few functions that need
them find them among the object's attributes, under a name that no expression can spell, so that every other mapping
is evaluated without them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from joiner.expressions.errors import EvaluationError

ENVIRONMENT: Final = "] environment"
"""The name among the attributes. Brackets in the name of an attribute balance, so that `[…]` cannot say this one."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One object's; all of its mappings see the same time."""

    now: datetime
    """In UTC."""
    below: Callable[[int], int]
    """A number from 0 up to below the given one, which nobody can guess (`secrets.randbelow`)."""
    exists: Callable[[str], bool] | None = None
    """Whether the target attribute has this value already; None where nobody can ask the target while evaluating."""


def environment_of(attributes: Mapping[str, Any], function: str) -> Environment:
    """Raises EvaluationError naming the function that asks, if the object came without."""
    environment = attributes.get(ENVIRONMENT)
    if isinstance(environment, Environment):
        return environment
    raise EvaluationError(f"{function} cannot be evaluated here: there is neither clock nor chance")
