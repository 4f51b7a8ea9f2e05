"""What the vectors leave out: edges of functions, what is refused when a mapping is saved, and that no value of an
object makes a function fail in any way but its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.expressions.compiler import compile_expression
from joiner.expressions.date_formats import format_date, parse_exact
from joiner.expressions.dates import date_from_num, num_from_date, read_date
from joiner.expressions.errors import EvaluationError, ExpressionError, IgnoreAttribute
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.values import canonical_text

MOMENTS = st.datetimes(datetime(1601, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
SINGLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    MOMENTS,
    st.sampled_from(["d", "(a)*", "$1", "2024-01-31"]),
)
ROLE = st.fixed_dictionaries({"id": st.just("1")}, optional={"value": SINGLE, "displayName": SINGLE})
VALUES = st.one_of(SINGLE, st.lists(SINGLE, max_size=3), st.lists(ROLE, max_size=2), ROLE)


def evaluated(text: str, **attributes: Any) -> Any:
    value = compile_expression(text).evaluate(attributes)
    return canonical_text(value) if isinstance(value, datetime) else value


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@given(data=st.data())
def test_no_value_makes_a_function_fail_in_any_other_way(name: str, data: st.DataObject) -> None:
    function = FUNCTIONS[name]
    least = sum(parameter.required for parameter in function.parameters)
    numbers = [n for n in range(least, max(8, least + 1)) if function.count_problem(n) is None]
    arguments = data.draw(st.lists(st.one_of(VALUES), min_size=(n := data.draw(st.sampled_from(numbers))), max_size=n))
    attributes = {f"a{index}": value for index, value in enumerate(arguments)}
    optional = {index for index, parameter in enumerate(function.parameters) if not parameter.required}
    omitted = data.draw(st.sets(st.sampled_from(sorted(optional)))) if optional else set()
    shown = ", ".join("" if index in omitted else f"[a{index}]" for index in range(n))
    try:
        compiled = compile_expression(f"{name}({shown})")
    except ExpressionError:
        assert name == "Replace" or omitted
        return
    try:
        compiled.evaluate(attributes)
    except (EvaluationError, IgnoreAttribute):
        return


@pytest.mark.parametrize(
    ("text", "attributes", "wanted"),
    [
        ('Replace([x], , "(\\\\w)(?<n>\\\\d)", , "$2$1$$$&${n}$9${no}")', {"x": "a1"}, "1a$a11$9${no}"),
        ('Replace([x], "Zip", , , , , "00Zip")', {"x": "42"}, "0042"),
        ('Replace([x], , "(?<n>b)?", "n", "-")', {"x": "abc"}, "a-c"),
        ('Replace([x], , "b*", , "-")', {"x": "abc"}, "-a--c-"),
        ('Replace([x], [old], , , "new")', {"x": "old and old", "old": "old"}, "new and new"),
        ('InStr("straße", "SE", 1, vbTextCompare)', {}, 0),
        ('InStr("abc", "B", 1, vbTextCompare)', {}, 2),
        ('InStr("abc", "c", 9)', {}, 0),
        ('Word("--a-b", 2, "-")', {}, "b"),
        ('Word("a b", 1, "")', {}, "a b"),
        ("PCase(\"1st o'neill 'quoted'\")", {}, "1St O'neill 'Quoted'"),
        ("RemoveDuplicates([x])", {"x": ["b", "a", "B", "b"]}, ["b", "a", "B"]),
        ("BitAnd(-1, &hFF)", {}, 255),
        ('DateAdd("m", -1, "2024-03-31T10:00:00Z")', {}, "2/29/2024 10:00:00 AM"),
        ('DateDiff("d", "2024-01-02T00:00:00Z", "2024-01-01T00:00:01Z")', {}, 0),
        ('FormatDateTime("5/6/24 7 PM", "AllowWhiteSpaces", "d/M/yy h tt", "s")', {}, "2024-06-05T19:00:00"),
        ('FormatDateTime("6 May 2024", , "d MMM yyyy", "D")', {}, "Monday, 06 May 2024"),
        ('FormatDateTime("2024-05-06", , "yyyy-MM-dd", "HH:mm.FFF K \\\\d zzz")', {}, "00:00 Z d +00:00"),
        ('FormatDateTime("0600Z", , "HHmmK", "t")', {}, "06:00"),
    ],
)
def test_edges(text: str, attributes: dict[str, Any], wanted: Any) -> None:
    assert evaluated(text, **attributes) == wanted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('Replace([x], "a")', "Replace takes oldValue with"),
        ('Replace([x], "", , , "b")', "oldValue that is not empty"),
        ('Replace([x], , "(", , "b")', "the pattern '(' cannot be used"),
        ('Replace([x], , "(?=a)", , "b")', "the pattern '(?=a)' cannot be used"),
        ('Replace([x], , "(?<n>a)", "m", "b")', "the pattern has no group 'm'"),
    ],
)
def test_what_cannot_work_for_any_object_is_refused_when_it_is_saved(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('Replace([x], , [p], , "b")', "the pattern '(' cannot be used"),
        ('Replace([x], [none], , , "b")', "a value for its oldValue"),
        ("CBool([square])", "neither true nor false"),
        ("Left([square], [long])", "must be a whole number"),
        ("CBool([long] > 1)", "cannot be compared with a number"),
        ('InStr("a", "b", 0)', "starts at 1"),
        ('InStr("a", "b", 1, [x])', "vbBinaryCompare or vbTextCompare"),
        ("SingleAppRoleAssignment([x])", "appRoleAssignments"),
        ('DateAdd("m", 999999, "2024-01-01")', "leaves the calendar"),
        ("DateFromNum(999999999999999999999)", "leaves the calendar"),
        ('CDate("2023-02-30")', "is not a date"),
        ('CDate("13:00 PM")', "is not a date"),
        ('FormatDateTime("1/2/2025", , "MM/dd/yyyy", "s")', "has not the format"),
        ('FormatDateTime("Mon 2024-05-07", , "ddd yyyy-MM-dd", "s")', "wrong day of the week"),
        ('FormatDateTime("2024-05-07", "Loosely", "yyyy-MM-dd", "s")', "'Loosely' is not one of"),
        ('FormatDateTime("2024", , "yyyyy", "s")', "'yyyyy' is no specifier"),
        ('FormatDateTime("2024-02-30", , "yyyy-MM-dd", "s")', "not a date that exists"),
        ('FormatDateTime("5 6 6", , "d d M", "s")', "two values for its day"),
    ],
)
def test_what_cannot_be_evaluated_says_why(text: str, problem: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text).evaluate({"x": "x", "p": "(", "square": "²", "long": "1" * 5000})
    assert problem in str(caught.value)


@given(MOMENTS)
def test_a_date_is_read_back_as_it_was_written(moment: datetime) -> None:
    assert parse_exact(format_date(moment, "o"), "o") == moment
    assert (
        parse_exact(format_date(moment, "dddd, d MMMM yyyy h:mm:ss.ffffff tt"), "dddd, d MMMM yyyy h:mm:ss.ffffff tt")
        == moment
    )
    assert read_date(moment.isoformat()) == moment
    assert date_from_num(num_from_date(moment)) == moment
    second = moment.replace(microsecond=0)
    assert read_date(canonical_text(second)) == second


@given(MOMENTS, st.integers(-600, 600))
def test_an_offset_is_applied(moment: datetime, minutes: int) -> None:
    offset = timedelta(minutes=minutes)
    local = (moment + offset).replace(tzinfo=None).isoformat()
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    assert read_date(f"{local}{sign}{hours:02d}:{rest:02d}") == moment
