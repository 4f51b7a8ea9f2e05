"""Groups and their direct members. Each function is part of its caller's transaction."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import orjson

from joiner.directory import dynamic_groups, feed, memberships
from joiner.directory.dynamic_groups import DynamicMembershipError
from joiner.directory.model import Group, MemberType
from joiner.errors import AlreadyExistsError, InvalidValueError, NotFoundError

COLUMNS: Final = "id, display_name, security_enabled, attributes, created_at, membership_rule, rule_processing"


def add_group(connection: sqlite3.Connection, group: Group, at: str) -> None:
    """Raises AlreadyExistsError for a taken id, InvalidValueError for a rule that cannot be. Names need not be unique
    in the directory."""
    _check(connection, group)
    if connection.execute("SELECT 1 FROM grp WHERE id = ?", (group.id,)).fetchone():
        raise AlreadyExistsError(f"there is a group with the id '{group.id}'", "id")
    connection.execute(
        "INSERT INTO grp (id, display_name, security_enabled, attributes, created_at) VALUES (?, ?, ?, ?, ?)",
        (group.id, group.display_name, group.security_enabled, orjson.dumps(group.attributes).decode(), at),
    )
    feed.note(connection, at, "group", group.id, "added")
    if group.membership_rule is not None:
        dynamic_groups.write_rule(connection, group, at)


def update_group(connection: sqlite3.Connection, group: Group, at: str) -> bool:
    """Makes the stored group equal to `group`; False, and nothing written, if it is already."""
    stored = group_by_id(connection, group.id)
    if _described(stored) == _described(group):
        return False
    _check(connection, group)
    connection.execute(
        "UPDATE grp SET display_name = ?, security_enabled = ?, attributes = ? WHERE id = ?",
        (group.display_name, group.security_enabled, orjson.dumps(group.attributes).decode(), group.id),
    )
    feed.note(connection, at, "group", group.id, "updated")
    if stored.security_enabled != group.security_enabled:
        _note_entitlement(connection, group.id, at)
    if _rule(stored) != _rule(group):
        dynamic_groups.write_rule(connection, group, at)
    return True


def delete_group(connection: sqlite3.Connection, group_id: str, at: str) -> None:
    """Removes the group at once: security groups have no recycle bin."""
    group_by_id(connection, group_id)
    members = connection.execute(
        "SELECT member_id, member_type FROM membership WHERE group_id = ?", (group_id,)
    ).fetchall()
    for row in members:
        feed.note(connection, at, memberships.OBJECT_TYPES[row["member_type"]], group_id, "removed", row["member_id"])
    for row in connection.execute("SELECT group_id FROM membership WHERE member_id = ?", (group_id,)).fetchall():
        feed.note(connection, at, "group_membership", row["group_id"], "removed", group_id)
    connection.execute("DELETE FROM membership WHERE member_id = ?", (group_id,))
    connection.execute("DELETE FROM app_role_assignment WHERE principal_id = ?", (group_id,))
    connection.execute("DELETE FROM grp WHERE id = ?", (group_id,))
    dynamic_groups.forget_source(connection, group_id)
    feed.note(connection, at, "group", group_id, "purged")


def add_member(connection: sqlite3.Connection, group_id: str, member_id: str, at: str) -> bool:
    """Adds a user or group; False, and nothing written, if it is a direct member already.

    Raises NotFoundError for an unknown group or member, InvalidValueError for a group in itself,
    DynamicMembershipError.
    """
    _assigned_group(connection, group_id)
    if member_id == group_id:
        raise InvalidValueError("a group cannot be its own member")
    member_type = _type_of(connection, member_id)
    added = memberships.put(connection, group_id, member_id, member_type, at)
    if added and member_type == "User":
        dynamic_groups.follow_membership(connection, group_id, member_id, at)
    return added


def remove_member(connection: sqlite3.Connection, group_id: str, member_id: str, at: str) -> None:
    """Raises NotFoundError if it is not a direct member, DynamicMembershipError."""
    _assigned_group(connection, group_id)
    member_type = memberships.drop(connection, group_id, member_id, at)
    if member_type is None:
        raise NotFoundError(f"'{member_id}' is not a member of the group '{group_id}'")
    if member_type == "User":
        dynamic_groups.follow_membership(connection, group_id, member_id, at)


# Reading


def group_by_id(connection: sqlite3.Connection, group_id: str) -> Group:
    """Raises NotFoundError."""
    row = connection.execute(f"SELECT {COLUMNS} FROM grp WHERE id = ?", (group_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no group '{group_id}'")
    return from_row(row)


def groups_page(connection: sqlite3.Connection, after: str, limit: int) -> list[Group]:
    """Groups in id order, id > `after`."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM grp WHERE id > ? ORDER BY id LIMIT ?",
        (after, limit),
    )
    return [from_row(row) for row in rows]


