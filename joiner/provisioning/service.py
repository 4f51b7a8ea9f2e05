"""What an administrator does with jobs: create, credentials, test, start, pause, restart, run, look.

The Graph-shaped API and the pages call these; each is one transaction. Nothing here knows HTTP.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidStateError, InvalidValueError, NotFoundError
from joiner.provisioning import credentials, cycles, jobs, status
from joiner.provisioning.client.connection import connection_of
from joiner.provisioning.client.pool import TargetPool
from joiner.provisioning.client.probe import ProbeReport, probe_target
from joiner.provisioning.client.profile import TargetProfile, parse_profile
from joiner.provisioning.connection_check import CheckResult, ConnectionTestError, checks_of, test_connection
from joiner.provisioning.cycles import Cycle
from joiner.provisioning.document.completion import object_mappings_of
from joiner.provisioning.jobs import Job
from joiner.provisioning.prepare import check_roles, context_of, plan_of_document
from joiner.provisioning.templates import Template, template_by_id, templates_of
from joiner.storage.sqlite import Database
from joiner.vault import Vault


class ProvisioningService:
    """The operations on the jobs of this installation."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        vault: Vault,
        clock: Clock,
        targets: TargetPool,
        wake: Callable[[], None],
        run_cycle: Callable[[str], Awaitable[None]],
    ) -> None:
        self._db = db
        self._directory = directory
        self._vault = vault
        self._clock = clock
        self._targets = targets
        self._wake = wake
        self._run_cycle = run_cycle

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

    async def create_job(self, service_principal_id: str, template_id: str) -> Job:
        """A new job, disabled (REQ-P-003). Raises InvalidValueError for a template that is not the application's."""
        offered = [template.id for template in self.templates(service_principal_id)]
        if template_id not in offered:
            raise InvalidValueError(
                f"'{template_id}' is not a template of this application; it offers {', '.join(offered)}"
            )
        schema = template_by_id(template_id).schema
        return await self._db.write(
            lambda connection: jobs.add_job(connection, service_principal_id, template_id, schema, self._clock())
        )

    def jobs(self, service_principal_id: str | None = None) -> list[Job]:
        return jobs.jobs_of(self._db.reader, service_principal_id)

    def job(self, service_principal_id: str, job_id: str) -> Job:
        """Raises NotFoundError, also for a job of another application."""
        job = jobs.job_by_id(self._db.reader, job_id)
        if job.service_principal_id != service_principal_id:
            raise NotFoundError(f"there is no job '{job_id}' of this application")
        return job

    async def delete_job(self, job_id: str) -> None:
        await self._db.write(lambda connection: jobs.delete_job(connection, job_id))

    # State

    async def start(self, job_id: str) -> None:
        """From now on the job runs at its interval; the first cycle begins at once.

        Raises InvalidStateError if the mappings do not go with the scope, SchemaError if they cannot be used.
        """
        self._check_roles(jobs.job_by_id(self._db.reader, job_id))
        await self._db.write(lambda connection: jobs.start_job(connection, job_id, self._clock()))
        self._wake()

    async def pause(self, job_id: str) -> None:
        await self._db.write(lambda connection: jobs.pause_job(connection, job_id))

    async def restart(self, job_id: str, reset_scope: str | None) -> None:
        """`reset_scope`: a comma list of `jobs.RESET_SCOPES`; None or empty means the portal's button."""
        resets: frozenset[str] = frozenset()
        for word in (reset_scope or jobs.RESTART_DEFAULT).split(","):
            name = next((known for known in jobs.RESET_SCOPES if known.lower() == word.strip().lower()), None)
            if name is None:
                raise InvalidValueError(f"'{word.strip()}' is not a resetScope; use {', '.join(jobs.RESET_SCOPES)}")
            resets |= jobs.RESET_SCOPES[name]
        await self._db.write(lambda connection: jobs.restart_job(connection, job_id, resets, self._clock()))
        self._wake()

    async def run_now(self, job_id: str) -> Cycle:
        """One cycle, whether the job is started or not; the one that runs, if there is one.

        Raises InvalidStateError if there are no credentials to run with, or the mappings do not go with the scope.
        """
        job = jobs.job_by_id(self._db.reader, job_id)
        if not self._is_configured(job):
            raise InvalidStateError("the application has no Tenant URL yet; enter its credentials first")
        self._check_roles(job)
        position = self._directory.feed_position()
        cycle = await self._db.write(lambda connection: cycles.begin_cycle(connection, job_id, position, self._clock()))
        await self._run_cycle(cycle.id)
        return cycle

    # Credentials

    def credentials(self, service_principal_id: str) -> dict[str, str]:
        """As they may be shown: sensitive values as `*`."""
        stored = credentials.read_credentials(self._db.reader, self._vault, service_principal_id)
        return credentials.show_credentials(stored)

    async def save_credentials(self, service_principal_id: str, pairs: Sequence[tuple[str, str | None]]) -> None:
        """As `put_credentials`, once the connection that they make has been tested (REQ-P-005). What is not complete
        yet, or does not change the connection, is not tested.

        Raises InvalidValueError, ConnectionTestError.
        """
        stored = credentials.read_credentials(self._db.reader, self._vault, service_principal_id)
        merged = credentials.merge_credentials(stored, pairs)
        if credentials.changes_connection(stored, merged):
            template_id = self.templates(service_principal_id)[0].id
            await self.validate_credentials(service_principal_id, template_id, pairs)
        await self.put_credentials(service_principal_id, pairs)

    async def put_credentials(self, service_principal_id: str, pairs: Sequence[tuple[str, str | None]]) -> None:
        """Adds, replaces and (empty value) removes pairs; the others stay. A quarantined job tries again at once.

        Raises InvalidValueError.
        """

        def work(connection: sqlite3.Connection) -> None:
            stored = credentials.read_credentials(connection, self._vault, service_principal_id)
            merged = credentials.merge_credentials(stored, pairs)
            credentials.write_credentials(connection, self._vault, service_principal_id, merged)
            jobs.retry_quarantined(connection, service_principal_id, self._clock())

        await self._db.write(work)
        self._wake()

    async def validate_credentials(
        self, service_principal_id: str, template_id: str, pairs: Sequence[tuple[str, str | None]] | None
    ) -> None:
        """Test Connection with the stored credentials (`pairs` None) or with these.

        Raises ConnectionTestError with the reason in words, InvalidValueError if there is nothing to test.
        """
        results = await self.test_connection(service_principal_id, template_id, pairs)
        if any(result.problem for result in results):
            raise ConnectionTestError(results)

    async def test_connection(
        self, service_principal_id: str, template_id: str, pairs: Sequence[tuple[str, str | None]] | None
    ) -> list[CheckResult]:
        """As `validate_credentials`, with every check and what became of it. Raises InvalidValueError."""
        stored = credentials.read_credentials(self._db.reader, self._vault, service_principal_id)
        used = stored if pairs is None else credentials.merge_credentials(stored, pairs)
        existing = next((job for job in self.jobs(service_principal_id) if job.template_id == template_id), None)
        schema: Mapping[str, Any] = existing.schema if existing else template_by_id(template_id).schema
        plan = plan_of_document(schema)
        context = context_of(plan, used, parse_profile(existing.profile if existing else {}))
        return await test_connection(self._targets.lend(context.connection, context.profile), checks_of(plan))

    # Profile of the target

    async def change_profile(self, job_id: str, changes: Mapping[str, Any]) -> Job:
        """Sets members of the target's profile (JSON names; None: the default). Raises InvalidValueError."""
        await self._db.write(lambda connection: jobs.change_profile(connection, job_id, changes))
        return jobs.job_by_id(self._db.reader, job_id)

    async def probe_profile(self, job_id: str) -> ProbeReport:
        """What the target can do, found out with a user and a group that are made for it and deleted again.

        Raises InvalidStateError, InvalidValueError, ForbiddenTargetError, TargetError if it cannot be used at all.
        """
        job = jobs.job_by_id(self._db.reader, job_id)
        if not self._is_configured(job):
            raise InvalidStateError("the application has no Tenant URL yet; enter its credentials first")
        stored = credentials.read_credentials(self._db.reader, self._vault, job.service_principal_id)
        connection = connection_of(stored)
        # Without what is believed of the target so far: that is to be found out.
        profile = TargetProfile(timeout_seconds=parse_profile(job.profile).timeout_seconds)
        async with self._targets.lend(connection, profile) as target:
            return await probe_target(target)

    # Looking

    def job_document(self, job: Job) -> dict[str, Any]:
        """The job as `synchronizationJob`."""
        reader = self._db.reader
        return status.job_document(
            job,
            is_configured=self._is_configured(job),
            running=cycles.running_cycle(reader, job.id),
            last=cycles.last_cycle(reader, job.id, cycles.ENDED),
            last_good=cycles.last_cycle(reader, job.id, ("succeeded",)),
            target_names=target_names(job),
        )

    def cycle_document(self, job_id: str, cycle_id: str) -> dict[str, Any]:
        """Our own view of one cycle. Raises NotFoundError."""
        cycle = cycles.cycle_by_id(self._db.reader, cycle_id)
        if cycle.job_id != job_id:
            raise NotFoundError(f"there is no cycle '{cycle_id}' of this job")
        return status.cycle_document(cycle)

    def _check_roles(self, job: Job) -> None:
        stored = credentials.read_credentials(self._db.reader, self._vault, job.service_principal_id)
        check_roles(plan_of_document(job.schema), stored)

    def _is_configured(self, job: Job) -> bool:
        stored = credentials.read_credentials(self._db.reader, self._vault, job.service_principal_id)
        return bool(stored.get("BaseAddress"))


def target_names(job: Job) -> dict[str, str]:
    """Source object name → target object name, by the job's schema."""
    return {mapping["sourceObjectName"]: mapping["targetObjectName"] for mapping in object_mappings_of(job.schema)}
