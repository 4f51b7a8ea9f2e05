"""One simulated installation: a directory in a file, an administrator, the processes of the engine, and the target."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from joiner.clock import to_iso
from joiner.directory import applications
from joiner.ids import derived_id
from joiner.provisioning.document.text import write_document
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.job.schema_versions import save_schema
from joiner.provisioning.job.templates import GENERIC
from tests.simulation.conditions import Conditions
from tests.simulation.faults import Weather
from tests.simulation.guard import DEFAULT, GuardWatch
from tests.simulation.intention import Comparison, Intention, Person
from tests.simulation.job_schema import schema_document
from tests.simulation.processes import Process, Writers
from tests.simulation.scim_target import Effect, SimulatedTarget
from tests.simulation.virtual_time import VirtualClock

URL = "http://127.0.0.1:9/scim"
RECYCLE_BIN = timedelta(days=30)
EXCUSES = {
    "lost update": ("updates",),
    "lost members": ("members",),
    "lost delete": ("deletes", "kept members"),
    "accidents": ("updates",),
}
"""Silent fault → what cannot be as it should until somebody looks for it."""

T = TypeVar("T")


class World:
    """Call `open` first. What happens is told to `story`, a line each."""

    def __init__(self, rng: Random, conditions: Conditions, connection: sqlite3.Connection) -> None:
        self.rng = rng
        self.connection = connection
        self.conditions = conditions
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.story: list[str] = []
        traits = conditions.traits
        self.intention = Intention(
            conditions.sync_all,
            conditions.skips_out_of_scope,
            soft_deletes=traits.soft_deletes,
            accounts_vanish=conditions.has_accidents or not traits.soft_deletes,
        )
        self.weather = Weather(rng, conditions.rates)
        self.target = SimulatedTarget(rng, self.clock, traits, self.weather, self.tell)
        self.writers = Writers()
        self.writers.watch(connection)
        self.admin = Process(connection, self.clock, self.target, rng, self.writers)
        """The service and the directory as an administrator uses them; it runs no cycle."""
        self.process = self.admin
        """The process whose scheduler runs now."""
        self.assignments: dict[str, str] = {}
        self.free_names: set[str] = set()
        self.principal_id = ""
        self.job_id = ""
        self.errors: list[str] = []
        limits = conditions.guard or (DEFAULT if conditions.mode == "improved" else None)
        self.guard = GuardWatch(limits, conditions.mode == "improved", self.target, self._complain)
        self.target.on_effect = self._note_effect
        self.target.cycle_now = self._cycle_now
        self.has_rejected = False
        """Deletions that were held back are forgotten until an initial cycle."""
        self.excuses = frozenset(excuse for name in conditions.loses for excuse in EXCUSES[name])
        self.reported: frozenset[str] = frozenset()
        """Ids of accounts that a look at the application has named as managed by nobody."""
        self._numbers = 0

    async def open(self) -> None:
        """Adds the application and its job, and starts a process."""
        principal = self.change(lambda c, now: applications.add_service_principal(c, "custom", "Target", now))
        self.principal_id = principal.id
        pairs = {"BaseAddress": URL + self.conditions.dialect, "SecretToken": self.target.token}
        options = {"SyncAll": self.conditions.sync_all, "SkipOutOfScopeDeletions": self.conditions.skips_out_of_scope}
        pairs |= {name: "True" for name, is_set in options.items() if is_set}
        service = self.admin.side.service
        await service.connections.put_credentials(principal.id, list(pairs.items()))
        self.job_id = (await service.create_job(principal.id, GENERIC)).id
        text = write_document(self.schema_document())
        # Not through the service: its checks of the document would take most of the time. Edits go through them.
        self.change(lambda c, now: save_schema(c, self.job, text, "replaced", self.clock(), reevaluates=False))
        await service.connections.change_profile(self.job_id, self.conditions.profile)
        await service.change_settings(self.job_id, list(self.conditions.settings.items()))
        await service.start(self.job_id)
        await self.start_process()

    async def start_process(self) -> None:
        """A new process takes over."""
        self.process = Process(self.connection, self.clock, self.target, self.rng, self.writers)
        await self.process.start()

    async def close(self) -> None:
        if self.process is not self.admin:
            await self.process.stop()

    # For events

    def tell(self, text: str) -> None:
        self.story.append(f"{self.clock():%d %H:%M:%S} {text}")

    def change(self, work: Callable[[sqlite3.Connection, str], T]) -> T:
        """Changes the directory at once."""
        return self.admin.db.write_now(lambda connection: work(connection, to_iso(self.clock())))

    def some(self, choices: Sequence[T]) -> T | None:
        return self.rng.choice(choices) if choices else None

    def new_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def new_id(self, kind: str) -> str:
        # Ids decide the order of objects in a cycle: it shall not be that of their creation.
        return derived_id(kind, str(self.new_number()), str(self.rng.random()))[:8]

    def taken_over_name(self) -> str | None:
        """A name that somebody else had before, now and then."""
        return self.some(sorted(self.free_names)) if self.rng.random() < 0.2 else None

    def named(self, id_: str | None) -> str:
        intention = self.intention
        found = intention.people.get(id_ or "") or intention.teams.get(id_ or "")
        return found.name if found else str(id_)

    def forget(self, person: Person) -> None:
        """What a purge takes with it."""
        person.is_purged = True
        self.intention.assigned.discard(person.id)
        for other in self.intention.people.values():
            if other.manager == person.id:
                other.manager = None
        for team in self.intention.teams.values():
            team.members.discard(person.id)

    def notice_purges(self) -> None:
        """Whoever lay in the recycle bin for 30 days is gone, and nobody before (REQ-P-102)."""
        rows = self.connection.execute("SELECT id FROM user WHERE deleted_at IS NOT NULL")
        binned = {row[0] for row in rows}
        for person in self.intention.people.values():
            if person.deleted_at is None or person.is_purged:
                continue
            lain = self.clock() - person.deleted_at
            if person.id not in binned:
                if lain < RECYCLE_BIN:
                    self.errors.append(f"{person.name} was purged after {lain}")
                self.tell(f"{person.name} has been purged by the recycle bin")
                self.forget(person)

    # The job

    def schema_document(self) -> dict[str, Any]:
        """As the administrator wants it now."""
        document = schema_document(self.intention.title_from, self.intention.department)
        return {**document, "id": self.job_id}

    @property
    def job(self) -> jobs.Job:
        return jobs.job_by_id(self.connection, self.job_id)

    def last_cycle(self) -> cycles.Cycle | None:
        return cycles.last_cycle(self.connection, self.job_id, cycles.ENDED)

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self.connection.execute(sql, values).fetchall()

    async def run(self, step: timedelta) -> None:
        """Sets the clock forward, and lets the process do what is then due."""
        self.clock.jump(step)
        # The scheduler looks at the clock once a minute, whatever it expects.
        await asyncio.sleep(61)
        await self.process.rest()
        self.notice_purges()
        self.intention.note()

    def compare(self, excuses: AbstractSet[str]) -> Comparison:
        return Comparison(self.intention, self.target, self.excuses | excuses, self.reported)

    def _complain(self, text: str) -> None:
        self.tell(text)
        self.errors.append(text)

    def _cycle_now(self) -> str | None:
        rows = self.rows("SELECT id FROM cycle WHERE state = 'running'")
        return rows[0][0] if rows else None

    def _note_effect(self, effect: Effect) -> None:
        # What was under way when another process took over may arrive after the cycle has ended.
        cycle_id = effect.request.cycle
        if cycle_id is not None and self.guard.limits is not None:
            self.guard.note_managed(cycle_id, self.rows("SELECT count(*) FROM link WHERE is_managed")[0][0])
            self.guard.note(effect, cycle_id)
