"""The engine as a running thing: its parts, put together, and what each needs to know of a job."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final

import structlog

from joiner.clock import Clock, system_clock
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidStateError
from joiner.ids import derived_id
from joiner.net.addresses import checked_addresses
from joiner.net.mail import MailServer
from joiner.provisioning.administration.application_connections import ApplicationConnections
from joiner.provisioning.administration.schemas import Schemas
from joiner.provisioning.administration.service import ProvisioningService, target_names
from joiner.provisioning.client.connection import connection_of
from joiner.provisioning.client.gate import Sleep
from joiner.provisioning.client.pool import Connect, TargetPool, over_sockets
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.cycle.prepare import PlanCache, VersionCache, context_of, profile_of
from joiner.provisioning.cycle.run import JobContext
from joiner.provisioning.cycle.runner import CycleRunner
from joiner.provisioning.durable import CycleEngine, DbosEngine
from joiner.provisioning.explanation.explain import Explanations
from joiner.provisioning.inbound.plan import InboundPlan, compile_inbound
from joiner.provisioning.inbound.runner import InboundRunner
from joiner.provisioning.inbound.service import Inbound
from joiner.provisioning.job import credentials, cycles, jobs
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.templates import source_of
from joiner.provisioning.log.audit import SERVICE_ITSELF, Actor
from joiner.provisioning.log.journal import LogContext
from joiner.provisioning.notifications.outbox import Outbox
from joiner.provisioning.on_demand import OnDemand
from joiner.provisioning.planning import overlay
from joiner.provisioning.planning.drift_checks import DriftChecks
from joiner.provisioning.planning.planner import Planner, context_hash
from joiner.provisioning.planning.service import Planning
from joiner.provisioning.plans import plans
from joiner.provisioning.plans.applying import ApplyGate
from joiner.provisioning.ports import Gate
from joiner.provisioning.retention import Retention
from joiner.provisioning.runners import Runners
from joiner.provisioning.scheduler import Scheduler, Wakeup
from joiner.provisioning.turns import Turns
from joiner.storage.sqlite import Database
from joiner.vault import Vault

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LOGS_KEPT: Final = timedelta(days=30)

log = structlog.get_logger(__name__)


class ProvisioningSide:
    """Owns the engine. `allow_loopback` and `allow_private` say which targets may be called, `sleep` is how to wait
    between tries, `connect` how targets are spoken to if not over sockets, `logs_kept` how long log entries stay,
    `mail_server` where notifications go out, `public_url` the address that they name."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        *,
        engine_path: Path,
        secret_key: bytes,
        allow_loopback: bool,
        allow_private: bool,
        clock: Clock = system_clock,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        connect: Connect | None = None,
        engine: CycleEngine | None = None,
        logs_kept: timedelta = LOGS_KEPT,
        mail_server: MailServer | None = None,
        public_url: str | None = None,
    ) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        if connect is None:
            connect = over_sockets(checked_addresses(allow_loopback=allow_loopback, allow_private=allow_private))
        self._targets = TargetPool(connect, clock, sleep, jitter)
        vault = Vault(secret_key)
        # Also when a cycle ends: the next one of the job may be due already.
        wakeup = Wakeup()
        self._connections = ApplicationConnections(db, directory, vault, clock, self._targets, wakeup)
        self._folder = engine_path.parent
        self._plans = PlanCache()
        turns = Turns()
        self._fingerprint_key = blake2b(b"fingerprints of plans", key=secret_key).digest()
        outbound = CycleRunner(
            db, directory, self._prepare, self._open_target, self._describe_log, clock, turns, self._open_gate
        )
        self._inbound_plans: VersionCache[InboundPlan] = VersionCache(lambda job: compile_inbound(job.schema))
        inbound = InboundRunner(
            db, self._inbound_plans.of, self._keeps_leavers, self._open_source, self._describe_log, clock, turns
        )
        self.runner = Runners(db, outbound, inbound)
        self.inbound = Inbound(db, inbound, self._open_source, clock, turns, wakeup)
        self._engine = engine or DbosEngine(engine_path, self.runner, wakeup)
        db.write_now(jobs.ensure_tenant)
        self.service = ProvisioningService(
            db=db,
            directory=directory,
            clock=clock,
            connections=self._connections,
            wake=wakeup,
            run_cycle=self._engine.run,
            turns=turns,
        )
        self.schemas = Schemas(db, vault, clock, self._open_job_target, wakeup)
        self.on_demand = OnDemand(
            db, directory, self._prepare, self._open_target, self._describe_log, clock, turns, self.inbound
        )
        planner = Planner(
            db,
            directory,
            MIGRATIONS,
            self._prepare_with,
            self._open_target,
            self._describe_log,
            clock,
            self._fingerprint_key,
        )
        self.explanations = Explanations(
            db, directory, self._prepare, self._open_target, self._describe_log, self.service.job_document, clock
        )
        self.planning = Planning(db, planner, self._prepare_with, clock, self._engine.run, wakeup)
        self.drift_checks = DriftChecks(db, self.planning, clock)
        self.scheduler = Scheduler(
            db,
            directory,
            clock,
            self._engine.run,
            self.drift_checks,
            Outbox(db, mail_server, clock, public_url),
            Retention(db, directory, clock, logs_kept),
            wakeup,
        )

    @property
    def db(self) -> Database:
        return self._db

    async def start(self) -> None:
        """Starts the durable engine, goes on with every cycle that a crash cut off, ends every plan, and schedules."""
        await self._engine.start()
        overlay.forget_leftovers(self._folder)
        await self._db.write(lambda connection: plans.fail_unfinished(connection, self._clock()))
        for cycle in cycles.running_cycles(self._db.reader):
            log.info("cycle goes on", cycle=cycle.id, job=cycle.job_id, phase=cycle.phase)
            await self._engine.run(cycle.id)
        self.scheduler.start()

    async def stop(self) -> None:
        """Cycles under way stay where their last page was committed; the next start goes on with them."""
        await self.scheduler.stop()
        await self.planning.stop()
        await self._targets.close()
        await self._engine.stop()

    def _prepare(self, job: Job) -> JobContext:
        return self._prepare_with(job, self._plans)

    def _prepare_with(self, job: Job, compiled: PlanCache) -> JobContext:
        if source_of(job.template_id) != "directory":
            raise InvalidStateError("this job is inbound: it writes to the directory, and has no target application")
        stored = self._connections.stored(self._db.reader, job.service_principal_id)
        return context_of(compiled.of(job), stored, profile_of(job), job.settings)

    def _open_gate(self, job: Job, cycle: Cycle, context: JobContext) -> Gate | None:
        if cycle.plan is None:
            return None
        plan = plans.plan_by_number(self._db.reader, job.id, cycle.plan)
        return ApplyGate(self._db.reader, plan, context_hash(job, context), self._fingerprint_key)

    def _open_target(self, context: JobContext) -> AbstractAsyncContextManager[ScimTarget]:
        return self._targets.lend(context.connection, context.profile)

    def _open_source(self, job: Job) -> AbstractAsyncContextManager[ScimTarget]:
        """The SCIM endpoint that an inbound job reads. Raises ForbiddenTargetError, InvalidValueError."""
        stored = self._connections.stored(self._db.reader, job.service_principal_id)
        return self._targets.lend(connection_of(stored), profile_of(job))

    def _keeps_leavers(self, job: Job) -> bool:
        stored = self._connections.stored(self._db.reader, job.service_principal_id)
        return credentials.is_true(stored.get("SkipOutOfScopeDeletions"))

    def _open_job_target(self, job: Job) -> AbstractAsyncContextManager[ScimTarget]:
        return self._open_target(self._prepare(job))

    def _describe_log(self, job: Job, cycle: Cycle, by: Actor = SERVICE_ITSELF) -> LogContext:
        if cycle.plan is not None and by is SERVICE_ITSELF:
            by = _applied_by(plans.plan_by_number(self._db.reader, job.id, cycle.plan))
        principal = self._directory.service_principal(job.service_principal_id)
        tenant_id = jobs.tenant_id(self._db.reader)
        rule = job.schema["synchronizationRules"][0]
        return LogContext(
            tenant_id=tenant_id,
            job_id=job.id,
            cycle_id=cycle.id,
            initiated_by=by.as_initiator(),
            service_principal={"id": principal.id, "displayName": principal.display_name},
            source_system={
                "id": derived_id("source", tenant_id),
                "displayName": rule["sourceDirectoryName"],
                "details": {},
            },
            target_system={
                "id": derived_id("target", principal.id),
                "displayName": principal.display_name,
                "details": {
                    "ApplicationId": principal.app_id,
                    "ServicePrincipalId": principal.id,
                    "ServicePrincipalDisplayName": principal.display_name,
                },
            },
            target_types=target_names(job),
        )


def _applied_by(plan: plans.Plan) -> Actor:
    """Who carries the plan out, as the log names them."""
    person = plan.applied_by
    if person is None or person["id"] == SERVICE_ITSELF.id:
        return SERVICE_ITSELF
    return Actor(person["id"], person["displayName"], "user")
