"""Cycles as durable workflows of DBOS Transact: one step a page, resumed after a crash.

The port that the rest of the engine sees is `CycleEngine`; DBOS is imported when the engine starts, because that
takes longer than everything else together. DBOS is one per process, and so is the engine.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Protocol

from joiner.errors import InvalidStateError, NotFoundError
from joiner.provisioning.cycle import CycleRunner

APPLICATION_VERSION: Final = "1"
"""Constant, so that a cycle begun by an older release is gone on with by a newer one."""
EXECUTOR_ID: Final = "embedded"
"""Constant, because the data folder admits one process: DBOS itself then finds what the last one left behind."""


FORGOTTEN_AT_ONCE: Final = 100


class CycleEngine(Protocol):
    """Runs cycles to their end, also those that a process left behind when it died."""

    async def start(self) -> None:
        """Goes on with what was left behind."""

    async def run(self, cycle_id: str) -> None:
        """Begins the cycle, or finds it running, and returns at once."""

    async def wait(self, cycle_id: str) -> None:
        """Returns when the cycle has ended."""

    async def stop(self) -> None:
        """Lets go: cycles under way stay where their last page was committed."""


class DbosEngine:
    """Cycles as DBOS workflows on the SQLite file at `path`."""

    def __init__(self, path: Path, runner: CycleRunner, on_end: Callable[[], None]) -> None:
        self._path = path
        self._runner = runner
        self._on_end = on_end
        self._workflow: Callable[[str], Awaitable[None]] | None = None
        self._dbos: Any = None

    async def start(self) -> None:
        await asyncio.to_thread(_import_dbos)
        from dbos import DBOS

        logging.getLogger("dbos").setLevel(logging.WARNING)
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

        @DBOS.step(name="page")
        async def page(cycle_id: str, fence: int) -> bool:
            return await runner.run_page(cycle_id, fence)

        @DBOS.workflow(name="cycle")
        async def cycle(cycle_id: str) -> None:
            try:
                await run_pages(runner, cycle_id, page)
            finally:
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
        # The workflow has the cycle's id: a second call finds the first one's workflow.
        with SetWorkflowID(cycle_id):
            await self._dbos.start_workflow_async(self._workflow, cycle_id)

    async def wait(self, cycle_id: str) -> None:
        handle = await self._dbos.retrieve_workflow_async(cycle_id)
        await handle.get_result()

    async def _forget_ended(self) -> None:
        """What is durable of an ended cycle is in the directory's database; its workflow is of no use any more."""
        ended = await self._dbos.list_workflows_async(status=["SUCCESS", "ERROR", "CANCELLED"], limit=FORGOTTEN_AT_ONCE)
        if ended:
            await self._dbos.delete_workflows_async([workflow.workflow_id for workflow in ended])

    async def stop(self) -> None:
        if self._dbos is not None:
            await asyncio.to_thread(self._dbos.destroy)
            self._dbos = None


async def run_pages(runner: CycleRunner, cycle_id: str, run_page: Callable[[str, int], Awaitable[bool]]) -> None:
    """Runs the cycle to its end, or until its job is deleted or taken over by another worker."""
    with contextlib.suppress(InvalidStateError, NotFoundError):
        fence = await runner.take(cycle_id)
        while await run_page(cycle_id, fence):
            pass


def _import_dbos() -> None:
    import dbos  # noqa: F401 - in a thread, so that the server answers meanwhile
