"""Events: every accepted change once and in order, for readers who follow them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from joiner.application.events import log as module
from tests.scim_client import CORE, ENTERPRISE, Client, opened_endpoint
from tests.services import PostgreSQL


def told(event: dict[str, Any]) -> tuple[Any, ...]:
    """What happened, without when and by whom."""
    return event["verb"], event["resourceType"], event["resourceId"], event["version"], event["data"]


# What is there


@pytest.mark.req("REQ-S-346")
async def test_every_accepted_change_is_there_once_in_order_with_what_is_new(client: Client) -> None:
    kim = await client.user("kim", title="Buyer", **{ENTERPRISE: {"department": "Sales"}})
    path = f"/Users/{kim['id']}"
    await client.patch(
        path, {"op": "replace", "path": "title", "value": "Head"}, {"op": "remove", "path": f"{ENTERPRISE}:department"}
    )
    await client.put(path, {"schemas": [CORE], "userName": "kim", "nickName": "K"})
    await client.delete(path)
    events = await client.events()
    assert [told(event) for event in events] == [
        (
            "create",
            "User",
            kim["id"],
            1,
            {"userName": "kim", "title": "Buyer", "active": True, ENTERPRISE: {"department": "Sales"}},
        ),
        ("update", "User", kim["id"], 2, {"title": "Head", ENTERPRISE: None}),
        ("update", "User", kim["id"], 3, {"nickName": "K", "title": None}),
        ("delete", "User", kim["id"], 3, {}),
    ]
    for event in events:
        assert set(event["attributes"]) == set(event["data"])
        assert (event["connection"], event["tokenId"]) == ("default", client.token_id)
        assert "members" not in event
    assert [int(event["id"]) for event in events] == sorted({int(event["id"]) for event in events})


@pytest.mark.req("REQ-S-346", "REQ-S-282")
async def test_changes_of_members_are_told_by_id_and_end_with_the_user(client: Client) -> None:
    kim, lea = [(await client.user(name))["id"] for name in ("kim", "lea")]
    team = (await client.group("Team", kim))["id"]
    crew = (await client.group("Crew", kim, lea))["id"]
    last = int((await client.events())[-1]["id"])
    add = {"op": "add", "path": "members", "value": [{"value": kim}, {"value": lea}]}
    remove = {"op": "remove", "path": f'members[value eq "{kim}"]'}
    await client.patch(f"/Groups/{team}", add, status=204)
    await client.patch(f"/Groups/{team}", remove, {"op": "replace", "path": "displayName", "value": "T"}, status=204)
    await client.delete(f"/Users/{lea}")
    found = [
        (event["verb"], event["resourceId"], event["data"], event.get("members")) for event in await client.events(last)
    ]
    assert found == [
        ("update", team, {}, {"added": [lea], "removed": []}),
        ("update", team, {"displayName": "T"}, {"added": [], "removed": [kim]}),
        ("update", team, {}, {"added": [], "removed": [lea]}),
        ("update", crew, {}, {"added": [], "removed": [lea]}),
        ("delete", lea, {}, None),
    ]


@pytest.mark.req("REQ-S-346")
async def test_a_password_is_named_and_never_told(client: Client) -> None:
    kim = await client.user("kim", password="first secret")
    await client.patch(f"/Users/{kim['id']}", {"op": "replace", "path": "password", "value": "second secret"})
    created, changed = await client.events()
    assert "password" in created["attributes"]
    assert (changed["attributes"], changed["data"], changed["version"]) == (["password"], {}, 2)
    assert "secret" not in str([created, changed])


@pytest.mark.req("REQ-S-228", "REQ-S-208")
async def test_what_is_refused_or_changes_nothing_leaves_no_event(client: Client) -> None:
    kim = await client.user("kim", title="Buyer")
    team = await client.group("Team", kim["id"])
    before = await client.events()
    path = f"/Users/{kim['id']}"
    await client.post("/Users", {"userName": "KIM"}, 409)
    await client.post("/Users", {"title": "nameless"}, 400)
    await client.patch(path, {"op": "replace", "path": "title", "value": "Buyer"})
    await client.patch(
        path, {"op": "replace", "path": "title", "value": "X"}, {"op": "add", "path": "nix.x"}, status=400
    )
    await client.patch(
        path, {"op": "replace", "path": "title", "value": "X"}, status=412, headers={"If-Match": 'W/"9"'}
    )
    await client.put(path, {"userName": "kim", "title": "Buyer"})
    await client.patch(
        f"/Groups/{team['id']}", {"op": "add", "path": "members", "value": [{"value": kim["id"]}]}, status=204
    )
    await client.delete("/Users/nobody", 404)
    bulk = {
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "k", "data": {"userName": "kim"}},
            {"method": "DELETE", "path": "/Users/nobody"},
        ]
    }
    answer = await client.post("/Bulk", bulk, 200)
    assert [operation["status"] for operation in answer["Operations"]] == ["409", "404"]
    assert await client.events() == before


async def test_the_changes_of_a_bulk_request_are_events_of_their_own(client: Client) -> None:
    bulk = {
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "k", "data": {"userName": "kim"}},
            {"method": "POST", "path": "/Users", "bulkId": "again", "data": {"userName": "kim"}},
            {
                "method": "POST",
                "path": "/Groups",
                "bulkId": "g",
                "data": {"displayName": "Team", "members": [{"value": "bulkId:k"}]},
            },
        ]
    }
    await client.post("/Bulk", bulk, 200)
    kim, team = await client.events()
    assert (kim["verb"], kim["data"]["userName"]) == ("create", "kim")
    assert team["members"] == {"added": [kim["resourceId"]], "removed": []}


# Following


async def test_pages_follow_each_other_until_there_is_no_more(client: Client) -> None:
    names = [f"user{number}" for number in range(5)]
    for name in names:
        await client.user(name)
    found, after, pages = [], "0", 0
    while True:
        page = await client.admin("GET", f"/events?after={after}&limit=2")
        found += [event["data"]["userName"] for event in page["value"]]
        after, pages = page["next"], pages + 1
        assert after == page["value"][-1]["id"]
        if not page["more"]:
            break
    assert (found, pages) == (names, 3)
    assert await client.admin("GET", f"/events?after={after}") == {"value": [], "next": after, "more": False}
    assert len((await client.admin("GET", "/events?limit=0"))["value"]) == 1


async def test_the_events_of_one_connection_are_read_alone_and_those_of_others_passed_over(client: Client) -> None:
    token, _ = await client.side.tokens.create("Other")
    other = {"Authorization": f"Bearer {token}"}
    await client.user("kim")
    await client.post("/Users", {"userName": "lea"}, headers=other)
    await client.user("mia")
    page = await client.admin("GET", "/events?connection=other")
    assert [(event["data"]["userName"], event["connection"]) for event in page["value"]] == [("lea", "Other")]
    last = (await client.events())[-1]["id"]
    assert page["next"] == last
    assert [
        event["data"]["userName"] for event in (await client.admin("GET", "/events?connection=default"))["value"]
    ] == ["kim", "mia"]
    await client.admin("GET", "/events?connection=nobody", status=404)


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=1e3", "wait=soon", "after=" + "9" * 40])
async def test_what_is_no_number_is_refused_by_name(client: Client, query: str) -> None:
    refusal = await client.admin("GET", f"/events?{query}", status=400)
    assert refusal["error"].startswith(f"'{query.partition('=')[0]}' must be a whole number")


@pytest.mark.parametrize("arrives", ["before it waits", "while it waits"])
async def test_who_waits_is_answered_as_soon_as_something_is_accepted(
    client: Client, monkeypatch: pytest.MonkeyPatch, arrives: str
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 1000.0)  # nobody looks again by chance
    log, began = client.side.events, asyncio.Event()

    async def announced(news: module.News, seconds: float) -> None:
        if arrives == "before it waits" and not began.is_set():
            await client.user("kim")
        began.set()
        await waiting(news, seconds)

    waiting = module.News.wait
    monkeypatch.setattr(module.News, "wait", announced)
    reading = asyncio.create_task(client.admin("GET", "/events?wait=30"))
    await began.wait()
    if arrives == "while it waits":
        await client.user("kim")
    async with asyncio.timeout(10):
        page = await reading
    assert [event["data"]["userName"] for event in page["value"]] == ["kim"]
    assert not log._waiting


async def test_who_waits_in_vain_gets_an_empty_page(client: Client) -> None:
    page = await client.side.events.following(0, seconds=0.01)
    assert (page.events, page.next, page.more) == ([], 0, False)


# Who may read


async def test_a_token_for_events_reads_those_of_its_connection_and_nothing_else(client: Client) -> None:
    made = await client.admin("POST", "/tokens", {"scope": "events", "connection": "Other"}, 201)
    reader = {"Authorization": f"Bearer {made['token']}"}
    other, _ = await client.side.tokens.create("Other")
    await client.user("kim")
    await client.post("/Users", {"userName": "lea"}, headers={"Authorization": f"Bearer {other}"})
    for query in ("", "?connection=OTHER"):
        page = await client.admin("GET", f"/events{query}", headers=reader)
        assert [event["data"]["userName"] for event in page["value"]] == ["lea"]
    await client.admin("GET", "/events?connection=default", status=403, headers=reader)
    for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("GET", "/webhooks"), ("GET", "/connections")):
        await client.admin(method, path, status=401, headers=reader)
    await client.admin("DELETE", f"/tokens/{made['id']}", status=204)
    await client.admin("GET", "/events", status=401, headers=reader)


@pytest.mark.req("REQ-S-061")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/Users"), ("POST", "/.search"), ("POST", "/Users"), ("GET", "/Me")]
)
async def test_a_token_for_events_does_not_open_scim(client: Client, method: str, path: str) -> None:
    token, _ = await client.side.tokens.create(scope="events")
    answer = await client.http.request(method, path, json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("scope", ["scim", "scim.read", None])
async def test_no_other_token_reads_events(client: Client, scope: str | None) -> None:
    token = "wrong" if scope is None else (await client.side.tokens.create(scope=scope))[0]
    refused = 401 if scope is None else 403
    await client.admin("GET", "/events", status=refused, headers={"Authorization": f"Bearer {token}"})


async def test_who_is_refused_while_waiting_is_told_nothing_any_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, record = await client.side.tokens.create(scope="events")

    async def revoked(news: module.News, seconds: float) -> None:
        await client.side.tokens.revoke(record.id)
        await client.user("kim")

    monkeypatch.setattr(module.News, "wait", revoked)
    await client.admin("GET", "/events?wait=30", status=401, headers={"Authorization": f"Bearer {token}"})


# Retention


async def test_events_are_removed_after_the_days_they_are_kept_and_late_readers_are_told(client: Client) -> None:
    old = [await client.user(f"old{number}") for number in range(3)]
    positions = [int(event["id"]) for event in await client.events()]
    client.clock.move(timedelta(days=29, hours=23))
    await client.user("young")
    assert await client.side.retention.prune() == 0
    client.clock.move(timedelta(hours=2))
    assert await client.side.retention.prune() == len(old)
    assert [event["data"]["userName"] for event in await client.events()] == ["young"]
    assert [event["data"]["userName"] for event in await client.events(positions[-1])] == ["young"]
    refusal = await client.admin("GET", f"/events?after={positions[0]}", status=410)
    assert f"up to {positions[-1]} are not kept any more" in refusal["error"]


async def test_many_events_are_removed_in_small_batches(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joiner.application.events.retention.BATCH", 2)
    for number in range(5):
        await client.user(f"user{number}")
    client.clock.move(timedelta(days=31))
    assert await client.side.retention.prune() == 5
    assert await client.rows("SELECT * FROM event") == []


# PostgreSQL: transactions that end in another order than they began


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[Any]:
    """A connection of its own with a transaction that stays open until it is committed by hand."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "joiner_application"})
    await connection.execute("BEGIN")
    try:
        yield connection
    finally:
        await connection.close()


