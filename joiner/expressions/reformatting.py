"""FormatDateTime: a date read by one format and written in another. Formats that are constant are judged once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from joiner.errors import InvalidValueError
from joiner.expressions.date_formats import compile_format, format_date
from joiner.expressions.date_reading import check_styles, parse_exact
from joiner.expressions.environment import environment_of
from joiner.expressions.errors import EvaluationError
from joiner.expressions.syntax import Constant, Node, Omitted
from joiner.expressions.values import Value, canonical_text, text_of

LEGACY_ARGUMENTS: Final = 3
"""Older mappings leave the styles out altogether (D-19)."""


def prepare(arguments: Sequence[Node]) -> Callable[..., Value]:
    """Raises InvalidValueError for a missing format and for a constant that is none."""
    is_legacy = len(arguments) == LEGACY_ARGUMENTS
    if isinstance(arguments[-1], Omitted) or isinstance(arguments[-2], Omitted):
        raise InvalidValueError("FormatDateTime needs an inputFormat and an outputFormat")
    try:
        for argument in arguments[-2:]:
            if isinstance(argument, Constant):
                compile_format(canonical_text(argument.value))
        if not is_legacy and isinstance(styles := arguments[1], Constant):
            check_styles(canonical_text(styles.value))
    except EvaluationError as error:
        raise InvalidValueError(str(error)) from None

    def legacy(attributes: Mapping[str, Any], source: Value, form: Value, output: Value) -> Value:
        return reformatted(attributes, source, None, form, output)

    return legacy if is_legacy else reformatted


def reformatted(attributes: Mapping[str, Any], source: Value, styles: Value, form: Value, output: Value) -> Value:
    text = text_of(source)
    if text is None:
        return None

    def today() -> date:
        return environment_of(attributes, "A date without its year").now.date()

    chosen = text_of(styles) if isinstance(styles, str) else None
    return format_date(parse_exact(text, text_of(form) or "", chosen or "", today), text_of(output) or "")
