"""Users: adding, changing, the recycle bin, purging. Each function is part of its caller's transaction."""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import orjson

from joiner.directory import dynamic_groups, feed
from joiner.directory.model import User
from joiner.errors import AlreadyExistsError, InvalidValueError, NotFoundError

PRINCIPAL_NAME: Final = re.compile(r"[^\s@/?]+@[^\s@/?]+")
"""More is allowed than in Graph, whose names have no accents: imported directories have them."""
Which = Literal["all", "active", "deleted"]
CONDITIONS: Final[Mapping[Which, str]] = {
    "all": "TRUE",
    "active": "deleted_at IS NULL",
    "deleted": "deleted_at IS NOT NULL",
}
COLUMNS: Final = "id, user_principal_name, account_enabled, manager_id, attributes, created_at, deleted_at"
# Not one condition with OR: the index of names is partial, so that SQLite would look at every user.
BY_ID_OR_NAME: Final = (
    f"SELECT {COLUMNS} FROM user WHERE id = ? AND deleted_at IS NULL"
    f" UNION ALL SELECT {COLUMNS} FROM user WHERE upn_key = ? AND deleted_at IS NULL LIMIT 1"
)

TOGETHER: Final = (
    """SELECT '[' || coalesce(group_concat('{{"id":' || json_quote(id)"""
    """ || ',"user_principal_name":' || json_quote(user_principal_name)"""
    """ || ',"account_enabled":' || iif(account_enabled, 'true', 'false')"""
    """ || ',"manager_id":' || json_quote(manager_id) || ',"attributes":' || attributes"""
    """ || ',"created_at":' || json_quote(created_at) || ',"deleted_at":' || json_quote(deleted_at) || '}}'), '')"""
    """ || ']' FROM ({found})"""
)
"""Many users as one text, which is read much faster than rows are fetched: each waits for Python's lock. LIMIT keeps
their order."""
USERS: Final = msgspec.json.Decoder(list[User])


def key_of(user_principal_name: str) -> str:
    """What user principal names are compared by."""
    return user_principal_name.casefold()


def add_user(connection: sqlite3.Connection, user: User, at: str) -> None:
    """Raises AlreadyExistsError for a taken id or user principal name, InvalidValueError for an unknown manager."""
    _check(connection, user)
    if connection.execute("SELECT 1 FROM user WHERE id = ?", (user.id,)).fetchone():
        raise AlreadyExistsError(f"there is a user with the id '{user.id}'", "id")
    add_checked_users(connection, [user], at)


def add_checked_users(connection: sqlite3.Connection, added: Sequence[User], at: str) -> None:
    """As `add_user`, of users whose ids, names and managers have been checked by the caller."""
    connection.executemany(
        "INSERT INTO user (id, user_principal_name, upn_key, account_enabled, manager_id, attributes, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                user.id,
                user.user_principal_name,
                key_of(user.user_principal_name),
                user.account_enabled,
                user.manager_id,
                orjson.dumps(user.attributes).decode(),
                at,
            )
            for user in added
        ],
    )
    feed.note_all(connection, at, "user", [user.id for user in added], "added")
    dynamic_groups.follow_new_users(connection, (source_attributes(user) for user in added), at)


def update_user(connection: sqlite3.Connection, user: User, at: str) -> bool:
    """Makes the stored user equal to `user`; False, and nothing written, if it is already.

    Raises NotFoundError, AlreadyExistsError, InvalidValueError.
    """
    stored = user_by_id(connection, user.id)
    changed = _changed_names(stored, user)
    if not changed:
        return False
    _check(connection, user)
    connection.execute(
        "UPDATE user SET user_principal_name = ?, upn_key = ?, account_enabled = ?, manager_id = ?, attributes = ?"
        " WHERE id = ?",
        (
            user.user_principal_name,
            key_of(user.user_principal_name),
            user.account_enabled,
            user.manager_id,
            orjson.dumps(user.attributes).decode(),
            user.id,
        ),
    )
    feed.note(connection, at, "user", user.id, "updated")
    dynamic_groups.follow_user(connection, source_attributes(user), changed, at)
    return True


def delete_user(connection: sqlite3.Connection, user_id: str, at: str) -> None:
    """Moves the user to the recycle bin. Memberships and assignments stay, for the case that it is restored."""
    changed = connection.execute(
        "UPDATE user SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL", (at, user_id)
    ).rowcount
    if not changed:
        raise NotFoundError(f"there is no user '{user_id}'")
    feed.note(connection, at, "user", user_id, "deleted")


