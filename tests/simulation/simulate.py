"""Runs one seed: draws a world, lets things happen to it, then calms it down and compares it with the intention."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import structlog

from joiner.directory import store as directory_store
from joiner.provisioning import cycle, objects, references, side, sources
from joiner.storage.sqlite import Database
from tests.simulation.events import DIRECTORY_EVENTS, found_team, join
from tests.simulation.faults import FAULTS
from tests.simulation.job_events import JOB_EVENTS, renew_token, restart, start
from tests.simulation.scim_target import Traits
from tests.simulation.virtual_time import StuckError, VirtualLoop
from tests.simulation.world import Conditions, World

STEPS: Final = (timedelta(minutes=1), timedelta(minutes=41), timedelta(hours=3), timedelta(hours=14))
DAY: Final = timedelta(hours=25)
CALM_CYCLES: Final = 6
DIALECTS: Final = ("", "?aadOptscim062020", "?AzureAdScimPatch2017")


@dataclass(slots=True)
class Outcome:
    """How a seed went: `problems` are the sentences that should not have been said."""

    seed: int
    problems: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


def simulate(seed: int) -> Outcome:
    """Runs the seed's world to its end, the same every time."""
    outcome = Outcome(seed)
    loop = VirtualLoop()
    with closing(_database()) as connection, structlog.testing.capture_logs() as logs:
        try:
            loop.run_until_complete(_live(seed, connection, outcome))
        except StuckError as error:
            outcome.problems.append(f"the world stands still: {error}")
        finally:
            loop.abandon()
    outcome.problems += [f"the log says: {log}" for log in logs if log["log_level"] in ("error", "critical")]
    return outcome


async def _live(seed: int, connection: sqlite3.Connection, outcome: Outcome) -> None:
    await _Run(seed, connection, outcome).run()


class _Run:
    def __init__(self, seed: int, connection: sqlite3.Connection, outcome: Outcome) -> None:
        self.rng = Random(seed)
        self.outcome = outcome
        self.world = World(self.rng, draw_conditions(self.rng), connection)
        self.outcome.story = self.world.story

    async def run(self) -> None:
        pages = {
            "OBJECTS_PER_PAGE": self.rng.choice((2, 3, 5, 100)),
            "REFERENCES_PER_PAGE": self.rng.choice((2, 5, 1000)),
            "MEMBERS_PER_REQUEST": min(
                self.rng.choice((1, 2, 100)), self.world.conditions.traits.members_per_operation
            ),
        }
        self.world.tell(f"conditions: {self.world.conditions}, {pages}")
        with small_pages(pages):
            try:
                await self.world.open()
                await self.live()
                await self.calm_down()
            finally:
                await self.world.close()

    async def live(self) -> None:
        """Things happen between cycles, in them, and to the processes that run them."""
        rng, world = self.rng, self.world
        world.target.on_request = self._maybe_meanwhile
        for _ in range(rng.randint(2, 7)):
            self.happen(join)
        for _ in range(rng.randint(0, 3)):
            self.happen(found_team)
        for _ in range(rng.randint(2, 8)):
            for _ in range(rng.choice((0, 1, 2, 3, 6))):
                self.happen(_drawn(rng, DIRECTORY_EVENTS))
            if rng.random() < 0.25:
                await self.administrate(_drawn(rng, JOB_EVENTS))
            if rng.random() < 0.3:
                world.process.fate.decree(rng.choice(("dies", "dies", "stalls")), rng.randint(1, 60))
            await world.run(rng.choice(STEPS))
            self._check_always()
            if world.process.fate.is_out:
                await self.replace_process()
        world.target.on_request = lambda: None

    async def replace_process(self) -> None:
        """Another process takes over; if the old one only stalled, it comes back meanwhile."""
        world, old = self.world, self.world.process
        world.tell(f"the process {old.fate.end}")
        if old.fate.end == "dies":
            await old.stop()
            await world.start_process()
            await world.run(timedelta())
            return
        await world.start_process()
        if self.rng.random() < 0.5:
            await world.run(timedelta())
        world.tell("the old process comes back")
        old.fate.resume()
        await old.rest()
        await world.run(timedelta())
        # Nobody yet takes over what a process leaves behind while another one lives.
        await old.rest()
        world.tell("the old process ends")
        await old.stop()

    async def calm_down(self) -> None:
        """The faults stop. After enough cycles everything must be as intended, and stay so without a write."""
        world = self.world
        world.tell("the target is fair from now on")
        world.weather.is_fair = True
        if world.process.fate.is_out:
            await self.replace_process()
        world.process.fate.decree("dies", 10**9)
        await self.administrate(renew_token)
        await self.administrate(start)
        for _ in range(CALM_CYCLES):
            await world.run(DAY)
        self._check_always()
        if not world.conditions.loses:
            self._compare("after incremental cycles")
            self.outcome.problems += self._left_over()
        await self.administrate(restart)
        await world.run(timedelta(hours=1))
        self._compare("after an initial cycle")
        for kind in ("incremental", "initial"):
            if kind == "initial":
                await self.administrate(restart)
            before = len(world.target.writes)
            await world.run(timedelta(hours=1))
            written = [str(request) for request in world.target.writes[before:]]
            if written and not world.rows("SELECT 1 FROM escrow WHERE error_code = 'Conflict'"):
                self.outcome.problems.append(f"an {kind} cycle with nothing to do wrote {written}")
        self._check_always()

    # Events

    def happen(self, event: Any) -> None:
        world = self.world
        world.notice_purges()
        told = event(world)
        if told is not None:
            world.tell(told)
            world.intention.note()

    async def administrate(self, event: Any) -> None:
        self.world.tell(await event(self.world))
        self.world.intention.note()

    def _maybe_meanwhile(self) -> None:
        """In the middle of a cycle, now and then."""
        if self.rng.random() < 0.03:
            self.happen(_drawn(self.rng, DIRECTORY_EVENTS))

    # Checks

    def _compare(self, when: str) -> None:
        self.outcome.problems += [f"{when}: {text}" for text in self.world.compare().differences()]

    def _check_always(self) -> None:
        world = self.world
        problems = self.outcome.problems
        problems += [text for text in world.compare().unsafe() if text not in problems]
        problems += [f"a task ended with {error!r}" for error in world.process.engine.errors]
        problems += world.errors
        world.errors.clear()
        for row in world.rows("SELECT id, state, error FROM cycle WHERE error LIKE '%InternalError%'"):
            problems.append(f"the cycle {row['id']} failed: {row['error']}")

    def _left_over(self) -> list[str]:
        """What the engine still means to do. A name that two people have is left to an administrator."""
        world = self.world
        blocked = ("Conflict", "DuplicateSourceEntries")
        escrows = [row for row in world.rows("SELECT * FROM escrow") if row["error_code"] not in blocked]
        return [
            *(f"{world.named(r['source_id'])} is in escrow: {r['error_code']}: {r['reason']}" for r in escrows),
            *(f"still pending: {tuple(r)}" for r in world.rows("SELECT * FROM pending_reference")),
            *(f"still running: {tuple(r)}" for r in world.rows("SELECT id FROM cycle WHERE state = 'running'")),
        ]


