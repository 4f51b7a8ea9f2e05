"""Cycles as durable workflows of DBOS Transact: a step for the pages of some seconds, resumed after a crash.

The port that the rest of the engine sees is `CycleEngine`; DBOS is imported when the engine starts, because that
takes longer than everything else together. DBOS is one per process, and so is the engine.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import structlog

from joiner.errors import InvalidStateError, JoinerError, NotFoundError

APPLICATION_VERSION: Final = "1"
"""Constant, so that a cycle begun by an older release is gone on with by a newer one."""
EXECUTOR_ID: Final = "embedded"
"""Constant, because the data folder admits one process: DBOS itself then finds what the last one left behind."""


FORGOTTEN_AT_ONCE: Final = 100
ENDED: Final = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
SECONDS_FOR_A_STEP: Final = 5.0
"""Then a step ends with the page at hand: pages are durable by themselves, and changed credentials count from here."""
SECONDS_FOR_A_PAGE: Final = 30.0
"""How long a stop waits for the pages under way; one that takes longer is run again by the next start."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class PageRunner(Protocol):
    """Runs the pages of a cycle: see `CycleRunner`."""

    async def take(self, cycle_id: str) -> int:
        """Takes the cycle's job over; the fencing number."""

    async def run_pages(self, cycle_id: str, fence: int, goes_on: Callable[[], bool]) -> bool:
        """Runs pages while `goes_on` says so, one at least; False when the cycle has ended."""

    async def drop_some(self, cycle_id: str) -> int:
        """Drops a part of what the cycle, which has ended, has read of the target's lists; 0 if nothing was left."""

    async def fail(self, cycle_id: str, fence: int, reason: str) -> None:
        """Ends the cycle as failed."""


class CycleEngine(Protocol):
    """Runs cycles to their end, also those that a process left behind when it died."""

    async def start(self) -> None:
        """Gets ready to run cycles."""

    async def run(self, cycle_id: str) -> None:
        """Begins the cycle, or finds it running, and returns at once."""

    async def stop(self) -> None:
        """Finishes the pages under way; the cycles stay where these were committed."""


class DbosEngine:
    """Cycles as DBOS workflows on the SQLite file at `path`. `on_end` is called after each."""

    def __init__(self, path: Path, runner: PageRunner, on_end: Callable[[], None]) -> None:
        self._path = path
        self._runner = runner
        self._on_end = on_end
        self._workflow: Callable[[str], Awaitable[None]] | None = None
        self._dbos: Any = None
        self._pages = 0
        self._no_pages = asyncio.Event()
        self._no_pages.set()
        self._is_stopping = False

    async def start(self) -> None:
        await asyncio.to_thread(_import_dbos)
        from dbos import DBOS

        DBOS(
            config={
                "name": "joiner",
                "system_database_url": f"sqlite:///{self._path}",
                "executor_id": EXECUTOR_ID,
                "application_version": APPLICATION_VERSION,
                "log_level": "WARNING",
                "enable_otlp": False,
            }
        )
        runner = self._runner

        @DBOS.step(name="pages")
        async def pages(cycle_id: str, fence: int) -> bool:
            end = time.monotonic() + SECONDS_FOR_A_STEP
            return await runner.run_pages(cycle_id, fence, lambda: not self._is_stopping and time.monotonic() < end)

        @DBOS.workflow(name="cycle")
        async def cycle(cycle_id: str) -> None:
            await run_pages(
                runner,
                cycle_id,
                lambda id_, fence: self._counted(lambda: pages(id_, fence)),
                lambda id_: self._counted(lambda: runner.drop_some(id_)),
            )
            self._on_end()

        self._workflow = cycle
        self._dbos = DBOS
        DBOS.launch()

    async def run(self, cycle_id: str) -> None:
        if self._workflow is None:
            # Not started yet: `ProvisioningSide.start` goes on with every cycle that has begun.
            return
        from dbos import SetWorkflowID

        await self._forget_ended()
        if await self._dbos.get_workflow_status_async(cycle_id) is not None:
            # DBOS goes on by itself with what the last process left behind.
            return
        with SetWorkflowID(cycle_id):
            await self._dbos.start_workflow_async(self._workflow, cycle_id)

    async def stop(self) -> None:
        if self._dbos is None:
            return
        self._is_stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_FOR_A_PAGE):
                await self._no_pages.wait()
        # What DBOS says of workflows that it finds without an executor from here on is no news.
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        await asyncio.to_thread(self._dbos.destroy)
        self._dbos = None

    async def _counted(self, run_page: Callable[[], Awaitable[T]]) -> T:
        """The page's result; when the engine stops no further page begins: the workflow waits for the next start."""
        if self._is_stopping:
            await asyncio.Event().wait()
        self._pages += 1
        self._no_pages.clear()
        try:
            return await run_page()
        finally:
            self._pages -= 1
            if not self._pages:
                self._no_pages.set()

    async def _forget_ended(self) -> None:
        """What is durable of an ended cycle is in the directory's database; its workflow is of no use any more."""
        ended = await self._dbos.list_workflows_async(status=list(ENDED), limit=FORGOTTEN_AT_ONCE)
        if ended:
            await self._dbos.delete_workflows_async([workflow.workflow_id for workflow in ended])


async def run_pages(
    runner: PageRunner,
    cycle_id: str,
    run_some: Callable[[str, int], Awaitable[bool]],
    drop_some: Callable[[str], Awaitable[int]],
) -> None:
    """Runs the cycle to its end, or until its job is deleted or taken over by another worker.

    What nobody expected (a full disk, a mistake of ours) ends the cycle as failed; the next one starts at its time.
    """
    with contextlib.suppress(InvalidStateError, NotFoundError):
        fence = await runner.take(cycle_id)
        try:
            while await run_some(cycle_id, fence):
                pass
            while await drop_some(cycle_id):
                pass
        except JoinerError:
            raise
        except Exception as error:
            log.exception("cycle failed", cycle=cycle_id)
            await runner.fail(cycle_id, fence, f"{type(error).__name__}: {error}")


def _import_dbos() -> None:
    import dbos  # noqa: F401 - in a thread, so that the server answers meanwhile
