"""Plans as rows: adding, finding, listing, deleting them, and their items page by page.

Functions that take a `sqlite3.Connection` run inside somebody's transaction.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import orjson

from joiner.clock import to_iso
from joiner.errors import InvalidStateError, NotFoundError
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.job.cycles import CycleKind
from joiner.provisioning.log.audit import Actor
from joiner.provisioning.plans.fingerprint import Fingerprint
from joiner.storage.rows import from_row, to_json, write_rows

PlanKind = CycleKind | Literal["drift"]
PlanState = Literal["computing", "ready", "failed", "applying", "applied"]
ACTIONS: Final = ("create", "update", "disable", "delete", "link", "release", "failure")
CHANGES: Final = ("create", "update", "disable", "delete")
"""Actions that write to the application."""
JSON_COLUMNS: Final = ("made_by", "summary", "applied_by")
JSON_ITEM_COLUMNS: Final = ("changes", "causes", "problem", "fingerprint", "reference_counts")
REFERENCES_SHOWN: Final = 200
REQUESTS_SHOWN: Final = 20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `plan`; times are ISO 8601 UTC text."""

    job_id: str
    number: int
    state: PlanState
    kind: PlanKind
    made_at: str
    made_by: Mapping[str, str]
    ended_at: str | None
    schema_version: int
    schema_file: bool
    context: str
    read: int
    expected: int
    summary: Mapping[str, Any] | None
    error: str | None
    applied_at: str | None
    applied_by: Mapping[str, str] | None
    cycle_id: str | None
    allows_deletes: bool


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `plan_item`."""

    position: int
    source_id: str
    object_type: Literal["User", "Group"]
    name: str
    action: str
    is_held: bool
    target_id: str
    changes: Sequence[tuple[str, str | None, str | None]]
    """Attribute, old and new value of each."""
    causes: Sequence[tuple[str, str]]
    """Kind and text of each."""
    problem: Mapping[str, str] | None
    fingerprint: Fingerprint | None
    """None: only references were planned."""
    reference_counts: Mapping[str, Mapping[str, int]]
    missing_id: str | None
    state: str
    reason: str | None


def add_plan(
    connection: sqlite3.Connection,
    job_id: str,
    kind: PlanKind,
    context: str,
    now: datetime,
    by: Actor,
    *,
    schema_version: int,
    schema_file: bool,
) -> int:
    """The number of a new plan that is being computed. Raises InvalidStateError while another one is."""
    busy = connection.execute("SELECT number FROM plan WHERE job_id = ? AND state = 'computing'", (job_id,)).fetchone()
    if busy is not None:
        raise InvalidStateError(f"plan {busy[0]} of this job is being computed; wait for it")
    number: int = connection.execute(
        "UPDATE job SET plans = plans + 1 WHERE id = ? RETURNING plans", (job_id,)
    ).fetchone()[0]
    connection.execute(
        "INSERT INTO plan (job_id, number, state, kind, made_at, made_by, schema_version, schema_file, context)"
        " VALUES (?, ?, 'computing', ?, ?, ?, ?, ?, ?)",
        (job_id, number, kind, to_iso(now), to_json(person_of(by)), schema_version, schema_file, context),
    )
    return number


def person_of(by: Actor) -> dict[str, str]:
    """Who made or applied a plan, as it is kept."""
    return {"id": by.id, "displayName": by.name}


def plan_by_number(connection: sqlite3.Connection, job_id: str, number: int) -> Plan:
    """Raises NotFoundError."""
    row = connection.execute("SELECT * FROM plan WHERE job_id = ? AND number = ?", (job_id, number)).fetchone()
    if row is None:
        raise NotFoundError(f"the job has no plan {number}")
    return from_row(row, Plan, JSON_COLUMNS)


def plans_of(connection: sqlite3.Connection, job_id: str) -> list[Plan]:
    """The job's plans, newest first."""
    rows = connection.execute("SELECT * FROM plan WHERE job_id = ? ORDER BY number DESC", (job_id,))
    return [from_row(row, Plan, JSON_COLUMNS) for row in rows]


def note_progress(connection: sqlite3.Connection, job_id: str, number: int, read: int, expected: int) -> None:
    """How many objects have been read, of how many that are expected."""
    connection.execute(
        "UPDATE plan SET read = ?, expected = ? WHERE job_id = ? AND number = ?", (read, expected, job_id, number)
    )


def end_plan(
    connection: sqlite3.Connection,
    job_id: str,
    number: int,
    now: datetime,
    summary: Mapping[str, Any] | None,
    error: str | None,
) -> None:
    """The plan is ready, or could not be computed."""
    connection.execute(
        "UPDATE plan SET state = ?, ended_at = ?, summary = ?, error = ? WHERE job_id = ? AND number = ?",
        ("failed" if error else "ready", to_iso(now), to_json(summary) if summary else None, error, job_id, number),
    )


def delete_plan(connection: sqlite3.Connection, job_id: str, number: int) -> None:
    """Raises NotFoundError, InvalidStateError while it is computed or applied."""
    plan = plan_by_number(connection, job_id, number)
    if plan.state in ("computing", "applying"):
        raise InvalidStateError(f"plan {number} is {plan.state}; it can be deleted afterwards")
    connection.execute("DELETE FROM plan WHERE job_id = ? AND number = ?", (job_id, number))


