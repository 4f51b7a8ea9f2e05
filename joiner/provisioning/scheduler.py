"""What the engine does by itself: it begins the cycles that are due, goes on with looks for drift, sends e-mails, asks
membership rules about everybody, and removes what is too old."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from joiner.clock import Clock, from_iso, to_iso
from joiner.directory.store import DirectoryStore
from joiner.provisioning.job import cycles, jobs
from joiner.provisioning.notifications.outbox import Outbox
from joiner.provisioning.notifications.outbox import next_due as next_mail
from joiner.provisioning.planning.drift_checks import DriftChecks
from joiner.provisioning.retention import Retention
from joiner.storage.sqlite import Database

SHORTEST_SLEEP: Final = 0.05
LONGEST_SLEEP: Final = 60.0
"""Seconds after which the scheduler looks again, whatever it expects: the clock may have been set."""
PURGE_INTERVAL: Final = timedelta(hours=1)

log = structlog.get_logger(__name__)


class Wakeup:
    """Ends the sleep of the scheduler. May be called from any thread; before it has started, nothing happens."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    def start(self) -> None:
        """From now on calls count."""
        self._loop = asyncio.get_running_loop()

    def reset(self) -> None:
        """Calls before this one are forgotten: what they were about is looked at now."""
        self._event.clear()

    async def wait(self, seconds: float) -> None:
        """Returns after a call, or when so many seconds have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class Scheduler:
    """Looks what is due, then sleeps until the next thing is, or `wakeup` is called. `run_cycle` begins a cycle."""

    def __init__(
        self,
        db: Database,
        directory: DirectoryStore,
        clock: Clock,
        run_cycle: Callable[[str], Awaitable[None]],
        drift_checks: DriftChecks,
        outbox: Outbox,
        retention: Retention,
        wakeup: Wakeup,
    ) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        self._run_cycle = run_cycle
        self._drift_checks = drift_checks
        self.outbox = outbox
        self._retention = retention
        self._wakeup = wakeup
        self._scheduling: asyncio.Task[None] | None = None
        self._mailing: asyncio.Task[None] | None = None
        self._evaluating: asyncio.Task[None] | None = None
        self._purged: datetime | None = None

    def start(self) -> None:
        """Schedules from now on, in the running event loop."""
        self._wakeup.start()
        self._scheduling = asyncio.create_task(self._schedule_forever(), name="scheduler")

    async def stop(self) -> None:
        """Breaks off what is under way; cycles are not."""
        for task in (self._scheduling, self._mailing, self._evaluating):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def begin_due_cycles(self) -> list[str]:
        """Begins a cycle of every job whose time has come and returns their ids."""
        begun = []
        for job_id in jobs.due_jobs(self._db.reader, self._clock()):
            position = self._directory.feed_position()
            cycle = await self._db.write(
                lambda connection, job_id=job_id, position=position: cycles.begin_cycle(  # type: ignore[misc] # defaults bind the loop's values
                    connection, job_id, position, self._clock()
                )
            )
            await self._run_cycle(cycle.id)
            begun.append(cycle.id)
        return begun

    async def _schedule_forever(self) -> None:
        while True:
            self._wakeup.reset()
            try:
                await self.begin_due_cycles()
                await self._drift_checks.advance()
                self._send_mail()
                self._evaluate_rules()
                await self._purge()
            except Exception:
                # The scheduler must outlive a full disk or a locked file; the next round tries again.
                log.exception("scheduling failed")
            await self._wakeup.wait(self._seconds_to_next())

    def _seconds_to_next(self) -> float:
        mail = next_mail(self._db.reader) if _is_over(self._mailing) else None
        moments = [moment for moment in (jobs.next_due(self._db.reader), self._drift_checks.next_due(), mail) if moment]
        if not moments:
            return LONGEST_SLEEP
        return min(max((from_iso(min(moments)) - self._clock()).total_seconds(), SHORTEST_SLEEP), LONGEST_SLEEP)

    def _send_mail(self) -> None:
        """Beside the scheduler: a mail server that does not answer delays no cycle."""
        due = next_mail(self._db.reader)
        if due is not None and due <= to_iso(self._clock()) and _is_over(self._mailing):
            self._mailing = asyncio.create_task(_logged(self.outbox.send_due, "sending e-mail failed"), name="mail")
            self._mailing.add_done_callback(lambda _: self._wakeup())

    def _evaluate_rules(self) -> None:
        """Beside the scheduler: what a request or a process that died has left of asking rules about everybody."""
        if _is_over(self._evaluating):
            work = _logged(self._directory.evaluate_rules, "evaluating membership rules failed")
            self._evaluating = asyncio.create_task(work, name="membership rules")

    async def _purge(self) -> None:
        now = self._clock()
        if self._purged is None or now - self._purged >= PURGE_INTERVAL:
            self._purged = now
            await self._retention.purge()


def _is_over(task: asyncio.Task[None] | None) -> bool:
    """There is no task, or it has ended."""
    return task is None or task.done()


async def _logged(work: Callable[[], Awaitable[object]], failure: str) -> None:
    """Does the work; an error is logged under this name."""
    try:
        await work()
    except Exception:
        log.exception(failure)
