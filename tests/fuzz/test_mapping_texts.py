"""Hostile expressions and scoping filters: whatever an administrator types, the answer is a value or what is wrong."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.errors import InvalidValueError
from joiner.expressions.compiler import compile_expression
from joiner.expressions.environment import ENVIRONMENT, Environment
from joiner.expressions.errors import EvaluationError, ExpressionError, IgnoreAttribute, IgnoreObject
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.syntax import LONGEST, WORDS, parse, to_text
from joiner.provisioning.mapping.schema import Filter, FilterClause, FilterGroup, TargetOperand
from joiner.provisioning.mapping.scoping import OPERATORS, compile_filter
from tests.fuzzing import LONG, check_sendable, mutated

VALID = (
    'Replace([mail], , "(?<user>[^@]+)@.*", "user", "x", , )',
    'IIF([country] = "Norway", Join(" ", [surname], ToUpper([givenName], "tr")), IgnoreAttributeFlow)',
    'Switch([dept], "none", "a", "1", "b", Left([surname], 3))',
    'FormatDateTime([hired], , "yyyy-MM-dd", "d MMM yyyy HH:mm:ss.fff")',
    'DateAdd("m", 5, CDate([hired]))',
    'Item(Split([mail], "@"), 2)',
    "Mid(NormalizeDiacritics([surname]), 1, Count([groups]))",
    'Word("a b", 1, " ")',
    "BitAnd(&HFF, -1)",
    'SelectUniqueValue(ToLower([surname]), RandomString(8, 2, 2, 2, 2, "0O"), Guid())',
    'Replace([mail], , "(?<=@)(?i)[\\\\w-[x]]+\\\\b(a|b){2,}?$", , "$1${n}$$", , )',
    'DateDiff("ww", Now(), NumFromDate([when]))',
)
PIECES = (
    *(
        "[",
        "]",
        "(",
        ")",
        ",",
        '"',
        "\\",
        " ",
        "=",
        "<>",
        "<",
        ">=",
        "&H",
        "-",
        ".",
        "\x00",
        "é",
        "\U0001f600",
        "9" * 30,
    ),
    *("[surname]", "[groups]", "[none]", '""', '"a"', '"\\d+"', '"("', "0", "-1", "1.5", "25", '"yyyy"', '"m"', '"ß"'),
    *(*WORDS, *(f"{name}(" for name in FUNCTIONS)),
)
HERE = Environment(datetime(2024, 5, 6, tzinfo=UTC), lambda number: number - 1, lambda text: text.startswith("a"))
ATTRIBUTES: dict[str, Any] = {
    "mail": "kim@x.example",
    "surname": "Åsß",
    "country": "Norway",
    "hired": "2024-05-06T07:08:09Z",
    "when": datetime(2024, 5, 6, tzinfo=UTC),
    "groups": ["a", "", "a"],
    "dept": 5,
    "flag": True,
    "empty": "",
    "none": None,
}


def check_expression(text: str) -> None:
    """Raises what is not expected. Half a surrogate pair cannot come: expressions arrive as JSON."""
    text = text.encode("utf-8", "replace").decode()
    try:
        compiled = compile_expression(text)
    except ExpressionError as error:
        check_sendable(error)
        return
    printed = to_text(compiled.tree)
    assert to_text(parse(printed)) == printed
    try:
        compiled.evaluate({**ATTRIBUTES, ENVIRONMENT: HERE})
    except EvaluationError as error:
        check_sendable(error)
    except (IgnoreAttribute, IgnoreObject):
        pass


@LONG
@given(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
        st.text(alphabet='[]()",\\<>=ab1 &H-.', max_size=40),
        mutated(VALID),
    )
)
def test_no_text_makes_an_expression_fail_in_any_other_way(text: str) -> None:
    check_expression(text)


@LONG
@given(
    name=st.sampled_from(sorted(FUNCTIONS)),
    arguments=st.lists(
        st.one_of(
            st.sampled_from(["", *(f"[{name}]" for name in ATTRIBUTES), *WORDS, "0", "1", "-7", "2.5", '"@"', '"\\w"']),
            st.sampled_from(
                [f'{call}([{name}], "a", 1)' for call in ("Left", "Join", "Split", "Mid") for name in ATTRIBUTES]
            ),
        ),
        max_size=7,
    ),
)
def test_no_arguments_make_a_function_fail_in_any_other_way(name: str, arguments: list[str]) -> None:
    check_expression(f"{name}({', '.join(arguments)})")


def test_an_expression_is_refused_before_it_is_read_if_it_is_too_long() -> None:
    with pytest.raises(ExpressionError, match="10,000"):
        compile_expression('"' + "a" * LONGEST + '"')


CLAUSES = st.builds(
    FilterClause,
    source_operand_name=st.one_of(st.sampled_from(sorted(ATTRIBUTES)), st.text(max_size=5)),
    operator_name=st.one_of(st.sampled_from(sorted(OPERATORS)), st.text(max_size=8)),
    target_operand=st.one_of(
        st.none(),
        st.builds(
            TargetOperand,
            values=st.lists(
                st.one_of(
                    st.text(max_size=10), st.sampled_from(["(", "a+", "\\d{1000}", "(?=a)", "9" * 30, "-1", "[[:x:]]"])
                ),
                max_size=2,
            ).map(tuple),
        ),
    ),
)


@LONG
@given(st.lists(st.lists(CLAUSES, max_size=3), max_size=3))
def test_no_scoping_filter_fails_in_any_other_way(groups: list[list[FilterClause]]) -> None:
    scope = Filter(groups=tuple(FilterGroup(clauses=tuple(clauses)) for clauses in groups))
    try:
        compiled = compile_filter(scope)
    except InvalidValueError:
        return
    assert compiled.passes(ATTRIBUTES) is compiled.evaluate(ATTRIBUTES).passed
