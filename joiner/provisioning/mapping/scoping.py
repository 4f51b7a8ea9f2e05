"""Scoping filters: groups of clauses, compiled to predicates (attribute mapping §14, provisioning service §4).

In scope when there are no groups, or when every clause of any group holds. A null or empty source makes every
operator false but `IS NULL` (REQ-P-039). Evaluating is lenient where saving is not: a bound that is no number holds
for nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal

import msgspec
import orjson

from joiner.errors import InvalidValueError
from joiner.expressions.patterns import PatternError, compile_linear_pattern
from joiner.expressions.values import Value, canonical_text, whole_number
from joiner.provisioning.mapping.schema import AttributeDefinition, AttributeType, Filter, FilterClause, FilterGroup
from joiner.provisioning.mapping.shape import Problem

Test = Callable[[Value], bool]

UNFILTERABLE: Final = frozenset(
    {"appRoleAssignments", "userType", "manager", "members", "accountExpires", "startDate"}
    | {"createdDateTime", "deletedDateTime", "employeeHireDate", "employeeLeaveDateTime"}
)
"""Attributes that filters cannot use: those that are no single value of the object itself, and dates."""


class FilterError(InvalidValueError):
    """The filter cannot be used; the text names the clause."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: the types of attribute that it is for, and how a clause becomes a test of the attribute's value."""

    name: str
    arity: Literal["Binary", "Unary"]
    types: tuple[AttributeType, ...]
    compile: Callable[[str], Test]
    needs_number: bool = False

    @property
    def takes_value(self) -> bool:
        """Whether a clause with it needs a value to compare with."""
        return self.arity == "Binary"


@dataclass(frozen=True, slots=True)
class Clause:
    """A compiled clause of the filter `title`; `text`: its attribute, operator and value."""

    title: str
    text: str
    attribute: str
    test: Test

    @property
    def label(self) -> str:
        """How people are shown it."""
        return f"{self.title} {self.text}".strip()

    @property
    def key(self) -> str:
        """How `ScopeEvaluationResult` names it."""
        return f"{self.title}.{self.text}" if self.title else self.text

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        """`attributes`: the engine's names of the source object → values."""
        return self.test(attributes.get(self.attribute))


class ScopeResult(msgspec.Struct, frozen=True, gc=False):
    """Whether an object passes, and each clause's part in it (REQ-P-048)."""

    passed: bool
    clauses: tuple[tuple[str, bool], ...]
    """Label and result of each."""
    document: str
    """`ScopeEvaluationResult` of the provisioning log."""

    @property
    def failed(self) -> tuple[str, ...]:
        """Labels of those that do not hold."""
        return tuple(label for label, holds in self.clauses if not holds)


@dataclass(frozen=True, slots=True)
class ScopeFilter:
    """A compiled filter."""

    groups: tuple[tuple[Clause, ...], ...]

    def passes(self, attributes: Mapping[str, Any]) -> bool:
        """Stops at the first group that holds, and in a group at the first clause that does not."""
        for group in self.groups:
            for clause in group:
                if not clause.test(attributes.get(clause.attribute)):
                    break
            else:
                return True
        return not self.groups

    def evaluate(self, attributes: Mapping[str, Any]) -> ScopeResult:
        """As `passes`, with the result of every clause."""
        if not self.groups:
            return PASSED
        results = [[(clause, clause.holds(attributes)) for clause in group] for group in self.groups]
        passed = any(all(holds for _, holds in group) for group in results)
        told = list(chain.from_iterable(results))
        document = orjson.dumps({clause.key: holds for clause, holds in told}).decode()
        return ScopeResult(passed, tuple((clause.label, holds) for clause, holds in told), document)


EVERYTHING: Final = ScopeFilter(())
PASSED: Final = ScopeResult(True, (), "{}")
"""Without a filter."""


def compile_filter(scope: Filter | None) -> ScopeFilter:
    """Raises FilterError for an unknown operator or a missing value, PatternError for a pattern that cannot be used."""
    return EVERYTHING if scope is None else compile_groups(scope.groups)


def compile_groups(groups: Sequence[FilterGroup]) -> ScopeFilter:
    """As `compile_filter`."""
    return ScopeFilter(
        tuple(tuple(_compile_clause(clause, group.name or "") for clause in group.clauses) for group in groups)
    )


def validate_filter(scope: Filter | None, definitions: Mapping[str, AttributeDefinition]) -> list[Problem]:
    """Why a filter cannot be saved, with paths such as `groups[0].clauses[1].operatorName` (REQ-P-042, REQ-P-045,
    REQ-P-046). `definitions`: name → attribute of the source object, as far as the schema declares them."""
    if scope is None:
        return []
    problems = []
    titles: set[str] = set()
    for number, group in enumerate(scope.groups):
        place = f"groups[{number}]"
        title = (group.name or "").strip()
        if not title:
            problems.append(Problem(f"{place}.name", "a filter needs a title"))
        elif title in titles:
            problems.append(Problem(f"{place}.name", f"there is another filter with the title '{title}'"))
        titles.add(title)
        problems += _group_problems(group, place, definitions)
    for number, group in enumerate(scope.input_filter_groups):
        problems += _group_problems(group, f"inputFilterGroups[{number}]", definitions)
    return problems


def clauses_of(scope: Filter | None) -> Iterator[tuple[str, FilterClause]]:
    """Every clause with its path in the filter."""
    named = () if scope is None else (("groups", scope.groups), ("inputFilterGroups", scope.input_filter_groups))
    for name, groups in named:
        for number, group in enumerate(groups):
            for position, clause in enumerate(group.clauses):
                yield f"{name}[{number}].clauses[{position}]", clause


