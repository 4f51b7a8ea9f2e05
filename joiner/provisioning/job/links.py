"""Links between source and target objects, and the failures kept for another try: rows and set-wise reading."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from joiner.clock import from_iso, to_iso
from joiner.provisioning.decisions.decision import Link, LinkChange, ObjectType, Problem, QueryMatch
from joiner.provisioning.job.jobs import OF_LINKS
from joiner.provisioning.job.quarantine import is_over, next_attempt
from joiner.storage.rows import marks, to_json, write_rows

IDS_AT_ONCE: Final = 500
FOREVER: Final = "9999"
"""The time by which whatever waits for another try is due."""
STATES: Final[Mapping[LinkChange, tuple[bool, bool]]] = {
    LinkChange.MANAGE: (True, False),
    LinkChange.DISABLE: (True, True),
    LinkChange.RELEASE: (False, True),
    LinkChange.RELEASE_UNSEEN: (False, False),
    # Whoever can come back after a deletion was never disabled: for them nothing else reads so.
    LinkChange.END: (True, True),
}
"""`is_managed` and `is_disabled` after the change."""
COUNTS: Final[Mapping[ObjectType, str]] = {"User": "users_synchronized", "Group": "groups_synchronized"}


def links_of(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> dict[str, Link]:
    """Source id → link, for those that have one."""
    rows = connection.execute(
        "SELECT source_id, target_id, is_managed, is_disabled FROM link WHERE job_id = ?"
        f" AND source_id IN ({marks(source_ids)})",
        (job_id, *source_ids),
    )
    return {row[0]: Link(row[1], bool(row[2]), bool(row[3])) for row in rows}


def sources_linked_to(
    connection: sqlite3.Connection, job_id: str, object_type: ObjectType, target_ids: Sequence[str]
) -> dict[str, str]:
    """Target id → id of the source object that is linked to it."""
    rows = connection.execute(
        "SELECT target_id, source_id FROM link WHERE job_id = ? AND object_type = ?"
        f" AND target_id IN ({marks(target_ids)})",
        (job_id, object_type, *target_ids),
    )
    return {row[0]: row[1] for row in rows}


def is_changed(link: Link | None, target_id: str, change: LinkChange) -> bool:
    """Whether the change leaves another link than there was."""
    if change not in STATES:
        return change is LinkChange.DROP
    return link is None or (link.target_id, link.is_managed, link.is_disabled) != (target_id, *STATES[change])


def change_links(
    connection: sqlite3.Connection,
    job_id: str,
    object_type: ObjectType,
    changes: Sequence[tuple[str, str, LinkChange]],
    now: datetime,
) -> None:
    """Makes, changes or drops links, given source id and target id; a dropped one takes its references with it, also
    those that failed. New ones are counted as synchronized, and stay so (REQ-P-127)."""
    if not changes:
        return
    kept = [each for each in changes if each[2] in STATES]
    entering = {source_id for source_id, _, _ in kept} - links_of(connection, job_id, [each[0] for each in kept]).keys()
    if entering:
        connection.execute(
            f"UPDATE job SET {COUNTS[object_type]} = {COUNTS[object_type]} + ? WHERE id = ?", (len(entering), job_id)
        )
    dropped = [(job_id, source_id) for source_id, _, change in changes if change is LinkChange.DROP]
    for table in OF_LINKS:
        connection.executemany(f"DELETE FROM {table} WHERE job_id = ? AND source_id = ?", dropped)
    for _, source_id in dropped:
        release(connection, job_id, source_id, is_reference=True)
    moment = to_iso(now)
    write_rows(
        connection,
        "INSERT INTO link (job_id, source_id, object_type, target_id, is_managed, is_disabled, linked_at)"
        " VALUES {rows} ON CONFLICT (job_id, source_id) DO UPDATE SET target_id = excluded.target_id,"
        " is_managed = excluded.is_managed, is_disabled = excluded.is_disabled",
        [(job_id, source_id, object_type, target_id, *STATES[change], moment) for source_id, target_id, change in kept],
    )


class ObjectConnection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A link as an administrator sees it."""

    object_id: str
    source_anchor: str
    target_anchor: str
    object_type_name: ObjectType


def connection_of(connection: sqlite3.Connection, job_id: str, anchor: str) -> ObjectConnection | None:
    """The link with this source id, else the one with this target id (REQ-P-071)."""
    row = connection.execute(
        "SELECT source_id, target_id, object_type FROM link WHERE job_id = ?1 AND ?2 IN (source_id, target_id)"
        " ORDER BY source_id = ?2 DESC LIMIT 1",
        (job_id, anchor),
    ).fetchone()
    if row is None:
        return None
    return ObjectConnection(
        object_id=row["source_id"],
        source_anchor=row["source_id"],
        target_anchor=row["target_id"],
        object_type_name=row["object_type"],
    )


def forget_connection(connection: sqlite3.Connection, job_id: str, object_type: ObjectType, source_id: str) -> None:
    """The object is matched anew when it is looked at, and is due at once; neither side's object is touched."""
    count = COUNTS[object_type]
    connection.execute(f"UPDATE job SET {count} = max({count} - 1, 0) WHERE id = ?", (job_id,))
    for table in (*OF_LINKS, "intent"):
        connection.execute(f"DELETE FROM {table} WHERE job_id = ? AND source_id = ?", (job_id, source_id))
    connection.execute(
        "UPDATE escrow SET next_attempt = first_failure WHERE job_id = ? AND source_id = ?", (job_id, source_id)
    )


# Creates that are about to be sent


