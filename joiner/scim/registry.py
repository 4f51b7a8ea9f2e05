"""The schemas and resource types of one connection: those of the RFC, and those that were added (RFC 7643 §3.2)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from joiner.scim.core import RESOURCE_TYPES
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.schemas import ResourceType, Schema

RESERVED: Final = frozenset({"/bulk", "/me", "/schemas", "/resourcetypes", "/serviceproviderconfig", "/.search", "/v2"})


class Registry:
    """Resource types and schemas, and look-ups made once. Immutable."""

    def __init__(self, resource_types: Iterable[ResourceType], schemas: Iterable[Schema] = ()) -> None:
        self.resource_types = tuple(resource_types)
        self.by_endpoint = {each.endpoint.lower(): each for each in self.resource_types}
        """Lower-cased endpoint, such as `/users` → resource type."""
        self.by_name = {each.name: each for each in self.resource_types}
        found = {
            schema.id.lower(): schema for each in self.resource_types for schema in (each.schema, *each.extensions)
        }
        found.update((schema.id.lower(), schema) for schema in schemas)
        self.schemas = tuple(found.values())
        """Every schema that a resource type names, and those that none names yet."""

    def extended(self, schemas: Iterable[Schema], resource_types: Iterable[ResourceType]) -> "Registry":
        """With further schemas and resource types. A type of the name of a built-in one stands in its place, with its
        endpoint and schema unchanged: that is how a User gets further extensions.

        Raises InvalidAttributeError naming what clashes.
        """
        types = {each.name: each for each in self.resource_types}
        for added in resource_types:
            built_in = RESOURCE_TYPES.get(added.name)
            if built_in is not None:
                if added.schema.id != built_in.schema.id or added.endpoint != built_in.endpoint:
                    raise InvalidAttributeError(
                        f"'{added.name}' keeps its endpoint {built_in.endpoint} and its schema {built_in.schema.id}"
                    )
                added = replace(built_in, extensions=added.extensions, required_extensions=added.required_extensions)
            types[added.name] = added
        endpoints: set[str] = set(RESERVED)
        for each in types.values():
            if each.endpoint.lower() in endpoints:
                raise InvalidAttributeError(f"the endpoint '{each.endpoint}' is taken")
            endpoints.add(each.endpoint.lower())
        names = {name.lower() for name in types}
        if len(names) != len(types):
            raise InvalidAttributeError("two resource types have the same name")
        own = {schema.id.lower() for schema in self.schemas}
        for schema in schemas:
            if schema.id.lower() in own:
                raise InvalidAttributeError(f"the schema '{schema.id}' cannot be replaced")
        return Registry(types.values(), schemas)


BUILT_IN: Final = Registry(RESOURCE_TYPES.values())
"""Users with the enterprise extension, and groups."""
