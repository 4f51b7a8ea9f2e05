"""Users and groups from CSV files, as one transaction: imported as a whole, or refused with every line that is wrong.

The file says what its columns hold; attributes without a column stay as they are, and so do users, groups and members
that the file does not name. What is imported again unchanged writes nothing.
"""

import asyncio
import sqlite3

from joiner.directory.columns import group_columns, user_columns
from joiner.directory.csv_groups import import_groups
from joiner.directory.csv_report import ImportReport
from joiner.directory.csv_users import import_users
from joiner.directory.store import DirectoryStore
from joiner.directory.tables import read_table

__all__ = ["ImportReport", "import_directory"]


async def import_directory(
    store: DirectoryStore,
    users: bytes | None,
    groups: bytes | None,
    *,
    only_group: str | None = None,
    skip_bad_rows: bool = False,
) -> ImportReport:
    """Imports the files' contents; with `skip_bad_rows` all lines but those that are wrong.

    `only_group` is the group of a groups file that lists members and has no column for their group.

    Raises ImportFileError, and then nothing has been imported.
    """
    user_table = await asyncio.to_thread(read_table, users, "users", user_columns) if users is not None else None
    group_table = await asyncio.to_thread(read_table, groups, "groups", group_columns) if groups is not None else None

    def work(connection: sqlite3.Connection, now: str) -> ImportReport:
        report = ImportReport()
        if user_table is not None:
            import_users(connection, now, user_table, report, skip_bad_rows=skip_bad_rows)
        if group_table is not None:
            import_groups(connection, now, group_table, report, only_group=only_group, skip_bad_rows=skip_bad_rows)
        return report

    report = await store.change(work)
    await store.evaluate_rules()
    return report
