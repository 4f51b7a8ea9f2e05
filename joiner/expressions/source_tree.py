"""Expressions as the trees of schema documents (`attributeMappingSource`): from text to tree and back.

A node is `{expression, name, type, parameters}`; the text is the truth, the tree a view of it (attribute mapping §1).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from joiner.errors import InvalidValueError
from joiner.expressions.errors import ExpressionError
from joiner.expressions.functions import FUNCTIONS
from joiner.expressions.syntax import (
    COMPARATORS,
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
from joiner.expressions.values import canonical_text

Tree = Mapping[str, Any]

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "AppRoleAssignmentsComplex": ("source",),
    "AssertiveAppRoleAssignmentsComplex": ("source",),
    "Join": ("separator", "source"),
    "Replace": (
        "source",
        "Find",
        "RegularExpression",
        "RegularExpressionGroupName",
        "Replacement",
        "ReplacementPropertyName",
        "Template",
    ),
    "SingleAppRoleAssignment": ("source",),
    "Switch": ("source", "defaultValue", "switchValue"),
}
"""Function → keys of its arguments, where documents do not use the parameters' names. The last one repeats."""
OTHER_SPELLINGS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("Switch", "switchValue"): frozenset({"key", "value"}),
}
"""(function, key) → what other documents write for it, without the numbers that they put behind it."""
COMPARED: Final = ("left", "right")
"""Keys of a comparison, whose name is the comparator: nothing documents its tree."""
UNKNOWN: Final = "argument"
"""Key of the arguments of a function that is not known."""


def to_tree(text: str) -> dict[str, Any]:
    """The tree of an expression; its root keeps the text as it is. Raises ExpressionError."""
    return {**_tree(parse(text)), "expression": text}


def from_tree(tree: Tree) -> str:
    """The text of a tree, whatever its `expression` members say. Raises InvalidValueError naming the node."""
    return to_text(_node(tree))


def agrees(text: str, tree: Tree) -> bool:
    """Whether the tree is one of this expression. Keys may be spelled as other documents do.

    Raises ExpressionError if the text cannot be read.
    """
    return _is_tree_of(tree, parse(text))


def _tree(node: Node) -> dict[str, Any]:
    match node:
        case Attribute(name):
            return _leaf(f"[{name}]", name, "Attribute")
        case Constant(value):
            # Numbers are texts in a tree: `"1"` with quotation marks.
            text = canonical_text(value)
            return _leaf(to_text(Constant(text)), text, "Constant")
        case Word(name):
            return _leaf(name, name, "Constant")
        case Comparison(operator, left, right):
            arguments = list(zip(COMPARED, (left, right), strict=True))
            return {**_leaf(to_text(node), operator, "Function"), "parameters": _parameters(arguments)}
        case Call(name, arguments, _):
            return {**_leaf(to_text(node), name, "Function"), "parameters": _parameters(_keyed(name, arguments))}
        case Omitted():
            raise AssertionError("an omitted argument has no tree")


def _leaf(expression: str, name: str, kind: str) -> dict[str, Any]:
    return {"expression": expression, "name": name, "type": kind, "parameters": []}


def _parameters(arguments: list[tuple[str, Node]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _tree(argument)} for key, argument in arguments]


def _keyed(name: str, arguments: tuple[Node, ...]) -> list[tuple[str, Node]]:
    """The arguments that are there, each with its key; omitted ones have no entry."""
    pairs = zip(_keys(name, len(arguments)), arguments, strict=False)
    return [(key, argument) for key, argument in pairs if not isinstance(argument, Omitted)]


def _keys(name: str, number: int) -> Iterator[str]:
    """The keys of a call with so many arguments, in their order; more than those for what repeats."""
    if name == "FormatDateTime" and number == 3:
        # The legacy form has no dateTimeStyles (D-19).
        yield from ("source", "inputFormat", "outputFormat")
        return
    keys = _own_keys(name)
    yield from keys
    while True:
        yield keys[-1]


def _own_keys(name: str) -> tuple[str, ...]:
    function = FUNCTIONS.get(name)
    if name in KEYS:
        return KEYS[name]
    parameters = function.parameters if function is not None else ()
    return tuple(parameter.name for parameter in parameters) or (UNKNOWN,)


