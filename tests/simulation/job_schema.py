"""The job's schema document: the product's template with as many mappings as the model knows, and its edits."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from joiner.provisioning.job.templates import GENERIC, template_by_id

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MAPPED = frozenset(
    {
        "externalId",
        "userName",
        "active",
        "displayName",
        "title",
        'emails[type eq "work"].value',
        "name.givenName",
        "name.familyName",
        f"{ENTERPRISE}:department",
        f"{ENTERPRISE}:manager",
        "members",
    }
)
SOURCES = frozenset(
    {
        "objectId",
        "userPrincipalName",
        "accountEnabled",
        "IsSoftDeleted",
        "displayName",
        "jobTitle",
        "city",
        "mail",
        "givenName",
        "surname",
        "department",
        "manager",
        "members",
        "securityEnabled",
        "appRoleAssignments",
    }
)
UNREAD = ("apiExpressions", "metadata", "parameters")


def schema_document(title_from: str, department: str | None) -> dict[str, Any]:
    """`title_from`: the source of the title; `department`: the only one in scope, None for all."""
    document: dict[str, Any] = orjson.loads(_trimmed())
    users = document["synchronizationRules"][0]["objectMappings"][0]
    for mapping in users["attributeMappings"]:
        if mapping["targetAttributeName"] == "title":
            mapping["source"].update(name=title_from, expression=f"[{title_from}]")
    if department is not None:
        operand = {"values": [department]}
        clause = {"sourceOperandName": "department", "operatorName": "EQUALS", "targetOperand": operand}
        users["scope"] = {"groups": [{"name": "One department", "clauses": [clause]}]}
    return document


@cache
def _trimmed() -> bytes:
    document = _without_unread(orjson.loads(orjson.dumps(template_by_id(GENERIC).schema)))
    for directory in document["directories"]:
        for item in directory["objects"]:
            item["attributes"] = [a for a in item["attributes"] if a["anchor"] or a["name"] in MAPPED | SOURCES]
    for mapping in document["synchronizationRules"][0]["objectMappings"]:
        flows = mapping["attributeMappings"]
        mapping["attributeMappings"] = [flow for flow in flows if flow["targetAttributeName"] in MAPPED]
    return orjson.dumps(document)


def _without_unread(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_unread(item) for name, item in value.items() if name not in UNREAD}
    return [_without_unread(item) for item in value] if isinstance(value, list) else value
