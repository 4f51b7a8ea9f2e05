"""How SQLite finds the rows of large tables: what is looked up by its key must not be found by reading a whole job."""

import re
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from joiner.provisioning.planning.overlay import Variation
from tests.planning import apply, make_plan
from tests.world import World, opened

BY_ACCOUNT = re.compile(r"\blink\b.*\btarget_id (=|IN) ", re.DOTALL)
WHOLE_JOB = re.compile(
    r"SEARCH \S+ USING (PRIMARY KEY|INDEX \S+) \((job_id=\?|object_type=\?|job_id=\? AND object_type=\?)\)"
)


class Recording(sqlite3.Connection):
    """Asks for the plan of each statement before it is run."""

    plans: dict[str, set[str]]

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if BY_ACCOUNT.search(statement) and statement.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            steps = super().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            self.plans.setdefault(statement, set()).update(step[3] for step in steps)
        return super().execute(statement, parameters)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Statement → steps of its plan, of all that look for links by their accounts."""
    monkeypatch.setattr(Recording, "plans", {}, raising=False)
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recording))
    return Recording.plans


async def provisioned_again(world: World, names: Sequence[str]) -> None:
    """People of one group whose accounts are there before the job knows them, and then differ from what they should
    be."""
    people = [await world.add_user(name) for name in names]
    for person in people[1:]:
        await world.change_user(person, manager_id=people[0])
    await world.assign(await world.add_group("Team", *people))
    await world.run()
    await world.service.restart(world.job_id, "Full")
    await world.run()
    await world.application_change((await world.accounts())[names[1]]["id"], title="Changed")
    plan = await make_plan(world, Variation(is_drift=True))
    await apply(world, plan.number)


async def test_accounts_are_looked_up_one_by_one_and_not_among_all_of_the_job(
    plans: dict[str, set[str]], tmp_path: Path
) -> None:
    async with opened(tmp_path) as world:
        await provisioned_again(world, ["ada", "bea", "cid"])
    assert len(plans) >= 4, "a takeover, its references, and the survey of a drift check"
    assert {statement: steps for statement, steps in plans.items() if any(map(WHOLE_JOB.match, steps))} == {}
