"""The grammar of the mapping language: what parses prints back to itself, what does not says where and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.expressions.compiler import compile_expression
from joiner.expressions.errors import EvaluationError, ExpressionError, IgnoreAttribute, IgnoreObject
from joiner.expressions.functions import FUNCTIONS
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

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in WORDS)
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.text(max_size=12).map(Constant),
    st.integers(-(10**9), 10**9).map(Constant),
    st.from_regex(r"[^\[\]\"]{0,5}[A-Za-z]", fullmatch=True).map(Attribute),
    st.sampled_from(WORDS).map(Word),
)


def calls(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    arguments = st.lists(st.one_of(children, st.just(Omitted())), max_size=4).filter(
        lambda found: not (len(found) == 1 and isinstance(found[0], Omitted))
    )
    call = st.builds(lambda name, found: Call(name, tuple(found), 0), NAMES, arguments)
    comparison = st.builds(Comparison, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), LEAVES, call)
    return st.one_of(call, comparison)


TREES = st.recursive(LEAVES, calls, max_leaves=12)


def without_positions(node: Node) -> Node:
    match node:
        case Call(name, arguments, _):
            return Call(name, tuple(without_positions(argument) for argument in arguments), 0)
        case Comparison(operator, left, right):
            return Comparison(operator, without_positions(left), without_positions(right))
        case _:
            return node


@given(TREES)
def test_a_printed_tree_parses_to_an_equal_one(tree: Node) -> None:
    assert without_positions(parse(to_text(tree))) == without_positions(tree)


@given(st.text(alphabet='[]()",\\<>=ab1 &H-.', max_size=40))
def test_no_text_makes_the_parser_fail_in_any_other_way(text: str) -> None:
    try:
        compiled = compile_expression(text)
    except ExpressionError:
        return
    try:
        compiled.evaluate({"a": "1", "b": None})
    except (EvaluationError, IgnoreAttribute, IgnoreObject):
        return


@pytest.mark.parametrize(
    ("text", "problem", "position"),
    [
        ("Jion([a])", "unknown function 'Jion'; did you mean 'Join'?", 1),
        ("switch([a], , 1, 2)", "unknown function 'switch'; did you mean 'Switch'?", 1),
        ("Append([a])", "Append takes 2 arguments, not 1", 1),
        ("Append([a], )", "Append needs its argument 'suffix'", 1),
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


def test_every_function_says_what_it_does_and_takes() -> None:
    for name, function in FUNCTIONS.items():
        assert name == function.name
        assert function.documentation.endswith(".")
        assert sum(body is not None for body in (function.eager, function.lazy, function.prepare)) == 1
        assert len({parameter.name for parameter in function.parameters}) == len(function.parameters)