def _group_problems(
    group: FilterGroup, place: str, definitions: Mapping[str, AttributeDefinition]
) -> Iterator[Problem]:
    if not group.clauses:
        yield Problem(f"{place}.clauses", "a filter needs a clause")
    for position, clause in enumerate(group.clauses):
        for path, problem in _clause_problems(clause, definitions):
            yield Problem(f"{place}.clauses[{position}].{path}", problem)


def _clause_problems(clause: FilterClause, definitions: Mapping[str, AttributeDefinition]) -> Iterator[Problem]:
    name = clause.source_operand_name
    definition = definitions.get(name)
    if name in UNFILTERABLE or (
        definition and (definition.multivalued or definition.type in ("DateTime", "Reference"))
    ):
        told = f"'{name}' cannot be filtered by: it is a date, a reference, a user type or roles, or has several values"
        yield Problem("sourceOperandName", told)
    operator = OPERATORS.get(_folded(clause.operator_name))
    if operator is None:
        yield Problem("operatorName", _unknown(clause.operator_name))
        return
    values = clause.target_operand.values if clause.target_operand else ()
    if not operator.takes_value:
        if any(values):
            yield Problem("targetOperand.values", f"{operator.name} takes no value")
        return
    if len(values) != 1 or not values[0]:
        yield Problem("targetOperand.values", f"{operator.name} needs one value")
        return
    if operator.needs_number and whole_number(values[0]) is None:
        yield Problem("targetOperand.values[0]", f"'{values[0]}' is not a whole number")
    try:
        operator.compile(values[0])
    except PatternError as error:
        yield Problem("targetOperand.values[0]", str(error))


def _compile_clause(clause: FilterClause, title: str) -> Clause:
    operator = OPERATORS.get(_folded(clause.operator_name))
    if operator is None:
        raise FilterError(_unknown(clause.operator_name))
    values = clause.target_operand.values if clause.target_operand else ()
    text = f"{clause.source_operand_name} {operator.name}"
    if operator.takes_value:
        if len(values) != 1:
            raise FilterError(f"the clause '{text}' needs one value")
        text += f" '{values[0]}'"
    return Clause(title, text, clause.source_operand_name, operator.compile(values[0] if operator.takes_value else ""))


def _unknown(name: str) -> str:
    return f"'{name}' is not an operator of scoping filters; there are {', '.join(o.name for o in OPERATORS.values())}"


def _folded(name: str) -> str:
    return name.strip().replace("_", " ").upper()


def _on_text(holds: Callable[[str, str], bool]) -> Callable[[str], Test]:
    """An operator on the canonical text of a value that is not empty."""

    def compile_(operand: str) -> Test:
        def test(value: Value) -> bool:
            text = _text(value)
            return text is not None and holds(text, operand)

        return test

    return compile_


def _on_number(holds: Callable[[int, int], bool]) -> Callable[[str], Test]:
    def compile_(operand: str) -> Test:
        bound = whole_number(operand)

        def test(value: Value) -> bool:
            number = whole_number(_text(value) or "")
            return number is not None and bound is not None and holds(number, bound)

        return test

    return compile_


def _on_pattern(wanted: bool) -> Callable[[str], Test]:
    def compile_(operand: str) -> Test:
        # The whole value has to match (REQ-P-043). A pattern that might be given up would leave open whether the object
        # is in scope.
        match = compile_linear_pattern(operand).fullmatch

        def test(value: Value) -> bool:
            text = _text(value)
            return text is not None and (match(text) is not None) is wanted

        return test

    return compile_


def _on_presence(is_null: bool) -> Callable[[str], Test]:
    return lambda operand: lambda value: (_text(value) is None) is is_null


def _on_truth(wanted: str) -> Callable[[str], Test]:
    return lambda operand: lambda value: (_text(value) or "").lower() == wanted


def _text(value: Value) -> str | None:
    """The canonical text, None for what counts as empty: nothing, no text, only white space, no values."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if value is None:
        return None
    text = canonical_text(value)
    return text if text.strip() else None


TEXTS: Final[tuple[AttributeType, ...]] = ("String", "Integer")
ANY: Final[tuple[AttributeType, ...]] = ("String", "Integer", "Binary", "Boolean")

OPERATORS: Final[Mapping[str, Operator]] = {
    _folded(operator.name): operator
    for operator in (
        Operator("EQUALS", "Binary", TEXTS, _on_text(lambda text, operand: text == operand)),
        Operator("NOT EQUALS", "Binary", TEXTS, _on_text(lambda text, operand: text != operand)),
        Operator("Includes", "Binary", ("String",), _on_text(lambda text, operand: operand in text)),
        Operator("ENDS_WITH", "Binary", ("String",), _on_text(lambda text, operand: text.endswith(operand))),
        Operator("&", "Binary", ("String",), _on_text(lambda text, operand: text in operand)),
        Operator("!&", "Binary", ("String",), _on_text(lambda text, operand: text not in operand)),
        Operator("Greater_Than", "Binary", ("Integer",), _on_number(lambda number, bound: number > bound), True),
        Operator(
            "Greater_Than_OR_EQUALS", "Binary", ("Integer",), _on_number(lambda number, bound: number >= bound), True
        ),
        Operator("REGEX MATCH", "Binary", TEXTS, _on_pattern(True)),
        Operator("NOT REGEX MATCH", "Binary", TEXTS, _on_pattern(False)),
        Operator("IS NULL", "Unary", ANY, _on_presence(True)),
        Operator("IS NOT NULL", "Unary", ANY, _on_presence(False)),
        Operator("IS TRUE", "Unary", ("Boolean",), _on_truth("true")),
        Operator("IS FALSE", "Unary", ("Boolean",), _on_truth("false")),
    )
}
"""The operator's name, upper-cased with spaces for underscores → the operator."""
