"""What each mapping makes of one object: source values, steps of the expression, result, and the target's value.

Pure.
"""

from collections.abc import Mapping
from typing import Any

from joiner.errors import JoinerError
from joiner.expressions.compiler import compile_expression
from joiner.expressions.environment import ENVIRONMENT
from joiner.expressions.errors import IgnoreAttribute, IgnoreObject
from joiner.expressions.steps import Step, explain
from joiner.expressions.values import canonical_text
from joiner.provisioning.decisions.differences import differences
from joiner.provisioning.mapping.plan import REDACTED, AttributeFlow, ObjectPlan

Document = dict[str, Any]


def explain_flows(plan: ObjectPlan, values: Mapping[str, Any], resource: Mapping[str, Any] | None) -> list[Document]:
    """A document for each mapping, references left out. `resource`: what the target has, if known."""
    return [_explain(flow, values, resource) for flow in plan.flows]


def _explain(flow: AttributeFlow, values: Mapping[str, Any], resource: Mapping[str, Any] | None) -> Document:
    result, value, error = _evaluate(flow, values)
    document: Document = {
        "target": flow.target,
        "expression": flow.expression,
        "matchingPriority": flow.matching_priority,
        "appliesTo": "create and update" if flow.on_update else "create only",
        "default": shown(flow.default, flow),
        "sources": _sources(flow, values),
        "steps": _steps(flow, values),
        "result": result,
        "value": shown(value, flow),
        "error": "its value cannot be used" if error and flow.is_secret else error,
    }
    if resource is not None:
        document["inTarget"] = shown(flow.path.read(resource), flow)
        differs = result == "value" and value is not None and bool(differences([(flow, value)], resource))
        document["differs"] = differs and flow.on_update
    return document


def shown(value: Any, flow: AttributeFlow) -> Any:
    """The value as it may be shown."""
    if value is None:
        return None
    return REDACTED if flow.is_secret else for_json(value)


def for_json(value: Any) -> Any:
    """What JSON can say of a value of the mapping language."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): for_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [for_json(each) for each in value]
    return canonical_text(value)


def _evaluate(flow: AttributeFlow, values: Mapping[str, Any]) -> tuple[str, Any, str]:
    if flow.candidates is not None:
        return "unique", None, ""
    try:
        return "value", flow.evaluate(values), ""
    except IgnoreAttribute:
        return "ignore attribute", None, ""
    except IgnoreObject:
        return "ignore object", None, ""
    except JoinerError as error:
        return "error", None, str(error)


def _sources(flow: AttributeFlow, values: Mapping[str, Any]) -> Document:
    if not flow.expression:
        return {}
    names = compile_expression(flow.expression).attributes - {ENVIRONMENT}
    return {name: shown(values.get(name), flow) for name in sorted(names)}


def _steps(flow: AttributeFlow, values: Mapping[str, Any]) -> list[Document]:
    """The parts of an expression that is more than one attribute or constant; those of a secret are not shown."""
    if not flow.functions or flow.is_secret or flow.candidates is not None:
        return []
    return [_step(step) for step in explain(flow.expression, values)]


def _step(step: Step) -> Document:
    outcome = step.outcome
    return {
        "text": step.text,
        "depth": step.depth,
        "result": outcome.result,
        "value": for_json(outcome.value),
        "error": outcome.error or None,
    }
