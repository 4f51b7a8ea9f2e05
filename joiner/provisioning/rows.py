"""Rows with JSON columns to typed values and back."""

import sqlite3
from typing import Any, TypeVar

import msgspec
import orjson

T = TypeVar("T")


def from_row(row: sqlite3.Row, kind: type[T], json_columns: tuple[str, ...]) -> T:
    """The struct whose fields are the row's columns; `json_columns` are parsed, integers become booleans as needed."""
    fields = dict(row)
    for name in json_columns:
        if fields[name] is not None:
            fields[name] = orjson.loads(fields[name])
    return msgspec.convert(fields, kind, strict=False)


def from_json(text: str) -> Any:
    return orjson.loads(text)


def to_json(value: Any) -> str:
    """Compact JSON text for a column."""
    return orjson.dumps(value).decode()
