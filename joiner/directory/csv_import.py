"""Users and groups from CSV files, as one transaction: imported as a whole, or refused with every line that is wrong.

The file says what its columns hold; attributes without a column stay as they are, and so do users, groups and members
that the file does not name. What is imported again unchanged writes nothing. The memory that it takes does not grow
with the files.
"""

import asyncio
import sqlite3
from typing import BinaryIO

from joiner.directory.columns import group_columns, user_columns
from joiner.directory.csv_groups import import_groups
from joiner.directory.csv_report import ImportReport
from joiner.directory.csv_users import import_users
from joiner.directory.staged_users import StagedUsers, scratch_database
from joiner.directory.store import DirectoryStore
from joiner.directory.tables import open_table

__all__ = ["ImportReport", "import_directory"]


async def import_directory(
    store: DirectoryStore,
    users: BinaryIO | None,
    groups: BinaryIO | None,
    *,
    only_group: str | None = None,
    skip_bad_rows: bool = False,
) -> ImportReport:
    """Imports the files, which are read several times; with `skip_bad_rows` all lines but those that are wrong.

    `only_group` is the group of a groups file that lists members and has no column for their group.

    Raises ImportFileError, and then nothing has been imported.
    """
    with scratch_database(store.db.path.parent) as scratch:
        staged = StagedUsers(open_table(users, "users", user_columns), scratch) if users is not None else None
        table = open_table(groups, "groups", group_columns) if groups is not None else None
        if staged is not None:
            await asyncio.to_thread(staged.read)

        def work(connection: sqlite3.Connection, now: str) -> ImportReport:
            report = ImportReport()
            if staged is not None:
                import_users(connection, now, staged, report, skip_bad_rows=skip_bad_rows)
            if table is not None:
                import_groups(connection, now, table, report, only_group=only_group, skip_bad_rows=skip_bad_rows)
            return report

        report = await store.change(work)
    await store.evaluate_rules()
    return report