def restore_user(connection: sqlite3.Connection, user_id: str, at: str) -> None:
    """Takes the user out of the recycle bin. Raises AlreadyExistsError if its name was taken meanwhile."""
    user = deleted_user(connection, user_id)
    _check(connection, user)
    connection.execute("UPDATE user SET deleted_at = NULL WHERE id = ?", (user_id,))
    feed.note(connection, at, "user", user_id, "restored")
    # Rules may have changed meanwhile.
    dynamic_groups.follow_new_users(connection, [source_attributes(user)], at)


def purge_user(connection: sqlite3.Connection, user_id: str, at: str) -> None:
    """Removes a user of the recycle bin for good, with memberships, assignments and references to it."""
    deleted_user(connection, user_id)
    reports = connection.execute(f"SELECT {COLUMNS} FROM user WHERE manager_id = ?", (user_id,)).fetchall()
    connection.execute("UPDATE user SET manager_id = NULL WHERE manager_id = ?", (user_id,))
    for row in reports:
        feed.note(connection, at, "user", row["id"], "updated")
        if row["deleted_at"] is None:
            attributes = {**source_attributes(from_row(row)), "manager": None}
            dynamic_groups.follow_user(connection, attributes, ["manager"], at)
    for row in connection.execute("SELECT group_id FROM membership WHERE member_id = ?", (user_id,)).fetchall():
        feed.note(connection, at, "user_membership", row["group_id"], "removed", user_id)
    connection.execute("DELETE FROM membership WHERE member_id = ?", (user_id,))
    connection.execute("DELETE FROM app_role_assignment WHERE principal_id = ?", (user_id,))
    connection.execute("DELETE FROM user WHERE id = ?", (user_id,))
    feed.note(connection, at, "user", user_id, "purged")


def purge_expired(connection: sqlite3.Connection, deleted_before: str, at: str, limit: int = 500) -> int:
    """Purges at most `limit` users that were deleted before the time; returns their number (REQ-P-102)."""
    rows = connection.execute(
        "SELECT id FROM user WHERE deleted_at < ? ORDER BY deleted_at LIMIT ?", (deleted_before, limit)
    ).fetchall()
    for row in rows:
        purge_user(connection, row["id"], at)
    return len(rows)


# Reading


def user_by_id(connection: sqlite3.Connection, id_or_name: str) -> User:
    """The user with this id or user principal name, not one of the recycle bin. Raises NotFoundError."""
    row = connection.execute(BY_ID_OR_NAME, (id_or_name, key_of(id_or_name))).fetchone()
    if row is None:
        raise NotFoundError(f"there is no user '{id_or_name}'")
    return from_row(row)


