"""How requests are written: the body of a create, and PATCH in each of the dialects a target may want.

Pure. `entra` is what the Entra service sends by default (capital verbs, "True"/"False", one operation an attribute,
members removed by a value list); `entra-compliant` is its `aadOptscim062020` form; `rfc` follows RFC 7644 §3.5.2 to the
letter (provisioning service §10.1, REQ-C-009 … REQ-C-011).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from joiner.provisioning.decision import Modification
from joiner.provisioning.mapping import AttributeFlow, ObjectPlan

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"

Operation = dict[str, Any]


class Dialect(StrEnum):
    ENTRA = "entra"
    ENTRA_COMPLIANT = "entra-compliant"
    RFC = "rfc"


FLAGS = {"aadoptscim062020": Dialect.ENTRA_COMPLIANT, "azureadscimpatch2017": Dialect.ENTRA}
"""Words that administrators append to a Tenant URL (`https://host/scim/?aadOptscim062020`)."""


def split_tenant_url(tenant_url: str) -> tuple[str, Dialect | None]:
    """The base address without flags and without a slash at its end, and the dialect that a flag asks for."""
    parts = urlsplit(tenant_url.strip())
    dialect = next((FLAGS[word.lower()] for word in parts.query.split("&") if word.lower() in FLAGS), None)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), dialect


def resource_of(plan: ObjectPlan, values: Iterable[tuple[AttributeFlow, Any]]) -> dict[str, Any]:
    """The body of a create. References are left out: they follow when the objects they name exist (REQ-P-103)."""
    body: dict[str, Any] = {"schemas": _schemas_of(plan)}
    for flow, value in values:
        flow.path.write(body, value)
    return body


def _schemas_of(plan: ObjectPlan) -> list[str]:
    return [GROUP_SCHEMA] if plan.object_type == "Group" else [USER_SCHEMA, ENTERPRISE_SCHEMA]


def patch_body(operations: Sequence[Operation]) -> dict[str, Any]:
    """A PatchOp message (RFC 7644 §3.5.2)."""
    return {"schemas": [PATCH_SCHEMA], "Operations": list(operations)}


def operations_of(dialect: Dialect, modifications: Sequence[Modification]) -> list[Operation]:
    """The operations of a PATCH that makes these modifications."""
    return ATTRIBUTE_OPERATIONS[dialect](modifications)


def member_operations(dialect: Dialect, added: Sequence[str], removed: Sequence[str]) -> list[Operation]:
    """The operations that add and remove group members, given their target ids."""
    return MEMBER_OPERATIONS[dialect](added, removed)


def _legacy(modifications: Sequence[Modification]) -> list[Operation]:
    return [_one(item, ("Add", "Replace", "Remove"), _legacy_value) for item in modifications]


def _compliant(modifications: Sequence[Modification]) -> list[Operation]:
    """Simple attributes share one operation without a path per verb; paths with a filter stay on their own."""
    filtered, together = [], {"replace": {}, "add": {}}  # type: list[Operation], dict[str, dict[str, Any]]
    for item in modifications:
        if "[" in item.target or item.value is None or not _is_simple(item.value):
            filtered.append(_one(item, ("add", "replace", "remove"), _same))
        else:
            together["add" if item.is_new else "replace"][item.target] = item.value
    return [*filtered, *({"op": verb, "value": value} for verb, value in together.items() if value)]


def _rfc(modifications: Sequence[Modification]) -> list[Operation]:
    return [_one(item, ("add", "replace", "remove"), _same) for item in modifications]


def _one(item: Modification, verbs: tuple[str, str, str], written: Callable[[Any], Any]) -> Operation:
    add, replace, remove = verbs
    if item.value is None:
        return {"op": remove, "path": item.target}
    return {"op": add if item.is_new else replace, "path": item.target, "value": written(item.value)}


def _is_simple(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _same(value: Any) -> Any:
    return value


def _legacy_value(value: Any) -> Any:
    return str(value) if isinstance(value, bool) else value


def _legacy_members(added: Sequence[str], removed: Sequence[str]) -> list[Operation]:
    return _members(("Add", "Remove"), added, removed)


def _members(verbs: tuple[str, str], added: Sequence[str], removed: Sequence[str]) -> list[Operation]:
    return [
        {"op": verb, "path": "members", "value": [{"$ref": None, "value": id_} for id_ in ids]}
        for verb, ids in zip(verbs, (added, removed), strict=True)
        if ids
    ]


def _filtered_members(added: Sequence[str], removed: Sequence[str]) -> list[Operation]:
    operations: list[Operation] = []
    if added:
        operations.append({"op": "add", "path": "members", "value": [{"value": id_} for id_ in added]})
    operations.extend({"op": "remove", "path": f'members[value eq "{id_}"]'} for id_ in removed)
    return operations


ATTRIBUTE_OPERATIONS: Mapping[Dialect, Callable[[Sequence[Modification]], list[Operation]]] = {
    Dialect.ENTRA: _legacy,
    Dialect.ENTRA_COMPLIANT: _compliant,
    Dialect.RFC: _rfc,
}
MEMBER_OPERATIONS: Mapping[Dialect, Callable[[Sequence[str], Sequence[str]], list[Operation]]] = {
    Dialect.ENTRA: _legacy_members,
    Dialect.ENTRA_COMPLIANT: _filtered_members,
    Dialect.RFC: _filtered_members,
}
