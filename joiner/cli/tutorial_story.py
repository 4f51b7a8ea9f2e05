"""How the tutorial is told: numbered steps and short paragraphs, or nothing when a program wants the result alone."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from joiner.cli.output import Output

WIDEST: Final = 100
"""Longer lines are hard to read."""
INDENT: Final = 3


class Story:
    """Tells to the output, unless that is for programs."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._is_told = not output.as_json
        self._step = 0

    def title(self, text: str, lead: str) -> None:
        if self._is_told:
            self._output.say(text, style="bold")
            self._paragraph(lead, indent=0)

    def step(self, title: str) -> None:
        """Begins the next step."""
        self._step += 1
        if self._is_told:
            self._output.say("", f"{self._step}  {title}", style="bold")

    def tell(self, text: str, style: str = "") -> None:
        """A paragraph of the step."""
        if self._is_told:
            self._paragraph(text, style=style)

    def line(self, text: str) -> None:
        """A line that is not wrapped: something to copy."""
        if self._is_told:
            self._output.raw(" " * INDENT + text)

    def gap(self) -> None:
        if self._is_told:
            self._output.say("")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        if self._is_told:
            self._output.table(columns, rows, indent=INDENT)

    def _paragraph(self, text: str, *, indent: int = INDENT, style: str = "") -> None:
        self._output.paragraph(text, indent=indent, widest=WIDEST, style=style)
