"""Reading one resource, and the form of the answers to queries."""

import pytest

from tests.scim_client import CORE, ENTRA_USER, Client

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
BASE = "https://app.example/scim"


@pytest.mark.req("REQ-S-110")
async def test_one_resource_is_read_with_its_version_and_location(client: Client) -> None:
    for created in (await client.post("/Users", ENTRA_USER), await client.group()):
        answer = await client.http.get(created["meta"]["location"])
        assert (answer.status_code, answer.json()) == (200, created)
        assert answer.headers["etag"] == created["meta"]["version"]
        assert answer.headers["location"] == created["meta"]["location"]


@pytest.mark.req("REQ-S-111")
@pytest.mark.parametrize(
    "id_", ["none", "00000000-0000-4000-8000-000000000000", "%00", "'--", "%2e%2e", "a" * 3000, "é"]
)
async def test_an_id_that_nobody_has_is_not_found(client: Client, id_: str) -> None:
    kim, team = await client.user(), await client.group()
    # An id of the other resource type is as unknown as any.
    for path in (f"/Users/{id_}", f"/Groups/{id_}", f"/Users/{team['id']}", f"/Groups/{kim['id']}"):
        await client.get(path, 404)


@pytest.mark.req("REQ-S-112")
async def test_a_disabled_user_is_read_and_found_and_says_so(client: Client) -> None:
    kim = await client.user()
    path = f"/Users/{kim['id']}"
    await client.patch(path, {"op": "Replace", "path": "active", "value": "False"})
    [found] = (await client.get("/Users", params={"filter": 'userName eq "kim"'}))["Resources"]
    assert found == await client.get(path)
    assert found["active"] is False


@pytest.mark.req("REQ-S-113", "REQ-S-115", "REQ-S-118")
@pytest.mark.parametrize(
    ("endpoint", "name", "others"),
    [("/Users", "userName", {}), ("/Groups", "displayName", {"excludedAttributes": "members"})],
)
async def test_entras_connection_test_finds_nothing_and_succeeds(
    client: Client, endpoint: str, name: str, others: dict[str, str]
) -> None:
    await client.user()
    await client.group()
    filter_ = f'{name} eq "3d1f6a52-9c1e-4b0a-8a55-0d3f0e7b9c11"'
    answer = await client.get(endpoint, params={**others, "filter": filter_})
    assert answer == {"schemas": [LIST], "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": []}


@pytest.mark.req("REQ-S-114", "REQ-S-115")
async def test_one_hit_is_a_list_of_one(client: Client) -> None:
    kim = await client.user()
    for filter_ in (f'id eq "{kim["id"]}"', 'userName eq "kim"'):
        answer = await client.get("/Users", params={"filter": filter_})
        assert answer == {"schemas": [LIST], "totalResults": 1, "startIndex": 1, "itemsPerPage": 1, "Resources": [kim]}
        assert {type(answer[name]) for name in ("totalResults", "startIndex", "itemsPerPage")} == {int}


@pytest.mark.req("REQ-S-116")
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_query_on_the_base_address_covers_every_type(client: Client, slash: str) -> None:
    kim, team = await client.user(), await client.group()
    everything = await client.get(f"{BASE}{slash}")
    assert {item["id"] for item in everything["Resources"]} == {kim["id"], team["id"]}
    for name, id_ in (("Group", team["id"]), ("User", kim["id"])):
        answer = await client.get(f"{BASE}{slash}", params={"filter": f'meta.resourceType eq "{name}"'})
        assert [item["id"] for item in answer["Resources"]] == [id_]


@pytest.mark.req("REQ-S-117")
async def test_what_a_type_does_not_have_counts_as_unassigned_there(client: Client) -> None:
    kim, team = await client.user(displayName="Same"), await client.group("Same")
    both = await client.get(BASE, params={"filter": 'displayName eq "same"'})
    assert {item["id"] for item in both["Resources"]} == {kim["id"], team["id"]}
    one = await client.get(BASE, params={"filter": 'userName eq "kim"'})
    assert [item["id"] for item in one["Resources"]] == [kim["id"]]
    other = await client.get(BASE, params={"filter": "not (userName pr)"})
    assert [item["id"] for item in other["Resources"]] == [team["id"]]


@pytest.mark.req("REQ-S-119")
async def test_query_parameters_work_on_one_resource(client: Client) -> None:
    user = await client.post("/Users", ENTRA_USER)
    path = f"/Users/{user['id']}"
    assert await client.get(f"{path}?attributes=userName,{CORE}:title") == {
        "schemas": user["schemas"],
        "id": user["id"],
        "userName": user["userName"],
        "title": "Buyer",
    }
    assert "name" not in await client.get(f"{path}?excludedAttributes=name")
