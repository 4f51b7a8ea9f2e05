"""Time that passes only when nothing is left to do: days of retries take milliseconds, the same in every run."""

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

START = datetime(2024, 5, 6, 7, 0, tzinfo=UTC)

LATEST = 200_000.0
"""Seconds of waiting after which nothing good can come. Days are jumped over, and do not count."""

T = TypeVar("T")


class StuckError(Exception):
    """Everything waits for something that nothing will bring about."""


class _Selector(selectors.SelectSelector):
    """Instead of waiting for sockets, of which there are none, moves the loop's time on."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.latest = LATEST

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("every task waits, and no timer runs")
        self.seconds += max(timeout, 0.0)
        if self.seconds > self.latest:
            raise StuckError("something goes on for ever")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. What others do in threads it does at once, on its own."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)

    def time(self) -> float:
        return self._passing.seconds

    def abandon(self) -> None:
        """Cancels what still runs, and closes."""
        self._passing.latest = float("inf")
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))
        self.close()

    def run_in_executor(self, executor: object, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override] # no executor is used
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class VirtualClock:
    """The time of day. It goes with the loop, and can be set forward by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jumped = timedelta()

    def __call__(self) -> datetime:
        return START + timedelta(seconds=self._loop.time()) + self._jumped

    def jump(self, step: timedelta) -> None:
        """Nothing notices before it looks at the clock: as when a machine was suspended, or its clock set."""
        self._jumped += step
