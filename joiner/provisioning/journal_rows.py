"""How the provisioning log is kept: short rows, written in the page's transaction, never changed afterwards but by the
same cycle, when it adds the references (REQ-P-131, REQ-P-134).

What the entries of a cycle share is kept once, what can be derived is derived, and the rest is compressed with a
dictionary of what entries usually say: a row with its indexes takes some 450 bytes, and
one with the requests that wrote some 550.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from joiner.clock import from_iso, to_iso
from joiner.errors import NotFoundError
from joiner.ids import derived_id
from joiner.provisioning.decision import Action, Change, Problem, Status, Step
from joiner.provisioning.exchanges import REQUESTS, document_of, trimmed
from joiner.provisioning.journal import MOST_CHANGES, OUTCOMES, Entry, LogContext, added, with_addition
from joiner.provisioning.journal_words import WORDS, WORDS_OF_REQUESTS
from joiner.provisioning.rows import write_rows

ACTIONS: Final = tuple(action.value for action in Action)
STATUSES: Final = tuple(status.value for status in Status)
DICTIONARIES: Final = {b"\x01": WORDS, b"\x02": WORDS + WORDS_OF_REQUESTS}
"""First byte of what is packed, its format → the dictionary. Another order of the parts needs another format too."""
FORMAT: Final = b"\x02"
PACKER: Final = zlib.compressobj(6, zlib.DEFLATED, -13, 5, zlib.Z_DEFAULT_STRATEGY, DICTIONARIES[FORMAT])
"""To be copied: taking in the dictionary takes as long as packing an entry. A larger window would save nothing."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
COLUMNS: Final = "j.position, j.at, j.action, j.status, j.source_id, j.entry, r.cycle_id, r.common"
LONGEST_EXTENDED: Final = 4096
"""Bytes of a packed entry: a longer one is packed anew, because it may name more changes than are kept."""
PURGED_AT_ONCE: Final = 5_000
WRITE: Final = (
    "INSERT INTO journal (run, at, action, status, source_id, entry) VALUES {rows}"
    " ON CONFLICT (run, source_id) DO UPDATE SET at = excluded.at, action = excluded.action, status = excluded.status,"
    " entry = excluded.entry"
)

PackedRow = tuple[int, int, int, bytes | str, bytes]
"""What `ROW` names, of one entry."""


