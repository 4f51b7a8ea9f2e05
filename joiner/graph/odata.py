"""`$filter`: the subset of OData that clients send, as a predicate on documents (Graph API §1.5).

`eq ne gt ge lt le`, `in`, `and or not`, parentheses, `startswith`, `endswith`, `contains`, `tolower`, `toupper`, and
`any(x:…)` over lists of texts. Strings stand in single quotes, doubled to escape; paths go with slashes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from joiner.clock import from_iso, to_iso
from joiner.errors import InvalidValueError

Document = Mapping[str, Any]
Predicate = Callable[[Document], bool]
Expression = Callable[[Document], Any]
Known = Callable[[str], bool]
"""Whether there is a property of this name, given in lower case."""

LONGEST: Final = 4096
DEEPEST: Final = 20
TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<mark>[(),])|(?P<word>[^\s(),']+))",
)
GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T.*)?")
PATH: Final = re.compile(r"[A-Za-z_][\w.]*(?:/[A-Za-z_][\w.]*)*")
LAMBDA: Final = re.compile(r"(?P<variable>[A-Za-z_]\w*):(?P<rest>.*)")
COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}
FUNCTIONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": lambda held, wanted: wanted in held,
}

CASES: Final[Mapping[str, Callable[[str], str]]] = {"tolower": str.lower, "toupper": str.upper}


def parse_filter(text: str, *, ignore_case: bool, known: Known | None = None) -> Predicate:
    """Directory objects compare strings without case, the provisioning log with.

    Raises InvalidValueError for what cannot be read, and for a property that is not `known`: a mistyped name would
    otherwise just find nothing.
    """
    if len(text) > LONGEST:
        raise InvalidValueError(f"$filter may have {LONGEST} characters")
    parser = _Parser(text, ignore_case, known)
    predicate = parser.disjunction(0)
    if parser.current is not None:
        raise InvalidValueError(f"$filter: unexpected '{parser.current[1]}'")
    return predicate


def equality(text: str, name: str) -> str | None:
    """The value if the filter is exactly `name eq 'value'`: what an index can answer."""
    match = re.fullmatch(rf"\s*{re.escape(name)}\s+eq\s+'((?:[^']|'')*)'\s*", text, re.IGNORECASE)
    return match[1].replace("''", "'") if match else None


class _Parser:
    def __init__(self, text: str, ignore_case: bool, known: Known | None) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._index = 0
        self._ignore_case = ignore_case
        self._known = known
        self._variable: str | None = None
        """The name of the item inside `any(…)`."""
        position = 0
        while position < len(text.rstrip()):
            match = TOKEN.match(text, position)
            if match is None:
                raise InvalidValueError(f"$filter cannot be read from '{text[position : position + 20]}' on")
            self._tokens.append((str(match.lastgroup), match.group().strip()))
            position = match.end()

    @property
    def current(self) -> tuple[str, str] | None:
        return self._tokens[self._index] if self._index < len(self._tokens) else None

    def disjunction(self, depth: int) -> Predicate:
        left = self._conjunction(depth)
        while self._take("or"):
            left = _either(left, self._conjunction(depth))
        return left

    def _conjunction(self, depth: int) -> Predicate:
        left = self._negation(depth)
        while self._take("and"):
            left = _both(left, self._negation(depth))
        return left

    def _negation(self, depth: int) -> Predicate:
        if depth > DEEPEST:
            raise InvalidValueError(f"$filter may be nested {DEEPEST} levels deep")
        if self._take("not"):
            operand = self._negation(depth + 1)
            return lambda document: not operand(document)
        if self._take("("):
            inner = self.disjunction(depth + 1)
            self._expect(")")
            return inner
        return self._comparison(depth)

    def _comparison(self, depth: int) -> Predicate:
        token = self.current
        if token is not None and token[1].lower() in FUNCTIONS:
            test = FUNCTIONS[self._next("a function").lower()]
            self._expect("(")
            left = self._operand()
            self._expect(",")
            right = self._operand()
            self._expect(")")
            return lambda document: test(_text(left(document)), _text(right(document)))
        if token is not None and token[0] == "word" and token[1].lower().endswith("/any"):
            return self._any(depth)
        left = self._operand()
        operator = self._next("an operator").lower()
        if operator == "in":
            values = self._list()
            return lambda document: left(document) in [value(document) for value in values]
        compare = COMPARE.get(operator)
        if compare is None:
            raise InvalidValueError(f"$filter: '{operator}' is not an operator")
        right = self._operand()

        def holds(document: Document) -> bool:
            held, wanted = left(document), right(document)
            if operator in ("eq", "ne") or (held is not None and wanted is not None and type(held) is type(wanted)):
                return compare(held, wanted)
            return False

        return holds

    def _any(self, depth: int) -> Predicate:
        """`path/any(x:predicate on x)`: the item is the document of the inner predicate, under the variable's name."""
        items = self._property(self._next("a list")[: -len("/any")])
        self._expect("(")
        match = LAMBDA.fullmatch(self._next("a variable"))
        if match is None or self._variable is not None:
            raise InvalidValueError("$filter: expected any(x:…) with one variable, not nested")
        self._variable = match["variable"].lower()
        if match["rest"]:
            # The colon is followed by the predicate's first word without a blank between.
            self._index -= 1
            self._tokens[self._index] = ("word", match["rest"])
        inner = self.disjunction(depth + 1)
        self._expect(")")
        name, self._variable = self._variable, None

        def holds(document: Document) -> bool:
            value = items(document)
            return isinstance(value, list) and any(inner({name: item}) for item in value)

        return holds

    def _list(self) -> list[Expression]:
        self._expect("(")
        values = [self._operand()]
        while self._take(","):
            values.append(self._operand())
        self._expect(")")
        return values

    def _operand(self) -> Expression:
        kind, text = self.current or ("", "")
        self._next("a value")
        if kind == "string":
            return self._constant(text[1:-1].replace("''", "'"))
        if text.lower() in CASES and self._take("("):
            convert, inner = CASES[text.lower()], self._operand()
            self._expect(")")
            return lambda document: self._folded(convert(_text(inner(document))))
        if text.lower() in ("true", "false", "null"):
            constant = {"true": True, "false": False, "null": None}[text.lower()]
            return lambda document: constant
        if re.fullmatch(r"-?\d+", text):
            number = int(text)
            return lambda document: number
        if MOMENT.fullmatch(text):
            return self._constant(_moment(text))
        if GUID.fullmatch(text):
            return self._constant(text)
        return self._property(text)

    def _constant(self, text: str) -> Expression:
        folded = self._folded(text)
        return lambda document: folded

    def _property(self, path: str) -> Expression:
        if not PATH.fullmatch(path):
            raise InvalidValueError(
                f"$filter: '{path}' is neither a property nor a value; texts stand in single quotes"
            )
        names = path.lower().split("/")
        if names[0] != self._variable and self._known is not None and not self._known(names[0]):
            raise InvalidValueError(f"$filter: there is no property '{path}'")

        def read(document: Document) -> Any:
            value: Any = document
            for name in names:
                if not isinstance(value, Mapping):
                    return None
                value = next((item for key, item in value.items() if key.lower() == name), None)
            return self._folded(value) if isinstance(value, str) else value

        return read

    def _folded(self, text: str) -> str:
        return text.casefold() if self._ignore_case else text

    def _take(self, word: str) -> bool:
        token = self.current
        if token is not None and token[0] != "string" and token[1].lower() == word:
            self._index += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            found = f"not '{self.current[1]}'" if self.current else "but it ends"
            raise InvalidValueError(f"$filter: expected '{mark}', {found}")

    def _next(self, what: str) -> str:
        if self.current is None:
            raise InvalidValueError(f"$filter: expected {what} at the end")
        self._index += 1
        return self._tokens[self._index - 1][1]


def _either(left: Predicate, right: Predicate) -> Predicate:
    return lambda document: left(document) or right(document)


def _both(left: Predicate, right: Predicate) -> Predicate:
    return lambda document: left(document) and right(document)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _moment(text: str) -> str:
    """The date-time in the form that documents have, which sorts as text."""
    try:
        return to_iso(from_iso(text))
    except ValueError:
        raise InvalidValueError(f"$filter: '{text}' is not a date and time") from None
