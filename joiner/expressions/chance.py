"""Functions of the clock and of chance. Both come from the environment."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from joiner.expressions.environment import environment_of
from joiner.expressions.errors import EvaluationError
from joiner.expressions.function import MISSING, Missing
from joiner.expressions.values import Value, number_of, text_of

CLASSES: Final[Mapping[str, str]] = {
    "MinimumNumbers": "0123456789",
    "MinimumSpecialCharacters": "~!@#$%^&*_-+=`|\\(){}[]:;\"'<>,.?/",
    "MinimumCapital": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "MinimumLowerCase": "abcdefghijklmnopqrstuvwxyz",
}
"""Parameter of RandomString → the characters that it counts."""
LONGEST: Final = 256


def now(attributes: Mapping[str, Any]) -> Value:
    return environment_of(attributes, "Now").now


def guid(attributes: Mapping[str, Any]) -> Value:
    return str(UUID(int=environment_of(attributes, "Guid").below(1 << 128), version=4))


def random_string(attributes: Mapping[str, Any], length: Value, *rest: Value) -> Value:
    number = number_of(length, "Length of RandomString")
    least = [number_of(value, f"{name} of RandomString") for name, value in zip(CLASSES, rest, strict=False)]
    avoided = rest[len(CLASSES)] if len(rest) > len(CLASSES) else MISSING
    unwanted = "" if isinstance(avoided, Missing) else text_of(avoided) or ""
    if min(least) < 0:
        raise EvaluationError("RandomString cannot have fewer than 0 characters of a kind")
    if not sum(least) <= number <= LONGEST:
        raise EvaluationError(
            f"RandomString has {sum(least)} (the sum of its minima) to {LONGEST} characters, not {number}"
        )
    allowed = [[character for character in characters if character not in unwanted] for characters in CLASSES.values()]
    every = [character for characters in allowed for character in characters]
    for name, minimum, characters in zip(CLASSES, least, allowed, strict=True):
        if minimum and not characters:
            raise EvaluationError(f"CharactersToAvoid of RandomString leaves none for {name}")
    if number and not every:
        raise EvaluationError("CharactersToAvoid of RandomString leaves no character")
    below = environment_of(attributes, "RandomString").below
    drawn = [
        characters[below(len(characters))]
        for minimum, characters in zip(least, allowed, strict=True)
        for _ in range(minimum)
    ]
    drawn += [every[below(len(every))] for _ in range(number - len(drawn))]
    # Shuffled, so that the place of a character does not tell its kind.
    for last in range(len(drawn) - 1, 0, -1):
        other = below(last + 1)
        drawn[last], drawn[other] = drawn[other], drawn[last]
    return "".join(drawn)
