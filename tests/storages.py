"""Databases for tests of the storage port: a small table, and the work that is done on it."""

from dataclasses import dataclass
from pathlib import Path

from joiner.storage.embedded import EmbeddedDatabase
from joiner.storage.postgresql import PostgresqlDatabase
from joiner.storage.session import Session, Storage, Work

CREATE = "CREATE TABLE entry (text TEXT PRIMARY KEY, number INTEGER NOT NULL);"


def write_migrations(folder: Path) -> dict[str, Path]:
    """One component with one migration, which makes the table `entry`."""
    migrations = folder / "migrations"
    migrations.mkdir()
    (migrations / "0001_entry.sql").write_text(CREATE, encoding="utf-8")
    return {"entries": migrations}


@dataclass(frozen=True)
class Place:
    """Where a database is; it can be opened again and again."""

    database: Path | str
    """A file, or a URL."""
    migrations: dict[str, Path]

    async def open(self) -> Storage:
        if isinstance(self.database, Path):
            return EmbeddedDatabase(self.database, self.migrations)
        return await PostgresqlDatabase.open(self.database, "test", self.migrations)


def inserting(text: str, number: int = 0) -> Work[None]:
    """The write that adds this entry."""

    async def work(session: Session) -> None:
        await insert(session, text, number)

    return work


async def insert(session: Session, text: str, number: int = 0) -> None:
    await session.execute("INSERT INTO entry (text, number) VALUES (?1, ?2)", text, number)


async def texts(session: Session) -> set[str]:
    """All entries."""
    return {row[0] for row in await session.rows("SELECT text FROM entry")}