async def note(connection: Any, resource_id: str, version: int) -> None:
    await connection.execute(
        "INSERT INTO event (at, connection_id, token_id, type, resource_id, verb, version, attributes)"
        " VALUES ('2024-05-06T07:00:00.000000Z', 1, 't', 'User', $1, 'update', $2, '')",
        resource_id,
        version,
    )


async def test_a_reader_misses_nothing_that_is_committed_late(postgresql: PostgreSQL) -> None:
    with postgresql.new_database() as url:
        async with opened_endpoint(url) as client, transaction(url) as slow, transaction(url) as quick:
            await note(slow, "slow", 1)
            await note(quick, "quick", 1)
            await quick.execute("COMMIT")
            page = await client.side.events.page(0)
            assert [event["resourceId"] for event in page.events] == ["quick"]
            await client.user("kim")
            await slow.execute("COMMIT")
            rest = await client.side.events.page(page.next)
            assert {event["resourceId"] for event in rest.events} >= {"slow"}
            assert len(rest.events) == 2
            assert [int(event["id"]) for event in rest.events] == sorted(int(event["id"]) for event in rest.events)
            whole = await client.side.events.page(0)
            assert [event["id"] for event in whole.events] == [event["id"] for event in (*page.events, *rest.events)]


async def test_changes_in_parallel_by_two_processes_are_read_once_and_in_order_per_resource(
    postgresql: PostgreSQL,
) -> None:
    with postgresql.new_database() as url:
        async with opened_endpoint(url) as one, opened_endpoint(url) as two:
            users = [(await one.user(f"user{number}"))["id"] for number in range(3)]
            after = (await one.side.events.page(0)).next
            changes = [
                (one, two)[number % 2].patch(
                    f"/Users/{users[number % 3]}", {"op": "replace", "path": "title", "value": str(number)}
                )
                for number in range(30)
            ]
            writing = asyncio.gather(*changes)
            found: list[Any] = []
            while not writing.done() or len(found) < 30:
                page = await (one, two)[len(found) % 2].side.events.page(after, limit=4)
                found, after = [*found, *page.events], page.next
            await writing
            assert len(found) == 30
            for user in users:
                versions = [event["version"] for event in found if event["resourceId"] == user]
                assert versions == list(range(2, 12))
