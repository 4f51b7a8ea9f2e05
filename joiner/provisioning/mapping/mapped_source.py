"""The source side of a mapping, compiled: from an object's attributes to a value of the target attribute's type.

Pure. The rules are those of attribute mapping §1 (trees and texts), §2 (guests) and §5 (types).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from joiner.errors import InvalidValueError
from joiner.expressions.compiler import Candidates, Compiled, compile_attribute, compile_expression
from joiner.expressions.errors import ExpressionError, with_caret
from joiner.expressions.function import Evaluate
from joiner.expressions.syntax import Attribute, Constant, to_text
from joiner.expressions.values import single
from joiner.provisioning.mapping.coercion import COERCIONS
from joiner.provisioning.mapping.schema import AttributeDefinition, AttributeMapping

NAME: Final = "userPrincipalName"
RAW_NAME: Final = "originalUserPrincipalName"
GUEST_MARK: Final = "#EXT#"
T = TypeVar("T")


def compile_source(item: AttributeMapping) -> Compiled:
    """That of kind None is its default. The text wins over the tree if it can be read (D-01).

    Raises ExpressionError or InvalidValueError.
    """
    source = item.source
    if source is None:
        return _constant(item.default_value)
    if source.expression:
        try:
            compiled = compile_expression(source.expression)
            _refuse_certain(compiled)
            return compiled
        except ExpressionError:
            if source.type == "Function":
                raise
    if source.type == "Constant" and source.name is not None:
        return _constant(source.name)
    if source.type == "Attribute" and source.name:
        return compile_attribute(source.name)
    raise InvalidValueError("there is no expression" if source.type == "Function" else "there is no name")


def evaluation_of(source: Compiled, definition: AttributeDefinition) -> Evaluate:
    """What a flow evaluates for each object. Raises EvaluationError, CoercionError, IgnoreAttribute, IgnoreObject."""
    return _typed(_with_guest_names(source, source.evaluate), definition)


def copied_text(source: Compiled, definition: AttributeDefinition) -> str:
    """See `AttributeFlow.copied_text`."""
    if not isinstance(source.tree, Attribute) or definition.type != "String" or definition.multivalued:
        return ""
    return "" if source.tree.name in (NAME, RAW_NAME) else source.tree.name


def candidates_of(source: Compiled) -> Candidates | None:
    """What a flow draws the values from that no other target object may have; None: any value will do."""
    return None if source.candidates is None else _with_guest_names(source, source.candidates)


def filtering(source: Compiled) -> Evaluate:
    """Evaluates for the sake of IgnoreObject alone; there is no value."""
    evaluate = _with_guest_names(source, source.evaluate)

    def nothing(attributes: Mapping[str, Any]) -> None:
        evaluate(attributes)

    return nothing


def coerced(value: Any, definition: AttributeDefinition) -> Any:
    """A value that is the same for all objects. Raises CoercionError."""
    return _typed(lambda attributes: value, definition)({})


def _refuse_certain(source: Compiled) -> None:
    """Raises InvalidValueError for an expression that compiles and that can be evaluated for no object."""
    for caution in source.cautions:
        if caution.is_certain:
            raise InvalidValueError(with_caret(caution.problem, source.text, caution.position))


def _constant(text: str | None) -> Compiled:
    tree = Constant(text or "")
    return Compiled(to_text(tree), tree, frozenset(), frozenset(), lambda attributes: text)


def _with_guest_names(source: Compiled, asked: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
    """`asked` with the names that guests are exported and matched by: `alias_domain#EXT#@tenant` is `alias@domain`, and
    the name as it stands is the attribute originalUserPrincipalName (REQ-P-019)."""
    if not source.attributes & {NAME, RAW_NAME}:
        return asked
    reads_raw = RAW_NAME in source.attributes

    def exported(attributes: Mapping[str, Any]) -> T:
        name = attributes.get(NAME)
        if isinstance(name, str) and GUEST_MARK in name:
            return asked({**attributes, NAME: _guest_name(name), RAW_NAME: name})
        return asked({**attributes, RAW_NAME: name} if reads_raw else attributes)

    return exported


def _guest_name(name: str) -> str:
    alias, _, domain = name.partition(GUEST_MARK)[0].rpartition("_")
    return f"{alias}@{domain}" if alias else name


def _typed(evaluate: Evaluate, definition: AttributeDefinition) -> Evaluate:
    if definition.type == "Reference":
        # Ids of source objects, translated in a phase of their own.
        return evaluate
    coerce = COERCIONS[definition.type]
    if definition.multivalued:

        def several(attributes: Mapping[str, Any]) -> Any:
            value = evaluate(attributes)
            items = value if isinstance(value, list) else [value]
            return [coerce(item) for item in items if item is not None] or None

        return several

    def one(attributes: Mapping[str, Any]) -> Any:
        value = single(evaluate(attributes))
        return None if value is None else coerce(value)

    return one
