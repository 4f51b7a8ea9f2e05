"""Applications of this tenant, who is assigned to them, and what follows for provisioning."""

import secrets
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from joiner.directory import feed
from joiner.directory.model import DEFAULT_ACCESS, AppRole, Assignment, MemberType, ServicePrincipal
from joiner.errors import AlreadyExistsError, InvalidValueError, NotFoundError
from joiner.ids import new_id

USER_ROLE: Final = "18d14569-c3bd-439b-9a66-3a2aee01d14f"
GALLERY_ROLES: Final = (
    AppRole(id=USER_ROLE, display_name="User", description="User"),
    AppRole(id="b9632174-c057-4f7e-951b-be3adc52bfe6", display_name="msiam_access", description="msiam_access"),
)
"""The roles that every application of the gallery comes with; their ids are the same in all tenants."""
ASSIGNMENT_COLUMNS: Final = "id, principal_id, principal_type, resource_id, app_role_id, created_at"
ASSIGNED: Final[dict[MemberType, feed.ObjectType]] = {"User": "user_assignment", "Group": "group_assignment"}


def add_service_principal(
    connection: sqlite3.Connection, application_template_id: str, display_name: str, at: str
) -> ServicePrincipal:
    """Instantiates an application. Raises InvalidValueError for an empty name, AlreadyExistsError for a taken one."""
    name = display_name.strip()
    if not name:
        raise InvalidValueError("displayName must not be empty")
    if connection.execute("SELECT 1 FROM service_principal WHERE display_name = ? COLLATE NOCASE", (name,)).fetchone():
        raise AlreadyExistsError(f"there is an application named '{name}'; give this one another name", "displayName")
    principal = ServicePrincipal(
        id=new_id(),
        app_id=new_id(),
        application_id=new_id(),
        application_template_id=application_template_id,
        display_name=name,
        app_roles=GALLERY_ROLES,
        created_at=at,
    )
    connection.execute(
        "INSERT INTO service_principal VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            principal.id,
            principal.app_id,
            principal.application_id,
            application_template_id,
            name,
            msgspec.json.encode(principal.app_roles).decode(),
            at,
        ),
    )
    return principal


def delete_service_principal(connection: sqlite3.Connection, principal_id: str, at: str) -> None:
    """Removes the application from the tenant with its assignments. Raises NotFoundError."""
    service_principal(connection, principal_id)
    assigned = connection.execute(
        "SELECT DISTINCT principal_id, principal_type FROM app_role_assignment WHERE resource_id = ?", (principal_id,)
    ).fetchall()
    for row in assigned:
        feed.note(connection, at, ASSIGNED[row["principal_type"]], row["principal_id"], "removed", principal_id)
    connection.execute("DELETE FROM service_principal WHERE id = ?", (principal_id,))


