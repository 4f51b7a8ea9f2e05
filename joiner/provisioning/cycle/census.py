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
from joiner.provisioning.decisions.decision import Lookup, ObjectType, QueryMatch, ReadLinked
from joiner.provisioning.mapping.plan import AttributeFlow, ObjectPlan
from joiner.storage.rows import marks, to_json, write_rows

FRESH: Final = timedelta(hours=1)
"""How long a census is believed. Others may write to the target meanwhile."""

Resource = dict[str, Any]

OBJECTS: Final = "INSERT INTO census_object VALUES {rows}"
WRITTEN: Final = "REPLACE INTO census_object VALUES {rows}"
VALUES: Final = "INSERT OR IGNORE INTO census_value VALUES {rows}"
READ: Final = """
SELECT group_concat(resource) FROM census_object
WHERE cycle_id = ? AND object_type = ? AND target_id IN (SELECT value FROM json_each(?))
"""
"""Many objects as one text, which is taken apart much faster than rows are fetched."""
FIND: Final = """
WITH asked (place, attribute, value) AS (VALUES {rows})
SELECT place, count(*), max(o.resource) FROM asked
CROSS JOIN census_value v ON v.cycle_id = ?1 AND v.object_type = ?2 AND v.attribute = asked.attribute
     AND v.value = asked.value
CROSS JOIN census_object o ON o.cycle_id = ?1 AND o.object_type = ?2 AND o.target_id = v.target_id
GROUP BY place
"""
"""Place among those asked → number of objects that have the attribute's folded value, and one of them."""


DROPPED_AT_ONCE: Final = 5_000
DROP: Final = """
DELETE FROM {table} WHERE cycle_id = ?1 AND ({key}) IN (SELECT {key} FROM {table} WHERE cycle_id = ?1 LIMIT ?2)
"""
KEYS: Final = {
    "census_object": "object_type, target_id",
    "census_value": "object_type, attribute, value, target_id",
}
LEFTOVERS: Final = """
SELECT id FROM cycle WHERE state <> 'running' AND (
  EXISTS (SELECT 1 FROM census_object o WHERE o.cycle_id = cycle.id)
  OR EXISTS (SELECT 1 FROM census_value v WHERE v.cycle_id = cycle.id)) LIMIT 1
"""


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

    def of(self, lookups: Sequence[Lookup]) -> list[list[Resource] | None]:
        """For each lookup the objects that have the value, or the one with the id."""
        read = self._read([lookup.target_id for lookup in lookups if isinstance(lookup, ReadLinked)])
        matched = iter(self._match([lookup for lookup in lookups if isinstance(lookup, QueryMatch)]))
        found: list[list[Resource] | None] = []
        for lookup in lookups:
            if isinstance(lookup, ReadLinked):
                resource = read.get(lookup.target_id)
                found.append(None if resource is None else [resource])
            else:
                found.append(next(matched) if isinstance(lookup, QueryMatch) else None)
        return found

    def _read(self, target_ids: Sequence[str]) -> dict[str, Resource]:
        if not target_ids:
            return {}
        text = self._connection.execute(READ, (*self._place, to_json(target_ids))).fetchone()[0]
        return {} if text is None else {resource["id"]: resource for resource in orjson.loads(f"[{text}]")}

    def _match(self, queries: Sequence[QueryMatch]) -> list[list[Resource] | None]:
        if not queries:
            return []
        marks = ", ".join(f"({place}, ?{2 * place + 3}, ?{2 * place + 4})" for place in range(len(queries)))
        asked = [part for query in queries for part in (query.attribute, query.value.casefold())]
        rows = {row[0]: row for row in self._connection.execute(FIND.format(rows=marks), (*self._place, *asked))}
        found: list[list[Resource] | None] = []
        for place, query in enumerate(queries):
            flow, row = self._flows[query.attribute], rows.get(place)
            if row is None:
                found.append([])
            elif row[1] > 1 or row[2] is None or flow.path.selector is not None:
                found.append(None)
            else:
                resource: Resource = orjson.loads(row[2])
                found.append([resource] if query.value in _texts(flow, resource) else None)
        return found


def answers(connection: sqlite3.Connection, cycle_id: str, plan: ObjectPlan, now: datetime) -> Answers | None:
    """What the cycle's census answers of the plan's type; None without one that can be relied on."""
    census = census_of(connection, cycle_id, plan.object_type)
    if census is None or census.state != "complete" or now - from_iso(census.read_at) > FRESH:
        return None
    return Answers(connection, cycle_id, plan)


