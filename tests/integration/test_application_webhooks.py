"""Webhooks, delivered to a real receiver: signed, in order, at least once, and to nobody who must not be called."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from joiner.application.events import deliveries as module
from joiner.application.events.delivery_queue import CLAIMED_FOR, WAITS
from joiner.application.side import ApplicationSide
from tests.local_server import served
from tests.processes import Server, fetch, joiner
from tests.scim_client import ADMIN, Client, opened_endpoint
from tests.services import PostgreSQL


class Receiver:
    """What has been sent to it; answers with `status`, after `release` if that is closed."""

    def __init__(self) -> None:
        self.status = 204
        self.requests: list[tuple[web.BaseRequest, bytes]] = []
        self.release = asyncio.Event()
        self.release.set()
        self.url = ""
        self._changed = asyncio.Condition()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request, await request.read()))
        async with self._changed:
            self._changed.notify_all()
        await self.release.wait()
        return web.Response(status=self.status, headers={"Location": self.url})

    async def got(self, count: int) -> None:
        """Returns when there were so many requests."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    @property
    def names(self) -> list[str]:
        """The user names in the events, in the order they came."""
        return [event["data"]["userName"] for event in self.events]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with served(receiver.answer) as port:
        receiver.url = f"http://127.0.0.1:{port}/hook?key=k"
        yield receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def client(application_database: Path | str) -> AsyncIterator[Client]:
    async with opened_endpoint(application_database, allow_loopback=True) as opened:
        yield opened


