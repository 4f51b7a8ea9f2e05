"""The users of an import file, within the import's transaction: in an order that never breaks a rule on the way.

The file is read again for its values; `staged_users` has found out whom its lines describe.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from joiner.directory import users
from joiner.directory.columns import NAME, TRUE
from joiner.directory.csv_report import ImportReport
from joiner.directory.manager_circles import warn_of_circles
from joiner.directory.model import User
from joiner.directory.staged_users import FILE, Staged, StagedUsers, in_batches
from joiner.directory.tables import Row
from joiner.ids import normal_id

NOT_ATTRIBUTES: Final = frozenset({NAME, "id", "accountEnabled", "manager"})


def import_users(
    connection: sqlite3.Connection, now: str, staged: StagedUsers, report: ImportReport, *, skip_bad_rows: bool
) -> None:
    """Raises ImportFileError if a line is wrong and must not be skipped."""
    staged.identify(connection)
    report.leave_out(staged.problems, skip_bad_rows=skip_bad_rows)
    _Writing(connection, now, staged, report).run()


class _Writing:
    def __init__(self, connection: sqlite3.Connection, now: str, staged: StagedUsers, report: ImportReport) -> None:
        self._connection = connection
        self._now = now
        self._columns = frozenset(staged.table.columns)
        self._staged = staged
        self._report = report

    def run(self) -> None:
        # Names may go from one user to another.
        self._connection.executemany(
            "UPDATE user SET upn_key = ? WHERE id = ?", ((f"\x00{id_}", id_) for id_ in self._staged.renamed_ids())
        )
        has_known = self._staged.has_known()
        if has_known:
            self._restore()
        # Managers may stand further down: first everybody new, then everybody else as they are.
        self._add_new()
        if has_known:
            self._update_known()
        if "manager" in self._columns:
            warn_of_circles(self._connection, self._staged, self._report)

    def _lines(self) -> Iterator[list[tuple[Row, Staged]]]:
        """The good lines of the file with what is known of them, some at a time."""
        for batch in in_batches(self._staged.table):
            rows = {row.line: row for row in batch if isinstance(row, Row)}
            yield [(rows[each.line], each) for each in self._staged.of(batch[0].line, batch[-1].line)]

    def _restore(self) -> None:
        for lines in self._lines():
            for row, found in lines:
                if found.is_deleted:
                    name = row.cells[NAME]
                    self._connection.execute(
                        "UPDATE user SET user_principal_name = ?, upn_key = ? WHERE id = ?",
                        (name, users.key_of(name), found.id),
                    )
                    users.restore_user(self._connection, found.id, self._now)
                    self._report.warn(FILE, row.line, f"'{name}' was in the recycle bin and has been restored")

    def _add_new(self) -> None:
        for lines in self._lines():
            new = [(row, found.id) for row, found in lines if not found.is_known]
            managers = self._managers([row for row, _ in new])
            added = [self._user(id_, row, None, managers) for row, id_ in new]
            users.add_checked_users(self._connection, added, self._now)
            self._report.users_added += len(added)

    def _update_known(self) -> None:
        for lines in self._lines():
            known = [(row, found) for row, found in lines if found.is_known]
            stored = users.users_by_id(self._connection, [found.id for _, found in known])
            managers = self._managers([row for row, _ in known])
            for row, found in known:
                user = self._user(found.id, row, stored[found.id], managers)
                if users.update_user(self._connection, user, self._now) or found.is_deleted:
                    self._report.users_updated += 1
                else:
                    self._report.users_unchanged += 1

    def _user(self, id_: str, row: Row, stored: User | None, managers: Mapping[str, str]) -> User:
        attributes: dict[str, Any] = {}
        if stored is not None:
            attributes = {name: value for name, value in stored.attributes.items() if name not in self._columns}
        attributes |= {name: cell for name, cell in row.cells.items() if name not in NOT_ATTRIBUTES}
        if "dirSyncEnabled" in row.cells:
            attributes["dirSyncEnabled"] = row.cells["dirSyncEnabled"].lower() in TRUE
        attributes.setdefault("displayName", row.cells[NAME].partition("@")[0])
        enabled = row.cells.get("accountEnabled")
        manager_id = stored.manager_id if stored is not None and "manager" not in self._columns else None
        return User(
            id=id_,
            user_principal_name=row.cells[NAME],
            account_enabled=enabled.lower() in TRUE if enabled else stored is None or stored.account_enabled,
            manager_id=self._manager_id(id_, row, managers) if "manager" in row.cells else manager_id,
            attributes=attributes,
            created_at=self._now,
        )

    def _manager_id(self, id_: str, row: Row, managers: Mapping[str, str]) -> str | None:
        """A manager that cannot be is a warning: the user is worth more than the line in the chart."""
        named = row.cells["manager"]
        manager_id = managers.get(named)
        if manager_id is None:
            self._report.warn(FILE, row.line, f"the manager '{named}' is not in the directory; imported without")
        elif manager_id == id_:
            own = row.cells[NAME]
            self._report.warn(FILE, row.line, f"'{own}' cannot be their own manager; imported without")
            return None
        return manager_id

    def _managers(self, rows: Sequence[Row]) -> dict[str, str]:
        """Name or id as the lines give it → id of the user who will have it when the import is done."""
        named = list({row.cells["manager"] for row in rows if "manager" in row.cells})
        if not named:
            return {}
        keys, ids = [users.key_of(each) for each in named], [normal_id(each) for each in named]
        # What the file says of a name counts; a user who gives it up has lost it already.
        by_key = {**users.ids_by_key(self._connection, keys), **self._staged.ids_by_name(keys)}
        by_id = {*users.active_ids(self._connection, ids), *self._staged.those_of(ids)}
        found = {
            each: by_key.get(key) or (id_ if id_ in by_id else None)
            for each, key, id_ in zip(named, keys, ids, strict=True)
        }
        return {each: id_ for each, id_ in found.items() if id_ is not None}
