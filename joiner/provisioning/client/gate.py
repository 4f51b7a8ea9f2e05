"""Lets requests through at a pace: the half of `pace` that waits."""

import asyncio
from collections.abc import Awaitable, Callable

from joiner.clock import Clock, seconds
from joiner.provisioning.client.pace import FULL, Pace, Verdict

Sleep = Callable[[float], Awaitable[None]]


class Gate:
    """First come, first served. Belongs to one event loop, and is the only one at its pace."""

    def __init__(self, pace: Pace, clock: Clock, sleep: Sleep) -> None:
        self._pace = pace
        self._seconds = seconds(clock)
        self._sleep = sleep
        self._slept_until = 0.0
        self._head = asyncio.Lock()
        self._freed = asyncio.Event()

    async def enter(self) -> float:
        """Returns when a request may begin, with the moment for `leave`."""
        if not self._head.locked():
            # Nobody waits, which is nearly always so.
            now = self._now()
            if not self._pace.begin(now):
                return now
        async with self._head:
            while wait := self._pace.begin(now := self._now()):
                if wait == FULL:
                    self._freed.clear()
                    await self._freed.wait()
                else:
                    await self._sleep(wait)
                    # The clock may stand still, or be set back: what was slept has passed.
                    self._slept_until = now + wait
            return now

    def leave(self, began: float, verdict: Verdict, pause: float | None = None) -> None:
        """The request has ended; see `Pace.end`."""
        self._pace.end(began, self._now(), verdict, pause)
        self._freed.set()

    def give_up(self) -> None:
        """The request was cut off from this side."""
        self._pace.cancel()
        self._freed.set()

    def _now(self) -> float:
        return max(self._seconds(), self._slept_until)