def intend(
    connection: sqlite3.Connection,
    job_id: str,
    cycle_id: str,
    object_type: ObjectType,
    creates: Mapping[str, Sequence[QueryMatch]],
) -> None:
    """Remembers, before anything is sent, that these objects are being created: source id → what finds them."""
    rows = [
        (job_id, id_, object_type, msgspec.json.encode(queries).decode(), cycle_id) for id_, queries in creates.items()
    ]
    write_rows(connection, "REPLACE INTO intent VALUES {rows}", rows)


class Intent(NamedTuple):
    """A create that may have been sent by an attempt that broke off."""

    cycle_id: str
    queries: tuple[QueryMatch, ...]
    """What finds its account."""


def intended(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> dict[str, Intent]:
    """Those of `source_ids` whose create may have been sent."""
    rows = connection.execute(
        f"SELECT source_id, cycle_id, queries FROM intent WHERE job_id = ? AND source_id IN ({marks(source_ids)})",
        (job_id, *source_ids),
    )
    return {row[0]: Intent(row[1], msgspec.json.decode(row[2], type=tuple[QueryMatch, ...])) for row in rows}


def intended_before(
    connection: sqlite3.Connection, job_id: str, cycle_id: str, object_type: ObjectType, after: str, limit: int
) -> list[str]:
    """Ids of those whose create may have been sent by a cycle other than this one, in id order, after `after`; without
    those that wait for another try."""
    rows = connection.execute(
        "SELECT source_id FROM intent WHERE job_id = ?1 AND object_type = ?2 AND cycle_id <> ?3 AND source_id > ?4"
        " AND NOT EXISTS (SELECT 1 FROM escrow WHERE job_id = ?1 AND source_id = intent.source_id AND is_reference = 0)"
        " ORDER BY source_id LIMIT ?5",
        (job_id, object_type, cycle_id, after, limit),
    )
    return [row[0] for row in rows]


def forget_intents(connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str]) -> None:
    """What became of the creates of these objects is known."""
    connection.execute(
        f"DELETE FROM intent WHERE job_id = ? AND source_id IN ({marks(source_ids)})", (job_id, *source_ids)
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
) -> bool:
    """Keeps the failure for another try: in the next cycle, then 6, 12 and 24 hours after the first one, then daily
    (REQ-P-073). After 28 days it is dropped instead: then the result is False."""
    row = connection.execute(
        "SELECT first_failure, attempts FROM escrow WHERE job_id = ? AND source_id = ? AND is_reference = ?",
        (job_id, source_id, is_reference),
    ).fetchone()
    first, attempts = (from_iso(row[0]), int(row[1]) + 1) if row else (now, 1)
    if is_over(first, now):
        release(connection, job_id, source_id, is_reference=is_reference)
        return False
    connection.execute(
        "REPLACE INTO escrow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job_id,
            source_id,
            object_type,
            is_reference,
            to_iso(first),
            attempts,
            to_iso(now if attempts == 1 else next_attempt(first, now)),
            problem.code,
            problem.reason,
        ),
    )
    return True


def release(connection: sqlite3.Connection, job_id: str, source_id: str, *, is_reference: bool = False) -> None:
    """The object succeeded: no further try (REQ-P-074)."""
    connection.execute(
        "DELETE FROM escrow WHERE job_id = ? AND source_id = ? AND is_reference = ?",
        (job_id, source_id, is_reference),
    )


def escrowed(
    connection: sqlite3.Connection, job_id: str, source_ids: Sequence[str], *, is_reference: bool = False
) -> set[str]:
    """Those of `source_ids` that have failed and not succeeded since."""
    rows = connection.execute(
        f"SELECT source_id FROM escrow WHERE job_id = ? AND is_reference = ? AND source_id IN ({marks(source_ids)})",
        (job_id, is_reference, *source_ids),
    )
    return {row[0] for row in rows}


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


def hurry_references(connection: sqlite3.Connection, job_id: str, source_ids: Iterable[str], now: datetime) -> None:
    """Something about the references of these objects has changed: a try that waits is due at once (REQ-P-074)."""
    connection.execute(
        "UPDATE escrow SET next_attempt = min(next_attempt, ?) WHERE job_id = ? AND is_reference = 1"
        " AND source_id IN (SELECT value FROM json_each(?))",
        (to_iso(now), job_id, to_json(list(source_ids))),
    )


def count_escrows(connection: sqlite3.Connection, job_id: str) -> tuple[int, int]:
    """How many objects wait for another try, and how many wait for their references."""
    row = connection.execute(
        "SELECT count(*) - total(is_reference), total(is_reference) FROM escrow WHERE job_id = ?", (job_id,)
    ).fetchone()
    return int(row[0]), int(row[1])


def count_in_step(connection: sqlite3.Connection, job_id: str) -> int:
    """How many linked objects are managed and wait for nothing."""
    number: int = connection.execute(
        "SELECT count(*) FROM link WHERE job_id = ?1 AND is_managed AND NOT EXISTS (SELECT 1 FROM escrow"
        " WHERE job_id = ?1 AND source_id = link.source_id AND is_reference = 0)",
        (job_id,),
    ).fetchone()[0]
    return number


def managed_ids(connection: sqlite3.Connection, job_id: str) -> Iterator[tuple[ObjectType, list[str]]]:
    """The managed objects by type, some hundred ids at a time."""
    types: tuple[ObjectType, ...] = ("User", "Group")
    for object_type in types:
        rows = connection.execute(
            "SELECT source_id FROM link WHERE job_id = ? AND object_type = ? AND is_managed", (job_id, object_type)
        )
        while found := rows.fetchmany(IDS_AT_ONCE):
            yield object_type, [row[0] for row in found]


def forget_escrows(connection: sqlite3.Connection, job_id: str) -> None:
    """Forgets every failure of the job's objects."""
    connection.execute("DELETE FROM escrow WHERE job_id = ?", (job_id,))
