"""The operators of membership rules as tests of one text. Case does not count, in patterns neither."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from joiner.expressions.patterns import compile_linear_pattern

Test = Callable[[str], bool]


def _equals(wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda held: held.casefold() == folded


def _starts_with(wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda held: held.casefold().startswith(folded)


def _ends_with(wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda held: held.casefold().endswith(folded)


def _contains(wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda held: folded in held.casefold()


def _matches(wanted: str) -> Test:
    """Any part of the value. Only patterns that always give an answer: a wrong one takes somebody's access away.
    Raises PatternError."""
    pattern = compile_linear_pattern(f"(?i){wanted}")
    return lambda held: pattern.search(held) is not None


def one_of(wanted: tuple[str, ...]) -> Test:
    """The test of `-in`."""
    folded = frozenset(each.casefold() for each in wanted)
    return lambda held: held.casefold() in folded


TESTS: Final[Mapping[str, Callable[[str], Test]]] = {
    "eq": _equals,
    "startswith": _starts_with,
    "endswith": _ends_with,
    "contains": _contains,
    "match": _matches,
}
OPPOSITES: Final = {
    "ne": "eq",
    "notstartswith": "startswith",
    "notendswith": "endswith",
    "notcontains": "contains",
    "notmatch": "match",
    "notin": "in",
}
"""Operator → the one that it is the exact opposite of: it holds for a property without a value."""
SPELLINGS: Final = (
    "-eq",
    "-ne",
    "-startsWith",
    "-notStartsWith",
    "-endsWith",
    "-notEndsWith",
    "-contains",
    "-notContains",
    "-match",
    "-notMatch",
    "-in",
    "-notIn",
    "-any",
    "-all",
)
OPERATORS: Final = {spelling[1:].lower(): spelling for spelling in SPELLINGS}
"""Without hyphen and case → as it is spelled."""


def texts_of(held: Any) -> tuple[str, ...]:
    """The texts of a property: none, one, or those of a collection."""
    if held is None:
        return ()
    if isinstance(held, list | tuple):
        return tuple(str(each) for each in held)
    return (str(held),)