class Journal:
    """Writes the entries of one run inside its transactions."""

    def __init__(self, connection: sqlite3.Connection, context: LogContext) -> None:
        self._connection = connection
        self._number = _run_number(connection, context)

    def write(self, entry: Entry) -> None:
        """Writes the entry, in the place of one that the same run wrote for the same object."""
        self.write_all([packed_row(entry)])

    def write_all(self, rows: Sequence[PackedRow]) -> None:
        """As `write`, for many entries."""
        write_rows(self._connection, WRITE, [(self._number, *row) for row in rows])

    def rows_of(self, source_ids: Sequence[str]) -> dict[str, PackedRow]:
        """Source id → what the run has written for the object so far."""
        keys = {source_key(source_id): source_id for source_id in source_ids}
        rows = self._connection.execute(
            f"SELECT {', '.join(ROW)} FROM journal WHERE run = ? AND source_id IN ({', '.join('?' * len(keys))})",
            (self._number, *keys),
        )
        return {keys[row["source_id"]]: tuple(row) for row in rows}

    def entry_of(self, source_id: str) -> Entry | None:
        """As `rows_of`, of one object, unpacked."""
        row = self.rows_of([source_id]).get(source_id)
        return None if row is None else unpack(row)


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
    identity = unpack(row)["sourceIdentity"]
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
        entry = unpack(row)
        yield (
            row["position"],
            {
                "id": entry_id(cycle_id, row["position"]),
                "changeId": derived_id("change", cycle_id, entry["sourceIdentity"]["id"]),
                **common,
                **entry,
                REQUESTS: spelled_out(entry),
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
        (PURGED_AT_ONCE, (before - EPOCH) // MICROSECOND),
    ).rowcount
    connection.execute(
        "DELETE FROM journal_run WHERE number < (SELECT coalesce(min(number), 0) FROM journal_run r"
        " WHERE EXISTS (SELECT 1 FROM journal WHERE run = r.number))"
    )
    return number


# Parts of rows


def microseconds(moment: str) -> int:
    """Since 1970. Raises ValueError."""
    return (from_iso(moment) - EPOCH) // MICROSECOND


def source_key(source_id: str) -> bytes | str:
    """The id as the column has it."""
    try:
        key = UUID(source_id)
    except ValueError:
        return source_id
    return key.bytes if str(key) == source_id else source_id


def packed_row(entry: Entry) -> PackedRow:
    """The entry as it is kept: packing takes longer than writing, and need not hold the transaction up."""
    return (
        microseconds(entry["activityDateTime"]),
        ACTIONS.index(entry["provisioningAction"]),
        STATUSES.index(entry["provisioningStatusInfo"]["status"]),
        source_key(entry["sourceIdentity"]["id"]),
        pack(entry),
    )


def extended(
    row: PackedRow,
    steps: Sequence[Step],
    changes: Sequence[Change],
    problem: Problem | None,
    requests: Sequence[bytes] = (),
) -> PackedRow:
    """The row with what the reference phase did: behind the text that is there, which need not be read for it."""
    at, action, status, key, packed = row
    addition = added(Action(ACTIONS[action]), Status(STATUSES[status]), steps, changes, problem, requests)
    if len(packed) > LONGEST_EXTENDED or packed[:1] != FORMAT:
        return packed_row(with_addition(unpack(row), addition))
    parts: list[Any] = [_steps(addition.steps), _changes(addition.changes)]
    if addition.status.value != STATUSES[status]:
        parts.append(_error(addition.error))
    whole = ADDED.join((_inflated(packed), _text(parts, SEPARATOR.join(requests), _source_id(key))))
    return at, ACTIONS.index(addition.action.value), STATUSES.index(addition.status.value), key, _deflated(whole)


def pack(entry: Entry) -> bytes:
    """The parts of an entry that no column has, as compressed JSON; lists stand for objects whose members are known."""
    info, source, target = entry["provisioningStatusInfo"], entry["sourceIdentity"], entry["targetIdentity"]
    parts = [
        entry["durationInMilliseconds"],
        _error(info["errorInformation"]),
        _steps(entry["provisioningSteps"]),
        _changes(entry["modifiedProperties"]),
        [source["displayName"], source["identityType"], source["details"].get("UserPrincipalName")],
        [target["id"], target["displayName"], target["identityType"]],
    ]
    requests = SEPARATOR.join(entry[REQUESTS])
    if requests:
        # What an unpacked entry had already has its signs.
        for sign, value in _signs(entry):
            requests = requests.replace(value, sign)
    return _deflated(_text(parts, requests, source["id"]))


def _text(parts: Sequence[Any], requests: bytes, source_id: str) -> bytes:
    text = orjson.dumps(parts)
    return (text + SEPARATOR + requests if requests else text).replace(source_id.encode(), SOURCE_ID)


def _deflated(text: bytes) -> bytes:
    packer = PACKER.copy()
    return FORMAT + packer.compress(text) + packer.flush()


def _inflated(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(-15, DICTIONARIES[packed[:1]])
    return unpacker.decompress(packed[1:]) + unpacker.flush()


def _read(text: bytes) -> tuple[list[Any], list[bytes]]:
    """Parts and requests."""
    parts, *requests = text.split(SEPARATOR)
    return orjson.loads(parts), requests


def unpack(row: sqlite3.Row | Sequence[Any]) -> Entry:
    """The entry without what it shares with others, from a row with at, action, status, source_id and entry; its
    requests still have their signs."""
    at, action, status, key, packed = (row[name] for name in ROW) if isinstance(row, sqlite3.Row) else row
    source_id = _source_id(key)
    texts = _inflated(packed).replace(SOURCE_ID, source_id.encode()).split(ADDED)
    (first, requests), *additions = map(_read, texts)
    duration, error, steps, changes, (name, kind, principal_name), target = first
    for (more_steps, more_changes, *errors), more_requests in additions:
        steps, changes, error = steps + more_steps, changes + more_changes, errors[0] if errors else error
        requests = trimmed([*requests, *more_requests])
    details = {"id": source_id, "odatatype": kind, "DisplayName": name}
    if principal_name is not None:
        details["UserPrincipalName"] = principal_name
    return {
        "activityDateTime": to_iso(EPOCH + at * MICROSECOND),
        "provisioningAction": ACTIONS[action],
        "durationInMilliseconds": duration,
        "provisioningStatusInfo": {
            "status": STATUSES[status],
            "errorInformation": dict(zip(ERROR, error, strict=True)) if error else None,
        },
        "provisioningSteps": [dict(zip(STEP, step, strict=True)) for step in steps],
        "modifiedProperties": [dict(zip(CHANGE, change, strict=True)) for change in changes[:MOST_CHANGES]],
        "sourceIdentity": {"id": source_id, "displayName": name, "identityType": kind, "details": details},
        "targetIdentity": {"id": target[0], "displayName": target[1], "identityType": target[2], "details": {}},
        REQUESTS: requests,
    }


def spelled_out(entry: Entry) -> list[dict[str, Any]]:
    """The requests of an unpacked entry as they are shown."""
    text = SEPARATOR.join(entry[REQUESTS])
    if not text:
        return []
    for sign, value in reversed(_signs(entry)):
        text = text.replace(sign, value)
    return [document_of(request) for request in text.split(SEPARATOR)]


def _signs(entry: Entry) -> list[tuple[bytes, bytes]]:
    """(sign, JSON text that it stands for) of what requests say once more: the id of the account, and the values of
    the first changes. Without them the requests of all objects look the same."""
    target_id, changes = entry["targetIdentity"]["id"], entry["modifiedProperties"]
    signs = [(TARGET_ID, orjson.dumps(target_id)[1:-1])] if target_id else []
    for sign, change in zip(SIGNS, changes, strict=False):
        if change["newValue"]:
            signs.append((sign, orjson.dumps(change["newValue"])))
    return signs


ROW: Final = ("at", "action", "status", "source_id", "entry")
ERROR: Final = ("errorCode", "reason", "additionalDetails", "errorCategory", "recommendedAction")
STEP: Final = ("name", "provisioningStepType", "status", "description", "details")
CHANGE: Final = ("displayName", "oldValue", "newValue")
SOURCE_ID: Final = b"\x01"
"""Stands for the object's id inside the packed text: JSON has no such byte."""
SEPARATOR: Final = b"\x02"
"""Stands between the parts and the requests, and JSON has no such byte either."""
ADDED: Final = b"\x00"
"""Stands before what was added later."""
TARGET_ID: Final = b"\x03"
SIGNS: Final = tuple(bytes([number]) for number in range(4, 32))
"""The other bytes that JSON never has."""


def _error(error: Mapping[str, Any] | None) -> list[Any] | None:
    return None if error is None else [error[name] for name in ERROR]


def _steps(steps: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    return [[step[name] for name in STEP] for step in steps]


def _changes(changes: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    return [[change[name] for name in CHANGE] for change in changes]


def _source_id(key: bytes | str) -> str:
    return key if isinstance(key, str) else str(UUID(bytes=key))


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
                orjson.dumps(context.common()).decode(),
            ),
        ).fetchone()
    number: int = row[0]
    return number
