"""What the endpoint says of itself: ServiceProviderConfig, ResourceTypes, Schemas, /Me."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.scim_client import CORE, ENTERPRISE, GROUP, Client

USUAL_PARTS = {"value": "string", "display": "string", "primary": "boolean"}
ADDRESS_PARTS = ("formatted", "streetAddress", "locality", "region", "postalCode", "country")
NAME_PARTS = ("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")
PLAIN_TEXTS = ("displayName", "nickName", "title", "userType", "preferredLanguage", "locale", "timezone")
TYPES = {
    "emails": "work home other",
    "phoneNumbers": "work home mobile fax pager other",
    "ims": "aim gtalk icq xmpp msn skype qq yahoo",
    "photos": "photo thumbnail",
    "entitlements": "",
    "roles": "",
    "x509Certificates": "",
}
"""Attributes with the usual parts → the canonical values of their type."""
VALUE_KINDS = {"photos": "reference to external", "x509Certificates": "binary"}


def usual(name: str) -> Iterator[tuple[str, str]]:
    yield name, "complex many"
    for part, kind in USUAL_PARTS.items():
        yield f"{name}.{part}", VALUE_KINDS.get(name, kind) if part == "value" else kind
    yield f"{name}.type", f"string of {TYPES[name]}" if TYPES[name] else "string"


SCHEMAS: Mapping[str, Mapping[str, str]] = {
    CORE: {
        "userName": "string required unique",
        "name": "complex",
        **{f"name.{part}": "string" for part in NAME_PARTS},
        **dict.fromkeys(PLAIN_TEXTS, "string"),
        "profileUrl": "reference to external",
        "active": "boolean",
        "password": "string writeOnly never",
        **{path: kind for name in TYPES for path, kind in usual(name)},
        "addresses": "complex many",
        **{f"addresses.{part}": "string" for part in ADDRESS_PARTS},
        "addresses.type": "string of work home other",
        "addresses.primary": "boolean",
        "groups": "complex many readOnly",
        "groups.value": "string readOnly",
        "groups.display": "string readOnly",
        "groups.type": "string readOnly of direct indirect",
        "groups.$ref": "reference readOnly to Group",
    },
    GROUP: {
        "displayName": "string required",
        "members": "complex many",
        "members.value": "string immutable",
        "members.display": "string immutable",
        "members.type": "string immutable of User Group",
        "members.$ref": "reference immutable to User Group",
    },
    ENTERPRISE: {
        **dict.fromkeys(("employeeNumber", "costCenter", "organization", "division", "department"), "string"),
        "manager": "complex",
        "manager.value": "string",
        "manager.$ref": "reference to User",
        "manager.displayName": "string readOnly",
    },
}
"""RFC 7643 §8.7.1, with what is decided beside it: schema → path → type and what differs from the defaults."""


def described(attributes: list[dict[str, Any]], above: str = "") -> Iterator[tuple[str, str]]:
    """Path and characteristics of published attributes, in the words of SCHEMAS."""
    for attribute in attributes:
        words = [attribute["type"]]
        words += ["many"] * attribute["multiValued"] + ["required"] * attribute["required"]
        words += [attribute["mutability"]] * (attribute["mutability"] != "readWrite")
        words += [attribute["returned"]] * (attribute["returned"] != "default")
        words += ["unique"] * (attribute.get("uniqueness", "none") == "server")
        words += ["exact"] * (attribute["type"] == "string" and attribute["caseExact"])
        for word, values in (("of", attribute.get("canonicalValues")), ("to", attribute.get("referenceTypes"))):
            words += [word, *values] if values else []
        yield above + attribute["name"], " ".join(words)
        yield from described(attribute.get("subAttributes", []), f"{above}{attribute['name']}.")


@pytest.mark.req("REQ-S-320")
async def test_the_configuration_has_every_member_and_tells_the_truth(client: Client) -> None:
    config = await client.get("/ServiceProviderConfig")
    assert "id" not in config
    for feature in ("patch", "bulk", "filter", "changePassword", "sort", "etag"):
        assert isinstance(config[feature]["supported"], bool), feature
    limits = (config["bulk"]["maxOperations"], config["bulk"]["maxPayloadSize"], config["filter"]["maxResults"])
    assert {type(limit) for limit in limits} == {int}
    for scheme in config["authenticationSchemes"]:
        assert scheme["type"] in ("oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest")
        assert scheme["name"]
        assert scheme["description"]
    bulk = await client.http.post("/Bulk", json={})
    assert (bulk.status_code == 501) is not config["bulk"]["supported"]
    user = await client.user("b")
    await client.user("a")
    by_name = await client.get("/Users?sortBy=userName")
    is_sorted = [item["userName"] for item in by_name["Resources"]] == ["a", "b"]
    assert is_sorted is config["sort"]["supported"]
    condition = {"If-None-Match": user["meta"]["version"]}
    unchanged = await client.http.get(f"/Users/{user['id']}", headers=condition)
    assert (unchanged.status_code == 304) is config["etag"]["supported"]
    patched = await client.http.patch(f"/Users/{user['id']}", json={"Operations": []})
    assert (patched.status_code == 501) is not config["patch"]["supported"]


@pytest.mark.req("REQ-S-321")
async def test_the_configuration_says_how_pages_are_asked_for(client: Client) -> None:
    pagination = (await client.get("/ServiceProviderConfig"))["pagination"]
    assert (pagination["cursor"], pagination["index"]) == (True, True)
    assert pagination["defaultPaginationMethod"] == "index"
    assert 0 < pagination["defaultPageSize"] <= pagination["maxPageSize"]
    assert pagination["cursorTimeout"] > 0
    for name in ("kim", "ann", "ben"):
        await client.user(name)
    page = await client.get("/Users?cursor=&count=2")
    assert (len(page["Resources"]), bool(page["nextCursor"])) == (2, True)


@pytest.mark.req("REQ-S-322")
@pytest.mark.parametrize("path", ["/ResourceTypes", "/Schemas"])
async def test_each_description_is_listed_and_read_by_its_id(client: Client, path: str) -> None:
    listed = await client.get(path)
    assert listed["totalResults"] == listed["itemsPerPage"] == len(listed["Resources"]) > 0
    for item in listed["Resources"]:
        assert await client.get(f"{path}/{item['id']}") == item
        assert item["meta"]["location"] == f"https://app.example/scim{path}/{item['id']}"
    await client.get(f"{path}/none", 404)


@pytest.mark.req("REQ-S-323", "REQ-S-328")
async def test_every_schema_that_a_resource_type_names_can_be_read(client: Client) -> None:
    types = {item["name"]: item for item in (await client.get("/ResourceTypes"))["Resources"]}
    assert types["User"]["schema"] == CORE
    assert {"schema": ENTERPRISE, "required": False} in types["User"]["schemaExtensions"]
    assert types["Group"]["schema"] == GROUP
    for item in types.values():
        for urn in (item["schema"], *(extension["schema"] for extension in item["schemaExtensions"])):
            assert (await client.get(f"/Schemas/{urn}"))["id"] == urn
        assert (await client.get(item["endpoint"]))["totalResults"] == 0
    assert (await client.get(f"/Schemas/{ENTERPRISE}"))["name"] == "EnterpriseUser"


@pytest.mark.req("REQ-S-324")
@pytest.mark.parametrize("urn", SCHEMAS)
async def test_a_published_schema_is_that_of_the_rfc(client: Client, urn: str) -> None:
    document = await client.get(f"/Schemas/{urn}")
    assert dict(described(document["attributes"])) == SCHEMAS[urn]
    assert "null" not in json.dumps(document)


@pytest.mark.req("REQ-S-325")
@pytest.mark.parametrize("path", ["/Schemas", "/ResourceTypes"])
async def test_descriptions_cannot_be_filtered_and_ignore_what_else_is_asked(client: Client, path: str) -> None:
    for filter_ in ('id eq "x"', ""):
        await client.get(path, 403, params={"filter": filter_})
    everything = await client.get(path)
    assert await client.get(f"{path}?startIndex=2&count=1&attributes=id&sortBy=name&excludedAttributes=x") == everything


@pytest.mark.req("REQ-S-326")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/ServiceProviderConfig",
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/Schemas",
        f"/Schemas/{CORE}",
        "/Schemas/none",
    ],
)
async def test_descriptions_can_only_be_read(client: Client, method: str, path: str) -> None:
    answer = await client.http.request(method, path, json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.req("REQ-S-327")
async def test_the_schemas_of_messages_are_not_listed(client: Client) -> None:
    listed = [schema["id"] for schema in (await client.get("/Schemas"))["Resources"]]
    assert set(listed) >= {CORE, GROUP, ENTERPRISE}
    assert not any("api:messages" in urn for urn in listed)
    await client.get("/Schemas/urn:ietf:params:scim:api:messages:2.0:Error", 404)


@pytest.mark.req("REQ-S-329")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_token_that_is_nobodys_own_account_has_no_me(client: Client, method: str) -> None:
    await client.user()
    answer = await client.http.request(method, "/Me", json={"userName": "me"})
    assert (answer.status_code, answer.json()["status"]) == (501, "501")
    assert (await client.get("/Users"))["totalResults"] == 1