def census_of(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType) -> Census | None:
    """How far the reading of one type has come in this cycle; None if it has not begun."""
    row = connection.execute(
        "SELECT state, listed, total, read_at FROM census WHERE cycle_id = ? AND object_type = ?",
        (cycle_id, object_type),
    ).fetchone()
    return Census(*row) if row else None


def has_objects(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType, ids: Sequence[str]) -> bool:
    """Whether the census has one of these ids already."""
    row = connection.execute(
        f"SELECT 1 FROM census_object WHERE cycle_id = ? AND object_type = ? AND target_id IN ({marks(ids)}) LIMIT 1",
        (cycle_id, object_type, *ids),
    ).fetchone()
    return row is not None


# Writing, in the page's transaction


def write_census(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType, census: Census) -> None:
    """Notes how far the reading of one type has come."""
    connection.execute(
        "REPLACE INTO census VALUES (?, ?, ?, ?, ?, ?, NULL)",
        (cycle_id, object_type, census.state, census.listed, census.total, census.read_at),
    )


Rows = tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]
"""Rows of `census_object` and of `census_value`."""


def rows_of(cycle_id: str, plan: ObjectPlan, resources: Iterable[Resource]) -> Rows:
    """What is kept of what was listed: of each object what mappings look at."""
    kept = _kept_attributes(plan)
    place = cycle_id, plan.object_type
    objects: list[tuple[str, ...]] = []
    values: list[tuple[str, ...]] = []
    for resource in resources:
        target_id = resource["id"]
        pruned = {name: value for name, value in resource.items() if name.lower() in kept}
        objects.append((*place, target_id, to_json(pruned)))
        for flow in plan.matching:
            values.extend((*place, flow.target, text.casefold(), target_id) for text in _texts(flow, resource))
    return objects, values


def add_rows(connection: sqlite3.Connection, rows: Rows) -> None:
    """Adds what was listed."""
    objects, values = rows
    write_rows(connection, OBJECTS, objects)
    write_rows(connection, VALUES, values)


def note_written(
    connection: sqlite3.Connection,
    cycle_id: str,
    object_type: ObjectType,
    written: Sequence[tuple[str, Sequence[QueryMatch]]],
) -> None:
    """Target id and present matching values of objects that this cycle has written to: who looks for them must ask."""
    place = cycle_id, object_type
    write_rows(connection, WRITTEN, [(*place, target_id, None) for target_id, _ in written])
    write_rows(
        connection,
        VALUES,
        [
            (*place, query.attribute, query.value.casefold(), target_id)
            for target_id, queries in written
            for query in queries
        ],
    )


def give_up(connection: sqlite3.Connection, cycle_id: str, object_type: ObjectType, reason: str, now: datetime) -> None:
    """Every lookup of the type is asked from now on. What was listed stays until the cycle has ended."""
    connection.execute(
        "REPLACE INTO census VALUES (?, ?, 'given up', 0, NULL, ?, ?)", (cycle_id, object_type, to_iso(now), reason)
    )


def drop_some(connection: sqlite3.Connection, cycle_id: str) -> int:
    """Drops some thousand rows of what an ended cycle has listed; 0 if there was nothing left. All of them in one
    transaction would be held in memory at once."""
    for table, key in KEYS.items():
        dropped = connection.execute(DROP.format(table=table, key=key), (cycle_id, DROPPED_AT_ONCE)).rowcount
        if dropped:
            return dropped
    return 0


def drop_some_leftovers(connection: sqlite3.Connection) -> int:
    """As `drop_some`, of whichever ended cycle has left something: its process died before it was dropped."""
    row = connection.execute(LEFTOVERS).fetchone()
    return drop_some(connection, row[0]) if row else 0


def _kept_attributes(plan: ObjectPlan) -> frozenset[str]:
    """Top-level names, folded, of what the mappings of the type read."""
    references = (flow for flow in plan.references if not flow.multivalued)
    flows = (*plan.flows, *plan.matching, *references)
    return frozenset({"id", *((flow.path.extension or flow.path.attribute).lower() for flow in flows)})


def _texts(flow: AttributeFlow, resource: Resource) -> Sequence[str]:
    return [canonical_text(value) for value in flow.path.values(resource)]
