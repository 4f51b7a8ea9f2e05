"""Scoping filters: groups of clauses, compiled to predicates (attribute mapping §14, provisioning service §4).

In scope when there are no groups, or when every clause of any group holds. A null or empty source makes every
operator false but `IS NULL` (REQ-P-039).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joiner.errors import InvalidValueError
from joiner.expressions.patterns import PatternError, compile_linear_pattern
from joiner.expressions.values import Value, canonical_text, whole_number
from joiner.provisioning.schema import AttributeDefinition, Filter, FilterClause

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
    """One operator: whether it takes a value, and how a clause becomes a test of the attribute's value."""

    name: str
    takes_value: bool
    compile: Callable[[str], Test]


@dataclass(frozen=True, slots=True)
class Clause:
    """A compiled clause with the words by which the provisioning log shows it (REQ-P-048)."""

    label: str
    attribute: str
    test: Test

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        return self.test(attributes.get(self.attribute))


@dataclass(frozen=True, slots=True)
class ScopeResult:
    """Whether an object passes, and each clause's part in it."""

    passed: bool
    clauses: tuple[tuple[str, bool], ...]


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
        results = [[(clause.label, clause.holds(attributes)) for clause in group] for group in self.groups]
        passed = not results or any(all(holds for _, holds in group) for group in results)
        return ScopeResult(passed, tuple(clause for group in results for clause in group))


EVERYTHING: Final = ScopeFilter(())


def compile_filter(scope: Filter | None) -> ScopeFilter:
    """Raises FilterError for an unknown operator or a missing value, PatternError for a pattern that cannot be used."""
    if scope is None or not scope.groups:
        return EVERYTHING
    return ScopeFilter(
        tuple(tuple(_compile_clause(clause, group.name or "") for clause in group.clauses) for group in scope.groups)
    )


def validate_filter(scope: Filter | None, definitions: Mapping[str, AttributeDefinition]) -> list[str]:
    """Why a filter cannot be saved: `groups[0].clauses[1]: what is wrong`; empty if it can (REQ-P-042, REQ-P-045,
    REQ-P-046). `definitions`: name → attribute of the source object, as far as the schema declares them."""
    if scope is None:
        return []
    problems = []
    titles: set[str] = set()
    for number, group in enumerate(scope.groups):
        place = f"groups[{number}]"
        title = (group.name or "").strip()
        if not title:
            problems.append(f"{place}.name: a filter needs a title")
        elif title in titles:
            problems.append(f"{place}.name: there is another filter with the title '{title}'")
        titles.add(title)
        if not group.clauses:
            problems.append(f"{place}.clauses: a filter needs a clause")
        for position, clause in enumerate(group.clauses):
            problem = _clause_problem(clause, definitions)
            if problem:
                problems.append(f"{place}.clauses[{position}]: {problem}")
    return problems


def _clause_problem(clause: FilterClause, definitions: Mapping[str, AttributeDefinition]) -> str | None:
    name = clause.source_operand_name
    definition = definitions.get(name)
    if name in UNFILTERABLE or (
        definition and (definition.multivalued or definition.type in ("DateTime", "Reference"))
    ):
        return f"'{name}' cannot be filtered by: it is a date, a reference, or has several values"
    try:
        _compile_clause(clause, "")
    except (FilterError, PatternError) as error:
        return str(error)
    return None


def _compile_clause(clause: FilterClause, title: str) -> Clause:
    operator = OPERATORS.get(_folded(clause.operator_name))
    if operator is None:
        raise FilterError(f"'{clause.operator_name}' is not an operator of scoping filters")
    values = clause.target_operand.values if clause.target_operand else ()
    shown = f"{clause.source_operand_name} {operator.name}"
    if operator.takes_value:
        if len(values) != 1 or values[0] == "":
            raise FilterError(f"the clause '{shown}' needs one value")
        shown += f" '{values[0]}'"
    label = f"{title} {shown}".strip()
    return Clause(label, clause.source_operand_name, operator.compile(values[0] if operator.takes_value else ""))


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
        if bound is None:
            raise FilterError(f"'{operand}' is not a whole number")

        def test(value: Value) -> bool:
            number = whole_number(_text(value) or "")
            return number is not None and holds(number, bound)

        return test

    return compile_


def _on_pattern(wanted: bool) -> Callable[[str], Test]:
    def compile_(operand: str) -> Test:
        # Found anywhere in the text, as .NET's IsMatch does (D-29).
        # One that might be given up would leave open whether the object is in scope.
        search = compile_linear_pattern(operand).search

        def test(value: Value) -> bool:
            text = _text(value)
            return text is not None and (search(text) is not None) is wanted

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


OPERATORS: Final[Mapping[str, Operator]] = {
    _folded(operator.name): operator
    for operator in (
        Operator("EQUALS", True, _on_text(lambda text, operand: text == operand)),
        Operator("NOT EQUALS", True, _on_text(lambda text, operand: text != operand)),
        Operator("Includes", True, _on_text(lambda text, operand: operand in text)),
        Operator("ENDS_WITH", True, _on_text(lambda text, operand: text.endswith(operand))),
        Operator("&", True, _on_text(lambda text, operand: text in operand)),
        Operator("!&", True, _on_text(lambda text, operand: text not in operand)),
        Operator("Greater_Than", True, _on_number(lambda number, bound: number > bound)),
        Operator("Greater_Than_OR_EQUALS", True, _on_number(lambda number, bound: number >= bound)),
        Operator("REGEX MATCH", True, _on_pattern(True)),
        Operator("NOT REGEX MATCH", True, _on_pattern(False)),
        Operator("IS NULL", False, _on_presence(True)),
        Operator("IS NOT NULL", False, _on_presence(False)),
        Operator("IS TRUE", False, _on_truth("true")),
        Operator("IS FALSE", False, _on_truth("false")),
    )
}
"""The operator's name, upper-cased with spaces for underscores → the operator."""
