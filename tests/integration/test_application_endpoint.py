"""The SCIM endpoint over HTTP: creating, reading, replacing, deleting; tokens, bodies, addresses, discovery."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher

from joiner.application.endpoints.requests import MOST_BYTES
from tests.scim_client import CORE, ENTERPRISE, ENTRA_USER, GROUP, Client

# Representation, create, read


@pytest.mark.req("REQ-S-080", "REQ-S-001", "REQ-S-008", "REQ-S-009", "REQ-S-010", "REQ-S-013", "REQ-S-016")
async def test_what_entra_posts_is_created_and_comes_back_as_it_was_sent(client: Client) -> None:
    answer = await client.http.post("/Users", json=ENTRA_USER)
    assert answer.status_code == 201
    user = answer.json()
    assert user["schemas"] == [CORE, ENTERPRISE]
    for name in ("externalId", "userName", "displayName", "emails", "addresses", "phoneNumbers", "name", ENTERPRISE):
        assert user[name] == ENTRA_USER[name]
    assert "roles" not in user
    meta = user["meta"]
    assert meta["location"] == answer.headers["location"] == f"https://app.example/scim/Users/{user['id']}"
    assert meta["version"] == answer.headers["etag"]
    assert meta["created"] == meta["lastModified"]
    assert meta["resourceType"] == "User"
    assert await client.get(f"/Users/{user['id']}") == user


@pytest.mark.req("REQ-S-003", "REQ-S-006", "REQ-S-086", "REQ-S-087", "REQ-S-091", "REQ-S-026", "REQ-S-014")
async def test_what_only_the_server_writes_and_what_nobody_knows_is_ignored(client: Client) -> None:
    user = await client.post(
        "/Users",
        {
            "schemas": ["urn:foreign"],
            "id": "mine",
            "meta": {"version": "x"},
            "groups": [{"value": "g"}],
            "userName": "kim",
            "unknown": 1,
            "title": None,
            "emails": [],
        },
    )
    assert user["id"] != "mine"
    assert user["schemas"] == [CORE]
    assert not {"unknown", "groups", "title", "emails"} & set(user)


@pytest.mark.req("REQ-S-011", "REQ-S-012", "REQ-S-093", "REQ-S-092", "REQ-S-344")
async def test_names_in_any_case_and_booleans_as_text_are_understood(client: Client) -> None:
    user = await client.post(
        "/Users",
        {
            "username": "wrong",
            "userName": "kim",
            "ACTIVE": "False",
            "Emails": [{"Value": "a@x.example", "PRIMARY": "True"}],
            ENTERPRISE.upper(): {"Department": "R"},
        },
    )
    assert (user["userName"], user["active"]) == ("kim", False)
    assert user["emails"] == [{"value": "a@x.example", "primary": True}]
    assert user[ENTERPRISE] == {"department": "R"}


@pytest.mark.req("REQ-S-088", "REQ-S-023", "REQ-S-024")
async def test_active_is_true_by_default_and_a_password_is_kept_as_a_slow_hash_only(client: Client) -> None:
    user = await client.user(password="s3cret")
    assert user["active"] is True
    changed = await client.patch(f"/Users/{user['id']}", {"op": "add", "path": "password", "value": "s3cret"})
    replaced = await client.put(f"/Users/{user['id']}", {"userName": "kim", "password": "s3cret"})
    assert not any("password" in answer for answer in (user, changed, replaced))
    kept = [await client.rows(f"SELECT * FROM {table}") for table in ("resource", "event", "password")]
    assert "s3cret" not in str(kept)
    [(_, hashed)] = kept[-1]
    assert hashed.startswith("$argon2id$")
    assert PasswordHasher().verify(hashed, "s3cret")


@pytest.mark.req("REQ-S-081", "REQ-S-099", "REQ-S-021", "REQ-S-256", "REQ-S-342")
@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/Users", {}, "userName"),
        ("/Users", {"userName": "  "}, "userName"),
        ("/Groups", {"members": []}, "displayName"),
        ("/Users", {"userName": "k", "active": "maybe"}, "active"),
        ("/Users", {"userName": ["a", "b"]}, "userName"),
        ("/Users", {"userName": {"a": 1}}, "userName"),
        ("/Users", {"userName": "k", "name": "text"}, "name"),
        ("/Users", {"userName": "k\x00"}, "userName"),
        ("/Users", {"userName": "k", "emails": [{"value": v, "primary": True} for v in "ab"]}, "emails"),
        ("/Users", {"userName": "k", "x509Certificates": [{"value": "not base64!"}]}, "x509Certificates"),
        ("/Groups", {"displayName": "g", "members": [{"display": "x"}]}, "members"),
    ],
)  # fmt: skip
async def test_a_value_that_cannot_be_is_refused_and_named(client: Client, path: str, body: Any, named: str) -> None:
    error = await client.post(path, body, 400)
    assert error["scimType"] == "invalidValue"
    assert named in error["detail"]
    assert (await client.get(path))["totalResults"] == 0


@pytest.mark.req("REQ-S-082", "REQ-S-083", "REQ-S-084", "REQ-S-085", "REQ-S-100", "REQ-S-257", "REQ-S-207", "REQ-S-340")
async def test_names_are_unique_without_regard_to_case_and_free_again_after_deletion(client: Client) -> None:
    kim = await client.user("Kim@x.example", active=False)
    for name in ("kim@X.EXAMPLE", "Ｋim@x.example"):
        assert (await client.post("/Users", {"userName": name}, 409))["scimType"] == "uniqueness"
    other = await client.user("other")
    taken = {"op": "replace", "path": "userName", "value": "KIM@x.example"}
    await client.patch(f"/Users/{other['id']}", taken, status=409)
    await client.put(f"/Users/{other['id']}", {"userName": "KIM@x.example"}, 409)
    assert (await client.patch(f"/Users/{kim['id']}", taken))["userName"] == "KIM@x.example"
    await client.group("Team")
    await client.post("/Groups", {"displayName": "TEAM"}, 409)
    await client.delete(f"/Users/{kim['id']}")
    assert (await client.user("kim@x.example"))["id"] != kim["id"]


@pytest.mark.req("REQ-S-095", "REQ-S-094")
async def test_the_same_external_id_and_random_strings_are_accepted_twice(client: Client) -> None:
    for name in ("a", "b"):
        user = await client.user(
            name,
            externalId="same",
            locale="qq-random",
            emails=[{"type": "work", "value": "1"}, {"type": "work", "value": "2"}],
        )
        assert len(user["emails"]) == 2
    assert (await client.get("/Users", params={"filter": 'externalId eq "same"'}))["totalResults"] == 2


@pytest.mark.req("REQ-S-112", "REQ-S-111", "REQ-S-280", "REQ-S-281", "REQ-S-267")
async def test_inactive_users_are_found_and_deleted_ones_are_not(client: Client) -> None:
    user = await client.user(active=False)
    path = f"/Users/{user['id']}"
    assert (await client.get(path))["active"] is False
    await client.delete(path)
    await client.get(path, 404)
    await client.delete(path, 404)
    await client.put(path, {"userName": "kim"}, 404)
    await client.patch(path, {"op": "replace", "path": "active", "value": True}, status=404)
    assert (await client.get("/Users"))["totalResults"] == 0


@pytest.mark.req("REQ-S-284", "REQ-S-285", "REQ-S-286")
async def test_versions_guard_reads_and_writes(client: Client) -> None:
    user = await client.user()
    path, tag = f"/Users/{user['id']}", user["meta"]["version"]
    assert await client.get(path, 304, headers={"If-None-Match": tag}) is None
    rename = {"op": "replace", "path": "displayName", "value": "New"}
    changed = await client.patch(path, rename, headers={"If-Match": tag})
    assert changed["meta"]["version"] != tag
    await client.get(path, 200, headers={"If-None-Match": tag})
    await client.patch(path, rename, status=412, headers={"If-Match": tag})
    await client.delete(path, 412, headers={"If-Match": tag})
    await client.delete(path, headers={"If-Match": "*"})


# PUT


@pytest.mark.req("REQ-S-200", "REQ-S-202", "REQ-S-204", "REQ-S-205", "REQ-S-208", "REQ-S-210")
async def test_put_replaces_everything_but_active_and_what_the_server_owns(client: Client) -> None:
    user = await client.post("/Users", {**ENTRA_USER, "active": False})
    path = f"/Users/{user['id']}"
    replaced = await client.put(path, {"id": "x", "meta": {}, "groups": [], "userName": "new", "title": "T"})
    assert (replaced["id"], replaced["userName"], replaced["title"], replaced["active"]) == (
        user["id"],
        "new",
        "T",
        False,
    )
    assert not {"emails", "name", ENTERPRISE} & set(replaced)
    assert (await client.put(path, {"userName": "new", "title": "T"}))["meta"] == replaced["meta"]
    await client.put(path, {"title": "T"}, 400)
    assert (await client.put(path, {"userName": "new", "active": True}))["active"] is True


@pytest.mark.req("REQ-S-209", "REQ-S-025")
async def test_put_of_a_group_sets_its_members_in_both_directions(client: Client) -> None:
    ann, ben = await client.user("ann"), await client.user("ben")
    team = await client.group("Team", ann["id"])
    await client.put(
        f"/Groups/{team['id']}", {"displayName": "Crew", "members": [{"value": ben["id"], "display": "B"}]}
    )
    assert await client.members(team["id"]) == {ben["id"]}
    assert "groups" not in await client.get(f"/Users/{ann['id']}")
    [group] = (await client.get(f"/Users/{ben['id']}"))["groups"]
    assert (group["value"], group["display"], group["type"]) == (team["id"], "Crew", "direct")


# HTTP


@pytest.mark.req("REQ-S-060", "REQ-A-002")
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic abc", "Bearer", "bearer  "])
async def test_without_a_valid_token_nothing_is_answered(client: Client, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    client.http.headers.pop("Authorization")
    answer = await client.http.get("/Users", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["status"] == "401"


@pytest.mark.req("REQ-S-062", "REQ-S-063", "REQ-A-004", "REQ-A-007")
async def test_tokens_rotate_expire_and_are_revoked(client: Client) -> None:
    second, record = await client.side.tokens.create(expires_in=timedelta(days=1))
    headers = {"Authorization": f"Bearer {second}"}
    await client.get("/Users")
    await client.get("/Users", headers=headers)
    client.clock.move(timedelta(days=1))
    await client.get("/Users", 401, headers=headers)
    await client.side.tokens.revoke(client.token_id)
    await client.get("/Users", 401)
    assert second not in str(await client.rows("SELECT * FROM token"))
    assert record.hint == second[-4:]


@pytest.mark.req("REQ-S-068", "REQ-S-069", "REQ-A-008", "REQ-A-087")
async def test_another_connection_sees_and_clashes_with_nothing_of_this_one(client: Client) -> None:
    kim = await client.user("kim")
    token, _ = await client.side.tokens.create("other")
    other = {"Authorization": f"Bearer {token}"}
    await client.get(f"/Users/{kim['id']}", 404, headers=other)
    await client.delete(f"/Users/{kim['id']}", 404, headers=other)
    assert (await client.get("/Users", headers=other))["totalResults"] == 0
    await client.post("/Users", {"userName": "kim"}, headers=other)


@pytest.mark.req("REQ-S-045", "REQ-S-046", "REQ-S-047", "REQ-S-326", "REQ-S-329")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Nothing", 404),
        ("GET", "/Users/a/b", 404),
        ("PUT", "/Users", 405),
        ("POST", "/Users/x", 405),
        ("POST", "/Schemas", 405),
        ("DELETE", "/ResourceTypes/User", 405),
        ("GET", "/Bulk", 405),
        ("GET", "/Me", 501),
        ("GET", "/Users/.search", 405),
        ("POST", "/.search", 400),
        ("GET", "/Schemas/urn:nothing", 404),
        ("GET", "/Users/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
    ],
)
async def test_what_is_not_offered_is_told_in_scim(client: Client, method: str, path: str, status: int) -> None:
    answer = await client.http.request(method, path, json={} if method in ("PUT", "POST") else None)
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == str(status)
    assert ("allow" in answer.headers) is (status == 405)


@pytest.mark.req("REQ-S-040", "REQ-S-042", "REQ-S-043", "REQ-S-044", "REQ-S-343", "REQ-S-342")
@pytest.mark.parametrize(
    ("content", "content_type", "status", "scim_type"),
    [
        (b'{"userName": "a"}', "application/json; charset=utf-8", 201, None),
        (b'{"userName": "a"}', "application/scim+json", 201, None),
        (b'{"userName": "a"}', "", 201, None),
        (b"<user/>", "text/xml", 415, None),
        (b"not json", "application/json", 400, "invalidSyntax"),
        (b"[1]", "application/json", 400, "invalidSyntax"),
        (b"", "application/json", 400, "invalidSyntax"),
        (b'{"userName": "\xff"}', "application/json", 400, "invalidSyntax"),
        (rb'{"userName": "\ud800"}', "application/json", 400, "invalidValue"),
        (b'{"userName": "a", "x": ' + b"[" * 500 + b"]" * 500 + b"}", "application/json", 400, "invalidSyntax"),
        (b'{"a":' * 100_000, "application/json", 400, "invalidSyntax"),
    ],
)
async def test_bodies_of_every_kind(
    client: Client, content: bytes, content_type: str, status: int, scim_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await client.http.post("/Users", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json().get("scimType") == scim_type


@pytest.mark.req("REQ-S-054")
async def test_a_body_over_the_limit_is_refused_before_it_is_read(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MOST_BYTES // 65536 + 2):
            yield b" " * 65536

    assert (await client.http.post("/Users", content=endless())).status_code == 413
    huge = await client.http.post("/Users", content=b"{}", headers={"Content-Length": str(MOST_BYTES + 1)})
    assert huge.status_code == 413


@pytest.mark.req("REQ-S-048", "REQ-S-049", "REQ-S-050", "REQ-S-051", "REQ-A-001")
@pytest.mark.parametrize(
    "path",
    [
        "/scim/users",
        "/scim//Users/",
        "/scim/v2/Users",
        "/scim/Users?aadOptscim062020",
        "/scim/Users?filter=userName+eq+%22kim%22",
        "/scim/Users?FILTER=userName%20eq%20%22kim%22",
    ],
)
async def test_every_spelling_of_the_address_reaches_the_users(client: Client, path: str) -> None:
    await client.user("kim")
    answer = await client.http.get(f"https://app.example{path}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["totalResults"] == 1
    assert answer.json()["Resources"][0]["meta"]["location"].startswith("https://app.example/scim")


# Discovery


@pytest.mark.req("REQ-S-320", "REQ-S-322", "REQ-S-323", "REQ-S-324", "REQ-S-325", "REQ-S-327", "REQ-S-328", "REQ-S-022")
async def test_the_endpoint_describes_itself_truthfully(client: Client) -> None:
    config = await client.get("/ServiceProviderConfig")
    for feature in ("patch", "bulk", "filter", "sort", "etag", "changePassword"):
        assert config[feature]["supported"] is True
    assert config["pagination"] == {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 1000,
        "cursorTimeout": 3600,
    }
    assert config["authenticationSchemes"][0]["type"] == "oauthbearertoken"
    types = await client.get("/ResourceTypes")
    assert {item["name"]: item["endpoint"] for item in types["Resources"]} == {"User": "/Users", "Group": "/Groups"}
    assert await client.get("/ResourceTypes/User") == types["Resources"][0]
    schemas = {schema["id"]: schema for schema in (await client.get("/Schemas"))["Resources"]}
    assert set(schemas) == {CORE, GROUP, ENTERPRISE}
    for item in types["Resources"]:
        for urn in (item["schema"], *(extension["schema"] for extension in item["schemaExtensions"])):
            assert await client.get(f"/Schemas/{urn}") == schemas[urn]
    assert "null" not in json.dumps(schemas)
    attributes = {attribute["name"]: attribute for attribute in schemas[CORE]["attributes"]}
    assert attributes["userName"]["required"] is True
    assert attributes["userName"]["uniqueness"] == "server"
    assert "primary" in {sub["name"] for sub in attributes["addresses"]["subAttributes"]}
    await client.get("/Schemas?filter=id pr", 403)


@pytest.mark.req("REQ-S-346")
async def test_every_change_is_in_the_history_with_the_names_of_what_changed(client: Client) -> None:
    user = await client.user(title="A")
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "B"})
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "B"})
    await client.delete(f"/Users/{user['id']}")
    events = (await client.side.events.page(0)).events
    assert [(event["verb"], " ".join(event["attributes"])) for event in events] == [
        ("create", "userName title active"),
        ("update", "title"),
        ("delete", ""),
    ]
