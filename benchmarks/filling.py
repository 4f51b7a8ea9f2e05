"""A large directory, written into the store in portions: importing a file of that size takes longer than the cycle."""

import sqlite3
from pathlib import Path

from benchmarks.people import DEPARTMENTS, person
from joiner.clock import system_clock, to_iso
from joiner.directory import groups, users
from joiner.directory.model import Group, User
from joiner.directory.store import MIGRATIONS
from joiner.ids import derived_id
from joiner.provisioning import side
from joiner.server.data_folder import DataFolder
from joiner.storage.sqlite import Database

AT_ONCE = 5_000


def fill_directory(data: Path, number: int, group_members: int = 0, group: str = "") -> None:
    """Writes the people of `write_csv` and a group for each department; `group`: one more, with the first so many of
    them. Nobody else may work on the folder."""
    folder = DataFolder.open(data)
    database = Database(data / "directory.db", {"directory": MIGRATIONS, "provisioning": side.MIGRATIONS})
    try:
        for name in (*DEPARTMENTS, *([group] if group else [])):
            database.write_now(lambda connection, name=name: _add_group(connection, name))  # type: ignore[misc] # binds name
        for start in range(0, number, AT_ONCE):
            portion = range(start, min(number, start + AT_ONCE))
            database.write_now(
                lambda connection, portion=portion: _add_people(connection, portion, group, group_members)  # type: ignore[misc] # binds portion
            )
    finally:
        database.close()
        folder.close()


def _add_group(connection: sqlite3.Connection, name: str) -> None:
    at = to_iso(system_clock())
    group = Group(id=_group_id(name), display_name=name, security_enabled=True, attributes={}, created_at=at)
    groups.add_group(connection, group, at)


def _add_people(connection: sqlite3.Connection, numbers: range, large: str, members: int) -> None:
    at = to_iso(system_clock())
    for number in numbers:
        columns = person(number)
        name, manager = columns.pop("userPrincipalName"), columns.pop("manager")
        is_enabled = columns.pop("accountEnabled") == "true"
        user = User(
            id=_user_id(name),
            user_principal_name=name,
            account_enabled=is_enabled,
            # Whoever manages is among those before, but for the first one, who manages themselves.
            manager_id=_user_id(manager) if manager and manager != name else None,
            attributes=columns,
            created_at=at,
        )
        users.add_user(connection, user, at)
        groups.add_member(connection, _group_id(columns["department"]), user.id, at)
        if number < members:
            groups.add_member(connection, _group_id(large), user.id, at)


def _user_id(name: str) -> str:
    return derived_id("user", users.key_of(name))


def _group_id(name: str) -> str:
    return derived_id("group", name)
