"""Delivering events to webhooks: in order, at least once. A dead receiver loses nothing; it is tried again, later and
later, and gets everything that it has missed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
import structlog

from joiner.application.events.delivery_queue import CLAIMED_FOR, DeliveryQueue, Due
from joiner.application.events.log import LOOK_EVERY, EventLog
from joiner.application.events.retention import Retention
from joiner.application.events.webhooks import WebhookService, signature
from joiner.clock import Clock, to_iso
from joiner.errors import JoinerError
from joiner.ids import new_id
from joiner.net.addresses import Addresses
from joiner.storage.session import Storage

if TYPE_CHECKING:
    import aiohttp

BATCH: Final = 100
"""So many events are delivered before it is written down how far the receiver is."""
TIMEOUT: Final = 20.0
"""Seconds that a receiver has for its answer."""
BATCH_TIME: Final = CLAIMED_FOR / 2
"""No event is sent later in a batch: its answer must come while the receiver is claimed."""
PASSED_OVER: Final = 1000
"""After so many events of other connections it is written down that they do not concern a webhook."""
PRUNE_EVERY: Final = 3600.0
USER_AGENT: Final = "Joiner-Webhooks/1"
log = structlog.get_logger(__name__)


class NotAcceptedError(JoinerError):
    """A receiver has answered, but not with a status of success."""


class Deliveries:
    """An `async with` resource: it delivers, and removes old events, while the block lasts."""

    def __init__(
        self,
        storage: Storage,
        webhooks: WebhookService,
        events: EventLog,
        retention: Retention,
        clock: Clock,
        addresses_of: Addresses,
    ) -> None:
        self._storage = storage
        self._queue = DeliveryQueue(storage, clock)
        self._webhooks = webhooks
        self._events = events
        self._retention = retention
        self._clock = clock
        self._addresses_of = addresses_of
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._storage.dialect == "sqlite":
            await self._queue.release()
        self._task = asyncio.create_task(self._run(), name="webhooks")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def deliver_due(self) -> int:
        """One round: what is due now, to every receiver. Returns how many events were accepted."""
        return sum(await asyncio.gather(*(self._deliver(each) for each in await self._queue.due())))

    async def try_out(self, webhook_id: str) -> str | None:
        """Sends an event that tells nothing, beside the queue. Returns why it was not accepted, None if it was.

        Raises NotFoundError.
        """
        webhook = await self._webhooks.get(webhook_id)
        event = {
            "id": f"test_{new_id()}",
            "time": to_iso(self._clock()),
            "connection": webhook.connection_name,
            "verb": "test",
        }
        try:
            async for _ in self._accepted(webhook_id, webhook.url, [event]):
                pass
        except Exception as failure:
            return _told(failure)
        return None

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._prune())
            under_way: set[str] = set()
            while True:
                with self._events.news() as news:
                    due: Sequence[Due] = ()
                    try:
                        due = await self._queue.due()
                    except Exception:
                        # The database may be away for a while; events are kept, and so is this task.
                        log.exception("webhooks could not be looked up")
                    for each in due:
                        if each.id not in under_way:
                            under_way.add(each.id)
                            tasks.create_task(self._serve(each.id, under_way))
                    # Without receivers it does not matter when something is accepted.
                    await (news.wait(LOOK_EVERY) if due else asyncio.sleep(LOOK_EVERY))

    async def _serve(self, webhook_id: str, under_way: set[str]) -> None:
        """Delivers until the receiver has everything, or fails."""
        try:
            while due := await self._queue.due(webhook_id):
                with self._events.news() as news:
                    accepted = sum([await self._deliver(each) for each in due])
                    if not accepted and not news.told.done():
                        break
        except Exception:
            log.exception("a webhook could not be served", webhook=webhook_id)
        finally:
            under_way.discard(webhook_id)

    async def _prune(self) -> None:
        while True:
            try:
                await self._retention.prune()
            except Exception:
                log.exception("old events could not be removed")
            await asyncio.sleep(PRUNE_EVERY)

    async def _deliver(self, due: Due) -> int:
        """One batch. Returns how many events were accepted."""
        page = await self._events.page(due.delivered, limit=BATCH, connection_id=due.connection_id)
        if not page.events:
            if page.next - due.delivered >= PASSED_OVER:
                await self._queue.pass_over(due, page.next)
            return 0
        claim = await self._queue.claim(due)
        if claim is None:
            return 0
        accepted, delivered, error = 0, due.delivered, None
        try:
            async for event in self._accepted(due.id, due.url, page.events):
                accepted, delivered = accepted + 1, int(event["id"])
        except Exception as failure:
            error = _told(failure)
            log.warning("webhook not delivered", webhook=due.id, error=error)
        finally:
            # Also when the server stops in between: what was accepted is not sent again.
            await self._queue.settle(due, claim, delivered, error)
        return accepted

    async def _accepted(
        self, webhook_id: str, url: str, events: Sequence[Mapping[str, Any]]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Sends the events one by one, as long as there is time; yields each that was accepted.

        Raises NotFoundError once the webhook is deleted, and whatever a receiver, its name or its address can do to us.
        """
        # Imported when there is something to send: most installations have no webhooks.
        import aiohttp

        from joiner.net.pinned import pinned_session

        until = self._clock() + BATCH_TIME
        async with asyncio.timeout(TIMEOUT):
            addresses = await self._addresses_of(url)
        async with pinned_session(addresses, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
            for event in events:
                if self._clock() >= until:
                    return
                await self._post(session, url, await self._webhooks.secret(webhook_id), event)
                yield event

    async def _post(self, session: "aiohttp.ClientSession", url: str, secret: str, event: Mapping[str, Any]) -> None:
        body = orjson.dumps(event)
        message_id = f"evt_{event['id']}"
        timestamp = int(self._clock().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, message_id, timestamp, body),
        }
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            if not 200 <= answer.status < 300:
                raise NotAcceptedError(f"event {event['id']} was answered with status {answer.status}")


def _told(failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return f"no answer within {TIMEOUT:g} seconds"
    return str(failure) or type(failure).__name__
