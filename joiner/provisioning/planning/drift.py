"""Drift: the plan that repairs what somebody changed in the application, and taking what it has as it is.

A drift plan is made like any other, on a copy that a survey has put right. Before it is carried out, the same
corrections are made to the job itself. Functions that take a `sqlite3.Connection` run inside somebody's transaction.
"""

import sqlite3
from collections import Counter
from datetime import datetime
from itertools import count
from typing import Final

from joiner.clock import to_iso
from joiner.errors import InvalidStateError
from joiner.provisioning import audit, cycles
from joiner.provisioning.audit import Actor
from joiner.provisioning.cycles import Cycle
from joiner.provisioning.decision import LinkChange
from joiner.provisioning.jobs import Job
from joiner.provisioning.links import change_links
from joiner.provisioning.planning import plans
from joiner.provisioning.planning.survey import ACCOUNTS
from joiner.provisioning.rows import to_json
from joiner.storage.sqlite import Database

AT_ONCE: Final = 1000


def begin(connection: sqlite3.Connection, job: Job, number: int, now: datetime) -> Cycle:
    """In the copy: a cycle over the objects that `choose` names."""
    connection.execute(
        "INSERT INTO plan (job_id, number, state, kind, made_at, made_by, schema_version, schema_file, context)"
        " VALUES (?, ?, 'computing', 'drift', ?, '{}', ?, 0, '')",
        (job.id, number, to_iso(now), job.schema_version),
    )
    return cycles.begin_apply(connection, job, "initial", number, now)


def choose(connection: sqlite3.Connection, job_id: str, number: int) -> None:
    """In the copy: everything that the job manages, also whose account is missing, and whoever it has released by a
    disable that nobody has seen take effect."""
    rows = connection.execute(
        "SELECT source_id, object_type FROM link WHERE job_id = ? AND (is_managed OR NOT is_disabled)"
        " UNION SELECT source_id, object_type FROM missing ORDER BY source_id",
        (job_id,),
    ).fetchall()
    positions = count(1)
    connection.executemany(
        "INSERT INTO plan_item VALUES"
        " (?, ?, ?, ?, ?, '', 'update', 0, '', '[]', '[]', NULL, NULL, '{}', NULL, 'chosen', NULL)",
        ((job_id, number, next(positions), row["source_id"], row["object_type"]) for row in rows),
    )


FORGOTTEN: Final = """
INSERT INTO planned_object (source_id, object_type, name, action, is_held, target_id)
SELECT m.source_id, m.object_type, coalesce(u.user_principal_name, g.display_name, m.source_id), 'release', 0,
       m.target_id
FROM missing m LEFT JOIN user u ON u.id = m.source_id LEFT JOIN grp g ON g.id = m.source_id
WHERE NOT EXISTS (SELECT 1 FROM planned_object p WHERE p.source_id = m.source_id)
"""


def note_missing(connection: sqlite3.Connection) -> None:
    """In the copy: the planned objects say which account of theirs is gone; those that get no other are released."""
    connection.execute(FORGOTTEN)
    connection.execute(
        "UPDATE planned_object SET missing_id = m.target_id FROM missing m WHERE m.source_id = planned_object.source_id"
    )


async def keep_accounts(copy: Database, live: Database, job_id: str, number: int) -> dict[str, dict[str, int]]:
    """Keeps the accounts that nobody manages with the plan; type → state → number."""
    numbers: dict[str, Counter[str]] = {}
    cursor = copy.reader.execute(ACCOUNTS, {"job": job_id})
    while rows := cursor.fetchmany(AT_ONCE):
        for row in rows:
            numbers.setdefault(row["object_type"], Counter())[row["state"]] += 1
        told = [(row["object_type"], row["target_id"], row["name"], row["state"], row["source_id"]) for row in rows]
        await live.write(lambda c, told=told: plans.add_accounts(c, job_id, number, told))  # type: ignore[misc] # binds told
    return {kind: dict(counter) for kind, counter in numbers.items()}


MISSING: Final = """
SELECT source_id, object_type, missing_id AS target_id FROM plan_item
WHERE job_id = ? AND number = ? AND state IN ({states}) AND missing_id IS NOT NULL
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
    rows = connection.execute(MISSING.format(states=states), (job_id, number)).fetchall()
    forgotten = 0
    for row in rows:
        forgotten += connection.execute(
            "DELETE FROM link WHERE job_id = ? AND source_id = ? AND target_id = ?",
            (job_id, row["source_id"], row["target_id"]),
        ).rowcount
        connection.execute(
            "DELETE FROM exported_reference WHERE job_id = ?1 AND (source_id = ?2 OR target_value = ?3)",
            (job_id, row["source_id"], row["target_id"]),
        )
    return forgotten
