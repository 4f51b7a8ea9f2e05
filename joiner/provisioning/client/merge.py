"""PATCH for targets that know only PUT: the operations are applied here to what was read, and the whole is written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from joiner.provisioning.client.failures import TargetError, incompatible
from joiner.scim.core import GROUPS, USERS
from joiner.scim.errors import ScimError
from joiner.scim.grammar import split_urn
from joiner.scim.messages import Operation, parse_patch
from joiner.scim.patches import apply_patch
from joiner.scim.schemas import Attribute, Kind, ResourceType, Schema

RESOURCE_TYPES: Final = {"/Users": USERS, "/Groups": GROUPS}
NOT_WRITTEN: Final = frozenset({"meta", "groups"})
"""Lower-cased names of what only the target writes."""
APART: Final = frozenset({"id", "schemas"})


def merged(endpoint: str, resource: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a PUT: the resource as it was read, with the PatchOp applied. What we know nothing of stays.

    Raises TargetError if the operations do not fit.
    """
    held = {name: _assigned(value) for name, value in resource.items() if name.lower() not in APART | NOT_WRITTEN}
    try:
        operations = parse_patch(patch)
        kind = _with_extensions(RESOURCE_TYPES[endpoint], held, operations)
        after = apply_patch(kind, held, operations)
    except ScimError as error:
        raise TargetError("SchemaAttributeNotFound", f"the change cannot be made in what was read: {error}") from None
    except (AttributeError, TypeError):
        # Nobody has validated what a target holds.
        raise incompatible("what was read has attributes of another type than SCIM gives them") from None
    named = resource.get("schemas")
    schemas = [urn for urn in named if isinstance(urn, str)] if isinstance(named, list) else [kind.schema.id]
    body = {"schemas": schemas, "id": resource["id"], **after.resource, **after.secrets}
    schemas.extend(name for name in body if name.lower().startswith("urn:") and name not in schemas)
    return body


def _assigned(value: Any) -> Any:
    """Without elements whose value is empty: some show one for what is not set, and refuse it when it comes back."""
    if not isinstance(value, list):
        return value
    return [item for item in value if not (isinstance(item, Mapping) and item.get("value", item) in ("", None))]


def _with_extensions(kind: ResourceType, resource: Mapping[str, Any], operations: Iterable[Operation]) -> ResourceType:
    """The type with the extensions of the target that we have no schema of, made from what is written to them."""
    known = {urn.lower() for urn in kind.urns}
    # Attribute names hold no colon, but URNs of extensions hold dots: the longest that the resource has counts.
    urns = (*kind.urns, *(name for name in resource if name.lower().startswith("urn:")))
    written: dict[str, dict[str, Attribute]] = {}
    for name, value in _written(operations):
        urn, attribute = split_urn(name, urns)
        if urn is not None and urn.lower() not in known and attribute:
            written.setdefault(urn, {})[attribute.lower()] = Attribute(attribute, _kind_of(value), case_exact=True)
    made = [Schema(urn, urn, "", tuple(attributes.values())) for urn, attributes in written.items()]
    return replace(kind, extensions=(*kind.extensions, *made)) if made else kind


def _written(operations: Iterable[Operation]) -> Iterator[tuple[str, Any]]:
    for operation in operations:
        if operation.path is not None:
            yield operation.path, operation.value
        elif isinstance(operation.value, Mapping):
            yield from operation.value.items()


def _kind_of(value: Any) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "decimal" if isinstance(value, float) else "string"
