"""Waiting for what happens in another process or thread: for a condition, never for an amount of time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """The first true value of the condition, as soon as it has one. Raises TimeoutError if none comes in `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not hold within {seconds:g} seconds")
        time.sleep(POLL_SECONDS)
    return value
