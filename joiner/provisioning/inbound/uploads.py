"""Uploads as rows: kept before they are acknowledged, gone in the transaction that takes their people over."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from joiner.clock import to_iso
from joiner.provisioning.inbound.messages import Operation
from joiner.storage.rows import from_json, to_json


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One request that waits."""

    position: int
    operations: tuple[Operation, ...]


def add_upload(connection: sqlite3.Connection, job_id: str, operations: Sequence[Operation], now: datetime) -> None:
    """Keeps the operations."""
    connection.execute(
        "INSERT INTO upload (job_id, received_at, operations, content) VALUES (?, ?, ?, ?)",
        (job_id, to_iso(now), len(operations), to_json([[each.bulk_id, each.data] for each in operations])),
    )


def waiting(connection: sqlite3.Connection, job_id: str, operations: int) -> list[Upload]:
    """The oldest uploads that have so many operations together, one at least if there is any."""
    # Contents are long: no more of them are read than are taken.
    found: list[Upload] = []
    together = 0
    for position, number in connection.execute(
        "SELECT position, operations FROM upload WHERE job_id = ? ORDER BY position LIMIT ?", (job_id, operations)
    ):
        together += number
        if found and together > operations:
            break
        found.append(_upload(connection, position))
    return found


def count_waiting(connection: sqlite3.Connection, job_id: str) -> tuple[int, int]:
    """How many uploads wait, and how many operations they have."""
    row = connection.execute("SELECT count(*), total(operations) FROM upload WHERE job_id = ?", (job_id,)).fetchone()
    return int(row[0]), int(row[1])


def forget_uploads(connection: sqlite3.Connection, uploads: Sequence[Upload]) -> None:
    """They have been taken over."""
    connection.executemany("DELETE FROM upload WHERE position = ?", ((each.position,) for each in uploads))


def _upload(connection: sqlite3.Connection, position: int) -> Upload:
    row = connection.execute("SELECT content FROM upload WHERE position = ?", (position,)).fetchone()
    operations = tuple(Operation(bulk_id, data) for bulk_id, data in from_json(row["content"]))
    return Upload(position=position, operations=operations)
