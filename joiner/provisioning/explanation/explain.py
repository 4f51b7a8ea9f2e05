"""Everything that is known of one object and one job. The API, the command line and pages show the same document."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from joiner.clock import Clock
from joiner.directory.assignment_paths import assignment_paths
from joiner.directory.store import DirectoryStore
from joiner.errors import JoinerError, NotFoundError
from joiner.provisioning.client.profile import DEFAULT_PROFILE
from joiner.provisioning.cycle.exporting import decide_items
from joiner.provisioning.cycle.items import Item, items_of
from joiner.provisioning.cycle.run import DescribeLog, JobContext, OpenReads, Prepare, Run
from joiner.provisioning.cycle.sources import sources_by_id
from joiner.provisioning.decisions.decision import Decision, ObjectType, QueryMatch, SourceObject
from joiner.provisioning.explanation.flows import explain_flows, for_json
from joiner.provisioning.explanation.listening import Listening
from joiner.provisioning.explanation.verdict import Known, verdict_of
from joiner.provisioning.job.cycles import cycle_of_its_own
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log import journal_rows
from joiner.provisioning.log.journal import properties_of
from joiner.provisioning.mapping.plan import ASSIGNMENTS, REDACTED, SOFT_DELETED, ObjectPlan
from joiner.provisioning.mapping.read_attributes import attributes_read
from joiner.provisioning.ports import Target
from joiner.storage.sqlite import Database

ENTRIES: Final = 5
REFERENCES: Final = 50

JobDocument = Callable[[Job], Mapping[str, Any]]
"""The job as `synchronizationJob`."""


class Explanations:
    """Explains the objects of the jobs in `db`."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        prepare: Prepare,
        open_reads: OpenReads,
        describe_log: DescribeLog,
        job_document: JobDocument,
        clock: Clock,
    ) -> None:
        self._db = db
        self._directory = directory
        self._prepare = prepare
        self._open_reads = open_reads
        self._describe_log = describe_log
        self._job_document = job_document
        self._clock = clock

    async def explain(self, job: Job, object_type: ObjectType, object_id: str, *, live: bool) -> dict[str, Any]:
        """The explanation as a document; `live`: the target is asked what it has now. Nothing is written anywhere.

        Raises NotFoundError if neither the directory nor the job knows the object, InvalidStateError if the job has no
        Tenant URL, SchemaError if its mappings cannot be used.
        """
        context = self._prepare(job)
        plan = context.plan.users if object_type == "User" else context.plan.groups
        run = self._run(job, context, _Nobody())
        [source] = sources_by_id(run, object_type, [object_id])
        if not source.exists and not _is_known(self._db.reader, job.id, object_id):
            raise NotFoundError(f"the directory has no {object_type.lower()} '{object_id}'")
        if plan is None:
            raise NotFoundError(f"the job has no mapping of {object_type.lower()}s")
        [item] = items_of(run, object_type, [source], plan)
        listening, error = None, None
        if live:
            async with self._open_reads(context) as reads:
                listening = Listening(reads, plan)
                try:
                    await decide_items(replace(run, target=listening), plan, [item])
                except JoinerError as problem:
                    error = str(problem)
                else:
                    error = item.outcome.problem.reason if item.outcome and item.outcome.problem else None
        return self._document(job, run, plan, item, listening, error)

    def _run(self, job: Job, context: JobContext, target: Target) -> Run:
        cycle = cycle_of_its_own(job, self._clock())
        return Run(
            db=self._db, directory=self._directory, job=job, cycle=cycle, fence=None, context=context, target=target,
            log=self._describe_log(job, cycle), clock=self._clock,
        )  # fmt: skip

    def _document(
        self, job: Job, run: Run, plan: ObjectPlan, item: Item, listening: Listening | None, error: str | None
    ) -> dict[str, Any]:
        reader, source = self._db.reader, item.source
        principal = self._directory.service_principal(job.service_principal_id)
        status = self._job_document(job)["status"]
        flows = explain_flows(plan, item.values, item.state.resource)
        queries = item.queries()
        escrow = _escrow(reader, job.id, source.id)
        decision = item.decision if listening is not None and error is None else None
        quarantine = status["quarantine"]
        verdict, advice = verdict_of(
            Known(
                source=source,
                application=principal.display_name,
                scope=item.scope,
                link=item.link,
                is_mapped=plan.enabled,
                has_match_value=bool(queries),
                mapping_errors=[
                    f"the mapping of {each['target']} failed: {each['error']}" for each in flows if each["error"]
                ],
                escrow=escrow,
                job_state=status["code"],
                quarantine=quarantine["error"]["message"] if quarantine else None,
                decision=decision,
            )
        )
        paths = assignment_paths(reader, job.service_principal_id, [source.id]).get(source.id, [])
        return {
            "verdict": verdict,
            "advice": advice,
            "object": {"type": source.object_type, "id": source.id, "name": source.name},
            "application": principal.display_name,
            "scope": {
                "inScope": item.scope.in_scope,
                "explanation": item.scope.explanation,
                "isActive": source.exists and source.is_enabled and not source.is_soft_deleted,
                "everybodyIsInScope": run.context.settings.sync_all,
                "paths": [
                    {"role": each.role, "groupId": each.group_id, "groupName": each.group_name} for each in paths
                ],
                "clauses": _clauses(plan, source),
            },
            "matching": {
                "queries": [{"attribute": each.attribute, "value": _shown_value(plan, each)} for each in queries],
                "answers": [
                    {"attribute": each.attribute, "value": _shown_value(plan, each), "found": number}
                    for each, number in item.state.queries
                ],
            },
            "link": _link(item),
            "attributes": _attributes(plan, item),
            "mappings": flows,
            "references": _references(reader, job.id, source),
            "live": None if listening is None else {"requests": listening.heard, "error": error},
            "decision": _decision(decision),
            "escrow": escrow,
            "job": {"state": status["code"], "schedule": job.schedule_state, "quarantine": quarantine},
            "log": journal_rows.entries_of_source(reader, job.id, source.id, ENTRIES),
        }


