"""The directory as one thing: what the engine and the API read and write, each write durable when it returns.

The rules are in `users`, `groups` and `applications`; here they get a connection and the time.
"""

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from joiner.clock import Clock, to_iso
from joiner.directory import applications, feed, groups, rule_evaluation, users
from joiner.directory.model import AppRole, Group, ServicePrincipal, User
from joiner.storage.sqlite import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"
RECYCLE_BIN: Final = timedelta(days=30)
"""How long a deleted user can be restored (REQ-P-102)."""

T = TypeVar("T")


class DirectoryStore:
    """The directory in `db`. Reading happens on the calling thread's own connection."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock
        self._changed = feed.ChangedIds()

    @property
    def reader(self) -> sqlite3.Connection:
        return self.db.reader

    async def change(self, work: Callable[[sqlite3.Connection, str], T]) -> T:
        """Runs `work(connection, now as ISO 8601)` as one durable transaction and returns its result."""
        return await self.db.write(lambda connection: work(connection, to_iso(self.clock())))

    async def purge_recycle_bin(self) -> int:
        """Purges what has lain in the recycle bin for 30 days; returns the number of users."""
        before = to_iso(self.clock() - RECYCLE_BIN)
        return await self.change(lambda connection, now: users.purge_expired(connection, before, now))

    async def evaluate_rules(self, seconds: float = math.inf) -> None:
        """Asks the rules of dynamic groups that are new or different about everybody, for so long at most; what is left
        then is done when this is called again."""
        end = time.monotonic() + seconds
        while rule_evaluation.is_pending(self.reader) and time.monotonic() < end:
            await self.change(rule_evaluation.evaluate_some)

    # What the engine reads

    def feed_position(self) -> int:
        return feed.position(self.reader)

    def users_page(self, after: str, limit: int) -> list[User]:
        return users.users_page(self.reader, after, limit)

    def groups_page(self, after: str, limit: int) -> list[Group]:
        return groups.groups_page(self.reader, after, limit)

    def users_by_id(self, ids: Sequence[str]) -> dict[str, User]:
        return users.users_by_id(self.reader, ids)

    def groups_by_id(self, ids: Sequence[str]) -> dict[str, Group]:
        return groups.groups_by_id(self.reader, ids)

    def changed_user_ids(self, window: tuple[int, int], resource_id: str, after: str, limit: int) -> list[str]:
        return self._changed.page(self.reader, feed.USER_IDS, window, resource_id, after, limit)

    def changed_group_ids(self, window: tuple[int, int], resource_id: str, after: str, limit: int) -> list[str]:
        return self._changed.page(self.reader, feed.GROUP_IDS, window, resource_id, after, limit)

    def changed_memberships(self, window: tuple[int, int]) -> Iterator[tuple[str, str]]:
        return feed.changed_memberships(self.reader, window)

    def count_users(self) -> int:
        return users.count_users(self.reader)

    def count_groups(self) -> int:
        return groups.count_groups(self.reader)

    def count_changed_users(self, window: tuple[int, int], resource_id: str) -> int:
        return len(self._changed.of(self.reader, feed.USER_IDS, window, resource_id))

    def count_changed_groups(self, window: tuple[int, int], resource_id: str) -> int:
        return len(self._changed.of(self.reader, feed.GROUP_IDS, window, resource_id))

    def entitlements(self, resource_id: str, user_ids: Sequence[str]) -> dict[str, tuple[AppRole, ...]]:
        return applications.entitlements(self.reader, resource_id, user_ids)

    def count_entitled(self, resource_id: str) -> int:
        return applications.count_entitled(self.reader, resource_id)

    def assigned_group_ids(self, resource_id: str, group_ids: Sequence[str]) -> set[str]:
        return applications.assigned_groups(self.reader, resource_id, group_ids)

    def service_principal(self, id_or_app_id: str) -> ServicePrincipal:
        return applications.service_principal(self.reader, id_or_app_id)

    def source_attributes(self, source: User | Group) -> dict[str, Any]:
        """What mappings and filters see, by the engine's attribute names (the computed ones are the engine's)."""
        return users.source_attributes(source) if isinstance(source, User) else groups.source_attributes(source)
