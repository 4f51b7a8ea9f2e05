"""What a plan has been told to write so far, in a file that is thrown away: a plan may be of any size."""

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from joiner.provisioning.ports import Resource

UNIQUE: Final = {"/Users": "username", "/Groups": ""}
"""The attribute that no two objects of a target share (RFC 7643 §4.1.1)."""
PREFIX: Final = "planned-"
"""What ids of objects begin with that exist in the plan only."""
CACHE_MIB: Final = 8

TABLES: Final = """
CREATE TABLE holder (key INTEGER PRIMARY KEY, target_id TEXT NOT NULL) STRICT;
CREATE TABLE given (key INTEGER PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE whole (
  endpoint TEXT NOT NULL, target_id TEXT NOT NULL, resource BLOB NOT NULL, PRIMARY KEY (endpoint, target_id)
) STRICT;
"""
"""`holder`: hash of endpoint, attribute and value → the object that would have it.
`given`: hash of endpoint, attribute and object → hash of the value that an object is given later than it is created."""


@dataclass(frozen=True, slots=True)
class Write:
    """A request that would be sent."""

    method: str
    endpoint: str
    target_id: str
    body: Any

    @property
    def path(self) -> str:
        """As `Exchange.send` takes it."""
        return self.endpoint if self.method == "POST" else f"{self.endpoint}/{quote(self.target_id, safe='')}"


class PlannedWrites:
    """What a plan has been told to write so far, kept in `folder`. For one thread; to be closed."""

    def __init__(self, folder: Path) -> None:
        self.pending: list[Write] = []
        """Those of the page under way."""
        self._new = f"{PREFIX}{secrets.token_hex(8)}-"
        self._number = 0
        self._asked = {endpoint: {unique} for endpoint, unique in UNIQUE.items()}
        """Endpoint → attributes that objects are looked for by."""
        self._rows = sqlite3.connect(folder / "writes.db", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = {-1024 * CACHE_MIB}"):
            self._rows.execute(f"PRAGMA {pragma}")
        self._rows.executescript(TABLES)
        # Nobody else reads it: pages are written when the cache is full, and not before.
        self._rows.execute("BEGIN")

    def close(self) -> None:
        """Lets go of the file; what was noted is lost."""
        self._rows.close()

    def drain(self) -> list[Write]:
        """Those of the page under way, which are forgotten."""
        written, self.pending = self.pending, []
        return written

    def new_id(self) -> str:
        """An id for an object that exists in the plan only."""
        self._number += 1
        return f"{self._new}{self._number}"

    def watch(self, endpoint: str, attribute: str) -> None:
        """From now on it is noted who has which value of this attribute."""
        self._asked[endpoint].add(attribute.lower())

    def holder(self, endpoint: str, attribute: str, value: str) -> str | None:
        """The object that would have this value, None if the plan gives it to nobody."""
        key = hash((endpoint, attribute.lower(), value.casefold()))
        row = self._rows.execute("SELECT target_id FROM holder WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def has_lost(self, endpoint: str, attribute: str, value: str, target_id: str) -> bool:
        """Whether the plan gives the object another value than this one."""
        key = hash((endpoint, attribute.lower(), target_id))
        row = self._rows.execute("SELECT value FROM given WHERE key = ?", (key,)).fetchone()
        return row is not None and row[0] != hash(value.casefold())

    def note(self, endpoint: str, target_id: str, attributes: Iterable[tuple[str, Any]], *, is_new: bool) -> None:
        """The object would have these values of these attributes."""
        asked = self._asked[endpoint]
        for name, value in attributes:
            attribute = name.lower()
            if not isinstance(value, str) or attribute not in asked:
                continue
            folded = value.casefold()
            key = hash((endpoint, attribute, folded))
            self._rows.execute("REPLACE INTO holder VALUES (?, ?)", (key, target_id))
            if not is_new:
                given = hash((endpoint, attribute, target_id)), hash(folded)
                self._rows.execute("REPLACE INTO given VALUES (?, ?)", given)

    def whole(self, endpoint: str, target_id: str) -> Resource | None:
        """The object as it would be by now, None if that was not kept."""
        row = self._rows.execute(
            "SELECT resource FROM whole WHERE endpoint = ? AND target_id = ?", (endpoint, target_id)
        ).fetchone()
        found: Resource | None = orjson.loads(row[0]) if row is not None else None
        return found

    def keep_whole(self, endpoint: str, target_id: str, resource: Resource) -> None:
        """Keeps the object: only for a target that every change is written to as a whole."""
        self._rows.execute("REPLACE INTO whole VALUES (?, ?, ?)", (endpoint, target_id, orjson.dumps(resource)))
