"""Import files as tables: encoding, separator and headings found out, every line checked, with its number.

Knows CSV; knows nothing of users and groups. A file is read line by line, so that its size does not matter.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, Final

from joiner.directory.columns import Naming
from joiner.errors import InvalidValueError

MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS: Final = (",", ";", "\t")
SHOWN: Final = 20
CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line; line 1 holds the headings."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class ImportFileError(InvalidValueError):
    """The file is refused as a whole."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
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


@dataclass(frozen=True, slots=True)
class Table:
    """A file with its columns. It can be read several times, one after the other."""

    source: BinaryIO
    file: str
    """What errors call it."""
    encoding: str
    separator: str
    columns: tuple[str, ...]

    def __iter__(self) -> Iterator[Row | Problem]:
        """The rows in the order of the file, and a problem for each line that cannot be read.

        Raises ImportFileError if the text cannot be decoded.
        """
        reader = csv.reader(_lines(self.source, self.encoding, self.file), delimiter=self.separator, strict=True)
        next(reader)
        line = reader.line_num + 1
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Problem(line, f"cannot be read: {error}")
                line = reader.line_num + 1
                continue
            if any(cell.strip() for cell in cells):
                if len(cells) == len(self.columns):
                    pairs = ((name, cell.strip()) for name, cell in zip(self.columns, cells, strict=True))
                    yield Row(line, {name: cell for name, cell in pairs if name and cell})
                else:
                    yield Problem(line, f"has {len(cells)} fields, but there are {len(self.columns)} columns")
            line = reader.line_num + 1


def open_table(source: BinaryIO, file: str, naming: Naming) -> Table:
    """The table of a file that can be read from any place; `file` is what errors call it.

    Raises ImportFileError if there are no headings, or two mean the same.
    """
    source.seek(0)
    start = source.read(4)
    encoding = next((name for mark, name in MARKS if start.startswith(mark)), "utf-8")
    lines = _lines(source, encoding, file)
    first = next(lines, "")
    if not first.strip():
        raise ImportFileError(file, [Problem(1, "there are no column headings")])
    separator = max(SEPARATORS, key=first.count)
    try:
        headings = next(csv.reader(chain([first], lines), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ImportFileError(file, [Problem(1, str(error))]) from None
    columns = naming(headings)
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise ImportFileError(file, [Problem(1, f"two columns mean '{twice}'")])
    return Table(source, file, encoding, separator, tuple(columns))


class _Borrowed(io.RawIOBase):
    """A source that is somebody else's to close."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._source.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _lines(source: BinaryIO, encoding: str, file: str) -> Iterator[str]:
    """The text from its beginning, line by line, with what ends the lines."""
    source.seek(0)
    text = io.TextIOWrapper(io.BufferedReader(_Borrowed(source), CHUNK), encoding, newline="")
    for number, line in enumerate(_decoded(text, source, encoding, file), start=1):
        if "\x00" in line:
            raise ImportFileError(file, [Problem(number, "contains NUL characters; is it really a text file?")])
        yield line


def _decoded(text: Iterable[str], source: BinaryIO, encoding: str, file: str) -> Iterator[str]:
    try:
        yield from text
    except UnicodeDecodeError:
        # What is decoded ahead of the lines hides the place: it is looked for again.
        raise ImportFileError(file, [_wrong_byte(source, encoding)]) from None


def _wrong_byte(source: BinaryIO, encoding: str) -> Problem:
    source.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    while True:
        chunk = source.read(CHUNK)
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            byte = f"byte 0x{error.object[error.start]:02X}"
            return Problem(line, f"{byte} is not {encoding.upper()}; save the file as UTF-8")
        line += chunk.count(b"\n")
