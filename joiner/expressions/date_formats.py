"""Dates written by .NET's format strings, in the invariant culture. A format is compiled to parts once; `date_reading`
reads by the same parts (attribute mapping, FormatDateTime)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from joiner.expressions.date_texts import tick_of
from joiner.expressions.errors import EvaluationError

MONTHS: Final = tuple(
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
STANDARD: Final[Mapping[str, str]] = {
    "d": "MM/dd/yyyy",
    "D": "dddd, dd MMMM yyyy",
    "f": "dddd, dd MMMM yyyy HH:mm",
    "F": "dddd, dd MMMM yyyy HH:mm:ss",
    "g": "MM/dd/yyyy HH:mm",
    "G": "MM/dd/yyyy HH:mm:ss",
    "m": "MMMM dd",
    "M": "MMMM dd",
    "o": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "O": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "R": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "s": "yyyy-MM-ddTHH:mm:ss",
    "t": "HH:mm",
    "T": "HH:mm:ss",
    "u": "yyyy-MM-dd HH:mm:ssZ",
    "U": "dddd, dd MMMM yyyy HH:mm:ss",
    "y": "yyyy MMMM",
    "Y": "yyyy MMMM",
}
"""Formats of one letter → the custom format that they stand for."""
MOST_LETTERS: Final[Mapping[str, int]] = {"d": 4, "M": 4, "h": 2, "H": 2, "m": 2, "s": 2, "t": 2, "z": 3}
"""Specifier → from how many letters on more of them say nothing else."""
MOST_FRACTION: Final = 7
PART: Final = re.compile(
    r"(?P<letters>d+|M+|y+|h+|H+|m+|s+|f+|F+|t+|z+|K)"
    r"|'(?P<single>(?:[^'\\]|\\.)*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\"|\\(?P<escaped>.)|%|(?P<other>[^'\"\\])",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A specifier such as `yyyy`, or literal text."""

    text: str
    is_literal: bool


@lru_cache(maxsize=256)
def compile_format(form: str) -> tuple[Part, ...]:
    """Raises EvaluationError for a format that .NET would not take."""
    if not form:
        raise EvaluationError("a date needs a format")
    if len(form) == 1 and form not in STANDARD:
        raise EvaluationError(
            f"'{form}' is no standard format of a date; a format of one letter is one, '%{form}' is not"
        )
    custom = STANDARD.get(form, form)
    parts: list[Part] = []
    position = 0
    while position < len(custom):
        match = PART.match(custom, position)
        if match is None:
            problem = "ends with a backslash" if custom[position] == "\\" else "has a quotation mark that is not closed"
            raise EvaluationError(f"the format {form} {problem}")
        position = match.end()
        if letters := match["letters"]:
            parts.append(Part(_specifier(letters), False))
        elif (quoted := match["single"] if match["single"] is not None else match["double"]) is not None:
            parts.append(Part(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL), True))
        elif (literal := match["escaped"] or match["other"]) is not None:
            parts.append(Part(literal, True))
    return tuple(parts)


def _specifier(letters: str) -> str:
    kind = letters[0]
    if kind in "fF" and len(letters) > MOST_FRACTION:
        raise EvaluationError(f"'{letters}' is no specifier of a date format: a second has {MOST_FRACTION} digits")
    return letters[: MOST_LETTERS.get(kind, len(letters))]


def format_date(moment: datetime, form: str) -> str:
    """`moment` is in UTC. Raises EvaluationError."""
    pieces: list[str] = []
    for part in compile_format(form):
        if part.is_literal:
            pieces.append(part.text)
            continue
        written = WRITERS[part.text](moment) if part.text in WRITERS else f"{moment.year:0{len(part.text)}d}"
        if not written and part.text[0] == "F" and pieces and pieces[-1].endswith("."):
            # A fraction that has no digits takes its point away.
            pieces[-1] = pieces[-1][:-1]
        pieces.append(written)
    return "".join(pieces)


def _seven_digits(moment: datetime) -> str:
    return f"{moment.microsecond:06d}{tick_of(moment)}"


def _fraction(digits: int) -> Callable[[datetime], str]:
    return lambda moment: _seven_digits(moment)[:digits]


def _trimmed_fraction(digits: int) -> Callable[[datetime], str]:
    return lambda moment: _seven_digits(moment)[:digits].rstrip("0")


WRITERS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "d": lambda m: str(m.day),
    "dd": lambda m: f"{m.day:02d}",
    "ddd": lambda m: DAYS[m.weekday()][:3],
    "dddd": lambda m: DAYS[m.weekday()],
    "M": lambda m: str(m.month),
    "MM": lambda m: f"{m.month:02d}",
    "MMM": lambda m: MONTHS[m.month - 1][:3],
    "MMMM": lambda m: MONTHS[m.month - 1],
    "y": lambda m: str(m.year % 100),
    "yy": lambda m: f"{m.year % 100:02d}",
    "h": lambda m: str(m.hour % 12 or 12),
    "hh": lambda m: f"{m.hour % 12 or 12:02d}",
    "H": lambda m: str(m.hour),
    "HH": lambda m: f"{m.hour:02d}",
    "m": lambda m: str(m.minute),
    "mm": lambda m: f"{m.minute:02d}",
    "s": lambda m: str(m.second),
    "ss": lambda m: f"{m.second:02d}",
    "t": lambda m: "A" if m.hour < 12 else "P",
    "tt": lambda m: "AM" if m.hour < 12 else "PM",
    "z": lambda m: "+0",
    "zz": lambda m: "+00",
    "zzz": lambda m: "+00:00",
    "K": lambda m: "Z",
    **{"f" * digits: _fraction(digits) for digits in range(1, MOST_FRACTION + 1)},
    **{"F" * digits: _trimmed_fraction(digits) for digits in range(1, MOST_FRACTION + 1)},
}
"""Specifier → how it writes a moment; a longer run of `y` is the year with so many digits."""
