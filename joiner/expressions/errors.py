"""What can be wrong with an expression, and what can go wrong when it is evaluated."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from joiner.errors import JoinerError


class ExpressionError(JoinerError):
    """The text is not an expression. Shows the place with a caret."""

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.problem = problem
        self.position = position
        """Index into the text, from 0."""
        super().__init__(with_caret(problem, text, position))


class UnsupportedFunctionError(ExpressionError):
    """The expression calls a function that other provisioning services have and this one does not: a mapping that is
    imported can be kept and shown, not run."""


class EvaluationError(JoinerError):
    """A value does not fit the function it is given to."""


@dataclass(frozen=True, slots=True)
class Caution:
    """What an expression can be saved with and hardly means: an attribute that does not exist, a constant that its
    function cannot use."""

    problem: str
    position: int
    """Index into the text, from 0."""
    is_certain: bool = False
    """No object can be evaluated without failing there."""


class IgnoreAttribute(Exception):  # noqa: N818 - not an error: the mapping asks for it
    """The attribute takes no part in this flow: no write, no default, no clearing."""


class IgnoreObject(Exception):  # noqa: N818 - as above
    """The whole object is skipped in this cycle."""


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean '…'?` with the known name that `name` resembles most, '' if none does."""
    by_key = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(name.lower(), by_key, 1)
    return f"; did you mean '{by_key[close[0]]}'?" if close else ""


def with_caret(problem: str, text: str, position: int) -> str:
    """The problem, and below it the line of the text with a caret at the place."""
    line_start = text.rfind("\n", 0, position) + 1
    line_end = text.find("\n", position)
    line = text[line_start : line_end if line_end >= 0 else len(text)]
    column = position - line_start
    # A long line is cut around the place, so that the caret stays in sight.
    cut = max(0, column - 60)
    shown, caret = line[cut : cut + 120], " " * (column - cut) + "^"
    return f"{problem} (position {position + 1})\n  {shown}\n  {caret}"
