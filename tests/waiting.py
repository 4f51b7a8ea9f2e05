"""Waiting for what happens in another process or thread: for a condition, never for an amount of time."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Returns as soon as the condition holds. Raises TimeoutError when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not hold within {seconds:g} seconds")
        time.sleep(POLL_SECONDS)
