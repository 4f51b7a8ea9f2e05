"""Events of accepted changes: what they say, their order, and how applications follow them."""

import asyncio
from typing import Any

import pytest

from joiner.application.changes import create_resource
from joiner.application.service import Caller, creation
from joiner.scim.core import USERS
from joiner.storage.session import Session
from tests.scim_client import ENTERPRISE, Client


def brief(event: Any) -> tuple[str, str, list[str]]:
    return event["verb"], event["resourceType"], event["attributes"]


@pytest.mark.req("REQ-S-346")
async def test_every_accepted_change_is_one_event_and_nothing_else_is(client: Client) -> None:
    kim = await client.user("kim", title="A")
    await client.post("/Users", {"userName": "KIM"}, 409)
    await client.patch(f"/Users/{kim['id']}", {"op": "replace", "path": "title", "value": "A"})
    await client.patch(f"/Users/{kim['id']}", {"op": "replace", "value": {"title": None, "nickName": "K"}})
    team = await client.group("Team", kim["id"])
    both = {"op": "add", "path": "members", "value": [{"value": kim["id"]}, {"value": "x"}]}
    await client.patch(f"/Groups/{team['id']}", both, status=204)
    await client.delete(f"/Users/{kim['id']}")
    events = await client.side.events.after(0)
    assert [brief(event) for event in events] == [
        ("create", "User", ["userName", "title", "active"]),
        ("update", "User", ["nickName", "title"]),
        ("create", "Group", ["displayName", "members"]),
        ("update", "Group", ["members"]),
        ("update", "Group", ["members"]),
        ("delete", "User", []),
    ]
    assert [event["id"] for event in events] == ["1", "2", "3", "4", "5", "6"]
    assert events[1]["data"] == {"nickName": "K", "title": None}
    assert [event.get("members") for event in events[2:5]] == [
        {"added": [kim["id"]]},
        {"added": ["x"]},
        {"removed": [kim["id"]]},
    ]
    assert {event["tokenId"] for event in events} == {client.token_id}
    assert [event["version"] for event in events] == [1, 2, 1, 2, 3, 2]


@pytest.mark.req("REQ-S-023")
async def test_a_password_is_an_event_without_its_value(client: Client) -> None:
    kim = await client.user("kim", password="s3cret")
    await client.patch(f"/Users/{kim['id']}", {"op": "replace", "path": "password", "value": "0ther"})
    events = await client.side.events.after(0)
    assert [event["verb"] for event in events] == ["create", "update"]
    assert "s3cret" not in str(events)
    assert "0ther" not in str(events)


async def test_readers_go_on_where_they_were_and_see_one_connection_if_they_like(client: Client) -> None:
    token, _ = await client.side.tokens.create("other")
    for number in range(5):
        await client.user(f"u{number}")
        await client.post("/Users", {"userName": "x" * (number + 1)}, headers={"Authorization": f"Bearer {token}"})
    seen: list[Any] = []
    while page := await client.side.events.after(int(seen[-1]["id"]) if seen else 0, limit=3):
        seen += page
    assert len({event["id"] for event in seen}) == len(seen) == 10
    assert seen == await client.side.events.after(0)
    own = await client.side.events.after(0, connection="default")
    assert [event["data"]["userName"] for event in own] == ["u0", "u1", "u2", "u3", "u4"]


async def test_who_waits_is_told_at_once(client: Client) -> None:
    following = client.side.events.following(0, seconds=30)
    found, _ = await asyncio.wait_for(asyncio.gather(following, client.user("kim")), 10)
    assert [event["verb"] for event in found] == ["create"]
    assert await client.side.events.following(1, seconds=0) == []


async def test_a_transaction_that_commits_late_is_not_missed(client: Client) -> None:
    """On SQLite there is one writer; on PostgreSQL the first to take a number may be the last to commit."""
    identity = await client.side.tokens.authenticate(client.http.headers["authorization"])
    assert identity is not None
    request_base: Any = type("Base", (), {"json": "", "url": ""})()
    caller = Caller(identity.connection, identity.token_id, request_base)
    service, began, finish = client.side.service, asyncio.Event(), asyncio.Event()

    async def late(session: Session) -> None:
        change = creation(caller, USERS, {"userName": "late"})
        await create_resource(session, service.target(caller, USERS), change.alter({}, None))
        began.set()
        if session.dialect == "postgresql":
            await finish.wait()

    writing = asyncio.create_task(client.side.storage.write(late))
    await began.wait()
    if client.side.storage.dialect == "sqlite":
        await writing
    await client.user("early")
    seen = list(await client.side.events.after(0))
    finish.set()
    await writing
    seen += await client.side.events.after(int(seen[-1]["id"]))
    assert sorted(event["data"]["userName"] for event in seen) == ["early", "late"]
    assert [int(event["id"]) for event in seen] == [1, 2]


async def test_events_of_one_resource_keep_their_order_under_parallel_changes(client: Client) -> None:
    kim = await client.user("kim", **{ENTERPRISE: {"department": "0"}})
    change = {"op": "replace", "path": "title"}
    await asyncio.gather(*(client.patch(f"/Users/{kim['id']}", {**change, "value": str(n)}) for n in range(30)))
    events = await client.side.events.after(0)
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert (await client.get(f"/Users/{kim['id']}"))["title"] == events[-1]["data"]["title"]