def service_principal(connection: sqlite3.Connection, id_or_app_id: str) -> ServicePrincipal:
    """By object id or application (client) id. Raises NotFoundError."""
    row = connection.execute("SELECT * FROM service_principal WHERE id = ?1 OR app_id = ?1", (id_or_app_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no service principal '{id_or_app_id}'")
    return _principal(row)


def application(connection: sqlite3.Connection, id_or_app_id: str) -> ServicePrincipal:
    """By the application's own object id or its application (client) id. Raises NotFoundError."""
    row = connection.execute(
        "SELECT * FROM service_principal WHERE application_id = ?1 OR app_id = ?1", (id_or_app_id,)
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no application '{id_or_app_id}'")
    return _principal(row)


def service_principals(connection: sqlite3.Connection) -> list[ServicePrincipal]:
    """All of them, oldest first."""
    return [_principal(row) for row in connection.execute("SELECT * FROM service_principal ORDER BY created_at, id")]


# Assignments


def assign(
    connection: sqlite3.Connection, resource_id: str, principal_id: str, app_role_id: str, at: str
) -> Assignment:
    """Raises NotFoundError for an unknown principal or application, InvalidValueError for an unknown role,
    AlreadyExistsError if it is assigned with this role already."""
    principal = service_principal(connection, resource_id)
    roles = {role.id for role in principal.app_roles} | {DEFAULT_ACCESS}
    if app_role_id not in roles:
        raise InvalidValueError(f"'{app_role_id}' is not a role of '{principal.display_name}'")
    assignment = Assignment(
        id=secrets.token_urlsafe(32),
        principal_id=principal_id,
        principal_type=_type_of(connection, principal_id),
        resource_id=principal.id,
        app_role_id=app_role_id,
        created_at=at,
    )
    try:
        connection.execute(
            "INSERT INTO app_role_assignment VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(assignment)
        )
    except sqlite3.IntegrityError:
        raise AlreadyExistsError("Permission being assigned already exists on the object", "appRoleId") from None
    feed.note(connection, at, ASSIGNED[assignment.principal_type], principal_id, "added", principal.id)
    return assignment


def unassign(connection: sqlite3.Connection, resource_id: str, assignment_id: str, at: str) -> None:
    """Raises NotFoundError."""
    found = assignment_by_id(connection, resource_id, assignment_id)
    connection.execute("DELETE FROM app_role_assignment WHERE id = ?", (assignment_id,))
    feed.note(connection, at, ASSIGNED[found.principal_type], found.principal_id, "removed", resource_id)


def assignment_by_id(connection: sqlite3.Connection, resource_id: str, assignment_id: str) -> Assignment:
    """Raises NotFoundError."""
    row = connection.execute(
        f"SELECT {ASSIGNMENT_COLUMNS} FROM app_role_assignment WHERE resource_id = ? AND id = ?",
        (resource_id, assignment_id),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no assignment '{assignment_id}' to this application")
    return _assignment(row)


def assignments_of(connection: sqlite3.Connection, resource_id: str, after: str, limit: int) -> list[Assignment]:
    """In id order, id > `after`."""
    rows = connection.execute(
        f"SELECT {ASSIGNMENT_COLUMNS} FROM app_role_assignment WHERE resource_id = ? AND id > ? ORDER BY id LIMIT ?",
        (resource_id, after, limit),
    )
    return [_assignment(row) for row in rows]


# What the engine asks

# CROSS JOIN keeps SQLite at this order: from a page's users to their groups, not from all assignments to their members.
ENTITLEMENTS: Final = """
SELECT user_id, app_role_id FROM (
  SELECT a.principal_id AS user_id, a.app_role_id, a.created_at, a.rowid AS number FROM app_role_assignment a
    WHERE a.resource_id = ? AND a.principal_id IN ({marks})
  UNION ALL
  SELECT m.member_id, a.app_role_id, a.created_at, a.rowid FROM membership m
    CROSS JOIN app_role_assignment a ON a.principal_id = m.group_id AND a.resource_id = ?
    CROSS JOIN grp ON grp.id = m.group_id AND grp.security_enabled
    WHERE m.member_id IN ({marks}))
ORDER BY created_at, number
"""


def entitlements(
    connection: sqlite3.Connection, resource_id: str, user_ids: Sequence[str]
) -> dict[str, tuple[AppRole, ...]]:
    """User id → roles, for the users assigned directly or as direct members of an assigned security group.

    Roles are the union over all paths, in the order of assignment (REQ-P-025, REQ-P-026, REQ-P-029).
    """
    declared = {role.id: role for role in service_principal(connection, resource_id).app_roles}
    default = AppRole(id=DEFAULT_ACCESS, display_name="Default Access")
    marks = ", ".join("?" * len(user_ids))
    found: dict[str, dict[str, AppRole]] = {}
    rows = connection.execute(ENTITLEMENTS.format(marks=marks), (resource_id, *user_ids, resource_id, *user_ids))
    for row in rows:
        found.setdefault(row[0], {})[row[1]] = declared.get(row[1], default)
    return {user_id: tuple(roles.values()) for user_id, roles in found.items()}


COUNT_ENTITLED: Final = """
SELECT count(*) FROM (
  SELECT principal_id FROM app_role_assignment WHERE resource_id = ?1 AND principal_type = 'User'
  UNION
  SELECT m.member_id FROM app_role_assignment a
    JOIN grp ON grp.id = a.principal_id AND grp.security_enabled
    JOIN membership m ON m.group_id = a.principal_id AND m.member_type = 'User'
    WHERE a.resource_id = ?1 AND a.principal_type = 'Group')
"""


def count_entitled(connection: sqlite3.Connection, resource_id: str) -> int:
    """How many users `entitlements` knows roles of."""
    number: int = connection.execute(COUNT_ENTITLED, (resource_id,)).fetchone()[0]
    return number


def assigned_groups(connection: sqlite3.Connection, resource_id: str, group_ids: Sequence[str]) -> set[str]:
    """Those of `group_ids` that are assigned to the application."""
    marks = ", ".join("?" * len(group_ids))
    rows = connection.execute(
        f"SELECT DISTINCT principal_id FROM app_role_assignment WHERE resource_id = ? AND principal_id IN ({marks})",
        (resource_id, *group_ids),
    )
    return {row[0] for row in rows}


def _principal(row: sqlite3.Row) -> ServicePrincipal:
    roles = msgspec.json.decode(row["app_roles"], type=tuple[AppRole, ...])
    return ServicePrincipal(**{**dict(row), "app_roles": roles})


def _assignment(row: sqlite3.Row) -> Assignment:
    return Assignment(**dict(row))


def _type_of(connection: sqlite3.Connection, principal_id: str) -> MemberType:
    if connection.execute("SELECT 1 FROM user WHERE id = ? AND deleted_at IS NULL", (principal_id,)).fetchone():
        return "User"
    if connection.execute("SELECT 1 FROM grp WHERE id = ?", (principal_id,)).fetchone():
        return "Group"
    raise NotFoundError(f"there is no user or group '{principal_id}'")
