"""Text to tree: the filter language and attribute paths (RFC 7644 §3.4.2.2, §3.5.2, §3.10; errata 4690, 7319, 7322).

What a tree means is decided by whoever binds it to a resource type. Length, depth and number of terms are limited, and
each character is read a fixed number of times, so that no filter costs more than it is worth (REQ-S-157).
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

import orjson

from joiner.scim.errors import InvalidFilterError, InvalidPathError
from joiner.scim.tree import And, Comparison, Filter, Literal, Not, Or, Path, ValuePath

LONGEST: Final = 2048
"""Characters of a filter or a path."""
DEEPEST: Final = 10
"""Levels of brackets of either kind."""
MOST_TERMS: Final = 100
OPERATORS: Final = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})
KEYWORDS: Final = frozenset({"and", "or", "not"})
WORDS: Final[dict[str, Literal]] = {"true": True, "false": False, "null": None}
KNOWN_URNS: Final = (
    "urn:ietf:params:scim:schemas:core:2.0:User",
    "urn:ietf:params:scim:schemas:core:2.0:Group",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
)

BLANKS: Final = r"[ \t\r\n]*"
CONTROLS: Final = r"\x00-\x1f"
NAME: Final = re.compile(r"[A-Za-z$][A-Za-z0-9$_-]*")
SUB_ATTRIBUTE: Final = re.compile(rf"\.({NAME.pattern})")
DOTTED: Final = re.compile(rf"{BLANKS}((?:urn:[^\s()\[\]\"'\\]+)|[A-Za-z$][A-Za-z0-9$_:.-]*)", re.IGNORECASE)
SPACE: Final = re.compile(BLANKS)
AND: Final = re.compile(rf"{BLANKS}and(?![A-Za-z0-9$_:.-])", re.IGNORECASE)
OR: Final = re.compile(rf"{BLANKS}or(?![A-Za-z0-9$_:.-])", re.IGNORECASE)
NOT: Final = re.compile(rf"{BLANKS}not{BLANKS}\(", re.IGNORECASE)
OPEN: Final = re.compile(rf"{BLANKS}\(")
CLOSE: Final = re.compile(rf"{BLANKS}\)")
CLOSE_SQUARE: Final = re.compile(rf"{BLANKS}\]")
OPERATOR: Final = re.compile(rf"{BLANKS}([^\s()\[\]\"']+)")
STRING: Final = re.compile(rf'{BLANKS}("([^"\\]*(?:\\.[^"\\]*)*)")', re.DOTALL)
SINGLE: Final = re.compile(rf"{BLANKS}'([^'{CONTROLS}]*)'")
BARE: Final = re.compile(rf"{BLANKS}([^\s()\[\]\"'{CONTROLS}][^\s()\"{CONTROLS}]*)")
BARE_IN_BRACKETS: Final = re.compile(rf"{BLANKS}([^\s()\[\]\"'{CONTROLS}][^\s()\]\"{CONTROLS}]*)")
NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
ESCAPED_OR_CONTROL: Final = re.compile(rf"[\\{CONTROLS}]")
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
ONE_EQUALITY: Final = re.compile(
    rf'(?!(?i:and|or|not) )({NAME.pattern}) [eE][qQ] "([^"\\{CONTROLS}' + '\ud800-\udfff]*)"'
)
"""What nearly every request asks: one attribute, `eq`, a string without escapes."""


def parse_filter(
    text: str, *, inside_brackets: bool = False, strict: bool = False, urns: Collection[str] = KNOWN_URNS
) -> Filter:
    """The tree of a filter, or of what stands in square brackets.

    Literals without quotes or in single quotes are text (T20), unless `strict`. `urns` are the schemas' that paths may
    begin with. Raises InvalidFilterError saying what is wrong, near what.
    """
    if len(text) > LONGEST:
        raise InvalidFilterError(f"a filter may have {LONGEST} characters; this one has {len(text)}")
    simple = ONE_EQUALITY.fullmatch(text)
    if simple is not None:
        name, value = simple.groups()
        return Comparison(_plain(name), "eq", value)
    _refuse_unstorable(text)
    parser = _Parser(text, 0, inside_brackets=inside_brackets, strict=strict, urns=urns)
    tree = parser.disjunction(1 if inside_brackets else 0)
    if parser.rest():
        raise InvalidFilterError(f"unexpected '{parser.rest()}' behind a complete filter")
    return tree


def parse_path(text: str, urns: Collection[str] = KNOWN_URNS, *, strict: bool = False) -> Path:
    """Raises InvalidPathError, or InvalidFilterError for what stands in brackets.

    A URN ends at the longest of `urns` that fits, whatever its case, else at the last colon: URNs contain dots.
    Unless `strict`, a URN may be joined to its attribute by a dot (T15), and brackets are read as `parse_filter` does.
    """
    if len(text) > LONGEST:
        raise InvalidPathError(f"a path may have {LONGEST} characters; this one has {len(text)}")
    stripped = text.strip()
    if NAME.fullmatch(stripped):
        return _plain(stripped)
    bracket = stripped.find("[")
    if UNSTORABLE.search(stripped):
        raise InvalidPathError("a path cannot contain NUL or half of a surrogate pair")
    if bracket < 0:
        return _dotted(stripped, urns, strict=strict)
    if "]" not in stripped:
        raise InvalidPathError(f"'{_short(text)}' has no closing ']'")
    urn, attribute = split_urn(stripped[:bracket], urns, strict=strict)
    parser = _Parser(stripped, bracket + 1, inside_brackets=True, strict=strict, urns=urns)
    condition = parser.disjunction(1)
    if not parser.takes(CLOSE_SQUARE):
        raise InvalidPathError(f"'{_short(text)}' has no closing ']' where the filter ends")
    sub = parser.sub_attribute()
    if parser.rest():
        raise InvalidPathError(f"'{_short(text)}': after ']' only '.' and a sub-attribute can follow")
    return Path(urn, _name(attribute, text), condition, sub)


def split_urn(text: str, urns: Collection[str], *, strict: bool = False) -> tuple[str | None, str]:
    """The schema URN in front of an attribute path, None if there is none, and the rest. Unless `strict`, a dot may
    stand between them (T15)."""
    joints = ":" if strict else ":."
    if text[:4].lower() != "urn:":
        return None, text
    folded = text.lower()
    for urn in sorted(urns, key=len, reverse=True):
        if folded.startswith(urn.lower()):
            rest = text[len(urn) :]
            if not rest or rest[0] in joints:
                return urn, rest[1:]
    head, _, tail = text.rpartition(":")
    return head, tail


class _Parser:
    """Reads a text from a position on, by recursive descent. Blanks in front of anything are skipped."""

    def __init__(self, text: str, position: int, *, inside_brackets: bool, strict: bool, urns: Collection[str]) -> None:
        self._text = text
        self._position = position
        self._inside_brackets = inside_brackets
        self._strict = strict
        self._urns = urns
        self._terms = 0

    def rest(self) -> str:
        """The beginning of what has not been read."""
        self.takes(SPACE)
        return self._text[self._position : self._position + 40]

    def takes(self, pattern: re.Pattern[str]) -> bool:
        return self._match(pattern) is not None

    def sub_attribute(self) -> str | None:
        match = self._match(SUB_ATTRIBUTE)
        return None if match is None else match[1]

    def disjunction(self, depth: int) -> Filter:
        tree = self._conjunction(depth)
        while self.takes(OR):
            tree = Or(tree, self._conjunction(depth))
        return tree

    def _conjunction(self, depth: int) -> Filter:
        tree = self._factor(depth)
        while self.takes(AND):
            tree = And(tree, self._factor(depth))
        return tree

    def _factor(self, depth: int) -> Filter:
        if self.takes(NOT):
            return Not(self._closed(depth))
        if self.takes(OPEN):
            return self._closed(depth)
        return self._term(depth)

    def _closed(self, depth: int, closing: re.Pattern[str] = CLOSE) -> Filter:
        if depth >= DEEPEST:
            raise InvalidFilterError(f"a filter may be nested {DEEPEST} levels deep")
        tree = self.disjunction(depth + 1)
        if not self.takes(closing):
            near = self.rest()
            raise InvalidFilterError(f"a bracket is not closed before '{near}'" if near else "a bracket is not closed")
        return tree

    def _term(self, depth: int) -> Filter:
        path = self._path(depth)
        if path.filter is not None and path.sub_attribute is None:
            return ValuePath(path)
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise InvalidFilterError(f"a filter may have {MOST_TERMS} terms")
        found = self._match(OPERATOR)
        if found is None:
            raise InvalidFilterError(f"'{_short(str(path))}' is not followed by an operator")
        operator = found[1].lower()
        if operator == "pr":
            return Comparison(path, "pr")
        if operator not in OPERATORS:
            known = ", ".join(sorted(OPERATORS))
            raise InvalidFilterError(f"'{_short(found[1])}' is not an operator; use {known} or pr")
        return Comparison(path, operator, self._literal())

    def _path(self, depth: int) -> Path:
        found = self._match(DOTTED)
        if found is None:
            near = self.rest()
            raise InvalidFilterError(f"expected an attribute, not '{near}'" if near else "the filter ends too early")
        text = found[1]
        if text.lower() in KEYWORDS:
            raise InvalidFilterError(
                f"'{text}' must be followed by a bracket"
                if text.lower() == "not"
                else f"expected an attribute, not '{text}'"
            )
        try:
            if not self._text.startswith("[", self._position):
                return _dotted(text, self._urns, strict=self._strict)
            urn, attribute = split_urn(text, self._urns, strict=self._strict)
            _name(attribute, text)
        except InvalidPathError as error:
            raise InvalidFilterError(str(error)) from None
        if self._inside_brackets:
            raise InvalidFilterError("a filter in brackets cannot have square brackets itself")
        self._position += 1
        self._inside_brackets = True
        condition = self._closed(depth, CLOSE_SQUARE)
        self._inside_brackets = False
        return Path(urn, attribute, condition, self.sub_attribute())

    def _literal(self) -> Literal:
        found = self._match(STRING)
        if found is not None:
            return _unescaped(found[1]) if ESCAPED_OR_CONTROL.search(found[2]) else found[2]
        found = self._match(SINGLE)
        if found is not None:
            if self._strict:
                raise InvalidFilterError("text must stand in double quotes")
            return found[1]
        found = self._match(BARE_IN_BRACKETS if self._inside_brackets else BARE)
        if found is None:
            near = self.rest()
            raise InvalidFilterError(f"'{near}' is not a value" if near else "a comparison has no value")
        return _bare(found[1], strict=self._strict)

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._position)
        if found is not None:
            self._position = found.end()
        return found


def _unescaped(quoted: str) -> str:
    try:
        value: str = orjson.loads(quoted)
    except orjson.JSONDecodeError:
        raise InvalidFilterError(f"{_short(quoted)} is not a JSON string") from None
    _refuse_unstorable(value)
    return value


def _bare(text: str, *, strict: bool) -> Literal:
    """`true`, `false`, `null`, a number, or text without quotes (T20)."""
    folded = text.lower()
    if folded in WORDS:
        return WORDS[folded]
    if NUMBER.fullmatch(text):
        try:
            value: int | float = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise InvalidFilterError(f"the number {_short(text)} is too large") from None
        # What would be printed in another way may be a text that looks like a number, such as 1e5 or 1.50: as a text it
        # can still become either.
        if strict or orjson.dumps(value).decode() == text:
            return value
    if strict:
        raise InvalidFilterError(f"'{_short(text)}' is not a value: text must stand in double quotes")
    return text


def _dotted(text: str, urns: Collection[str], *, strict: bool) -> Path:
    """A path without brackets."""
    urn, attribute = split_urn(text, urns, strict=strict)
    if urn in urns and not attribute:
        return Path(urn, "")
    attribute, dot, last = attribute.partition(".")
    return Path(urn, _name(attribute, text), None, _name(last, text) if dot else None)


@lru_cache(maxsize=1024)
def _plain(name: str) -> Path:
    return Path(None, name)


def _name(name: str, text: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidPathError(f"'{_short(text)}' is not an attribute path")
    return name


def _refuse_unstorable(text: str) -> None:
    """No stored text has NUL or half of a surrogate pair (REQ-S-342), so nothing could be meant by it."""
    if UNSTORABLE.search(text):
        raise InvalidFilterError("a filter cannot contain NUL or half of a surrogate pair")


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"
