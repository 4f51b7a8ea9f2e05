"""Pages by cursor (RFC 9865), and search by POST (RFC 7644 §3.4.3)."""

import re
from datetime import timedelta
from typing import Any

import pytest

from joiner.scim.messages import PREFIX
from tests.scim_client import Client

SEARCH = f"{PREFIX}SearchRequest"
PEOPLE = ("dora", "Ana", "cleo", "bob", "eve", "fay", "Gil")


@pytest.fixture
async def people(client: Client) -> Client:
    for name in PEOPLE:
        await client.user(name, displayName=name, **({} if name in ("cleo", "fay") else {"title": name[0]}))
    return client


async def walk(client: Client, path: str, **parameters: str) -> list[list[str]]:
    """The user names of each page."""
    pages = []
    cursor: str | None = ""
    while cursor is not None:
        page = await client.get(path, params={**parameters, "cursor": cursor})
        pages.append([each.get("userName", each["id"]) for each in page["Resources"]])
        assert page["itemsPerPage"] == len(page["Resources"])
        assert page["totalResults"] == len(PEOPLE)
        assert "startIndex" not in page
        assert "previousCursor" not in page
        cursor = page.get("nextCursor")
        assert cursor is None or re.fullmatch(r"[A-Za-z0-9._~-]+", cursor)
    return pages


@pytest.mark.req("REQ-S-179", "REQ-S-182")
async def test_a_walk_sees_everybody_once_and_ends_without_a_cursor(people: Client) -> None:
    pages = await walk(people, "/Users", count="3")
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in page] == list(PEOPLE)


@pytest.mark.req("REQ-S-184", "REQ-S-170", "REQ-S-171")
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"sortBy": "userName"}, ["Ana", "bob", "cleo", "dora", "eve", "fay", "Gil"]),
        ({"sortBy": "userName", "sortOrder": "descending"}, ["Gil", "fay", "eve", "dora", "cleo", "bob", "Ana"]),
        ({"sortBy": "title"}, ["Ana", "bob", "dora", "eve", "Gil", "cleo", "fay"]),
        ({"sortBy": "title", "sortOrder": "descending"}, ["cleo", "fay", "Gil", "eve", "dora", "bob", "Ana"]),
    ],
)
@pytest.mark.parametrize("count", ["1", "2", "7"])
async def test_pages_keep_the_order(people: Client, order: dict[str, str], expected: list[str], count: str) -> None:
    pages = await walk(people, "/Users", count=count, **order)
    assert [name for page in pages for name in page] == expected


@pytest.mark.req("REQ-S-179")
async def test_what_comes_and_goes_during_a_walk_moves_nobody(people: Client) -> None:
    first = await people.get("/Users?cursor&count=3")
    await people.delete(f"/Users/{first['Resources'][0]['id']}")
    await people.user("new")
    rest = await people.get("/Users", params={"cursor": first["nextCursor"], "count": "3"})
    assert [user["userName"] for user in rest["Resources"]] == ["bob", "eve", "fay"]


@pytest.mark.req("REQ-S-180", "REQ-S-181")
async def test_a_cursor_belongs_to_its_query_its_tenant_and_its_time(people: Client) -> None:
    cursor = (await people.get("/Users?cursor=&count=3"))["nextCursor"]
    token, _ = await people.side.tokens.create("other")
    other = {"Authorization": f"Bearer {token}"}

    async def refused(path: str, scim_type: str, headers: dict[str, str] | None = None, **parameters: str) -> None:
        asked = {"cursor": cursor, "count": "3", **parameters}
        error = await people.get(path, 400, params=asked, headers=headers or {})
        assert error["scimType"] == scim_type

    await refused("/Users", "invalidCursor", cursor="garbage")
    await refused("/Users", "invalidCursor", cursor=cursor[:-1] + ("A" if cursor[-1] != "A" else "B"))
    await refused("/Users", "invalidCursor", cursor="é")
    await refused("/Users", "invalidCursor", other)
    await refused("/Users", "invalidCursor", sortBy="userName")
    await refused("/Users", "invalidCursor", filter="userName pr")
    await refused("/Groups", "invalidCursor")
    await refused("/Users", "invalidCount", count="2")
    await refused("/Users", "invalidCount", count="0", cursor="")
    people.clock.move(timedelta(hours=1, seconds=1))
    await refused("/Users", "expiredCursor")


@pytest.mark.req("REQ-S-183")
async def test_pages_are_by_index_unless_a_cursor_is_asked_for(people: Client) -> None:
    assert "nextCursor" not in await people.get("/Users?count=2")
    both = await people.get("/Users?count=2&startIndex=3&cursor=")
    assert (both["startIndex"], "nextCursor" in both) == (3, False)


@pytest.mark.req("REQ-S-193")
@pytest.mark.parametrize("path", ["/Users/.search", "/.search"])
async def test_search_by_post_honours_every_parameter(people: Client, path: str) -> None:
    body: dict[str, Any] = {
        "schemas": [SEARCH],
        "filter": 'userName co "e"',
        "sortBy": "userName",
        "sortOrder": "descending",
        "startIndex": 2,
        "count": 1,
        "attributes": ["userName"],
    }
    found = await people.post(path, body, 200)
    assert (found["totalResults"], found["startIndex"], found["itemsPerPage"]) == (2, 2, 1)
    [cleo] = found["Resources"]
    assert (set(cleo), cleo["userName"]) == ({"schemas", "id", "userName"}, "cleo")
    without = await people.post(path, {"SCHEMAS": [SEARCH], "excludedAttributes": "userName, title"}, 200)
    assert without["totalResults"] == len(PEOPLE)
    assert not any("userName" in user or "title" in user for user in without["Resources"])


@pytest.mark.req("REQ-S-194")
@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        ({}, "invalidSyntax"),
        ({"schemas": [f"{PREFIX}ListResponse"]}, "invalidSyntax"),
        ({"schemas": SEARCH}, "invalidSyntax"),
        ({"schemas": [SEARCH], "count": "ten"}, "invalidValue"),
        ({"schemas": [SEARCH], "startIndex": True}, "invalidValue"),
        ({"schemas": [SEARCH], "filter": ["userName pr"]}, "invalidValue"),
        ({"schemas": [SEARCH], "filter": "userName"}, "invalidFilter"),
        ({"schemas": [SEARCH], "attributes": [1]}, "invalidValue"),
        ({"schemas": [SEARCH], "sortBy": "nothing"}, "invalidPath"),
        ({"schemas": [SEARCH], "sortBy": "userName", "sortOrder": "up"}, "invalidValue"),
    ],
)
async def test_a_search_that_is_none_is_refused(client: Client, body: dict[str, Any], scim_type: str) -> None:
    assert (await client.post("/Users/.search", body, 400))["scimType"] == scim_type


@pytest.mark.req("REQ-S-195")
async def test_search_by_post_walks_by_cursor_too(people: Client) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await people.post("/Users/.search", {"schemas": [SEARCH], "cursor": cursor, "count": 4}, 200)
        seen += [user["userName"] for user in page["Resources"]]
        cursor = page.get("nextCursor")
    assert seen == list(PEOPLE)
