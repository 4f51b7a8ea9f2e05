"""The synchronizationSchema document as typed values: directories with their attributes, rules with their mappings.

Reading takes the defaults of the Graph resource types; what this version does not know stays in the stored document,
which is the truth — these values are a view of it.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from joiner.errors import InvalidValueError

AttributeType = Literal["String", "Integer", "Reference", "Binary", "Boolean", "DateTime"]
FlowType = Literal["Always", "ObjectAddOnly", "MultiValueAddOnly", "ValueAddOnly", "AttributeAddOnly"]


class SchemaError(InvalidValueError):
    """The document cannot be used. Lists every problem with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the synchronization schema cannot be used:\n  " + "\n  ".join(problems))
        self.problems = problems
        """`path: what is wrong`, for example `synchronizationRules[0].objectMappings[0]: …`."""


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Shared options: camelCase names."""


class AttributeDefinition(_Document, frozen=True, kw_only=True):
    name: str
    type: AttributeType = "String"
    anchor: bool = False
    multivalued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: str = "ReadWrite"
    default_value: str | None = None
    flow_null_values: bool = False


class ObjectDefinition(_Document, frozen=True, kw_only=True):
    name: str
    attributes: tuple[AttributeDefinition, ...] = ()


class DirectoryDefinition(_Document, frozen=True, kw_only=True):
    id: str
    name: str
    objects: tuple[ObjectDefinition, ...] = ()


class TargetOperand(_Document, frozen=True, kw_only=True):
    values: tuple[str, ...] = ()


class FilterClause(_Document, frozen=True, kw_only=True):
    source_operand_name: str
    operator_name: str
    target_operand: TargetOperand | None = None


class FilterGroup(_Document, frozen=True, kw_only=True):
    clauses: tuple[FilterClause, ...] = ()
    name: str | None = None


class Filter(_Document, frozen=True, kw_only=True):
    groups: tuple[FilterGroup, ...] = ()


class AttributeMappingSource(_Document, frozen=True, kw_only=True):
    type: Literal["Attribute", "Constant", "Function"] = "Attribute"
    name: str | None = None
    expression: str | None = None


class MetadataEntry(_Document, frozen=True, kw_only=True):
    key: str
    value: str | None = None


FLOW_NULL: Final = "FlowNullValues"


class AttributeMapping(_Document, frozen=True, kw_only=True):
    target_attribute_name: str
    source: AttributeMappingSource | None = None
    default_value: str | None = None
    matching_priority: int = 0
    flow_type: FlowType = "Always"
    flow_behavior: Literal["FlowWhenChanged", "FlowAlways"] = "FlowWhenChanged"
    metadata: tuple[MetadataEntry, ...] | None = None

    @property
    def flows_null_values(self) -> bool:
        """The mapping's own gate of clearing. Graph's attributeMapping has no place for it, so it is an entry of
        metadata as objectMapping and attributeDefinition have them."""
        return any(entry.key == FLOW_NULL and (entry.value or "").lower() == "true" for entry in self.metadata or ())


class ObjectMapping(_Document, frozen=True, kw_only=True):
    name: str = ""
    enabled: bool = True
    flow_types: str | tuple[str, ...] | None = None
    source_object_name: str
    target_object_name: str
    attribute_mappings: tuple[AttributeMapping, ...] = ()
    scope: Filter | None = None

    @property
    def flows(self) -> frozenset[str]:
        """`Add`, `Update`, `Delete`: those that are set, lower-cased; all of them when nothing is said."""
        if self.flow_types is None:
            return frozenset({"add", "update", "delete"})
        words = self.flow_types.split(",") if isinstance(self.flow_types, str) else self.flow_types
        return frozenset(word.strip().lower() for word in words if word.strip())


class SynchronizationRule(_Document, frozen=True, kw_only=True):
    id: str
    name: str = ""
    priority: int = 1
    source_directory_name: str
    target_directory_name: str
    object_mappings: tuple[ObjectMapping, ...] = ()


class SynchronizationSchema(_Document, frozen=True, kw_only=True):
    synchronization_rules: tuple[SynchronizationRule, ...]
    directories: tuple[DirectoryDefinition, ...] = ()

    def object_definition(self, directory: str, name: str) -> ObjectDefinition | None:
        """The definition of an object in a directory, both by name."""
        for candidate in self.directories:
            if candidate.name == directory:
                return next((item for item in candidate.objects if item.name == name), None)
        return None


def parse_schema(document: Mapping[str, Any]) -> SynchronizationSchema:
    """Raises SchemaError naming the place of the first member that has the wrong type or is missing."""
    try:
        return msgspec.convert(document, SynchronizationSchema)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        raise SchemaError([f"{place.strip('`').removeprefix('$.') or 'document'}: {problem}"]) from None
