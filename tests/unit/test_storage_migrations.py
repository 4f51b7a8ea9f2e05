"""Migrations: each applied once, in order, whole or not at all, and never backwards."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from joiner.storage.migrations import migrate
from joiner.storage.sqlite import Database


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty database in autocommit, as Database opens it."""
    connection = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    yield connection
    connection.close()


def folder_of(tmp_path: Path, name: str, *scripts: str) -> Path:
    """A folder that holds exactly these scripts, numbered from 0001."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for number, script in enumerate(scripts, start=1):
        (folder / f"{number:04d}_step.sql").write_text(script, encoding="utf-8")
    return folder


def tables(connection: sqlite3.Connection) -> set[str]:
    """The names of the database's tables."""
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_each_file_is_applied_once(tmp_path: Path, connection: sqlite3.Connection) -> None:
    scripts = ["CREATE TABLE log (text TEXT); INSERT INTO log VALUES ('one');", "INSERT INTO log VALUES ('two');"]
    folder = folder_of(tmp_path, "m", scripts[0])
    assert migrate(connection, "part", folder) == 1
    assert migrate(connection, "part", folder) == 1
    assert migrate(connection, "part", folder_of(tmp_path, "m", *scripts)) == 2
    assert [row[0] for row in connection.execute("SELECT text FROM log")] == ["one", "two"]


def test_a_newer_database_is_refused_and_stays_as_it_is(tmp_path: Path, connection: sqlite3.Connection) -> None:
    migrate(connection, "part", folder_of(tmp_path, "m", "CREATE TABLE a (x INTEGER);", "CREATE TABLE b (x INTEGER);"))
    before = tables(connection)
    with pytest.raises(RuntimeError, match=r"'part' have version 2, but this Joiner knows only 1"):
        migrate(connection, "part", folder_of(tmp_path, "m", "CREATE TABLE a (x INTEGER);"))
    assert tables(connection) == before


def test_a_file_that_fails_leaves_nothing_of_itself(tmp_path: Path, connection: sqlite3.Connection) -> None:
    good, bad = "CREATE TABLE good (x INTEGER);", "CREATE TABLE half (x INTEGER); INSERT INTO nowhere VALUES (1);"
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, "part", folder_of(tmp_path, "m", good, bad))
    assert tables(connection) == {"schema_version", "good"}
    repaired = "CREATE TABLE half (x INTEGER);"
    assert migrate(connection, "part", folder_of(tmp_path, "m", good, repaired)) == 2


@pytest.mark.parametrize("name", ["0003_gap.sql", "2_short.sql", "0002 spaces.sql", "second.sql"])
def test_a_file_out_of_order_is_named(tmp_path: Path, connection: sqlite3.Connection, name: str) -> None:
    folder = folder_of(tmp_path, "m", "CREATE TABLE a (x INTEGER);")
    (folder / name).write_text("CREATE TABLE b (x INTEGER);", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"should be number 000\d"):
        migrate(connection, "part", folder)
    assert tables(connection) == set()


def test_two_components_keep_their_tables_in_one_file(tmp_path: Path) -> None:
    left = folder_of(tmp_path, "left", "CREATE TABLE l (x INTEGER);", "CREATE TABLE l2 (x INTEGER);")
    right = folder_of(tmp_path, "right", "CREATE TABLE r (x INTEGER REFERENCES l2 (x));")
    for _ in range(2):
        database = Database(tmp_path / "both.db", {"left": left, "right": right})
        try:
            versions = dict(map(tuple, database.reader.execute("SELECT component, version FROM schema_version")))
            assert versions == {"left": 2, "right": 1}
            assert tables(database.reader) == {"schema_version", "l", "l2", "r"}
        finally:
            database.close()
