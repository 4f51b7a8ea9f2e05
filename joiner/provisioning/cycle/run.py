"""What one page of a cycle works with: the job's compiled plan, its target, the directory, and where it stands."""

import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.provisioning.client.connection import TargetConnection
from joiner.provisioning.client.failures import TargetUnusableError
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.cycle.census import Census
from joiner.provisioning.decisions.decision import ObjectType, Settings
from joiner.provisioning.decisions.wire import Dialect
from joiner.provisioning.job.cycles import Cycle, check_fence
from joiner.provisioning.job.job_settings import log_requests
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log.exchanges import RequestLog
from joiner.provisioning.log.journal import LogContext
from joiner.provisioning.mapping.plan import JobPlan, ObjectPlan
from joiner.provisioning.ports import Gate, Target, TargetReads
from joiner.storage.sqlite import Database

OWNED_FOR: Final = timedelta(milliseconds=20)
"""So long is it believed that no other worker has taken over: less than a request may be under way."""
ENDPOINTS: Final[dict[ObjectType, str]] = {"User": "/Users", "Group": "/Groups"}
UNREAD: Final[dict[ObjectType, tuple[str, ...]]] = {"User": (), "Group": ("members",)}
"""Attributes that reads of the type leave out: members are never read (REQ-P-104)."""

OBJECTS_PER_PAGE: Final = 100
REFERENCES_PER_PAGE: Final = 1000

Commit = Callable[[sqlite3.Connection], None]


def nothing(connection: sqlite3.Connection) -> None:
    """Commits nothing."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What stays the same for all pages of a job version: compiled once."""

    plan: JobPlan
    settings: Settings
    dialect: Dialect
    connection: TargetConnection
    profile: TargetProfile


@dataclass(frozen=True, slots=True)
class Run:
    """One page's surroundings. `target` is open for the duration of the page."""

    db: Database
    directory: DirectoryStore
    job: Job
    cycle: Cycle
    fence: int | None
    """The number under which this worker holds the job; None on demand, which is in turn with the pages of cycles."""
    context: JobContext
    target: Target
    log: LogContext
    clock: Clock
    gate: Gate | None = None
    """Who looks at every decision before anything of it is sent; None: nobody."""

    owned_at: list[datetime] = field(default_factory=list)
    """When it was last seen that this worker holds the job."""
    request_logs: dict[ObjectType, RequestLog] = field(default_factory=dict)

    @property
    def reader(self) -> sqlite3.Connection:
        return self.db.reader

    @property
    def at_once(self) -> int:
        """How many requests may be under way: further ones would only wait in line."""
        return self.context.profile.most_concurrent

    @property
    def window(self) -> tuple[int, int]:
        """The feed positions (after, up to and including) that an incremental cycle looks at."""
        return self.cycle.from_position, self.cycle.to_position

    def check_owned(self, connection: sqlite3.Connection | None = None) -> None:
        """Raises InvalidStateError if another worker has taken the job over: it would do everything a second time.

        To be called before each request that writes, and, with its connection, in every transaction.
        """
        if self.fence is None:
            return
        now = self.clock()
        if connection is None and self.owned_at and now - self.owned_at[0] < OWNED_FOR:
            return
        check_fence(connection or self.reader, self.cycle, self.fence)
        self.owned_at[:] = [now]

    @property
    def sends_nothing(self) -> bool:
        """The cycle is run to make a plan: nothing can be left half sent."""
        return self.log.only_failures

    @property
    def is_initial(self) -> bool:
        """Everything is looked at, not only what has changed."""
        return self.cycle.kind == "initial"

    def plan_of(self, object_type: ObjectType) -> ObjectPlan | None:
        """The plan of the type, None if it is not provisioned."""
        plan = self.context.plan.users if object_type == "User" else self.context.plan.groups
        return plan if plan is not None and plan.enabled else None

    def request_log(self, object_type: ObjectType) -> RequestLog:
        """What the log keeps of requests for objects of the type."""
        found = self.request_logs.get(object_type)
        if found is None:
            plan = self.plan_of(object_type)
            found = RequestLog(log_requests(self.job.settings), plan.flows if plan is not None else ())
            self.request_logs[object_type] = found
        return found


@dataclass(slots=True)
class Claims:
    """What a page does to the target that nobody can read in the database yet: the next page begins before this one
    is committed."""

    owners: dict[str, str] = field(default_factory=dict)
    """Target id → id of the source object that it belongs to."""
    written: set[tuple[str, str]] = field(default_factory=set)
    """Matching attribute and folded value of what is created or changed."""
    census: Census | None = None
    """How far the census has come with this page."""
    listed: frozenset[str] = frozenset()
    """Ids that this page of the census has."""
    last: str = ""
    """The last of them, '' if it has none."""


@dataclass(slots=True)
class Page:
    """A page that has begun: everything is decided, nothing is sent."""

    cursor: str | None
    """Where the next page begins, as far as is known now; None if that turns out when this one is finished."""
    is_last: bool
    """The phase has nothing after this page."""
    finish: Callable[[], Awaitable["PageResult"]]
    """Sends what was decided."""
    claims: Claims = field(default_factory=Claims)
    is_empty: bool = False
    """There is nothing to look at."""
    abandon: Commit = nothing
    """Undoes what was written down for a page that is not finished."""


@dataclass(slots=True)
class PageResult:
    """What a page has to commit. `commit` runs in the same transaction as the cursor."""

    cursor: str
    """Where the phase goes on."""
    is_last: bool
    commit: Commit
    counts: dict[str, int] = field(default_factory=dict)
    more_pages: int = 0
    """Pages that the phase turned out to have beyond what was expected."""
    failure: TargetUnusableError | None = None
    """The target became unusable during the page: what was done is kept, then the cycle ends."""
    is_elsewhere: bool = False
    """The phase does not go on where that was expected when the page began."""


Prepare = Callable[[Job], JobContext]
"""Gives the compiled plan, settings and credentials of a job. Raises JoinerError if the job cannot run."""
OpenTarget = Callable[[JobContext], AbstractAsyncContextManager[Target]]
OpenReads = Callable[[JobContext], AbstractAsyncContextManager[TargetReads]]
"""As `OpenTarget`, for who only asks."""
DescribeLog = Callable[[Job, Cycle], LogContext]
"""What all log entries of the cycle have in common."""
BeginPage = Callable[[Run, str, Sequence[Claims]], Coroutine[Any, Any, Page]]
"""Begins the page after a cursor; the claims are those of the pages before that are not committed yet."""


def empty_page(cursor: str = "") -> Page:
    """A page without objects has nothing to commit but the cursor, and the next phase can begin at once."""

    async def finish() -> PageResult:
        return PageResult(cursor, True, nothing)

    return Page(cursor, True, finish, is_empty=True)
