"""Delivering events to webhooks: in order, at least once. A dead receiver loses nothing; it is tried again, later and
later, and gets everything that it has missed.

Several processes may run this: a receiver belongs to the one that has claimed it for the next minutes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Self

import aiohttp
import orjson
import structlog

from joiner.application.events import EventLog
from joiner.application.webhooks import Webhook, WebhookService, signature
from joiner.clock import Clock, to_iso
from joiner.errors import JoinerError, NotFoundError
from joiner.storage.session import Session, Storage

BATCH: Final = 100
"""So many events are delivered before it is written down how far the receiver is."""
CLAIMED_FOR: Final = timedelta(minutes=5)
WAITS: Final = (5, 30, 120, 600, 1800, 3600)
"""Seconds until the next attempt after one, two, … failures in a row; the last for all further ones."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
USER_AGENT: Final = "Joiner-Webhooks/1"

log = structlog.get_logger(__name__)

CheckUrl = Callable[[str], Awaitable[None]]
"""Raises JoinerError if an address must not be called from here."""


class Deliveries:
    """An `async with` resource: it delivers while the block lasts."""

    def __init__(
        self, storage: Storage, webhooks: WebhookService, events: EventLog, clock: Clock, check_url: CheckUrl
    ) -> None:
        self._storage = storage
        self._webhooks = webhooks
        self._events = events
        self._clock = clock
        self._check_url = check_url
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="webhooks")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def deliver_due(self) -> int:
        """One round: everything that is due now, to every receiver. Returns how many events were accepted."""
        rounds = [self._deliver(each) for each in await self._webhooks.list() if await self._claim(each)]
        if not rounds:
            return 0
        # No cookies, no proxy from the environment: an event goes to the address entered, nowhere else.
        async with aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session:
            return sum(await asyncio.gather(*(each(session) for each in rounds)))

    async def _run(self) -> None:
        while True:
            try:
                delivered = await self.deliver_due()
            except Exception:
                # The database may be away for a while; events are kept, and so is this task.
                log.exception("webhooks could not be delivered")
                delivered = 0
            if not delivered:
                await self._events.news(1.0)

    async def _claim(self, webhook: Webhook) -> bool:
        """Whether something is due for the receiver and no other process is at it."""
        now = self._clock()
        if webhook.next_attempt is not None and webhook.next_attempt > to_iso(now):
            return False
        if not await self._events.after(webhook.delivered, limit=1, connection=webhook.connection_name):
            return False

        async def work(session: Session) -> bool:
            claimed = await session.execute(
                "UPDATE webhook SET next_attempt = ?2 WHERE id = ?1 AND (next_attempt IS NULL OR next_attempt <= ?3)",
                webhook.id,
                to_iso(now + CLAIMED_FOR),
                to_iso(now),
            )
            return claimed == 1

        return await self._storage.write(work)

    def _deliver(self, webhook: Webhook) -> Callable[[aiohttp.ClientSession], Awaitable[int]]:
        async def deliver(session: aiohttp.ClientSession) -> int:
            delivered, error = webhook.delivered, None
            accepted = 0
            try:
                await self._check_url(webhook.url)
                secret = await self._webhooks.secret(webhook.id)
                for event in await self._events.after(delivered, limit=BATCH, connection=webhook.connection_name):
                    await self._post(session, webhook.url, secret, event)
                    delivered, accepted = int(event["id"]), accepted + 1
            except NotFoundError:
                return accepted
            except (JoinerError, aiohttp.ClientError, TimeoutError, OSError) as failure:
                error = str(failure) or type(failure).__name__
            await self._note(webhook, delivered, accepted, error)
            return accepted

        return deliver

    async def _post(self, session: aiohttp.ClientSession, url: str, secret: str, event: Mapping[str, Any]) -> None:
        body = orjson.dumps(event)
        timestamp = int(self._clock().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": f"evt_{event['id']}",
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, f"evt_{event['id']}", timestamp, body),
        }
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            if not 200 <= answer.status < 300:
                raise aiohttp.ClientError(f"event {event['id']} was answered with status {answer.status}")

    async def _note(self, webhook: Webhook, delivered: int, accepted: int, error: str | None) -> None:
        failures = 0 if error is None else (1 if accepted else webhook.failures + 1)
        wait = WAITS[min(failures, len(WAITS)) - 1] if error is not None else 0
        until = to_iso(self._clock() + timedelta(seconds=wait)) if error is not None else None
        if error is not None:
            log.warning("webhook not delivered", webhook=webhook.id, failures=failures, seconds_to_wait=wait)

        async def work(session: Session) -> None:
            await session.execute(
                "UPDATE webhook SET delivered = ?2, failures = ?3, last_error = ?4, next_attempt = ?5 WHERE id = ?1",
                webhook.id,
                delivered,
                failures,
                None if error is None else error[:500],
                until,
            )

        await self._storage.write(work)
