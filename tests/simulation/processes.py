"""One process of the directory side: the real store, scheduler and engine, which can die or stall at any moment.

A moment is a request to the target or a write to the database, just before or just after it takes effect.
"""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Literal, Self, TypeVar

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.provisioning.client.exchange import Answer
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.client.tls import TlsMaterial
from joiner.provisioning.durable import PageRunner, run_pages
from joiner.provisioning.side import ProvisioningSide
from joiner.storage.sqlite import Database
from tests.simulation.scim_target import SimulatedTarget

End = Literal["dies", "stalls"]
NOWHERE = Path(tempfile.gettempdir(), "directory.db")
"""Where the file would be."""
T = TypeVar("T")


class Fate:
    """When a process is taken out, and how: `dies` for good, `stalls` until `resume`."""

    def __init__(self) -> None:
        self.is_out = False
        self.end: End = "dies"
        self.struck = asyncio.Event()
        self._left: int | None = None
        self._resumed = asyncio.Event()
        self._held: list[Callable[[], None]] = []

    def decree(self, end: End, moments: int) -> None:
        """Takes the process out after so many moments."""
        self.end, self._left = end, moments

    def passes(self, *, before_request: bool = False) -> bool:
        """Counts a moment; False from the one on at which the process is out.

        A process does not begin to stall with a request on its lips: what arrives at the target long after another
        process has gone on is beyond anybody's power.
        """
        if self._left is not None and not self.is_out:
            self._left -= 1
            if self._left <= 0 and not (before_request and self.end == "stalls"):
                self.is_out = True
                self.struck.set()
        return not self.is_out

    async def moment(self, *, before_request: bool = False) -> None:
        """Returns at once, after the stall, or never."""
        if not self.passes(before_request=before_request):
            await self._resumed.wait()

    def hold(self, action: Callable[[], None]) -> None:
        """Does it after the stall, or never."""
        self._held.append(action)

    def resume(self) -> None:
        self.is_out, self._left = False, None
        self.struck.clear()
        self._resumed.set()
        held, self._held = self._held, []
        for action in held:
            action()


class ProcessDatabase(Database):
    """The database as one process has it: written on the calling thread, as far as `fate` lets it.

    All processes share the connection. It is in memory: processes die here, machines do not.
    """

    def __init__(self, connection: sqlite3.Connection, fate: Fate, writers: "Writers | None" = None) -> None:
        self.path = NOWHERE
        self._connection = connection
        self._fate = fate
        self._writers = writers or Writers()

    @property
    def reader(self) -> sqlite3.Connection:
        return self._connection

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        done: Future[T] = Future()
        self._in_time(lambda: self._carry_out(work, done))
        return done

    def close(self) -> None:
        """The connection is the world's."""

    def _carry_out(self, work: Callable[[sqlite3.Connection], T], done: "Future[T]") -> None:
        connection = self._connection
        self._writers.now = self
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException as error:
            connection.execute("ROLLBACK")
            raised = error
            self._in_time(lambda: done.set_exception(raised))
        else:
            connection.execute("COMMIT")
            self._in_time(lambda: done.set_result(result))

    def _in_time(self, action: Callable[[], None]) -> None:
        if self._fate.passes():
            action()
        else:
            self._fate.hold(action)


class Writers:
    """Watches that no process commits anything of a job that another one has taken over since."""

    def __init__(self) -> None:
        self.now: ProcessDatabase | None = None
        self.stale: list[str] = []
        """What was written though it must not be."""
        self._fences: dict[ProcessDatabase | None, int] = {}

    def watch(self, connection: sqlite3.Connection) -> None:
        connection.create_function("note_fence", 1, self._note_fence)
        connection.create_function("note_write", 2, self._note_write)
        connection.executescript(WATCH)

    def _note_fence(self, fence: int) -> None:
        self._fences[self.now] = fence

    def _note_write(self, what: str, fence: int) -> None:
        held = self._fences.get(self.now)
        if held is not None and held != fence:
            self.stale.append(f"a worker with the fencing number {held} wrote to {what} when it was {fence}")


WATCH = """
CREATE TEMP TRIGGER watch_fence AFTER UPDATE OF fence ON job BEGIN SELECT note_fence(NEW.fence); END;
CREATE TEMP TRIGGER watch_cycle AFTER UPDATE ON cycle
BEGIN SELECT note_write('cycle', fence) FROM job WHERE id = NEW.job_id; END;
CREATE TEMP TRIGGER watch_link AFTER INSERT ON link
BEGIN SELECT note_write('link', fence) FROM job WHERE id = NEW.job_id; END;
CREATE TEMP TRIGGER watch_intent AFTER INSERT ON intent
BEGIN SELECT note_write('intent', fence) FROM job WHERE id = NEW.job_id; END;
"""


class SimulatedExchange:
    """The way from one process to the target."""

    def __init__(self, target: SimulatedTarget, fate: Fate, seconds: float) -> None:
        self._target = target
        self._fate = fate
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to close."""

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        await self._fate.moment(before_request=True)
        try:
            answer = await self._target.answer(method, path, headers, body, self._seconds)
        except TargetError:
            await self._fate.moment()
            raise
        await self._fate.moment()
        return answer


class TaskEngine:
    """Cycles as tasks. What a dead process leaves behind, the next one finds in the database."""

    def __init__(self) -> None:
        self.runner: PageRunner | None = None
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """`ProvisioningSide.start` goes on with every cycle that runs."""

    async def run(self, cycle_id: str) -> None:
        assert self.runner is not None
        if cycle_id not in self.tasks:
            # One page begins while the one before it is sent and committed.
            run_some = partial(self.runner.run_pages, goes_on=lambda: True)
            self.tasks[cycle_id] = asyncio.create_task(
                run_pages(self.runner, cycle_id, run_some, self.runner.drop_some)
            )

    async def stop(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    @property
    def under_way(self) -> list[asyncio.Task[None]]:
        return [task for task in self.tasks.values() if not task.done()]

    @property
    def errors(self) -> list[BaseException]:
        """What ended tasks, though nothing should."""
        ended = [task for task in self.tasks.values() if task.done() and not task.cancelled()]
        return [error for task in ended if (error := task.exception()) is not None]


class Process:
    """Use `side` and `directory` as a program would; `start` runs the scheduler and the cycles."""

    def __init__(
        self, connection: sqlite3.Connection, clock: Clock, target: SimulatedTarget, rng: Random, writers: Writers
    ) -> None:
        self.fate = Fate()
        self.db = ProcessDatabase(connection, self.fate, writers)
        self.directory = DirectoryStore(self.db, clock)
        self.engine = TaskEngine()

        def connect(base_url: str, *, query: str, tls: TlsMaterial, seconds: float) -> SimulatedExchange:
            return SimulatedExchange(target, self.fate, seconds)

        self.side = ProvisioningSide(
            self.db,
            self.directory,
            engine_path=Path(),
            secret_key=bytes(32),
            allow_loopback=True,
            allow_private=False,
            clock=clock,
            jitter=rng.random,
            connect=connect,
            engine=self.engine,
        )
        self.engine.runner = self.side.runner

    async def start(self) -> None:
        await self.side.start()

    async def rest(self) -> None:
        """Returns when no cycle runs, or the process is out."""
        struck = asyncio.create_task(self.fate.struck.wait())
        while not self.fate.is_out and (tasks := self.engine.under_way):
            await asyncio.wait([*tasks, struck], return_when=asyncio.FIRST_COMPLETED)
        struck.cancel()

    async def stop(self) -> None:
        """The process ends where it stands; nothing of it goes on."""
        await self.side.stop()
