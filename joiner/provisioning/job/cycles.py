"""Cycles as rows: beginning one, how far it has come, the fencing number that guards it, and its end.

Functions that take a `sqlite3.Connection` run inside somebody's transaction.
"""

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from joiner.clock import to_iso
from joiner.errors import InvalidStateError, NotFoundError
from joiner.ids import new_id
from joiner.provisioning.job.jobs import Job, job_by_id
from joiner.storage.rows import from_row, marks, to_json

CycleKind = Literal["initial", "incremental"]
CycleState = Literal["running", "succeeded", "entry_level_errors", "failed", "abandoned"]
ENDED: Final[tuple[CycleState, ...]] = ("succeeded", "entry_level_errors", "failed", "abandoned")
PHASES: Final = ("census", "users", "groups", "references", "removals")
FIRST_PHASES: Final[Mapping[CycleKind, str]] = {"initial": "census", "incremental": "users"}
"""Few objects are asked about one by one."""
JSON_COLUMNS: Final = ("counts", "error")


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `cycle`: one run of a job, and how far it has come."""

    id: str
    job_id: str
    kind: CycleKind
    state: CycleState
    from_position: int
    to_position: int
    schema_version: int | None
    phase: str
    cursor: str
    completed_pages: int
    total_pages: int
    is_held: bool
    """More would have been taken away than the guard allows: none of it is sent."""
    counts: Mapping[str, int]
    began_at: str
    ended_at: str | None
    observed_at: str
    error: Mapping[str, Any] | None
    plan: int | None
    """The plan that the cycle carries out; None: it looks at the directory by itself."""


def begin_cycle(connection: sqlite3.Connection, job_id: str, feed_position: int, now: datetime) -> Cycle:
    """The running cycle of the job, or a new one: initial without a watermark, else incremental (REQ-P-056).

    `feed_position` is the directory's present position, taken before anything is read (REQ-P-053).
    """
    job = job_by_id(connection, job_id)
    running = running_cycle(connection, job_id)
    if running is not None:
        return running
    cycle_id = new_id()
    moment = to_iso(now)
    kind: CycleKind = "initial" if job.watermark is None else "incremental"
    connection.execute(
        "INSERT INTO cycle (id, job_id, kind, state, from_position, to_position, schema_version, phase, cursor, counts,"
        " began_at, observed_at) VALUES (?, ?, ?, 'running', ?, ?, ?, ?, '', '{}', ?, ?)",
        (
            cycle_id,
            job_id,
            kind,
            job.watermark or 0,
            feed_position,
            job.schema_version,
            FIRST_PHASES[kind],
            moment,
            moment,
        ),
    )
    if job.watermark is None:
        connection.execute("UPDATE job SET reevaluates = 0 WHERE id = ?", (job_id,))
    # Start to start, never overlapping; a job that is not active is run by hand and keeps its (empty) schedule.
    connection.execute(
        "UPDATE job SET next_run_at = ? WHERE id = ? AND schedule_state = 'Active'",
        (to_iso(now + timedelta(seconds=job.interval_seconds)), job_id),
    )
    return cycle_by_id(connection, cycle_id)


def cycle_of_its_own(job: Job, now: datetime) -> Cycle:
    """A cycle that is no row, for single objects outside of cycles: an id for the log, and no window of changes."""
    moment = to_iso(now)
    return Cycle(
        id=new_id(), job_id=job.id, kind="incremental", state="running", from_position=0, to_position=0,
        schema_version=job.schema_version, phase="users", cursor="", completed_pages=0, total_pages=0, is_held=False,
        counts={}, began_at=moment, ended_at=None, observed_at=moment, error=None, plan=None,
    )  # fmt: skip


BEGINS_WITH: Final = "users"
"""The first phase of a cycle that carries out a plan: it reads no lists."""


def begin_apply(connection: sqlite3.Connection, job: Job, kind: CycleKind, plan: int, now: datetime) -> Cycle:
    """A cycle that carries out a plan; it moves neither the watermark nor the schedule."""
    cycle_id = new_id()
    moment = to_iso(now)
    connection.execute(
        "INSERT INTO cycle (id, job_id, kind, state, from_position, to_position, schema_version, phase, cursor, counts,"
        " began_at, observed_at, plan) VALUES (?, ?, ?, 'running', 0, 0, ?, ?, '', '{}', ?, ?, ?)",
        (cycle_id, job.id, kind, job.schema_version, BEGINS_WITH, moment, moment, plan),
    )
    return cycle_by_id(connection, cycle_id)


def cycle_by_id(connection: sqlite3.Connection, cycle_id: str) -> Cycle:
    """Raises NotFoundError."""
    row = connection.execute("SELECT * FROM cycle WHERE id = ?", (cycle_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no cycle '{cycle_id}'")
    return from_row(row, Cycle, JSON_COLUMNS)


def running_cycle(connection: sqlite3.Connection, job_id: str) -> Cycle | None:
    """The job's cycle that has begun and not ended."""
    row = connection.execute("SELECT * FROM cycle WHERE job_id = ? AND state = 'running'", (job_id,)).fetchone()
    return from_row(row, Cycle, JSON_COLUMNS) if row else None


def running_cycles(connection: sqlite3.Connection) -> list[Cycle]:
    """Every cycle that has begun and not ended: after a crash, those to go on with."""
    return [
        from_row(row, Cycle, JSON_COLUMNS) for row in connection.execute("SELECT * FROM cycle WHERE state = 'running'")
    ]


