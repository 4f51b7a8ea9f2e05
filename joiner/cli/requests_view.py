"""The requests and answers that the log keeps of an object, as a person reads them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from joiner.cli.lookup import Document
from joiner.cli.output import Output

REQUESTS: Final = "joiner.requests"
WIDEST: Final = 160


def last_requests(log: Iterable[Document]) -> Document | None:
    """The first entry, newest first, that has requests."""
    return next((entry for entry in log if entry[REQUESTS]), None)


def show_requests(output: Output, entry: Document, *, indent: int = 2) -> None:
    """Each request with what became of it, then what was sent and what was answered."""
    blanks = " " * indent
    for each in entry[REQUESTS]:
        answer = each["error"] or f"HTTP {each['status']}"
        output.say(f"{blanks}{each['method']} {each['path']}: {answer}")
        _show_body(output, "sent", each["request"], indent + 2)
        _show_body(output, "got", each["answer"], indent + 2)


def _show_body(output: Output, label: str, body: str | Mapping[str, Any] | None, indent: int) -> None:
    if body in (None, {}):
        return
    # With blanks between its parts, at which lines can end.
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    output.paragraph(f"{label} {text}", indent=indent, widest=WIDEST, style="dim")
