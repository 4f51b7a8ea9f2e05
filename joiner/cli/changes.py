"""Changes of attributes in words: short enough for a cell of a table."""

from collections.abc import Iterable, Sequence
from typing import Final

from joiner.cli.lookup import Document

LONGEST_VALUE: Final = 40


def changes_in_words(changes: Iterable[Document], shown: int) -> list[str]:
    """The first changes, each with its old and its new value, then how many more there are."""
    told = [
        f"{short_name(each['displayName'])}: {_value(each['oldValue'])} → {_value(each['newValue'])}"
        for each in changes
    ]
    return [*told[:shown], f"{len(told) - shown} more"] if len(told) > shown else told


def names_in_words(names: Sequence[str], number: int, shown: int) -> str:
    """The first of `number` names, of which `names` has at least so many as are shown."""
    told = ", ".join(names[:shown])
    return f"{told} and {number - shown} more" if number > shown else told


def short_name(attribute: str) -> str:
    """The attribute without the URN of its schema."""
    return attribute.rpartition(":")[2] if attribute.startswith("urn:") else attribute


def _value(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
