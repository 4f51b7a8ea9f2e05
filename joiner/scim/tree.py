"""Filters and attribute paths as values, printed back to text by `str` (RFC 7644 §3.4.2.2, §3.5.2)."""

from dataclasses import dataclass

import orjson

Literal = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Path:
    """Where an attribute stands. `attribute` is empty when the path is a schema URN alone."""

    urn: str | None
    attribute: str
    filter: "Filter | None" = None
    sub_attribute: str | None = None

    def __str__(self) -> str:
        text = self.attribute if self.urn is None else f"{self.urn}:{self.attribute}".removesuffix(":")
        if self.filter is not None:
            text += f"[{self.filter}]"
        return f"{text}.{self.sub_attribute}" if self.sub_attribute else text


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator value`; `pr` has no value."""

    path: Path
    operator: str
    value: Literal = None

    def __str__(self) -> str:
        return f"{self.path} pr" if self.operator == "pr" else f"{self.path} {self.operator} {_printed(self.value)}"


@dataclass(frozen=True, slots=True)
class ValuePath:
    """`path[filter]`: one element meets all terms."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class And:
    left: "Filter"
    right: "Filter"

    def __str__(self) -> str:
        # `and` joins from the left, so that a chain needs no brackets however long it is.
        left = f"({self.left})" if isinstance(self.left, Or) else str(self.left)
        right = f"({self.right})" if isinstance(self.right, (And, Or)) else str(self.right)
        return f"{left} and {right}"


@dataclass(frozen=True, slots=True)
class Or:
    left: "Filter"
    right: "Filter"

    def __str__(self) -> str:
        right = f"({self.right})" if isinstance(self.right, Or) else str(self.right)
        return f"{self.left} or {right}"


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Filter"

    def __str__(self) -> str:
        return f"not ({self.operand})"


Filter = Comparison | ValuePath | And | Or | Not


def conjuncts(tree: Filter) -> list[Filter]:
    """The terms that `and` joins, in order."""
    return [*conjuncts(tree.left), *conjuncts(tree.right)] if isinstance(tree, And) else [tree]


def _printed(value: Literal) -> str:
    return orjson.dumps(value).decode()
