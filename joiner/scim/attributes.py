"""Attribute paths to attributes: where a path leads in the resources of a type (RFC 7644 §3.10)."""

from dataclasses import dataclass
from typing import Final

from joiner.scim.core import ENTERPRISE_URN, GROUP_URN, USER_URN
from joiner.scim.schemas import Attribute, ResourceType
from joiner.scim.tree import Path

Keys = tuple[str, ...]
"""Names in the schema's spelling that lead to a value in a resource."""

OTHER_REFERENCES: Final = frozenset({"external", "uri"})
DERIVED: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("", "meta"): frozenset({"location"}),
    (USER_URN, "groups"): frozenset({"$ref", "type", "display"}),
    (GROUP_URN, "members"): frozenset({"$ref", "type", "display"}),
    (ENTERPRISE_URN, "manager"): frozenset({"$ref", "displayName"}),
}
"""URN of the schema ('' for what all resources have) and attribute → its parts that are made for each answer only."""


@dataclass(frozen=True, slots=True)
class Found:
    """An attribute of a resource type."""

    keys: Keys
    attribute: Attribute
    derived: frozenset[str] = frozenset()
    """Sub-attributes that are not stored, so that nothing can be asked of them."""


def find_attribute(resource_type: ResourceType, path: Path, *, strict: bool = False) -> Found | None:
    """The attribute that a path begins with, whatever its case; None if the type does not have it.

    An attribute that only one extension has is found without its URN (T14), unless `strict`.
    """
    name = path.attribute.lower()
    if path.urn is not None:
        urn = path.urn.lower()
        if urn != resource_type.schema.id.lower():
            schema = resource_type.by_urn.get(urn)
            attribute = schema.by_name.get(name) if schema is not None else None
            if schema is None or attribute is None:
                return None
            return Found((schema.id, attribute.name), attribute, DERIVED.get((schema.id, attribute.name), frozenset()))
    attribute = resource_type.core.get(name)
    if attribute is not None:
        owner = "" if attribute in resource_type.common else resource_type.schema.id
        return Found((attribute.name,), attribute, DERIVED.get((owner, attribute.name), frozenset()))
    sole = resource_type.sole_extension_of(name)
    if sole is None or path.urn is not None or strict:
        return None
    return find_attribute(resource_type, Path(sole.id, name))


def is_identifier(attribute: Attribute, sub: Attribute) -> bool:
    """Whether a `value` beside a `$ref` holds the id of a resource (RFC 7643 §2.4): ids are compared exactly, whatever
    the schemas of the RFC say about the attributes that repeat them."""
    reference = attribute.by_name.get("$ref")
    return sub.name == "value" and reference is not None and not OTHER_REFERENCES.issuperset(reference.reference_types)
