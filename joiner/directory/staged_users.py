"""Which line of a users file is whom: kept in a scratch database, because a file may have millions of lines.

A user is found by its id, else by its user principal name; without an id column a new one gets an id derived from its
name, so that importing the file into an empty directory gives the same ids again.
"""

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from joiner.directory import users
from joiner.directory.columns import NAME
from joiner.directory.csv_report import Problems, boolean_problem
from joiner.directory.tables import ImportFileError, Problem, Row, Table
from joiner.ids import derived_id, normal_id

FILE: Final = "users"
BOOLEANS: Final = ("accountEnabled", "dirSyncEnabled")
ID: Final = re.compile(r"[^\s/?#%]{1,128}")
"""Ids are parts of addresses."""
AT_ONCE: Final = 500
CACHE_MIB: Final = 24
TABLES: Final = """
CREATE TABLE staged (
  line     INTEGER PRIMARY KEY,
  name     TEXT NOT NULL,                -- as the file spells it
  name_key TEXT NOT NULL UNIQUE,
  id       TEXT COLLATE NOCASE UNIQUE,   -- null until it is known
  holder   TEXT,                         -- somebody else who has the name in the directory
  is_known   INTEGER NOT NULL DEFAULT 0, -- the directory has the user, ...
  is_deleted INTEGER NOT NULL DEFAULT 0, -- ... in its recycle bin, ...
  is_renamed INTEGER NOT NULL DEFAULT 0  -- ... by another name
) STRICT;
CREATE INDEX staged_by_holder ON staged (holder) WHERE holder IS NOT NULL;
"""
TAKEN: Final = (
    "SELECT line, name, holder FROM staged s WHERE holder IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM staged o WHERE o.id = s.holder)"
)


class Staged(msgspec.Struct, frozen=True):
    """One good line and the user that it describes."""

    line: int
    id: str
    is_known: bool
    is_deleted: bool


@contextmanager
def scratch_database(folder: Path) -> Iterator[sqlite3.Connection]:
    """A database that is gone afterwards, also when the process is killed."""
    handle, path = tempfile.mkstemp(prefix="import-", suffix=".db", dir=folder)
    os.close(handle)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", f"cache_size = {-1024 * CACHE_MIB}"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.executescript(TABLES)
        # Open files live on without their names.
        os.unlink(path)
        yield connection
    finally:
        connection.close()


