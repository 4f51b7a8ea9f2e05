"""Patterns mean what .NET says they mean, on whichever engine they run, and none of them takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.expressions.compiler import compile_expression
from joiner.expressions.errors import EvaluationError
from joiner.expressions.pattern_dialect import PatternError, translate
from joiner.expressions.patterns import Pattern, compile_pattern
from joiner.expressions.syntax import Call, Constant, Omitted, to_text
from tests.fuzzing import check_sendable


def found(pattern: str, text: str) -> list[str]:
    return [match[0] for match in compile_pattern(pattern).matches(text)]


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        (r"(?<cc>\+\d+) (?'rest'.*)", "+47 12 34", ["+47 12 34"]),
        (r"a+?", "aaa", ["a", "a", "a"]),
        (r"(?i)ab(?-i)C", "ABC abc aBC", ["ABC", "aBC"]),
        (r"a(?i)b|c", "aB C", ["aB", "C"]),
        (r"(?i:a)b", "Ab AB", ["Ab"]),
        (r"(?x) a  b # a comment", "ab", ["ab"]),
        (r"(?n)(a)(?<kept>b)", "ab", ["ab"]),
        (r"a(?#comment)b", "ab", ["ab"]),
        (r"[\w.\-\[\]]+", "a.b-[c] d", ["a.b-[c]", "d"]),
        (r"[]x]+", "]x", ["]x"]),
        (r"[^\W\d]+", "ab1é", ["ab", "é"]),
        (r"[\S]+", "a b\u00a0c", ["a", "b", "c"]),
        (r"\d+", "1٣a", ["1٣"]),
        (r"\w+", "é_1 x", ["é_1", "x"]),
        (r"a\sb", "a\u00a0b a\x0bb", ["a\u00a0b", "a\x0bb"]),
        (r"\bé\b", "é aé", ["é"]),
        (r"\x41\u00e9\t\cA\e\07", "Aé\t\x01\x1b\x07", ["Aé\t\x01\x1b\x07"]),
        (r"b$", "ab\n", ["b"]),
        (r"b\Z", "b\n", ["b"]),
        (r"b\z", "b\n", []),
        (r"(?m)^a$", "a\nb\na", ["a", "a"]),
        (r".", "a\n", ["a"]),
        (r"(?s).+", "a\nb", ["a\nb"]),
        (r"a{2}{", "aa{", ["aa{"]),
        (r"a{,2}", "a{,2}", ["a{,2}"]),
        (r"\p{Lu}\P{Lu}", "aAb", ["Ab"]),
        (r"\p{IsCyrillic}+", "ab\u0436\u0437", ["\u0436\u0437"]),
        (r"(?<=@)\w+(?=\.)", "me@site.org", ["site"]),
        (r"(?<!x)y(?!z)", "xy yz y", ["y"]),
        (r"(\w)\1", "aab", ["aa"]),
        (r"(?<q>['\"]).*?\k<q>", "say 'a\"b'", ["'a\"b'"]),
        (r"(?<n>a)(b)\1", "abb aba", ["abb"]),
        (r"(a)?(?(1)b|c)", "ab c", ["ab", "c"]),
        (r"(?>a+)b", "aab", ["aab"]),
        (r"[a-z-[aeiou]]+", "hello", ["h", "ll"]),
        (r"a{1001}", "a" * 1001, ["a" * 1001]),
        (r"[a-z]*", "a1", ["a", "", ""]),
        (r"\#\ \&\-\/", "# &-/", ["# &-/"]),
    ],
)
def test_a_pattern_finds_what_dotnet_finds(pattern: str, text: str, wanted: list[str]) -> None:
    assert found(pattern, text) == wanted


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (r"(a)(?<n>b)(c)", {"0": (0,), "1": (1,), "2": (3,), "3": (2,), "n": (2,)}),
        (r"(?<n>a)|(?<n>b)", {"0": (0,), "1": (1, 2), "n": (1, 2)}),
        (r"(?<2>a)(b)(c)", {"0": (0,), "1": (2,), "2": (1,), "3": (3,)}),
        (r"(?n)(a)(?:b)", {"0": (0,)}),
    ],
)
def test_groups_are_numbered_as_in_dotnet(pattern: str, groups: dict[str, tuple[int, ...]]) -> None:
    assert translate(pattern).groups == groups


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a", "a group is not closed"),
        ("a)", "a bracket is closed that was not opened"),
        ("[a", "a class is not closed"),
        ("[z-a]", "the range z-a is the wrong way round"),
        ("*a", "follows nothing that could be repeated"),
        ("a++", "a quantifier follows another one"),
        ("a{1}{2}", "a quantifier follows another one"),
        ("\\", "it ends with a backslash"),
        ("\\y", "\\y is no escape"),
        ("\\1", "it has no group '1'"),
        ("\\k<n>", "it has no group 'n'"),
        ("\\p{Latin}", "there is no class {Latin}"),
        ("(?<a-b>c)", "this kind of group is not supported"),
        ("(?#", "a comment is not closed"),
        ("(?=" * 2000 + ")" * 2000, "nested too deep"),
        ("[a-" * 2000, "nested too deep"),
    ],
)
def test_a_pattern_that_dotnet_would_not_take_is_refused_with_the_reason(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert problem in str(caught.value)


@pytest.mark.parametrize("pattern", [r"(\w+)@(\w+)", r"^\s*(.*?)\s*$", r"[^a-z\d]+", r"(?<a>x)|y"])
def test_an_ordinary_pattern_runs_on_re2(pattern: str) -> None:
    assert translate(pattern).fast is not None


@given(
    st.text(alphabet="ab1 _-@.éß\n", max_size=12),
    st.sampled_from([r"(\w+)", r"\s+|$", r"(?i)[^aé]b?", r"\b\w", r"(a|b)*?-"]),
)
def test_both_engines_find_the_same(text: str, pattern: str) -> None:
    both = Pattern(pattern)
    exact = Pattern(f"(?=){pattern}")
    assert [match.span() for match in both.matches(text)] == [match.span() for match in exact.matches(text)]


@given(st.text(alphabet="ab(?<>=!:)[]{}*+|^$\\.-1dwkps,i#x'", max_size=24), st.text(alphabet="ab1-\n", max_size=8))
def test_no_pattern_fails_in_any_other_way(pattern: str, text: str) -> None:
    try:
        compiled = compile_pattern(pattern)
        found, first = compiled.matches(text), compiled.search(text)
    except (PatternError, EvaluationError) as error:
        check_sendable(error)
    else:
        assert [match.span() for match in found[:1]] == ([first.span()] if first else [])


def test_a_pattern_that_runs_wild_is_stopped() -> None:
    wild = compile_pattern(r"(?=a)(a|aa)+\1$")
    with pytest.raises(EvaluationError, match="takes too long on this value"):
        list(wild.matches("a" * 200 + "b"))
    with pytest.raises(EvaluationError, match="takes too long on this value"):
        wild.search("a" * 200 + "b")


def test_a_linear_pattern_is_answered_even_where_the_other_engine_gives_up() -> None:
    both = compile_pattern(r"\b(a|aa)+b$")
    assert both.is_linear
    assert both.search("é " + "a" * 200 + "\n") is None
    assert both.matches("é " + "a" * 200 + "\n") == []


def test_the_whole_text_can_be_asked_for() -> None:
    for pattern in ("a+|b", "(?=)(?:a+|b)"):
        assert compile_pattern(pattern).fullmatch("aa")
        assert compile_pattern(pattern).fullmatch("ab") is None


def test_half_a_surrogate_pair_can_be_searched() -> None:
    assert found("a+", "\ud800aa") == ["aa"]


@pytest.mark.parametrize(
    ("source", "pattern", "group", "replacement", "wanted"),
    [
        ("a-b", "(?<x>a)-(b)", None, "$1$2${x}${1}", "baab"),
        ("ab", "a", None, "$$ $& $` $' $_", "$ a  b abb"),
        ("abc", "(a)(b)", None, "[$+]", "[b]c"),
        ("ab", "a", None, "$1 ${no} $", "$1 ${no} $b"),
        ("a1", "(a)|(1)", None, "<$1$2>", "<a><1>"),
        ("aXbX", "[ab](?<x>X)", "x", "-", "a-b-"),
        ("aXbX", "[ab](X)", "1", "-", "a-b-"),
        ("ab", "(?<n>a)|(?<n>b)", "n", "-", "--"),
        ("me@site.org", "(?<=@).*", None, "", "me@"),
    ],
)
def test_replacements(source: str, pattern: str, group: str | None, replacement: str, wanted: str) -> None:
    named = Omitted() if group is None else Constant(group)
    call = Call("Replace", (Constant(source), Omitted(), Constant(pattern), named, Constant(replacement)))
    assert compile_expression(to_text(call)).evaluate({}) == wanted
