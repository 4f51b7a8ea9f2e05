"""Where the provisioning log is kept: short rows, written in the page's transaction, never changed afterwards but by
the same cycle, when it adds the references (REQ-P-131, REQ-P-134).

What the entries of a cycle share is kept once, and what can be derived is derived; the rest is in `journal_packing`.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson

from joiner.errors import NotFoundError
from joiner.ids import derived_id
from joiner.provisioning.decisions.decision import Action
from joiner.provisioning.log.exchanges import REQUESTS, document_of
from joiner.provisioning.log.journal import OUTCOMES, Entry, LogContext
from joiner.provisioning.log.journal_compression import compressed, decompressed, text_of
from joiner.provisioning.log.journal_packing import ACTIONS, STATUSES, PackedRow, microseconds, source_key, unpack
from joiner.storage.rows import marks, to_json, write_rows

COLUMNS: Final = "j.position, j.at, j.action, j.status, j.source_id, j.entry, r.cycle_id, r.common"
PURGED_AT_ONCE: Final = 5_000
WRITE: Final = (
    "INSERT INTO journal (run, at, action, status, source_id, entry) VALUES {rows}"
    " ON CONFLICT (run, source_id) DO UPDATE SET at = excluded.at, action = excluded.action, status = excluded.status,"
    " entry = excluded.entry"
)

TOGETHER: Final = (
    "SELECT json_group_array(json_array(at, action, status, json(iif(typeof(source_id) = 'blob', 'true', 'false')),"
    " iif(typeof(source_id) = 'blob', hex(source_id), source_id), hex(entry)))"
    " FROM journal WHERE run = ? AND source_id IN ({marks})"
)
"""Rows as one text: each that is fetched by itself waits for Python's lock."""
KEPT: Final = msgspec.json.Decoder(list[tuple[int, int, int, bool, str, str]])


class Journal:
    """Writes the entries of one run inside its transactions."""

    def __init__(self, connection: sqlite3.Connection, context: LogContext) -> None:
        self._connection = connection
        self._number = _run_number(connection, context)

    def write(self, rows: Sequence[PackedRow]) -> None:
        """Writes the entries, each in the place of one that the same run wrote for the same object."""
        kept = compressed([row[-1] for row in rows])
        write_rows(
            self._connection, WRITE, [(self._number, *row[:-1], text) for row, text in zip(rows, kept, strict=True)]
        )

    def rows_of(self, source_ids: Sequence[str]) -> dict[str, PackedRow]:
        """Source id → what the run has written for the object so far."""
        keys = {source_key(source_id): source_id for source_id in source_ids}
        found = self._connection.execute(TOGETHER.format(marks=marks(keys)), (self._number, *keys)).fetchone()[0]
        rows = [
            (at, action, status, bytes.fromhex(key) if is_blob else key, bytes.fromhex(entry))
            for at, action, status, is_blob, key, entry in KEPT.decode(found)
        ]
        texts = decompressed([row[-1] for row in rows])
        return {keys[row[3]]: (*row[:-1], text) for row, text in zip(rows, texts, strict=True)}


def outcomes(connection: sqlite3.Connection, cycle_id: str) -> dict[str, int]:
    """What became of the cycle's objects: action, or `skipped`, `failure` or `staged` → number of objects."""
    rows = connection.execute(
        "SELECT action, status, count(*) FROM journal WHERE run = (SELECT number FROM journal_run WHERE cycle_id = ?)"
        " GROUP BY action, status",
        (cycle_id,),
    )
    # A group that is looked at twice, once for itself and once for its members, counts once.
    found = dict.fromkeys((*OUTCOMES, "staged"), 0)
    for action, status, number in rows:
        name = ACTIONS[action] if STATUSES[status] not in ("skipped", "failure") else STATUSES[status]
        name = "staged" if ACTIONS[action] == Action.STAGED_DELETE else name
        found[name] = found.get(name, 0) + number
    return found


def entries_of(connection: sqlite3.Connection, cycle_id: str) -> list[Entry]:
    """Everything that one cycle, or one run on demand, has written, in its order."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM journal_run r JOIN journal j ON j.run = r.number WHERE r.cycle_id = ?"
        " ORDER BY j.position",
        (cycle_id,),
    )
    return [entry for _, entry in documents(rows)]


def entry_of(connection: sqlite3.Connection, cycle_id: str, source_id: str) -> Entry:
    """What one cycle, or one run on demand, has written of one object. Raises KeyError if that is nothing."""
    return {entry["sourceIdentity"]["id"]: entry for entry in entries_of(connection, cycle_id)}[source_id]


def failures_of(connection: sqlite3.Connection, cycle_id: str) -> Iterator[Entry]:
    """The entries of the objects that failed in the cycle."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM journal_run r JOIN journal j ON j.run = r.number WHERE r.cycle_id = ? AND j.status = ?"
        " ORDER BY j.position",
        (cycle_id, STATUSES.index("failure")),
    )
    return (entry for _, entry in documents(rows))


