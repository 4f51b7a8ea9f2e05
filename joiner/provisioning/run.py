"""What one page of a cycle works with: the job's compiled plan, its target, the directory, and where it stands."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from joiner.clock import Clock
from joiner.directory.store import DirectoryStore
from joiner.provisioning.client.connection import TargetConnection
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.cycles import Cycle, check_fence
from joiner.provisioning.decision import ObjectType, Settings
from joiner.provisioning.failures import TargetUnusableError
from joiner.provisioning.jobs import Job
from joiner.provisioning.journal import LogContext
from joiner.provisioning.plan import JobPlan, ObjectPlan
from joiner.provisioning.target import ScimTarget
from joiner.provisioning.wire import Dialect
from joiner.storage.sqlite import Database

ENDPOINTS: Final[dict[ObjectType, str]] = {"User": "/Users", "Group": "/Groups"}
UNREAD: Final[dict[ObjectType, tuple[str, ...]]] = {"User": (), "Group": ("members",)}
"""Attributes that reads of the type leave out: members are never read (REQ-P-104)."""

OBJECTS_PER_PAGE: Final = 100
REFERENCES_PER_PAGE: Final = 1000

T = TypeVar("T")
Commit = Callable[[sqlite3.Connection], None]


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
    target: ScimTarget
    log: LogContext
    clock: Clock

    @property
    def reader(self) -> sqlite3.Connection:
        return self.db.reader

    @property
    def window(self) -> tuple[int, int]:
        """The feed positions (after, up to and including) that an incremental cycle looks at."""
        return self.cycle.from_position, self.cycle.to_position

    def check_owned(self, connection: sqlite3.Connection | None = None) -> None:
        """Raises InvalidStateError if another worker has taken the job over: it would do everything a second time.

        To be called before each request that writes, and, with its connection, in every transaction.
        """
        if self.fence is not None:
            check_fence(connection or self.reader, self.cycle, self.fence)

    @property
    def is_initial(self) -> bool:
        return self.cycle.kind == "initial"

    def plan_of(self, object_type: ObjectType) -> ObjectPlan | None:
        """The plan of the type, None if it is not provisioned."""
        plan = self.context.plan.users if object_type == "User" else self.context.plan.groups
        return plan if plan is not None and plan.enabled else None


@dataclass(slots=True)
class PageResult:
    """What a page has to commit. `commit` runs in the same transaction as the cursor."""

    cursor: str
    """Where the phase goes on."""
    is_last: bool
    """The phase has nothing after this page."""
    commit: Commit
    counts: dict[str, int] = field(default_factory=dict)
    failure: TargetUnusableError | None = None
    """The target became unusable during the page: what was done is kept, then the cycle ends."""


PhasePage = Callable[[Run, str], Awaitable[PageResult]]


def first_of(results: Sequence[Any], kind: type[T]) -> T | None:
    """The first element of the kind, or None."""
    return next((item for item in results if isinstance(item, kind)), None)
