"""Functions that choose and test."""

from collections.abc import Sequence

from joiner.expressions.errors import IgnoreAttribute
from joiner.expressions.function import Missing, Thunk
from joiner.expressions.values import Value, canonical_text, is_empty, number_of, single, text_of, truth_of


def coalesce(arguments: Sequence[Thunk | Missing]) -> Value:
    for argument in arguments:
        value = value_of(argument)
        if value is not None and value != []:
            return value
    return None


def iif(arguments: Sequence[Thunk | Missing]) -> Value:
    condition, when_true, when_false = arguments
    return value_of(when_true if truth_of(value_of(condition)) else when_false)


def switch(arguments: Sequence[Thunk | Missing]) -> Value:
    source, default, *pairs = arguments
    value = single(value_of(source))
    # A null or empty source matches the key "".
    wanted = "" if is_empty(value) else canonical_text(value)
    for key, result in zip(pairs[::2], pairs[1::2], strict=True):
        if (text_of(value_of(key)) or "") == wanted:
            return value_of(result)
    return value_of(default)


def switch_problem(number: int) -> str | None:
    if number < 4:
        return "Switch takes a default and at least one pair"
    return "Switch takes pairs of key and value after its default" if number % 2 else None


def value_of(argument: Thunk | Missing) -> Value:
    return None if isinstance(argument, Missing) else argument()


def negate(source: Value) -> Value:
    value = single(source)
    return not (value is True or (isinstance(value, str) and value.lower() == "true"))


def ignore_if_empty(value: Value) -> Value:
    if is_empty(value):
        raise IgnoreAttribute
    return value


def is_string(value: Value) -> Value:
    return value is not None and not isinstance(value, list)


def bit_and(first: Value, second: Value) -> Value:
    return number_of(first, "value1 of BitAnd") & number_of(second, "value2 of BitAnd")
