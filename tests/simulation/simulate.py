"""Runs one seed: draws a world, lets things happen to it, then calms it down and compares it with the intention."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import structlog

from joiner.directory import store as directory_store
from joiner.provisioning import side
from joiner.provisioning.cycle import objects, phases, references, sources
from joiner.provisioning.job import cycles
from joiner.provisioning.planning.overlay import Variation
from joiner.provisioning.plans.plans import Plan
from joiner.storage.sqlite import Database
from tests.simulation.conditions import draw_conditions
from tests.simulation.events import ACCIDENTS, DIRECTORY_EVENTS, found_team, join
from tests.simulation.facts import Fact
from tests.simulation.job_events import (
    GUARD_EVENTS,
    JOB_EVENTS,
    allow_all_deletes,
    forget_links,
    renew_token,
    restart,
    run_now,
    start,
)
from tests.simulation.plans import (
    VARIATIONS,
    Comparing,
    begin_to_apply,
    is_blocked_by_names,
    is_free_of_changes,
    items_of,
    make_plan,
    scratch_databases,
    unmanaged_accounts,
)
from tests.simulation.records import false_records, is_blocked, unfinished_work, unlogged_objects, unlogged_writes
from tests.simulation.virtual_time import StuckError, VirtualLoop
from tests.simulation.world import World

STEPS: Final = (timedelta(minutes=1), timedelta(minutes=41), timedelta(hours=3), timedelta(hours=14))
DAY: Final = timedelta(hours=25)
CALM_CYCLES: Final = 6
MOST_STEPS: Final = 8


@dataclass(slots=True)
class Outcome:
    """How a seed went: `problems` are the sentences that should not have been said."""

    seed: int
    problems: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


def simulate(seed: int, unfilterable: frozenset[str] = frozenset(), steps: int = MOST_STEPS) -> Outcome:
    """Runs the seed's world to its end, the same every time; it is calm after so many steps.

    With attributes that the target cannot filter by nothing is expected of it but to leave alone what is not the job's.
    """
    outcome = Outcome(seed)
    loop = VirtualLoop()
    with closing(_database()) as connection, structlog.testing.capture_logs() as logs:
        try:
            loop.run_until_complete(_live(seed, unfilterable, steps, connection, outcome))
        except StuckError as error:
            outcome.problems.append(f"the world stands still: {error}")
        finally:
            loop.abandon()
    outcome.problems += [f"the log says: {log}" for log in logs if log["log_level"] in ("error", "critical")]
    return outcome


async def _live(
    seed: int, unfilterable: frozenset[str], steps: int, connection: sqlite3.Connection, outcome: Outcome
) -> None:
    rng = Random(seed)
    drawn = draw_conditions(rng)
    conditions = replace(drawn, traits=replace(drawn.traits, unfilterable=unfilterable))
    await _Run(rng, World(rng, conditions, connection), steps, outcome).run()


class _Run:
    def __init__(self, rng: Random, world: World, steps: int, outcome: Outcome) -> None:
        self.rng = rng
        self.world = world
        self.steps = steps
        self.outcome = outcome
        outcome.story = world.story

    async def run(self) -> None:
        conditions = self.world.conditions
        self.world.tell(str(conditions))
        sizes = {
            "OBJECTS_PER_PAGE": conditions.objects_per_page,
            "REFERENCES_PER_PAGE": conditions.references_per_page,
        }
        with small_pages(sizes), scratch_databases(self.world.connection):
            try:
                await self.world.open()
                await self.live()
                if not conditions.traits.unfilterable:
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
        for _ in range(min(rng.randint(2, MOST_STEPS), self.steps)):
            for _ in range(rng.choice((0, 1, 2, 3, 6))):
                self.happen(_drawn(rng, DIRECTORY_EVENTS))
            if world.conditions.has_accidents and rng.random() < 0.5:
                self.happen(rng.choice(ACCIDENTS))
            if rng.random() < 0.25:
                await self.administrate(_drawn(rng, JOB_EVENTS))
            if rng.random() < 0.5 and world.admin.side.service.removals.staged(world.job_id):
                await self.administrate(_drawn(rng, GUARD_EVENTS))
            if rng.random() < 0.3:
                self._strike()
            await world.run(rng.choice(STEPS))
            self._check_always()
            if world.process.fate.is_out:
                await self.replace_process()
            if rng.random() < 0.1:
                await self.plan()
        world.target.on_request = lambda: None

    def _strike(self) -> None:
        """The process will be taken out soon."""
        traits = self.world.conditions.traits
        # A stalled process that was about to repeat a create makes a duplicate where those are permitted, and one that
        # was about to write a whole resource writes what it once was, unless there are versions.
        can_stall = not traits.permits_duplicates and (traits.updates == "patch" or traits.has_versions)
        stalls = self.rng.random() < 0.3 and can_stall
        self.world.process.fate.decree("stalls" if stalls else "dies", self.rng.randint(1, 60))

    async def plan(self) -> None:
        """A plan is made, and carried out, or followed by the cycle that it foretells."""
        rng, world = self.rng, self.world
        if cycles.running_cycle(world.connection, world.job_id) is not None:
            return
        world.process.fate.decree("dies", 10**9)
        meanwhile, world.target.on_request = world.target.on_request, lambda: None
        world.weather.is_fair = rng.random() < 0.7
        # What is not shown yet looks as if it were gone.
        await asyncio.sleep(world.conditions.traits.hidden_seconds)
        plan = await make_plan(world, rng.choice(VARIATIONS))
        if plan is not None:
            comparing = Comparing(world, plan)
            before = world.intention.states()
            number = rng.choice((0, 0, 1, 3))
            for _ in range(number):
                self.happen(_drawn(rng, DIRECTORY_EVENTS))
            after = world.intention.states()
            edited = {id_ for id_, state in after.items() if before.get(id_) != state}
            is_fair = world.weather.is_fair and not world.conditions.traits.hidden_seconds
            if plan.kind != "drift" and rng.random() < 0.4:
                # Of what is as it was an incremental cycle looks at more than the plan has, if it was touched since.
                is_calm = is_fair and not edited and (plan.kind == "initial" or not number)
                await self._run_what_was_planned(plan, comparing, is_calm=is_calm)
            else:
                await self._apply(plan, comparing, edited if is_fair else None)
        world.weather.is_fair = False
        world.target.on_request = meanwhile
        self._check_always()

    async def _run_what_was_planned(self, plan: Plan, comparing: Comparing, *, is_calm: bool) -> None:
        world = self.world
        if plan.kind == "initial" and world.job.watermark is not None:
            await self.administrate(restart)
        else:
            await self.administrate(run_now)
        await world.run(timedelta())
        cycle = world.last_cycle()
        assert cycle is not None
        planned, sent = comparing.planned(), comparing.sent(cycle.id)
        if is_calm and planned != sent:
            self._complain(f"{plan.kind} plan {plan.number}", planned, sent)

    async def _apply(self, plan: Plan, comparing: Comparing, edited: set[str] | None) -> None:
        """`edited`: what has changed since the plan was made; None: the target is not to be relied on."""
        rng, world = self.rng, self.world
        held_items = items_of(world, plan)
        some = rng.random() < 0.3
        chosen = [id_ for id_ in sorted(held_items) if rng.random() < 0.6] if some else None
        allow_deletes = rng.random() < 0.5
        cycle = await begin_to_apply(world, plan, chosen, allow_deletes=allow_deletes)
        if cycle is None:
            return
        if rng.random() < 0.3:
            self._strike()
        await world.process.rest()
        if world.process.fate.is_out:
            await self.replace_process()
        world.process.fate.decree("dies", 10**9)
        ended = cycles.cycle_by_id(world.connection, cycle.id)
        if ended.state == "running":
            self.outcome.problems.append(f"the cycle of plan {plan.number} does not end")
        planned, sent = comparing.planned(), comparing.sent(cycle.id)
        items = items_of(world, plan)
        held = self._held_facts(plan, items) if allow_deletes else ()
        beyond = sorted(sent - planned - comparing.written_back(cycle.id))
        if surplus := [fact for fact in beyond if not f"{fact} ".casefold().removeprefix("delete ").startswith(held)]:
            self.outcome.problems.append(f"plan {plan.number} did not name {sorted(surplus)}")
        if ended.state in ("succeeded", "entry_level_errors") and edited is not None:
            for id_, row in items.items():
                if row["state"] == "refused" and id_ not in edited:
                    problem = f"plan {plan.number} was refused for {id_}, which had not changed: {row['reason']}"
                    self.outcome.problems.append(problem)
            is_whole = chosen is None and not edited and not held
            is_whole &= not any(row["is_held"] for row in items.values())
            if is_whole and planned != sent and not ended.counts.get("escrowed"):
                self._complain(f"the carrying out of {plan.kind} plan {plan.number}", planned, sent)
        if left := [id_ for id_, row in items.items() if row["state"] == "chosen"]:
            self.outcome.problems.append(f"plan {plan.number} has ended and not dealt with {left}")

    def _held_facts(self, plan: Plan, items: Mapping[str, sqlite3.Row]) -> tuple[str, ...]:
        """How the facts begin that the guard holds back, folded: a plan names no requests of them. Of an object that
        the plan changes in other ways only some members may be held back."""
        sql = "SELECT source_id, related_id FROM plan_reference WHERE number = ? AND verb = 'held'"
        objects = (f"/{row['object_type']}s/{row['source_id']} " for row in items.values() if row["is_held"])
        members = (f"/Groups/{group} remove member {member} " for group, member in self.world.rows(sql, plan.number))
        return tuple(begin.casefold() for begin in (*objects, *members))

    def _complain(self, what: str, planned: set[Fact], sent: set[Fact]) -> None:
        lacking, surplus = sorted(planned - sent), sorted(sent - planned)
        self.outcome.problems.append(f"{what} is not what was sent: it lacks {surplus}, and has beyond {lacking}")

    async def replace_process(self) -> None:
        """Another process takes over; if the old one only stalled, it comes back meanwhile."""
        world, old = self.world, self.world.process
        world.tell(f"the process {old.fate.end}")
        # What was made a moment ago, and is not shown yet, cannot be told from what was not made.
        await asyncio.sleep(world.conditions.traits.hidden_seconds)
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
        if self.rng.random() < 0.3:
            # For a while both have schedulers, and take each other's cycles over.
            await world.run(self.rng.choice(STEPS))
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
            await self._answer_guard()
            if self._is_done():
                break
        self._check_always()
        if not world.conditions.loses and not world.has_rejected:
            waits = {"late references"} if world.conditions.mode == "entra" else set()
            self._compare("after incremental cycles", waits)
            self.outcome.problems += unfinished_work(world)
        await self.administrate(restart)
        await world.run(timedelta(hours=1))
        self.outcome.problems += unlogged_objects(world)
        await self._answer_guard()
        if world.conditions.loses:
            # Of what was found some is in the way of the rest, or not shown yet.
            for _ in range(2):
                await world.run(DAY)
                await self._answer_guard()
        elif self._waits_for_a_name():
            await world.run(DAY)
        # What was lost in silence an initial cycle finds, but for what it does not look at.
        world.excuses -= {"updates"}
        self._compare("after an initial cycle", set())
        if world.conditions.loses or self.rng.random() < 0.1:
            await self.repair()
        await self._expect_silence("incremental")
        await self.administrate(restart)
        await self._expect_silence("initial")
        self._check_always()
        self.outcome.problems += unlogged_writes(world)

    async def repair(self) -> None:
        """A look at the whole application finds the rest: members, and accounts that are gone. What it cannot put right
        it tells."""
        world = self.world
        plan = await make_plan(world, Variation(is_drift=True))
        if plan is None:
            self.outcome.problems.append("the application cannot be looked at")
            return
        assert plan.summary is not None
        world.reported = unmanaged_accounts(world, plan)
        items = {id_: row for id_, row in items_of(world, plan).items() if row["action"] != "failure"}
        if items:
            if not world.conditions.loses and not is_blocked(world):
                self.outcome.problems.append(f"drift where nothing was lost: {[*items]}")
            cycle = await begin_to_apply(world, plan, None, allow_deletes=True)
            assert cycle is not None
            await world.process.rest()
            # What was made a moment ago is not found yet, neither here nor by the cycle that goes on with it.
            for _ in range(2):
                await world.run(DAY)
        if plan.summary["drift"]["groupsWithoutReadableMembers"]:
            # It does not say whether they have members: all of them are written again.
            await self.administrate(forget_links)
            for _ in range(2):
                await world.run(timedelta(hours=1))
                await self._answer_guard()
        # What is not listed and belongs to nobody cannot be named.
        hides = world.conditions.traits.lists in ("not", "not all", "twice")
        world.excuses = world.excuses & {"deletes"} if hides else frozenset()
        for person in world.intention.people.values():
            person.is_vandalised = False
        self._compare("after a look at the whole application", set())
        again = await make_plan(world, Variation(is_drift=True))
        is_clean = again is not None and (is_free_of_changes(again) or is_blocked_by_names(world, again))
        if not is_clean and not is_blocked(world):
            self.outcome.problems.append("there is drift after everything was repaired")

    async def _answer_guard(self) -> None:
        """Whatever is held back is allowed, until nothing is."""
        world = self.world
        for _ in range(CALM_CYCLES):
            if not world.admin.side.service.removals.staged(world.job_id):
                return
            await self.administrate(allow_all_deletes)
            # Who is deleted is still the manager of others until the next cycle.
            for _ in range(2):
                await world.run(timedelta(hours=1))

    async def _expect_silence(self, kind: str) -> None:
        world = self.world
        before = len(world.target.writes)
        await world.run(timedelta(hours=1))
        written = [str(request) for request in world.target.writes[before:]]
        if written and not is_blocked(world):
            self.outcome.problems.append(f"an {kind} cycle with nothing to do wrote {written}")

    def _is_done(self) -> bool:
        """A cycle found nothing to do, and nothing is left over."""
        cycle = self.world.last_cycle()
        is_quiet = cycle is not None and cycle.state == "succeeded" and not cycle.counts.get("exports")
        return is_quiet and not any(unfinished_work(self.world)) and not self._waits_for_a_name()

    def _waits_for_a_name(self) -> bool:
        """Somebody's name was taken and has become free, which is found out by the next try: within a day."""
        return is_blocked(self.world) and any(self.world.compare(set()).differences())

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

    def _compare(self, when: str, excuses: set[str]) -> None:
        self.outcome.problems += [f"{when}: {text}" for text in self.world.compare(excuses).differences()]

    def _check_always(self) -> None:
        world = self.world
        problems = self.outcome.problems
        problems += [text for text in world.compare(set()).unsafe() if text not in problems]
        problems += [f"a task ended with {error!r}" for error in world.process.engine.errors]
        for found in (world.errors, world.writers.stale):
            problems += found
            found.clear()
        problems += false_records(world)


def _drawn(rng: Random, table: tuple[tuple[int, Any], ...]) -> Any:
    return rng.choices([event for _, event in table], [weight for weight, _ in table])[0]


@contextmanager
def small_pages(sizes: dict[str, int]) -> Iterator[None]:
    """Pages of a few objects, so that small worlds have many."""
    patches = [
        patch.object(module, name, size)
        for name, size in sizes.items()
        for module in (objects, phases, references, sources)
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
