"""Users and groups from CSV files, as one transaction: imported as a whole, or refused with every line that is wrong.

What is imported again unchanged writes nothing; what is missing from a later file stays. A user or group without an
id gets one derived from its name, so that a second import finds it.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from joiner.directory import groups as group_rules
from joiner.directory import users as user_rules
from joiner.directory.columns import FALSE, GROUP_COLUMNS, NAME, TRUE, USER_COLUMNS
from joiner.directory.model import Group, User
from joiner.directory.store import DirectoryStore
from joiner.directory.tables import ImportFileError, Problem, Row, Table, read_table
from joiner.ids import derived_id

NOT_ATTRIBUTES = frozenset({NAME, "id", "accountEnabled", "manager"})


class ImportReport(msgspec.Struct, kw_only=True, rename="camel"):
    """What an import did. `left_out`: lines that were skipped on request, `warnings`: lines that were imported."""

    users_added: int = 0
    users_updated: int = 0
    users_unchanged: int = 0
    groups_added: int = 0
    groups_updated: int = 0
    groups_unchanged: int = 0
    members_added: int = 0
    members_unchanged: int = 0
    left_out: list[str] = []
    warnings: list[str] = []


async def import_directory(
    store: DirectoryStore, users: bytes | None, groups: bytes | None, *, skip_bad_rows: bool = False
) -> ImportReport:
    """Imports the files. Raises ImportFileError, and then nothing has been imported."""
    user_table = read_table(users, "users", USER_COLUMNS) if users is not None else None
    group_table = read_table(groups, "groups", GROUP_COLUMNS) if groups is not None else None
    return await store.change(
        lambda connection, now: _Import(connection, now, skip_bad_rows).run(user_table, group_table)
    )


class _Import:
    """One import within its transaction: raising undoes it all."""

    def __init__(self, connection: sqlite3.Connection, now: str, skip_bad_rows: bool) -> None:
        self._connection = connection
        self._now = now
        self._skip_bad_rows = skip_bad_rows
        self._report = ImportReport()

    def run(self, users: Table | None, groups: Table | None) -> ImportReport:
        if users is not None:
            self._import_users(users)
        if groups is not None:
            self._import_groups(groups)
        return self._report

    # Users

    def _import_users(self, table: Table) -> None:
        if NAME not in table.columns:
            raise ImportFileError("users", [Problem(1, f"there is no column {NAME}")])
        problems = list(table.problems)
        good = self._distinct(table.rows, problems)
        self._refuse("users", problems)
        stored = self._stored_users()
        by_name = {name: id_ for id_, (name, _) in stored.items()}
        wanted: dict[str, tuple[User, Row]] = {}
        for row in good:
            name = row.cells[NAME]
            id_ = row.cells.get("id") or by_name.get(user_rules.key_of(name)) or derived_id("user", name.casefold())
            wanted[id_] = self._user(id_, row), row
        names = {**by_name, **{user_rules.key_of(user.user_principal_name): id_ for id_, (user, _) in wanted.items()}}
        # Managers may stand further down: first everybody without, then everybody as they are.
        for id_, (user, _) in wanted.items():
            if id_ not in stored:
                user_rules.add_user(self._connection, msgspec.structs.replace(user, manager_id=None), self._now)
                self._report.users_added += 1
        for id_, (user, row) in wanted.items():
            self._finish_user(user, row, names, is_new=id_ not in stored)

    def _distinct(self, rows: Iterable[Row], problems: list[Problem]) -> list[Row]:
        """The rows without those that lack a name, repeat one or an id, or have an impossible value."""
        good: list[Row] = []
        first: dict[tuple[str, str], int] = {}
        for row in rows:
            reason = _row_problem(row)
            for column in (NAME, "id"):
                value = row.cells.get(column, "").casefold()
                if reason is None and value and (column, value) in first:
                    reason = f"{column} '{row.cells[column]}' stands in line {first[column, value]} already"
            if reason is not None:
                problems.append(Problem(row.line, reason))
                continue
            for column in (NAME, "id"):
                if column in row.cells:
                    first[column, row.cells[column].casefold()] = row.line
            good.append(row)
        return good

    def _user(self, id_: str, row: Row) -> User:
        attributes: dict[str, Any] = {name: cell for name, cell in row.cells.items() if name not in NOT_ATTRIBUTES}
        if "dirSyncEnabled" in attributes:
            attributes["dirSyncEnabled"] = attributes["dirSyncEnabled"].lower() in TRUE
        attributes.setdefault("displayName", row.cells[NAME].partition("@")[0])
        return User(
            id=id_,
            user_principal_name=row.cells[NAME],
            account_enabled=row.cells.get("accountEnabled", "true").lower() in TRUE,
            manager_id=None,
            attributes=attributes,
            created_at=self._now,
        )

    def _finish_user(self, user: User, row: Row, names: Mapping[str, str], *, is_new: bool) -> None:
        manager = row.cells.get("manager")
        manager_id = None
        if manager:
            manager_id = names.get(user_rules.key_of(manager)) or (manager if self._has_user(manager) else None)
            if manager_id is None or manager_id == user.id:
                reason = "is the user" if manager_id else "is not in the directory"
                self._warn(row, f"the manager '{manager}' {reason}; the user was imported without")
                manager_id = None
        user = msgspec.structs.replace(user, manager_id=manager_id)
        if is_new:
            # The feed needs one entry for a new user, not two: nothing has read in between.
            self._connection.execute("UPDATE user SET manager_id = ? WHERE id = ?", (manager_id, user.id))
        elif user_rules.update_user(self._connection, user, self._now):
            self._report.users_updated += 1
        else:
            self._report.users_unchanged += 1

    def _stored_users(self) -> dict[str, tuple[str, str | None]]:
        rows = self._connection.execute("SELECT id, upn_key, deleted_at FROM user WHERE deleted_at IS NULL")
        return {row["id"]: (row["upn_key"], row["deleted_at"]) for row in rows}

    def _has_user(self, id_: str) -> bool:
        return self._connection.execute("SELECT 1 FROM user WHERE id = ?", (id_,)).fetchone() is not None

    # Groups

    def _import_groups(self, table: Table) -> None:
        if "groupName" not in table.columns and "groupId" not in table.columns:
            reason = "there is no column for the group: groupId, group or groupDisplayName"
            raise ImportFileError("groups", [Problem(1, reason)])
        problems = list(table.problems)
        ids, rows = self._group_ids(table.rows, problems)
        members: list[tuple[str, str, Row]] = []
        for row in rows:
            named = row.cells.get("memberId") or row.cells.get("memberName")
            if not named:
                continue
            member_id = self._member_id(row, ids)
            if member_id is None:
                problems.append(Problem(row.line, f"the member '{named}' is neither a user nor a group"))
            elif member_id == ids[_group_key(row)]:
                problems.append(Problem(row.line, "a group cannot be its own member"))
            else:
                members.append((ids[_group_key(row)], member_id, row))
        self._refuse("groups", problems)
        for row in {ids[_group_key(row)]: row for row in reversed(rows)}.values():
            self._put_group(ids[_group_key(row)], row)
        for group_id, member_id, _ in members:
            if group_rules.add_member(self._connection, group_id, member_id, self._now):
                self._report.members_added += 1
            else:
                self._report.members_unchanged += 1

    def _group_ids(self, rows: Iterable[Row], problems: list[Problem]) -> tuple[dict[str, str], list[Row]]:
        """Group key → id, and the rows that name a group."""
        stored = {
            row["display_name"].casefold(): row["id"]
            for row in self._connection.execute("SELECT id, display_name FROM grp ORDER BY created_at DESC")
        }
        ids: dict[str, str] = {}
        good: list[Row] = []
        for row in rows:
            key = _group_key(row)
            if not key:
                problems.append(Problem(row.line, "names no group"))
                continue
            ids.setdefault(key, row.cells.get("groupId") or stored.get(key) or derived_id("group", key))
            good.append(row)
        return ids, good

    def _member_id(self, row: Row, group_ids: Mapping[str, str]) -> str | None:
        for named in (row.cells.get("memberId"), row.cells.get("memberName")):
            if not named:
                continue
            if named.casefold() in group_ids:
                return group_ids[named.casefold()]
            found = self._connection.execute(
                "SELECT id FROM user WHERE (id = ?1 OR upn_key = ?2) AND deleted_at IS NULL"
                " UNION ALL SELECT id FROM grp WHERE id = ?1 OR display_name = ?1 COLLATE NOCASE LIMIT 1",
                (named, user_rules.key_of(named)),
            ).fetchone()
            if found or named in group_ids.values():
                return str(found["id"]) if found else named
        return None

    def _put_group(self, id_: str, row: Row) -> None:
        attributes = {name: row.cells[name] for name in ("description",) if name in row.cells}
        group = Group(
            id=id_,
            display_name=row.cells.get("groupName") or id_,
            security_enabled=row.cells.get("securityEnabled", "true").lower() not in FALSE,
            attributes=attributes,
            created_at=self._now,
        )
        if not self._connection.execute("SELECT 1 FROM grp WHERE id = ?", (id_,)).fetchone():
            group_rules.add_group(self._connection, group, self._now)
            self._report.groups_added += 1
        elif group_rules.update_group(self._connection, group, self._now):
            self._report.groups_updated += 1
        else:
            self._report.groups_unchanged += 1

    # Reporting

    def _refuse(self, file: str, problems: list[Problem]) -> None:
        problems.sort(key=lambda problem: problem.line)
        if problems and not self._skip_bad_rows:
            raise ImportFileError(file, problems)
        self._report.left_out.extend(f"{file} {problem}" for problem in problems)

    def _warn(self, row: Row, text: str) -> None:
        self._report.warnings.append(f"users line {row.line}: {text}")


def _row_problem(row: Row) -> str | None:
    if not row.cells.get(NAME):
        return f"{NAME} is empty"
    enabled = row.cells.get("accountEnabled", "true").lower()
    if enabled not in TRUE | FALSE:
        return f"accountEnabled is '{row.cells['accountEnabled']}'; it must be true or false"
    return None


def _group_key(row: Row) -> str:
    return (row.cells.get("groupName") or row.cells.get("groupId") or "").casefold()
