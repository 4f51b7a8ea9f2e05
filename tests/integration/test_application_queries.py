"""Queries and projections of the SCIM endpoint."""

import pytest

from tests.scim_client import CORE, ENTERPRISE, ENTRA_USER, Client

# Queries


@pytest.mark.req("REQ-S-113", "REQ-S-118", "REQ-S-114", "REQ-S-134", "REQ-S-159", "REQ-S-147", "REQ-S-131", "REQ-S-135")
@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ('userName eq "3d1f6a52-9c1e-4b0a-8a55-0d3f0e7b9c11"', 0),
        ('userName eq "M.LOPEZ@fjord.example"', 1),
        ('USERNAME EQ "m.lopez@fjord.example"', 1),
        (f'{CORE}:userName eq "m.lopez@fjord.example"', 1),
        ('externalId eq "mlopez"', 1),
        ('externalId eq "MLOPEZ"', 0),
        ('displayName eq "marta lopez" and active eq true', 1),
        ('displayName eq "marta lopez" and active eq "False"', 0),
        ("userName eq 'm.lopez@fjord.example'", 1),
        ('userName eq "O\\u0027Malley \\"x\\" \\\\ é"', 0),
    ],
)
async def test_filters_that_clients_send(client: Client, filter_: str, found: int) -> None:
    await client.post("/Users", ENTRA_USER)
    answer = await client.get("/Users", params={"filter": filter_})
    assert (answer["totalResults"], len(answer["Resources"]), answer["itemsPerPage"]) == (found, found, found)


@pytest.mark.req("REQ-S-154")
async def test_the_reference_probe_works_in_both_orders(client: Client) -> None:
    boss, kim = await client.user("boss"), await client.user("kim")
    await client.patch(f"/Users/{kim['id']}", {"op": "Add", "path": "manager", "value": boss["id"]})
    team = await client.group("Team", kim["id"])
    a, b = f'id eq "{kim["id"]}"', f'manager eq "{boss["id"]}"'
    for filter_ in (f"{a} and {b}", f"{b} and {a}"):
        answer = await client.get("/Users", params={"filter": filter_, "attributes": "id"})
        assert [set(item) for item in answer["Resources"]] == [{"schemas", "id"}]
    probe = f'id eq "{team["id"]}" and members eq "{kim["id"]}"'
    assert (await client.get("/Groups", params={"filter": probe}))["totalResults"] == 1
    assert (await client.get("/Groups", params={"filter": 'members eq "nobody"'}))["totalResults"] == 0


@pytest.mark.req("REQ-S-148", "REQ-S-149", "REQ-S-156", "REQ-S-157", "REQ-S-158", "REQ-S-133", "REQ-S-142", "REQ-A-088")
@pytest.mark.parametrize(
    "filter_",
    [
        "",
        "userName",
        "userName eq",
        'userName xx "a"',
        'nothing eq "a"',
        'userName eq "a" and',
        '(userName eq "a"',
        'userName eq "a")',
        "not userName pr",
        'emails[type[x eq "1"] eq "2"]',
        'password eq "x"',
        "active eq 5",
        'userName eq "\ud83d',
        "x" * 3000,
        "(" * 12 + 'userName eq "a"' + ")" * 12,
    ],
)
async def test_a_filter_that_cannot_be_answered_is_refused_and_never_ignored(client: Client, filter_: str) -> None:
    await client.user()
    answer = await client.http.get("/Users", params={"filter": filter_.encode("utf-8", "replace").decode()})
    assert answer.status_code == 400, answer.text
    assert answer.json()["scimType"] == "invalidFilter"


async def test_a_filter_cannot_reach_the_database_query(client: Client) -> None:
    await client.user()
    hostile = 'userName eq "x\' OR 1=1; DROP TABLE resource; --"'
    assert (await client.get("/Users", params={"filter": hostile}))["totalResults"] == 0
    assert (await client.get("/Users"))["totalResults"] == 1


@pytest.mark.req("REQ-S-174", "REQ-S-175", "REQ-S-176", "REQ-S-177", "REQ-S-178", "REQ-S-115")
async def test_pages_visit_everybody_once_in_order_of_creation(client: Client) -> None:
    created = [(await client.user(f"u{number}"))["id"] for number in range(7)]
    seen: list[str] = []
    for start in (1, 4, 7):
        page = await client.get(f"/Users?startIndex={start}&count=3")
        assert (page["startIndex"], page["totalResults"]) == (start, 7)
        seen += [item["id"] for item in page["Resources"]]
    assert seen == created
    assert (await client.get("/Users?startIndex=99"))["Resources"] == []
    assert (await client.get("/Users?startIndex=-5&count=-1"))["itemsPerPage"] == 0
    assert (await client.get("/Users?startIndex=0&count=1"))["startIndex"] == 1
    assert len((await client.get("/Users?count=99999"))["Resources"]) == 7
    await client.get("/Users?count=many", 400)


@pytest.mark.req(
    "REQ-S-185", "REQ-S-186", "REQ-S-187", "REQ-S-188", "REQ-S-189", "REQ-S-190", "REQ-S-191", "REQ-S-192", "REQ-S-101"
)
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("attributes=userName", {"userName"}),
        ("attributes=USERNAME, title", {"userName", "title"}),
        ("attributes=name.givenName", {"name"}),
        (f"attributes={ENTERPRISE}:department", {ENTERPRISE}),
        (f"attributes={ENTERPRISE}", {ENTERPRISE}),
        ('attributes=emails[type eq "work"]', {"emails"}),
        ("attributes=password,nothing", set()),
    ],
)  # fmt: skip
async def test_attributes_choose_what_is_shown(client: Client, query: str, shown: set[str]) -> None:
    user = await client.post("/Users", ENTRA_USER)
    found = await client.get(f"/Users/{user['id']}?{query}")
    assert set(found) == {"schemas", "id", *shown}
    if "name" in shown:
        assert found["name"] == {"givenName": "Marta"}
    created = await client.http.post(f"/Users?{query}", json={**ENTRA_USER, "userName": "second"})
    assert set(created.json()) == {"schemas", "id", *shown}


async def test_excluded_attributes_hide_but_never_id_and_schemas(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    found = await client.get(f"/Users/{user['id']}?excludedAttributes=id,schemas,name.givenName,emails")
    assert found["name"] == {"formatted": "Marta Lopez", "familyName": "Lopez"}
    assert "emails" not in found
    assert found["id"] == user["id"]
    assert found["schemas"]
    await client.get(f"/Users/{user['id']}?attributes=title&excludedAttributes=name", 400)
