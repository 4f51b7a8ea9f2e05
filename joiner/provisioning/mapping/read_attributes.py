"""Which attributes of the directory the mappings of a type read, and which of them may be shown. Pure."""

from collections.abc import Mapping

from joiner.expressions.compiler import compile_expression
from joiner.expressions.environment import ENVIRONMENT
from joiner.provisioning.mapping.plan import JobPlan, ObjectPlan


def attributes_read(plan: ObjectPlan) -> dict[str, bool]:
    """Name → whether only mappings read it whose values are hidden."""
    hidden: dict[str, bool] = {}
    for flow in plan.flows:
        if flow.expression:
            for name in compile_expression(flow.expression).attributes - {ENVIRONMENT}:
                hidden[name] = hidden.get(name, True) and flow.is_secret
    return hidden


def read_by(plan: JobPlan) -> Mapping[str, Mapping[str, bool]]:
    """As `attributes_read`, by object type."""
    return {each.object_type: attributes_read(each) for each in (plan.users, plan.groups) if each is not None}