def last_cycle(
    connection: sqlite3.Connection, job_id: str, states: tuple[CycleState, ...], *, with_exports: bool = False
) -> Cycle | None:
    """The job's latest cycle in one of the states; `with_exports`: of those that wrote something."""
    row = connection.execute(
        f"SELECT * FROM cycle WHERE job_id = ? AND state IN ({marks(states)}) AND (? OR counts ->> 'exported' > 0)"
        " ORDER BY began_at DESC, rowid DESC LIMIT 1",
        (job_id, *states, not with_exports),
    ).fetchone()
    return from_row(row, Cycle, JSON_COLUMNS) if row else None


def latest_ends(connection: sqlite3.Connection, job_id: str, number: int, *, idle: bool) -> list[CycleState]:
    """How the job's latest cycles ended, newest first; `idle`: also those that had nothing to write."""
    rows = connection.execute(
        "SELECT state FROM cycle WHERE job_id = ? AND plan IS NULL AND (state = 'failed'"
        " OR state IN ('succeeded', 'entry_level_errors') AND (? OR counts ->> 'exports' > 0))"
        " ORDER BY began_at DESC, rowid DESC LIMIT ?",
        (job_id, idle, number),
    )
    return [row[0] for row in rows]


def take_fence(connection: sqlite3.Connection, job_id: str) -> int:
    """A new fencing number: from now on, whoever holds an older one cannot commit to this job."""
    row = connection.execute("UPDATE job SET fence = fence + 1 WHERE id = ? RETURNING fence", (job_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no job '{job_id}'")
    fence: int = row["fence"]
    return fence


def check_fence(
    connection: sqlite3.Connection, cycle: Cycle, fence: int, *, stands: tuple[str, str] | None = None
) -> None:
    """Raises InvalidStateError unless `fence` is the newest of the job, the cycle runs, and stands there: at a phase
    and a cursor."""
    row = connection.execute(
        "SELECT job.fence, cycle.state, cycle.phase, cycle.cursor FROM cycle JOIN job ON job.id = cycle.job_id"
        " WHERE cycle.id = ?",
        (cycle.id,),
    ).fetchone()
    is_owned = row is not None and tuple(row[:2]) == (fence, "running")
    if not is_owned or (stands is not None and tuple(row[2:]) != stands):
        raise InvalidStateError(f"another worker has taken over cycle {cycle.id}; this page is not kept")


def advance_cycle(
    connection: sqlite3.Connection,
    cycle: Cycle,
    *,
    phase: str,
    cursor: str,
    completed: int,
    total: int,
    counts: Mapping[str, int],
    now: datetime,
) -> None:
    """Writes how far the cycle has come; `counts` are added to those it has."""
    connection.execute(
        "UPDATE cycle SET phase = ?, cursor = ?, completed_pages = ?, total_pages = ?, counts = ?, observed_at = ?"
        " WHERE id = ?",
        (phase, cursor, completed, total, to_json(_sum(cycle.counts, counts)), to_iso(now), cycle.id),
    )


def add_counts(connection: sqlite3.Connection, cycle: Cycle, counts: Mapping[str, int]) -> None:
    """Adds to the cycle's counters without moving it."""
    connection.execute("UPDATE cycle SET counts = ? WHERE id = ?", (to_json(_sum(cycle.counts, counts)), cycle.id))


def set_counts(connection: sqlite3.Connection, cycle_id: str, counts: Mapping[str, int]) -> None:
    """Replaces these counters and leaves the others."""
    cycle = cycle_by_id(connection, cycle_id)
    connection.execute("UPDATE cycle SET counts = ? WHERE id = ?", (to_json({**cycle.counts, **counts}), cycle_id))


def end_cycle(
    connection: sqlite3.Connection,
    cycle: Cycle,
    state: CycleState,
    now: datetime,
    error: Mapping[str, Any] | None = None,
) -> None:
    """Ends the cycle. Only one that ran through stores its watermark (REQ-P-053, REQ-P-054)."""
    connection.execute("DELETE FROM removal WHERE cycle_id = ?", (cycle.id,))
    # What it has listed may be as large as the target: the runner drops it afterwards, in portions.
    connection.execute("DELETE FROM census WHERE cycle_id = ?", (cycle.id,))
    moment = to_iso(now)
    done = state in ("succeeded", "entry_level_errors")
    connection.execute(
        "UPDATE cycle SET state = ?, ended_at = ?, observed_at = ?, error = ?,"
        " completed_pages = iif(?, total_pages, completed_pages) WHERE id = ?",
        (state, moment, moment, to_json(error) if error else None, done, cycle.id),
    )
    if done and cycle.plan is None:
        connection.execute(
            "UPDATE job SET watermark = iif(restart_requested OR reevaluates, NULL, ?) WHERE id = ?",
            (cycle.to_position, cycle.job_id),
        )
    connection.execute("UPDATE job SET restart_requested = 0 WHERE id = ?", (cycle.job_id,))


def note_steady(connection: sqlite3.Connection, job_id: str, now: datetime) -> None:
    """The cycle left nothing to do: every object is as it should be."""
    connection.execute(
        "UPDATE job SET steady_first = coalesce(steady_first, ?1), steady_last = ?1 WHERE id = ?2",
        (to_iso(now), job_id),
    )


def purge_ended(connection: sqlite3.Connection, before: datetime) -> int:
    """Removes cycles that ended before this, but for each job's last ones, which its status shows."""
    return connection.execute(PURGE, (to_iso(before),)).rowcount


PURGE: Final = """
DELETE FROM cycle WHERE ended_at < ?1 AND state <> 'running' AND rowid NOT IN (
  SELECT max(rowid) FROM cycle WHERE state <> 'running' GROUP BY job_id
  UNION SELECT max(rowid) FROM cycle WHERE state = 'succeeded' GROUP BY job_id
  UNION SELECT max(rowid) FROM cycle WHERE state = 'succeeded' AND counts ->> 'exported' > 0 GROUP BY job_id)
"""


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in left.keys() | right.keys()}
