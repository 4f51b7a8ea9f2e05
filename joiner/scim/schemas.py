"""Attributes with their characteristics, schemas, resource types (RFC 7643 §2.2, §6, §7), and look-ups made once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"]
Mutability = Literal["readWrite", "readOnly", "immutable", "writeOnly"]
Returned = Literal["always", "default", "request", "never"]


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute. The defaults are those of RFC 7643 §2.2."""

    name: str
    kind: Kind = "string"
    multi_valued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: Mutability = "readWrite"
    returned: Returned = "default"
    uniqueness: Literal["none", "server", "global"] = "none"
    description: str = ""
    canonical_values: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()
    sub_attributes: tuple["Attribute", ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, "Attribute"]:
        """Lower-cased name → sub-attribute."""
        return {attribute.name.lower(): attribute for attribute in self.sub_attributes}


@dataclass(frozen=True, eq=False)
class Schema:
    """A schema by its URN."""

    id: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Attribute]:
        """Lower-cased name → attribute."""
        return {attribute.name.lower(): attribute for attribute in self.attributes}

    @cached_property
    def required(self) -> tuple[Attribute, ...]:
        """Attributes that must have a value."""
        return tuple(attribute for attribute in self.attributes if attribute.required)

    @cached_property
    def required_parts(self) -> tuple[tuple[Attribute, tuple[str, ...]], ...]:
        """Attributes with the sub-attributes that each of their values must have."""
        found = ((each, tuple(sub.name for sub in each.sub_attributes if sub.required)) for each in self.attributes)
        return tuple((attribute, names) for attribute, names in found if names)


@dataclass(frozen=True, eq=False)
class ResourceType:
    """A kind of resource with its endpoint, schema and extensions."""

    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[Schema, ...] = ()
    common: tuple[Attribute, ...] = field(default=())
    required_extensions: frozenset[str] = frozenset()
    """URNs of extensions that every resource must have data of (RFC 7643 §6)."""

    @cached_property
    def core(self) -> Mapping[str, Attribute]:
        """Lower-cased name → attribute of the core schema or one that all resources have."""
        return {attribute.name.lower(): attribute for attribute in (*self.common, *self.schema.attributes)}

    @cached_property
    def secret_names(self) -> frozenset[str]:
        """Core attributes that are never returned."""
        return frozenset(attribute.name for attribute in self.schema.attributes if attribute.returned == "never")

    @cached_property
    def immutable(self) -> tuple[tuple[str, Attribute], ...]:
        """Attributes that keep the value they were given, each with the URN of its extension ('' for the core)."""
        schemas = (("", self.schema), *((schema.id, schema) for schema in self.extensions))
        return tuple(
            (holder, attribute)
            for holder, schema in schemas
            for attribute in schema.attributes
            if attribute.mutability == "immutable"
        )

    @cached_property
    def by_urn(self) -> Mapping[str, Schema]:
        """Lower-cased URN → extension."""
        return {schema.id.lower(): schema for schema in self.extensions}

    @cached_property
    def urns(self) -> tuple[str, ...]:
        """All schema URNs of the type, for splitting paths."""
        return self.schema.id, *(schema.id for schema in self.extensions)

    def sole_extension_of(self, name: str) -> Schema | None:
        """The extension that has the attribute, if exactly one has it and the core has not (T14)."""
        folded = name.lower()
        holders = [schema for schema in self.extensions if folded in schema.by_name]
        return holders[0] if len(holders) == 1 and folded not in self.core else None
