"""The provisioning mode of an application: `Manual` until somebody sets up provisioning, `Automatic` ever after.

Its first job makes it Automatic. It never becomes Manual again (REQ-P-002): pausing the jobs turns provisioning off.
"""

import sqlite3
from datetime import datetime
from typing import Final, Literal, get_args

from joiner.clock import to_iso
from joiner.errors import InvalidStateError, InvalidValueError
from joiner.provisioning.log.audit import AuditChange

Mode = Literal["Manual", "Automatic"]
NAME: Final = "provisioningMode"


def checked_mode(value: object) -> Mode:
    """Raises InvalidValueError."""
    for mode in get_args(Mode):
        if value == mode:
            found: Mode = mode
            return found
    raise InvalidValueError(f"{NAME} must be Manual or Automatic, not '{value}'")


def mode_of(connection: sqlite3.Connection, service_principal_id: str) -> Mode:
    """The mode of the application."""
    sql = "SELECT 1 FROM automatic_provisioning WHERE service_principal_id = ?"
    return "Manual" if connection.execute(sql, (service_principal_id,)).fetchone() is None else "Automatic"


def set_mode(
    connection: sqlite3.Connection, service_principal_id: str, mode: Mode, now: datetime
) -> tuple[AuditChange, ...]:
    """What has changed by it, for the audit log. Raises InvalidStateError for a way back to Manual."""
    present = mode_of(connection, service_principal_id)
    if mode == present:
        return ()
    if mode == "Manual":
        raise InvalidStateError(
            f"{NAME} is Automatic and cannot become Manual again; pause the job to turn provisioning off"
        )
    connection.execute("INSERT INTO automatic_provisioning VALUES (?, ?)", (service_principal_id, to_iso(now)))
    return (AuditChange(NAME, present, mode),)


def forget_mode(connection: sqlite3.Connection, service_principal_id: str) -> None:
    """For an application that is deleted."""
    connection.execute("DELETE FROM automatic_provisioning WHERE service_principal_id = ?", (service_principal_id,))
