"""Functions that choose and test."""

from collections.abc import Mapping, Sequence
from typing import Any

from joiner.expressions.errors import EvaluationError, IgnoreAttribute
from joiner.expressions.function import Evaluate, Missing
from joiner.expressions.values import Value, canonical_text, is_empty, is_null, number_of, single, text_of, truth_of

Arguments = Sequence[Evaluate | Missing]
Attributes = Mapping[str, Any]


def coalesce(arguments: Arguments, attributes: Attributes) -> Value:
    for argument in arguments:
        value = value_of(argument, attributes)
        if not is_null(value):
            return value
    return None


def iif(arguments: Arguments, attributes: Attributes) -> Value:
    condition, when_true, when_false = arguments
    return value_of(when_true if truth_of(value_of(condition, attributes)) else when_false, attributes)


def switch(arguments: Arguments, attributes: Attributes) -> Value:
    value = single(value_of(arguments[0], attributes))
    # A null or empty source matches the key "".
    wanted = "" if is_empty(value) else canonical_text(value)
    for position in range(2, len(arguments), 2):
        key = value_of(arguments[position], attributes)
        if (key if key.__class__ is str else text_of(key) or "") == wanted:
            return value_of(arguments[position + 1], attributes)
    return value_of(arguments[1], attributes)


def switch_problem(number: int) -> str | None:
    if number < 4:
        return "Switch takes a default and at least one pair"
    return "Switch takes pairs of key and value after its default" if number % 2 else None


def value_of(argument: Evaluate | Missing, attributes: Attributes) -> Value:
    return None if isinstance(argument, Missing) else argument(attributes)


def negate(source: Value) -> Value:
    value = single(source)
    return not (value is True or (isinstance(value, str) and value.lower() == "true"))


def ignore_if_empty(value: Value) -> Value:
    if is_empty(value):
        raise IgnoreAttribute
    return value


def same(value: Value) -> Value:
    return value


def is_present(value: Value) -> Value:
    return not is_empty(value)


def is_string(value: Value) -> Value:
    return value is not None and not isinstance(value, list)


def bit_and(first: Value, second: Value) -> Value:
    bits = _bits(first, "value1 of BitAnd") & _bits(second, "value2 of BitAnd")
    # The highest of 64 bits is the sign.
    return bits - (1 << 64) if bits >> 63 else bits


def _bits(value: Value, what: str) -> int:
    """The number's 64 bits; one above the largest signed number is taken for what &HFFFFFFFFFFFFFFFF means."""
    number = number_of(value, what)
    if not -(1 << 63) <= number < 1 << 64:
        raise EvaluationError(f"{what} must have 64 bits")
    return number & (1 << 64) - 1
