"""From a tree to a function that evaluates it. Compiled once; evaluating parses and looks up nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joiner.errors import JoinerError
from joiner.expressions.dates import date_of
from joiner.expressions.errors import (
    Caution,
    EvaluationError,
    ExpressionError,
    IgnoreAttribute,
    IgnoreObject,
    UnsupportedFunctionError,
    hint,
)
from joiner.expressions.function import MISSING, Evaluate, Function, Kind, Lazy, Missing, Parameter
from joiner.expressions.functions import FUNCTIONS, UNSUPPORTED
from joiner.expressions.special_cases import SPECIAL_CASES
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
from joiner.expressions.unique import candidates
from joiner.expressions.values import Value, canonical_text, compare, number_of, truth_of

WORD_VALUES: Final[Mapping[str, Value]] = {
    "True": True,
    "False": False,
    "vbTextCompare": "vbTextCompare",
    "vbBinaryCompare": "vbBinaryCompare",
}
Observe = Callable[[Node, Evaluate], Evaluate]
"""A node and what evaluates it → what is used instead, which may watch."""
Candidates = Callable[[Mapping[str, Any]], Iterator[str]]
"""Attributes in, values to try in their order, each evaluated when it is asked for. Raises as `Evaluate` does."""


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
    candidates: Candidates | None = None
    """For SelectUniqueValue: what to look for in the target, for whoever can ask it only between two steps. None for
    every other expression."""
    cautions: tuple[Caution, ...] = ()
    """Constants that their functions cannot use: evaluating them fails, should it come to that."""


def compile_expression(text: str, observe: Observe | None = None) -> Compiled:
    """Raises ExpressionError with the place of what is wrong, UnsupportedFunctionError if that is only a function of
    another service."""
    tree = parse(text)
    compiler = _Compiler(text, observe)
    evaluate = compiler.compile(tree)
    return Compiled(
        text,
        tree,
        frozenset(attributes_of(tree)),
        frozenset(functions_of(tree)),
        evaluate,
        compiler.candidates,
        tuple(compiler.cautions),
    )


def compile_attribute(name: str) -> Compiled:
    """The direct mapping of an attribute, whatever characters its name has."""
    tree = Attribute(name)
    return Compiled(to_text(tree), tree, frozenset({name}), frozenset(), _Compiler(name, None).compile(tree))


class _Compiler:
    def __init__(self, text: str, observe: Observe | None) -> None:
        self._text = text
        self._observe = observe
        self.candidates: Candidates | None = None
        self.cautions: list[Caution] = []

    def compile(self, node: Node, *, is_outermost: bool = True, is_certain: bool = True) -> Evaluate:
        """`is_certain`: it is evaluated for every object."""
        evaluate = self._node(node, is_outermost, is_certain)
        return evaluate if self._observe is None else self._observe(node, evaluate)

    def _node(self, node: Node, is_outermost: bool, is_certain: bool) -> Evaluate:
        match node:
            case Attribute(name):
                return lambda attributes: attributes.get(name)
            case Constant(value):
                return lambda attributes: value
            case Word(name):
                return _word(name)
            case Comparison(operator, left, right):
                first, second = (
                    self.compile(side, is_outermost=False, is_certain=is_certain) for side in (left, right)
                )
                return lambda attributes: compare(operator, first(attributes), second(attributes))
            case Call():
                return self._call(node, is_outermost, is_certain)
            case Omitted():
                raise ExpressionError("an argument may be omitted, an expression may not", self._text, 0)

    def _call(self, call: Call, is_outermost: bool, is_certain: bool) -> Evaluate:
        function = self._function(call)
        position = call.span[0]
        if function.only_outermost and not is_outermost:
            raise ExpressionError(f"{call.name} must be the outermost function", self._text, position)
        arguments = _without_trailing(function, call.arguments)
        problem = function.count_problem(len(arguments))
        if problem:
            raise ExpressionError(problem, self._text, position)
        parts: list[Evaluate | Missing] = []
        for index, argument in enumerate(arguments):
            # A lazy function evaluates its first argument, and of the others those that it needs.
            is_reached = is_certain and (function.lazy is None or index == 0)
            parts.append(self._argument(function, index, argument, is_reached))
        if function.only_outermost:
            self.candidates = lambda attributes: candidates(parts, attributes)
        special = None if self._observe else SPECIAL_CASES.get(call.name)
        if special is not None and (evaluate := special(arguments, parts)) is not None:
            return evaluate
        if function.lazy is not None:
            return _lazy(function.lazy, parts)
        try:
            body = function.eager or function.prepare(arguments)  # type: ignore[misc]  # exactly one of the three is set
        except JoinerError as error:
            self.cautions.append(Caution(str(error), position, is_certain))
            return _failing(str(error))
        return _asking(body, parts) if function.asks else _eager(body, parts)

    def _function(self, call: Call) -> Function:
        function = FUNCTIONS.get(call.name)
        if function is not None:
            return function
        if call.name in UNSUPPORTED:
            raise UnsupportedFunctionError(
                f"the function '{call.name}' of other services is not supported", self._text, call.span[0]
            )
        problem = f"unknown function '{call.name}'{hint(call.name, FUNCTIONS)}"
        raise ExpressionError(problem, self._text, call.span[0])

    def _argument(self, function: Function, index: int, argument: Node, is_certain: bool) -> Evaluate | Missing:
        parameter = function.parameter(index)
        if isinstance(argument, Omitted):
            if parameter.required:
                problem = f"{function.name} needs its argument '{parameter.name}'"
                raise ExpressionError(problem, self._text, argument.span[0])
            return MISSING
        if isinstance(argument, (Constant, Word)):
            problem = _constant_problem(parameter, _constant(argument))
            if problem:
                caution = f"{parameter.name} of {function.name} {problem}"
                self.cautions.append(Caution(caution, argument.span[0], is_certain))
        return self.compile(argument, is_outermost=False, is_certain=is_certain)


def _constant(node: Constant | Word) -> Value:
    """None for a word that stands for no value."""
    return node.value if isinstance(node, Constant) else WORD_VALUES.get(node.name)


def _constant_problem(parameter: Parameter, value: Value) -> str:
    """Why the parameter cannot have this value, '' if it can."""
    if value is None:
        return ""
    text = canonical_text(value)
    if parameter.choices and text not in parameter.choices:
        return f"is one of {', '.join(parameter.choices)}, not '{text}'{hint(text, parameter.choices)}"
    try:
        CHECKS.get(parameter.kind, canonical_text)(value)
        if parameter.check is not None:
            parameter.check(text)
    except EvaluationError as error:
        return f"cannot be used: {error}"
    return ""


CHECKS: Final[Mapping[Kind, Callable[[Value], object]]] = {
    "Boolean": truth_of,
    "DateTime": lambda value: date_of(value, "the constant"),
    "Integer": lambda value: number_of(value, "the constant"),
}
"""Kind of a parameter → what raises EvaluationError for a value that is none."""


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


def _without_trailing(function: Function, arguments: tuple[Node, ...]) -> tuple[Node, ...]:
    """A comma at the end adds an omitted argument, which is one too many for some and harmless for all."""
    while arguments and isinstance(arguments[-1], Omitted) and function.count_problem(len(arguments)):
        arguments = arguments[:-1]
    return arguments


def _failing(problem: str) -> Evaluate:
    def fail(attributes: Mapping[str, Any]) -> Value:
        raise EvaluationError(problem)

    return fail


def _lazy(body: Lazy, parts: Sequence[Evaluate | Missing]) -> Evaluate:
    arguments = tuple(parts)
    return lambda attributes: body(arguments, attributes)


def _eager(body: Callable[..., Value], parts: Sequence[Evaluate | Missing]) -> Evaluate:
    arguments = _evaluated(parts)
    if len(arguments) == 1:
        (only,) = arguments
        return lambda attributes: body(only(attributes))
    if len(arguments) == 2:
        first, second = arguments
        return lambda attributes: body(first(attributes), second(attributes))
    return lambda attributes: body(*[argument(attributes) for argument in arguments])


def _asking(body: Callable[..., Value], parts: Sequence[Evaluate | Missing]) -> Evaluate:
    arguments = _evaluated(parts)
    return lambda attributes: body(attributes, *[argument(attributes) for argument in arguments])


def _evaluated(parts: Sequence[Evaluate | Missing]) -> tuple[Evaluate, ...]:
    return tuple(_missing if isinstance(part, Missing) else part for part in parts)


def _missing(attributes: Mapping[str, Any]) -> Value:
    return MISSING
