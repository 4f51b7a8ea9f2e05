"""Provisioning on demand: one user, or one group with a few members, now, by the code of a cycle's page.

The log entry names the administrator; the link is made; the watermark and a quarantine stay as they are (provisioning
service §12, REQ-P-119 … REQ-P-125).
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from joiner.clock import Clock, from_iso, to_iso
from joiner.directory import users
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidStateError, InvalidValueError, NotFoundError
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.cycle import pending_references, references
from joiner.provisioning.cycle.connection_check import checks_of, probe
from joiner.provisioning.cycle.objects import one_object
from joiner.provisioning.cycle.run import JobContext, OpenTarget, PageResult, Prepare, Run
from joiner.provisioning.cycle.sources import sources_by_id
from joiner.provisioning.decisions.decision import Action, Decision, ObjectType, Problem, SourceObject, Status, Step
from joiner.provisioning.decisions.wire import Dialect
from joiner.provisioning.inbound.service import Inbound
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.modes import is_on
from joiner.provisioning.job.templates import source_of
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import Actor
from joiner.provisioning.log.journal import ERROR, Entry, LogContext, Outcome
from joiner.provisioning.log.journal_packing import packed_row
from joiner.provisioning.log.journal_rows import Journal, entry_of
from joiner.provisioning.mapping.read_attributes import read_by
from joiner.provisioning.request_limit import RequestLimit
from joiner.provisioning.turns import Turns
from joiner.storage.rows import to_json
from joiner.storage.sqlite import Database

MOST_MEMBERS: Final = 5
REQUESTS: Final = 5
WINDOW: Final = timedelta(seconds=10)
FOUND_AT_MOST: Final = 20

DescribeRunLog = Callable[[Job, Cycle, Actor], LogContext]


@dataclass(frozen=True, slots=True)
class Subject:
    """What to provision; `member_ids`: the members of a group that are to be written."""

    object_type: ObjectType
    object_id: str
    member_ids: tuple[str, ...] = ()


class OnDemand:
    """Runs single objects of jobs."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        prepare: Prepare,
        open_target: OpenTarget,
        describe_log: DescribeRunLog,
        clock: Clock,
        turns: Turns,
        inbound: Inbound,
    ) -> None:
        self._db = db
        self._directory = directory
        self._prepare = prepare
        self._open_target = open_target
        self._describe_log = describe_log
        self._clock = clock
        self._turns = turns
        self._inbound = inbound
        self._limit = RequestLimit(REQUESTS, WINDOW)

    async def provision(self, job: Job, subject: Subject, by: Actor) -> Entry:
        """The log entry of what was done. A job may be paused or in quarantine, and stays so.

        Raises TooManyRequestsError, NotFoundError for an object that the directory does not have, InvalidValueError
        for too many members and for who is none, InvalidStateError for a job that has no Tenant URL or does not
        provision the type.
        """
        text = f"a job provisions {REQUESTS} objects on demand in {WINDOW.seconds} seconds"
        self._limit.count(job.id, self._clock(), text)
        if len(subject.member_ids) > MOST_MEMBERS:
            raise InvalidValueError(f"at most {MOST_MEMBERS} members can be provisioned on demand")
        if subject.member_ids and subject.object_type == "User":
            raise InvalidValueError("only groups have members")
        cycle = cycles.cycle_of_its_own(job, self._clock())
        if source_of(job.template_id) != "directory":
            return await self._provision_inbound(job, subject, cycle, by)
        context = self._context(job)
        # In turn with the pages of a cycle: the object is never in two hands.
        async with self._turns.of(job.id), self._open_target(context) as target:
            run = Run(
                db=self._db,
                directory=self._directory,
                job=jobs.job_by_id(self._db.reader, job.id),
                cycle=cycle,
                fence=None,
                context=context,
                target=target,
                log=replace(self._describe_log(job, cycle, by), reads=read_by(context.plan)),
                clock=self._clock,
            )
            source = _source(run, subject)
            _refuse_strangers(run, subject, source.name)
            await self._work(run, subject, source)
            await self._db.write(lambda connection: self._note(connection, job, subject, source.name, by))
        return entry_of(self._db.reader, cycle.id, source.id)

    def search(self, text: str) -> list[dict[str, str]]:
        """Active users by a part of their name, user principal name or address."""
        wanted = text.strip().strip('"')
        if not wanted:
            raise InvalidValueError("$search must say what to look for")
        return [
            {"id": user.id, "displayName": str(user.attributes.get("displayName") or ""), "userPrincipalName": name}
            for user in users.search_active(self._db.reader, wanted, FOUND_AT_MOST)
            if (name := user.user_principal_name)
        ]

    @staticmethod
    def result(entry: Entry) -> tuple[dict[str, Any], dict[str, Any]]:
        """The key and the value of the API's answer (Graph API §10.6)."""
        info, error = entry["provisioningStatusInfo"], entry["provisioningStatusInfo"]["errorInformation"]
        ended = entry["activityDateTime"]
        began = to_iso(from_iso(ended) - timedelta(milliseconds=entry["durationInMilliseconds"]))
        details = {"errorCode": error["errorCode"], "errorMessage": error["reason"]} if error else {}
        outcome = {"failure": "Failure", "skipped": "Skipped"}.get(info["status"], "Success")
        steps = [
            {
                "name": step["name"],
                "type": _capital(step["provisioningStepType"]),
                "status": _capital(step["status"]),
                "description": step["description"],
                "timestamp": ended,
                "details": step["details"],
            }
            for step in entry["provisioningSteps"]
        ]
        value = {
            "action": _capital(entry["provisioningAction"]),
            "changeId": entry["changeId"],
            "startTime": began,
            "endTime": ended,
            "reportableIdentifier": _name(entry),
            "statusInfo": {
                "status": _capital(info["status"]),
                **(error or dict.fromkeys(ERROR)),
            },
            "modifiedProperties": entry["modifiedProperties"],
            "provisioningSteps": steps,
            "sourceIdentity": _identity(entry["sourceIdentity"]),
            "targetIdentity": _identity(entry["targetIdentity"]),
            "sourceSystem": _system(entry["sourceSystem"]),
            "targetSystem": _system(entry["targetSystem"]),
        }
        return {"result": outcome, "details": details}, value

    # Parts

    def _context(self, job: Job) -> JobContext:
        context = self._prepare(job)
        if is_on(job.settings, "onDemandFlag") or context.dialect is not Dialect.ENTRA_COMPLIANT:
            return context
        return replace(context, dialect=Dialect.ENTRA)

    async def _work(self, run: Run, subject: Subject, source: SourceObject) -> None:
        try:
            for check in checks_of(run.context.plan):
                await probe(run.target, check)
        except TargetError as error:
            await self._log_failure(run, source, error, "The application did not pass the test of the connection")
            return
        try:
            # Members first: a membership can only name who has an account.
            for member_id in subject.member_ids:
                await self._keep(run, await one_object(run, "User", member_id))
            await self._keep(run, await one_object(run, subject.object_type, subject.object_id))
            if subject.member_ids:
                group_id, members = subject.object_id, subject.member_ids
                await self._db.write(lambda c: pending_references.note_members(c, run, group_id, members))
            for source_id in (*subject.member_ids, subject.object_id):
                await self._keep(run, await references.references_of(run, source_id, subject.member_ids))
        except TargetError as error:
            await self._log_failure(run, source, error, "The application could not be used")

    async def _keep(self, run: Run, result: PageResult) -> None:
        await self._db.write(result.commit)
        if result.failure is not None:
            raise result.failure

    async def _log_failure(self, run: Run, source: SourceObject, error: TargetError, what: str) -> None:
        problem = Problem(error.code, error.reason)
        step = Step("EntryImport", "matching", Status.FAILURE, f"{what}: {error.reason}", {"ErrorCode": error.code})
        decision = Decision(Action.OTHER, Status.FAILURE, (step,), problem=problem)
        outcome = Outcome(Status.FAILURE, None, problem)
        row = packed_row(run.log, run.cycle.kind, source, decision, outcome, self._clock())
        await self._db.write(lambda connection: Journal(connection, run.log).write([row]))

    async def _provision_inbound(self, job: Job, subject: Subject, cycle: Cycle, by: Actor) -> Entry:
        """`subject` is one of the source."""
        if subject.object_type != "User":
            raise InvalidValueError("only users come in")
        entry = await self._inbound.provision(job, subject.object_id, cycle, self._describe_log(job, cycle, by))
        name = entry["sourceIdentity"]["displayName"]
        await self._db.write(lambda connection: self._note(connection, job, subject, name, by))
        return entry

    def _note(self, connection: sqlite3.Connection, job: Job, subject: Subject, name: str, by: Actor) -> None:
        told = {"ObjectId": subject.object_id, "ObjectType": subject.object_type, "ObjectName": name}
        audit.note(
            connection, "User Provisioning", self._clock(), by, job.service_principal_id, job_id=job.id, details=told
        )


