"""What an initial cycle knows of the target from its lists: rows, and the lookups that they answer.

The census answers only what the target's own filter would answer the same way: nobody has the value in any case of
letters, or one object has it letter by letter. Whatever else there is to know is asked. `census_reading` fills it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from joiner.clock import from_iso, to_iso
from joiner.expressions.values import canonical_text
from joiner.provisioning.decision import ObjectType, QueryMatch
from joiner.provisioning.plan import AttributeFlow, ObjectPlan

FRESH: Final = timedelta(hours=1)
"""How long a census is believed. Others may write to the target meanwhile."""

Resource = dict[str, Any]

OBJECT: Final = "INSERT INTO census_object VALUES (?, ?, ?, ?)"
WRITTEN: Final = "REPLACE INTO census_object VALUES (?, ?, ?, NULL)"
VALUE: Final = "INSERT OR IGNORE INTO census_value VALUES (?, ?, ?, ?, ?)"
FIND: Final = (
    "SELECT target_id, resource FROM census_value JOIN census_object USING (cycle_id, object_type, target_id)"
    " WHERE cycle_id = ? AND object_type = ? AND attribute = ? AND value = ? LIMIT 2"
)


@dataclass(frozen=True, slots=True)
class Census:
    """One row of `census`: how far the reading of one type has come."""

    state: str
    listed: int
    total: int | None
    read_at: str


class Answers:
    """The lookups of one type that the census answers; None is its answer to all others."""

    def __init__(self, connection: sqlite3.Connection, cycle_id: str, plan: ObjectPlan) -> None:
        self._connection = connection
        self._place = cycle_id, plan.object_type
        self._flows = {flow.target: flow for flow in plan.matching}

    def match(self, query: QueryMatch) -> list[Resource] | None:
        """The objects that have the value."""
        flow = self._flows[query.attribute]
        rows = self._connection.execute(FIND, (*self._place, query.attribute, query.value.casefold())).fetchall()
        if not rows:
            return []
        if len(rows) > 1 or rows[0][1] is None or flow.path.selector is not None:
            return None
        resource: Resource = orjson.loads(rows[0][1])
        return [resource] if query.value in _texts(flow, resource) else None

    def read(self, target_id: str) -> Resource | None:
        """The object with this id."""
        row = self._connection.execute(
            "SELECT resource FROM census_object WHERE cycle_id = ? AND object_type = ? AND target_id = ?",
            (*self._place, target_id),
        ).fetchone()
        return None if row is None or row[0] is None else orjson.loads(row[0])


def answers(connection: sqlite3.Connection, cycle_id: str, plan: ObjectPlan, now: datetime) -> Answers | None:
    """What the cycle's census answers of the plan's type; None without one that can be relied on."""
    census = census_of(connection, cycle_id, plan.object_type)
    if census is None or census.state != "complete" or now - from_iso(census.read_at) > FRESH:
        return None
    return Answers(connection, cycle_id, plan)


def census_of(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType) -> Census | None:
    row = connection.execute(
        "SELECT state, listed, total, read_at FROM census WHERE cycle_id = ? AND object_type = ?",
        (cycle_id, object_type),
    ).fetchone()
    return Census(*row) if row else None


def has_objects(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType, ids: Sequence[str]) -> bool:
    """Whether the census has one of these ids already."""
    marks = ", ".join("?" * len(ids))
    row = connection.execute(
        f"SELECT 1 FROM census_object WHERE cycle_id = ? AND object_type = ? AND target_id IN ({marks}) LIMIT 1",
        (cycle_id, object_type, *ids),
    ).fetchone()
    return row is not None


# Writing, in the page's transaction


def write_census(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType, census: Census) -> None:
    connection.execute(
        "REPLACE INTO census VALUES (?, ?, ?, ?, ?, ?, NULL)",
        (cycle_id, object_type, census.state, census.listed, census.total, census.read_at),
    )


def add_objects(connection: sqlite3.Connection, cycle_id: str, plan: ObjectPlan, resources: Iterable[Resource]) -> None:
    """Adds what was listed: of each object what mappings look at."""
    kept = _kept_attributes(plan)
    place = cycle_id, plan.object_type
    objects: list[tuple[str, ...]] = []
    values: list[tuple[str, ...]] = []
    for resource in resources:
        target_id = resource["id"]
        pruned = {name: value for name, value in resource.items() if name.lower() in kept}
        objects.append((*place, target_id, orjson.dumps(pruned).decode()))
        for flow in plan.matching:
            values.extend((*place, flow.target, text.casefold(), target_id) for text in _texts(flow, resource))
    connection.executemany(OBJECT, objects)
    connection.executemany(VALUE, values)


def note_written(
    connection: sqlite3.Connection,
    cycle_id: str,
    object_type: ObjectType,
    written: Sequence[tuple[str, Sequence[QueryMatch]]],
) -> None:
    """Target id and present matching values of objects that this cycle has written to: who looks for them must ask."""
    place = cycle_id, object_type
    connection.executemany(WRITTEN, ((*place, target_id) for target_id, _ in written))
    connection.executemany(
        VALUE,
        (
            (*place, query.attribute, query.value.casefold(), target_id)
            for target_id, queries in written
            for query in queries
        ),
    )


def give_up(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType, reason: str, now: datetime) -> None:
    """Every lookup of the type is asked from now on."""
    forget_objects(connection, cycle_id, object_type)
    connection.execute(
        "REPLACE INTO census VALUES (?, ?, 'given up', 0, NULL, ?, ?)", (cycle_id, object_type, to_iso(now), reason)
    )


def forget_objects(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType) -> None:
    """Drops what was listed, when nobody looks anything up any more."""
    for table in ("census_object", "census_value"):
        connection.execute(f"DELETE FROM {table} WHERE cycle_id = ? AND object_type = ?", (cycle_id, object_type))


def _kept_attributes(plan: ObjectPlan) -> frozenset[str]:
    """Top-level names, folded, of what the mappings of the type read."""
    references = (flow for flow in plan.references if not flow.multivalued)
    flows = (*plan.flows, *plan.matching, *references)
    return frozenset({"id", *((flow.path.extension or flow.path.attribute).lower() for flow in flows)})


def _texts(flow: AttributeFlow, resource: Resource) -> Sequence[str]:
    return [canonical_text(value) for value in flow.path.values(resource)]
