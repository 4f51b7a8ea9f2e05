"""What a check finds: errors, with which a document cannot be saved, and warnings, with which it can."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from joiner.provisioning.mapping.shape import Problem

PARTS: Final = re.compile(r"[.\[\]]+")


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    errors: Sequence[Problem]
    warnings: Sequence[Problem]


@dataclass(slots=True)
class Findings:
    """Collects what is found. Where the shape is wrong already, nothing more is said."""

    shape: Sequence[Problem]
    """What is wrong with the shape; these are errors too."""
    errors: list[Problem] = field(init=False)
    warnings: list[Problem] = field(default_factory=list)
    _told: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.errors = list(self.shape)
        self._told = frozenset(problem.path for problem in self.shape)

    def error(self, path: str, message: str) -> None:
        """Adds an error at this path of the document."""
        if not self._is_told(path):
            self.errors.append(Problem(path, message))

    def warn(self, path: str, message: str) -> None:
        """Adds a warning at this path of the document."""
        if not self._is_told(path):
            self.warnings.append(Problem(path, message))

    def report(self) -> Report:
        """In the order of the paths."""
        return Report(tuple(sorted(self.errors, key=_order)), tuple(sorted(self.warnings, key=_order)))

    def _is_told(self, path: str) -> bool:
        ends = [*(place.start() for place in re.finditer(r"[.\[]", path)), len(path)]
        return any(path[:end] in self._told for end in ends)


def _order(problem: Problem) -> list[tuple[int, str]]:
    """Names by the alphabet, positions by number."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in PARTS.split(problem.path)]
