""".NET's regular expressions, rewritten for the two engines that run them: RE2, and for what RE2 does not have
(look-around, back references, atomic groups, conditions, subtracted classes) the `regex` package.

Rewriting settles what the dialects mean differently: `\\d`, `\\w` and `\\s` are Unicode's, groups without name are
numbered before those with one, `(?n)` and `(?x)` are resolved, escapes become the characters that they stand for.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from joiner.errors import InvalidValueError

CATEGORIES: Final = frozenset(
    "C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs".split()  # noqa: SIM905
)
WORD: Final = r"\p{L}\p{Mn}\p{Nd}\p{Pc}"
NO_WORD: Final = r"\p{Mc}\p{Me}\p{Nl}\p{No}\p{Pd}\p{Pe}\p{Pf}\p{Pi}\p{Po}\p{Ps}\p{S}\p{Z}\p{C}"
SPACE: Final = r"\t-\r\x85\p{Z}"
NO_SPACE: Final = r"\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Co}\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
CLASSES: Final[Mapping[str, str]] = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": WORD,
    "W": NO_WORD,
    "s": SPACE,
    "S": NO_SPACE,
}
"""Letter of a class → what stands for it inside brackets."""
CONTROLS: Final[Mapping[str, str]] = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
"""Letter of an escape → its character; `\\b` is one only inside brackets."""
CODE: Final = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|c([@-_a-z])|0([0-7]{0,2})")
REPEAT: Final = re.compile(r"[*+?]|\{[0-9]{1,9}(?:,[0-9]{0,9})?\}")
OPTIONS: Final = re.compile(r"\(\?([imnsx]*)(?:-([imnsx]*))?([:)])")
NAME: Final = re.compile(r"\(\?(?:<(\w+)>|'(\w+)')")
CONDITION: Final = re.compile(r"\(\?\((\w+)\)")
REFERENCE: Final = re.compile(r"k<(\w+)>|k'(\w+)'|([1-9][0-9]{0,8})")
PROPERTY: Final = re.compile(r"([pP])\{(\w+(?:-\w+)*)\}")
BLOCK: Final = "Is"
ENGINES_OPTIONS: Final = "ims"
"""Options that both engines have, with the same meaning."""
AROUND: Final = ("(?=", "(?!", "(?<=", "(?<!", "(?>")


class PatternError(InvalidValueError):
    """The pattern cannot be used."""


@dataclass(frozen=True, slots=True)
class Translation:
    """One pattern for both engines, with the groups by .NET's names and numbers."""

    fast: str | None
    """For RE2; None if it cannot run this."""
    exact: str
    """For `regex`."""
    groups: Mapping[str, tuple[int, ...]]
    """Name or number as text → the positions of the groups that have it, in both engines. .NET allows several."""
    has_boundary: bool
    """It uses `\\b`, which RE2 knows only between ASCII characters."""
    has_end: bool
    """It uses `$` or `\\Z`, which RE2 does not find before a line feed that ends the text, as .NET does."""
    subtracts: bool
    """It uses a class such as `[a-z-[aeiou]]`."""


def translate(pattern: str) -> Translation:
    """Raises PatternError for what .NET has and neither engine, and for what .NET does not take."""
    return _Translator(pattern).translate()


Reference = tuple[str, int]
"""A back reference or condition, written once all groups are known: the name, and where in the pattern it stands."""


