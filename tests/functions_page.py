"""`python -m tests.functions_page` writes docs/expression-functions.md from the table of functions, with examples from
the test vectors."""

import json
from collections.abc import Iterator
from typing import Any, Final

from joiner.expressions.function import Function, Parameter
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.vectors import Vector, read_vectors
from tests.repository import ROOT

PAGE: Final = ROOT / "docs/expression-functions.md"
VECTORS: Final = ROOT / "tests/vectors/expression-vectors.json"
EXAMPLES: Final = 3
LONGEST: Final = 90
"""Characters of an expression that still reads well in a table."""
INTRODUCTION: Final = """\
# Functions of the mapping language

Written by `make docs` from the table of functions in `joiner/expressions/functions.py` and from the test vectors; a
test fails when it is out of date. [The language itself](expressions.md) takes ten minutes.

What stands in brackets may be left out, and … means that it may be repeated. A parameter takes text unless something
else is said; other single values are taken by their text, and of several values the first. Names are case-sensitive.
"""
KINDS: Final = {
    "Any": "any value",
    "Boolean": "true or false",
    "DateTime": "a date",
    "Integer": "a whole number",
    "Roles": "the attribute appRoleAssignments",
    "String": "text",
}
SPECIAL: Final = {
    "$error": "an error",
    "$ignore": "ignored",
    "$ignoreObject": "the object is ignored",
    "$pattern": "for example …",
    "$random": "random characters",
}


def render() -> str:
    """The whole page."""
    vectors = read_vectors(json.loads(VECTORS.read_text("utf-8")))
    names = " · ".join(f"[{name}](#{name.lower()})" for name in FUNCTIONS)
    sections = ["\n".join(_section(function, vectors)) for function in FUNCTIONS.values()]
    return "\n".join([INTRODUCTION, names, "", *sections])


def _section(function: Function, vectors: list[Vector]) -> Iterator[str]:
    yield f"## {function.name}"
    yield ""
    yield f"`{function.signature}`"
    yield ""
    yield " ".join(text for text in (function.documentation, function.limits, function.when_null) if text)
    yield ""
    takes = [f"`{parameter.name}`: {kind}" for parameter in function.parameters if (kind := _kind(parameter))]
    if takes:
        yield f"{'; '.join(takes)}."
        yield ""
    examples = _examples(function.name, vectors)
    if examples:
        yield "| expression | object | result |"
        yield "|---|---|---|"
        yield from (f"| {_code(_line(v.expression))} | {_object(v)} | {_result(v.expected)} |" for v in examples)
        yield ""


def _kind(parameter: Parameter) -> str:
    if parameter.choices:
        return f"one of {', '.join(parameter.choices)}"
    return "" if parameter.kind == "String" else KINDS[parameter.kind]


def _examples(name: str, vectors: list[Vector]) -> list[Vector]:
    """The first short ones with different results, an error last."""
    own = [vector for vector in vectors if vector.function == name]
    short = [v for v in own if len(_line(v.expression)) <= LONGEST and len(_object(v)) <= 2 * LONGEST] or own
    short.sort(key=lambda vector: vector.expected == {"$error": True})
    different = {json.dumps(vector.expected): vector for vector in reversed(short)}
    return [vector for vector in short if different[json.dumps(vector.expected)] is vector][:EXAMPLES]


def _line(expression: str) -> str:
    return " ".join(expression.split())


def _code(text: str) -> str:
    """As code in a table, which a vertical bar would end."""
    marks = "``" if "`" in text else "`"
    return f"{marks}{text.replace('|', chr(92) + '|')}{marks}"


def _object(vector: Vector) -> str:
    shown = [f"{name}: {_value(value)}" for name, value in vector.attributes.items()]
    if vector.now:
        shown.append(f"at {vector.now}")
    if vector.existing:
        shown.append(f"taken: {_value(list(vector.existing))}")
    return _code(", ".join(shown)) if shown else ""


def _result(expected: Any) -> str:
    if isinstance(expected, dict):
        return SPECIAL[next(iter(expected))]
    return _code(_value(expected))


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
