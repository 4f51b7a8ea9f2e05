"""Doing many things side by side, so many at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from joiner.provisioning.client.failures import TargetUnusableError

T = TypeVar("T")


async def side_by_side(
    work: Callable[[T], Awaitable[None]], items: Iterable[T], at_once: int
) -> TargetUnusableError | None:
    """Does `work` to each item. Once the target has become unusable no further one begins, and the error is returned;
    any other exception is raised when what is under way has ended."""
    todo = list(items)
    waiting = iter(todo)
    errors: list[BaseException] = []

    async def go_on() -> None:
        for item in waiting:
            try:
                await work(item)
            except Exception as error:
                errors.append(error)
            if errors:
                return

    workers = [asyncio.create_task(go_on()) for _ in range(min(at_once, len(todo)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    for error in errors:
        if not isinstance(error, TargetUnusableError):
            raise error
    return errors[0] if errors and isinstance(errors[0], TargetUnusableError) else None
