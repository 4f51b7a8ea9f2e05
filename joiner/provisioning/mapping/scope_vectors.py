"""Runs files of scoping vectors: `[{id, clauses, attributes, in_scope}]`, where `clauses` is a list of filters (OR),
each a list of clauses (AND) in the schema's form (attribute mapping §13)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from joiner.errors import InvalidValueError, JoinerError
from joiner.provisioning.mapping.schema import Filter
from joiner.provisioning.mapping.scoping import compile_filter
from joiner.provisioning.mapping.shape import read_shape


class VectorFailure(NamedTuple):
    """A vector whose result is not the expected one."""

    id: str
    clauses: Any
    attributes: Mapping[str, Any]
    expected: bool
    got: bool | None
    """None: the filter cannot be evaluated."""
    reason: str
    """The results of the clauses, or why there are none."""


def run_vectors(vectors: Any) -> list[VectorFailure]:
    """Those that fail. Raises InvalidValueError naming an entry that is no vector."""
    if not isinstance(vectors, list):
        raise InvalidValueError("the file must hold a list of vectors")
    failures = [run_vector(number, vector) for number, vector in enumerate(vectors)]
    return [failure for failure in failures if failure is not None]


def run_vector(number: int, vector: Any) -> VectorFailure | None:
    """What is wrong with the vector's result, None if it is as expected. `number` counts from 0."""
    name, clauses, attributes, expected = _parts(number, vector)
    try:
        compiled = compile_filter(filter_of(clauses, name))
        result = compiled.evaluate(attributes)
    except JoinerError as error:
        return VectorFailure(name, clauses, attributes, expected, None, str(error))
    if result.passed is expected and compiled.passes(attributes) is expected:
        return None
    told = ", ".join(f"{label}: {'true' if holds else 'false'}" for label, holds in result.clauses)
    return VectorFailure(name, clauses, attributes, expected, result.passed, told or "there are no clauses")


def filter_of(groups: Sequence[Any], place: str = "the filter") -> Filter:
    """A filter of lists of clauses, or of filters with titles. Raises InvalidValueError."""
    named = [group if isinstance(group, Mapping) else {"clauses": group} for group in groups]
    scope, problems = read_shape({"groups": named}, Filter)
    if problems:
        raise InvalidValueError(f"{place}: {problems[0]}")
    return scope


def _parts(number: int, vector: Any) -> tuple[str, list[Any], Mapping[str, Any], bool]:
    name = f"entry {number + 1}"
    if not isinstance(vector, Mapping):
        raise InvalidValueError(f"{name} must be an object")
    name = str(vector.get("id") or name)
    kinds: tuple[tuple[str, type, str], ...] = (
        ("clauses", list, "a list"),
        ("attributes", dict, "an object"),
        ("in_scope", bool, "true or false"),
    )
    for member, kind, noun in kinds:
        if not isinstance(vector.get(member), kind):
            raise InvalidValueError(f"{name}: '{member}' must be {noun}")
    return name, vector["clauses"], vector["attributes"], vector["in_scope"]
