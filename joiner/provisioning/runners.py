"""Who runs a cycle's pages: outbound jobs write to a target, inbound ones to our directory."""

from collections.abc import Callable

from joiner.provisioning.cycle.runner import CycleRunner
from joiner.provisioning.inbound.runner import InboundRunner
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.job.templates import source_of
from joiner.storage.sqlite import Database


class Runners:
    """Runs the cycles of every job."""

    def __init__(self, db: Database, outbound: CycleRunner, inbound: InboundRunner) -> None:
        self._db = db
        self.outbound = outbound
        self._inbound = inbound

    async def take(self, cycle_id: str) -> int:
        """As `CycleRunner.take`."""
        return await self.outbound.take(cycle_id)

    async def run_page(self, cycle_id: str, fence: int) -> bool:
        """As `CycleRunner.run_page`."""
        return await self.run_pages(cycle_id, fence, lambda: False)

    async def run_pages(self, cycle_id: str, fence: int, goes_on: Callable[[], bool]) -> bool:
        """As `CycleRunner.run_pages`."""
        job = jobs.job_by_id(self._db.reader, cycles.cycle_by_id(self._db.reader, cycle_id).job_id)
        runner = self.outbound if source_of(job.template_id) == "directory" else self._inbound
        return await runner.run_pages(cycle_id, fence, goes_on)

    async def drop_some(self, cycle_id: str) -> int:
        """As `CycleRunner.drop_some`."""
        return await self.outbound.drop_some(cycle_id)

    async def fail(self, cycle_id: str, fence: int, reason: str) -> None:
        """As `CycleRunner.fail`."""
        await self.outbound.fail(cycle_id, fence, reason)