def draw_conditions(rng: Random) -> Conditions:
    """Many worlds have few faults each, and a few have all of them."""
    names = [name for name in FAULTS if not FAULTS[name].is_silent]
    chosen = rng.sample(names, rng.choice((0, 1, 2, 3, 5, len(names))))
    strength = rng.choice((0.02, 0.05, 0.15)) if len(chosen) <= 3 else rng.choice((0.005, 0.015, 0.03))
    rates = dict.fromkeys(chosen, strength)
    if rng.random() < 0.15:
        rates[rng.choice(("lost update", "lost members"))] = 0.1
    permits_duplicates = rng.random() < 0.3
    if permits_duplicates:
        rates.pop("race", None)
    traits = Traits(
        permits_duplicates=permits_duplicates,
        ignores_exclusion=rng.random() < 0.3,
        folds_names=rng.random() < 0.3,
        answers_patch_with_body=rng.random() < 0.3,
        hidden_seconds=0.0 if permits_duplicates else rng.choice((0, 0, 0, 2, 30)),
        keeps_dangling_members=rng.random() < 0.3,
        members_per_operation=rng.choice((1, 1000)),
    )
    dialect = rng.choice(DIALECTS)
    return Conditions(
        traits=traits,
        rates=rates,
        dialect=dialect,
        sync_all=rng.random() < 0.15,
        skips_out_of_scope=rng.random() < 0.2,
    )


def _drawn(rng: Random, table: tuple[tuple[int, Any], ...]) -> Any:
    return rng.choices([event for _, event in table], [weight for weight, _ in table])[0]


@contextmanager
def small_pages(sizes: dict[str, int]) -> Iterator[None]:
    """Pages of a few objects, so that small worlds have many."""
    patches = [
        patch.object(module, name, size)
        for name, size in sizes.items()
        for module in (cycle, objects, references, sources)
        if hasattr(module, name)
    ]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def _database() -> sqlite3.Connection:
    """An empty directory with an engine, in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    connection.row_factory = sqlite3.Row
    connection.deserialize(_empty_database())
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        database = Database(path, {"directory": directory_store.MIGRATIONS, "provisioning": side.MIGRATIONS})
        database.close()
        with closing(sqlite3.connect(path)) as connection:
            # What is in memory has no file to write ahead to.
            connection.execute("PRAGMA journal_mode = DELETE")
        return path.read_bytes()
