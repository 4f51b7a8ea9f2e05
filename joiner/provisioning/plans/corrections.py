"""What a look at the application means for the job itself: corrected before the plan that repairs drift is carried out,
or adopted instead of that.

Functions that take a `sqlite3.Connection` run inside somebody's transaction.
"""

import sqlite3
from datetime import datetime
from typing import Final

from joiner.clock import to_iso
from joiner.errors import InvalidStateError
from joiner.provisioning.decisions.decision import LinkChange
from joiner.provisioning.job import cycles
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.links import change_links
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import Actor
from joiner.provisioning.plans import plans
from joiner.storage.rows import to_json

MISSING: Final = """
FROM plan_item WHERE job_id = ?1 AND number = ?2 AND state IN ({states}) AND missing_id IS NOT NULL
"""
FORGET_WRITTEN: Final = """
DELETE FROM exported_reference WHERE (job_id, source_id, attribute, related_id) IN (
  SELECT r.job_id, r.source_id, r.attribute, r.related_id FROM plan_reference r
  JOIN plan_item i ON i.job_id = r.job_id AND i.number = r.number AND i.source_id = r.source_id AND i.state = 'chosen'
  WHERE r.job_id = ? AND r.number = ? AND r.verb = 'add')
"""
REMEMBER_FOUND: Final = """
INSERT OR IGNORE INTO exported_reference
SELECT r.job_id, r.source_id, r.attribute, r.related_id, l.target_id FROM plan_reference r
JOIN plan_item i ON i.job_id = r.job_id AND i.number = r.number AND i.source_id = r.source_id AND i.state = 'chosen'
JOIN link l ON l.job_id = r.job_id AND l.source_id = r.related_id
WHERE r.job_id = ? AND r.number = ? AND r.verb IN ('remove', 'held') AND r.attribute = 'members'
"""


def correct(connection: sqlite3.Connection, job_id: str, number: int) -> None:
    """Before the plan is carried out: the job believes of the chosen objects what the survey has seen."""
    _forget_missing(connection, job_id, number, "'chosen'")
    connection.execute(FORGET_WRITTEN, (job_id, number))
    connection.execute(REMEMBER_FOUND, (job_id, number))


RESTORE: Final = """
INSERT OR IGNORE INTO link (job_id, source_id, object_type, target_id, is_managed, is_disabled, linked_at)
SELECT i.job_id, i.source_id, i.object_type, i.missing_id, 1, 0, plan.applied_at FROM plan_item i
JOIN plan ON plan.job_id = i.job_id AND plan.number = i.number
WHERE i.job_id = ? AND i.number = ? AND i.missing_id IS NOT NULL AND {which}
"""
RESTORE_UNREPAIRED: Final = RESTORE.format(
    which="i.object_type = ? AND i.source_id = ? AND (i.state = 'refused' OR (i.action <> 'release' AND NOT EXISTS"
    " (SELECT 1 FROM intent WHERE intent.job_id = i.job_id AND intent.source_id = i.source_id)))"
)
RESTORE_CHOSEN: Final = RESTORE.format(which="i.state = 'chosen'")
"""What was to be put right, and is refused or has failed: the link is as it was, so that an account that is there after
all ends with whose it is. Where one may have been made, it is looked for."""


def adopt(connection: sqlite3.Connection, job: Job, number: int, by: Actor, now: datetime) -> dict[str, int]:
    """Links the accounts that were found of entitled people, and forgets links to accounts that are gone."""
    plan = plans.plan_by_number(connection, job.id, number)
    if plan.kind != "drift" or plan.state != "ready":
        raise InvalidStateError(f"plan {number} is no look at the application, or has been used already")
    if cycles.running_cycle(connection, job.id) is not None:
        raise InvalidStateError("a cycle of the job is running; adopt when it has ended")
    forgotten = _forget_missing(connection, job.id, number, "'planned'")
    accounts = connection.execute(
        "SELECT object_type, min(target_id) AS target_id, source_id FROM plan_account WHERE job_id = ? AND number = ?"
        " AND state = 'assigned' GROUP BY object_type, source_id HAVING count(*) = 1",
        (job.id, number),
    ).fetchall()
    linked = 0
    for row in accounts:
        taken = connection.execute(
            "SELECT 1 FROM link WHERE job_id = ?1 AND (source_id = ?2 OR (object_type = ?3 AND target_id = ?4))",
            (job.id, row["source_id"], row["object_type"], row["target_id"]),
        ).fetchone()
        if taken is None:
            change_links(
                connection, job.id, row["object_type"], [(row["source_id"], row["target_id"], LinkChange.MANAGE)], now
            )
            linked += 1
    connection.execute(
        "UPDATE plan SET state = 'applied', applied_at = ?, applied_by = ? WHERE job_id = ? AND number = ?",
        (to_iso(now), to_json(plans.person_of(by)), job.id, number),
    )
    reason = f"plan {number} adopted: {linked} accounts linked, {forgotten} links to missing accounts forgotten"
    audit.note(connection, "Other", now, by, job.service_principal_id, job_id=job.id, reason=reason)
    return {"linked": linked, "forgotten": forgotten}


def _forget_missing(connection: sqlite3.Connection, job_id: str, number: int, states: str) -> int:
    found = MISSING.format(states=states)
    key = (job_id, number)
    for column, known in (("source_id", "source_id"), ("target_value", "missing_id")):
        connection.execute(
            f"DELETE FROM exported_reference WHERE job_id = ?1 AND {column} IN (SELECT {known} {found})", key
        )
    return connection.execute(
        f"DELETE FROM link WHERE job_id = ?1 AND (source_id, target_id) IN (SELECT source_id, missing_id {found})", key
    ).rowcount
