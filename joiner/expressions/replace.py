"""Replace: five functions in one, told apart by which of its arguments are provided."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from joiner.errors import InvalidValueError
from joiner.expressions.errors import EvaluationError
from joiner.expressions.function import MISSING
from joiner.expressions.patterns import PatternError, compile_pattern
from joiner.expressions.syntax import Constant, Node, Omitted
from joiner.expressions.values import Value, is_empty, text_of

PARAMETERS: Final = (
    "source",
    "oldValue",
    "regexPattern",
    "regexGroupName",
    "replacementValue",
    "replacementAttributeName",
    "template",
)
REFERENCE: Final = re.compile(r"\$(?:(?P<dollar>\$)|(?P<whole>&)|(?P<number>\d+)|\{(?P<name>\w+)\})")


def prepare(arguments: Sequence[Node]) -> Callable[..., Value]:
    """The form of Replace that these arguments ask for. Raises InvalidValueError if there is none, PatternError if a
    constant pattern cannot be used."""
    nodes = dict(zip(PARAMETERS, arguments, strict=False))
    provided = frozenset(name for name, node in nodes.items() if not isinstance(node, Omitted)) - {"source"}
    form = FORMS.get(provided)
    if form is None:
        raise InvalidValueError(
            "Replace takes oldValue with replacementValue or template; or regexPattern with replacementValue, with"
            " regexGroupName and replacementValue, or with regexGroupName and replacementAttributeName"
        )
    _check(nodes)

    def replace(*values: Value) -> Value:
        named = dict(zip(PARAMETERS, values, strict=False))
        return form(named["source"], {name: value for name, value in named.items() if value is not MISSING})

    return replace


def _check(nodes: Mapping[str, Node]) -> None:
    """What is constant is judged once, when the mapping is saved."""
    pattern, group, old = (nodes.get(name) for name in ("regexPattern", "regexGroupName", "oldValue"))
    if isinstance(old, Constant) and old.value == "":
        raise InvalidValueError("Replace needs an oldValue that is not empty")
    if isinstance(pattern, Constant):
        compiled = compile_pattern(str(pattern.value))
        if isinstance(group, Constant):
            _group_index(compiled, str(group.value))


def _literal(source: Value, given: Mapping[str, Value]) -> Value:
    text, old = text_of(source), _required(given, "oldValue")
    return None if text is None else text.replace(old, text_of(given["replacementValue"]) or "")


def _in_template(source: Value, given: Mapping[str, Value]) -> Value:
    text, old = text_of(source), _required(given, "oldValue")
    return None if text is None else (text_of(given["template"]) or "").replace(old, text)


def _by_pattern(source: Value, given: Mapping[str, Value]) -> Value:
    pattern, text = _pattern(given), text_of(source)
    if text is None:
        return None
    parts = _replacement(pattern, text_of(given["replacementValue"]) or "")

    def written(match: Any) -> str:
        return "".join(part if isinstance(part, str) else match[part] or "" for part in parts)

    return _rewritten(pattern, text, lambda match: (match.start(), match.end(), written(match)))


def _by_group(source: Value, given: Mapping[str, Value]) -> Value:
    pattern, text = _pattern(given), text_of(source)
    if text is None:
        return None
    group = _group_index(pattern, _required(given, "regexGroupName"))
    new = text_of(given["replacementValue"]) or ""

    def change(match: Any) -> tuple[int, int, str]:
        start, end = match.start(group), match.end(group)
        return (start, end, new) if start >= 0 else (match.start(), match.start(), "")

    return _rewritten(pattern, text, change)


def _from_attribute(source: Value, given: Mapping[str, Value]) -> Value:
    pattern = _pattern(given)
    group = _group_index(pattern, _required(given, "regexGroupName"))
    if not is_empty(source):
        return text_of(source)
    other = text_of(given["replacementAttributeName"])
    match = None if other is None else pattern.search(other)
    return None if match is None else match[group]


FORMS: Final[Mapping[frozenset[str], Callable[[Value, Mapping[str, Value]], Value]]] = {
    frozenset({"oldValue", "replacementValue"}): _literal,
    frozenset({"oldValue", "template"}): _in_template,
    frozenset({"regexPattern", "replacementValue"}): _by_pattern,
    frozenset({"regexPattern", "regexGroupName", "replacementValue"}): _by_group,
    frozenset({"regexPattern", "regexGroupName", "replacementAttributeName"}): _from_attribute,
}
"""The provided arguments besides the source → what is done. A provided "" counts."""


def _required(given: Mapping[str, Value], name: str) -> str:
    text = text_of(given[name])
    if not text:
        raise EvaluationError(f"Replace needs a value for its {name}")
    return text


def _pattern(given: Mapping[str, Value]) -> Any:
    try:
        return compile_pattern(text_of(given["regexPattern"]) or "")
    except PatternError as error:
        raise EvaluationError(str(error)) from None


def _group_index(pattern: Any, name: str) -> int:
    index = pattern.groupindex.get(name)
    if index is None:
        raise EvaluationError(f"the pattern has no group '{name}'")
    return int(index)


def _replacement(pattern: Any, text: str) -> list[str | int]:
    """A .NET replacement as texts and group indexes; what names no group stays as it is written."""
    names = pattern.groupindex
    # .NET numbers the groups without name first.
    named = set(names.values())
    numbers = [0, *(n for n in range(1, pattern.groups + 1) if n not in named), *sorted(named)]
    parts: list[str | int] = []
    position = 0
    for match in REFERENCE.finditer(text):
        parts.append(text[position : match.start()])
        position = match.end()
        number, name = match["number"] or "", match["name"] or ""
        if name.isdecimal():
            number, name = name, ""
        if match["dollar"]:
            parts.append("$")
        elif match["whole"]:
            parts.append(0)
        elif number and int(number) < len(numbers):
            parts.append(numbers[int(number)])
        elif name in names:
            parts.append(int(names[name]))
        else:
            parts.append(match[0])
    return [*parts, text[position:]]


def _rewritten(pattern: Any, text: str, change: Callable[[Any], tuple[int, int, str]]) -> str:
    """The text with one part of every match changed: (start, end, what stands there instead)."""
    pieces: list[str] = []
    position = 0
    for match in pattern.finditer(text):
        start, end, new = change(match)
        pieces += (text[position:start], new)
        position = end
    return "".join((*pieces, text[position:]))
