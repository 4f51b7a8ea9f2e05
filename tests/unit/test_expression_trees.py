"""Expressions as the trees of schema documents: both ways, and whether a tree and a text say the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from joiner.errors import InvalidValueError
from joiner.expressions.errors import ExpressionError
from joiner.expressions.source_tree import agrees, from_tree, to_tree
from joiner.expressions.syntax import parse

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "expression-vectors.json").read_text("utf-8")
)


def texts() -> list[str]:
    """The vectors' expressions that can be read."""
    found = []
    for vector in VECTORS:
        try:
            parse(vector["expression"])
        except ExpressionError:
            continue
        found.append(vector["expression"])
    return found


def keys(text: str) -> list[str]:
    return [parameter["key"] for parameter in to_tree(text)["parameters"]]


@pytest.mark.parametrize("text", texts())
def test_the_tree_of_every_vector_is_a_tree_of_its_text_and_gives_an_equal_one_back(text: str) -> None:
    tree = to_tree(text)
    assert tree["expression"] == text
    assert agrees(text, tree)
    assert agrees(from_tree(tree), tree)


def test_leaves_have_their_text_in_brackets_or_quotation_marks() -> None:
    assert to_tree("[mail]") == {"expression": "[mail]", "name": "mail", "type": "Attribute", "parameters": []}
    assert to_tree('"x"') == {"expression": '"x"', "name": "x", "type": "Constant", "parameters": []}


def test_a_number_becomes_a_constant_in_quotation_marks_below_a_text_that_keeps_it() -> None:
    tree = to_tree("Mid([userPrincipalName], 1, 8)")
    assert tree["expression"] == "Mid([userPrincipalName], 1, 8)"
    start = tree["parameters"][1]
    assert start == {
        "key": "start",
        "value": {"expression": '"1"', "name": "1", "type": "Constant", "parameters": []},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Append([a], "x")', ["source", "suffix"]),
        ('Join(" ", [a], [b], [c])', ["separator", "source", "source", "source"]),
        ('Switch([a], , "1", "2", "3", "4")', ["source", "switchValue", "switchValue", "switchValue", "switchValue"]),
        ('Switch([a], "d", "1", "2")', ["source", "defaultValue", "switchValue", "switchValue"]),
        ('Replace([a], "x", , , "y", , )', ["source", "Find", "Replacement"]),
        ('Replace([a], , "p", "g", "y", [b], "t")',
         ["source", "RegularExpression", "RegularExpressionGroupName", "Replacement", "ReplacementPropertyName",
          "Template"]),
        ('FormatDateTime([a], , "d", "D")', ["source", "inputFormat", "outputFormat"]),
        ('FormatDateTime([a], "d", "D")', ["source", "inputFormat", "outputFormat"]),
        ('Split([a], ",")', ["source", "delimiter"]),
        ("Not([a])", ["source"]),
        ("SingleAppRoleAssignment([appRoleAssignments])", ["source"]),
        ("AssertiveAppRoleAssignmentsComplex([appRoleAssignments])", ["source"]),
        ('IIF([a] = "b", "c", "d")', ["condition", "valueIfTrue", "valueIfFalse"]),
        ("Elsewhere([a], [b])", ["argument", "argument"]),
    ],
)  # fmt: skip
def test_parameters_have_the_keys_of_schema_documents_and_omitted_ones_no_entry(text: str, expected: list[str]) -> None:
    assert keys(text) == expected


def test_the_text_of_a_tree_puts_omitted_arguments_back_into_their_places() -> None:
    tree = to_tree('Replace([a], "x", , , "y")')
    assert from_tree(tree) == 'Replace([a], "x", , , "y")'
    assert from_tree(to_tree('Switch([a], , "1", "2")')) == 'Switch([a], , "1", "2")'
    assert from_tree(to_tree('IIF([a] = True, "c", "d")')) == 'IIF([a] = True, "c", "d")'


def test_keys_may_be_spelled_with_numbers_or_as_the_parameters_are_named() -> None:
    def leaf(name: str) -> dict[str, Any]:
        return {"name": name, "type": "Constant"}

    def call(name: str, *given: str) -> dict[str, Any]:
        parameters = [{"key": "source", "value": {"name": "a"}}, *({"key": key, "value": leaf(key)} for key in given)]
        return {"name": name, "type": "Function", "parameters": parameters}

    assert from_tree(call("Switch", "key1", "value1")) == 'Switch([a], , "key1", "value1")'
    assert from_tree(call("Replace", "oldValue", "replacementValue")) == (
        'Replace([a], "oldValue", , , "replacementValue")'
    )
    assert agrees('Switch([a], , "key1", "value1")', call("Switch", "key1", "value1"))


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("[a]", {"name": "b"}),
        ("[a]", {"type": "Constant"}),
        ('Append([a], "x")', {"name": "Join"}),
        ('Append([a], "x")', {"parameters": []}),
        ('Append([a], "x")', {"parameters": None}),
        ('Replace([a], "x", , , "y")', {"parameters": [
            {"key": "source", "value": {"name": "a"}},
            {"key": "Template", "value": {"type": "Constant", "name": "x"}},
            {"key": "Replacement", "value": {"type": "Constant", "name": "y"}},
        ]}),
    ],
)  # fmt: skip
def test_a_tree_that_says_something_else_does_not_agree(text: str, change: dict[str, Any]) -> None:
    assert agrees(text, to_tree(text))
    assert not agrees(text, {**to_tree(text), **change})


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({}, "has no name"),
        ({"name": "", "type": "Attribute"}, "has no name"),
        ({"name": "x", "type": "Variable"}, "'Variable' is not a type"),
        ({"name": "Append", "type": "Function", "parameters": [{"key": "prefix", "value": {"name": "a"}}]},
         "Append has no parameter 'prefix'"),
        ({"name": "Not", "type": "Function", "parameters": ["x"]}, "must be a list of key and value"),
        ({"name": "Not", "type": "Function", "parameters": [{"key": "source", "value": 5}]}, "must be an object"),
    ],
)  # fmt: skip
def test_a_tree_that_cannot_be_read_is_refused_naming_the_node(tree: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        from_tree(tree)