class _Nobody:
    """Stands where a target would be when none is asked."""

    profile = DEFAULT_PROFILE

    async def query(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the target is not asked")

    def every(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the target is not asked")

    read = page = create = modify = delete = query


def _clauses(plan: ObjectPlan, source: SourceObject) -> list[dict[str, Any]]:
    return [
        {
            "filter": number,
            "clause": clause.label,
            "attribute": clause.attribute,
            "value": for_json(source.attributes.get(clause.attribute)),
            "holds": clause.holds(source.attributes),
        }
        for number, group in enumerate(plan.scope.groups)
        for clause in group
    ]


def _attributes(plan: ObjectPlan, item: Item) -> dict[str, Any]:
    """What the mappings see; what only secret mappings read is masked."""
    hidden = attributes_read(plan)
    return {
        name: REDACTED if hidden.get(name) else for_json(value)
        for name, value in item.values.items()
        if value is not None and (name in item.source.attributes or name in (SOFT_DELETED, ASSIGNMENTS))
    }


def _shown_value(plan: ObjectPlan, query: QueryMatch) -> str:
    is_secret = any(flow.is_secret for flow in plan.matching if flow.target == query.attribute)
    return REDACTED if is_secret else query.value


def _link(item: Item) -> dict[str, Any] | None:
    link = item.link
    if link is None:
        return None
    return {"targetId": link.target_id, "isManaged": link.is_managed, "isDisabled": link.is_disabled or link.is_unseen}


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "action": decision.action.value,
        "status": decision.status.value,
        "sends": decision.request is not None,
        "changes": properties_of(decision.changes),
        "reason": decision.problem.reason if decision.problem else None,
        "code": decision.problem.code if decision.problem else None,
    }


def _escrow(reader: sqlite3.Connection, job_id: str, source_id: str) -> dict[str, Any] | None:
    row = reader.execute(
        "SELECT first_failure AS firstFailure, attempts, next_attempt AS nextAttempt, error_code AS code, reason"
        " FROM escrow WHERE job_id = ? AND source_id = ? ORDER BY is_reference LIMIT 1",
        (job_id, source_id),
    ).fetchone()
    return dict(row) if row else None


HELD: Final = """
SELECT e.attribute, coalesce(u.user_principal_name, e.related_id) AS name, e.target_value AS targetId,
       'written' AS state
FROM exported_reference e
LEFT JOIN link l ON l.job_id = e.job_id AND l.object_type = 'User' AND l.target_id = e.target_value
LEFT JOIN user u ON u.id = iif(e.related_id = '', l.source_id, e.related_id)
WHERE e.job_id = :job AND e.source_id = :source
UNION ALL
SELECT p.attribute, coalesce(u.user_principal_name, p.related_id), NULL, 'waiting'
FROM pending_reference p LEFT JOIN user u ON u.id = p.related_id
WHERE p.job_id = :job AND p.source_id = :source AND NOT EXISTS (SELECT 1 FROM exported_reference e
  WHERE e.job_id = p.job_id AND e.source_id = p.source_id AND e.attribute = p.attribute AND e.related_id = p.related_id)
LIMIT :limit
"""


def _references(reader: sqlite3.Connection, job_id: str, source: SourceObject) -> list[dict[str, Any]]:
    """The manager and the members as they were written last, and those that wait for their account."""
    rows = reader.execute(HELD, {"job": job_id, "source": source.id, "limit": REFERENCES})
    return [dict(row) for row in rows]


def _is_known(reader: sqlite3.Connection, job_id: str, source_id: str) -> bool:
    found = reader.execute("SELECT 1 FROM link WHERE job_id = ? AND source_id = ?", (job_id, source_id)).fetchone()
    return found is not None or bool(journal_rows.entries_of_source(reader, job_id, source_id, 1))
