"""A copy of one job's state to run a cycle on: the directory and the log are read where they are, everything that a
cycle writes goes into a file that is thrown away."""

import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from joiner.errors import InvalidStateError
from joiner.provisioning.job.cycles import running_cycle
from joiner.storage.sqlite import Database

LIVE: Final = "live"
"""The name under which the copy sees the real database."""
COPIED: Final = (
    "link",
    "escrow",
    "pending_reference",
    "exported_reference",
    "intent",
    "reference_intent",
    "staged_removal",
)
"""What a cycle of a job reads of what earlier ones wrote, by `job_id`."""
NOT_COPIED: Final = (
    "cycle",
    "journal_run",
    "audit",
    "job_schema",
    "plan",
    "plan_item",
    "plan_reference",
    "plan_request",
    "plan_account",
    "upload",
    "inbound_escrow",
    "inbound_manager",
    "inbound_removal",
    "inbound_watermark",
    "drift_check",
)
"""Tables by `job_id` that a cycle only writes; what it writes in them is lost with the copy."""
PREFIX: Final = "planning-"

TABLES: Final = """
CREATE TABLE planned_object (
  position    INTEGER PRIMARY KEY,
  source_id   TEXT NOT NULL UNIQUE,
  object_type TEXT NOT NULL,
  name        TEXT NOT NULL,
  action      TEXT NOT NULL,
  is_held     INTEGER NOT NULL,
  target_id   TEXT NOT NULL,
  changes     TEXT NOT NULL DEFAULT '[]',
  causes      TEXT NOT NULL DEFAULT '[]',
  problem     TEXT,
  fingerprint TEXT,
  missing_id  TEXT
) STRICT;
CREATE INDEX planned_object_by_target ON planned_object (object_type, target_id) WHERE target_id <> '';
CREATE TABLE planned_reference (
  source_id  TEXT NOT NULL,
  attribute  TEXT NOT NULL,
  related_id TEXT NOT NULL,
  wanted_id  TEXT,
  name       TEXT NOT NULL,
  verb       TEXT NOT NULL,
  PRIMARY KEY (source_id, attribute, related_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE planned_request (
  position  INTEGER PRIMARY KEY,
  endpoint  TEXT NOT NULL,
  target_id TEXT NOT NULL,
  method    TEXT NOT NULL,
  path      TEXT NOT NULL,
  body      TEXT
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Variation:
    """What is different in the copy from the job as it is."""

    is_initial: bool | None = None
    """Whether the cycle looks at everything; None: what the job's next cycle would do."""
    schema: str | None = None
    """The text of another schema document, which makes the cycle an initial one."""
    sync_all: bool | None = None
    """Whether all users and groups are in scope, as if that were so by the job's credentials; None: as it is."""
    is_drift: bool = False
    """The whole application is looked at first, and of the directory only what the job manages."""

    @property
    def is_hypothetical(self) -> bool:
        """The plan is of a job that is not like this: everything is looked at, and it cannot be carried out."""
        return self.schema is not None or self.sync_all is not None


@asynccontextmanager
async def overlay(
    db: Database, migrations: Path, job_id: str, variation: Variation
) -> AsyncIterator[tuple[Database, Path]]:
    """The copy, and the folder that is thrown away with it, as an `async with` resource. Raises InvalidStateError while
    a cycle of the job runs, or if an incremental cycle is asked for and there is no watermark to begin at."""
    if running_cycle(db.reader, job_id) is not None:
        raise InvalidStateError("a cycle of the job is running; make the plan when it has ended")
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=db.path.parent) as folder:
        path = Path(folder) / "copy.db"
        copy = Database(path, {"provisioning": migrations}, beside={LIVE: db.path}, is_scratch=True)
        try:
            await copy.write(lambda connection: _fill(connection, job_id, variation))
            yield copy, Path(folder)
        finally:
            copy.close()


def _fill(connection: sqlite3.Connection, job_id: str, variation: Variation) -> None:
    for table, column in (("job", "id"), *((table, "job_id") for table in COPIED)):
        connection.execute(f"INSERT INTO main.{table} SELECT * FROM {LIVE}.{table} WHERE {column} = ?", (job_id,))
    connection.execute("DELETE FROM main.installation")
    connection.execute(f"INSERT INTO main.installation SELECT * FROM {LIVE}.installation")
    for statement in TABLES.split(";"):
        connection.execute(statement)
    connection.execute("UPDATE job SET restart_requested = 0")
    if variation.schema is not None:
        connection.execute("UPDATE job SET schema = ?, schema_version = schema_version + 1", (variation.schema,))
        # Saving a schema forgets failures, so that everybody is tried again.
        connection.execute("DELETE FROM main.escrow")
    if variation.is_initial or variation.is_hypothetical:
        connection.execute("UPDATE job SET watermark = NULL")
    elif variation.is_initial is False:
        row = connection.execute("SELECT watermark FROM job").fetchone()
        if row["watermark"] is None:
            raise InvalidStateError("the job has run no cycle yet that an incremental one could follow")


def forget_leftovers(folder: Path) -> None:
    """Removes the copies that a process left behind when it died."""
    for left in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
