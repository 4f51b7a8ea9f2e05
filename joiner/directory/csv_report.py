"""What an import did, line by line where that matters."""

import msgspec

from joiner.directory.columns import FALSE, TRUE
from joiner.directory.tables import ImportFileError, Problem, Row


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
    """Lines that were imported, but not as they stand."""

    def leave_out(self, file: str, problems: list[Problem], *, skip_bad_rows: bool) -> None:
        """Notes the lines that will not be imported. Raises ImportFileError if lines must not be skipped."""
        problems.sort(key=lambda problem: problem.line)
        if problems and not skip_bad_rows:
            raise ImportFileError(file, problems)
        self.left_out.extend(f"{file} {problem}" for problem in problems)

    def warn(self, file: str, row: Row, text: str) -> None:
        self.warnings.append(f"{file} {Problem(row.line, text)}")


def boolean_problem(row: Row, column: str) -> str | None:
    """What is wrong with the cell, if it has to be a boolean."""
    cell = row.cells.get(column)
    if cell is None or cell.lower() in TRUE | FALSE:
        return None
    return f"{column} is '{cell}'; it must be true or false"
