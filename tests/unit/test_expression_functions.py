"""What the vectors leave out: edges of functions, what is refused when a mapping is saved, and that no value of an
object makes a function fail in any way but its own."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.expressions.compiler import compile_expression
from joiner.expressions.date_formats import format_date
from joiner.expressions.date_reading import parse_exact
from joiner.expressions.date_texts import read_date
from joiner.expressions.dates import date_from_num, num_from_date
from joiner.expressions.environment import ENVIRONMENT, Environment
from joiner.expressions.errors import EvaluationError, ExpressionError, IgnoreAttribute
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.values import canonical_text

MOMENTS = st.datetimes(datetime(1601, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
HERE = Environment(
    datetime(2026, 7, 8, 9, 10, 11, tzinfo=UTC), lambda number: number // 2, lambda text: text == "taken"
)
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
    value = compile_expression(text).evaluate({**attributes, ENVIRONMENT: HERE})
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
        assert omitted
        return
    try:
        compiled.evaluate({**attributes, ENVIRONMENT: HERE})
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
        ('Append("v", 1.50)', {}, "v1.50"),
        ('CBool(CDate("2024-01-02") > "1/1/2024")', {}, True),
        ('CBool("2024-01-01T01:00:00+01:00" = CDate("2024-01-01"))', {}, True),
        ("CBool([x] = 0.1)", {"x": 0.1}, True),
        ("CBool([x] < 2)", {"x": "1.5"}, True),
        ("IsNull([x])", {"x": []}, True),
        ("Item([x], 1)", {"x": []}, None),
        ('Split(" , ", ",")', {}, None),
        ("BitAnd(&HFFFFFFFFFFFFFFFF, -2)", {}, -2),
        ('NumFromDate("2024-05-06T07:08:09.1234567Z")', {}, 133594528891234567),
        ("NumFromDate(DateFromNum(133594528891234567))", {}, 133594528891234567),
        ('DateDiff("ww", "0001-01-01", "0001-01-07")', {}, 1),
        ('DateDiff("ww", "2024-01-06T23:00:00Z", "2024-01-07T01:00:00Z")', {}, 0),
        ("Trim([x])", {"x": [" a ", None, "b"]}, ["a", "b"]),
        ('Prepend("smtp:", [x])', {"x": "a"}, "smtp:a"),
        ('Prepend("smtp:", [x])', {}, None),
        ('ConvertFromBase64(ConvertToBase64("ø€"))', {}, "ø€"),
        ('ConvertFromBase64("w7g=", "UTF8")', {}, "ø"),
        ("ConvertToUTF8Hex([x])", {"x": "\ud83d"}, "EFBFBD"),
        ("ConvertToUTF8Hex([x])", {"x": "\ud83d\ude00"}, "F09F9880"),
        ('ToUpper("i", "az-Latn-AZ")', {}, "İ"),
        ('ToUpper("ok", "")', {}, "OK"),
        ("PCase([x])", {"x": "\ue000aB"}, "\ue000Ab"),
        ("Now()", {}, "7/8/2026 9:10:11 AM"),
        ("Guid()", {}, "80000000-0000-4000-8000-000000000000"),
        ("RandomString(0, 0, 0, 0, 0)", {}, ""),
        ('SelectUniqueValue([none], "", "taken", "free")', {}, "free"),
        ('FormatDateTime("07:08", , "HH:mm", "yyyy-MM-dd HH:mm")', {}, "2026-07-08 07:08"),
        ('FormatDateTime("07:08", "NoCurrentDateDefault", "HH:mm", "yyyy-MM-dd")', {}, "0001-01-01"),
        ('FormatDateTime("5/6", , "d/M", "yyyy-MM-dd")', {}, "2026-06-05"),
        ('FormatDateTime("2024-05-06", , "yyyy-MM-dd", "yyyyy ddddd MMMMM HHH")', {}, "02024 Monday May 00"),
        ('FormatDateTime("2024-05-06T07:08:09.1234567", , "yyyy-MM-ddTHH:mm:ss.FFFFFFF", "fffffff")', {}, "1234567"),
        (
            'FormatDateTime("2024-05-06T07:08:09", , "yyyy-MM-ddTHH:mm:ss.FFFFFFF", "o")',
            {},
            "2024-05-06T07:08:09.0000000Z",
        ),
        ('FormatDateTime("5 05 2024", , "d dd yyyy", "dd")', {}, "05"),
        ('FormatDateTime("2024-05-06 +0130", , "yyyy-MM-dd zzz", "HH:mm")', {}, "22:30"),
        ('FormatDateTime("12/31/99 12 am", , "MM/dd/yy h tt", "r")', {}, "Fri, 31 Dec 1999 00:00:00 GMT"),
        ('FormatDateTime("2024-05-06", , "yyyy-MM-dd", "%d \\\\d \'d\' dd")', {}, "6 d d 06"),
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
        ('Replace([x], , [p], , "b")', "the pattern '(' cannot be used"),
        ('Replace([x], [none], , , "b")', "oldValue that is not empty"),
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
        ('FormatDateTime("2024-02-30", , "yyyy-MM-dd", "s")', "not a date that exists"),
        ('FormatDateTime("5 6 6", , "d d M", "s")', "two values for its day"),
        ('FormatDateTime("5/6/2024 T", , "d/M/yyyy t", "s")', "has not the format"),
        ('FormatDateTime("2024-01-01t", , "yyyy-MM-ddT", "s")', "has not the format"),
        ('FormatDateTime("123", , "dMM", "s")', "has not the format"),
        ('FormatDateTime("13 AM", , "HH tt", "s")', "not a date that exists"),
        ('FormatDateTime("2024", , "yyyy", "ffffffff")', "'ffffffff' is no specifier"),
        ('FormatDateTime("2024", , "yyyy", "\'open")', "quotation mark that is not closed"),
        ('CBool(CDate("2024-01-01") = "x")', "cannot be compared with a date"),
        ('CDate("2024-01-01T00:00:00+25:00")', "is not a date"),
        ("BitAnd(99999999999999999999, 1)", "must have 64 bits"),
        ("RandomString(3, 1, 1, 1, 1)", "RandomString has 4 (the sum of its minima) to 256 characters, not 3"),
        ("RandomString(257, 1, 1, 1, 1)", "to 256 characters, not 257"),
        ("RandomString(5, -1, 0, 0, 0)", "fewer than 0"),
        ('RandomString(5, 1, 0, 0, 0, "0123456789")', "leaves none for MinimumNumbers"),
        ('SelectUniqueValue("taken", [none])', "finds no free value; taken: taken"),
        ('ConvertFromBase64("?")', "no Unicode text in Base64"),
        ('ToLower([x], "no-such-culture")', "is not a culture"),
        ('Replace([many], , "a", , "b")', "texts of up to 20,000 characters"),
        ('Replace([x], , "(?<=a)(", , "b")', "a group is not closed"),
    ],
)
def test_what_cannot_be_evaluated_says_why(text: str, problem: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text).evaluate(
            {"x": "x", "p": "(", "square": "²", "long": "1" * 5000, "many": "a" * 20_001, ENVIRONMENT: HERE}
        )
    assert problem in str(caught.value)


def never() -> date:
    raise AssertionError("the text has a whole date")


@given(MOMENTS)
def test_a_date_is_read_back_as_it_was_written(moment: datetime) -> None:
    for form in (
        "o",
        "dddd, d MMMM yyyy h:mm:ss.ffffff tt",
        "yyyyMMddHHmmssffffff",
        "ddd dd MMM yyyy H:m:s.FFFFFF zzz",
    ):
        assert parse_exact(format_date(moment, form), form, "", never) == moment
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


@pytest.mark.parametrize(
    "text",
    [
        'Replace({0}, "a", , , "' + "a" * 40 + '")',
        'Replace({0}, , "a", , "' + "a" * 40 + '")',
        "ConvertToBase64({0})",
        "ConvertToUTF8Hex({0})",
        "Join({0}, [a], [a], [a], [a])",
        "Append({0}, Append({0}, {0}))",
    ],
)
def test_calls_inside_calls_cannot_fill_the_memory(text: str) -> None:
    whole = "[a]"
    while len(text.format(whole)) < 9000 and whole.count("(") < 90:
        whole = text.format(whole)
    with pytest.raises(EvaluationError, match=r"1,000,000|20,000"):
        compile_expression(whole).evaluate({"a": "a" * 10_000})


def test_functions_of_clock_and_chance_say_so_where_there_is_none() -> None:
    for text in ("Now()", "Guid()", "RandomString(1, 0, 0, 0, 0)", 'SelectUniqueValue("a", "b")'):
        with pytest.raises(EvaluationError, match="neither clock nor chance"):
            compile_expression(text).evaluate({})


def test_candidates_are_evaluated_one_after_the_other() -> None:
    compiled = compile_expression('SelectUniqueValue([a], "", Append([a], "2"), CDate("never"))')
    assert compiled.candidates is not None
    tried = compiled.candidates({"a": "x"})
    assert [next(tried), next(tried)] == ["x", "x2"]
    with pytest.raises(EvaluationError):
        next(tried)
    assert compile_expression("[a]").candidates is None


@given(
    st.integers(0, 256), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.randoms(use_true_random=False)
)
def test_a_random_string_has_what_is_asked_for(
    free: int, digits: int, special: int, capital: int, dice: Random
) -> None:
    least = digits + special + capital
    length = min(256, least + free)
    environment = Environment(HERE.now, dice.randrange)
    text = compile_expression(f'RandomString({length}, {digits}, {special}, {capital}, 0, "1lO0")').evaluate(
        {ENVIRONMENT: environment}
    )
    assert len(text) == length
    assert sum(character.isdigit() for character in text) >= digits
    assert sum(character.isascii() and character.isupper() for character in text) >= capital
    assert sum(not character.isalnum() for character in text) >= special
    assert not set(text) & set("1lO0")
