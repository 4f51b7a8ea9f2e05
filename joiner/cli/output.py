"""What commands print: tables and sentences for people, JSON for programs. Data never controls the terminal."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that could move the cursor or change the terminal; they do not belong into names."""
WIDTH_WITHOUT_TERMINAL: Final = 120


class Output:
    """Prints a command's result to standard output in the form that was asked for."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @cached_property
    def console(self) -> "Console":
        """For people: no colours unless standard output is a terminal."""
        return make_console(stderr=False)

    def show(self, document: Any, view: Callable[["Output"], None]) -> None:
        """`document` for programs, or what `view` prints for people."""
        if self.as_json:
            self.document(document)
        else:
            view(self)

    def document(self, document: Any) -> None:
        """Prints JSON, indented."""
        import orjson

        _write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")

    def json_line(self, document: Any) -> None:
        """Prints JSON on one line at once, for streams."""
        import orjson

        _write(orjson.dumps(document).decode() + "\n")

    def say(self, *lines: str, style: str = "") -> None:
        """Prints sentences as they are, wrapped at words."""
        for line in lines:
            self.console.print(plain(line), style=style or None, markup=False, highlight=False, soft_wrap=False)

    def raw(self, line: str) -> None:
        """Prints the line alone and unchanged, for scripts."""
        _write(line + "\n")

    def paragraph(self, text: str, *, indent: int, widest: int, style: str = "") -> None:
        """Prints the text wrapped at words, at most `widest` characters wide, indented."""
        from rich.padding import Padding
        from rich.text import Text

        told = Text(plain(text), style=style)
        self._print(Padding(told, (0, 0, 0, indent)), width=min(self.console.width, widest))

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "none", indent: int = 0
    ) -> None:
        """A table, or `empty` if there are no rows. A column whose name ends with `#` holds numbers."""
        from rich import box
        from rich.padding import Padding
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in columns:
            table.add_column(name.rstrip("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
        for row in rows:
            table.add_row(*(cell(value) for value in row))
        if table.row_count:
            self._print(Padding(table, (0, 0, 0, indent), expand=False))
        else:
            self.say(empty)

    def fields(self, rows: Iterable[tuple[str, Any]]) -> None:
        """Names with their values, one a line; those without a value are left out."""
        from rich.table import Table

        table = Table.grid(padding=(0, 2), pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            if value not in (None, ""):
                table.add_row(cell(name, "bold"), cell(value))
        self._print(table)

    def _print(self, renderable: "RenderableType", width: int | None = None) -> None:
        """Prints it without the blanks that fill its lines: they would wrap when the window gets narrower."""
        with self.console.capture() as captured:
            self.console.print(renderable, width=width)
        _write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def make_console(*, stderr: bool) -> "Console":
    """A console as wide as the terminal, or wide enough for tables where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)


def cell(value: Any, style: str = "") -> "Text":
    """A value as a table shows it."""
    from rich.text import Text

    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return Text("" if value is None else plain(str(value)), style=style)


def plain(text: str) -> str:
    """The text without characters that control the terminal."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def short_time(moment: str | None) -> str:
    """`2024-05-06T07:08:09.123Z` → `2024-05-06 07:08:09`, in UTC; `never` for none."""
    if not moment or moment.startswith("0001-"):
        return "never"
    return moment[:19].replace("T", " ")


def validity(item: dict[str, Any]) -> str:
    """Whether a token or key is still good, in words."""
    if item["revokedAt"]:
        return f"revoked {short_time(item['revokedAt'])}"
    return f"valid until {short_time(item['expiresAt'])}" if item["expiresAt"] else "valid"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
