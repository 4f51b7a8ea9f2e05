"""Tries an expression out: whether it can be read, its tree, and its value for test attributes (`parseExpression`)."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from joiner.errors import JoinerError
from joiner.expressions.compiler import Compiled, compile_expression
from joiner.expressions.environment import ENVIRONMENT, Environment
from joiner.expressions.errors import ExpressionError, IgnoreAttribute, IgnoreObject
from joiner.expressions.source_tree import to_tree
from joiner.expressions.values import canonical_text, single
from joiner.provisioning.mapping.coercion import COERCIONS
from joiner.provisioning.mapping.plan import ASSIGNMENTS
from joiner.provisioning.mapping.schema import AttributeDefinition


class Trial(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result; its members are those of Graph's `parseExpressionResponse`."""

    parsing_succeeded: bool
    evaluation_succeeded: bool
    evaluation_result: tuple[str, ...] = ()
    """The texts of the values; none for null."""
    parsed_expression: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


def try_expression(
    text: str,
    attributes: Mapping[str, Any] | None,
    sources: Mapping[str, AttributeDefinition],
    target: AttributeDefinition | None,
    environment: Environment,
) -> Trial:
    """`attributes` None: only read, not evaluated. `sources`: the source's attributes, whose types texts are read by:
    the text `false` of a Boolean is the value False. `target`: what the value is converted for."""
    try:
        compiled = compile_expression(text)
    except ExpressionError as error:
        return Trial(parsing_succeeded=False, evaluation_succeeded=False, error=_error("InvalidExpression", str(error)))
    tree = to_tree(text)
    if attributes is None:
        return Trial(parsing_succeeded=True, evaluation_succeeded=False, parsed_expression=tree)
    try:
        known = {name: typed(name, value, sources) for name, value in attributes.items()}
        values = _values(compiled, {**known, ENVIRONMENT: environment}, target)
    except JoinerError as error:
        told = _error("EvaluationFailed", str(error))
        return Trial(parsing_succeeded=True, evaluation_succeeded=False, parsed_expression=tree, error=told)
    return Trial(
        parsing_succeeded=True, evaluation_succeeded=True, evaluation_result=tuple(values), parsed_expression=tree
    )


def typed(name: str, value: Any, sources: Mapping[str, AttributeDefinition]) -> Any:
    """A test value as the engine has it: by the type that the source declares, roles as entries with a name."""
    if isinstance(value, list):
        return [typed(name, item, sources) for item in value]
    if name == ASSIGNMENTS and isinstance(value, str):
        return {"id": "", "value": value, "displayName": value}
    definition = sources.get(name)
    if definition is None or definition.type not in ("Boolean", "Integer") or not isinstance(value, str):
        return value
    try:
        return COERCIONS[definition.type](value)
    except JoinerError:
        return value


def _values(compiled: Compiled, attributes: Mapping[str, Any], target: AttributeDefinition | None) -> list[str]:
    try:
        value = compiled.evaluate(attributes)
    except (IgnoreAttribute, IgnoreObject):
        return []
    if target is not None and not target.multivalued:
        value = single(value)
    values = value if isinstance(value, list) else [value]
    present = [each for each in values if each is not None]
    if target is not None:
        present = [COERCIONS[target.type](each) for each in present]
    return [_shown(each) for each in present]


def _shown(value: Any) -> str:
    # Roles are objects; the answer is a list of texts.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else canonical_text(value)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "target": "expression", "details": [], "innerError": None}
