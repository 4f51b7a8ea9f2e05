"""Links between source and target objects, and the failures kept for another try: rows and set-wise reading."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import orjson

from joiner.clock import from_iso, to_iso
from joiner.provisioning.decision import Link, LinkChange, ObjectType, Problem, QueryMatch

ESCROW_WAITS: Final = (timedelta(0), timedelta(hours=6), timedelta(hours=12), timedelta(hours=24))
"""After the first failure: the next cycle, then 6, 12 and 24 hours after it, then daily (REQ-P-073)."""
ESCROW_END: Final = timedelta(days=28)

STATES: Final[Mapping[LinkChange, tuple[bool, bool]]] = {
    LinkChange.MANAGE: (True, False),
    LinkChange.DISABLE: (True, True),
    LinkChange.RELEASE: (False, True),
}
"""`is_managed` and `is_disabled` after the change."""


def links_of(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> dict[str, Link]:
    """Source id → link, for those that have one."""
    rows = connection.execute(
        "SELECT source_id, target_id, is_managed, is_disabled FROM link WHERE job_id = ?"
        f" AND source_id IN ({_marks(source_ids)})",
        (job_id, *source_ids),
    )
    return {row[0]: Link(row[1], bool(row[2]), bool(row[3])) for row in rows}


def sources_linked_to(
    connection: sqlite3.Connection, job_id: str, object_type: ObjectType, target_ids: Sequence[str]
) -> dict[str, str]:
    """Target id → id of the source object that is linked to it."""
    rows = connection.execute(
        "SELECT target_id, source_id FROM link WHERE job_id = ? AND object_type = ?"
        f" AND target_id IN ({_marks(target_ids)})",
        (job_id, object_type, *target_ids),
    )
    return {row[0]: row[1] for row in rows}


def change_link(
    connection: sqlite3.Connection,
    job_id: str,
    source_id: str,
    object_type: ObjectType,
    target_id: str,
    change: LinkChange,
    now: datetime,
) -> None:
    """Makes, changes or drops the link; a dropped one takes its references with it, also those that failed."""
    if change is LinkChange.KEEP:
        return
    if change is LinkChange.DROP:
        for table in ("link", "exported_reference", "pending_reference", "reference_intent"):
            connection.execute(
                f"DELETE FROM {table} WHERE job_id = ? AND source_id = ?",
                (job_id, source_id),
            )
        release(connection, job_id, source_id, is_reference=True)
        return
    is_managed, is_disabled = STATES[change]
    connection.execute(
        "INSERT INTO link (job_id, source_id, object_type, target_id, is_managed, is_disabled, linked_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id, source_id) DO UPDATE SET target_id = excluded.target_id,"
        " is_managed = excluded.is_managed, is_disabled = excluded.is_disabled",
        (job_id, source_id, object_type, target_id, is_managed, is_disabled, to_iso(now)),
    )


# Creates that are about to be sent


def intend(
    connection: sqlite3.Connection,
    job_id: str,
    object_type: ObjectType,
    creates: Mapping[str, Sequence[QueryMatch]],
) -> None:
    """Remembers, before anything is sent, that these objects are being created: source id → what finds them."""
    rows = ((job_id, id_, object_type, orjson.dumps(queries).decode()) for id_, queries in creates.items())
    connection.executemany("REPLACE INTO intent VALUES (?, ?, ?, ?)", rows)


def intended(
    connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]
) -> dict[str, tuple[QueryMatch, ...]]:
    """Those of `source_ids` whose create may have been sent by an attempt that broke off, with what finds them."""
    rows = connection.execute(
        f"SELECT source_id, queries FROM intent WHERE job_id = ? AND source_id IN ({_marks(source_ids)})",
        (job_id, *source_ids),
    )
    return {row[0]: tuple(QueryMatch(**query) for query in orjson.loads(row[1])) for row in rows}


def forget_intents(connection: sqlite3.Connection, job_id: str, source_ids: Iterable[str]) -> None:
    connection.executemany(
        "DELETE FROM intent WHERE job_id = ? AND source_id = ?", ((job_id, id_) for id_ in source_ids)
    )


# Escrows


def escrow(
    connection: sqlite3.Connection,
    job_id: str,
    source_id: str,
    object_type: ObjectType,
    problem: Problem,
    now: datetime,
    *,
    is_reference: bool = False,
) -> None:
    """Keeps the failure for another try, or drops it after 28 days of tries."""
    row = connection.execute(
        "SELECT first_failure, attempts FROM escrow WHERE job_id = ? AND source_id = ? AND is_reference = ?",
        (job_id, source_id, is_reference),
    ).fetchone()
    first, attempts = (from_iso(row[0]), int(row[1]) + 1) if row else (now, 1)
    if now - first >= ESCROW_END:
        release(connection, job_id, source_id, is_reference=is_reference)
        return
    connection.execute(
        "REPLACE INTO escrow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job_id,
            source_id,
            object_type,
            is_reference,
            to_iso(first),
            attempts,
            to_iso(_next_attempt(first, attempts, now)),
            problem.code,
            problem.reason,
        ),
    )


def release(connection: sqlite3.Connection, job_id: str, source_id: str, *, is_reference: bool = False) -> None:
    """The object succeeded: no further try (REQ-P-074)."""
    connection.execute(
        "DELETE FROM escrow WHERE job_id = ? AND source_id = ? AND is_reference = ?",
        (job_id, source_id, is_reference),
    )


def due_escrows(
    connection: sqlite3.Connection, job_id: str, object_type: ObjectType, now: str, after: str, limit: int
) -> list[str]:
    """Ids of the objects whose next try has come, in id order, after `after`."""
    rows = connection.execute(
        "SELECT source_id FROM escrow WHERE job_id = ? AND object_type = ? AND is_reference = 0 AND next_attempt <= ?"
        " AND source_id > ? ORDER BY source_id LIMIT ?",
        (job_id, object_type, now, after, limit),
    )
    return [row[0] for row in rows]


def _next_attempt(first: datetime, attempts: int, now: datetime) -> datetime:
    if attempts <= len(ESCROW_WAITS):
        return first + ESCROW_WAITS[attempts - 1]
    days = (now - first) // timedelta(days=1) + 1
    return first + timedelta(days=days)


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
