"""The schema of an inbound job, compiled once per version: how a SCIM user is read, and what the directory gets of it.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joiner.expressions.values import canonical_text
from joiner.provisioning.document.unsupported import carried_out
from joiner.provisioning.mapping.coercion import COERCIONS, CoercionError
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.mapping.schema import AttributeDefinition, AttributeType, SchemaError, parse_schema
from joiner.provisioning.mapping.target_path import TargetPath, compile_path

ENABLED = "accountEnabled"
MANAGER = "manager"


@dataclass(frozen=True, slots=True)
class SourceAttribute:
    """One attribute that mappings may read."""

    name: str
    path: TargetPath
    type: AttributeType


@dataclass(frozen=True, slots=True)
class InboundPlan:
    """What an import works by."""

    users: ObjectPlan
    anchor: str
    """The source's attribute that tells its users apart, and by which managers are named."""
    attributes: tuple[SourceAttribute, ...]

    def read(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a SCIM user by the names that mappings use; None for what it does not have."""
        return {each.name: _typed(each, each.path.read(resource)) for each in self.attributes}

    def anchor_of(self, attributes: Mapping[str, Any]) -> str:
        """The id that the source gives to the user, '' if it has none."""
        value = attributes.get(self.anchor)
        return "" if value is None or isinstance(value, dict | list) else canonical_text(value)

    def names_no_manager(self, resource: Mapping[str, Any]) -> bool:
        """The resource has a manager without a value: it says that there is none, instead of saying nothing."""
        return any(
            each.path.read(resource) is None and _is_present(each.path, resource)
            for each in self.attributes
            if each.name in {flow.source_attribute for flow in self.users.references}
        )


def compile_inbound(document: Mapping[str, Any]) -> InboundPlan:
    """Raises SchemaError with everything that is wrong."""
    schema = carried_out(parse_schema(document))
    users = compile_plan(schema).users
    if users is None or not users.enabled:
        raise SchemaError(["synchronizationRules: no mapping has users as its source"])
    rule = min(schema.synchronization_rules, key=lambda each: each.priority)
    source = schema.object_definition(rule.source_directory_name, "User")
    definitions = source.attributes if source is not None else ()
    anchors = [each.name for each in definitions if each.anchor]
    if len(anchors) != 1:
        raise SchemaError([f"directories: the users of '{rule.source_directory_name}' must have exactly one anchor"])
    if any(flow.target != MANAGER for flow in users.references):
        raise SchemaError(["synchronizationRules: the only reference that users of the directory have is 'manager'"])
    return InboundPlan(users, anchors[0], tuple(_attribute(each) for each in definitions))


def _attribute(definition: AttributeDefinition) -> SourceAttribute:
    return SourceAttribute(definition.name, compile_path(definition.name), definition.type)


def _typed(attribute: SourceAttribute, value: Any) -> Any:
    """Booleans as such: clients send them as text too (T3), which expressions compare as it stands."""
    if value is None or attribute.type != "Boolean":
        return value
    try:
        return COERCIONS["Boolean"](value)
    except CoercionError:
        return value


def _is_present(path: TargetPath, resource: Mapping[str, Any]) -> bool:
    holder: Any = resource
    for name in (path.extension, path.attribute) if path.extension else (path.attribute,):
        folded = {key.lower(): value for key, value in holder.items()} if isinstance(holder, Mapping) else {}
        if name.lower() not in folded:
            return False
        holder = folded[name.lower()]
    return True