class StagedUsers:
    """The lines of `table`, once `read` has been called, and whom they describe, once `identify` has been."""

    def __init__(self, table: Table, scratch: sqlite3.Connection) -> None:
        self.table = table
        self.problems = Problems(FILE)
        self._scratch = scratch

    def read(self) -> None:
        """Reads the file: leaves out lines that lack a name, repeat a name or an id, or have an impossible value.

        Raises ImportFileError if there is no column of names, or the file cannot be read.
        """
        if NAME not in self.table.columns:
            raise ImportFileError(FILE, [Problem(1, f"there is no column {NAME}")])
        for rows in in_batches(self.table):
            self._scratch.execute("BEGIN")
            for row in rows:
                if isinstance(row, Problem):
                    self.problems.add(row)
                elif (reason := _row_problem(row) or self._stage(row)) is not None:
                    self.problems.add(Problem(row.line, reason))
            self._scratch.execute("COMMIT")

    def identify(self, connection: sqlite3.Connection) -> None:
        """Finds out who in the directory each line is, without lines whose name belongs to somebody else afterwards."""
        for lines in self._batches():
            self._identify_some(connection, lines)
        # A line that is left out keeps its name, which another line may have counted on.
        while taken := self._scratch.execute(TAKEN).fetchmany(AT_ONCE):
            for line, name, holder in taken:
                self._leave_out(line, f"{NAME} '{name}' belongs to another user, with the id {holder}")
        for lines in self._batches():
            self._compare_some(connection, lines)

    def of(self, first: int, last: int) -> list[Staged]:
        """The good lines from line `first` to line `last`."""
        rows = self._scratch.execute(
            "SELECT line, id, is_known, is_deleted FROM staged WHERE line BETWEEN ? AND ? ORDER BY line", (first, last)
        )
        return [Staged(line, id_, bool(known), bool(deleted)) for line, id_, known, deleted in rows]

    def has_known(self) -> bool:
        """Whether any line describes a user whom the directory has."""
        return self._scratch.execute("SELECT 1 FROM staged WHERE is_known LIMIT 1").fetchone() is not None

    def renamed_ids(self) -> Iterator[str]:
        """The ids of users who get another name."""
        return (row[0] for row in self._scratch.execute("SELECT id FROM staged WHERE is_renamed"))

    def ids_by_name(self, keys: Sequence[str]) -> dict[str, str]:
        """Key of a name → id, of the users of the file."""
        return dict(self._scratch.execute(f"SELECT name_key, id FROM staged WHERE name_key IN ({_marks(keys)})", keys))

    def those_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Id → line, of the users of the file."""
        return dict(self._scratch.execute(f"SELECT id, line FROM staged WHERE id IN ({_marks(ids)})", ids))

    def _stage(self, row: Row) -> str | None:
        key = users.key_of(row.cells[NAME])
        id_ = normal_id(row.cells["id"]) if "id" in row.cells else None
        try:
            self._scratch.execute(
                "INSERT INTO staged (line, name, name_key, id) VALUES (?, ?, ?, ?)",
                (row.line, row.cells[NAME], key, id_),
            )
        except sqlite3.IntegrityError:
            for column, name, value in (("name_key", NAME, key), ("id", "id", id_)):
                found = self._scratch.execute(f"SELECT line FROM staged WHERE {column} = ?", (value,)).fetchone()
                if found is not None:
                    return f"{name} '{row.cells[name]}' stands in line {found[0]} already"
            raise
        return None

    def _batches(self) -> Iterator[list[tuple[int, str, str, Any]]]:
        """(line, name, key of the name, id) of the good lines in their order; each batch a transaction."""
        select = "SELECT line, name, name_key, id FROM staged WHERE line > ? ORDER BY line LIMIT ?"
        after = 0
        while rows := self._scratch.execute(select, (after, AT_ONCE)).fetchall():
            self._scratch.execute("BEGIN")
            yield rows
            self._scratch.execute("COMMIT")
            after = rows[-1][0]

    def _identify_some(self, connection: sqlite3.Connection, lines: Sequence[tuple[int, str, str, str | None]]) -> None:
        holders = users.ids_by_key(connection, [key for _, _, key, _ in lines])
        for line, name, key, given in lines:
            holder = holders.get(key)
            id_ = given
            if id_ is None:
                # The holder may get another name from a line with its id; then this line is somebody new.
                id_ = holder if holder is not None and not self.those_of([holder]) else derived_id("user", key)
            elif holder in (None, id_):
                continue
            try:
                self._scratch.execute(
                    "UPDATE staged SET id = ?, holder = ? WHERE line = ?",
                    (id_, None if holder == id_ else holder, line),
                )
            except sqlite3.IntegrityError:
                other = self.those_of([id_]).popitem()[1]
                reason = f"'{name}' cannot be told from the user in line {other}; give this one an id"
                self._leave_out(line, reason)

    def _compare_some(self, connection: sqlite3.Connection, lines: Sequence[tuple[int, str, str, str]]) -> None:
        ids = [id_ for _, _, _, id_ in lines]
        known = {
            row["id"]: row
            for row in connection.execute(f"SELECT id, upn_key, deleted_at FROM user WHERE id IN ({_marks(ids)})", ids)
        }
        self._scratch.executemany(
            "UPDATE staged SET is_known = 1, is_deleted = ?, is_renamed = ? WHERE line = ?",
            [
                (known[id_]["deleted_at"] is not None, known[id_]["upn_key"] != key, line)
                for line, _, key, id_ in lines
                if id_ in known
            ],
        )

    def _leave_out(self, line: int, reason: str) -> None:
        self._scratch.execute("DELETE FROM staged WHERE line = ?", (line,))
        self.problems.add(Problem(line, reason))


def in_batches(table: Table) -> Iterator[list[Row | Problem]]:
    """The lines of the table, some at a time."""
    lines = iter(table)
    while batch := list(islice(lines, AT_ONCE)):
        yield batch


def _row_problem(row: Row) -> str | None:
    if NAME not in row.cells:
        return f"{NAME} is empty"
    if "id" in row.cells and not ID.fullmatch(row.cells["id"]):
        return f"the id '{row.cells['id']}' has characters that an id cannot have, or more than 128"
    return next((reason for column in BOOLEANS if (reason := boolean_problem(row, column))), None)


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
