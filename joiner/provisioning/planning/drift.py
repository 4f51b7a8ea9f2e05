"""The plan that repairs drift, what somebody changed in the application: made like any other, on a copy that a survey
has put right.

Functions that take a `sqlite3.Connection` run inside somebody's transaction.
"""

import sqlite3
from collections import Counter
from datetime import datetime
from itertools import count
from typing import Final

from joiner.clock import to_iso
from joiner.provisioning.job import cycles
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.planning.survey import ACCOUNTS
from joiner.provisioning.plans import plans
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
