"""What an administrator does with jobs: create, settings, start, pause, restart, run, look.

The Graph-shaped API and the pages call these; each is one transaction. Nothing here knows HTTP.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidStateError, InvalidValueError, NotFoundError
from joiner.provisioning.administration import status
from joiner.provisioning.administration.application_connections import ApplicationConnections
from joiner.provisioning.administration.held_removals import HeldRemovals
from joiner.provisioning.administration.object_connections import ObjectConnections
from joiner.provisioning.cycle import deletions, standing
from joiner.provisioning.cycle.prepare import check_roles, plan_of_document
from joiner.provisioning.document.completion import object_mappings_of
from joiner.provisioning.job import cycles, job_settings, jobs, links, provisioning_mode, staged_removals
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.provisioning_mode import Mode
from joiner.provisioning.job.templates import Template, template_by_id, templates_of
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import SERVICE_ITSELF, Activity, Actor, AuditChange
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database


class ProvisioningService:
    """The operations on the jobs of this installation; those on what belongs to them are in its attributes."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        clock: Clock,
        connections: ApplicationConnections,
        wake: Callable[[], None],
        run_cycle: Callable[[str], Awaitable[None]],
        turns: Turns,
    ) -> None:
        self.connections = connections
        self.removals = HeldRemovals(db, clock, wake)
        self.object_connections = ObjectConnections(db, clock, turns)
        self._db = db
        self._directory = directory
        self._clock = clock
        self._wake = wake
        self._run_cycle = run_cycle
        self._turns = turns

    # Templates and jobs

    def templates(self, service_principal_id: str) -> Sequence[Template]:
        """The templates that jobs of this application can be made from."""
        principal = self._directory.service_principal(service_principal_id)
        return templates_of(principal.application_template_id)

    def template(self, service_principal_id: str, template_id: str) -> Template:
        """Raises NotFoundError if the application does not offer it."""
        for template in self.templates(service_principal_id):
            if template.id == template_id:
                return template
        raise NotFoundError(f"there is no template '{template_id}' of this application")

    async def create_job(self, service_principal_id: str, template_id: str, by: Actor = SERVICE_ITSELF) -> Job:
        """A new job, disabled (REQ-P-003); the application's provisioning mode becomes Automatic.

        Raises InvalidValueError for a template that is not the application's.
        """
        offered = [template.id for template in self.templates(service_principal_id)]
        if template_id not in offered:
            raise InvalidValueError(
                f"'{template_id}' is not a template of this application; it offers {', '.join(offered)}"
            )
        schema = template_by_id(template_id).schema

        def work(connection: sqlite3.Connection) -> Job:
            now = self._clock()
            job = jobs.add_job(connection, service_principal_id, template_id, schema, now)
            stored = self.connections.stored(connection, service_principal_id)
            settings = job_settings.merge({}, job_settings.told_by_secrets(stored))
            jobs.write_settings(connection, job.id, settings, now)
            changes = provisioning_mode.set_mode(connection, service_principal_id, "Automatic", now)
            _note(connection, "Add provisioning configuration", now, by, job, changes)
            return jobs.job_by_id(connection, job.id)

        return await self._db.write(work)

    def provisioning_mode(self, service_principal_id: str) -> Mode:
        """Of an application."""
        return provisioning_mode.mode_of(self._db.reader, service_principal_id)

    async def set_provisioning_mode(self, service_principal_id: str, mode: Mode, by: Actor = SERVICE_ITSELF) -> None:
        """Raises InvalidStateError for a way back to Manual (REQ-P-002)."""
        activity: Activity = "Update provisioning setting or credentials"

        def work(connection: sqlite3.Connection) -> None:
            now = self._clock()
            changes = provisioning_mode.set_mode(connection, service_principal_id, mode, now)
            if changes:
                audit.note(connection, activity, now, by, service_principal_id, changes=changes)

        await self._db.write(work)

    def jobs(self, service_principal_id: str | None = None) -> list[Job]:
        """The jobs of one application, or all of them, oldest first."""
        return jobs.jobs_of(self._db.reader, service_principal_id)

    def job(self, id_or_app_id: str, job_id: str) -> Job:
        """A job of the application. Raises NotFoundError, also for one of another application."""
        principal = self._directory.service_principal(id_or_app_id)
        job = jobs.job_by_id(self._db.reader, job_id)
        if job.service_principal_id != principal.id:
            raise NotFoundError(f"there is no job '{job_id}' of this application")
        return job

    async def delete_job(self, job_id: str, by: Actor = SERVICE_ITSELF) -> None:
        """Drops all that the job knows; target objects and the logs stay (REQ-P-140)."""

        def work(connection: sqlite3.Connection) -> None:
            job = jobs.job_by_id(connection, job_id)
            jobs.delete_job(connection, job_id)
            _note(connection, "Delete provisioning configuration", self._clock(), by, job)

        await self._db.write(work)

    async def change_settings(
        self, job_id: str, pairs: Sequence[tuple[str, str | None]], by: Actor = SERVICE_ITSELF
    ) -> None:
        """Changes these settings of the job (`job_settings.SETTINGS`); None and an empty text go back to the default.

        Raises InvalidValueError that names the setting.
        """
        changes = job_settings.check_changes(pairs)

        def work(connection: sqlite3.Connection) -> None:
            job = jobs.job_by_id(connection, job_id)
            settings = job_settings.merge(job.settings, changes)
            now = self._clock()
            jobs.write_settings(connection, job_id, settings, now)
            told = audit.differences(job.settings, settings)
            if told:
                _note(connection, "Update provisioning setting or credentials", now, by, job, told)

        await self._db.write(work)
        self._wake()

    # State

    async def start(self, job_id: str, by: Actor = SERVICE_ITSELF) -> None:
        """From now on the job runs at its interval; the first cycle begins at once. Lifts a quarantine (REQ-P-087).

        Raises InvalidStateError if the mappings do not go with the scope, SchemaError if they cannot be used.
        """
        self._check_roles(jobs.job_by_id(self._db.reader, job_id))

        def work(connection: sqlite3.Connection) -> None:
            job, now = jobs.job_by_id(connection, job_id), self._clock()
            jobs.start_job(connection, job_id, now)
            standing.lift(connection, job, now, by)
            _note(connection, "Enable/start provisioning configuration", now, by, job, _to_state(job, "Active"))

        await self._db.write(work)
        self._wake()

    async def pause(self, job_id: str, by: Actor = SERVICE_ITSELF, *, at_once: bool = False) -> None:
        """No further cycle begins; one that runs goes on to its end (REQ-P-057), or, `at_once`, ends at its next
        page."""

        def work(connection: sqlite3.Connection) -> None:
            job = jobs.job_by_id(connection, job_id)
            jobs.pause_job(connection, job_id)
            if at_once:
                jobs.stop_cycle(connection, job_id)
            told = _to_state(job, "Paused")
            _note(connection, "Disable/pause provisioning configuration", self._clock(), by, job, told)

        await self._db.write(work)

    async def restart(self, job_id: str, reset_scope: str | None, by: Actor = SERVICE_ITSELF) -> None:
        """`reset_scope`: a comma list of `jobs.RESET_SCOPES`; None or empty means the portal's button.

        Raises InvalidValueError.
        """
        resets = jobs.reset_scope(reset_scope)

        def work(connection: sqlite3.Connection) -> None:
            job, now = jobs.job_by_id(connection, job_id), self._clock()
            jobs.reset_job(connection, job_id, resets, now)
            staged_removals.count_again(connection, job_id)
            if "held deletes" in resets:
                staged_removals.allow(connection, job_id, None)
            if "quarantine" in resets or not resets or ("held deletes" in resets and deletions.is_held(job)):
                standing.lift(connection, job, now, by)
            told = (AuditChange("resetScope", None, reset_scope or jobs.RESTART_DEFAULT),)
            _note(connection, "Enable/restart provisioning configuration", now, by, job, told)

        if "links" in resets:
            # Not while a page is under way: it would write links that have just been forgotten.
            async with self._turns.of(job_id):
                await self._db.write(work)
        else:
            await self._db.write(work)
        self._wake()

    async def quarantine(self, job_id: str, reason: str, by: Actor = SERVICE_ITSELF) -> None:
        """`QuarantinedOnDemand`: the job runs at reduced frequency until it is started or restarted."""

        def work(connection: sqlite3.Connection) -> None:
            job = jobs.job_by_id(connection, job_id)
            standing.quarantine_by_hand(connection, job, reason, self._clock(), by)

        await self._db.write(work)

    async def run_now(self, job_id: str) -> Cycle:
        """One cycle, whether the job is started or not; the one that runs, if there is one.

        Raises InvalidStateError if there are no credentials to run with, or the mappings do not go with the scope.
        """
        job = jobs.job_by_id(self._db.reader, job_id)
        if not self.connections.is_configured(job):
            raise InvalidStateError("the application has no Tenant URL yet; enter its credentials first")
        self._check_roles(job)
        position = self._directory.feed_position()
        cycle = await self._db.write(lambda connection: cycles.begin_cycle(connection, job_id, position, self._clock()))
        await self._run_cycle(cycle.id)
        return cycle

    # Looking

    def count_leaving(self, job: Job) -> int:
        """How many objects that the job manages are not assigned: who leaves when only assigned ones stay
        (REQ-P-035)."""
        leaving = 0
        for object_type, ids in links.managed_ids(self._db.reader, job.id):
            resource_id = job.service_principal_id
            assigned = (
                self._directory.entitlements(resource_id, ids).keys()
                if object_type == "User"
                else self._directory.assigned_group_ids(resource_id, ids)
            )
            leaving += len(ids) - len(assigned)
        return leaving

    def job_document(self, job: Job) -> dict[str, Any]:
        """The job as `synchronizationJob`."""
        reader = self._db.reader
        return status.job_document(
            job,
            is_configured=self.connections.is_configured(job),
            running=cycles.running_cycle(reader, job.id),
            last=cycles.last_cycle(reader, job.id, cycles.ENDED),
            last_good=cycles.last_cycle(reader, job.id, ("succeeded",)),
            last_export=cycles.last_cycle(reader, job.id, ("succeeded",), with_exports=True),
            target_names=target_names(job),
        )

    def cycle_document(self, job_id: str, cycle_id: str) -> dict[str, Any]:
        """Our own view of one cycle. Raises NotFoundError."""
        cycle = cycles.cycle_by_id(self._db.reader, cycle_id)
        if cycle.job_id != job_id:
            raise NotFoundError(f"there is no cycle '{cycle_id}' of this job")
        return status.cycle_document(cycle)

    def _check_roles(self, job: Job) -> None:
        stored = self.connections.stored(self._db.reader, job.service_principal_id)
        check_roles(plan_of_document(job.schema), stored)


def target_names(job: Job) -> dict[str, str]:
    """Source object name → target object name, by the job's schema."""
    return {mapping["sourceObjectName"]: mapping["targetObjectName"] for mapping in object_mappings_of(job.schema)}


def _note(
    connection: sqlite3.Connection,
    activity: Activity,
    now: datetime,
    by: Actor,
    job: Job,
    changes: Sequence[AuditChange] = (),
) -> None:
    audit.note(connection, activity, now, by, job.service_principal_id, job_id=job.id, changes=changes)


def _to_state(job: Job, state: str) -> tuple[AuditChange, ...]:
    return (AuditChange("schedule.state", job.schedule_state, state),)
