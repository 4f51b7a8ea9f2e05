"""The OpenAPI document: valid whatever the schemas are, and saying what they say."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from joiner.scim.core import ENTERPRISE, USER_URN, USERS
from joiner.scim.openapi import Service, openapi_document
from joiner.scim.registry import BUILT_IN, Registry
from joiner.scim.schemas import Attribute, ResourceType, Schema
from tests.scim_attributes import attributes, several

SERVICE = Service(
    url="https://app.example/scim",
    token_url="https://app.example/oauth/token",
    version="1.2.3",
    strict=True,
    patch_response="auto",
    most_operations=1000,
)


def described(registry: Registry = BUILT_IN) -> dict[str, Any]:
    document = openapi_document(registry, SERVICE)
    validate(document)
    return document


def schema(name: str, registry: Registry = BUILT_IN) -> OAS31Validator:
    """One component as a validator."""
    document = described(registry)
    return OAS31Validator({"$ref": f"#/components/schemas/{name}", **document})


@settings(max_examples=30)
@given(several(attributes(inside=False)))
def test_whatever_the_schemas_are_the_document_is_valid(found: tuple[Attribute, ...]) -> None:
    thing = Schema("urn:example:Thing", "Thing", "A thing", found)
    added = ResourceType("Thing", "/Things", "", thing)
    user = replace(USERS, extensions=(ENTERPRISE, thing), required_extensions=frozenset({thing.id}))
    document = described(BUILT_IN.extended([thing], [added, user]))
    operations = [each for path in document["paths"].values() for name, each in path.items() if name != "parameters"]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert {"/Things", "/Things/{id}", "/Things/.search"} <= document["paths"].keys()
    shown = document["components"]["schemas"]["Resource.User"]["properties"][thing.id]["properties"]
    assert shown.keys() == {each.name for each in found if each.returned != "never" and each.mutability != "writeOnly"}


def test_what_is_sent_has_what_clients_write_and_what_is_shown_has_what_they_read() -> None:
    components = described()["components"]["schemas"]
    sent, shown = components["Sent.User"], components["Resource.User"]
    assert "password" in sent["properties"]
    assert "password" not in shown["properties"]
    assert not {"id", "meta", "groups"} & sent["properties"].keys()
    assert {"id", "meta", "groups"} <= shown["properties"].keys()
    assert sent["required"] == ["schemas", "userName"]
    assert shown["properties"]["groups"]["readOnly"] is True
    manager = ENTERPRISE.id, "properties", "manager", "properties"
    for component, names in ((sent, {"value", "$ref"}), (shown, {"value", "$ref", "displayName"})):
        found = component["properties"]
        for step in manager:
            found = found[step]
        assert found.keys() == names


@pytest.mark.parametrize(
    ("user", "is_right"),
    [
        ({"schemas": [USER_URN], "userName": "ada"}, True),
        ({"schemas": [USER_URN], "userName": "ada", "nobody": {"knows": "this"}}, True),
        ({"schemas": [USER_URN], "userName": "ada", "emails": [{"value": "a@example.com", "primary": True}]}, True),
        ({"schemas": [USER_URN], "userName": " "}, False),
        ({"schemas": [USER_URN]}, False),
        ({"schemas": ["urn:example:other"], "userName": "ada"}, False),
        ({"schemas": [USER_URN], "userName": "ada", "active": "True"}, False),
        ({"schemas": [USER_URN], "userName": "ada", "emails": {"value": "a@example.com"}}, False),
    ],
)
def test_the_schema_of_a_user_tells_what_the_rfc_allows(user: dict[str, Any], *, is_right: bool) -> None:
    assert schema("Sent.User").is_valid(user) is is_right


def test_the_profile_and_the_limits_are_in_it() -> None:
    assert not schema("PatchOp").is_valid(
        {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": []}
    )
    components = described()["components"]["schemas"]
    assert components["BulkRequest"]["properties"]["Operations"]["maxItems"] == 1000
