"""The audit log: who did what to a job, and what the engine did to it by itself (provisioning service §14.6).

Quarantine history lives here. Values of secrets never do.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import orjson

from joiner.clock import to_iso
from joiner.errors import NotFoundError
from joiner.ids import new_id
from joiner.provisioning.mapping.plan import REDACTED
from joiner.storage.rows import to_json

CATEGORY: Final = "ProvisioningManagement"
SERVICE: Final = "Account Provisioning"

Activity = Literal[
    "Add provisioning configuration",
    "Delete provisioning configuration",
    "Enable/start provisioning configuration",
    "Disable/pause provisioning configuration",
    "Enable/restart provisioning configuration",
    "Update attribute mappings or scope",
    "Update provisioning setting or credentials",
    "Quarantine",
    "Process escrow",
    "Synchronization rule action",
    "Import",
    "Export",
    "Other",
    "User Provisioning",
]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an administrator's key, or the service itself."""

    id: str
    name: str
    kind: Literal["user", "application", "system"]

    def as_initiator(self) -> dict[str, str]:
        """`initiatedBy` of a provisioning log entry."""
        return {"id": self.id, "displayName": self.name, "initiatorType": self.kind}


SERVICE_ITSELF: Final = Actor("", "Azure AD Provisioning Service", "system")


@dataclass(frozen=True, slots=True)
class AuditChange:
    """One thing that is different now; None for no value."""

    name: str
    old: str | None
    new: str | None


def differences(
    before: Mapping[str, str], after: Mapping[str, str], secrets: frozenset[str] = frozenset()
) -> tuple[AuditChange, ...]:
    """What is different, in name order; of a secret only that it is (REQ-P-139)."""

    def told(values: Mapping[str, str], name: str) -> str | None:
        return REDACTED if name in secrets and name in values else values.get(name)

    names = sorted(before.keys() | after.keys())
    return tuple(AuditChange(n, told(before, n), told(after, n)) for n in names if before.get(n) != after.get(n))


def note(
    connection: sqlite3.Connection,
    activity: Activity,
    now: datetime,
    by: Actor,
    service_principal_id: str,
    *,
    job_id: str = "",
    changes: Sequence[AuditChange] = (),
    reason: str = "",
    details: Mapping[str, str] | None = None,
) -> None:
    """Adds an entry, in the transaction that makes the change."""
    connection.execute(
        "INSERT INTO audit (id, at, activity, actor, service_principal_id, service_principal_name, job_id, changes,"
        " reason, details) VALUES (?1, ?2, ?3, ?4, ?5,"
        " coalesce((SELECT display_name FROM service_principal WHERE id = ?5), ''), ?6, ?7, ?8, ?9)",
        (
            new_id(),
            to_iso(now),
            activity,
            to_json({"id": by.id, "name": by.name, "kind": by.kind}),
            service_principal_id,
            job_id,
            to_json([[change.name, change.old, change.new] for change in changes]),
            reason,
            to_json(dict(details or {})),
        ),
    )


def documents(
    connection: sqlite3.Connection, position: int, ascending: bool, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """(position, `directoryAudit`) of the entries beyond `position` in the order asked for."""
    order, beyond = ("ASC", ">") if ascending else ("DESC", "<")
    rows = connection.execute(
        f"SELECT * FROM audit WHERE position {beyond} ? ORDER BY position {order} LIMIT ?", (position, limit)
    )
    return [(row["position"], _document(row)) for row in rows]


def document_by_id(connection: sqlite3.Connection, entry_id: str) -> dict[str, Any]:
    """Raises NotFoundError."""
    row = connection.execute("SELECT * FROM audit WHERE id = ?", (entry_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no audit entry '{entry_id}'")
    return _document(row)


def purge(connection: sqlite3.Connection, before: datetime) -> int:
    """Removes the entries older than this and returns their number."""
    return connection.execute("DELETE FROM audit WHERE at < ?", (to_iso(before),)).rowcount


def _document(row: sqlite3.Row) -> dict[str, Any]:
    actor = orjson.loads(row["actor"])
    who = {"id": actor["id"], "displayName": actor["name"]}
    details = {"JobId": row["job_id"], **orjson.loads(row["details"])}
    return {
        "id": row["id"],
        "category": CATEGORY,
        "correlationId": row["id"],
        "result": "success",
        "resultReason": row["reason"],
        "activityDisplayName": row["activity"],
        "activityDateTime": row["at"],
        "loggedByService": SERVICE,
        "operationType": "",
        "initiatedBy": {
            "user": {**who, "userPrincipalName": None, "ipAddress": None} if actor["kind"] == "user" else None,
            "app": {**who, "appId": None, "servicePrincipalId": None} if actor["kind"] != "user" else None,
        },
        "targetResources": [
            {
                "id": row["service_principal_id"],
                "displayName": row["service_principal_name"],
                "type": "ServicePrincipal",
                "modifiedProperties": [
                    {"displayName": name, "oldValue": old, "newValue": new}
                    for name, old, new in orjson.loads(row["changes"])
                ],
            }
        ],
        "additionalDetails": [{"key": key, "value": value} for key, value in details.items() if value],
    }
