"""The mapping language once more, as plainly as it can be said: a tree is walked at every evaluation.

Written from the specification for comparison with the compiler, of which it shares nothing but the parser. It knows
some of the functions, values that are null, text, whole numbers, booleans and lists of text, and one kind of error.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from joiner.expressions.syntax import Attribute, Call, Comparison, Constant, Node, Omitted, Word

ABSENT = object()


class Failed(Exception):  # noqa: N818 - names what happened
    """The evaluation has no value."""


class Ignored(Exception):  # noqa: N818 - not an error
    """The attribute is dropped from the flow."""


def interpret(node: Node, attributes: Mapping[str, Any]) -> Any:
    if isinstance(node, Attribute):
        return attributes.get(node.name)
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Word):
        if node.name == "IgnoreAttributeFlow":
            raise Ignored
        return node.name == "True"
    if isinstance(node, Comparison):
        return compared(node.operator, interpret(node.left, attributes), interpret(node.right, attributes))
    assert isinstance(node, Call)
    lazily = LAZY.get(node.name)
    if lazily is not None:
        return lazily([partial(value_of, argument, attributes) for argument in node.arguments])
    return FUNCTIONS[node.name](*[value_of(argument, attributes) for argument in node.arguments])


def value_of(node: Node, attributes: Mapping[str, Any]) -> Any:
    return ABSENT if isinstance(node, Omitted) else interpret(node, attributes)


def text(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or value is ABSENT:
        return None
    return value if isinstance(value, str) else str(value)


def number(value: Any) -> int:
    found = text(value)
    digits = (found or "").removeprefix("-")
    if isinstance(value, bool) or not digits or not all(digit in "0123456789" for digit in digits):
        raise Failed
    return int(found or "")


def truth(value: Any) -> bool:
    found = text(value)
    if found is None:
        return False
    if found.lower() in ("true", "false"):
        return found.lower() == "true"
    return number(value) != 0


def compared(operator: str, left: Any, right: Any) -> bool:
    if text(left) is None or text(right) is None:
        return False
    numeric = any(isinstance(side, int) and not isinstance(side, bool) for side in (left, right))
    pair = (number(left), number(right)) if numeric else (text(left), text(right))
    order = (pair[0] > pair[1]) - (pair[0] < pair[1])  # type: ignore[operator]
    return {"=": order == 0, "<>": order != 0, "<": order < 0, ">": order > 0, "<=": order <= 0, ">=": order >= 0}[
        operator
    ]


def nothing(value: Any) -> bool:
    return value is None or value == []


def empty(value: Any) -> bool:
    return nothing(value) or value == ""


def iif(arguments: list[Callable[[], Any]]) -> Any:
    return arguments[1]() if truth(arguments[0]()) else arguments[2]()


def switch(arguments: list[Callable[[], Any]]) -> Any:
    source = text(arguments[0]()) or ""
    for key, value in zip(arguments[2::2], arguments[3::2], strict=True):
        if (text(key()) or "") == source:
            return value()
    default = arguments[1]()
    return None if default is ABSENT else default


def coalesce(arguments: list[Callable[[], Any]]) -> Any:
    for argument in arguments:
        value = argument()
        if value is not ABSENT and not nothing(value):
            return value
    return None


def mid(source: Any, start: Any, length: Any) -> Any:
    first, count = number(start), number(length)
    if first < 1 or count < 0:
        raise Failed
    found = text(source)
    return None if found is None else found[first - 1 :][:count]


def left(source: Any, length: Any) -> Any:
    count, found = number(length), text(source) or ""
    return found if count < 0 else found[:count]


def join(separator: Any, *sources: Any) -> str:
    parts = [part for source in sources for part in (source if isinstance(source, list) else [source])]
    return (text(separator) or "").join(written for part in parts if (written := text(part)))


def flow_unless_empty(value: Any) -> Any:
    if empty(value):
        raise Ignored
    return value


def appended(source: Any, suffix: Any) -> Any:
    return None if text(source) is None else f"{text(source)}{text(suffix) or ''}"


def lowered(source: Any) -> Any:
    found = text(source)
    return None if found is None else found.lower()


LAZY: Mapping[str, Callable[[list[Callable[[], Any]]], Any]] = {"IIF": iif, "Switch": switch, "Coalesce": coalesce}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Append": appended,
    "CBool": truth,
    "Count": lambda value: 0 if nothing(value) else len(value) if isinstance(value, list) else 1,
    "CStr": text,
    "IgnoreFlowIfNullOrEmpty": flow_unless_empty,
    "IsNull": nothing,
    "IsNullOrEmpty": empty,
    "IsPresent": lambda value: not empty(value),
    "Join": join,
    "Left": left,
    "Mid": mid,
    "Not": lambda value: (text(value) or "").lower() != "true",
    "Prepend": lambda prefix, source: None if text(source) is None else f"{text(prefix) or ''}{text(source)}",
    "StripSpaces": lambda value: None if text(value) is None else (text(value) or "").replace(" ", ""),
    "ToLower": lowered,
}
"""Name → function of its arguments' values."""
