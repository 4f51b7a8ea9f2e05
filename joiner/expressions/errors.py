"""What can be wrong with an expression, and what can go wrong when it is evaluated."""

from joiner.errors import JoinerError


class ExpressionError(JoinerError):
    """The text is not an expression. Shows the place with a caret."""

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.problem = problem
        self.position = position
        """Index into the text, from 0."""
        line_start = text.rfind("\n", 0, position) + 1
        line_end = text.find("\n", position)
        line = text[line_start : line_end if line_end >= 0 else len(text)]
        column = position - line_start
        # A long line is cut around the place, so that the caret stays in sight.
        cut = max(0, column - 60)
        shown, caret = line[cut : cut + 120], " " * (column - cut) + "^"
        super().__init__(f"{problem} (position {position + 1})\n  {shown}\n  {caret}")


class EvaluationError(JoinerError):
    """A value does not fit the function it is given to."""


class IgnoreAttribute(Exception):  # noqa: N818 - not an error: the mapping asks for it
    """The attribute takes no part in this flow: no write, no default, no clearing."""


class IgnoreObject(Exception):  # noqa: N818 - as above
    """The whole object is skipped in this cycle."""
