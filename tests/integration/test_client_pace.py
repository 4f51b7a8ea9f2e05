"""The pace over real sockets: one refusal stops everybody, and nothing is lost or sent twice."""

import asyncio
from collections import Counter

import pytest
from aiohttp import web

from joiner.net.addresses import checked_addresses
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.client.http import open_exchange
from joiner.provisioning.client.pace import Pace, PaceLimits
from joiner.provisioning.client.target import ScimTarget
from tests.local_server import served
from tests.world import StillClock


class Busy:
    """Answers when it is let, counts how many wait, and refuses what `refuses` says."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0
        self.created: Counter[str] = Counter()
        self.refusals: list[web.Response] = []
        self.slept: list[float] = []
        self.clock = StillClock()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        body = await request.json()
        # Everybody who may come has come before anybody is answered.
        for _ in range(20):
            await asyncio.sleep(0)
        self.under_way -= 1
        if self.refusals:
            return self.refusals.pop()
        self.created[body["userName"]] += 1
        return web.json_response({"id": body["userName"]}, status=201)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def create_many(busy: Busy, number: int, limits: PaceLimits) -> list[str | BaseException]:
    addresses = checked_addresses(allow_loopback=True, allow_private=False)
    async with (
        served(busy.answer) as port,
        open_exchange(f"http://127.0.0.1:{port}/scim", addresses) as exchange,
    ):
        target = ScimTarget(exchange, pace=Pace(limits), clock=busy.clock, sleep=busy.sleep, jitter=lambda: 1.0)
        creates = (target.create("/Users", {"userName": f"u{each}"}) for each in range(number))
        return await asyncio.gather(*creates, return_exceptions=True)


async def test_never_more_requests_are_under_way_than_may_be() -> None:
    busy = Busy()
    made = await create_many(busy, 60, PaceLimits(most_concurrent=5, first_concurrent=3))
    assert made == [f"u{each}" for each in range(60)]
    assert 1 < busy.most <= 5


@pytest.mark.req("REQ-C-022", "REQ-P-089")
@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_stops_everybody_and_then_each_create_happens_once(status: int) -> None:
    busy = Busy()
    busy.refusals = [web.Response(status=status, headers={"Retry-After": "7"}) for _ in range(3)]
    made = await create_many(busy, 30, PaceLimits())
    assert made == [f"u{each}" for each in range(30)]
    assert set(busy.created.values()) == {1}
    # All wait together: once for each time that the target asked for it, not once for each request.
    assert 7.0 <= sum(busy.slept) < 7.0 * 3 + 1
    assert max(busy.slept) <= 7.0


@pytest.mark.req("REQ-P-089")
async def test_a_target_that_refuses_forever_is_given_up_in_the_end() -> None:
    busy = Busy()
    busy.refusals = [web.Response(status=429) for _ in range(100)]
    [error] = await create_many(busy, 1, PaceLimits())
    assert isinstance(error, TargetError)
    assert error.code == "TooManyRequests"
    assert len(busy.refusals) == 100 - 9
    assert busy.slept == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


@pytest.mark.req("REQ-C-035")
async def test_requests_keep_their_distance_in_time() -> None:
    busy = Busy()
    await create_many(busy, 50, PaceLimits(requests_per_second=25))
    # The clock stands still, so that all of the time that passes is slept.
    assert sum(busy.slept) == pytest.approx(49 / 25, abs=0.05)


async def test_a_request_that_is_cut_off_makes_room_for_the_next() -> None:
    busy = Busy()
    addresses = checked_addresses(allow_loopback=True, allow_private=False)
    arrived, stuck = asyncio.Event(), asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if not arrived.is_set():
            arrived.set()
            await stuck.wait()
        return await busy.answer(request)

    async with served(answer) as port, open_exchange(f"http://127.0.0.1:{port}/scim", addresses) as exchange:
        pace = Pace(PaceLimits(most_concurrent=1, first_concurrent=1))
        target = ScimTarget(exchange, pace=pace, clock=busy.clock, sleep=busy.sleep)
        first = asyncio.create_task(target.create("/Users", {"userName": "a"}))
        await arrived.wait()
        second = asyncio.create_task(target.create("/Users", {"userName": "b"}))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == "b"
        stuck.set()
