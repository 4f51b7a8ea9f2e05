"""Numbered `.sql` files that bring a database to its present shape, each applied once and in order."""

import re
import sqlite3
from pathlib import Path

NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


def migrate(connection: sqlite3.Connection, component: str, folder: Path) -> int:
    """Applies the files of `folder` that this database has not seen and returns the version reached.

    Several components may keep their tables in one database; each has its own sequence of files.
    Each file and its new version are one transaction.
    Raises RuntimeError when the database is newer than the files, or a file's name is out of order.
    """
    files = sorted(folder.glob("*.sql"))
    for number, file in enumerate(files, start=1):
        match = NAME.fullmatch(file.name)
        if match is None or int(match[1]) != number:
            raise RuntimeError(f"migration {file.name} should be number {number:04d}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"
    )
    row = connection.execute("SELECT version FROM schema_version WHERE component = ?", (component,)).fetchone()
    version: int = row[0] if row else 0
    if version > len(files):
        raise RuntimeError(
            f"the tables of '{component}' have version {version}, but this Joiner knows only {len(files)}; "
            "use a newer Joiner"
        )
    for number, file in enumerate(files[version:], start=version + 1):
        script = file.read_text(encoding="utf-8")
        remember = f"REPLACE INTO schema_version VALUES ('{component}', {number});"
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n{remember}\nCOMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return len(files)
