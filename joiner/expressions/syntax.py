"""Text to tree and back: tokens and a recursive-descent parser (the grammar has one level of operators).

    expression = operand [ comparator operand ]
    operand    = call | "[" attribute "]" | string | number | hex | word

An omitted argument is an empty place between commas; it differs from an empty string.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from joiner.expressions.errors import ExpressionError

LONGEST: Final = 10_000
LONGEST_NUMBER: Final = 25
DEEPEST: Final = 100
"""Nested calls; deeper ones are refused before they exhaust the stack."""

WORDS: Final = ("vbTextCompare", "vbBinaryCompare", "True", "False", "IgnoreAttributeFlow", "IgnoreObjectFlow")
COMPARATORS: Final = ("<>", ">=", "<=", "=", ">", "<")

TOKEN: Final = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<hex>&[Hh][0-9A-Fa-f]+)
    | (?P<number>-?[0-9]+(?:\.[0-9]+)?)
    | (?P<name>[A-Za-z][A-Za-z0-9_]*)
    | (?P<mark><>|>=|<=|[=<>(),])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`[name]`: a source attribute."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: text, or a number as Python's int or float."""

    value: str | int | float


@dataclass(frozen=True, slots=True)
class Word:
    """One of `WORDS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Omitted:
    """An argument that is not provided."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; `position` is where its name stands."""

    name: str
    arguments: tuple["Node", ...]
    position: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and a comparator."""

    operator: str
    left: "Node"
    right: "Node"


Node = Attribute | Constant | Word | Omitted | Call | Comparison


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    position: int


def parse(text: str) -> Node:
    """The tree of an expression. Raises ExpressionError with the place of the first thing that is wrong."""
    if len(text) > LONGEST:
        raise ExpressionError(
            f"an expression may have {LONGEST:,} characters; this one has {len(text):,}", text, LONGEST
        )
    parser = _Parser(text)
    node = parser.expression(0)
    parser.expect("end", "")
    return node


def to_text(node: Node) -> str:
    """An expression that parses to an equal tree."""
    match node:
        case Attribute(name):
            return f"[{name}]"
        case Constant(str() as value):
            return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        case Constant(value):
            return str(value)
        case Word(name):
            return name
        case Omitted():
            return ""
        case Comparison(operator, left, right):
            return f"{to_text(left)} {operator} {to_text(right)}"
        case Call(name, arguments, _):
            # A single omitted argument would vanish without its comma.
            inner = ", ".join(to_text(argument) for argument in arguments)
            return f"{name}({inner})"


def attributes_of(node: Node) -> Iterator[str]:
    """The names of the source attributes that occur in the tree."""
    match node:
        case Attribute(name):
            yield name
        case Comparison(_, left, right):
            yield from attributes_of(left)
            yield from attributes_of(right)
        case Call(_, arguments, _):
            for argument in arguments:
                yield from attributes_of(argument)
        case _:
            return


def functions_of(node: Node) -> Iterator[str]:
    """The names of the functions that the tree calls."""
    match node:
        case Comparison(_, left, right):
            yield from functions_of(left)
            yield from functions_of(right)
        case Call(name, arguments, _):
            yield name
            for argument in arguments:
                yield from functions_of(argument)
        case _:
            return


def unquote(literal: str) -> str:
    """The text of a string literal. `\\"` and `\\\\` lose their backslash; before anything else it stays (D-10)."""
    return re.sub(r'\\(["\\])', r"\1", literal[1:-1])


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._token = self._next()

    def expression(self, depth: int) -> Node:
        left = self._operand(depth)
        if self._token.kind == "mark" and self._token.text in COMPARATORS:
            operator = self._advance().text
            return Comparison(operator, left, self._operand(depth))
        return left

    def expect(self, kind: str, text: str) -> None:
        if self._token.kind != kind or self._token.text != text:
            wanted = f"'{text}'" if text else "the end of the expression"
            self._fail(f"expected {wanted}")
        self._advance()

    def _operand(self, depth: int) -> Node:
        if depth > DEEPEST:
            self._fail(f"calls are nested deeper than {DEEPEST}")
        token = self._advance_operand()
        match token.kind:
            case "string":
                return Constant(unquote(token.text))
            case "attribute":
                return Attribute(token.text)
            case "hex" | "number" if len(token.text) > LONGEST_NUMBER:
                raise ExpressionError(f"a number may have {LONGEST_NUMBER} digits", self._text, token.position)
            case "hex":
                return Constant(int(token.text.lower().removeprefix("&h"), base=16))
            case "number":
                return Constant(float(token.text) if "." in token.text else int(token.text))
        if self._token == Token("mark", "(", self._token.position):
            return self._call(token, depth)
        if token.text in WORDS:
            return Word(token.text)
        words = {word.lower(): word for word in WORDS}
        hint = f"; did you mean '{words[token.text.lower()]}'?" if token.text.lower() in words else ""
        raise ExpressionError(f"unknown word '{token.text}'{hint}", self._text, token.position)

    def _call(self, name: Token, depth: int) -> Call:
        self.expect("mark", "(")
        arguments: list[Node] = []
        if self._token.text == ")" and self._token.kind == "mark":
            self._advance()
            return Call(name.text, (), name.position)
        while True:
            arguments.append(self._argument(depth + 1))
            if self._token.kind == "mark" and self._token.text == ",":
                self._advance()
                continue
            self.expect("mark", ")")
            return Call(name.text, tuple(arguments), name.position)

    def _argument(self, depth: int) -> Node:
        if self._token.kind == "mark" and self._token.text in (",", ")"):
            return Omitted()
        return self.expression(depth)

    def _advance_operand(self) -> Token:
        if self._token.kind in ("mark", "end"):
            found = f"'{self._token.text}'" if self._token.text else "the end"
            self._fail(f"expected a function, [attribute], text or number, not {found}")
        return self._advance()

    def _advance(self) -> Token:
        token = self._token
        self._token = self._next()
        return token

    def _next(self) -> Token:
        while True:
            start = self._position
            if start >= len(self._text):
                return Token("end", "", start)
            if self._text[start] == "[":
                return self._attribute(start)
            match = TOKEN.match(self._text, start)
            if match is None:
                problem = "text without closing quotation mark" if self._text[start] == '"' else "unexpected character"
                raise ExpressionError(problem, self._text, start)
            self._position = match.end()
            if match.lastgroup != "space":
                return Token(str(match.lastgroup), match.group(), start)

    def _attribute(self, start: int) -> Token:
        """A name runs to the bracket that closes it; brackets inside may balance, those in quotes do not count."""
        depth, quoted = 0, False
        for index in range(start, len(self._text)):
            character = self._text[index]
            if character == '"':
                quoted = not quoted
            elif not quoted and character == "[":
                depth += 1
            elif not quoted and character == "]":
                depth -= 1
                if not depth:
                    self._position = index + 1
                    name = self._text[start + 1 : index]
                    if not name.strip():
                        raise ExpressionError("an attribute needs a name", self._text, start)
                    return Token("attribute", name, start)
        raise ExpressionError("attribute without closing bracket", self._text, start)

    def _fail(self, problem: str) -> None:
        raise ExpressionError(problem, self._text, self._token.position)
