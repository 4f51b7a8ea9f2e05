"""What can be wrong with a membership rule."""

from joiner.errors import InvalidValueError
from joiner.expressions.errors import with_caret


class RuleError(InvalidValueError):
    """The text is not a membership rule. Shows the place with a caret."""

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.problem = problem
        self.position = position
        """Index into the text, from 0."""
        super().__init__(with_caret(f"membershipRule: {problem}", text, position))