def count_groups(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT count(*) FROM grp").fetchone()[0]
    return number


def groups_named(connection: sqlite3.Connection, display_name: str) -> list[Group]:
    """The groups with this name in any case of ASCII letters: names need not be unique."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM grp WHERE display_name = ? COLLATE NOCASE ORDER BY id", (display_name,)
    )
    return [from_row(row) for row in rows]


def groups_by_id(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Group]:
    """Id → group for those that exist."""
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(f"SELECT {COLUMNS} FROM grp WHERE id IN ({marks})", tuple(ids))
    return {row["id"]: from_row(row) for row in rows}


def members_of(connection: sqlite3.Connection, group_id: str, after: str, limit: int) -> list[tuple[str, MemberType]]:
    """(id, type) of the direct members in id order, id > `after`."""
    rows = connection.execute(
        "SELECT member_id, member_type FROM membership WHERE group_id = ? AND member_id > ? ORDER BY member_id LIMIT ?",
        (group_id, after, limit),
    )
    return [(row[0], row[1]) for row in rows]


def source_attributes(group: Group) -> dict[str, Any]:
    """What mappings and filters see of the group, by the engine's attribute names."""
    return {
        **group.attributes,
        "objectId": group.id,
        "displayName": group.display_name,
        "securityEnabled": group.security_enabled,
    }


def from_row(row: sqlite3.Row) -> Group:
    id_, name, security_enabled, attributes, created_at, rule, processing = row
    return Group(
        id=id_,
        display_name=name,
        security_enabled=bool(security_enabled),
        attributes=orjson.loads(attributes),
        created_at=created_at,
        membership_rule=rule,
        rule_processing=processing or "On",
    )


def _note_entitlement(connection: sqlite3.Connection, group_id: str, at: str) -> None:
    """Its members gain or lose what the group is assigned to: only security groups entitle."""
    assigned = connection.execute(
        "SELECT DISTINCT resource_id FROM app_role_assignment WHERE principal_id = ?", (group_id,)
    ).fetchall()
    for row in assigned:
        feed.note(connection, at, "group_assignment", group_id, "updated", row["resource_id"])


def _check(connection: sqlite3.Connection, group: Group) -> None:
    if not group.display_name.strip():
        raise InvalidValueError("displayName of a group must not be empty")
    dynamic_groups.check_rule(connection, group)


def _described(group: Group) -> tuple[Any, ...]:
    return group.display_name, group.security_enabled, group.attributes, _rule(group)


def _rule(group: Group) -> tuple[str, str] | None:
    return None if group.membership_rule is None else (group.membership_rule, group.rule_processing)


def _assigned_group(connection: sqlite3.Connection, group_id: str) -> None:
    """Raises NotFoundError for an unknown group, DynamicMembershipError for a dynamic one."""
    group = group_by_id(connection, group_id)
    if group.membership_rule is not None:
        raise DynamicMembershipError(group)


def _type_of(connection: sqlite3.Connection, member_id: str) -> MemberType:
    if connection.execute("SELECT 1 FROM user WHERE id = ? AND deleted_at IS NULL", (member_id,)).fetchone():
        return "User"
    if connection.execute("SELECT 1 FROM grp WHERE id = ?", (member_id,)).fetchone():
        return "Group"
    raise NotFoundError(f"there is no user or group '{member_id}'")