def entries_of_source(connection: sqlite3.Connection, job_id: str, source_id: str, limit: int) -> list[Entry]:
    """What the job's log has last of the object, newest first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM journal j JOIN journal_run r ON r.number = j.run WHERE j.source_id = ? AND r.job_id = ?"
        " ORDER BY j.position DESC LIMIT ?",
        (source_key(source_id), job_id, limit),
    )
    return [entry for _, entry in documents(rows)]


def entry_by_id(connection: sqlite3.Connection, entry_id: str) -> Entry:
    """Raises NotFoundError."""
    try:
        position = int(entry_id.replace("-", "")[:12], 16)
    except ValueError:
        position = 0
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM journal j JOIN journal_run r ON r.number = j.run WHERE j.position = ?", (position,)
    )
    found = next(documents(rows), None)
    if found is None or found[1]["id"] != entry_id.lower():
        raise NotFoundError(f"there is no log entry '{entry_id}'")
    return found[1]


def last_name(connection: sqlite3.Connection, job_id: str, source_id: str) -> str | None:
    """How people called an object that is gone, as the job's log knows it."""
    row = connection.execute(
        "SELECT j.at, j.action, j.status, j.source_id, j.entry FROM journal j JOIN journal_run r ON r.number = j.run"
        " WHERE j.source_id = ? AND r.job_id = ? ORDER BY j.position DESC LIMIT 1",
        (source_key(source_id), job_id),
    ).fetchone()
    if row is None:
        return None
    identity = unpack((*row[:-1], text_of(row[-1])))["sourceIdentity"]
    name: str = identity["details"].get("UserPrincipalName") or identity["displayName"]
    return name


def documents(rows: Iterable[sqlite3.Row]) -> Iterator[tuple[int, Entry]]:
    """(position, whole entry) of rows with `COLUMNS`."""
    shared: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        cycle_id, text = row["cycle_id"], row["common"]
        common = shared.get(cycle_id)
        if common is None:
            common = shared[cycle_id] = orjson.loads(text)
        entry = unpack((*row[1:5], text_of(row[5])))
        yield (
            row["position"],
            {
                "id": entry_id(cycle_id, row["position"]),
                "changeId": derived_id("change", cycle_id, entry["sourceIdentity"]["id"]),
                **common,
                **entry,
                REQUESTS: [document_of(request) for request in entry[REQUESTS]],
            },
        )


def entry_id(cycle_id: str, position: int) -> str:
    """A UUID (RFC 9562, version 8) that begins with the position, so that no index is needed to find it."""
    rest = derived_id("entry", cycle_id, str(position)).replace("-", "")
    head = f"{position:012x}"
    return f"{head[:8]}-{head[8:]}-8{rest[:3]}-a{rest[3:6]}-{rest[6:18]}"


def purge(connection: sqlite3.Connection, before: datetime) -> int:
    """Removes the oldest entries that are from before this time, some thousand at once, and returns their number
    (REQ-P-136)."""
    # Entries stand in the order of time, so that nothing behind the first recent one is looked at.
    number = connection.execute(
        "DELETE FROM journal WHERE position IN (SELECT position FROM (SELECT position, at FROM journal"
        " ORDER BY position LIMIT ?) WHERE at < ?)",
        (PURGED_AT_ONCE, microseconds(before)),
    ).rowcount
    connection.execute(
        "DELETE FROM journal_run WHERE number < (SELECT coalesce(min(number), 0) FROM journal_run r"
        " WHERE EXISTS (SELECT 1 FROM journal WHERE run = r.number))"
    )
    return number


def _run_number(connection: sqlite3.Connection, context: LogContext) -> int:
    row = connection.execute("SELECT number FROM journal_run WHERE cycle_id = ?", (context.cycle_id,)).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO journal_run (cycle_id, job_id, service_principal_id, common) VALUES (?, ?, ?, ?)"
            " RETURNING number",
            (
                context.cycle_id,
                context.job_id,
                context.service_principal["id"],
                to_json(context.common()),
            ),
        ).fetchone()
    number: int = row[0]
    return number
