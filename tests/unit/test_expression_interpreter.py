"""What is compiled gives what the plain interpreter gives, for any expression and any object."""

from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from joiner.expressions.compiler import compile_expression
from joiner.expressions.errors import EvaluationError, IgnoreAttribute
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.syntax import Attribute, Call, Comparison, Constant, Node, Omitted, Word, to_text
from tests import expression_interpreter
from tests.expression_interpreter import Failed, Ignored, interpret

TEXTS = st.sampled_from(["", " ", "a", "B c", "True", "false", "0", "1", "-2", "12"])
VALUES = st.one_of(st.none(), TEXTS, st.booleans(), st.integers(-3, 12), st.lists(TEXTS, max_size=3))
OBJECTS = st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES)
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.sampled_from(["x", "y", "z"]).map(Attribute),
    TEXTS.map(Constant),
    st.integers(-3, 12).map(Constant),
    st.sampled_from(["True", "False", "IgnoreAttributeFlow"]).map(Word),
)
OPERATORS = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])


def calls(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    fixed = [
        st.tuples(*[children] * len(FUNCTIONS[name].parameters)).map(partial(Call, name))
        for name in sorted(expression_interpreter.FUNCTIONS)
        if name not in ("Join", "ToLower")
    ]
    pairs = st.lists(st.tuples(children, children), min_size=1, max_size=2)
    default = st.one_of(children, st.just(Omitted()))
    return st.one_of(
        *fixed,
        children.map(lambda child: Call("ToLower", (child,))),
        st.lists(children, min_size=2, max_size=4).map(lambda found: Call("Join", tuple(found))),
        st.lists(children, min_size=1, max_size=3).map(lambda found: Call("Coalesce", tuple(found))),
        st.tuples(children, children, children).map(lambda found: Call("IIF", found)),
        st.builds(
            lambda source, other, cases: Call("Switch", (source, other, *(node for case in cases for node in case))),
            *(children, default, pairs),
        ),
        st.builds(Comparison, OPERATORS, LEAVES, children.filter(lambda node: not isinstance(node, Comparison))),
    )


def outcome(evaluate: Any) -> Any:
    try:
        value = evaluate()
    except (EvaluationError, Failed):
        return "failed"
    except (IgnoreAttribute, Ignored):
        return "ignored"
    return (type(value), value)


@settings(max_examples=500)
@given(st.recursive(LEAVES, calls, max_leaves=12), OBJECTS)
def test_what_is_compiled_gives_what_is_interpreted(tree: Node, attributes: dict[str, Any]) -> None:
    compiled = compile_expression(to_text(tree))
    assert outcome(lambda: compiled.evaluate(attributes)) == outcome(lambda: interpret(tree, attributes))
