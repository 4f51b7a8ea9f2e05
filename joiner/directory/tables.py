"""Import files as tables: encoding, separator and headings found out, every line checked, with its number.

Knows CSV; knows nothing of users and groups.
"""

import codecs
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joiner.directory.columns import Naming
from joiner.errors import InvalidValueError

MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS: Final = (",", ";", "\t")
SHOWN: Final = 20
MOST_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line; line 1 holds the headings."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class ImportFileError(InvalidValueError):
    """The file is refused as a whole."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        shown = [str(problem) for problem in problems[:SHOWN]]
        more = [f"and {len(problems) - SHOWN} more lines"] if len(problems) > SHOWN else []
        super().__init__(f"the {file} file was not imported:\n  " + "\n  ".join([*shown, *more]))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: column → text, without outer blanks; empty cells are left out."""

    line: int
    cells: Mapping[str, str]


@dataclass(slots=True)
class Table:
    """The rows that can be read, and the lines that cannot."""

    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_table(content: bytes, file: str, naming: Naming) -> Table:
    """The table of a file; `file` is what errors call it.

    Raises ImportFileError if the text cannot be decoded, there are no headings, or two mean the same.
    """
    text = _decode(content, file)
    first = text[: text.find("\n")] if "\n" in text else text
    if not first.strip():
        raise ImportFileError(file, [Problem(1, "there are no column headings")])
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        headings = next(reader)
    except csv.Error as error:
        raise ImportFileError(file, [Problem(1, str(error))]) from None
    columns = naming(headings)
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise ImportFileError(file, [Problem(1, f"two columns mean '{twice}'")])
    table = Table(tuple(columns))
    _read_rows(reader, columns, table)
    return table


def _read_rows(reader: Any, columns: list[str], table: Table) -> None:
    line = reader.line_num + 1
    # Departments, cities and the like come again and again: each is kept once.
    known: dict[str, str] = {}
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            table.problems.append(Problem(line, f"cannot be read: {error}"))
            line = reader.line_num + 1
            continue
        if any(cell.strip() for cell in cells):
            if len(cells) != len(columns):
                table.problems.append(Problem(line, f"has {len(cells)} fields, but there are {len(columns)} columns"))
            else:
                pairs = ((name, cell.strip()) for name, cell in zip(columns, cells, strict=True))
                shared = {name: known.setdefault(cell, cell) for name, cell in pairs if name and cell}
                table.rows.append(Row(line, shared))
                if len(known) > MOST_KNOWN:
                    known.clear()
        line = reader.line_num + 1


def _decode(content: bytes, file: str) -> str:
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ImportFileError(
            file,
            [Problem(line, f"byte 0x{content[error.start]:02X} is not {encoding.upper()}; save the file as UTF-8")],
        ) from None
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise ImportFileError(file, [Problem(line, "contains NUL characters; is it really a text file?")])
    return text
