"""ServiceProviderConfig, ResourceTypes and Schemas as documents (RFC 7643 §5-§7)."""

from typing import Any, Final

from joiner.scim.schemas import Attribute, ResourceType, Schema

CONFIG_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
TYPE_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
SCHEMA_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"


def service_provider_config(
    base_url: str,
    *,
    most_results: int,
    default_results: int,
    most_operations: int,
    most_bytes: int,
    cursor_seconds: int,
) -> dict[str, Any]:
    """What this service provider can do; `base_url` is where `/Users` hangs (RFC 7643 §5, RFC 9865 §4)."""
    return {
        "schemas": [CONFIG_URN],
        "patch": {"supported": True},
        "bulk": {"supported": True, "maxOperations": most_operations, "maxPayloadSize": most_bytes},
        "filter": {"supported": True, "maxResults": most_results},
        "changePassword": {"supported": True},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": min(default_results, most_results),
            "maxPageSize": most_results,
            "cursorTimeout": cursor_seconds,
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Secret token",
                "description": "A bearer token that is generated in the application's administration (RFC 6750)",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            },
            {
                "type": "oauth2",
                "name": "Client credentials",
                "description": "A short-lived bearer token of the token endpoint /oauth/token (RFC 6749 §4.4)",
                "specUri": "https://www.rfc-editor.org/info/rfc6749",
                "primary": False,
            },
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base_url}/ServiceProviderConfig"},
    }


def resource_type_document(resource_type: ResourceType, base_url: str) -> dict[str, Any]:
    return {
        "schemas": [TYPE_URN],
        "id": resource_type.name,
        "name": resource_type.name,
        "description": resource_type.description,
        "endpoint": resource_type.endpoint,
        "schema": resource_type.schema.id,
        "schemaExtensions": [
            {"schema": schema.id, "required": schema.id in resource_type.required_extensions}
            for schema in resource_type.extensions
        ],
        "meta": {"resourceType": "ResourceType", "location": f"{base_url}/ResourceTypes/{resource_type.name}"},
    }


def schema_document(schema: Schema, base_url: str) -> dict[str, Any]:
    return {
        "schemas": [SCHEMA_URN],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": [attribute_document(attribute) for attribute in schema.attributes],
        "meta": {"resourceType": "Schema", "location": f"{base_url}/Schemas/{schema.id}"},
    }


def attribute_document(attribute: Attribute) -> dict[str, Any]:
    """No member is null; those that do not apply to the type are left out (REQ-S-324)."""
    document: dict[str, Any] = {
        "name": attribute.name,
        "type": attribute.kind,
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
        "mutability": attribute.mutability,
        "returned": attribute.returned,
    }
    if attribute.kind in ("string", "reference", "binary"):
        document["caseExact"] = attribute.case_exact
    if attribute.kind not in ("boolean", "complex"):
        document["uniqueness"] = attribute.uniqueness
    if attribute.canonical_values:
        document["canonicalValues"] = list(attribute.canonical_values)
    if attribute.reference_types:
        document["referenceTypes"] = list(attribute.reference_types)
    if attribute.sub_attributes:
        document["subAttributes"] = [attribute_document(sub) for sub in attribute.sub_attributes]
    return document
