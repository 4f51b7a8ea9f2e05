"""The synchronizationSchema document as typed values: directories with their attributes, rules with their mappings.

Reading takes the defaults of the Graph resource types; what this version does not know stays in the stored document,
which is the truth. These values are a view of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from joiner.errors import InvalidValueError
from joiner.provisioning.mapping.shape import Problem, read_shape

AttributeType = Literal["String", "Integer", "Reference", "Binary", "Boolean", "DateTime"]
Mutability = Literal["ReadWrite", "ReadOnly", "Immutable", "WriteOnly"]
FlowType = Literal["Always", "ObjectAddOnly", "MultiValueAddOnly", "ValueAddOnly", "AttributeAddOnly"]


class SchemaError(InvalidValueError):
    """The document cannot be used. Lists every problem with its place."""

    def __init__(self, problems: Iterable[Problem | str]) -> None:
        self.problems = [str(problem) for problem in problems]
        super().__init__("the synchronization schema cannot be used:\n  " + "\n  ".join(self.problems))
        """`path: what is wrong`, for example `synchronizationRules[0].objectMappings[0]: …`."""


Flags = str | tuple[str, ...] | None
"""Words of a flags enumeration: `Add, Update` or a list."""


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Shared options: camelCase names."""


class ReferencedObject(_Document, frozen=True, kw_only=True):
    """An object that a reference attribute may name."""

    referenced_object_name: str
    referenced_property: str | None = None


class AttributeDefinition(_Document, frozen=True, kw_only=True):
    """One attribute of an object, as the schema declares it."""

    name: str
    type: AttributeType = "String"
    anchor: bool = False
    multivalued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: Mutability = "ReadWrite"
    default_value: str | None = None
    flow_null_values: bool = False
    referenced_objects: tuple[ReferencedObject, ...] = ()


class ObjectDefinition(_Document, frozen=True, kw_only=True):
    """An object type of a directory, such as `User`."""

    name: str
    attributes: tuple[AttributeDefinition, ...] = ()


class DirectoryDefinition(_Document, frozen=True, kw_only=True):
    """The source or the target: its object types."""

    id: str = ""
    name: str
    discoverabilities: Flags = None
    objects: tuple[ObjectDefinition, ...] = ()


class TargetOperand(_Document, frozen=True, kw_only=True):
    """What a clause compares with."""

    values: tuple[str, ...] = ()


class FilterClause(_Document, frozen=True, kw_only=True):
    """One condition of a scoping filter."""

    source_operand_name: str
    operator_name: str
    target_operand: TargetOperand | None = None


class FilterGroup(_Document, frozen=True, kw_only=True):
    """Clauses that must all hold."""

    clauses: tuple[FilterClause, ...] = ()
    name: str | None = None


class Filter(_Document, frozen=True, kw_only=True):
    """Groups of which one must hold."""

    groups: tuple[FilterGroup, ...] = ()
    input_filter_groups: tuple[FilterGroup, ...] = ()
    category_filter_groups: tuple[FilterGroup, ...] = ()


class AttributeMappingSource(_Document, frozen=True, kw_only=True):
    """The source side of a mapping, as a tree and as text."""

    type: Literal["Attribute", "Constant", "Function"] = "Attribute"
    name: str | None = None
    expression: str | None = None


class MetadataEntry(_Document, frozen=True, kw_only=True):
    """An extension value by its key."""

    key: str
    value: str | None = None


FLOW_NULL: Final = "FlowNullValues"


class AttributeMapping(_Document, frozen=True, kw_only=True):
    """How one target attribute gets its value."""

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
    """Which objects are provisioned into which, and how."""

    name: str = ""
    enabled: bool = True
    flow_types: Flags = None
    source_object_name: str
    target_object_name: str
    attribute_mappings: tuple[AttributeMapping, ...] = ()
    scope: Filter | None = None

    @property
    def flows(self) -> frozenset[str]:
        """`Add`, `Update`, `Delete`: those that are set, lower-cased; all of them when nothing is said."""
        if self.flow_types is None:
            return EVERY_FLOW
        return frozenset(word.lower() for word in words_of(self.flow_types))


EVERY_FLOW: Final = frozenset({"add", "update", "delete"})


class SynchronizationRule(_Document, frozen=True, kw_only=True):
    """The object mappings between two directories."""

    id: str
    name: str = ""
    priority: int = 1
    editable: bool = True
    source_directory_name: str
    target_directory_name: str
    object_mappings: tuple[ObjectMapping, ...] = ()


class SynchronizationSchema(_Document, frozen=True, kw_only=True):
    """The document."""

    synchronization_rules: tuple[SynchronizationRule, ...]
    directories: tuple[DirectoryDefinition, ...] = ()

    def object_definition(self, directory: str, name: str) -> ObjectDefinition | None:
        """The definition of an object in a directory, both by name."""
        for candidate in self.directories:
            if candidate.name == directory:
                return next((item for item in candidate.objects if item.name == name), None)
        return None


def words_of(flags: Flags) -> tuple[str, ...]:
    """The words of a flags enumeration; Graph puts commas between them, with or without spaces."""
    words = flags.split(",") if isinstance(flags, str) else flags or ()
    return tuple(word.strip() for word in words if word.strip())


def parse_schema(document: Mapping[str, Any]) -> SynchronizationSchema:
    """Raises SchemaError naming the place of every member that has the wrong type or is missing."""
    schema, problems = read_shape(document, SynchronizationSchema)
    if problems:
        raise SchemaError(problems)
    return schema
