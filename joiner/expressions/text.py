"""Functions of text. Positions count from 1, as in Visual Basic."""

import binascii
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Final

from joiner.expressions.cultures import language_of
from joiner.expressions.diacritics import normalize_diacritics
from joiner.expressions.errors import EvaluationError
from joiner.expressions.function import MISSING, Missing
from joiner.expressions.values import Value, check_length, number_of, text_of, well_formed


def of_text(function: str, convert: Callable[[str], str], growth: int = 1) -> Callable[[Value], Value]:
    """A function of one text that gives null for null (D-15) and makes at most `growth` characters of one."""

    def call(source: Value) -> Value:
        text = text_of(source)
        if text is None:
            return None
        if growth > 1:
            check_length(growth * len(text), function)
        return convert(text)

    return call


def append(source: Value, suffix: Value) -> Value:
    text = text_of(source)
    if text is None:
        return None
    behind = text_of(suffix) or ""
    check_length(len(text) + len(behind), "Append")
    return text + behind


def prepend(prefix: Value, source: Value) -> Value:
    text = text_of(source)
    return None if text is None else append(text_of(prefix) or "", text)


def trim(value: Value) -> Value:
    """Of several values, each."""
    if isinstance(value, list):
        return [text.strip() for item in value if (text := text_of(item)) is not None] or None
    text = text_of(value)
    return None if text is None else text.strip()


def left(source: Value, number: Value) -> Value:
    length = number_of(number, "NumChars of Left")
    text = text_of(source) or ""
    return text if length < 0 else text[:length]


def mid(source: Value, start: Value, length: Value) -> Value:
    first, number = number_of(start, "start of Mid"), number_of(length, "length of Mid")
    if first < 1 or number < 0:
        raise EvaluationError(f"Mid starts at 1 and takes 0 or more characters, not {number} from {first}")
    text = text_of(source)
    return None if text is None else text[first - 1 : first - 1 + number]


def in_str(searched: Value, wanted: Value, start: Value = MISSING, compare: Value = MISSING) -> Value:
    first = 1 if isinstance(start, Missing) else number_of(start, "start of InStr")
    if first < 1:
        raise EvaluationError(f"InStr starts at 1, not at {first}")
    kind = "vbBinaryCompare" if isinstance(compare, Missing) else text_of(compare)
    if kind not in ("vbBinaryCompare", "vbTextCompare"):
        raise EvaluationError(f"InStr compares by vbBinaryCompare or vbTextCompare, not by '{kind}'")
    text, part = text_of(searched), text_of(wanted)
    if text is None or part is None:
        return 0
    if kind == "vbTextCompare":
        text, part = one_to_one(str.lower, text), one_to_one(str.lower, part)
    return text.find(part, first - 1) + 1


def word(source: Value, number: Value, delimiters: Value) -> Value:
    position = number_of(number, "WordNumber of Word")
    text, marks = text_of(source) or "", text_of(delimiters) or ""
    # Runs of delimiters count once (D-28).
    pieces = text.translate(dict.fromkeys(map(ord, marks), marks[0])).split(marks[0]) if marks else [text]
    words = [piece for piece in pieces if piece]
    return words[position - 1] if 1 <= position <= len(words) else ""


def p_case(source: Value, separators: Value = MISSING) -> Value:
    """Every word with one capital letter. Without `separators`, those of .NET's `TextInfo.ToTitleCase` (D-23)."""
    text = text_of(source)
    if text is None:
        return None
    marks = None if isinstance(separators, Missing) else text_of(separators) or ""
    written, at_start = [], True
    for character in text:
        if character.isalpha():
            written.append(one_to_one(str.upper if at_start else str.lower, character))
            at_start = False
        else:
            written.append(character)
            at_start = at_start or (_separates(character) if marks is None else character in marks)
    return "".join(written)


def _separates(character: str) -> bool:
    category = unicodedata.category(character)
    # An apostrophe inside a word does not end it.
    return character != "'" and (category[0] in "ZPS" or category in ("Cc", "Cf"))


def change_case(change: Callable[[str], str], turkish: Mapping[str, str]) -> Callable[..., Value]:
    def convert(source: Value, culture: Value = MISSING) -> Value:
        text = text_of(source)
        name = None if isinstance(culture, Missing) else text_of(culture)
        language = language_of(name or "")
        if text is None:
            return None
        if language in ("tr", "az"):
            text = "".join(turkish.get(character, character) for character in text)
        return one_to_one(change, text)

    return convert


def one_to_one(change: Callable[[str], str], text: str) -> str:
    """One character to one character, as .NET does it: ß stays ß, a final sigma is no special case."""
    if text.isascii():
        return change(text)
    return "".join(changed if len(changed := change(character)) == 1 else character for character in text)


def from_base64(source: Value, encoding: Value = MISSING) -> Value:
    text = text_of(source)
    name = "Unicode" if isinstance(encoding, Missing) else text_of(encoding) or "Unicode"
    codec = ENCODINGS.get(name)
    if codec is None:
        raise EvaluationError(f"ConvertFromBase64 reads {', '.join(ENCODINGS)}, not '{name}'")
    if text is None:
        return None
    try:
        return b64decode(text, validate=True).decode(codec)
    except (binascii.Error, ValueError):
        raise EvaluationError(f"ConvertFromBase64 finds no {name} text in Base64") from None


ENCODINGS: Final[Mapping[str, str]] = {"Unicode": "utf-16-le", "ASCII": "ascii", "UTF8": "utf-8"}
"""Name of an encoding as the service has it → Python's."""
strip_spaces = of_text("StripSpaces", lambda text: text.replace(" ", ""))
without_diacritics = of_text("NormalizeDiacritics", normalize_diacritics, growth=2)
to_base64 = of_text("ConvertToBase64", lambda text: b64encode(well_formed(text).encode("utf-16-le")).decode(), growth=6)
to_utf8_hex = of_text("ConvertToUTF8Hex", lambda text: well_formed(text).encode().hex().upper(), growth=8)
