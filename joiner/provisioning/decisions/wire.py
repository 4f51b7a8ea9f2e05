"""How requests are written: the body of a create, and PATCH in each of the dialects a target may want.

Pure. `entra` is what the Entra service sends by default (capital verbs, "True"/"False", one operation an attribute,
members removed by a value list); `entra-compliant` is its `aadOptscim062020` form; `rfc` follows RFC 7644 §3.5.2 to the
letter (provisioning service §10.1, REQ-C-009 … REQ-C-011).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson

from joiner.provisioning.decisions.decision import Modification, ObjectType
from joiner.provisioning.mapping.plan import ROLE_TYPE, AttributeFlow, ObjectPlan
from joiner.provisioning.mapping.target_path import VALUE

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTRA_GROUP_SCHEMA = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
CONTENT_TYPE: Final = "application/scim+json"
MEMBERS: Final = "members"

SCHEMAS: Final[Mapping[ObjectType, Sequence[str]]] = {
    "User": (USER_SCHEMA, ENTERPRISE_SCHEMA),
    "Group": (GROUP_SCHEMA,),
}

Operation = dict[str, Any]


class Dialect(StrEnum):
    """How PATCH requests are written; see the module."""

    ENTRA = "entra"
    ENTRA_COMPLIANT = "entra-compliant"
    RFC = "rfc"


def resource_of(
    plan: ObjectPlan, values: Iterable[tuple[AttributeFlow, Any]], *, lists_extensions: bool = False
) -> dict[str, Any]:
    """The body of a create. References are left out: they follow when the objects they name exist (REQ-P-103)."""
    schemas = list(SCHEMAS[plan.object_type])
    body: dict[str, Any] = {"schemas": schemas}
    for flow, value in values:
        element = flow.path.write(body, value)
        if element is not None and flow.roles is not None:
            element.setdefault("type", ROLE_TYPE)
    if lists_extensions:
        schemas.extend(name for name in body if name.lower().startswith("urn:") and name not in schemas)
    return body


def create_body(dialect: Dialect, object_type: ObjectType, resource: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a create in the dialect. Entra's service says of what type it is, and names a schema of its own for
    groups."""
    if dialect is Dialect.RFC:
        return {**resource}
    schemas = [*resource["schemas"], *([ENTRA_GROUP_SCHEMA] if object_type == "Group" else [])]
    return {**resource, "schemas": schemas, "meta": {"resourceType": object_type}}


def content_type(dialect: Dialect) -> str:
    """How the media type of requests is written."""
    return CONTENT_TYPE if dialect is Dialect.RFC else f"{CONTENT_TYPE}; charset=utf-8"


def patch_body(operations: Sequence[Operation]) -> dict[str, Any]:
    """A PatchOp message (RFC 7644 §3.5.2)."""
    return {"schemas": [PATCH_SCHEMA], "Operations": list(operations)}


def operations_of(dialect: Dialect, modifications: Sequence[Modification]) -> list[Operation]:
    """The operations of a PATCH that makes these modifications."""
    return ATTRIBUTE_OPERATIONS[dialect](modifications)


def member_operations(
    dialect: Dialect, added: Sequence[str], removed: Sequence[str], *, by_value: bool
) -> list[Operation]:
    """The operations that add and remove group members, given their target ids. `by_value`: those removed are listed,
    as Entra does by default; otherwise each is selected by a filter."""
    spelled, element = MEMBERS_WRITTEN[dialect]
    operations = []
    if added:
        operations.append({"op": spelled("add"), "path": MEMBERS, "value": [element(id_) for id_ in added]})
    if removed and by_value:
        operations.append({"op": spelled("remove"), "path": MEMBERS, "value": [element(id_) for id_ in removed]})
    elif removed:
        paths = (f"{MEMBERS}[value eq {orjson.dumps(id_).decode()}]" for id_ in removed)
        operations.extend({"op": spelled("remove"), "path": path} for path in paths)
    return operations


def changes_members(patch: Mapping[str, Any]) -> bool:
    """Whether a PatchOp that we have written is about members of a group, and nothing else."""
    return all(str(operation.get("path")).partition("[")[0] == MEMBERS for operation in patch["Operations"])


def _legacy(modifications: Sequence[Modification]) -> list[Operation]:
    operations: list[Operation] = []
    for item in modifications:
        operation = _legacy_roles(item) if item.roles else _one(item, item.path.text, str.capitalize, _legacy_value)
        # Value, name and type of one role are three mappings and one operation.
        if operation not in operations:
            operations.append(operation)
    return operations


def _legacy_roles(item: Modification) -> Operation:
    """Roles as JSON inside of texts (attribute mapping §7)."""
    texts = [{VALUE: orjson.dumps(role).decode()} for role in item.roles]
    return {"op": "Add", "path": item.path.attribute_path, "value": texts}


def _compliant(modifications: Sequence[Modification]) -> list[Operation]:
    """Simple attributes share one operation without a path per verb; paths with a filter stay on their own."""
    apart: list[Operation] = []
    together: dict[str, dict[str, Any]] = {"replace": {}, "add": {}}
    for item in modifications:
        if item.path.selector is None and item.verb in together and not isinstance(item.value, (dict, list)):
            together[item.verb][item.path.text] = item.value
        else:
            apart.append(_one(item, item.path.text, str, _same))
    return [*apart, *({"op": verb, "value": value} for verb, value in together.items() if value)]


def _rfc(modifications: Sequence[Modification]) -> list[Operation]:
    """One operation an attribute. A path whose filter selects nothing has no target (§3.5.2.3), so an element that
    does not exist is added whole, with all that is written to it."""
    operations: list[Operation] = []
    new: dict[str, list[dict[str, Any]]] = {}
    for item in modifications:
        if item.has_element or item.verb == "remove":
            operations.append(_one(item, item.path.strict_text, str, _same))
            continue
        path = item.path.attribute_path
        if path not in new:
            new[path] = []
            operations.append({"op": "add", "path": path, "value": new[path]})
        element = item.path.write_element(new[path], item.value)
        if item.roles:
            element.setdefault("type", ROLE_TYPE)
    return operations


def _one(item: Modification, path: str, spelled: Callable[[str], str], written: Callable[[Any], Any]) -> Operation:
    if item.verb == "remove":
        return {"op": spelled(item.verb), "path": path}
    return {"op": spelled(item.verb), "path": path, "value": written(item.value)}


def _same(value: Any) -> Any:
    return value


def _legacy_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value)
    # A reference is its bare id (attribute mapping §6).
    return value[VALUE] if isinstance(value, dict) and value.keys() == {VALUE} else value


def _member(id_: str) -> dict[str, Any]:
    return {VALUE: id_}


def _legacy_member(id_: str) -> dict[str, Any]:
    return {"$ref": None, VALUE: id_}


ATTRIBUTE_OPERATIONS: Mapping[Dialect, Callable[[Sequence[Modification]], list[Operation]]] = {
    Dialect.ENTRA: _legacy,
    Dialect.ENTRA_COMPLIANT: _compliant,
    Dialect.RFC: _rfc,
}
MEMBERS_WRITTEN: Mapping[Dialect, tuple[Callable[[str], str], Callable[[str], dict[str, Any]]]] = {
    Dialect.ENTRA: (str.capitalize, _legacy_member),
    Dialect.ENTRA_COMPLIANT: (str, _member),
    Dialect.RFC: (str, _member),
}
"""How verbs and members are spelled."""
