"""What an import did, line by line where that matters."""

from typing import Final

import msgspec

from joiner.directory.columns import FALSE, TRUE
from joiner.directory.tables import ImportFileError, Problem, Row

MOST_LINES: Final = 100_000
"""So many wrong lines are no import but another file; they are not kept either."""


class ImportReport(msgspec.Struct, kw_only=True, rename="camel"):
    """Counts, and the lines that deserve a look."""

    users_added: int = 0
    users_updated: int = 0
    users_unchanged: int = 0
    groups_added: int = 0
    groups_updated: int = 0
    groups_unchanged: int = 0
    members_added: int = 0
    members_unchanged: int = 0
    left_out: list[str] = []
    """Lines that were skipped on request, each with its reason."""
    warnings: list[str] = []
    """Lines that were imported, but not as they stand; the first `MOST_LINES` of them."""

    def leave_out(self, problems: "Problems", *, skip_bad_rows: bool) -> None:
        """Notes the lines that will not be imported. Raises ImportFileError if lines must not be skipped."""
        found = problems.in_order()
        if found and not skip_bad_rows:
            raise ImportFileError(problems.file, found)
        self.left_out.extend(f"{problems.file} {problem}" for problem in found)

    def warn(self, file: str, line: int, text: str) -> None:
        if len(self.warnings) < MOST_LINES:
            self.warnings.append(f"{file} {Problem(line, text)}")


class Problems:
    """The lines of a file that are wrong."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Raises ImportFileError if there are too many."""
        self._found.append(problem)
        if len(self._found) > MOST_LINES:
            raise ImportFileError(self.file, [*self.in_order()[:MOST_LINES], Problem(problem.line, "and so on")])

    def in_order(self) -> list[Problem]:
        return sorted(self._found, key=lambda problem: problem.line)

    def __bool__(self) -> bool:
        return bool(self._found)


def boolean_problem(row: Row, column: str) -> str | None:
    """What is wrong with the cell, if it has to be a boolean."""
    cell = row.cells.get(column)
    if cell is None or cell.lower() in TRUE | FALSE:
        return None
    return f"{column} is '{cell}'; it must be true or false"
