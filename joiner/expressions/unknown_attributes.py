"""Attributes that an expression names and the source does not have: worth a warning, for they are null (D-11)."""

from collections.abc import Collection, Iterator

from joiner.expressions.errors import Caution, hint
from joiner.expressions.syntax import Attribute, Call, Comparison, Node


def unknown_attributes(tree: Node, known: Collection[str]) -> Iterator[Caution]:
    """In the order of the text, each with the known name that it resembles. Names are case-sensitive."""
    match tree:
        case Attribute(name) if name not in known:
            yield Caution(f"the source has no attribute '{name}'{hint(name, known)}", tree.span[0])
        case Comparison(_, left, right):
            yield from unknown_attributes(left, known)
            yield from unknown_attributes(right, known)
        case Call(_, arguments):
            for argument in arguments:
                yield from unknown_attributes(argument, known)
