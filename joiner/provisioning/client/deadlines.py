"""Many deadlines on one timer: a timer for each would cost more than what is waited for."""

import asyncio
import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

EARLY = 0.001
"""Seconds: timers and the loop's time are rounded to these."""


class Deadlines(Generic[T]):
    """Gives to `expire` what is not taken out in time. Belongs to one event loop."""

    def __init__(self, expire: Callable[[T], None]) -> None:
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._until: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = math.inf

    def put(self, item: T, until: float) -> None:
        """`until`: a time of the event loop."""
        self._until[item] = until
        # The timer is left as it is when something is taken out: it finds nothing, and is set anew.
        if until < self._next:
            self._set(until)

    def take(self, item: T) -> None:
        """Does nothing if it has expired."""
        self._until.pop(item, None)

    def last(self) -> tuple[T, float] | None:
        """Takes out what was put in last, with its deadline, which may have passed just now."""
        return self._until.popitem() if self._until else None

    def close(self) -> None:
        """Nothing expires any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = moment
        self._timer = self._loop.call_at(moment, self._check)

    def _check(self) -> None:
        self._timer, self._next = None, math.inf
        now = self._loop.time() + EARLY
        for item in [item for item, until in self._until.items() if until <= now]:
            del self._until[item]
            self._expire(item)
        if self._until:
            self._set(min(self._until.values()))
