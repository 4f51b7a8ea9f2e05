"""In which ways somebody is assigned to an application, for whoever asks why."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from joiner.directory.applications import service_principal

DEFAULT_ACCESS_NAME: Final = "Default Access"
PATHS: Final = """
SELECT principal_id AS id, app_role_id, NULL AS group_id, NULL AS group_name FROM app_role_assignment
  WHERE resource_id = ? AND principal_id IN ({marks})
UNION ALL
SELECT m.member_id, a.app_role_id, grp.id, grp.display_name FROM membership m
  CROSS JOIN app_role_assignment a ON a.principal_id = m.group_id AND a.resource_id = ?
  CROSS JOIN grp ON grp.id = m.group_id AND grp.security_enabled
  WHERE m.member_id IN ({marks})
ORDER BY group_name, app_role_id
"""


class AssignmentPath(msgspec.Struct, frozen=True):
    """One way in which an object is assigned: directly, or through a group that it is a direct member of."""

    role: str
    """The role's name."""
    group_id: str | None
    group_name: str | None

    @property
    def text(self) -> str:
        """In words, without the role."""
        return "assigned directly" if self.group_id is None else f"assigned through the group {self.group_name}"


def assignment_paths(
    connection: sqlite3.Connection, resource_id: str, ids: Sequence[str]
) -> dict[str, list[AssignmentPath]]:
    """Id of a user or group → every path, the direct ones first; those that are not assigned are left out."""
    names = {role.id: role.display_name for role in service_principal(connection, resource_id).app_roles}
    marks = ", ".join("?" * len(ids))
    found: dict[str, list[AssignmentPath]] = {}
    for row in connection.execute(PATHS.format(marks=marks), (resource_id, *ids, resource_id, *ids)):
        path = AssignmentPath(names.get(row[1], DEFAULT_ACCESS_NAME), row[2], row[3])
        found.setdefault(row[0], []).append(path)
    return found
