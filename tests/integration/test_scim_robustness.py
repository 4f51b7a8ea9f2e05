"""Texts as they are compared and kept, hostile bodies, large groups, the record of changes."""

import time
from typing import Any

import pytest

from tests.scim_client import PATCH, Client


@pytest.mark.req("REQ-S-340", "REQ-S-341")
@pytest.mark.parametrize(
    ("spelt", "asked"),
    [
        ("Kim@Fjord.Example", "kim@FJORD.example"),
        ("ｋｉｍ＠fjord", "KIM@fjord"),
        ("Åsa", "a\u030asa"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("Two  Blanks ", "two  blanks "),
    ],
)
async def test_a_user_name_is_found_in_any_form_and_returned_in_its_own(client: Client, spelt: str, asked: str) -> None:
    created = await client.user(spelt)
    found = await client.get("/Users", params={"filter": f'userName eq "{asked}"'})
    assert found["Resources"] == [created]
    assert created["userName"] == spelt
    await client.post("/Users", {"userName": asked}, 409)


@pytest.mark.req("REQ-S-341")
async def test_a_user_name_takes_a_new_spelling_of_itself(client: Client) -> None:
    kim = await client.user("kim")
    path = f"/Users/{kim['id']}"
    assert (await client.put(path, {"userName": "KIM"}))["userName"] == "KIM"
    assert (await client.patch(path, {"op": "replace", "path": "userName", "value": "Kim"}))["userName"] == "Kim"


@pytest.mark.req("REQ-S-342")
@pytest.mark.parametrize("text", [rb"a\u0000b", rb"a\ud800b", rb"\udc00", rb"\ud83d"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"userName": "TEXT"}',
        b'{"userName": "kim", "title": "TEXT"}',
        b'{"userName": "kim", "emails": [{"value": "TEXT"}]}',
    ],
)
async def test_nul_and_half_a_surrogate_pair_are_no_text(client: Client, body: bytes, text: bytes) -> None:
    answer = await client.http.post("/Users", content=body.replace(b"TEXT", text))
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    operation = b'{"op": "add", "path": "displayName", "value": "TEXT"}'.replace(b"TEXT", text)
    kim = await client.user("ann")
    patch = b'{"schemas": ["%s"], "Operations": [%s]}' % (PATCH.encode(), operation)
    answer = await client.http.patch(f"/Users/{kim['id']}", content=patch)
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")


@pytest.mark.req("REQ-S-343")
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"name":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"userName": "kim", "name": ' + b"[" * 400 + b"]" * 400 + b"}",
        b'{"userName": ' + b"9" * 100_000 + b"}",
        b'{"userName": 1e999}',
        b'{"userName": "kim", "userName": {"a": [[]]}}',
        b'{"userName": "' + b"a" * 2_000_000 + b'"}',
        b"\x00" * 1000,
    ],
    ids=["arrays", "objects", "inner arrays", "long number", "infinite number", "repeated key", "long text", "zeros"],
)
async def test_a_hostile_body_is_refused_in_scim(client: Client, content: bytes) -> None:
    kim = await client.user("other")
    for method, path in (("POST", "/Users"), ("PUT", f"/Users/{kim['id']}"), ("PATCH", f"/Users/{kim['id']}")):
        answer = await client.http.request(method, path, content=content)
        assert answer.status_code in (400, 413), answer.text[:200]
        assert answer.json()["status"] == str(answer.status_code)
    assert (await client.get("/Users"))["Resources"] == [kim]


@pytest.mark.req("REQ-S-344")
@pytest.mark.parametrize("exact_first", [True, False])
async def test_of_keys_that_differ_in_case_the_schemas_spelling_counts(client: Client, exact_first: bool) -> None:
    def in_order(*pairs: tuple[str, Any]) -> dict[str, Any]:
        return dict(pairs if exact_first else reversed(pairs))

    name = in_order(("givenName", "E"), ("GivenName", "O"))
    body = in_order(("userName", "exact"), ("USERNAME", "other"), ("title", "Exact"), ("Title", "Other"))
    user = await client.post("/Users", {**body, "name": name})
    assert (user["userName"], user["title"], user["name"]) == ("exact", "Exact", {"givenName": "E"})


@pytest.mark.req("REQ-S-345")
async def test_changing_one_of_a_hundred_thousand_members_costs_no_more_than_one_of_few(client: Client) -> None:
    async def fastest_change(path: str) -> float:
        seconds = []
        for verb in ("add", "remove") * 5:
            operation = {"op": verb, "path": "members", "value": [{"value": "one more"}]}
            began = time.perf_counter()
            await client.patch(path, operation, status=204)
            seconds.append(time.perf_counter() - began)
        return min(seconds)

    small = f"/Groups/{(await client.group('Small', 'a'))['id']}"
    large = f"/Groups/{(await client.group('Large'))['id']}"
    for start in range(0, 100_000, 10_000):
        members = [{"value": f"m{number}"} for number in range(start, start + 10_000)]
        await client.patch(large, {"op": "add", "path": "members", "value": members}, status=204)
    # Reading a hundred thousand rows alone takes a hundred times as long as changing one.
    assert await fastest_change(large) < 10 * await fastest_change(small)
    probe = {"filter": f'id eq "{large.rpartition("/")[2]}" and members eq "m99999"', "attributes": "id"}
    assert (await client.get("/Groups", params=probe))["totalResults"] == 1
