"""Dates by .NET custom format strings, in the invariant culture: a format is compiled to parts once, then read or
written part by part. Local time is UTC (attribute mapping, FormatDateTime)."""

import calendar
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from joiner.expressions.errors import EvaluationError
from joiner.expressions.patterns import compile_pattern, escape

MONTHS: Final = tuple(calendar.month_name)[1:]
DAYS: Final = tuple(calendar.day_name)
STANDARD: Final[Mapping[str, str]] = {
    "d": "MM/dd/yyyy",
    "D": "dddd, dd MMMM yyyy",
    "g": "MM/dd/yyyy HH:mm",
    "G": "MM/dd/yyyy HH:mm:ss",
    "o": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "O": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "s": "yyyy-MM-ddTHH:mm:ss",
    "t": "HH:mm",
    "T": "HH:mm:ss",
    "u": "yyyy-MM-dd HH:mm:ssZ",
}
"""Formats of one letter → the custom format that they stand for."""
STYLES: Final = frozenset(
    {
        "None",
        "RoundtripKind",
        "AssumeUniversal",
        "AssumeLocal",
        "AdjustToUniversal",
        "NoCurrentDateDefault",
        "AllowLeadingWhite",
        "AllowTrailingWhite",
        "AllowInnerWhite",
        "AllowWhiteSpaces",
    }
)
PART: Final = re.compile(
    r"(?P<letters>d+|M+|y+|h+|H+|m+|s+|f+|F+|t+|z+|K)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"|\\(?P<escaped>.)|%|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A specifier such as `yyyy`, or literal text."""

    text: str
    is_literal: bool


@lru_cache(maxsize=256)
def compile_format(form: str) -> tuple[Part, ...]:
    """Raises EvaluationError for a format that is empty or has specifiers longer than there are."""
    if not form:
        raise EvaluationError("a date needs a format")
    parts = []
    for match in PART.finditer(STANDARD.get(form, form)):
        letters = match["letters"]
        if letters:
            if letters not in WRITERS:
                raise EvaluationError(f"'{letters}' is no specifier of a date format")
            parts.append(Part(letters, False))
            continue
        literal = next((text for text in match.group("single", "double", "escaped", "other") if text is not None), "")
        parts.append(Part(literal, True))
    return tuple(parts)


# Writing


def format_date(moment: datetime, form: str) -> str:
    """`moment` is in UTC. Raises EvaluationError."""
    pieces: list[str] = []
    for part in compile_format(form):
        if part.is_literal:
            pieces.append(part.text)
            continue
        written = WRITERS[part.text](moment)
        if not written and part.text[0] == "F" and pieces and pieces[-1].endswith("."):
            # A fraction that has no digits takes its point away.
            pieces[-1] = pieces[-1][:-1]
        pieces.append(written)
    return "".join(pieces)


def _fraction(digits: int) -> Callable[[datetime], str]:
    return lambda moment: f"{moment.microsecond:06d}0"[:digits]


def _trimmed_fraction(digits: int) -> Callable[[datetime], str]:
    return lambda moment: f"{moment.microsecond:06d}0"[:digits].rstrip("0")


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
    "yyy": lambda m: f"{m.year:03d}",
    "yyyy": lambda m: f"{m.year:04d}",
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
    **{"f" * digits: _fraction(digits) for digits in range(1, 8)},
    **{"F" * digits: _trimmed_fraction(digits) for digits in range(1, 8)},
}
"""Specifier → how it writes a moment."""


# Reading

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "ddd": tuple(name[:3] for name in DAYS),
    "dddd": DAYS,
    "MMM": tuple(name[:3] for name in MONTHS),
    "MMMM": MONTHS,
    "t": ("A", "P"),
    "tt": ("AM", "PM"),
}
DIGITS: Final[Mapping[str, str]] = {
    "yyyy": r"\d{4}",
    "yyy": r"\d{3,4}",
    "z": r"[+-]\d{1,2}",
    "zz": r"[+-]\d{2}",
    "zzz": r"[+-]\d{2}:\d{2}",
    "K": r"(?:Z|[+-]\d{2}:\d{2})?",
}
FIELDS: Final[Mapping[str, str]] = {
    "d": "day",
    "dd": "day",
    "M": "month",
    "MM": "month",
    "y": "year of century",
    "yy": "year of century",
    "yyy": "year",
    "yyyy": "year",
    "h": "hour of half",
    "hh": "hour of half",
    "H": "hour",
    "HH": "hour",
    "m": "minute",
    "mm": "minute",
    "s": "second",
    "ss": "second",
    "ddd": "day name",
    "dddd": "day name",
    "MMM": "month name",
    "MMMM": "month name",
    "t": "half",
    "tt": "half",
    "z": "offset",
    "zz": "offset",
    "zzz": "offset",
    "K": "offset",
}
"""Specifier → what it says; fractions (`f`, `F`) are all `fraction`."""


def parse_exact(text: str, form: str, styles: str = "") -> datetime:
    """The moment in UTC that `text` names in this format. White space around it is ignored unless the styles, names
    of .NET's `DateTimeStyles`, leave that out. Raises EvaluationError."""
    chosen = {name.strip() for name in styles.split(",") if name.strip()}
    unknown = chosen - STYLES
    if unknown:
        raise EvaluationError(f"'{min(unknown)}' is not one of .NET's DateTimeStyles")
    every = "AllowWhiteSpaces" in chosen
    if not chosen or every or "AllowLeadingWhite" in chosen:
        text = text.lstrip()
    if not chosen or every or "AllowTrailingWhite" in chosen:
        text = text.rstrip()
    pattern, fields = _reader(form, every or "AllowInnerWhite" in chosen)
    match = pattern.fullmatch(text)
    if match is None:
        raise EvaluationError(f"'{text}' has not the format {form}")
    said: dict[str, str] = {}
    for field, value in zip(fields, match.groups(), strict=True):
        if said.setdefault(field, value) != value:
            raise EvaluationError(f"'{text}' names two values for its {field}")
    try:
        moment = _moment(said)
    except (ValueError, OverflowError):
        raise EvaluationError(f"'{text}' is not a date that exists") from None
    name = said.get("day name")
    if name is not None and DAYS[(moment + _offset(said.get("offset"))).weekday()][:3].lower() != name[:3].lower():
        raise EvaluationError(f"'{text}' names the wrong day of the week")
    return moment


@lru_cache(maxsize=256)
def _reader(form: str, inner_white: bool) -> tuple[Any, tuple[str, ...]]:
    """A pattern with one group a specifier, and what each says."""
    pieces, fields = [], []
    for part in compile_format(form):
        if part.is_literal:
            pieces.append(escape(part.text))
            continue
        name = part.text
        if name in NAMES:
            # Longer names first, so that none is taken for its own beginning.
            pieces.append(f"({'|'.join(sorted(NAMES[name], key=len, reverse=True))})")
        elif name in DIGITS:
            pieces.append(f"({DIGITS[name]})")
        elif name[0] == "f":
            pieces.append(rf"(\d{{{len(name)}}})")
        elif name[0] == "F":
            pieces.append(rf"(\d{{0,{len(name)}}})")
        else:
            # One letter takes one or two digits, two letters take two.
            pieces.append(r"(\d{1,2})" if len(name) == 1 else r"(\d{2})")
        fields.append(FIELDS.get(name, "fraction"))
    between = r"\s*" if inner_white else ""
    return compile_pattern("(?i)" + between.join(pieces)), tuple(fields)


def _moment(said: Mapping[str, str]) -> datetime:
    year = int(said.get("year", "1"))
    if "year of century" in said:
        short = int(said["year of century"])
        year = short + (2000 if short < 30 else 1900)
    month = int(said.get("month", "1"))
    if "month name" in said:
        month = next(n for n, name in enumerate(MONTHS, 1) if name[:3].lower() == said["month name"][:3].lower())
    hour = int(said.get("hour", "0"))
    if "hour of half" in said:
        hour = int(said["hour of half"])
        if not 1 <= hour <= 12:
            raise ValueError("an hour of half a day")
        hour = hour % 12 + (12 if said.get("half", "A")[0] in "Pp" else 0)
    moment = datetime(
        year,
        month,
        int(said.get("day", "1")),
        hour,
        int(said.get("minute", "0")),
        int(said.get("second", "0")),
        int(said.get("fraction", "").ljust(6, "0")[:6]),
        UTC,
    )
    return moment - _offset(said.get("offset"))


def _offset(text: str | None) -> timedelta:
    if not text or text in ("Z", "z"):
        return timedelta()
    hours, _, minutes = text[1:].partition(":")
    span = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return -span if text[0] == "-" else span