def purge_plans(connection: sqlite3.Connection, before: datetime) -> int:
    """Removes the plans that were made before this; returns their number."""
    return connection.execute(
        "DELETE FROM plan WHERE made_at < ? AND state NOT IN ('computing', 'applying')", (to_iso(before),)
    ).rowcount


def fail_unfinished(connection: sqlite3.Connection, now: datetime, job_id: str | None = None) -> None:
    """What was being computed when a process ended will never be ready; of one job, or of all."""
    connection.execute(
        "UPDATE plan SET state = 'failed', ended_at = ?1, error = 'the process ended while the plan was being computed'"
        " WHERE state = 'computing' AND job_id = ifnull(?2, job_id)",
        (to_iso(now), job_id),
    )


# Items


def add_items(
    connection: sqlite3.Connection,
    job_id: str,
    number: int,
    items: Sequence[Sequence[Any]],
    references: Sequence[Sequence[Any]],
    requests: Sequence[Sequence[Any]],
) -> None:
    """Rows in the order of the tables' columns, without job and number (items: up to `missing_id`)."""
    key = (job_id, number)
    write_rows(connection, "INSERT INTO plan_item VALUES {rows}", [(*key, *row, "planned", None) for row in items])
    write_rows(connection, "INSERT INTO plan_reference VALUES {rows}", [(*key, *row) for row in references])
    write_rows(connection, "INSERT INTO plan_request VALUES {rows}", [(*key, *row) for row in requests])


def add_accounts(connection: sqlite3.Connection, job_id: str, number: int, rows: Iterable[Sequence[Any]]) -> None:
    """Rows in the order of the columns of `plan_account`, without job and number."""
    connection.executemany(
        "INSERT OR IGNORE INTO plan_account VALUES (?, ?, ?, ?, ?, ?, ?)", ((job_id, number, *row) for row in rows)
    )


def accounts_page(
    connection: sqlite3.Connection, job_id: str, number: int, after: tuple[str, str], limit: int
) -> list[dict[str, Any]]:
    """At most `limit` accounts that nobody manages, after (type, target id)."""
    rows = connection.execute(
        "SELECT a.object_type AS objectType, a.target_id AS targetId, a.name, a.state, a.source_id AS objectId,"
        " coalesce(u.user_principal_name, g.display_name) AS matches FROM plan_account a"
        " LEFT JOIN user u ON u.id = a.source_id LEFT JOIN grp g ON g.id = a.source_id"
        " WHERE a.job_id = ? AND a.number = ? AND (a.object_type, a.target_id) > (?, ?)"
        " ORDER BY a.object_type, a.target_id LIMIT ?",
        (job_id, number, *after, limit),
    )
    return [dict(row) for row in rows]


def items_page(
    connection: sqlite3.Connection, job_id: str, number: int, after: int, limit: int, action: str | None = None
) -> list[PlanItem]:
    """At most `limit` items in the plan's order, position > `after`; of one action only, or of all."""
    rows = connection.execute(
        "SELECT * FROM plan_item WHERE job_id = ?1 AND number = ?2 AND position > ?3 AND (?4 IS NULL OR action = ?4)"
        " ORDER BY position LIMIT ?5",
        (job_id, number, after, action, limit),
    )
    return [_item(row) for row in rows]


def item_of(
    connection: sqlite3.Connection, job_id: str, number: int, object_type: str, source_id: str
) -> PlanItem | None:
    """The plan's item of this object, None if it has none."""
    row = connection.execute(
        "SELECT * FROM plan_item WHERE job_id = ? AND number = ? AND object_type = ? AND source_id = ?",
        (job_id, number, object_type, source_id),
    ).fetchone()
    return _item(row) if row else None


def chosen_ids(
    connection: sqlite3.Connection, job_id: str, number: int, object_type: ObjectType, after: str, limit: int
) -> list[str]:
    """Ids of the chosen objects of the type, in id order, after `after`; also of those that were dealt with already:
    a page that runs again looks at the same ones."""
    rows = connection.execute(
        "SELECT source_id FROM plan_item WHERE job_id = ? AND number = ? AND object_type = ? AND source_id > ?"
        " AND state = 'chosen' ORDER BY source_id LIMIT ?",
        (job_id, number, object_type, after, limit),
    )
    return [row[0] for row in rows]


def references_of(
    connection: sqlite3.Connection, job_id: str, number: int, source_id: str, limit: int | None = None
) -> list[sqlite3.Row]:
    """The object's rows of `plan_reference`, at most `limit`."""
    return connection.execute(
        "SELECT attribute, related_id, wanted_id, name, verb FROM plan_reference"
        " WHERE job_id = ? AND number = ? AND source_id = ? ORDER BY attribute, related_id LIMIT ?",
        (job_id, number, source_id, -1 if limit is None else limit),
    ).fetchall()


def requests_of(
    connection: sqlite3.Connection, job_id: str, number: int, source_id: str, limit: int | None = None
) -> list[dict[str, Any]]:
    """The requests that would be sent for the object, in order: method, path, body."""
    rows = connection.execute(
        "SELECT method, path, body FROM plan_request WHERE job_id = ? AND number = ? AND source_id = ?"
        " ORDER BY position LIMIT ?",
        (job_id, number, source_id, -1 if limit is None else limit),
    )
    return [
        {"method": row["method"], "path": row["path"], "body": orjson.loads(row["body"]) if row["body"] else None}
        for row in rows
    ]


def _item(row: sqlite3.Row) -> PlanItem:
    return from_row(row, PlanItem, JSON_ITEM_COLUMNS)
