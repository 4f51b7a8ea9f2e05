"""The managers that a source names: written when both are there, remembered until then.

Each function is part of its caller's transaction.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from joiner.directory import users
from joiner.errors import InvalidValueError
from joiner.provisioning.decisions.decision import Change, Problem, Status, Step
from joiner.provisioning.inbound import people
from joiner.provisioning.inbound.plan import MANAGER, InboundPlan
from joiner.provisioning.job import links

STEP = "EntrySynchronizationUpdate"
UNRESOLVED = "UnableToResolveReferenceAttributeValue"


@dataclass(frozen=True, slots=True)
class Report:
    """What the log says of one manager; nothing of one that is as it was."""

    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()
    problem: Problem | None = None


NOTHING = Report()


def assign(
    connection: sqlite3.Connection, job_id: str, plan: InboundPlan, source_id: str, wanted: str, now: str
) -> Report:
    """Makes `wanted`, as the source calls somebody, the manager of the user that is linked to `source_id`; one who is
    not in the directory yet is waited for."""
    user_id = _linked(connection, job_id, source_id)
    manager_id = people.find_by_anchor(connection, job_id, plan, wanted)
    problem = None
    if user_id is None:
        return NOTHING
    if manager_id is None:
        problem = f"the manager '{wanted}' has not come yet; set when it does"
    elif manager_id == user_id:
        problem = f"the manager '{wanted}' is the user itself"
    _remember(connection, job_id, source_id, wanted, is_set=problem is None)
    if problem is not None:
        step = Step(STEP, "referenceResolution", Status.WARNING, problem, {"ErrorCode": UNRESOLVED})
        return Report((step,), (), Problem(UNRESOLVED, problem))
    return _write(connection, user_id, manager_id, now)


def clear(connection: sqlite3.Connection, job_id: str, source_id: str, now: str, *, only_own: bool) -> Report:
    """Takes the manager away, with `only_own` only one that the job has set."""
    row = connection.execute(
        "DELETE FROM inbound_manager WHERE job_id = ? AND source_id = ? RETURNING is_set", (job_id, source_id)
    ).fetchone()
    user_id = _linked(connection, job_id, source_id)
    if user_id is None or (only_own and not (row and row["is_set"])):
        return NOTHING
    return _write(connection, user_id, None, now)


def awaiting(connection: sqlite3.Connection, job_id: str, came: Iterable[str]) -> list[tuple[str, str]]:
    """(source id, manager) of those who wait for one of `came`."""
    found = []
    for name in came:
        rows = connection.execute(
            "SELECT source_id, manager FROM inbound_manager WHERE job_id = ? AND NOT is_set AND manager = ?",
            (job_id, name),
        )
        found += [(row["source_id"], row["manager"]) for row in rows]
    return found


def awaiting_page(connection: sqlite3.Connection, job_id: str, after: str, limit: int) -> list[tuple[str, str]]:
    """(source id, manager) of all who wait, in the order of source ids."""
    rows = connection.execute(
        "SELECT source_id, manager FROM inbound_manager WHERE job_id = ? AND NOT is_set AND source_id > ?"
        " ORDER BY source_id LIMIT ?",
        (job_id, after, limit),
    )
    return [(row["source_id"], row["manager"]) for row in rows]


def _linked(connection: sqlite3.Connection, job_id: str, source_id: str) -> str | None:
    """The user of the directory; None if there is none that can have a manager."""
    link = links.links_of(connection, job_id, [source_id]).get(source_id)
    if link is None:
        return None
    user = users.users_by_id(connection, [link.target_id]).get(link.target_id)
    return None if user is None or user.deleted_at is not None else user.id


def _remember(connection: sqlite3.Connection, job_id: str, source_id: str, manager: str, *, is_set: bool) -> None:
    connection.execute(
        "INSERT INTO inbound_manager (job_id, source_id, manager, is_set) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET manager = excluded.manager, is_set = excluded.is_set"
        " WHERE (manager, is_set) IS NOT (excluded.manager, excluded.is_set)",
        (job_id, source_id, manager, is_set),
    )


def _write(connection: sqlite3.Connection, user_id: str, manager_id: str | None, now: str) -> Report:
    held: Any = users.user_by_id(connection, user_id).manager_id
    if held == manager_id:
        return NOTHING
    try:
        people.set_manager(connection, user_id, manager_id, now)
    except InvalidValueError as error:
        problem = Problem(UNRESOLVED, str(error))
        return Report((Step(STEP, "referenceResolution", Status.WARNING, str(error)),), (), problem)
    told = "manager was set" if manager_id is not None else "manager was removed"
    step = Step(STEP, "referenceResolution", Status.SUCCESS, told)
    return Report((step,), (Change(MANAGER, held, manager_id, is_secret=False),))
