"""What an administrator does with plans while everything goes wrong, and what must be true of them.

A plan equals what the cycle after it does. Carried out, it writes nothing that it does not name, and what was edited in
between is refused item by item. A look at the whole application repairs whatever was lost in silence, or tells of it.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import orjson

from joiner.errors import InvalidStateError
from joiner.provisioning import side
from joiner.provisioning.job.cycles import Cycle
from joiner.provisioning.log.audit import Actor
from joiner.provisioning.planning import overlay
from joiner.provisioning.planning.overlay import LIVE, Variation
from joiner.provisioning.planning.service import has_changes
from joiner.provisioning.plans.plans import Plan
from joiner.storage.sqlite import Database
from tests.simulation.facts import Fact, facts
from tests.simulation.processes import Fate, ProcessDatabase
from tests.simulation.records import BLOCKED
from tests.simulation.world import World

ADMINISTRATOR: Final = Actor("administrator", "The administrator", "user")
VARIATIONS: Final = (Variation(), Variation(), Variation(is_initial=True), Variation(is_drift=True))


async def make_plan(world: World, variation: Variation) -> Plan | None:
    """The plan, None if nothing stands still long enough for one, or the target cannot be asked."""
    planning = world.admin.side.planning
    before = len(world.target.writes)
    try:
        begun = await planning.make(world.job, variation, ADMINISTRATOR)
    except InvalidStateError as error:
        world.tell(f"no plan is made: {error}")
        return None
    await planning.wait()
    plan = planning.plan(world.job_id, begun.number)
    world.tell(f"the administrator makes plan {plan.number}, {plan.kind}: {plan.error or plan.state}")
    # Others may be in a cycle meanwhile.
    world.errors += [f"plan {plan.number} wrote {w}" for w in world.target.writes[before:] if w.cycle is None]
    return plan if plan.state == "ready" else None


async def begin_to_apply(world: World, plan: Plan, items: list[str] | None, *, allow_deletes: bool) -> Cycle | None:
    """The cycle that carries the plan, or these items of it, out. It is not waited for."""
    planning = world.process.side.planning
    try:
        cycle = await planning.apply(world.job, plan.number, items, ADMINISTRATOR, allow_deletes=allow_deletes)
    except InvalidStateError as error:
        world.tell(f"plan {plan.number} is not carried out: {error}")
        return None
    if allow_deletes:
        world.guard.free_cycles.add(cycle.id)
    what = "all" if items is None else f"{len(items)} items"
    world.tell(f"the administrator has {what} of plan {plan.number} carried out")
    return cycle


def is_free_of_changes(plan: Plan) -> bool:
    return plan.summary is not None and not has_changes(plan.summary)


def is_blocked_by_names(world: World, plan: Plan) -> bool:
    """Something of the plan would fail for a name that two have."""
    problems = (orjson.loads(item["problem"] or "null") for item in items_of(world, plan).values())
    return any(problem is not None and problem["code"] in BLOCKED for problem in problems)


def unmanaged_accounts(world: World, plan: Plan) -> frozenset[str]:
    """Ids of the accounts that a look at the application has named as managed by nobody."""
    rows = world.rows("SELECT target_id FROM plan_account WHERE number = ?", plan.number)
    return frozenset(row[0] for row in rows)


def items_of(world: World, plan: Plan) -> dict[str, sqlite3.Row]:
    """Source id → row of `plan_item`."""
    return {row["source_id"]: row for row in world.rows("SELECT * FROM plan_item WHERE number = ?", plan.number)}


class Comparing:
    """What a plan names beside what is written. Make it before anything is: accounts may be gone afterwards."""

    def __init__(self, world: World, plan: Plan) -> None:
        self._world = world
        self._plan = plan
        self._owners: dict[str, str] = {}
        self._first = len(world.target.writes)
        self._learn()

    def planned(self) -> set[Fact]:
        self._learn()
        rows = self._world.rows("SELECT * FROM plan_request WHERE number = ?", self._plan.number)
        return self._facts((row["method"], row["path"], orjson.loads(row["body"] or "null")) for row in rows)

    def sent(self, cycle_id: str) -> set[Fact]:
        """In this cycle."""
        self._learn()
        requests = (each for each in self._world.target.writes[self._first :] if each.cycle == cycle_id)
        return self._facts((r.method, f"/{r.endpoint}{r.id and '/'}{r.id}", r.body) for r in requests)

    def written_back(self, cycle_id: str) -> set[Fact]:
        """What resources that this cycle wrote as a whole held before: it is not changed by writing it again."""
        effects = (each for each in self._world.target.effects if each.request.cycle == cycle_id)
        whole = (each for each in effects if each.request.method == "PUT")
        return self._facts(("PUT", f"/{each.request.endpoint}/{each.request.id}", each.before) for each in whole)

    def _facts(self, requests: Iterator[tuple[str, str, Any]]) -> set[Fact]:
        return {fact for request in requests for fact in facts(*request, self._owners)}

    def _learn(self) -> None:
        self._owners |= {row[0]: row[1] for row in self._world.rows("SELECT target_id, source_id FROM link")}
        for resources in self._world.target.resources.values():
            self._owners |= {id_: each["externalId"] for id_, each in resources.items() if "externalId" in each}


@contextmanager
def scratch_databases(connection: sqlite3.Connection) -> Iterator[None]:
    """Copies that plans are computed on are made in memory, of the database behind `connection`."""

    def open_scratch(path: Path, migrations: Any, *, beside: Any, is_scratch: bool) -> _Scratch:
        scratch = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        scratch.row_factory = sqlite3.Row
        scratch.deserialize(_empty_copy())
        scratch.execute("PRAGMA foreign_keys = ON")
        scratch.execute(f"ATTACH ':memory:' AS {LIVE}")
        scratch.deserialize(connection.serialize(), name=LIVE)
        return _Scratch(scratch, Fate())

    with patch.object(overlay, "Database", open_scratch):
        yield


class _Scratch(ProcessDatabase):
    def close(self) -> None:
        self._connection.close()


@cache
def _empty_copy() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "copy.db")
        Database(path, {"provisioning": side.MIGRATIONS}).close()
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        finally:
            connection.close()
        return path.read_bytes()
