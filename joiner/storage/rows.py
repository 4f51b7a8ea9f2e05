"""Rows with JSON columns to typed values and back, and many rows in one statement."""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, Final, TypeVar

import msgspec
import orjson

T = TypeVar("T")
ROWS_AT_ONCE: Final = 200
"""SQLite takes some ten thousand values in one statement; beyond this size nothing is won."""


def from_row(row: sqlite3.Row, kind: type[T], json_columns: tuple[str, ...]) -> T:
    """The struct whose fields are the row's columns; `json_columns` are parsed, integers become booleans as needed."""
    fields = dict(row)
    for name in json_columns:
        if fields[name] is not None:
            fields[name] = orjson.loads(fields[name])
    return msgspec.convert(fields, kind, strict=False)


def from_json(text: str) -> Any:
    """The value of a column with JSON."""
    return orjson.loads(text)


def to_json(value: Any) -> str:
    """Compact JSON text for a column."""
    return orjson.dumps(value).decode()


def marks(values: Collection[Any]) -> str:
    """A question mark for each value, for `IN (…)`."""
    return ", ".join("?" * len(values))


def write_rows(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Runs `INSERT … VALUES {rows} …` for all rows, which have the same number of values.

    A statement of its own for each row would let go of Python's lock for each, and wait for the other threads again.
    """
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        row_marks = f"({marks(some[0])})"
        connection.execute(
            statement.format(rows=", ".join([row_marks] * len(some))), [value for row in some for value in row]
        )
