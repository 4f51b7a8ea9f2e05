"""Webhooks: signed, in order, at least once, whatever the receiver does."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from joiner.application.deliveries import Deliveries
from joiner.errors import ForbiddenTargetError, InvalidValueError, NotFoundError
from tests.scim_client import Client


class Receiver:
    """Keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.url = ""

    async def accept(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, body))
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else None)

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    it = Receiver()
    app = web.Application()
    app.router.add_post("/hook", it.accept)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield it
    await runner.cleanup()


async def anywhere(url: str) -> None:
    """Every address may be called."""


def deliveries(client: Client) -> Deliveries:
    return client.side.deliveries(anywhere)


async def test_events_come_in_order_and_signed_as_standard_webhooks_says(client: Client, receiver: Receiver) -> None:
    await client.user("before")
    secret, _ = await client.side.webhooks.create("default", receiver.url)
    for name in ("a", "b", "c"):
        await client.user(name)
    assert await deliveries(client).deliver_due() == 3
    assert receiver.ids() == ["evt_2", "evt_3", "evt_4"]
    for headers, body in receiver.requests:
        signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert headers["content-type"] == "application/json"
    assert await deliveries(client).deliver_due() == 0
    [webhook] = await client.side.webhooks.list()
    assert (webhook.delivered, webhook.failures, webhook.last_error) == (4, 0, None)


async def test_a_receiver_that_fails_gets_everything_later_and_in_order(client: Client, receiver: Receiver) -> None:
    await client.side.webhooks.create("default", receiver.url, after=0)
    for name in ("a", "b", "c"):
        await client.user(name)
    receiver.statuses = [204, 500, 503, 302]
    assert await deliveries(client).deliver_due() == 1
    waits = []
    for _ in range(2):
        [webhook] = await client.side.webhooks.list()
        assert await deliveries(client).deliver_due() == 0
        assert webhook.next_attempt is not None
        waits.append(webhook.next_attempt)
        client.clock.move(timedelta(minutes=10))
        await deliveries(client).deliver_due()
    [webhook] = await client.side.webhooks.list()
    assert (webhook.delivered, webhook.failures) == (1, 3)
    assert "302" in str(webhook.last_error)
    assert receiver.ids() == ["evt_1", "evt_2", "evt_2", "evt_2"]
    client.clock.move(timedelta(hours=1))
    assert await deliveries(client).deliver_due() == 2
    assert receiver.ids()[4:] == ["evt_2", "evt_3"]
    [webhook] = await client.side.webhooks.list()
    assert (webhook.delivered, webhook.failures, webhook.next_attempt) == (3, 0, None)


async def test_a_receiver_that_is_not_there_loses_nothing(client: Client, receiver: Receiver) -> None:
    await client.side.webhooks.create("default", "http://127.0.0.1:9/hook", after=0)
    await client.user("kim")
    assert await deliveries(client).deliver_due() == 0
    [webhook] = await client.side.webhooks.list()
    assert (webhook.delivered, webhook.failures) == (0, 1)
    assert webhook.last_error


async def test_an_address_that_must_not_be_called_is_not(client: Client, receiver: Receiver) -> None:
    await client.side.webhooks.create("default", receiver.url, after=0)
    await client.user("kim")

    async def nowhere(url: str) -> None:
        raise ForbiddenTargetError("it is this machine")

    assert await client.side.deliveries(nowhere).deliver_due() == 0
    assert receiver.requests == []
    [webhook] = await client.side.webhooks.list()
    assert webhook.last_error == "it is this machine"
    with pytest.raises(InvalidValueError):
        await client.side.webhooks.create("default", "ftp://example.com")


async def test_receivers_are_told_of_their_own_connection_and_not_after_they_are_removed(
    client: Client, receiver: Receiver
) -> None:
    token, _ = await client.side.tokens.create("other")
    _, webhook = await client.side.webhooks.create("other", receiver.url)
    await client.user("kim")
    assert await deliveries(client).deliver_due() == 0
    await client.post("/Users", {"userName": "lee"}, headers={"Authorization": f"Bearer {token}"})
    assert await deliveries(client).deliver_due() == 1
    await client.side.webhooks.delete(webhook.id)
    await client.post("/Users", {"userName": "sam"}, headers={"Authorization": f"Bearer {token}"})
    assert await deliveries(client).deliver_due() == 0
    with pytest.raises(NotFoundError):
        await client.side.webhooks.delete(webhook.id)


async def test_secrets_are_encrypted_and_shown_once(client: Client, receiver: Receiver) -> None:
    secret, made = await client.side.webhooks.create("default", receiver.url)
    held: Any = [await client.rows("SELECT * FROM webhook"), made, await client.side.webhooks.list()]
    assert secret not in str(held)
    assert await client.side.webhooks.secret(made.id) == secret


async def test_a_server_at_work_delivers_by_itself(client: Client, receiver: Receiver) -> None:
    await client.side.webhooks.create("default", receiver.url)
    async with deliveries(client):
        await client.user("kim")
        while not receiver.requests:
            await client.side.events.news(0.01)
    assert receiver.ids() == ["evt_1"]
