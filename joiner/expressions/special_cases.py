"""Calls that nearly every schema has, evaluated by a shorter way with the same result: Switch with constant keys, Join
of attributes. Everything else, and these when somebody watches the parts, goes the general way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from joiner.expressions.function import Evaluate, Missing
from joiner.expressions.lists import join
from joiner.expressions.syntax import Attribute, Constant, Node
from joiner.expressions.values import Value, canonical_text, is_empty, single

Parts = Sequence[Evaluate | Missing]
FEW: Final = 8
"""Sources of a Join whose text cannot grow beyond what one value may be by much."""


def _switch(arguments: Sequence[Node], parts: Parts) -> Evaluate | None:
    keys = [argument.value if isinstance(argument, Constant) else None for argument in arguments[2::2]]
    source, default = parts[0], parts[1]
    if isinstance(source, Missing):
        return None
    cases: dict[str, Evaluate] = {}
    for key, value in zip(keys, parts[3::2], strict=True):
        if not isinstance(key, str) or isinstance(value, Missing):
            return None
        cases.setdefault(key, value)

    def switched(attributes: Mapping[str, Any]) -> Value:
        value = source(attributes)
        if value.__class__ is not str:
            value = single(value)
            value = "" if is_empty(value) else canonical_text(value)
        case = cases.get(value, default)
        return None if isinstance(case, Missing) else case(attributes)

    return switched


def _join(arguments: Sequence[Node], parts: Parts) -> Evaluate | None:
    separator, *sources = arguments
    names = [source.name for source in sources if isinstance(source, Attribute)]
    if not isinstance(separator, Constant) or len(names) != len(sources) or len(names) > FEW:
        return None
    between = canonical_text(separator.value)

    def joined(attributes: Mapping[str, Any]) -> Value:
        values: list[Any] = [attributes.get(name) for name in names]
        for value in values:
            if value.__class__ is not str or not value:
                return join(between, *values)
        return between.join(values)

    return joined


SPECIAL_CASES: Final[Mapping[str, Callable[[Sequence[Node], Parts], Evaluate | None]]] = {
    "Join": _join,
    "Switch": _switch,
}
"""Function → the short way for a call with these arguments, None if it has to go the general one."""
