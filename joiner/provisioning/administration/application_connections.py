"""How an application is reached, as an administrator sets it: credentials, the test of the connection, what the target
can do. Nothing here knows HTTP."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidStateError
from joiner.provisioning.client.connection import connection_of
from joiner.provisioning.client.pool import TargetPool
from joiner.provisioning.client.probe import ProbeReport, probe_target
from joiner.provisioning.client.profile import TargetProfile, parse_profile
from joiner.provisioning.cycle.connection_check import CheckResult, ConnectionTestError, queries_of, test_connection
from joiner.provisioning.cycle.prepare import context_of, plan_of_document, profile_of
from joiner.provisioning.inbound.source import CHECK, probe_source
from joiner.provisioning.job import credentials, job_settings, jobs
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.modes import is_on
from joiner.provisioning.job.templates import source_of, template_by_id, templates_of
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import SERVICE_ITSELF, Activity, Actor
from joiner.storage.sqlite import Database
from joiner.vault import Vault


class ApplicationConnections:
    """The operations on the connections of the applications in `db`."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        vault: Vault,
        clock: Clock,
        targets: TargetPool,
        wake: Callable[[], None],
    ) -> None:
        self._db = db
        self._directory = directory
        self._vault = vault
        self._clock = clock
        self._targets = targets
        self._wake = wake

    def stored(self, connection: sqlite3.Connection, service_principal_id: str) -> dict[str, str]:
        """The credentials with their secrets."""
        return credentials.read_credentials(connection, self._vault, service_principal_id)

    def credentials(self, service_principal_id: str) -> dict[str, str]:
        """As they may be shown: sensitive values as `*`."""
        return credentials.show_credentials(self.stored(self._db.reader, service_principal_id))

    def is_configured(self, job: Job) -> bool:
        """Whether there is an address to run with, or none is needed."""
        if source_of(job.template_id) == "uploads":
            return True
        return bool(self.stored(self._db.reader, job.service_principal_id).get("BaseAddress"))

    async def save_credentials(
        self, service_principal_id: str, pairs: Sequence[tuple[str, str | None]], by: Actor = SERVICE_ITSELF
    ) -> None:
        """As `put_credentials`, once the connection that they make has been tested (REQ-P-005). What is not complete
        yet, or does not change the connection, is not tested.

        Raises InvalidValueError, ConnectionTestError.
        """
        stored = self.stored(self._db.reader, service_principal_id)
        merged = credentials.merge_credentials(stored, pairs)
        if credentials.changes_connection(stored, merged):
            template_id = self._template_id(service_principal_id)
            await self.validate_credentials(service_principal_id, template_id, pairs)
        await self.put_credentials(service_principal_id, pairs, by)

    async def put_credentials(
        self, service_principal_id: str, pairs: Sequence[tuple[str, str | None]], by: Actor = SERVICE_ITSELF
    ) -> None:
        """Adds, replaces and (empty value) removes pairs; the others stay. A quarantined job tries again at once; a
        scope that becomes narrower restarts the job (REQ-P-035).

        Raises InvalidValueError.
        """
        told_settings = job_settings.told_by_secrets(dict(pairs))

        def work(connection: sqlite3.Connection) -> None:
            stored = self.stored(connection, service_principal_id)
            merged = credentials.merge_credentials(stored, pairs)
            credentials.write_credentials(connection, self._vault, service_principal_id, merged)
            now = self._clock()
            if told_settings:
                for job in jobs.jobs_of(connection, service_principal_id):
                    jobs.write_settings(connection, job.id, job_settings.merge(job.settings, told_settings), now)
            jobs.retry_quarantined(connection, service_principal_id, now)
            narrows = credentials.is_true(stored.get("SyncAll")) and not credentials.is_true(merged.get("SyncAll"))
            for job in jobs.jobs_of(connection, service_principal_id):
                if narrows and is_on(job.settings, "restartOnNarrowerScope"):
                    jobs.look_at_everything(connection, job.id)
                    jobs.run_soon(connection, job.id, now)
            told = audit.differences(stored, merged, credentials.MASKED)
            if told:
                activity: Activity = "Update provisioning setting or credentials"
                audit.note(connection, activity, now, by, service_principal_id, changes=told)

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
        stored = self.stored(self._db.reader, service_principal_id)
        used = stored if pairs is None else credentials.merge_credentials(stored, pairs)
        known = jobs.jobs_of(self._db.reader, service_principal_id)
        existing = next((job for job in known if job.template_id == template_id), None)
        profile = profile_of(existing) if existing else TargetProfile()
        source = template_by_id(template_id).source
        if source == "uploads":
            raise InvalidStateError("people are uploaded to this job: there is no connection to test")
        if source == "endpoint":
            return await test_connection(self._targets.lend(connection_of(used), profile), {CHECK: probe_source})
        schema: Mapping[str, Any] = existing.schema if existing else template_by_id(template_id).schema
        plan = plan_of_document(schema)
        context = context_of(plan, used, profile)
        return await test_connection(self._targets.lend(context.connection, context.profile), queries_of(plan))

    # Profile of the target

    async def change_profile(self, job_id: str, changes: Mapping[str, Any]) -> Job:
        """Sets members of the target's profile (JSON names; None: the default). Raises InvalidValueError."""
        await self._db.write(lambda connection: jobs.change_profile(connection, job_id, changes))
        return jobs.job_by_id(self._db.reader, job_id)

    async def probe_profile(self, job_id: str) -> ProbeReport:
        """What the target can do, found out with users and a group that are made for it and deleted again.

        Raises InvalidStateError, InvalidValueError, ForbiddenTargetError, TargetError if it cannot be used at all.
        """
        job = jobs.job_by_id(self._db.reader, job_id)
        if source_of(job.template_id) != "directory":
            raise InvalidStateError("this job is inbound: it has no target application to try out")
        if not self.is_configured(job):
            raise InvalidStateError("the application has no Tenant URL yet; enter its credentials first")
        stored = self.stored(self._db.reader, job.service_principal_id)
        connection = connection_of(stored)
        # Without what is believed of the target so far: that is to be found out.
        known = parse_profile(job.profile)
        profile = TargetProfile(dialect=known.dialect, timeout_seconds=known.timeout_seconds)
        async with self._targets.lend(connection, profile) as target:
            return await probe_target(target, profile.dialect_for(connection.flagged))

    def _template_id(self, service_principal_id: str) -> str:
        """Of the template by which the connection of an application without a job is tested."""
        principal = self._directory.service_principal(service_principal_id)
        return templates_of(principal.application_template_id)[0].id
