"""How a run over some pages of a cycle begins, and how the cycle is given up: the same for jobs of either direction."""

import sqlite3

from joiner.clock import Clock
from joiner.errors import JoinerError
from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.cycle import standing
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.schema_versions import job_at_version
from joiner.provisioning.plans import applying
from joiner.storage.sqlite import Database


async def job_to_run(db: Database, cycle: Cycle, fence: int, clock: Clock) -> Job | None:
    """The cycle's job with the schema that the cycle began with; None if the cycle has ended, or ends now because an
    administrator wants a restart.

    Raises InvalidStateError if another worker has taken the job over, NotFoundError if the job was deleted.
    """
    if cycle.state != "running":
        return None
    job = job_at_version(db.reader, jobs.job_by_id(db.reader, cycle.job_id), cycle.schema_version)
    if not job.restart_requested:
        return job

    def end_early(connection: sqlite3.Connection) -> None:
        cycles.check_fence(connection, cycle, fence)
        cycles.end_cycle(connection, cycle, "abandoned", clock())
        applying.abandon(connection, cycle)

    await db.write(end_early)
    return None


async def give_up(db: Database, cycle_id: str, fence: int, error: JoinerError, clock: Clock) -> None:
    """Ends the cycle as failed. Raises as `job_to_run`."""
    failure = error if isinstance(error, TargetError) else TargetUnusableError("InternalError", str(error))

    def work(connection: sqlite3.Connection) -> None:
        cycle = cycles.cycle_by_id(connection, cycle_id)
        cycles.check_fence(connection, cycle, fence)
        standing.fail(connection, cycle, failure, clock())
        applying.abandon(connection, cycle)

    await db.write(work)
