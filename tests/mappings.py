"""Schema documents with the mappings that a test is about, on the template's directories."""

from collections.abc import Mapping
from typing import Any

import orjson

from joiner.provisioning.job.templates import template_by_id
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import AttributeFlow, ObjectPlan
from joiner.provisioning.mapping.schema import parse_schema

ALVAO = template_by_id("alvaoScim").schema
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
FLOW_NULL = {"metadata": [{"key": "FlowNullValues", "value": "true"}]}
"""The mapping's own gate of clearing, opened."""


def document(*mappings: Mapping[str, Any], **definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The template with these user mappings beside the one that matches, and these target attributes."""
    schema: dict[str, Any] = orjson.loads(orjson.dumps(ALVAO))
    users = schema["synchronizationRules"][0]["objectMappings"][0]
    users["attributeMappings"] = [mapping("userName", "[userPrincipalName]", matchingPriority=1)]
    add_mappings(schema, *mappings, **definitions)
    return schema


def add_mappings(schema: Mapping[str, Any], *mappings: Mapping[str, Any], **definitions: Mapping[str, Any]) -> None:
    """Puts user mappings and target attributes into the document; those of the same name give way."""
    users = schema["synchronizationRules"][0]["objectMappings"][0]
    names = {each["targetAttributeName"] for each in mappings}
    users["attributeMappings"] = [
        *(each for each in users["attributeMappings"] if each["targetAttributeName"] not in names), *mappings
    ]  # fmt: skip
    target = schema["directories"][1]["objects"][0]
    others = [each for each in target["attributes"] if each["name"] not in definitions]
    target["attributes"] = [*others, *({"name": name, **more} for name, more in definitions.items())]


def open_gates(schema: Mapping[str, Any], *names: str) -> None:
    """Lets null values of these source attributes of users flow."""
    for attribute in schema["directories"][0]["objects"][0]["attributes"]:
        if attribute["name"] in names:
            attribute["flowNullValues"] = True


def mapping(target: str, expression: str | None, **more: Any) -> dict[str, Any]:
    source: dict[str, Any] | None = None
    if expression is not None:
        kind = "Attribute" if expression.startswith("[") else "Constant" if expression.startswith('"') else "Function"
        source = {"type": kind, "name": expression.strip('[]"'), "expression": expression}
    return {"targetAttributeName": target, "source": source, **more}


def users_of(schema: Mapping[str, Any]) -> ObjectPlan:
    plan = compile_plan(parse_schema(schema)).users
    assert plan is not None
    return plan


def values(plan: ObjectPlan, attributes: Mapping[str, Any], *, creating: bool = True, **more: Any) -> dict[str, Any]:
    """Target attribute → value, without the one that matches."""
    computed = plan.compute({"userPrincipalName": "a@x", **attributes}, creating=creating, **more)
    assert computed.errors == ()
    found = {flow.target: value for flow, value in computed.values}
    found.pop("userName", None)
    return found


def flow_of(plan: ObjectPlan, target: str) -> AttributeFlow:
    return next(flow for flow in (*plan.flows, *plan.references) if flow.target == target)