def _spellings(name: str, position: int) -> frozenset[str]:
    """What the key of an argument may be called, folded."""
    keys = _own_keys(name)
    key = keys[min(position, len(keys) - 1)]
    function = FUNCTIONS.get(name)
    parameters = function.parameters if function is not None else ()
    own = {parameters[min(position, len(parameters) - 1)].name} if parameters else set()
    return frozenset(_folded(spelling) for spelling in {key, *own, *OTHER_SPELLINGS.get((name, key), ())})


def _folded(key: str) -> str:
    return key.lower().rstrip("0123456789")


def _is_tree_of(tree: Any, node: Node) -> bool:
    if not isinstance(tree, Mapping):
        return False
    kind, name = tree.get("type") or "Attribute", tree.get("name")
    match node:
        case Attribute(wanted):
            return bool(kind == "Attribute" and name == wanted)
        case Constant(value):
            return bool(kind == "Constant" and name == canonical_text(value))
        case Word(wanted):
            return bool(kind == "Constant" and name == wanted)
        case Comparison(operator, left, right):
            return kind == "Function" and name == operator and _are_trees_of(tree, [left, right])
        case Call(wanted, arguments, _):
            given = [(n, argument) for n, argument in enumerate(arguments) if not isinstance(argument, Omitted)]
            if kind != "Function" or name != wanted or not _are_trees_of(tree, [argument for _, argument in given]):
                return False
            return wanted not in FUNCTIONS or _have_their_keys(tree, wanted, [n for n, _ in given], len(arguments))
        case Omitted():
            return False


def _are_trees_of(tree: Tree, nodes: list[Node]) -> bool:
    parameters = tree.get("parameters") or []
    if not isinstance(parameters, list) or len(parameters) != len(nodes):
        return False
    pairs = zip(parameters, nodes, strict=True)
    return all(isinstance(item, Mapping) and _is_tree_of(item.get("value"), node) for item, node in pairs)


def _have_their_keys(tree: Tree, name: str, positions: list[int], number: int) -> bool:
    """A key tells which arguments are omitted, so each must be that of its place."""
    legacy = list(_keys(name, number)) if name == "FormatDateTime" and number == 3 else None
    for parameter, position in zip(tree.get("parameters") or [], positions, strict=True):
        key = parameter.get("key")
        allowed = _spellings(name, position) if legacy is None else {_folded(legacy[position])}
        if not isinstance(key, str) or _folded(key) not in allowed:
            return False
    return True


def _node(tree: Any) -> Node:
    if not isinstance(tree, Mapping):
        raise InvalidValueError("a node of the tree must be an object")
    kind, name = tree.get("type") or "Attribute", tree.get("name")
    if not isinstance(name, str) or (kind != "Constant" and not name):
        raise InvalidValueError("a node of the tree has no name")
    if kind == "Attribute":
        return Attribute(name)
    if kind == "Constant":
        return _constant(tree, name)
    if kind != "Function":
        raise InvalidValueError(f"'{kind}' is not a type of node; there are Attribute, Constant and Function")
    parameters = tree.get("parameters") or []
    if not isinstance(parameters, list) or not all(isinstance(item, Mapping) for item in parameters):
        raise InvalidValueError(f"the parameters of {name} must be a list of key and value")
    if name in COMPARATORS and len(parameters) == len(COMPARED):
        left, right = (_node(item.get("value")) for item in parameters)
        return Comparison(name, left, right)
    return Call(name, _arguments(name, parameters))


def _constant(tree: Tree, name: str) -> Node:
    """A word such as `True` or a number keeps its form if the node's own text has it; everything else is a text."""
    try:
        written = parse(str(tree.get("expression") or ""))
    except ExpressionError:
        return Constant(name)
    return written if isinstance(written, Word) and written.name == name else Constant(name)


def _arguments(name: str, parameters: list[Any]) -> tuple[Node, ...]:
    """The arguments in their places; places without a parameter are omitted ones."""
    function = FUNCTIONS.get(name)
    if function is None:
        return tuple(_node(item.get("value")) for item in parameters)
    repeats = any(parameter.repeats for parameter in function.parameters)
    most = len(_own_keys(name)) + (len(parameters) if repeats else 0)
    places: dict[int, Node] = {}
    for item in parameters:
        key = str(item.get("key"))
        free = (n for n in range(most) if n not in places and _folded(key) in _spellings(name, n))
        place = next(free, None)
        if place is None:
            raise InvalidValueError(f"{name} has no parameter '{key}', or fewer of them")
        places[place] = _node(item.get("value"))
    return tuple(places.get(n, Omitted()) for n in range(max(places, default=-1) + 1))