NO_MEMBERS: Final = """
SELECT coalesce(user.user_principal_name, value) FROM json_each(:members) LEFT JOIN user ON user.id = value
WHERE NOT EXISTS (SELECT 1 FROM membership WHERE group_id = :group AND member_id = value)
  AND NOT EXISTS (SELECT 1 FROM exported_reference WHERE job_id = :job AND source_id = :group
                  AND attribute = 'members' AND related_id = value)
"""
"""Who was written as a member, and is none any more, can be taken out."""


def _refuse_strangers(run: Run, subject: Subject, group: str) -> None:
    parameters = {"job": run.job.id, "group": subject.object_id, "members": to_json(subject.member_ids)}
    stranger = run.reader.execute(NO_MEMBERS, parameters).fetchone()
    if stranger is not None:
        raise InvalidValueError(f"'{stranger[0]}' is no member of the group '{group}'")


def _source(run: Run, subject: Subject) -> SourceObject:
    if run.plan_of(subject.object_type) is None:
        raise InvalidStateError(f"this job does not provision objects of the type {subject.object_type}")
    [source] = sources_by_id(run, subject.object_type, [subject.object_id])
    if not source.exists:
        raise NotFoundError(f"the directory has no {subject.object_type.lower()} '{subject.object_id}'")
    is_leaver = source.is_soft_deleted or not source.is_enabled
    if is_leaver and not is_on(run.job.settings, "onDemandLeavers"):
        raise InvalidValueError(f"'{source.name}' is disabled or deleted; a cycle takes the account away")
    return source


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _name(entry: Entry) -> str:
    source = entry["sourceIdentity"]
    return str(source["details"].get("UserPrincipalName") or source["displayName"])


def _identity(identity: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": identity["id"],
        "type": identity["identityType"],
        "displayName": identity["displayName"],
        "details": identity["details"],
    }


def _system(system: dict[str, Any]) -> dict[str, Any]:
    return {"id": system["id"], "name": system["displayName"], "details": system["details"]}
