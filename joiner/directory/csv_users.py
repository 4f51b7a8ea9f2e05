"""The users of an import file, within the import's transaction.

A user is found by its id, else by its user principal name; without an id column a new one gets an id derived from its
name, so that importing the file into an empty directory gives the same ids again.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from joiner.directory import users
from joiner.directory.columns import NAME, TRUE
from joiner.directory.csv_report import ImportReport, boolean_problem
from joiner.directory.model import User
from joiner.directory.tables import ImportFileError, Problem, Row, Table
from joiner.ids import derived_id, normal_id

FILE: Final = "users"
BOOLEANS: Final = ("accountEnabled", "dirSyncEnabled")
NOT_ATTRIBUTES: Final = frozenset({NAME, "id", "accountEnabled", "manager"})
ID: Final = re.compile(r"[^\s/?#%]{1,128}")
"""Ids are parts of addresses."""
READ_AT_ONCE: Final = 500


class Known(msgspec.Struct, frozen=True):
    """What identifies a user that the directory has already."""

    id: str
    key: str
    is_deleted: bool


def import_users(
    connection: sqlite3.Connection, now: str, table: Table, report: ImportReport, *, skip_bad_rows: bool
) -> None:
    """Raises ImportFileError if there is no column of names, or a line is wrong and must not be skipped."""
    if NAME not in table.columns:
        raise ImportFileError(FILE, [Problem(1, f"there is no column {NAME}")])
    problems = list(table.problems)
    known = {
        row["id"]: Known(row["id"], row["upn_key"], row["deleted_at"] is not None)
        for row in connection.execute("SELECT id, upn_key, deleted_at FROM user")
    }
    rows = _identified(_distinct(table.rows, problems), known, problems)
    report.leave_out(FILE, problems, skip_bad_rows=skip_bad_rows)
    _Writing(connection, now, table, known, rows, report).run()


# Which line is whom


def _distinct(rows: Iterable[Row], problems: list[Problem]) -> list[Row]:
    """The rows without those that lack a name, repeat a name or an id, or have an impossible value."""
    good: list[Row] = []
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        keys = {column: row.cells[column].casefold() for column in (NAME, "id") if column in row.cells}
        reason = _row_problem(row)
        for column, key in keys.items():
            if reason is None and (column, key) in first:
                reason = f"{column} '{row.cells[column]}' stands in line {first[column, key]} already"
        if reason is not None:
            problems.append(Problem(row.line, reason))
            continue
        first.update(dict.fromkeys(keys.items(), row.line))
        good.append(row)
    return good


def _row_problem(row: Row) -> str | None:
    if NAME not in row.cells:
        return f"{NAME} is empty"
    if "id" in row.cells and not ID.fullmatch(row.cells["id"]):
        return f"the id '{row.cells['id']}' has characters that an id cannot have, or more than 128"
    return next((reason for column in BOOLEANS if (reason := boolean_problem(row, column))), None)


def _identified(rows: Iterable[Row], known: Mapping[str, Known], problems: list[Problem]) -> dict[str, Row]:
    """Id → row, in the order of the file, without the rows whose name belongs to somebody else afterwards."""
    holders = {user.key: user.id for user in known.values() if not user.is_deleted}
    rows = list(rows)
    found = {normal_id(row.cells["id"]): row for row in rows if "id" in row.cells}
    for row in rows:
        if "id" in row.cells:
            continue
        key = users.key_of(row.cells[NAME])
        holder = holders.get(key)
        # The holder may get another name from a line with its id; then this line is somebody new.
        id_ = holder if holder is not None and holder not in found else derived_id("user", key)
        if id_ in found:
            reason = f"'{row.cells[NAME]}' cannot be told from the user in line {found[id_].line}; give this one an id"
            problems.append(Problem(row.line, reason))
        else:
            found[id_] = row
    # A row that is left out keeps its name, which another row may have counted on.
    while taken := [id_ for id_, row in found.items() if _is_taken(row, id_, holders, found)]:
        for id_ in taken:
            row = found.pop(id_)
            holder = holders[users.key_of(row.cells[NAME])]
            problems.append(
                Problem(row.line, f"{NAME} '{row.cells[NAME]}' belongs to another user, with the id {holder}")
            )
    return dict(sorted(found.items(), key=lambda item: item[1].line))


def _is_taken(row: Row, id_: str, holders: Mapping[str, str], found: Mapping[str, Row]) -> bool:
    holder = holders.get(users.key_of(row.cells[NAME]), id_)
    return holder != id_ and holder not in found


# Writing


class _Writing:
    """The rows are good; what is left is to write them in an order that never breaks a rule on the way."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: str,
        table: Table,
        known: Mapping[str, Known],
        rows: Mapping[str, Row],
        report: ImportReport,
    ) -> None:
        self._connection = connection
        self._now = now
        self._columns = frozenset(table.columns)
        self._known = known
        self._rows = rows
        self._report = report
        self._names = {user.key: user.id for user in known.values() if not user.is_deleted and user.id not in rows}
        self._names |= {users.key_of(row.cells[NAME]): id_ for id_, row in rows.items()}

    def run(self) -> None:
        self._free_names()
        self._restore()
        # Managers may stand further down: first everybody new without, then everybody as they are.
        self._add_new()
        self._update_known()
        self._warn_of_circles()

    def _add_new(self) -> None:
        managers: list[tuple[str | None, str]] = []
        for id_, row in self._rows.items():
            if id_ not in self._known:
                user = self._user(id_, row, None)
                managers.append((user.manager_id, id_))
                users.add_user(self._connection, msgspec.structs.replace(user, manager_id=None), self._now)
        # The feed needs one entry for a new user, not two: nothing has read in between.
        self._connection.executemany("UPDATE user SET manager_id = ? WHERE id = ?", managers)
        self._report.users_added += len(managers)

    def _update_known(self) -> None:
        ids = [id_ for id_ in self._rows if id_ in self._known]
        # No more of them at once: a large directory would fill the memory.
        for start in range(0, len(ids), READ_AT_ONCE):
            stored = users.users_by_id(self._connection, ids[start : start + READ_AT_ONCE])
            for id_ in ids[start : start + READ_AT_ONCE]:
                user = self._user(id_, self._rows[id_], stored[id_])
                if users.update_user(self._connection, user, self._now) or self._known[id_].is_deleted:
                    self._report.users_updated += 1
                else:
                    self._report.users_unchanged += 1

    def _free_names(self) -> None:
        """Takes their names from users that get another one, since somebody else may get theirs."""
        for id_, row in self._rows.items():
            user = self._known.get(id_)
            if user is not None and user.key != users.key_of(row.cells[NAME]):
                self._connection.execute("UPDATE user SET upn_key = ? WHERE id = ?", (f"\x00{id_}", id_))

    def _restore(self) -> None:
        for id_, row in self._rows.items():
            if id_ in self._known and self._known[id_].is_deleted:
                name = row.cells[NAME]
                self._connection.execute(
                    "UPDATE user SET user_principal_name = ?, upn_key = ? WHERE id = ?",
                    (name, users.key_of(name), id_),
                )
                users.restore_user(self._connection, id_, self._now)
                self._report.warn(FILE, row, f"'{name}' was in the recycle bin and has been restored")

    def _user(self, id_: str, row: Row, stored: User | None) -> User:
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
            manager_id=self._manager_id(id_, row) if "manager" in row.cells else manager_id,
            attributes=attributes,
            created_at=self._now,
        )

    def _manager_id(self, id_: str, row: Row) -> str | None:
        """A manager that cannot be is a warning: the user is worth more than the line in the chart."""
        named = row.cells["manager"]
        manager_id = self._names.get(users.key_of(named))
        if manager_id is None and self._exists(normal_id(named)):
            manager_id = normal_id(named)
        if manager_id is None:
            self._report.warn(FILE, row, f"the manager '{named}' is not in the directory; imported without")
        elif manager_id == id_:
            self._report.warn(FILE, row, f"'{row.cells[NAME]}' cannot be their own manager; imported without")
            manager_id = None
        return manager_id

    def _exists(self, id_: str) -> bool:
        return id_ in self._rows or (id_ in self._known and not self._known[id_].is_deleted)

    def _warn_of_circles(self) -> None:
        if "manager" not in self._columns:
            return
        managers: dict[str, str] = {
            row["id"]: row["manager_id"]
            for row in self._connection.execute("SELECT id, manager_id FROM user WHERE manager_id IS NOT NULL")
        }
        seen: set[str] = set()
        for id_, row in self._rows.items():
            chain: list[str] = []
            step: str | None = id_
            while step is not None and step not in seen:
                seen.add(step)
                chain.append(step)
                step = managers.get(step)
            if step in chain:
                names = [
                    users.user_by_id(self._connection, link).user_principal_name for link in chain[chain.index(step) :]
                ]
                circle = " → ".join([*names, names[0]])
                self._report.warn(FILE, row, f"managers go round in a circle: {circle}; imported as it is")
