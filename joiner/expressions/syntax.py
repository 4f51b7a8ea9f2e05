"""Text to tree and back: tokens and a recursive-descent parser (the grammar has one level of operators).

    expression = operand [ comparator operand ]
    operand    = call | "[" attribute "]" | string | number | hex | word

An omitted argument is an empty place between commas; it differs from an empty string.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from joiner.expressions.errors import ExpressionError, hint

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


Span = tuple[int, int]
"""Where a node begins in the text, and where it has ended. Trees are equal whatever their spans are."""
NOWHERE: Final[Span] = (0, 0)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`[name]`: a source attribute."""

    name: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: text, or a number as Python's int or Decimal."""

    value: str | int | Decimal
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Word:
    """One of `WORDS`."""

    name: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Omitted:
    """An argument that is not provided; its span is the empty place where it would stand."""

    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple["Node", ...]
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and a comparator."""

    operator: str
    left: "Node"
    right: "Node"
    span: Span = field(default=NOWHERE, compare=False)


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
            return format(value, "f") if isinstance(value, Decimal) else str(value)
        case Word(name):
            return name
        case Omitted():
            return ""
        case Comparison(operator, left, right):
            return f"{to_text(left)} {operator} {to_text(right)}"
        case Call(name, arguments):
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
        case Call(_, arguments):
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
        case Call(name, arguments):
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
        self._end = 0
        """Where the token before the current one has ended."""
        self._token = self._next()

    def expression(self, depth: int) -> Node:
        start = self._token.position
        left = self._operand(depth)
        if self._token.kind == "mark" and self._token.text in COMPARATORS:
            operator = self._advance().text
            right = self._operand(depth)
            return Comparison(operator, left, right, (start, self._end))
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
        span = (token.position, self._end)
        match token.kind:
            case "string":
                return Constant(unquote(token.text), span)
            case "attribute":
                return Attribute(token.text, span)
            case "hex" | "number" if len(token.text) > LONGEST_NUMBER:
                raise ExpressionError(f"a number may have {LONGEST_NUMBER} digits", self._text, token.position)
            case "hex":
                return Constant(int(f"0x{token.text[2:]}", base=0), span)
            case "number":
                return Constant(Decimal(token.text) if "." in token.text else int(token.text), span)
        if self._token.kind == "mark" and self._token.text == "(":
            return self._call(token, depth)
        if token.text in WORDS:
            return Word(token.text, span)
        raise ExpressionError(f"unknown word '{token.text}'{hint(token.text, WORDS)}", self._text, token.position)

    def _call(self, name: Token, depth: int) -> Call:
        self.expect("mark", "(")
        arguments: list[Node] = []
        if self._token.text == ")" and self._token.kind == "mark":
            self._advance()
            return Call(name.text, (), (name.position, self._end))
        while True:
            arguments.append(self._argument(depth + 1))
            if self._token.kind == "mark" and self._token.text == ",":
                self._advance()
                continue
            self.expect("mark", ")")
            return Call(name.text, tuple(arguments), (name.position, self._end))

    def _argument(self, depth: int) -> Node:
        if self._token.kind == "mark" and self._token.text in (",", ")"):
            return Omitted((self._token.position, self._token.position))
        return self.expression(depth)

    def _advance_operand(self) -> Token:
        if self._token.kind in ("mark", "end"):
            found = f"'{self._token.text}'" if self._token.text else "the end"
            self._fail(f"expected a function, [attribute], text or number, not {found}")
        return self._advance()

    def _advance(self) -> Token:
        token = self._token
        self._end = self._position
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
