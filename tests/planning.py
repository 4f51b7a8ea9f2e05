"""Plans in tests: making one, and what it says beside what a cycle then sends."""

from collections import Counter
from typing import Any

import orjson

from joiner.provisioning.log.audit import Actor
from joiner.provisioning.planning.overlay import Variation
from joiner.provisioning.plans.plans import Plan
from tests.world import Sent, World

ADA = Actor("key", "Ada the administrator", "user")


async def make_plan(world: World, variation: Variation | None = None) -> Plan:
    """A plan, computed to its end; nothing was written to the application meanwhile."""
    sent = len(world.sent)
    job = world.job()
    begun = await world.side.planning.make(job, variation or Variation(), ADA)
    await world.side.planning.wait()
    assert len(world.sent) == sent
    return world.side.planning.plan(world.job_id, begun.number)


async def apply(world: World, number: int, *items: str, allow_deletes: bool = False) -> dict[str, Any]:
    """Carries the plan out and returns the report."""
    job = world.job()
    cycle = await world.side.planning.apply(job, number, items or None, ADA, allow_deletes=allow_deletes)
    await world.engine.wait(cycle.id)
    return world.side.planning.report(world.job_id, number)


def items(world: World, number: int) -> dict[str, dict[str, Any]]:
    """Name without domain → the document of the item."""
    found = world.side.planning.items(world.job_id, number, 0, 10_000, None)
    return {item["name"].partition("@")[0]: item for item in found}


def actions(world: World, number: int) -> dict[str, str]:
    return {name: item["action"] for name, item in items(world, number).items()}


class Requests:
    """Requests in words that mean the same before and after: accounts are called by whom they belong to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._names: dict[str, str] = {}
        self.learn()

    def learn(self) -> None:
        """Remembers the accounts that there are now, also for when they are gone."""
        for row in self._world.db.reader.execute("SELECT target_id, source_id FROM link"):
            self._names[row[0]] = row[1]

    def planned(self, number: int) -> Counter[str]:
        rows = self._world.db.reader.execute("SELECT method, path, body FROM plan_request WHERE number = ?", (number,))
        return Counter(
            self._told(row["method"], row["path"], row["body"] or "null").replace("new:", "") for row in rows
        )

    def sent(self, requests: list[Sent]) -> Counter[str]:
        return Counter(
            self._told(each.method, each.path.removeprefix("/scim"), orjson.dumps(each.body).decode())
            for each in requests
        )

    def _told(self, method: str, path: str, body: str) -> str:
        text = f"{method} {path} {orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS).decode()}"
        for target_id, source_id in self._names.items():
            text = text.replace(target_id, source_id)
        return text


async def plan_and_run(world: World, variation: Variation | None = None) -> tuple[Plan, dict[str, str]]:
    """Plans, runs the cycle, and proves that they are the same."""
    requests = Requests(world)
    plan = await make_plan(world, variation)
    assert plan.state == "ready", plan.error
    before = len(world.sent)
    done = await world.run()
    requests.learn()
    assert requests.planned(plan.number) == requests.sent(world.sent[before:])
    return plan, done
