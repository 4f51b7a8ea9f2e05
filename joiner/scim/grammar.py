"""Text to tree: the filter language and attribute paths (RFC 7644 §3.4.2.2, §3.5.2, §3.10).

What a tree means is decided by whoever evaluates it. Literals without quotes or in single quotes are taken as text
(T20). Length and depth are limited, so that no filter costs more than it is worth.
"""

import re
from collections.abc import Iterable
from typing import Final

import orjson

from joiner.scim.errors import InvalidFilterError, InvalidPathError
from joiner.scim.tree import And, Comparison, Filter, Literal, Not, Or, Path, ValuePath

LONGEST: Final = 2048
DEEPEST: Final = 10
MOST_TERMS: Final = 100
OPERATORS: Final = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})
KNOWN_URNS: Final = (
    "urn:ietf:params:scim:schemas:core:2.0:User",
    "urn:ietf:params:scim:schemas:core:2.0:Group",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
)
NAME: Final = re.compile(r"[A-Za-z$][A-Za-z0-9$_-]*")
TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<single>'[^']*')
    | (?P<path>[A-Za-z$][A-Za-z0-9$_:.-]*\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\](?:\.[A-Za-z$][A-Za-z0-9$_-]*)?)
    | (?P<bare>[^\s()"']+)
    """,
    re.VERBOSE,
)


SIMPLE: Final = re.compile(r'\s*([A-Za-z][A-Za-z0-9]*)\s+eq\s+"([^"\\\x00-\x1f]*)"\s*', re.IGNORECASE)
"""What clients ask most: one attribute equals one text."""


def parse_filter(text: str, *, inside_brackets: bool = False, strict: bool = False) -> Filter:
    """Raises InvalidFilterError saying what is wrong, near what. `strict`: literals must be JSON."""
    simple = SIMPLE.fullmatch(text)
    if simple is not None and len(text) <= LONGEST:
        return Comparison(Path(None, simple[1]), "eq", simple[2])
    if len(text) > LONGEST:
        raise InvalidFilterError(f"a filter may have {LONGEST} characters; this one has {len(text)}")
    if "\x00" in text:
        raise InvalidFilterError("the filter contains a NUL character")
    parser = _Parser(_tokens(text), inside_brackets, strict)
    tree = parser.disjunction(0)
    if parser.current[0] != "end":
        raise InvalidFilterError(f"unexpected '{parser.current[1]}' behind a complete filter")
    return tree


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], inside_brackets: bool, strict: bool) -> None:
        self._strict = strict
        self._terms = 0
        self._tokens = tokens
        self._index = 0
        self._inside_brackets = inside_brackets

    @property
    def current(self) -> tuple[str, str]:
        return self._tokens[self._index]

    def disjunction(self, depth: int) -> Filter:
        tree = self._conjunction(depth)
        while self._take_word("or"):
            tree = Or(tree, self._conjunction(depth))
        return tree

    def _conjunction(self, depth: int) -> Filter:
        tree = self._negation(depth)
        while self._take_word("and"):
            tree = And(tree, self._negation(depth))
        return tree

    def _negation(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise InvalidFilterError(f"a filter may be nested {DEEPEST} levels deep")
        kind, text = self.current
        if kind == "bare" and text.lower() == "not" and self._tokens[self._index + 1][0] == "open":
            self._index += 1
            return Not(self._group(depth))
        if kind == "open":
            return self._group(depth)
        return self._term()

    def _group(self, depth: int) -> Filter:
        self._index += 1
        tree = self.disjunction(depth + 1)
        if self.current[0] != "close":
            raise InvalidFilterError("a bracket is not closed")
        self._index += 1
        return tree

    def _term(self) -> Filter:
        kind, text = self.current
        if kind not in ("bare", "path"):
            raise InvalidFilterError(f"expected an attribute, not '{text}'" if text else "the filter ends too early")
        if kind == "path" and self._inside_brackets:
            raise InvalidFilterError("a filter in brackets cannot have brackets itself")
        self._index += 1
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise InvalidFilterError(f"a filter may have {MOST_TERMS} comparisons")
        try:
            path = parse_path(text)
        except InvalidPathError as error:
            raise InvalidFilterError(str(error)) from None
        if path.filter is not None and path.sub_attribute is None:
            return ValuePath(path)
        operator = self._word("an operator")
        if operator == "pr":
            return Comparison(path, "pr")
        if operator not in OPERATORS:
            raise InvalidFilterError(f"'{operator}' is not an operator; use {', '.join(sorted(OPERATORS))} or pr")
        return Comparison(path, operator, self._literal())

    def _literal(self) -> Literal:
        kind, text = self.current
        if kind in ("end", "open", "close", "path"):
            raise InvalidFilterError("a comparison has no value")
        self._index += 1
        if kind == "string":
            return _string(text)
        value = text[1:-1] if kind == "single" else _bare(text)
        if self._strict and (kind == "single" or (isinstance(value, str))):
            raise InvalidFilterError(f"{text[:50]} must stand in double quotes")
        return value

    def _word(self, what: str) -> str:
        kind, text = self.current
        if kind != "bare":
            raise InvalidFilterError(f"expected {what}" + (f", not '{text}'" if text else " at the end"))
        self._index += 1
        return text.lower()

    def _take_word(self, word: str) -> bool:
        kind, text = self.current
        if kind == "bare" and text.lower() == word:
            self._index += 1
            return True
        return False


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise InvalidFilterError(f"the filter cannot be read from '{text[position : position + 20]}' on")
        position = match.end()
        if match.lastgroup != "space":
            tokens.append((str(match.lastgroup), match.group()))
    return [*tokens, ("end", "")]


def _string(text: str) -> str:
    try:
        value: str = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidFilterError(f"{text[:100]} is not a JSON string") from None
    if "\x00" in value:
        raise InvalidFilterError("a text in the filter contains a NUL character")
    return value


def _bare(text: str) -> Literal:
    """`true`, `false`, `null`, a number, or text without quotes."""
    words: dict[str, Literal] = {"true": True, "false": False, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value: int | float = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if isinstance(value, (int, float)) else text


def parse_path(text: str, urns: Iterable[str] = KNOWN_URNS) -> Path:
    """Raises InvalidPathError, or InvalidFilterError for what stands in brackets.

    A URN ends at the longest of `urns` that fits, whatever its case, else at the last colon: URNs contain dots.
    A URN joined to its attribute by a dot is accepted (T15).
    """
    stripped = text.strip()
    before, bracket, rest = stripped.partition("[")
    urn, attribute = split_urn(before, urns)
    condition, sub = None, None
    if bracket:
        inner, tail = _bracketed(rest, text)
        condition = parse_filter(inner, inside_brackets=True)
        if tail:
            if not tail.startswith("."):
                raise InvalidPathError(f"'{text}': after ']' only '.' and a sub-attribute can follow")
            sub = _name(tail[1:], text)
        return Path(urn, _name(attribute, text), condition, sub)
    if urn is not None and not attribute:
        return Path(urn, "")
    attribute, dot, last = attribute.partition(".")
    return Path(urn, _name(attribute, text), None, _name(last, text) if dot else None)


def split_urn(text: str, urns: Iterable[str]) -> tuple[str | None, str]:
    """The schema URN in front of an attribute path, None if there is none, and the rest."""
    if text[:4].lower() != "urn:":
        return None, text
    folded = text.lower()
    for urn in sorted(urns, key=len, reverse=True):
        if folded.startswith(urn.lower()):
            rest = text[len(urn) :]
            if not rest or rest[0] in ":.":
                return urn, rest[1:]
    head, _, tail = text.rpartition(":")
    return head, tail


def _bracketed(rest: str, text: str) -> tuple[str, str]:
    """What stands before the closing bracket, which is not one inside a string, and what stands behind it."""
    quoted, escaped = False, False
    for index, character in enumerate(rest):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "]" and not quoted:
            return rest[:index], rest[index + 1 :].strip()
    raise InvalidPathError(f"'{text}' has no closing ']'")


def _name(name: str, text: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidPathError(f"'{text}' is not an attribute path")
    return name
