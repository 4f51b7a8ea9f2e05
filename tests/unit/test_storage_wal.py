"""How much of a write-ahead log is in use."""

import sqlite3
from pathlib import Path

from joiner.storage.wal import bytes_in_use

PAGE_AND_HEADER = 4096 + 24


def test_only_the_frames_of_this_round_are_in_use(tmp_path: Path) -> None:
    database, log = tmp_path / "some.db", tmp_path / "some.db-wal"
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE entry (text TEXT)")
    for _ in range(50):
        connection.execute("INSERT INTO entry VALUES (?)", ("x" * 5000,))
    whole = bytes_in_use(log)
    assert whole == log.stat().st_size > 50 * PAGE_AND_HEADER
    assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone() == (0, *[whole // PAGE_AND_HEADER] * 2)
    assert bytes_in_use(log) == whole, "it is as long until something is written"
    connection.execute("INSERT INTO entry VALUES ('x')")
    assert log.stat().st_size == whole, "the file stays"
    assert 0 < bytes_in_use(log) < 5 * PAGE_AND_HEADER
    connection.close()


def test_what_is_not_there_has_nothing_in_use(tmp_path: Path) -> None:
    assert bytes_in_use(tmp_path / "none-wal") == 0
    (tmp_path / "empty-wal").touch()
    assert bytes_in_use(tmp_path / "empty-wal") == 0