async def webhook(client: Client, url: str, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = await client.admin("POST", "/webhooks", {"url": url, **body}, 201)
    return made


async def state(client: Client) -> dict[str, Any]:
    """The one webhook as it is listed."""
    [listed] = (await client.admin("GET", "/webhooks"))["value"]
    found: dict[str, Any] = listed
    return found


async def users(client: Client, *names: str) -> None:
    for name in names:
        await client.user(name)


# What is sent


async def test_an_event_is_sent_as_it_is_read_and_signed_as_standard_webhooks_says(
    client: Client, receiver: Receiver
) -> None:
    made = await webhook(client, receiver.url)
    await client.user("kim", title="Käufer")
    assert await client.side.deliveries.deliver_due() == 1
    [(request, body)] = receiver.requests
    [event] = await client.events()
    assert json.loads(body) == event
    assert (request.method, request.path_qs) == ("POST", "/hook?key=k")
    assert request.headers["Content-Type"] == "application/json"
    sent_at = request.headers["webhook-timestamp"]
    assert int(sent_at) == int(client.clock().timestamp())
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    assert len(key) >= 24
    signed = f"{request.headers['webhook-id']}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"


async def test_events_come_in_order_from_where_the_webhook_begins_and_of_its_connection_only(
    client: Client, receiver: Receiver
) -> None:
    token, _ = await client.side.tokens.create("other")
    await users(client, "before")
    made = await webhook(client, receiver.url)
    await users(client, "a", "b")
    await client.post("/Users", {"userName": "elsewhere"}, headers={"Authorization": f"Bearer {token}"})
    await users(client, "c")
    assert await client.side.deliveries.deliver_due() == 3
    assert receiver.names == ["a", "b", "c"]
    assert await client.side.deliveries.deliver_due() == 0
    assert (await state(client))["delivered"] == int((await client.events())[-1]["id"])
    await client.admin("DELETE", f"/webhooks/{made['id']}", status=204)
    await webhook(client, receiver.url, after=0)
    await client.side.deliveries.deliver_due()
    assert receiver.names == ["a", "b", "c", "before", "a", "b", "c"]


async def test_events_of_others_are_not_looked_at_again_and_again(
    client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PASSED_OVER", 2)
    await client.side.connections.create("quiet")
    await webhook(client, receiver.url, connection="quiet")
    await users(client, "a")
    await client.side.deliveries.deliver_due()
    assert (await state(client))["delivered"] == 0
    await users(client, "b")
    await client.side.deliveries.deliver_due()
    assert (await state(client))["delivered"] == int((await client.events())[-1]["id"])


async def test_secrets_are_encrypted_where_they_are_kept_and_never_shown_again(
    client: Client, receiver: Receiver
) -> None:
    made = await webhook(client, receiver.url)
    assert "secret" not in await state(client)
    kept = str(await client.rows("SELECT * FROM webhook"))
    key = made["secret"].removeprefix("whsec_")
    assert made["id"] in kept
    for form in (key, base64.b64encode(made["secret"].encode()).decode()):
        assert form not in kept


async def test_a_test_event_goes_beside_the_queue(client: Client, receiver: Receiver) -> None:
    made = await webhook(client, receiver.url)
    assert await client.admin("POST", f"/webhooks/{made['id']}/test") == {"accepted": True, "error": None}
    [event] = receiver.events
    assert (event["verb"], event["connection"]) == ("test", "default")
    [(request, body)] = receiver.requests
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    receiver.status = 503
    told = await client.admin("POST", f"/webhooks/{made['id']}/test")
    assert (told["accepted"], told["error"].endswith("was answered with status 503")) == (False, True)
    assert (await state(client))["failures"] == 0
    await client.admin("POST", "/webhooks/nobody/test", status=404)


# Receivers that fail


Breaks = Callable[[Receiver, pytest.MonkeyPatch], None]


def answers_500(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.status = 500


def redirects(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.status = 307


def never_answers(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    receiver.release.clear()


@pytest.mark.parametrize(
    ("breaks", "error"),
    [(answers_500, "status 500"), (redirects, "status 307"), (never_answers, "no answer within 0.05 seconds")],
)
async def test_a_receiver_that_fails_is_tried_again_later_and_later_and_loses_nothing(
    client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, breaks: Breaks, error: str
) -> None:
    await webhook(client, receiver.url)
    await users(client, "a", "b")
    breaks(receiver, monkeypatch)
    for failures, wait in enumerate((*WAITS, WAITS[-1]), start=1):
        assert await client.side.deliveries.deliver_due() == 0
        now = await state(client)
        assert now["failures"] == failures == len(receiver.requests)
        assert error in now["lastError"]
        client.clock.move(timedelta(seconds=wait - 1))
        assert await client.side.deliveries.deliver_due() == 0
        assert len(receiver.requests) == failures, "nobody is called before it is time"
        client.clock.move(timedelta(seconds=1))
        assert now["nextAttempt"] == client.clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert len({request.headers["webhook-id"] for request, _ in receiver.requests}) == 1, "the same event every time"
    monkeypatch.undo()
    receiver.status = 200
    receiver.release.set()
    receiver.requests.clear()
    await users(client, "c")
    assert await client.side.deliveries.deliver_due() == 3
    assert receiver.names == ["a", "b", "c"]
    now = await state(client)
    assert (now["failures"], now["lastError"], now["nextAttempt"]) == (0, None, None)


async def test_who_fails_in_between_gets_the_rest_later(client: Client, receiver: Receiver) -> None:
    async def second_fails(request: web.BaseRequest) -> web.StreamResponse:
        receiver.status = 500 if len(receiver.requests) == 1 else 200
        return await receiver.answer(request)

    async with served(second_fails) as port:
        await webhook(client, f"http://127.0.0.1:{port}/")
        await users(client, "a", "b", "c")
        assert await client.side.deliveries.deliver_due() == 1
        assert (await state(client))["failures"] == 1
        client.clock.move(timedelta(seconds=WAITS[0]))
        assert await client.side.deliveries.deliver_due() == 2
    assert receiver.names == ["a", "b", "b", "c"]


async def test_a_receiver_that_is_not_there_gets_everything_when_it_is(client: Client) -> None:
    async with receiving() as gone:
        pass
    await webhook(client, gone.url)
    await users(client, "a", "b")
    assert await client.side.deliveries.deliver_due() == 0
    assert "Connect" in (await state(client))["lastError"]


async def test_a_receiver_that_fails_does_not_keep_others_waiting(client: Client, receiver: Receiver) -> None:
    async with receiving() as slow:
        slow.release.clear()
        await webhook(client, slow.url)
        await webhook(client, receiver.url)
        async with client.side.deliveries:
            await users(client, "a")
            await slow.got(1)
            await receiver.got(1)
            await users(client, "b")
            await receiver.got(2)
            assert receiver.names == ["a", "b"]
            assert slow.names == ["a"]
            slow.release.set()
            await slow.got(2)
        assert slow.names == ["a", "b"]


async def test_a_deleted_webhook_stops_in_the_middle_of_its_batch(client: Client, receiver: Receiver) -> None:
    made = await webhook(client, receiver.url)
    await users(client, "a", "b")
    receiver.release.clear()
    delivering = asyncio.create_task(client.side.deliveries.deliver_due())
    await receiver.got(1)
    await client.admin("DELETE", f"/webhooks/{made['id']}", status=204)
    receiver.release.set()
    assert await delivering == 1
    assert receiver.names == ["a"]
    await client.admin("DELETE", f"/webhooks/{made['id']}", status=404)


async def test_a_batch_ends_before_its_claim(
    client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        client.clock.move(CLAIMED_FOR / 3)
        return await receiver.answer(request)

    async with served(slow) as port:
        await webhook(client, f"http://127.0.0.1:{port}/")
        await users(client, "a", "b", "c")
        assert await client.side.deliveries.deliver_due() == 2
        assert await client.side.deliveries.deliver_due() == 1
    assert receiver.names == ["a", "b", "c"]


async def test_a_lost_key_is_told_and_nothing_is_sent_unsigned(client: Client, receiver: Receiver) -> None:
    await webhook(client, receiver.url)
    await client.side.storage.write(lambda session: session.execute("UPDATE webhook SET id = 'moved'"))
    await users(client, "a")
    assert await client.side.deliveries.deliver_due() == 0
    assert "does not open with this key" in (await state(client))["lastError"]
    assert receiver.requests == []


# Servers that stop


async def test_a_server_that_stops_in_between_goes_on_behind_what_was_accepted(
    client: Client, receiver: Receiver
) -> None:
    async def second_hangs(request: web.BaseRequest) -> web.StreamResponse:
        if len(receiver.requests) == 1:
            receiver.release.clear()
        return await receiver.answer(request)

    async with served(second_hangs) as port:
        await webhook(client, f"http://127.0.0.1:{port}/")
        await users(client, "a", "b", "c")
        async with client.side.deliveries:
            await receiver.got(2)
        receiver.release.set()
        assert (await state(client))["failures"] == 0
        assert await client.side.deliveries.deliver_due() == 2
    assert receiver.names == ["a", "b", "b", "c"]


async def test_the_claim_of_a_killed_process_ends(client: Client, receiver: Receiver) -> None:
    await webhook(client, receiver.url)
    await users(client, "a")
    queue = client.side.deliveries._queue
    [due] = await queue.due()
    assert await queue.claim(due) is not None
    assert await queue.claim(due) is None
    assert await client.side.deliveries.deliver_due() == 0
    if client.side.storage.dialect == "sqlite":
        async with client.side.deliveries:  # nobody else can work on the file
            await receiver.got(1)
    else:
        client.clock.move(CLAIMED_FOR)
        assert await client.side.deliveries.deliver_due() == 1
    assert receiver.names == ["a"]


async def test_two_processes_on_one_database_never_deliver_the_same(postgresql: PostgreSQL, receiver: Receiver) -> None:
    with postgresql.new_database() as url:
        async with opened_endpoint(url, allow_loopback=True) as one, opened_endpoint(url, allow_loopback=True) as two:
            await webhook(one, receiver.url)
            await users(one, "a", "b")
            [stale] = await two.side.deliveries._queue.due()
            receiver.release.clear()
            delivering = asyncio.create_task(one.side.deliveries.deliver_due())
            await receiver.got(1)
            assert await two.side.deliveries.deliver_due() == 0
            receiver.release.set()
            assert await delivering == 2
            assert await two.side.deliveries._queue.claim(stale) is None, "it has moved on meanwhile"
            async with one.side.deliveries, two.side.deliveries:
                await users(one, *(f"user{number}" for number in range(20)))
                await receiver.got(22)
            assert receiver.names == ["a", "b", *(f"user{number}" for number in range(20))]


async def test_what_a_lost_claim_has_delivered_is_not_written_over_a_newer_one(
    client: Client, receiver: Receiver
) -> None:
    await webhook(client, receiver.url)
    await users(client, "a", "b")
    queue = client.side.deliveries._queue
    [due] = await queue.due()
    lost = await queue.claim(due)
    assert lost is not None
    client.clock.move(CLAIMED_FOR)
    assert await client.side.deliveries.deliver_due() == 2
    delivered = (await state(client))["delivered"]
    await queue.settle(due, lost, due.delivered, "too late")
    now = await state(client)
    assert (now["delivered"], now["failures"]) == (delivered, 0)


async def test_a_killed_server_goes_on_where_it_was(tmp_path: Path, receiver: Receiver) -> None:
    def provision(server: Server, token: str, *names: str) -> None:
        for name in names:
            fetch(f"{server.url}/scim/Users", token, {"userName": name})

    token = (await asyncio.to_thread(joiner, "token", "create", data=tmp_path)).strip()
    key = (tmp_path / "local.key").read_text().strip()
    server = await asyncio.to_thread(Server, tmp_path, "--only", "application")
    try:
        await asyncio.to_thread(fetch, f"{server.url}/app/api/webhooks", key, {"url": receiver.url})
        await asyncio.to_thread(provision, server, token, "a", "b")
        await receiver.got(2)
        receiver.release.clear()
        await asyncio.to_thread(provision, server, token, "c", "d")
        await receiver.got(3)
    finally:
        server.kill()
    receiver.release.set()
    server = await asyncio.to_thread(Server, tmp_path, "--only", "application")
    try:
        await receiver.got(5)
    finally:
        await asyncio.to_thread(server.stop)
    assert receiver.names[:3] == ["a", "b", "c"]
    assert sorted(set(receiver.names[3:])) in (["c", "d"], ["a", "b", "c", "d"]), "at least once, in order"
    assert receiver.names[-1] == "d"


# Who may be called


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/", "this machine"),
        ("https://localhost/", "this machine"),
        ("https://[::ffff:127.0.0.1]/", "this machine"),
        ("https://10.0.0.1/", "private address"),
        ("https://169.254.169.254/latest", "never called"),
        ("http://93.184.215.14/", "not encrypted"),
        ("ftp://receiver.example/", "https"),
        ("https://user:secret@receiver.example/", "user name or password"),
        ("https://" + "a" * 70 + ".example/", "cannot be found"),
        ("https://receiver.example/" + "x" * 2000, "2000 characters"),
        ("", "https"),
    ],
)
async def test_addresses_that_must_not_be_called_are_refused_at_once(tmp_path: Path, url: str, reason: str) -> None:
    async with opened_endpoint(tmp_path / "application.db") as client:
        refusal = await client.admin("POST", "/webhooks", {"url": url}, 400)
        assert reason in refusal["error"]
        assert await client.rows("SELECT * FROM webhook") == []


async def test_the_address_that_was_checked_is_the_one_that_is_called(tmp_path: Path, receiver: Receiver) -> None:
    asked: list[str] = []

    def resolver(host: str) -> list[str]:
        """At the creation, at the first delivery, and then another one for whoever asks once more."""
        asked.append(host)
        return ["127.0.0.1"] if len(asked) <= 2 else ["192.0.2.1"]

    async with opened_endpoint(tmp_path / "application.db", allow_loopback=True, resolver=resolver) as client:
        url = receiver.url.replace("127.0.0.1", "rebinding.example")
        await webhook(client, url)
        await users(client, "a")
        assert await client.side.deliveries.deliver_due() == 1
        assert asked == ["rebinding.example"] * 2
        assert receiver.requests[0][0].headers["Host"] == url.split("/")[2]


async def test_a_name_that_leads_elsewhere_later_is_not_called(tmp_path: Path, receiver: Receiver) -> None:
    addresses = ["93.184.215.14"]
    async with opened_endpoint(tmp_path / "application.db", resolver=lambda host: addresses) as client:
        await webhook(client, receiver.url.replace("http://127.0.0.1", "https://moving.example"))
        await users(client, "a")
        addresses[:] = ["127.0.0.1"]
        assert await client.side.deliveries.deliver_due() == 0
        assert "this machine" in (await state(client))["lastError"]
        addresses[:] = ["93.184.215.14", "169.254.169.254"]
        client.clock.move(timedelta(seconds=WAITS[0]))
        assert await client.side.deliveries.deliver_due() == 0
        assert "never called" in (await state(client))["lastError"]
    assert receiver.requests == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": 5},
        {"url": "https://receiver.example/", "after": -1},
        {"url": "https://receiver.example/", "after": 2**63},
        {"url": "https://receiver.example/", "speed": "high"},
    ],
)
async def test_what_makes_no_webhook_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert (await client.admin("POST", "/webhooks", body, 400))["error"]


async def test_a_webhook_of_an_unknown_connection_is_refused(client: Client, receiver: Receiver) -> None:
    await client.admin("POST", "/webhooks", {"url": receiver.url, "connection": "nobody"}, 404)


async def test_webhooks_are_for_administrators(client: Client) -> None:
    for method, path in (
        ("GET", "/webhooks"),
        ("POST", "/webhooks"),
        ("DELETE", "/webhooks/x"),
        ("POST", "/webhooks/x/test"),
    ):
        await client.admin(method, path, status=401, headers={})


# Events that grow old


async def test_what_a_webhook_has_not_accepted_is_kept_for_90_days(client: Client, receiver: Receiver) -> None:
    await webhook(client, receiver.url)
    await users(client, "a", "b")
    token, _ = await client.side.tokens.create("other")
    await client.post("/Users", {"userName": "elsewhere"}, headers={"Authorization": f"Bearer {token}"})
    client.clock.move(timedelta(days=60))
    assert await client.side.retention.prune() == 1, "those of another connection go"
    receiver.status = 500
    await client.side.deliveries.deliver_due()
    client.clock.move(timedelta(days=30, seconds=1))
    assert await client.side.retention.prune() == 2
    now = await state(client)
    assert now["givenUp"] == 2
    assert now["lastError"] == "events were removed that it had not accepted for 90 days"
    receiver.status = 200
    await users(client, "c")
    assert await client.side.deliveries.deliver_due() == 1
    assert receiver.names[-1] == "c"
    assert (await state(client))["givenUp"] == 2


async def test_what_was_accepted_is_not_kept_for_others(client: Client, receiver: Receiver) -> None:
    await webhook(client, receiver.url)
    await users(client, "a")
    await client.side.deliveries.deliver_due()
    client.clock.move(timedelta(days=31))
    assert await client.side.retention.prune() == 1


async def test_old_events_are_removed_while_the_server_runs(application_database: Path | str) -> None:
    options = {"events_kept": timedelta(days=2)}
    async with opened_endpoint(application_database, **options) as client:
        await users(client, "a")
        client.clock.move(timedelta(days=2, seconds=1))
        pruned = asyncio.Event()
        prune = client.side.retention.prune

        async def noticed() -> int:
            removed = await prune()
            pruned.set()
            return removed

        client.side.retention.prune = noticed  # type: ignore[method-assign] # to know when
        async with client.side.deliveries, asyncio.timeout(30):
            await pruned.wait()
        assert await client.events() == []


async def test_a_side_that_is_opened_again_still_knows_its_webhooks(
    application_database: Path | str, receiver: Receiver
) -> None:
    async with opened_endpoint(application_database, allow_loopback=True) as client:
        made = await webhook(client, receiver.url)
        await users(client, "a")
        clock = client.clock
    again = await ApplicationSide.open(
        application_database, authorise_admin=ADMIN.__eq__, secret_key=bytes(32), clock=clock, allow_loopback=True
    )
    assert await again.webhooks.secret(made["id"]) == made["secret"]
    assert await again.deliveries.deliver_due() == 1
    await again.close()
    assert receiver.names == ["a"]
