"""Test vectors of the mapping language: an expression, an object, and what must come of it (attribute mapping §13)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

import msgspec

from joiner.errors import InvalidValueError, JoinerError
from joiner.expressions.chance import CLASSES
from joiner.expressions.compiler import compile_expression
from joiner.expressions.date_texts import read_date
from joiner.expressions.environment import ENVIRONMENT, Environment
from joiner.expressions.errors import IgnoreAttribute, IgnoreObject
from joiner.expressions.patterns import compile_pattern
from joiner.expressions.values import Value, canonical_text, is_null

LIMITS: Final[Mapping[str, str]] = {
    "min_digits": CLASSES["MinimumNumbers"],
    "min_special": CLASSES["MinimumSpecialCharacters"],
    "min_upper": CLASSES["MinimumCapital"],
    "min_lower": CLASSES["MinimumLowerCase"],
}
"""Member of `$random` → the characters of which there must be so many."""


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; what else it has is for its readers."""

    expression: str
    expected: Any
    id: str = ""
    function: str = ""
    attributes: dict[str, Any] = {}
    now: str | None = None
    """The clock of the evaluation, in UTC."""
    existing: tuple[str, ...] = ()
    """Values that the target has already."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A vector that did not give what it expects."""

    vector: Vector
    got: Any
    """The value, or `$error` with its text, `$ignore`, `$ignoreObject`."""


def read_vectors(document: Any) -> list[Vector]:
    """The vectors of a parsed JSON document. Raises InvalidValueError naming the first entry that is none."""
    if not isinstance(document, list):
        raise InvalidValueError("a file of vectors is an array of objects")
    vectors = []
    for number, entry in enumerate(document, 1):
        known = f" ({entry['id']})" if isinstance(entry, dict) and isinstance(entry.get("id"), str) else ""
        try:
            vector = msgspec.convert(entry, Vector)
            if vector.now is not None and read_date(vector.now) is None:
                raise InvalidValueError(f"now: '{vector.now}' is not a time such as 2025-07-30T09:15:00")
            _check_expected(vector.expected)
        except (msgspec.ValidationError, InvalidValueError) as error:
            raise InvalidValueError(f"entry {number}{known}: {error}") from None
        vectors.append(vector)
    return vectors


def _check_expected(expected: Any) -> None:
    if not isinstance(expected, dict):
        return
    ((name, detail),) = expected.items() if len(expected) == 1 else (("", None),)
    if name not in SPECIAL:
        raise InvalidValueError(f"expected: an object has one member, one of {', '.join(SPECIAL)}")
    if name == "$pattern":
        compile_pattern(str(detail))
    if name == "$random" and not isinstance(detail, dict):
        raise InvalidValueError("expected: $random is an object")


def failures(vectors: Iterable[Vector], environment: Environment) -> list[Failure]:
    """Those that fail; the environment's clock serves vectors that bring none."""
    found = []
    for vector in vectors:
        got = outcome(vector, environment)
        if not holds(vector.expected, got):
            found.append(Failure(vector, got))
    return found


def outcome(vector: Vector, environment: Environment) -> Any:
    """What comes of the expression, as `Failure.got` has it."""
    taken = {text.casefold() for text in vector.existing}
    moment = (read_date(vector.now) if vector.now else None) or environment.now
    own = Environment(moment.astimezone(UTC), environment.below, lambda text: text.casefold() in taken)
    attributes = {name: value for name, value in vector.attributes.items() if value is not None}
    try:
        return compile_expression(vector.expression).evaluate({**attributes, ENVIRONMENT: own})
    except IgnoreAttribute:
        return {"$ignore": True}
    except IgnoreObject:
        return {"$ignoreObject": True}
    except JoinerError as error:
        return {"$error": str(error)}


def holds(expected: Any, got: Any) -> bool:
    """Whether it is what was expected: a boolean equals its text, a number its digits, no values equal null."""
    if isinstance(expected, dict):
        ((name, detail),) = expected.items()
        return SPECIAL[name](detail, got)
    return bool(_plain(expected) == _plain(got))


def _plain(value: Value) -> Value:
    if is_null(value):
        return None
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return canonical_text(value)


def _has(name: str) -> Callable[[Any, Any], bool]:
    return lambda detail, got: isinstance(got, dict) and name in got


def _matches(pattern: Any, got: Any) -> bool:
    return isinstance(got, str) and compile_pattern(str(pattern)).search(got) is not None


def _is_random(limits: Mapping[str, Any], got: Any) -> bool:
    if not isinstance(got, str) or len(got) != limits.get("length", len(got)):
        return False
    enough = all(sum(character in kind for character in got) >= limits.get(name, 0) for name, kind in LIMITS.items())
    return enough and not set(got) & set(limits.get("excluded", ""))


SPECIAL: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$error": _has("$error"),
    "$ignore": _has("$ignore"),
    "$ignoreObject": _has("$ignoreObject"),
    "$pattern": _matches,
    "$random": _is_random,
}
"""Member of an expected object → whether what was got is that."""
