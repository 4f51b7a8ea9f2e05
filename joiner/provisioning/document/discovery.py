"""The attribute list of a target from what it says about itself: `/Schemas` and `/ResourceTypes` (RFC 7643 §6, §7).

Names are those that mappings use (attribute mapping §6). Attributes are only ever added to a list, never changed or
taken away.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from joiner.scim.grammar import KNOWN_URNS, NAME

Resource = Mapping[str, Any]
Definition = dict[str, Any]

TYPES: Final[Mapping[str, str]] = {
    "string": "String",
    "boolean": "Boolean",
    "integer": "Integer",
    "decimal": "String",
    "datetime": "DateTime",
    "binary": "Binary",
    "reference": "String",
}
MUTABILITIES: Final[Mapping[str, str]] = {
    "readwrite": "ReadWrite",
    "readonly": "ReadOnly",
    "immutable": "Immutable",
    "writeonly": "WriteOnly",
}
NEVER: Final = frozenset({"id", "meta", "schemas", "password", "photos", "groups"})
"""Attributes that no mapping writes: the anchor, what servers set, and what cannot be provisioned."""
BOOKKEEPING: Final = frozenset({"type", "primary", "display", "$ref", "operation"})
"""Sub-attributes that say something about a value of several."""
CORE_URNS: Final = frozenset(urn.lower() for urn in KNOWN_URNS[:2])


def definitions_of(
    resource_type: str, schemas: Sequence[Resource], resource_types: Sequence[Resource], objects: Mapping[str, str]
) -> list[Definition]:
    """The attributes of `User` or `Group` in the target. `objects`: name of a resource type → name of its object in
    the directory, for references."""
    found: list[Definition] = []
    for schema in _schemas_of(resource_type, schemas, resource_types):
        urn = str(schema.get("id", ""))
        prefix = "" if urn.lower() in CORE_URNS else f"{urn}:"
        for attribute in _attributes(schema, "attributes"):
            if _name(attribute) not in NEVER:
                found += _definitions(attribute, prefix, objects)
    return found


def with_discovered(attributes: Sequence[Any], found: Sequence[Definition]) -> tuple[list[Any], list[str]]:
    """The list with the attributes that it does not have yet at its end, and their names."""
    known = {_key(str(item.get("name"))) for item in attributes if isinstance(item, Mapping)}
    added = [definition for definition in found if _key(definition["name"]) not in known]
    return [*attributes, *added], [definition["name"] for definition in added]


def resource_type_of(object_name: str) -> str | None:
    """`User` or `Group` for an object's name, which is one of its schemas' URNs."""
    last = object_name.rpartition(":")[2].lower()
    return {"user": "User", "group": "Group"}.get(last)


def _schemas_of(
    resource_type: str, schemas: Sequence[Resource], resource_types: Sequence[Resource]
) -> Iterator[Resource]:
    """The schema of the resource type and its extensions; without resource types, those whose URN ends with its
    name."""
    described = next((each for each in resource_types if each.get("name") == resource_type), None)
    if described is None:
        yield from (each for each in schemas if str(each.get("id", "")).rpartition(":")[2] == resource_type)
        return
    extensions = described.get("schemaExtensions")
    urns = [described.get("schema")]
    urns += [each.get("schema") for each in extensions or () if isinstance(each, Mapping)]
    by_urn = {str(each.get("id", "")).lower(): each for each in schemas}
    yield from (by_urn[str(urn).lower()] for urn in urns if str(urn).lower() in by_urn)


def _definitions(attribute: Resource, prefix: str, objects: Mapping[str, str]) -> Iterator[Definition]:
    """One attribute as the list shows it: complex ones by their sub-attributes, typed values by their types."""
    name = f"{prefix}{attribute['name']}"
    several = attribute.get("multiValued") is True
    subs = [each for each in _attributes(attribute, "subAttributes") if _name(each) not in BOOKKEEPING]
    referenced = _referenced(attribute, objects)
    if referenced:
        yield _definition(attribute, name, "Reference", referenced, several=several)
    elif _kind(attribute) != "complex":
        yield _definition(attribute, name, TYPES.get(_kind(attribute), "String"), (), several=several)
    elif not several:
        for sub in subs:
            yield _simple(sub, f"{name}.{sub['name']}", required=_required(attribute) and _required(sub))
    else:
        types = _canonical_types(attribute)
        for type_ in types:
            for sub in subs:
                yield _simple(sub, f'{name}[type eq "{type_}"].{sub["name"]}', required=False)
        if not types:
            yield _definition(attribute, name, "String", (), several=True)


def _simple(attribute: Resource, name: str, *, required: bool) -> Definition:
    several = attribute.get("multiValued") is True
    made = _definition(attribute, name, TYPES.get(_kind(attribute), "String"), (), several=several)
    return {**made, "required": required}


def _definition(attribute: Resource, name: str, kind: str, referenced: Sequence[str], *, several: bool) -> Definition:
    mutability = str(attribute.get("mutability", "readWrite")).lower()
    return {
        "anchor": False,
        "apiExpressions": [],
        "caseExact": attribute.get("caseExact") is True,
        "defaultValue": None,
        "flowNullValues": False,
        "metadata": [],
        "multivalued": several,
        "mutability": MUTABILITIES.get(mutability, "ReadWrite"),
        "name": name,
        "required": _required(attribute),
        "referencedObjects": [{"referencedObjectName": each, "referencedProperty": None} for each in referenced],
        "type": kind,
    }


def _referenced(attribute: Resource, objects: Mapping[str, str]) -> list[str]:
    """The objects that a complex attribute with `$ref` refers to, such as `manager` and `members`."""
    if _kind(attribute) != "complex":
        return []
    types: list[Any] = []
    subs = attribute.get("subAttributes")
    for sub in subs if isinstance(subs, list) else ():
        # It may be read-only: the value beside it is what is written.
        if isinstance(sub, Mapping) and sub.get("name") == "$ref" and isinstance(sub.get("referenceTypes"), list):
            types += sub["referenceTypes"]
    return [objects[type_] for type_ in dict.fromkeys(map(str, types)) if type_ in objects]


def _canonical_types(attribute: Resource) -> list[str]:
    for sub in _attributes(attribute, "subAttributes"):
        values = sub.get("canonicalValues")
        if sub["name"] == "type" and isinstance(values, list):
            return [value for value in values if isinstance(value, str) and value and '"' not in value]
    return []


def _attributes(holder: Resource, member: str) -> list[Resource]:
    """Those that have a name and can be written."""
    items = holder.get(member)
    return [
        item
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, Mapping)
        and isinstance(item.get("name"), str)
        and NAME.fullmatch(item["name"])
        and str(item.get("mutability", "")).lower() != "readonly"
    ]


def _name(attribute: Resource) -> str:
    return str(attribute["name"])


def _kind(attribute: Resource) -> str:
    return str(attribute.get("type", "string")).lower()


def _required(attribute: Resource) -> bool:
    return attribute.get("required") is True


def _key(name: str) -> str:
    """Names compare without case; the core schemas' URNs may stand in front of them."""
    folded = name.lower()
    return next((folded.removeprefix(f"{urn}:") for urn in CORE_URNS if folded.startswith(f"{urn}:")), folded)
