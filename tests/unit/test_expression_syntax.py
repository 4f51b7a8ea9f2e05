"""The grammar of the mapping language: what parses prints back to itself, what does not says where and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.expressions.compiler import compile_expression
from joiner.expressions.errors import (
    EvaluationError,
    ExpressionError,
    UnsupportedFunctionError,
)
from joiner.expressions.functions import FUNCTIONS, UNSUPPORTED
from joiner.expressions.syntax import (
    LONGEST,
    WORDS,
    Attribute,
    Call,
    Comparison,
    Constant,
    Node,
    Omitted,
    Word,
    parse,
    to_text,
)
from joiner.expressions.unknown_attributes import unknown_attributes

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in WORDS)
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.text(max_size=12).map(Constant),
    st.integers(-(10**9), 10**9).map(Constant),
    st.decimals(-(10**9), 10**9, places=3).map(Constant),
    st.from_regex(r"[^\[\]\"]{0,5}[A-Za-z]", fullmatch=True).map(Attribute),
    st.sampled_from(WORDS).map(Word),
)


def calls(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    arguments = st.lists(st.one_of(children, st.just(Omitted())), max_size=4).filter(
        lambda found: not (len(found) == 1 and isinstance(found[0], Omitted))
    )
    call = st.builds(lambda name, found: Call(name, tuple(found)), NAMES, arguments)
    comparison = st.builds(Comparison, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), LEAVES, call)
    return st.one_of(call, comparison)


TREES = st.recursive(LEAVES, calls, max_leaves=12)


@given(TREES)
def test_a_printed_tree_parses_to_an_equal_one(tree: Node) -> None:
    assert parse(to_text(tree)) == tree


@pytest.mark.parametrize(
    ("text", "problem", "position"),
    [
        ("Jion([a])", "unknown function 'Jion'; did you mean 'Join'?", 1),
        ("switch([a], , 1, 2)", "unknown function 'switch'; did you mean 'Switch'?", 1),
        ("Append([a])", "Append takes 2 arguments, not 1", 1),
        ("Append([a], )", "Append needs its argument 'suffix'", 13),
        ("Guid(1)", "Guid takes 0 arguments, not 1", 1),
        ("Append([a], Not(SelectUniqueValue([a], [b])))", "SelectUniqueValue must be the outermost function", 17),
        ("SelectUniqueValue([a])", "SelectUniqueValue takes 2 or more arguments, not 1", 1),
        ("DefaultDomain()", "the function 'DefaultDomain' of other services is not supported", 1),
        ("Switch([a], , 1)", "Switch takes a default and at least one pair", 1),
        ("Switch([a], , 1, 2, 3)", "Switch takes pairs of key and value after its default", 1),
        ("true", "unknown word 'true'; did you mean 'True'?", 1),
        ('Append([a], "x', "text without closing quotation mark", 13),
        ("Append([a, 1)", "attribute without closing bracket", 8),
        ("[a] [b]", "expected the end of the expression", 5),
        ("Not([a]", "expected ')'", 8),
        ("", "expected a function, [attribute], text or number, not the end", 1),
        ("Not(§)", "unexpected character", 5),
        ("Left([a], " + "1" * 5000 + ")", "a number may have 25 digits", 11),
        ("[]", "an attribute needs a name", 1),
        ("Not(" * 200 + "[a]" + ")" * 200, "calls are nested deeper", 405),
        ("[" + "a" * LONGEST + "]", "an expression may have 10,000 characters", LONGEST + 1),
    ],
)
@pytest.mark.req("REQ-P-015")
def test_what_is_wrong_is_told_with_its_place(text: str, problem: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert caught.value.problem.startswith(problem)
    assert caught.value.position + 1 == position


def test_a_caret_stands_below_the_place_also_on_the_second_line() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression('Join(" ",\n  [a], Nope([b]))')
    _, line, caret = str(caught.value).splitlines()
    assert line == "    [a], Nope([b]))"
    assert line[caret.index("^") :].startswith("Nope")


def test_only_what_is_needed_is_evaluated() -> None:
    text = 'Switch([a], Item([list], 9), "x", "found")'
    assert compile_expression(text).evaluate({"a": "x", "list": ["1"]}) == "found"
    with pytest.raises(EvaluationError, match="value 9 of 1"):
        compile_expression(text).evaluate({"a": "y", "list": ["1"]})


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_function_of_another_service_is_told_from_a_mistake(name: str) -> None:
    with pytest.raises(UnsupportedFunctionError):
        compile_expression(f"Append({name}([a]), [b])")
    assert name not in FUNCTIONS


@pytest.mark.parametrize(
    ("text", "problem", "position", "is_certain"),
    [
        ('Mid([a], "x", 1)', "start of Mid cannot be used: the constant must be a whole number, not 'x'", 9, True),
        ("Left([a], True)", "NumChars of Left cannot be used", 10, True),
        ('CDate("2023-02-30")', "expression of CDate cannot be used: the constant is not a date", 6, True),
        ('DateAdd("w", 1, [a])', "interval of DateAdd is one of yyyy, m, ww, d, h, n, s, not 'w'", 8, True),
        ('InStr([a], "b", 1, "vbtextcompare")', "compareType of InStr is one of", 19, True),
        ('ToLower([a], "xx-YY")', "culture of ToLower cannot be used: 'xx-YY' is not a culture", 13, True),
        ('IIF("maybe", 1, 2)', "condition of IIF cannot be used", 4, True),
        ('IIF([a] = 1, CDate("x"), 2)', "expression of CDate cannot be used", 19, False),
        ('Switch([a], CDate("x"), "k", "v")', "expression of CDate cannot be used", 18, False),
        ('Switch(CDate("x"), , "k", "v")', "expression of CDate cannot be used", 13, True),
        ('Append([a], Replace([x], "a"))', "Replace takes oldValue with", 12, True),
        ('Replace([x], "", , , "b")', "Replace needs an oldValue that is not empty", 0, True),
        ('Replace([x], , "(", , "b")', "the pattern '(' cannot be used", 0, True),
        ('Replace([x], , "(?<n>a)", "m", "b")', "the pattern has no group 'm'", 0, True),
        ('FormatDateTime([x], "Loosely", "d", "s")', "'Loosely' is not one of .NET's DateTimeStyles", 0, True),
        ('FormatDateTime([x], , "yyyy", "q")', "'q' is no standard format", 0, True),
        ('FormatDateTime([x], , "yyyy", )', "FormatDateTime needs an inputFormat and an outputFormat", 0, True),
    ],
)
def test_a_constant_that_cannot_be_used_is_a_caution_and_fails_only_when_it_is_evaluated(
    text: str, problem: str, position: int, is_certain: bool
) -> None:
    compiled = compile_expression(text)
    (caution,) = compiled.cautions
    assert caution.problem.startswith(problem)
    assert (caution.position, caution.is_certain) == (position, is_certain)
    attributes = {"a": "k", "x": "2024"}
    if is_certain:
        with pytest.raises(EvaluationError):
            compiled.evaluate(attributes)
    elif text.startswith("Switch"):
        assert compiled.evaluate(attributes) == "v"


def test_an_unknown_attribute_is_a_caution_with_the_name_that_it_resembles() -> None:
    tree = compile_expression('IIF([Mail] = "x", Append([surname], [x]), [mail])').tree
    assert [(caution.problem, caution.position) for caution in unknown_attributes(tree, ["mail", "surname"])] == [
        ("the source has no attribute 'Mail'; did you mean 'mail'?", 4),
        ("the source has no attribute 'x'", 36),
    ]


@given(TREES)
def test_the_span_of_every_part_holds_its_text(tree: Node) -> None:
    text = to_text(tree)

    def check(node: Node) -> None:
        start, end = node.span
        if isinstance(node, Omitted):
            assert start == end
            return
        assert parse(text[start:end]) == node
        for child in children(node):
            check(child)

    check(parse(text))


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Call(_, arguments):
            return arguments
        case Comparison(_, left, right):
            return (left, right)
        case _:
            return ()


def test_every_function_says_what_it_does_and_takes() -> None:
    for name, function in FUNCTIONS.items():
        assert name == function.name
        assert function.documentation.endswith(".")
        assert sum(body is not None for body in (function.eager, function.lazy, function.prepare)) == 1
        assert all(not text or text.endswith(".") for text in (function.when_null, function.limits))
        assert bool(function.when_null) is bool(function.parameters)
