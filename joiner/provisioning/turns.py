"""Turns on a job: a page of a cycle and a run on demand never touch its objects at the same time."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager


class Turns:
    """One at a time for each key, in order of arrival; from any thread and any event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, deque[Future[None]]] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Waits for the turn, and holds it while the block lasts."""
        turn: Future[None] = Future()
        with self._lock:
            queue = self._queues.setdefault(key, deque())
            queue.append(turn)
            if len(queue) == 1:
                turn.set_result(None)
        try:
            await asyncio.wrap_future(turn)
            yield
        finally:
            self._leave(key, turn)

    def is_wanted(self, key: str) -> bool:
        """Whether somebody waits for whoever holds the turn."""
        with self._lock:
            return len(self._queues.get(key, ())) > 1

    def _leave(self, key: str, turn: "Future[None]") -> None:
        with self._lock:
            queue = self._queues[key]
            queue.remove(turn)
            # Whoever stopped waiting has left the queue, or is about to: it passes the turn on.
            if not queue:
                del self._queues[key]
            elif not queue[0].done():
                queue[0].set_result(None)