@dataclass(slots=True)
class _Scope:
    """The options in force, which end with their group."""

    options: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Groups:
    names: list[str | None] = field(default_factory=list)
    """Of each capturing group in the order of the engines, None for those without name."""

    def by_name(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {"0": [0]}
        named: dict[str, list[int]] = {}
        for position, name in enumerate(self.names, 1):
            if name is not None:
                named.setdefault(name, []).append(position)
        number = 0
        for position, name in enumerate(self.names, 1):
            if name is None:
                number = _next_free(number, named)
                found[str(number)] = [position]
        for name, positions in named.items():
            found[name] = positions
            if not name.isdecimal():
                number = _next_free(number, named)
                found[str(number)] = positions
        return {name: tuple(positions) for name, positions in found.items()}


def _next_free(number: int, named: Mapping[str, object]) -> int:
    number += 1
    while str(number) in named:
        number += 1
    return number


class _Translator:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._fast: list[str] = []
        self._exact: list[str | Callable[[Mapping[str, tuple[int, ...]]], str]] = []
        self._is_fast = True
        self._has_boundary = self._has_end = self._subtracts = False
        self._groups = _Groups()
        self._scopes = [_Scope()]

    def translate(self) -> Translation:
        while self._position < len(self._pattern):
            self._item()
        if len(self._scopes) > 1:
            raise self._error("a group is not closed")
        groups = self._groups.by_name()
        return Translation(
            fast="".join(self._fast) if self._is_fast else None,
            exact="".join(part if isinstance(part, str) else part(groups) for part in self._exact),
            groups=groups,
            has_boundary=self._has_boundary,
            has_end=self._has_end,
            subtracts=self._subtracts,
        )

    # One item after the other

    def _item(self) -> None:
        character = self._pattern[self._position]
        if "x" in self._options and self._skip_blank():
            return
        if character == "\\":
            self._position += 1
            self._escape()
        elif character == "[":
            self._both(self._brackets())
        elif character == "(":
            self._open()
            return
        elif character == ")":
            self._close()
        elif character in "|^":
            self._position += 1
            self._both(character)
            return
        elif character == "$":
            self._position += 1
            self._has_end |= "m" not in self._options
            self._both("$")
        elif character == ".":
            self._position += 1
            self._both(".")
        elif REPEAT.match(self._pattern, self._position):
            raise self._error("a quantifier follows nothing that could be repeated")
        else:
            self._position += 1
            self._both(literal(character))
        self._repeat()

    @property
    def _options(self) -> frozenset[str]:
        return self._scopes[-1].options

    def _both(self, text: str) -> None:
        self._fast.append(text)
        self._exact.append(text)

    def _only_exact(self, part: "str | Callable[[Mapping[str, tuple[int, ...]]], str]") -> None:
        self._is_fast = False
        self._exact.append(part)

    def _skip_blank(self) -> bool:
        """White space and comments, which `(?x)` lets stand in a pattern."""
        start = self._position
        character = self._pattern[start]
        if character.isspace():
            self._position += 1
        elif character == "#":
            end = self._pattern.find("\n", start)
            self._position = len(self._pattern) if end < 0 else end + 1
        return self._position > start

    def _repeat(self) -> None:
        """The quantifier of what was just written. .NET takes only one, with `?` to make it lazy."""
        while "x" in self._options and self._position < len(self._pattern) and self._skip_blank():
            pass
        match = REPEAT.match(self._pattern, self._position)
        if match is None:
            return
        self._position = match.end()
        lazy = self._pattern[self._position : self._position + 1] == "?"
        self._position += lazy
        self._both(match[0] + "?" * lazy)
        if REPEAT.match(self._pattern, self._position):
            raise self._error("a quantifier follows another one")

    # Groups

    def _open(self) -> None:
        text, start = self._pattern, self._position
        if text.startswith("(?#", start):
            end = text.find(")", start)
            if end < 0:
                raise self._error("a comment is not closed")
            self._position = end + 1
            return
        around = next((mark for mark in AROUND if text.startswith(mark, start)), None)
        if around is not None:
            self._enter(len(around))
            self._only_exact(around)
        elif match := OPTIONS.match(text, start):
            self._set_options(match)
        elif match := NAME.match(text, start):
            self._enter(len(match[0]))
            self._groups.names.append(match[1] or match[2])
            self._both("(")
        elif match := CONDITION.match(text, start):
            self._enter(len(match[0]))
            name = match[1]
            self._only_exact(lambda groups: f"(?({self._positions(groups, name)[-1]})")
        elif text.startswith("(?", start):
            raise self._error("this kind of group is not supported")
        else:
            self._enter(1)
            if "n" in self._options:
                self._both("(?:")
            else:
                self._groups.names.append(None)
                self._both("(")

    def _enter(self, length: int) -> None:
        self._position += length
        self._scopes.append(_Scope(self._options))

    def _set_options(self, match: "re.Match[str]") -> None:
        on, off = match[1], match[2] or ""
        options = (self._options | set(on)) - set(off)
        kept_on, kept_off = ("".join(letter for letter in part if letter in ENGINES_OPTIONS) for part in (on, off))
        flags = f"{kept_on}-{kept_off}" if kept_off else kept_on
        if match[3] == ":":
            self._enter(len(match[0]))
            self._both(f"(?{flags}:")
        else:
            self._position += len(match[0])
            if flags:
                self._both(f"(?{flags})")
        self._scopes[-1].options = options

    def _close(self) -> None:
        if len(self._scopes) == 1:
            raise self._error("a bracket is closed that was not opened")
        self._position += 1
        self._scopes.pop()
        self._both(")")

    def _positions(self, groups: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
        if name not in groups:
            raise PatternError(f"the pattern '{self._pattern}' cannot be used: it has no group '{name}'")
        return groups[name]

    # Escapes and classes

    def _escape(self) -> None:
        if match := REFERENCE.match(self._pattern, self._position):
            name = match[1] or match[2] or match[3]
            self._position = match.end()
            self._only_exact(
                lambda groups: "(?:" + "|".join(f"\\{n}" for n in reversed(self._positions(groups, name))) + ")"
            )
            return
        character = self._pattern[self._position : self._position + 1]
        if character in ANCHORS:
            self._position += 1
            fast, exact = ANCHORS[character]
            self._has_boundary |= character in "bB"
            self._has_end |= character == "Z"
            self._is_fast &= fast is not None
            self._fast.append(fast or "")
            self._exact.append(exact)
        elif character in ("W", "S"):
            self._position += 1
            self._both(f"[^{CLASSES[character.lower()]}]")
        else:
            found, is_character = self._escaped()
            self._both(literal(found) if is_character else f"[{found}]")

    def _escaped(self) -> tuple[str, bool]:
        """What the escape at this place stands for, and whether that is one character; else it is part of a class."""
        if self._position == len(self._pattern):
            raise self._error("it ends with a backslash")
        character = self._pattern[self._position]
        if character in CLASSES:
            self._position += 1
            return CLASSES[character], False
        if match := PROPERTY.match(self._pattern, self._position):
            self._position = match.end()
            return self._property(match[1], match[2]), False
        if match := CODE.match(self._pattern, self._position):
            self._position = match.end()
            return _coded(match), True
        self._position += 1
        if character in CONTROLS:
            return CONTROLS[character], True
        if character.isalnum():
            raise self._error(f"\\{character} is no escape")
        return character, True

    def _property(self, kind: str, name: str) -> str:
        if name in CATEGORIES:
            return f"\\{kind}{{{name}}}"
        if not name.startswith(BLOCK):
            raise self._error(f"there is no class {{{name}}}")
        self._is_fast = False
        return f"\\{kind}{{In{name.removeprefix(BLOCK)}}}"

    def _brackets(self) -> str:
        """A class in brackets, with what is subtracted from it."""
        text = self._pattern
        self._position += 1
        opening = "["
        if text.startswith("^", self._position):
            self._position += 1
            opening = "[^"
        pieces: list[str] = []
        is_first = True
        while is_first or not text.startswith("]", self._position):
            if self._position >= len(text):
                raise self._error("a class is not closed")
            if text.startswith("-[", self._position) and not is_first:
                return self._subtracted(opening, pieces)
            pieces.append(self._range())
            is_first = False
        self._position += 1
        return f"{opening}{''.join(pieces)}]"

    def _subtracted(self, opening: str, pieces: list[str]) -> str:
        self._position += 1
        self._is_fast, self._subtracts = False, True
        less = self._brackets()
        if not self._pattern.startswith("]", self._position):
            raise self._error("a subtracted class must be the last part of its class")
        self._position += 1
        return f"[{opening}{''.join(pieces)}]--{less}]"

    def _range(self) -> str:
        first, is_character = self._member()
        follows = self._pattern[self._position : self._position + 2]
        if not (is_character and len(follows) == 2 and follows[0] == "-" and follows[1] not in "]["):
            return literal(first) if is_character else first
        self._position += 1
        last, is_end = self._member()
        if not is_end:
            # `[a-\d]`: the dash is one of the characters.
            return f"{literal(first)}\\-{last}"
        if last < first:
            raise self._error(f"the range {first}-{last} is the wrong way round")
        return f"{literal(first)}-{literal(last)}"

    def _member(self) -> tuple[str, bool]:
        character = self._pattern[self._position]
        self._position += 1
        return self._escaped() if character == "\\" else (character, True)

    def _error(self, problem: str) -> PatternError:
        place = min(self._position, len(self._pattern)) + 1
        return PatternError(f"the pattern '{self._pattern}' cannot be used: {problem} (position {place})")


ANCHORS: Final[Mapping[str, tuple[str | None, str]]] = {
    "A": (r"\A", r"\A"),
    "b": (r"\b", r"\b"),
    "B": (r"\B", r"\B"),
    "G": (None, r"\G"),
    "z": (r"\z", r"\Z"),
    "Z": (r"\z", r"(?=\n?\Z)"),
}
"""Letter of an anchor → how RE2 and `regex` write it."""


def literal(character: str) -> str:
    """The character as a pattern that matches it and nothing else."""
    if character.isalnum() or not character.isascii() or character == "_":
        return character
    return f"\\{character}" if character.isprintable() and character != " " else f"\\x{ord(character):02x}"


def _coded(match: "re.Match[str]") -> str:
    two, four, control, octal = match.groups()
    if control:
        return chr(ord(control.upper()) - 64)
    return chr(int(octal or "0", 8)) if octal is not None else chr(int(two or four, 16))
