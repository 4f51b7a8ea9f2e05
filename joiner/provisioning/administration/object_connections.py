"""What an administrator does with object connections: look which account belongs to whom, forget it (provisioning
service §7)."""

import sqlite3

from joiner.clock import Clock
from joiner.errors import InvalidStateError, NotFoundError
from joiner.provisioning.job import jobs, links
from joiner.provisioning.job.links import ObjectConnection
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import SERVICE_ITSELF, Actor, AuditChange
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database


class ObjectConnections:
    """The operations on the object connections of the jobs in `db`."""

    def __init__(self, db: Database, clock: Clock, turns: Turns) -> None:
        self._db = db
        self._clock = clock
        self._turns = turns

    def find(self, job_id: str, anchor: str) -> ObjectConnection:
        """By the id of the source or the target object. Raises NotFoundError."""
        found = links.connection_of(self._db.reader, job_id, anchor)
        if found is None:
            raise NotFoundError(f"no object connection has the source or target id '{anchor}'")
        return found

    async def forget(self, job_id: str, anchor: str, by: Actor = SERVICE_ITSELF) -> None:
        """Forgets which target object belongs to the source object; nothing happens if nothing is known (REQ-P-071).

        Raises InvalidStateError unless the job is paused or disabled.
        """

        def work(connection: sqlite3.Connection) -> None:
            job = jobs.job_by_id(connection, job_id)
            if job.schedule_state == "Active":
                raise InvalidStateError("pause the job first: a cycle could be using the object connection")
            found = links.connection_of(connection, job_id, anchor)
            if found is not None:
                links.forget_connection(connection, job_id, found.object_type_name, found.source_anchor)
                told = (AuditChange(f"object connection of {found.source_anchor}", found.target_anchor, None),)
                audit.note(
                    connection, "Other", self._clock(), by, job.service_principal_id, job_id=job.id, changes=told
                )

        # A paused job may still have a cycle that goes on to its end.
        async with self._turns.of(job_id):
            await self._db.write(work)
