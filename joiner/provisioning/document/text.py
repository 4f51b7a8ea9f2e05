"""The text of schema documents, to values and back without loss: order of members, and numbers as they were written."""

import json
from typing import Any, Final

import orjson

from joiner.errors import InvalidValueError

SAFE_DIGITS: Final = 15
"""Whole numbers with more of them are kept as they were written, like those with a fraction."""
DEEPEST: Final = 200
"""Levels of nesting; JSON is written with at most 254."""
TOO_DEEP: Final = "the document is nested too deeply"


class Number(float):
    """A number that remembers how it was written."""

    __slots__ = ("text",)

    def __new__(cls, text: str) -> "Number":
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


def read_document(text: bytes | str) -> dict[str, Any]:
    """Raises InvalidValueError if it is not the text of a JSON object."""
    try:
        # It knows what JSON is: no NaN, no halves of surrogate pairs.
        orjson.loads(text)
        document = json.loads(text, parse_float=Number, parse_int=_whole)
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"the document is not JSON: {error}") from None
    except RecursionError:
        raise InvalidValueError(TOO_DEEP) from None
    if not isinstance(document, dict):
        raise InvalidValueError("the document must be a JSON object")
    if _depth(document) > DEEPEST:
        raise InvalidValueError(TOO_DEEP)
    return document


def write_document(document: Any, *, indent: bool = False) -> str:
    """Compact text, or indented by two."""
    return orjson.dumps(document, default=_written, option=orjson.OPT_INDENT_2 if indent else None).decode()


def _depth(document: Any) -> int:
    depth, level = 0, [document]
    while level:
        depth += 1
        values = [value.values() if isinstance(value, dict) else value for value in level]
        level = [item for value in values for item in value if isinstance(item, dict | list)]
    return depth


def _whole(text: str) -> int | Number:
    return int(text) if len(text) <= SAFE_DIGITS and text != "-0" else Number(text)


def _written(value: Any) -> orjson.Fragment:
    if not isinstance(value, Number):
        raise TypeError
    return orjson.Fragment(value.text)
