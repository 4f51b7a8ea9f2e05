"""Collections of the Graph-shaped API: options, pages, counts, and the routes beside the plain ones."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.graph_client import ORIGIN, Graph, opened_graph


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[Graph]:
    async with opened_graph(tmp_path) as opened:
        yield opened


async def pages(graph: Graph, path: str, **query: str) -> list[list[str]]:
    """The ids of every page, by following the links as they are."""
    found, page = [], await graph.get(path, 200, **query)
    while True:
        found.append([item["id"] for item in page["value"]])
        link = page.get("@odata.nextLink")
        if link is None:
            return found
        assert link.startswith(ORIGIN)
        page = await graph.ask("GET", link)


@pytest.mark.parametrize("top", [1, 2, 3, 4, 5])
async def test_a_filtered_collection_is_paged_without_gap_or_repetition(graph: Graph, top: int) -> None:
    wanted = [await graph.add_user(f"u{number}", city="O'slo & more") for number in range(4)]
    for number in range(5):
        await graph.add_user(f"other{number}")
    found = await pages(graph, "/users", filter="city eq 'o''slo & MORE'", select="id", top=str(top))
    assert sorted(id_ for page in found for id_ in page) == sorted(wanted)
    assert [len(page) for page in found[:-1]] == [top] * (len(found) - 1)


async def test_a_count_is_of_all_matches_not_of_the_page(graph: Graph) -> None:
    for number in range(3):
        await graph.add_user(f"u{number}", city="Oslo")
    leaver = await graph.add_user("leaver", city="Oslo")
    await graph.add_user("other")
    await graph.ask("DELETE", f"/users/{leaver}", status=204)
    assert (await graph.get("/users", count="true", top="1"))["@odata.count"] == 4
    assert (await graph.get("/users", count="true", top="1", filter="city eq 'Oslo'"))["@odata.count"] == 3
    assert (await graph.get("/users", count="true", filter="userPrincipalName eq 'nobody'"))["@odata.count"] == 0
    assert "@odata.count" not in await graph.get("/users", count="false")
    await graph.refused("/users", count="perhaps")


@pytest.mark.parametrize("path", ["/users", "/groups", "/servicePrincipals", "/applicationTemplates"])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"select": "id,shoeSize"}, "shoeSize"),
        ({"filter": "shoeSize eq '44'"}, "shoeSize"),
        ({"search": '"displayName:x"'}, "$search"),
        ({"expand": "manager"}, "$expand"),
        ({"top": "1000"}, "$top"),
        ({"top": "9" * 5000}, "$top"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    graph: Graph, path: str, query: dict[str, str], said: str
) -> None:
    _, message = await graph.refused(path, **query)
    assert said in message


async def test_imported_properties_can_be_asked_for_by_name(graph: Graph) -> None:
    await graph.refused("/users", select="shoeSize")
    content = b"upn,shoeSize\na@x,44\nb@x,\n"
    await graph.ask("POST", f"/directory/joiner.import?usersBytes={len(content)}", content=content)
    found = (await graph.get("/users", select="shoesize,userPrincipalName", filter="shoeSize eq '44'"))["value"]
    assert [(user["userPrincipalName"], user["shoesize"]) for user in found] == [("a@x", "44")]


async def test_applications_and_templates_are_ordered_skipped_and_paged(graph: Graph) -> None:
    templates = await graph.get("/applicationTemplates", orderby="displayName desc")
    names = [template["displayName"] for template in templates["value"]]
    assert names == sorted(names, key=str.casefold, reverse=True)
    rest = await graph.get("/applicationTemplates", orderby="displayName desc", skip="2")
    assert [template["displayName"] for template in rest["value"]] == names[2:]
    found = await pages(graph, "/applicationTemplates", top="2", filter="categories/any(c:contains(c,'tool'))")
    assert sum(map(len, found)) == len(names)
    assert all(len(page) == 2 for page in found[:-1])
    await graph.refused("/applicationTemplates", orderby="publisher")


async def test_an_application_is_read_under_all_its_ids(graph: Graph) -> None:
    made = await graph.ask("POST", "/applicationTemplates/alvao/instantiate", {"displayName": "ALVAO"}, 201)
    application, principal = made["application"], made["servicePrincipal"]
    for path in (f"/applications/{application['id']}", f"/Applications(appId='{application['appId']}')"):
        assert (await graph.get(path))["id"] == application["id"]
    for path in (f"/servicePrincipals/{principal['id']}", f"/servicePrincipals(appId='{principal['appId']}')/"):
        assert (await graph.get(path))["id"] == principal["id"]
    found = await graph.get("/servicePrincipals", filter=f"appId eq '{principal['appId']}'", select="displayName")
    assert found["value"] == [{"id": principal["id"], "displayName": "ALVAO"}]
    await graph.get(f"/applications/{principal['id']}", 404)


async def test_an_application_with_jobs_stays_and_one_without_takes_its_secrets_along(graph: Graph) -> None:
    made = await graph.ask("POST", "/applicationTemplates/alvao/instantiate", {"displayName": "ALVAO"}, 201)
    id_ = made["servicePrincipal"]["id"]
    db = graph.store.db
    await db.write(lambda c: c.execute("INSERT INTO secret VALUES (?, 'SecretToken', x'00')", (id_,)).rowcount)
    await graph.ask("DELETE", f"/servicePrincipals/{id_}", status=204)
    await graph.get(f"/servicePrincipals/{id_}", 404)
    assert db.reader.execute("SELECT count(*) FROM secret").fetchone()[0] == 0


async def test_members_are_bound_all_or_none(graph: Graph) -> None:
    first, second = await graph.add_user("first"), await graph.add_user("second")
    urls = [f"{ORIGIN}/v1.0/directoryObjects/{id_}" for id_ in (first, second)]
    group = await graph.add_group("Team", **{"members@odata.bind": urls[:1]})
    path = f"/groups/{group}"
    await graph.ask("PATCH", path, {"members@odata.bind": [urls[1], urls[0]]}, 400)
    assert len((await graph.get(f"{path}/members"))["value"]) == 1
    await graph.ask("PATCH", path, {"description": "All", "members@odata.bind": urls[1:]}, 204)
    members = (await graph.get(f"{path}/members", select="id,userPrincipalName"))["value"]
    assert {member["id"] for member in members} == {first, second}
    assert (await graph.get(path))["description"] == "All"
    await graph.ask("PATCH", path, {"members@odata.bind": urls * 11}, 400)
    await graph.ask("PATCH", path, {"members@odata.bind": "x"}, 400)


async def test_a_member_is_removed_by_segment_or_by_address(graph: Graph) -> None:
    first, second = await graph.add_user("first"), await graph.add_user("second")
    urls = [f"{ORIGIN}/v1.0/directoryObjects/{id_}" for id_ in (first, second)]
    members = f"/groups/{await graph.add_group('Team', **{'members@odata.bind': urls})}/members"
    await graph.ask("DELETE", f"{members}/{first}/%24ref", status=204)
    await graph.ask("DELETE", f"{members}/$ref", status=204, params={"@id": urls[1]})
    assert (await graph.get(members))["value"] == []
    await graph.ask("DELETE", f"{members}/$ref", status=404, params={"@id": urls[1]})
    await graph.ask("DELETE", f"{members}/$ref", status=400)


async def test_a_deleted_member_is_hidden_until_it_is_restored(graph: Graph) -> None:
    user = await graph.add_user("dana")
    reference = {"@odata.id": f"{ORIGIN}/v1.0/users/{user}"}
    members = f"/groups/{await graph.add_group('Team')}/members"
    await graph.ask("POST", f"{members}/$ref", reference, 204)
    await graph.ask("DELETE", f"/users/{user}", status=204)
    assert (await graph.get(members))["value"] == []
    await graph.ask("POST", f"/groups/{await graph.add_group('Crew')}/members/$ref", reference, 404)
    restored = await graph.ask("POST", f"/directory/deletedItems/{user}/restore")
    assert restored["@odata.type"] == "#microsoft.graph.user"
    assert [member["id"] for member in (await graph.get(members))["value"]] == [user]


@pytest.mark.parametrize("cast", ["group", "application", "servicePrincipal"])
async def test_the_recycle_bin_of_other_kinds_is_empty(graph: Graph, cast: str) -> None:
    assert (await graph.get(f"/directory/deletedItems/microsoft.graph.{cast}"))["value"] == []


@pytest.mark.parametrize(
    ("method", "path", "content", "said"),
    [
        ("POST", "/users", b"{", "not JSON"),
        ("POST", "/users", b"[]", "JSON object"),
        ("PUT", "/users/{user}/manager/$ref", b"nonsense", "not JSON"),
        ("PUT", "/users/{user}/manager/$ref", b"{}", "@odata.id"),
        ("PUT", "/users/{user}/manager/$ref", b'{"@odata.id": 5}', "@odata.id"),
        ("PATCH", "/users/{user}", b'{"userPrincipalName": "no address"}', "alias@domain"),
        ("PATCH", "/users/{user}", b'{"onPremisesExtensionAttributes": {"extensionAttribute16": "x"}}', "Attribute16"),
        ("PATCH", "/users/{user}", b'{"otherMails": "x"}', "otherMails"),
        ("POST", "/groups", b'{"displayName": "x", "groupTypes": ["Unified"]}', "groupTypes"),
        ("POST", "/groups", b'{"displayName": " "}', "displayName"),
        ("POST", "/directory/joiner.import", b"upn", "neither a users file"),
        ("POST", "/directory/joiner.import?usersBytes=x", b"upn", "usersBytes"),
        ("POST", "/directory/joiner.import?usersBytes=3&skipBadRows=yes", b"upn", "skipBadRows"),
        ("POST", "/directory/joiner.import?usersBytes=2&groupsBytes=0", b"upn", "longer"),
        ("POST", "/directory/joiner.import?usersBytes=3&groupsBytes=1", b"upn", "shorter"),
        ("POST", "/joiner.apiKeys", b'{"expiresInDays": 1e99}', "expiresInDays"),
        ("POST", "/joiner.apiKeys", b'{"expiresInDays": 99999999999}', "expiresInDays"),
    ],
)
async def test_a_body_that_cannot_be_is_refused_and_says_what_is_wrong(
    graph: Graph, method: str, path: str, content: bytes, said: str
) -> None:
    user = await graph.add_user("dana")
    answer = await graph.http.request(method, path.replace("{user}", user), content=content)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]["message"]


async def test_a_user_comes_back_as_it_was_sent(graph: Graph) -> None:
    sent: dict[str, Any] = {
        "businessPhones": ["+47 1"],
        "city": "Bodø",
        "faxNumber": "+47 2",
        "mail": "dana@fjord.example",
        "mobilePhone": "+47 3",
        "officeLocation": "2.14",
        "onPremisesExtensionAttributes": {"extensionAttribute1": "x"},
        "otherMails": ["d@x.example"],
        "userPrincipalName": "dana_other.example#EXT#@fjord.example",
    }
    user = await graph.add_user("dana", **sent)
    shown = await graph.get("/users/dana_other.example%23EXT%23@fjord.example", select=",".join(sent))
    assert shown == {"id": user, **sent}
    await graph.ask("PATCH", f"/users/{user}", dict.fromkeys(set(sent) - {"userPrincipalName"}), 204)
    shown = await graph.get(f"/users/{user}", select=",".join(sent))
    assert shown["businessPhones"] == []
    assert all(shown[name] is None for name in sent if name not in ("businessPhones", "userPrincipalName"))


@pytest.mark.parametrize(
    "path",
    [
        "/USERS",
        "/users/",
        "//users",
        "/Directory/DeletedItems/graph.user",
        "/Directory/deleteditems/microsoft.graph.USER",
    ],
)
async def test_addresses_are_read_generously(graph: Graph, path: str) -> None:
    assert (await graph.get(f"{ORIGIN}/v1.0{path}"))["value"] == []
    assert (await graph.get(f"{ORIGIN}/beta{path}"))["value"] == []


async def test_the_clients_request_id_comes_back(graph: Graph) -> None:
    answer = await graph.http.get("/users/nobody", headers={"client-request-id": "c1b2"})
    assert answer.headers["client-request-id"] == "c1b2"
    assert answer.headers["OData-Version"] == "4.0"
    assert answer.headers["Content-Type"].startswith("application/json")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "Request_ResourceNotFound")
    assert error["innerError"]["client-request-id"] == "c1b2"


@pytest.mark.req("REQ-P-008")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/users"),
        ("PATCH", "/users/x"),
        ("DELETE", "/users/x"),
        ("PUT", "/users/x/manager/$ref"),
        ("POST", "/groups/x/members/$ref"),
        ("DELETE", "/servicePrincipals/x"),
        ("POST", "/servicePrincipals/x/appRoleAssignedTo"),
        ("POST", "/directory/deletedItems/x/restore"),
        ("POST", "/directory/joiner.importExample"),
        ("POST", "/joiner.apiKeys"),
        ("DELETE", "/joiner.apiKeys/x"),
    ],
)
async def test_a_readers_key_changes_nothing(graph: Graph, method: str, path: str) -> None:
    key = (await graph.ask("POST", "/joiner.apiKeys", {"role": "reader"}, 201))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    error = (await graph.ask(method, path, {}, 403, headers=headers))["error"]
    assert error["code"] == "Authorization_RequestDenied"
    anonymous = await graph.http.request(method, path, json={}, headers={"Authorization": ""})
    assert (anonymous.status_code, anonymous.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert anonymous.json()["error"]["code"] == "InvalidAuthenticationToken"


async def test_the_example_company_is_imported_by_one_request(graph: Graph) -> None:
    report = await graph.ask("POST", "/directory/joiner.importExample")
    assert report["usersAdded"] == (await graph.get("/users", count="true", top="1"))["@odata.count"] >= 60
    assert (await graph.ask("POST", "/directory/joiner.importExample"))["usersUnchanged"] == report["usersAdded"]
    guests = await graph.get("/users", filter="userType eq 'Guest'", select="userPrincipalName")
    assert guests["value"]
    assert all("#EXT#@" in user["userPrincipalName"] for user in guests["value"])
