"""The words, marks and texts of a membership rule."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from joiner.directory.rules.errors import RuleError

TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<text>"(?:[^"`]|`.)*"|'(?:[^']|'')*')
    | (?P<mark>[()\[\],])
    | (?P<word>[^\s()\[\],"']+)
    """,
    re.VERBOSE | re.DOTALL,
)
ESCAPED: Final = re.compile(r"`([\"`])|''")
Kind = Literal["text", "mark", "word", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """What it means: of a text what stands between its quotation marks, escapes resolved."""
    position: int


def tokens_of(rule: str) -> list[Token]:
    """The tokens with one of kind `end` behind them. Raises RuleError."""
    found: list[Token] = []
    position = 0
    while position < len(rule):
        match = TOKEN.match(rule, position)
        if match is None:
            raise RuleError("text without closing quotation mark", rule, position)
        if match.lastgroup == "text":
            found.append(Token("text", _unquoted(match.group()), position))
        elif match.lastgroup == "mark":
            found.append(Token("mark", match.group(), position))
        elif match.lastgroup == "word":
            found.append(Token("word", match.group(), position))
        position = match.end()
    found.append(Token("end", "", len(rule)))
    return found


def _unquoted(literal: str) -> str:
    """A double quotation mark is escaped by a backtick, a single one by another single one, in either kind of text."""
    return ESCAPED.sub(lambda match: match[1] or "'", literal[1:-1])
