"""From a tree to a function that evaluates it. Compiled once; evaluating parses and looks up nothing."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joiner.errors import JoinerError
from joiner.expressions.errors import ExpressionError, IgnoreAttribute, IgnoreObject
from joiner.expressions.function import MISSING, Evaluate, Function, Lazy
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.syntax import (
    Attribute,
    Call,
    Comparison,
    Constant,
    Node,
    Omitted,
    Word,
    attributes_of,
    functions_of,
    parse,
    to_text,
)
from joiner.expressions.values import Value, compare

WORD_VALUES: Final[Mapping[str, Value]] = {
    "True": True,
    "False": False,
    "vbTextCompare": "vbTextCompare",
    "vbBinaryCompare": "vbBinaryCompare",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression ready to be evaluated."""

    text: str
    tree: Node
    attributes: frozenset[str]
    """Names of the source attributes that it reads."""
    functions: frozenset[str]
    """Names of the functions that it calls."""
    evaluate: Evaluate


def compile_expression(text: str) -> Compiled:
    """Raises ExpressionError with the place of what is wrong."""
    tree = parse(text)
    return Compiled(text, tree, frozenset(attributes_of(tree)), frozenset(functions_of(tree)), _compile(tree, text))


def compile_attribute(name: str) -> Compiled:
    """The direct mapping of an attribute, whatever characters its name has."""
    tree = Attribute(name)
    return Compiled(to_text(tree), tree, frozenset({name}), frozenset(), _compile(tree, name))


def _compile(node: Node, text: str) -> Evaluate:
    match node:
        case Attribute(name):
            return lambda attributes: attributes.get(name)
        case Constant(value):
            return lambda attributes: value
        case Word(name):
            return _word(name)
        case Comparison(operator, left, right):
            first, second = _compile(left, text), _compile(right, text)
            return lambda attributes: compare(operator, first(attributes), second(attributes))
        case Call():
            return _call(node, text)
        case Omitted():
            raise ExpressionError("an argument may be omitted, an expression may not", text, 0)


def _word(name: str) -> Evaluate:
    def ignore_attribute(attributes: Mapping[str, Any]) -> Value:
        raise IgnoreAttribute

    def ignore_object(attributes: Mapping[str, Any]) -> Value:
        raise IgnoreObject

    if name == "IgnoreAttributeFlow":
        return ignore_attribute
    if name == "IgnoreObjectFlow":
        return ignore_object
    value = WORD_VALUES[name]
    return lambda attributes: value


def _call(call: Call, text: str) -> Evaluate:
    function = FUNCTIONS.get(call.name)
    if function is None:
        near = difflib.get_close_matches(call.name.lower(), {name.lower(): name for name in FUNCTIONS}, 1)
        names = {name.lower(): name for name in FUNCTIONS}
        hint = f"; did you mean '{names[near[0]]}'?" if near else ""
        raise ExpressionError(f"unknown function '{call.name}'{hint}", text, call.position)
    # A comma at the end adds an omitted argument, which is one too many for some and harmless for all.
    arguments = call.arguments
    while arguments and isinstance(arguments[-1], Omitted) and function.count_problem(len(arguments)):
        arguments = arguments[:-1]
    problem = function.count_problem(len(arguments)) or _omitted_problem(function, arguments)
    if problem:
        raise ExpressionError(problem, text, call.position)
    parts = [None if isinstance(argument, Omitted) else _compile(argument, text) for argument in arguments]
    if function.lazy is not None:
        return _lazy(function.lazy, parts)
    if function.eager is not None:
        return _eager(function.eager, parts)
    assert function.prepare is not None
    try:
        return _eager(function.prepare(arguments), parts)
    except JoinerError as error:
        raise ExpressionError(str(error), text, call.position) from None


def _omitted_problem(function: Function, arguments: tuple[Node, ...]) -> str | None:
    for parameter, argument in zip(function.parameters, arguments, strict=False):
        if parameter.required and isinstance(argument, Omitted):
            return f"{function.name} needs its argument '{parameter.name}'"
    return None


def _lazy(body: Lazy, parts: Sequence[Evaluate | None]) -> Evaluate:
    arguments = tuple(MISSING if part is None else part for part in parts)
    return lambda attributes: body(arguments, attributes)


def _eager(body: Callable[..., Value], parts: Sequence[Evaluate | None]) -> Evaluate:
    arguments = tuple(_missing if part is None else part for part in parts)
    if len(arguments) == 1:
        (only,) = arguments
        return lambda attributes: body(only(attributes))
    if len(arguments) == 2:
        first, second = arguments
        return lambda attributes: body(first(attributes), second(attributes))
    return lambda attributes: body(*[argument(attributes) for argument in arguments])


def _missing(attributes: Mapping[str, Any]) -> Value:
    return MISSING