def deleted_user(connection: sqlite3.Connection, user_id: str) -> User:
    """The user of the recycle bin. Raises NotFoundError."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM user WHERE id = ? AND deleted_at IS NOT NULL",
        (user_id,),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no deleted user '{user_id}'")
    return from_row(row)


def users_page(connection: sqlite3.Connection, after: str, limit: int, which: Which = "all") -> list[User]:
    """Users in id order, id > `after`; by default those of the recycle bin included."""
    found = f"SELECT {COLUMNS} FROM user WHERE id > ? AND {CONDITIONS[which]} ORDER BY id LIMIT ?"
    text: str = connection.execute(TOGETHER.format(found=found), (after, limit)).fetchone()[0]
    return USERS.decode(text)


def count_users(connection: sqlite3.Connection, which: Which = "all") -> int:
    """How many `users_page` gives in all."""
    number: int = connection.execute(f"SELECT count(*) FROM user WHERE {CONDITIONS[which]}").fetchone()[0]
    return number


def has_attribute(connection: sqlite3.Connection, name: str) -> bool:
    """Whether some user has an attribute of this name, given in lower case. Looks at all of them if none has."""
    sql = "SELECT 1 FROM user, json_each(user.attributes) AS a WHERE lower(a.key) = ? LIMIT 1"
    return connection.execute(sql, (name,)).fetchone() is not None


def users_by_id(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, User]:
    """Id → user for those that exist, those of the recycle bin included."""
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(f"SELECT {COLUMNS} FROM user WHERE id IN ({marks})", tuple(ids))
    return {row["id"]: from_row(row) for row in rows}


def ids_by_key(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, str]:
    """Key of the name → id, of those that exist and are not in the recycle bin."""
    marks = ", ".join("?" * len(keys))
    sql = f"SELECT upn_key, id FROM user WHERE upn_key IN ({marks}) AND deleted_at IS NULL"
    return {row[0]: row[1] for row in connection.execute(sql, tuple(keys))}


def active_ids(connection: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    """Those of the ids that users have who are not in the recycle bin."""
    marks = ", ".join("?" * len(ids))
    sql = f"SELECT id FROM user WHERE id IN ({marks}) AND deleted_at IS NULL"
    return {row[0] for row in connection.execute(sql, tuple(ids))}


EQUAL: Final = "(attributes ->> ?) COLLATE NOCASE = ?"
EQUAL_EMPLOYEE_ID: Final = "(attributes ->> 'employeeId') COLLATE NOCASE = ?"
"""As the index has it."""


def users_by_attribute(
    connection: sqlite3.Connection, name: str, value: str, which: Which = "active", limit: int = 2
) -> list[User]:
    """Users whose attribute has the value, in any case of its letters; `userPrincipalName` is one too. Looks at
    everybody, unless the attribute is one of those that people are known by."""
    condition: str = EQUAL
    parameters: tuple[str, ...] = (name, value)
    if name == "userPrincipalName":
        condition, parameters = "upn_key = ?", (key_of(value),)
    elif name == "employeeId":
        condition, parameters = EQUAL_EMPLOYEE_ID, (value,)
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM user WHERE {condition} AND {CONDITIONS[which]} LIMIT ?", (*parameters, limit)
    )
    return [from_row(row) for row in rows]


SEARCHED: Final = ("displayName", "givenName", "surname", "mail")


def search_active(connection: sqlite3.Connection, text: str, limit: int) -> list[User]:
    """Users whose name, user principal name or address contains the text, in any case; only those who are enabled and
    not deleted (REQ-P-122)."""
    connection.create_function("casefold", 1, lambda value: str(value).casefold(), deterministic=True)
    tests = ["instr(upn_key, ?1)", *(f"instr(casefold(attributes ->> '{name}'), ?1)" for name in SEARCHED)]
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM user WHERE deleted_at IS NULL AND account_enabled AND ({' OR '.join(tests)})"
        " ORDER BY upn_key LIMIT ?2",
        (text.casefold(), limit),
    )
    return [from_row(row) for row in rows]


def source_attributes(user: User) -> dict[str, Any]:
    """What mappings and filters see of the user, by the engine's attribute names."""
    return {
        **user.attributes,
        "objectId": user.id,
        "userPrincipalName": user.user_principal_name,
        "accountEnabled": user.account_enabled,
        "manager": user.manager_id,
    }


def from_row(row: sqlite3.Row) -> User:
    id_, name, enabled, manager_id, attributes, created_at, deleted_at = row
    return User(
        id=id_,
        user_principal_name=name,
        account_enabled=bool(enabled),
        manager_id=manager_id,
        attributes=orjson.loads(attributes),
        created_at=created_at,
        deleted_at=deleted_at,
    )


def _check(connection: sqlite3.Connection, user: User) -> None:
    name = user.user_principal_name
    if not name.strip():
        raise InvalidValueError("userPrincipalName must not be empty")
    taken = connection.execute(
        "SELECT 1 FROM user WHERE upn_key = ? AND deleted_at IS NULL AND id <> ?", (key_of(name), user.id)
    ).fetchone()
    if taken:
        raise AlreadyExistsError(f"another user has the userPrincipalName '{name}'", "userPrincipalName")
    if user.manager_id == user.id:
        raise InvalidValueError(f"'{name}' cannot be their own manager")
    if user.manager_id is not None and not _exists(connection, user.manager_id):
        raise InvalidValueError(f"the manager '{user.manager_id}' of '{name}' is not in the directory")


def _exists(connection: sqlite3.Connection, user_id: str) -> bool:
    return connection.execute("SELECT 1 FROM user WHERE id = ?", (user_id,)).fetchone() is not None


def _changed_names(stored: User, wanted: User) -> set[str]:
    """The names of the attributes that differ."""
    before, after = source_attributes(stored), source_attributes(wanted)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
