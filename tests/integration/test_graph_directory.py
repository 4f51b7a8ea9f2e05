"""The Graph-shaped API of the directory, as Graph's clients use it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from joiner.clock import system_clock
from joiner.directory.api_keys import ApiKeys, Principal
from joiner.directory.store import MIGRATIONS, DirectoryStore
from joiner.graph.endpoint import graph_routes
from joiner.provisioning.side import MIGRATIONS as ENGINE_MIGRATIONS
from joiner.storage.sqlite import Database
from joiner.tokens import bearer_token


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    db = Database(tmp_path / "directory.db", {"directory": MIGRATIONS, "provisioning": ENGINE_MIGRATIONS})
    keys = ApiKeys(db, system_clock)

    def authenticate(header: str | None) -> Principal | None:
        token = bearer_token(header)
        return Principal("root", "admin") if token == "root" else keys.authenticate(token) if token else None

    routes = graph_routes(DirectoryStore(db, system_clock), keys, authenticate, [])
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    headers = {"Authorization": "Bearer root"}
    async with httpx.AsyncClient(transport=transport, base_url="https://graph.example/v1.0", headers=headers) as client:
        yield client
    db.close()


async def ask(http: httpx.AsyncClient, method: str, path: str, body: Any = None, status: int = 200, **kw: Any) -> Any:
    answer = await http.request(method, path, json=body, **kw)
    assert answer.status_code == status, answer.text
    assert answer.headers["request-id"]
    return answer.json() if answer.content else None


async def make_user(http: httpx.AsyncClient, name: str = "dana", **more: Any) -> dict[str, Any]:
    body = {
        "accountEnabled": True,
        "displayName": name.title(),
        "mailNickname": name,
        "userPrincipalName": f"{name}@contoso.example",
        "passwordProfile": {"password": "n0t-a-real-0ne!"},
        **more,
    }
    made: dict[str, Any] = await ask(http, "POST", "/users", body, 201)
    return made


async def test_a_user_is_made_read_changed_deleted_restored_and_purged(http: httpx.AsyncClient) -> None:
    user = await make_user(http, businessPhones=["+1"], officeLocation="O", department="D", mobilePhone="+2")
    assert user["businessPhones"] == ["+1"]
    assert "department" not in user
    path = f"/users/{user['id']}"
    full = await ask(http, "GET", f"{path}?$select=department,accountEnabled,mobilePhone,faxNumber")
    assert full == {"id": user["id"], "department": "D", "accountEnabled": True, "mobilePhone": "+2", "faxNumber": None}
    await ask(http, "PATCH", path, {"jobTitle": "Boss", "department": None, "accountEnabled": False}, 204)
    full = await ask(http, "GET", "/users/DANA@contoso.example?%24select=jobTitle,department,accountEnabled")
    assert (full["jobTitle"], full["department"], full["accountEnabled"]) == ("Boss", None, False)
    await ask(http, "DELETE", path, status=204)
    await ask(http, "GET", path, status=404)
    [deleted] = (await ask(http, "GET", "/directory/deleteditems/microsoft.graph.user"))["value"]
    assert deleted["userPrincipalName"] == user["id"].replace("-", "") + "dana@contoso.example"
    await ask(http, "POST", f"/directory/deletedItems/{user['id']}/restore")
    await ask(http, "DELETE", path, status=204)
    await ask(http, "DELETE", f"/directory/deletedItems/{user['id']}", status=204)
    await ask(http, "GET", f"/directory/deletedItems/{user['id']}", status=404)


async def test_a_second_user_of_the_same_name_is_refused_in_the_words_that_clients_compare(
    http: httpx.AsyncClient,
) -> None:
    await make_user(http)
    body = {"accountEnabled": True, "displayName": "x", "userPrincipalName": "DANA@contoso.example"}
    error = await ask(http, "POST", "/users", body, 400)
    assert error["error"]["code"] == "Request_BadRequest"
    assert (
        error["error"]["message"] == "Another object with the same value for property userPrincipalName already exists."
    )
    assert error["error"]["innerError"]["request-id"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"displayName": "x", "accountEnabled": True}, "userPrincipalName"),
        ({"userPrincipalName": "x", "displayName": "x", "accountEnabled": "yes"}, "accountEnabled"),
        ({"userPrincipalName": "x", "displayName": 5, "accountEnabled": True}, "displayName"),
        ({"userPrincipalName": "x", "displayName": "x", "accountEnabled": True, "shoe": 1}, "shoe"),
        ({"userPrincipalName": "x", "displayName": "x", "accountEnabled": True, "id": "1"}, "id"),
        (
            {"userPrincipalName": "x", "displayName": "x", "accountEnabled": True, "businessPhones": ["1", "2"]},
            "businessPhones",
        ),
    ],
)
async def test_a_property_that_cannot_be_is_refused_by_name(http: httpx.AsyncClient, body: Any, named: str) -> None:
    error = await ask(http, "POST", "/users", body, 400)
    assert named in error["error"]["message"]


async def test_pages_follow_the_next_link_to_everybody_once(http: httpx.AsyncClient) -> None:
    made = {(await make_user(http, f"u{number}"))["id"] for number in range(7)}
    seen: list[str] = []
    link: str | None = "/users?$top=3&$select=id"
    while link:
        page = await ask(http, "GET", link)
        seen += [user["id"] for user in page["value"]]
        link = page.get("@odata.nextLink")
        assert link is None or link.startswith("https://graph.example/v1.0/users?")
    assert len(seen) == len(set(seen)) == 7
    assert set(seen) == made
    await ask(http, "GET", "/users?$top=0", status=400)


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ("userPrincipalName eq 'U1@CONTOSO.example'", ["u1"]),
        ("displayName eq 'u1'", ["u1"]),
        ("startswith(displayName,'u') and not (displayName eq 'u1')", ["u0", "u2"]),
        ("department eq 'A' or displayName eq 'U2'", ["u0", "u2"]),
        ("displayName in ('u0','u1')", ["u0", "u1"]),
        ("accountEnabled eq false", []),
        ("displayName eq 'O''Neill'", []),
        ("contains(tolower(userPrincipalName),'u2')", ["u2"]),
    ],
)
async def test_filters(http: httpx.AsyncClient, filter_: str, found: list[str]) -> None:
    for number in range(3):
        await make_user(http, f"u{number}", **({"department": "A"} if number == 0 else {}))
    answer = await ask(http, "GET", "/users", params={"$filter": filter_})
    assert sorted(user["userPrincipalName"].partition("@")[0] for user in answer["value"]) == found


@pytest.mark.parametrize("filter_", ["displayName", "displayName eq", "x y 'z'", "(a eq 'b'", "a eq 'b' c", "'"])
async def test_a_filter_that_cannot_be_read_is_refused(http: httpx.AsyncClient, filter_: str) -> None:
    await make_user(http)
    await ask(http, "GET", "/users", status=400, params={"$filter": filter_})


async def test_managers_and_members_by_reference_urls(http: httpx.AsyncClient) -> None:
    boss, dana = await make_user(http, "boss"), await make_user(http, "dana")
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/users/{boss['id']}"}
    await ask(http, "GET", f"/users/{dana['id']}/manager", status=404)
    await ask(http, "PUT", f"/users/{dana['id']}/manager/$ref", reference, 204)
    assert (await ask(http, "GET", f"/users/{dana['id']}/manager"))["id"] == boss["id"]
    await ask(http, "DELETE", f"/users/{dana['id']}/manager/$ref", status=204)
    group = await ask(http, "POST", "/groups", {"displayName": "Team", "securityEnabled": True}, 201)
    members = f"/groups/{group['id']}/members"
    await ask(http, "POST", f"{members}/$ref", reference, 204)
    error = await ask(http, "POST", f"{members}/$ref", reference, 400)
    assert error["error"]["message"].startswith("One or more added object references already exist")
    [member] = (await ask(http, "GET", members))["value"]
    assert (member["@odata.type"], member["id"]) == ("#microsoft.graph.user", boss["id"])
    await ask(http, "DELETE", f"{members}/{boss['id']}", status=404)
    await ask(http, "DELETE", f"{members}/{boss['id']}/$ref", status=204)
    await ask(http, "DELETE", f"/groups/{group['id']}", status=204)


@pytest.mark.req("REQ-P-001")
async def test_an_application_is_added_from_the_gallery_and_assigned(http: httpx.AsyncClient) -> None:
    [template] = (await ask(http, "GET", "/applicationTemplates", params={"$filter": "displayName eq 'ALVAO'"}))[
        "value"
    ]
    made = await ask(http, "POST", f"/applicationTemplates/{template['id']}/instantiate", {"displayName": "ALVAO"}, 201)
    principal = made["servicePrincipal"]
    assert principal["applicationTemplateId"] == made["application"]["applicationTemplateId"] == template["id"]
    assert (await ask(http, "GET", f"/servicePrincipals(appId='{principal['appId']}')"))["id"] == principal["id"]
    dana = await make_user(http)
    assigned_to = f"/serviceprincipals//{principal['id']}/appRoleAssignedTo/"
    body = {
        "principalId": dana["id"],
        "resourceId": principal["id"],
        "appRoleId": "00000000-0000-0000-0000-000000000000",
    }
    assignment = await ask(http, "POST", assigned_to, body, 201)
    assert (assignment["principalType"], assignment["principalDisplayName"]) == ("User", "Dana")
    assert "already exists" in (await ask(http, "POST", assigned_to, body, 400))["error"]["message"]
    await ask(http, "POST", assigned_to, {**body, "principalId": "nobody"}, 404)
    await ask(http, "POST", assigned_to, {**body, "appRoleId": "nothing"}, 400)
    assert (await ask(http, "GET", assigned_to))["value"] == [assignment]
    assert await ask(http, "GET", assigned_to + assignment["id"]) == assignment
    await ask(http, "DELETE", assigned_to + assignment["id"], status=204)
    await ask(http, "POST", "/applicationTemplates/nothing/instantiate", {"displayName": "x"}, 404)


async def test_keys_open_the_api_and_readers_only_look(http: httpx.AsyncClient) -> None:
    made = await ask(http, "POST", "/joiner.apiKeys", {"role": "reader", "name": "dashboard"}, 201)
    reader = {"Authorization": f"Bearer {made['key']}"}
    await ask(http, "GET", "/users", headers=reader)
    error = await ask(http, "POST", "/users", {}, 403, headers=reader)
    assert error["error"]["code"] == "Authorization_RequestDenied"
    listed = (await ask(http, "GET", "/joiner.apiKeys"))["value"]
    assert made["key"] not in str(listed)
    await ask(http, "DELETE", f"/joiner.apiKeys/{made['id']}", status=204)
    await ask(http, "GET", "/users", status=401, headers=reader)
    await ask(http, "GET", "/users", status=401, headers={"Authorization": "nonsense"})
    await ask(http, "POST", "/joiner.apiKeys", {"role": "emperor"}, 400)


async def test_unknown_addresses_and_methods_are_told_in_graphs_shape(http: httpx.AsyncClient) -> None:
    assert (await ask(http, "GET", "/nothing", status=404))["error"]["code"] == "Request_ResourceNotFound"
    assert (await ask(http, "PUT", "/users", status=405))["error"]["code"] == "notAllowed"
    broken = await http.post("/users", content=b"{broken", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "Request_BadRequest")


async def test_an_import_that_is_refused_lists_every_line(http: httpx.AsyncClient) -> None:
    content = b"userPrincipalName,displayName\n,A\nb@x,B,C\n"
    path = f"/directory/joiner.import?usersBytes={len(content)}"
    error = (await ask(http, "POST", path, status=400, content=content))["error"]
    assert error["code"] == "ImportRefused"
    assert [detail["target"] for detail in error["details"]] == ["users line 2", "users line 3"]
    report = await ask(http, "POST", f"{path}&skipBadRows=true", content=content)
    assert len(report["leftOut"]) == 2


async def test_files_of_users_and_groups_come_in_one_body(http: httpx.AsyncClient) -> None:
    people, teams = b"upn\na@x\n", "group,member\nTým,a@x\n".encode()
    path = f"/directory/joiner.import?groupsBytes={len(teams)}&usersBytes={len(people)}"

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(people + teams), 3):
            yield (people + teams)[start : start + 3]

    report = await ask(http, "POST", path, content=in_pieces())
    assert (report["usersAdded"], report["groupsAdded"], report["membersAdded"]) == (1, 1, 1)
