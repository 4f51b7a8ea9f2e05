"""Replace: five functions in one, told apart by which of its arguments are provided."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from joiner.errors import InvalidValueError
from joiner.expressions.errors import EvaluationError
from joiner.expressions.function import MISSING
from joiner.expressions.patterns import Pattern, PatternError, compile_pattern
from joiner.expressions.syntax import Constant, Node, Omitted
from joiner.expressions.values import Value, canonical_text, check_length, is_empty, text_of

PARAMETERS: Final = (
    "source",
    "oldValue",
    "regexPattern",
    "regexGroupName",
    "replacementValue",
    "replacementAttributeName",
    "template",
)
REFERENCE: Final = re.compile(r"\$(?:([$&`'+_])|([0-9]{1,9})|\{(\w{1,99})\})")
AROUND: Final[Mapping[str, Callable[[Any, str], str]]] = {
    "$": lambda match, text: "$",
    "&": lambda match, text: str(match[0]),
    "`": lambda match, text: text[: match.start()],
    "'": lambda match, text: text[match.end() :],
    "_": lambda match, text: text,
}
"""Sign behind `$` → what it stands for in a replacement."""
Given = Mapping[str, Value]
"""Parameter → value, of those that were provided."""
Written = Callable[[Any, str], str]
"""A match and the text it was found in → what stands there instead."""


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

    def replace(source: Value, *values: Value) -> Value:
        named = zip(PARAMETERS[1:], values, strict=False)
        return form(source, {name: value for name, value in named if value is not MISSING})

    return replace


def _check(nodes: Mapping[str, Node]) -> None:
    """What is constant is judged once, when the mapping is saved."""
    pattern, group, old = (nodes.get(name) for name in ("regexPattern", "regexGroupName", "oldValue"))
    if isinstance(old, Constant) and old.value == "":
        raise InvalidValueError("Replace needs an oldValue that is not empty")
    if isinstance(pattern, Constant):
        compiled = compile_pattern(canonical_text(pattern.value))
        if isinstance(group, Constant) and (name := canonical_text(group.value)) not in compiled.groups:
            raise InvalidValueError(f"the pattern has no group '{name}'")


def _literal(source: Value, given: Given) -> Value:
    text = text_of(source)
    return None if text is None else _replaced(text, _old(given), text_of(given["replacementValue"]) or "")


def _in_template(source: Value, given: Given) -> Value:
    text = text_of(source)
    return None if text is None else _replaced(text_of(given["template"]) or "", _old(given), text)


def _by_pattern(source: Value, given: Given) -> Value:
    text = text_of(source)
    if text is None:
        return None
    pattern = _pattern(given)
    parts = _replacement(pattern, text_of(given["replacementValue"]) or "")

    def change(match: Any) -> tuple[int, int, str]:
        new = "".join(part if isinstance(part, str) else part(match, text) for part in parts)
        return match.start(), match.end(), new

    return _rewritten(pattern, text, change)


def _by_group(source: Value, given: Given) -> Value:
    text = text_of(source)
    if text is None:
        return None
    pattern = _pattern(given)
    group = _group(pattern, given)
    new = text_of(given["replacementValue"]) or ""

    def change(match: Any) -> tuple[int, int, str]:
        span = pattern.group(match, group)
        return (match.start(), match.start(), "") if span is None else (*span, new)

    return _rewritten(pattern, text, change)


def _from_attribute(source: Value, given: Given) -> Value:
    if not is_empty(source):
        return text_of(source)
    pattern = _pattern(given)
    group = _group(pattern, given)
    other = text_of(given["replacementAttributeName"])
    match = None if other is None else pattern.search(other)
    span = None if match is None else pattern.group(match, group)
    return None if other is None or span is None else other[slice(*span)]


FORMS: Final[Mapping[frozenset[str], Callable[[Value, Given], Value]]] = {
    frozenset({"oldValue", "replacementValue"}): _literal,
    frozenset({"oldValue", "template"}): _in_template,
    frozenset({"regexPattern", "replacementValue"}): _by_pattern,
    frozenset({"regexPattern", "regexGroupName", "replacementValue"}): _by_group,
    frozenset({"regexPattern", "regexGroupName", "replacementAttributeName"}): _from_attribute,
}
"""The provided arguments besides the source → what is done. A provided "" counts."""


def _replaced(text: str, old: str, new: str) -> str:
    check_length(len(text) + text.count(old) * (len(new) - len(old)), "Replace")
    return text.replace(old, new)


def _old(given: Given) -> str:
    text = text_of(given["oldValue"])
    if not text:
        raise EvaluationError("Replace needs an oldValue that is not empty")
    return text


def _pattern(given: Given) -> Pattern:
    try:
        return compile_pattern(text_of(given["regexPattern"]) or "")
    except PatternError as error:
        raise EvaluationError(str(error)) from None


def _group(pattern: Pattern, given: Given) -> str:
    name = text_of(given["regexGroupName"]) or ""
    if name not in pattern.groups:
        raise EvaluationError(f"the pattern has no group '{name}'")
    return name


@lru_cache(maxsize=256)
def _replacement(pattern: Pattern, text: str) -> tuple[str | Written, ...]:
    """A .NET replacement as texts and what stands for its references; what names no group stays as it is written."""
    parts: list[str | Written] = []
    position = 0
    for match in REFERENCE.finditer(text):
        parts.append(text[position : match.start()])
        position = match.end()
        sign, number, name = match.groups()
        if sign == "+":
            last = max((group for group in pattern.groups if group.isdecimal()), key=int)
            parts.append(_captured(pattern, last))
        elif sign:
            parts.append(AROUND[sign])
        elif (group := str(int(number)) if number else name) in pattern.groups:
            parts.append(_captured(pattern, group))
        else:
            parts.append(match[0])
    return (*parts, text[position:])


def _captured(pattern: Pattern, group: str) -> Written:
    def written(match: Any, text: str) -> str:
        span = pattern.group(match, group)
        return "" if span is None else text[slice(*span)]

    return written


def _rewritten(pattern: Pattern, text: str, change: Callable[[Any], tuple[int, int, str]]) -> str:
    """The text with one part of every match changed: (start, end, what stands there instead)."""
    pieces: list[str] = []
    position = length = 0
    for match in pattern.matches(text):
        start, end, new = change(match)
        pieces += (text[position:start], new)
        length += start - position + len(new)
        check_length(length, "Replace")
        position = end
    return "".join((*pieces, text[position:]))
