"""The OpenAPI document as it is served, and the endpoint held to it by a tool that knows nothing else of SCIM."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.parallel import administer, application_servers
from tests.processes import Server, fetch
from tests.scim_client import CORE, GROUP, Client
from tests.services import PostgreSQL

THING: Final = "urn:example:schemas:Thing"
THING_SCHEMA: Final[dict[str, Any]] = {
    "id": THING,
    "name": "Thing",
    "attributes": [
        {"name": "label", "required": True, "uniqueness": "server"},
        {"name": "size", "type": "decimal"},
        {"name": "since", "type": "dateTime"},
        {
            "name": "parts",
            "type": "complex",
            "multiValued": True,
            "subAttributes": [{"name": "code", "type": "integer"}],
        },
    ],
}
THING_TYPE: Final[dict[str, Any]] = {"name": "Thing", "endpoint": "/Things", "schema": THING, "schemaExtensions": []}
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
"""Not whether what fits the schema is accepted, nor whether what does not is refused: filters and references have rules
that no schema tells, and the RFC wants unknown attributes ignored."""
GENERATED: Final = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


async def test_the_document_is_valid_and_knows_new_types_at_once(client: Client) -> None:
    answer = await client.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    before = answer.json()
    validate(before)
    assert "/Things" not in before["paths"]
    await client.side.connections.define("default", "Schema", THING_SCHEMA)
    await client.side.connections.define("default", "ResourceType", THING_TYPE)
    after = (await client.http.get("/openapi.json")).json()
    validate(after)
    assert after["paths"].keys() - before["paths"].keys() == {"/Things", "/Things/.search", "/Things/{id}"}
    assert after["servers"] == [{"url": str(client.http.base_url).rstrip("/")}]


async def test_it_is_for_those_who_have_a_credential(client: Client) -> None:
    assert (await client.http.get("/openapi.json", headers={"Authorization": "Bearer none"})).status_code == 401
    assert (await client.http.post("/openapi.json", json={})).status_code == 405
    assert (await client.http.get("/openapi.json/more")).status_code == 404
    assert (await client.http.head("/openapi.json")).status_code == 200


async def test_what_is_described_is_there_and_what_is_not_is_refused(client: Client) -> None:
    user = await client.post("/Users", {"schemas": [CORE], "userName": "ada"})
    mine, _ = await client.side.tokens.create("default", user_id=user["id"])
    client.http.headers["Authorization"] = f"Bearer {mine}"
    paths = (await client.http.get("/openapi.json")).json()["paths"]
    for path, described in paths.items():
        url = path.replace("{id}", user["id"]).replace("{name}", CORE if path.startswith("/Schemas") else "User")
        for method in METHODS:
            answer = await client.http.request(method, url, json={})
            if method.lower() not in described:
                assert answer.status_code == 405, (method, path)
                assert method not in answer.headers["allow"]
            else:
                assert answer.status_code != 405, (method, path)
                assert str(answer.status_code) in described[method.lower()]["responses"], (method, path)


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "sqlite":
        with application_servers(tmp_path, None, 1) as (started,):
            yield started
        return
    postgresql: PostgreSQL = request.getfixturevalue("postgresql")
    with postgresql.new_database() as url, application_servers(tmp_path, url, 1) as (started,):
        yield started


@pytest.mark.parametrize("profile", ["lenient", "strict"])
def test_every_answer_is_as_described_whatever_is_sent(server: Server, profile: str) -> None:
    base = f"{server.url}/scim"
    administer(server, "/connections", {"name": "described", "settings": {"profile": profile}})
    administer(server, "/connections/described/schemas", THING_SCHEMA)
    administer(server, "/connections/described/resource-types", THING_TYPE)
    writer = administer(server, "/tokens", {"connection": "described"})["token"]
    user = fetch(f"{base}/Users", writer, {"schemas": [CORE], "userName": "ada"})["id"]
    token = administer(server, "/tokens", {"connection": "described", "userId": user})["token"]
    ids = [user, fetch(f"{base}/Things", writer, {"schemas": [THING], "label": "a"})["id"]]
    ids.append(
        fetch(f"{base}/Groups", writer, {"schemas": [GROUP], "displayName": "a", "members": [{"value": user}]})["id"]
    )
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_dict(fetch(f"{base}/openapi.json", token))
    chosen = random.Random(1)
    statuses: set[int] = set()

    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @GENERATED
        @given(case=operation.as_strategy())
        def ask(case: "schemathesis.Case[Any]") -> None:
            if "id" in case.path_parameters and chosen.random() < 0.7:
                case.path_parameters["id"] = chosen.choice(ids)
            answer = case.call(base_url=base, headers=headers)
            statuses.add(answer.status_code)
            case.validate_response(answer, checks=CHECKS, headers=headers)

        ask()
    assert {200, 201, 204, 400, 404} <= statuses
