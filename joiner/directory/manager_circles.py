"""Managers who go round in a circle: allowed, as in Entra, and worth a word."""

import sqlite3
from array import array
from collections.abc import Iterator
from typing import Final

from joiner.directory.csv_report import ImportReport
from joiner.directory.staged_users import FILE, StagedUsers

MANAGERS: Final = (
    "SELECT u.rowid, m.rowid FROM user u JOIN user m ON m.id = u.manager_id WHERE u.manager_id IS NOT NULL"
)


def warn_of_circles(connection: sqlite3.Connection, staged: StagedUsers, report: ImportReport) -> None:
    """Warns of each circle that somebody of the file is in, at the first line of it."""
    for circle in _circles(_managers(connection)):
        people = [_person(connection, number) for number in circle]
        lines = staged.those_of([id_ for id_, _ in people])
        if not lines:
            continue
        ids = [id_ for id_, _ in people]
        first = ids.index(min(lines, key=lines.__getitem__))
        names = [name for _, name in [*people[first:], *people[:first], people[first]]]
        report.warn(FILE, min(lines.values()), f"managers go round in a circle: {' → '.join(names)}; imported as it is")


def _managers(connection: sqlite3.Connection) -> "array[int]":
    """At the row number of a user that of the manager, 0 for none: eight bytes each, however many there are."""
    highest: int = connection.execute("SELECT coalesce(max(rowid), 0) FROM user").fetchone()[0]
    managers = array("q", bytes(8 * (highest + 1)))
    for user, manager in connection.execute(MANAGERS):
        managers[user] = manager
    return managers


def _circles(managers: "array[int]") -> Iterator[list[int]]:
    """Each circle once: every step is taken once, and one that leads back into the same walk closes a circle."""
    seen = bytearray(len(managers))
    for start in range(1, len(managers)):
        walk: list[int] = []
        step = start
        while step and not seen[step]:
            seen[step] = 1
            walk.append(step)
            step = managers[step]
        if step in walk:
            yield walk[walk.index(step) :]


def _person(connection: sqlite3.Connection, number: int) -> tuple[str, str]:
    """(id, name)."""
    row = connection.execute("SELECT id, user_principal_name FROM user WHERE rowid = ?", (number,)).fetchone()
    return row[0], row[1]
