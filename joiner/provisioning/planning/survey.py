"""What the application really has, beside what the job believes: every account is listed, and the copy of the job's
state that a plan is computed on is put right, so that the plan says what would repair it.

Accounts that nobody manages are counted and told apart (provisioning service §13.5); no plan ever touches them.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson

from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.cycle.census_reading import UntrustworthyListError, check_whole
from joiner.provisioning.cycle.items import items_of
from joiner.provisioning.cycle.reference import MANAGER, MEMBERS
from joiner.provisioning.cycle.run import ENDPOINTS, OBJECTS_PER_PAGE, UNREAD, Run
from joiner.provisioning.cycle.sources import page_of_sources
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.ports import Resource, TargetReads
from joiner.provisioning.reads_through import ReadsThrough
from joiner.storage.rows import to_json
from joiner.storage.sqlite import Database

AT_ONCE: Final = 500
READS_AT_ONCE: Final = 50
GROUPS_NAMED: Final = 20

TABLES: Final = """
CREATE TABLE found (
  object_type TEXT NOT NULL, target_id TEXT NOT NULL, name TEXT NOT NULL, match TEXT, resource TEXT NOT NULL,
  PRIMARY KEY (object_type, target_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE wanted (
  object_type TEXT NOT NULL, source_id TEXT NOT NULL, match TEXT, in_scope INTEGER NOT NULL, is_linked INTEGER NOT NULL,
  PRIMARY KEY (object_type, source_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX wanted_by_match ON wanted (object_type, match);
CREATE TABLE missing (source_id TEXT PRIMARY KEY, object_type TEXT NOT NULL, target_id TEXT NOT NULL) STRICT;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('found', 'found', '1000000 500000 1'),
  ('wanted', 'wanted', '1000000 500000 1'), ('wanted', 'wanted_by_match', '1000000 500000 1');
ANALYZE sqlite_schema
"""
"""How large they become is told as in decision 25."""
UNSEEN: Final = """
SELECT source_id, target_id FROM link l
WHERE job_id = :job AND object_type = :type AND is_managed AND source_id > :after
AND NOT EXISTS (SELECT 1 FROM found f WHERE f.object_type = l.object_type AND f.target_id = l.target_id)
ORDER BY source_id LIMIT :limit
"""
ACCOUNTS: Final = """
SELECT f.object_type, f.target_id, f.name, w.source_id,
       CASE WHEN w.source_id IS NULL THEN 'local' WHEN w.is_linked THEN 'duplicate'
            WHEN w.in_scope THEN 'assigned' ELSE 'unassigned' END AS state
FROM found f
LEFT JOIN wanted w ON w.object_type = f.object_type AND w.match = f.match
WHERE NOT EXISTS (SELECT 1 FROM link l WHERE l.job_id = :job AND l.object_type = f.object_type
                  AND l.target_id = f.target_id)
ORDER BY f.object_type DESC, f.target_id
"""
"""Target objects without link. The same value may belong to two source objects: then the account shows up twice."""
POINTING: Final = """
DELETE FROM main.exported_reference WHERE job_id = :job
AND target_value IN (SELECT target_id FROM missing WHERE object_type = :type)
"""
"""Nobody can be written as the manager, or be a member, of what does not exist."""
FORGET_MANAGERS: Final = """
DELETE FROM exported_reference WHERE job_id = :job AND attribute = 'manager' AND source_id IN (
  SELECT l.source_id FROM found f
  JOIN link l ON l.job_id = :job AND l.object_type = 'User' AND l.target_id = f.target_id
  WHERE f.object_type = 'User' AND f.target_id IN (SELECT value FROM json_each(:ids)))
"""


@dataclass(slots=True)
class Surveyed:
    """What a survey found, in numbers."""

    listed: dict[str, bool] = field(default_factory=dict)
    """Object type → whether the application could list its objects. If not, only linked ones were looked at."""
    read: int = 0
    foreign_members: int = 0
    """Members of managed groups that are no accounts of the job."""
    unreadable_groups: list[str] = field(default_factory=list)
    """The names of groups whose members the application does not tell."""

    def document(self, connection: sqlite3.Connection) -> dict[str, Any]:
        """For the plan's summary."""
        missing = connection.execute("SELECT object_type, count(*) FROM missing GROUP BY object_type")
        return {
            "objectsFound": self.read,
            "listed": self.listed,
            "missing": {row[0]: row[1] for row in missing},
            "foreignMembers": self.foreign_members,
            "groupsWithoutReadableMembers": len(self.unreadable_groups),
            "unreadableGroups": self.unreadable_groups[:GROUPS_NAMED],
        }


class Survey:
    """Surveys the target of one run, which works on a copy of the job's state."""

    def __init__(self, run: Run, copy: Database) -> None:
        self._run = run
        self._copy = copy
        self._reads: TargetReads = run.target
        self._lists_briefly: dict[ObjectType, bool] = {}
        self.result = Surveyed()

    async def make(self) -> None:
        """Lists, compares, and puts the copy right. Raises TargetError."""
        await self._copy.write(_create_tables)
        for object_type in ENDPOINTS:
            plan = self._run.plan_of(object_type)
            if plan is None:
                continue
            await self._list(object_type, plan)
            await self._find_missing(object_type)
            await self._note_wanted(object_type, plan)
        if self._run.plan_of("Group") is not None:
            await self._compare_members()

    async def _list(self, object_type: ObjectType, plan: ObjectPlan) -> None:
        batch: list[Resource] = []
        self.result.listed[object_type] = True
        try:
            async for resource in self._reads.every(ENDPOINTS[object_type], exclude=UNREAD[object_type]):
                batch.append(resource)
                if len(batch) == AT_ONCE:
                    await self._note_found(object_type, plan, await self._whole(plan, batch))
                    batch = []
            batch = await self._whole(plan, batch)
        except TargetUnusableError:
            raise
        except TargetError:
            # What cannot be listed is read one by one: everything that is linked counts as not seen.
            self.result.listed[object_type] = False
            batch = []
        await self._note_found(object_type, plan, batch)

    async def _whole(self, plan: ObjectPlan, listed: list[Resource]) -> list[Resource]:
        """What was listed, as it is: a list that leaves attributes out would make everything look changed."""
        object_type = plan.object_type
        endpoint, unread = ENDPOINTS[object_type], UNREAD[object_type]
        if object_type not in self._lists_briefly:
            try:
                await check_whole(self._run, plan, endpoint, listed)
            except UntrustworthyListError:
                self._lists_briefly[object_type] = True
            else:
                self._lists_briefly[object_type] = False
        if not self._lists_briefly[object_type]:
            return listed
        found: list[Resource | None] = []
        for begin in range(0, len(listed), READS_AT_ONCE):
            some = listed[begin : begin + READS_AT_ONCE]
            found += await asyncio.gather(
                *(self._reads.read(endpoint, str(each["id"]), exclude=unread) for each in some)
            )
        return [each for each in found if each is not None]

    async def _find_missing(self, object_type: ObjectType) -> None:
        """What the list does not have is asked for by its id: lists are cut short more often than accounts vanish."""
        endpoint, plan, after = ENDPOINTS[object_type], self._run.plan_of(object_type), ""
        assert plan is not None
        while True:
            parameters = {"job": self._run.job.id, "type": object_type, "after": after, "limit": READS_AT_ONCE}
            rows = self._copy.reader.execute(UNSEEN, parameters).fetchall()
            if not rows:
                # All at once: which references point to an account is found by reading them all.
                await self._copy.write(partial(_forget_pointing, job_id=self._run.job.id, object_type=object_type))
                return
            after = rows[-1]["source_id"]
            answers = await asyncio.gather(
                *(self._reads.read(endpoint, row["target_id"], exclude=UNREAD[object_type]) for row in rows)
            )
            found = [answer for answer in answers if answer is not None]
            gone = [
                (row["source_id"], row["target_id"])
                for row, answer in zip(rows, answers, strict=True)
                if answer is None
            ]
            await self._note_found(object_type, plan, found)
            await self._copy.write(lambda c, gone=gone: _note_missing(c, self._run.job.id, object_type, gone))  # type: ignore[misc] # binds gone

    async def _note_found(self, object_type: ObjectType, plan: ObjectPlan, batch: Sequence[Resource]) -> None:
        if not batch:
            return
        self.result.read += len(batch)
        rows = [(object_type, str(each["id"]), _name(each), _match_of(plan, each), to_json(each)) for each in batch]
        managers = plan.reference(MANAGER)
        without = [str(each["id"]) for each in batch if managers is not None and managers.path.read(each) is None]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("REPLACE INTO found VALUES (?, ?, ?, ?, ?)", rows)
            if without:
                # Managers that were written and are not there any more are to be written again.
                ids = to_json(without)
                connection.execute(FORGET_MANAGERS, {"job": self._run.job.id, "ids": ids})

        await self._copy.write(work)

    async def _note_wanted(self, object_type: ObjectType, plan: ObjectPlan) -> None:
        after = ""
        while sources := page_of_sources(self._run, object_type, after):
            after = sources[-1].id
            rows = []
            for item in items_of(self._run, object_type, sources, plan):
                values = plan.match_values(item.values)
                first = plan.matching[0] if plan.matching else None
                value = next((str(value) for flow, value in values if flow is first), None)
                match = None if value is None else value.casefold()
                rows.append((object_type, item.source.id, match, item.scope.in_scope, item.link is not None))
            await self._copy.write(
                lambda c, rows=rows: c.executemany("REPLACE INTO wanted VALUES (?, ?, ?, ?, ?)", rows)  # type: ignore[misc] # binds rows
            )
            if len(sources) < OBJECTS_PER_PAGE:
                return

    async def _compare_members(self) -> None:
        job_id, after = self._run.job.id, ""
        while True:
            rows = self._copy.reader.execute(
                "SELECT source_id, target_id FROM link WHERE job_id = ? AND object_type = 'Group' AND is_managed"
                " AND source_id > ? ORDER BY source_id LIMIT ?",
                (job_id, after, READS_AT_ONCE),
            ).fetchall()
            if not rows:
                return
            after = rows[-1]["source_id"]
            for row in rows:
                group = await self._reads.read(ENDPOINTS["Group"], row["target_id"])
                if group is None or not isinstance(group.get(MEMBERS, []), list):
                    continue
                if MEMBERS not in group and self._has_exported(row["source_id"]):
                    self.result.unreadable_groups.append(_name(group))
                    continue
                held = [str(each.get("value")) for each in group.get(MEMBERS, []) if isinstance(each, dict)]
                await self._note_members(row["source_id"], held)

    def _has_exported(self, group_id: str) -> bool:
        # Some leave `members` out where there are none, others where there are many: only the first can be believed.
        number = self._copy.reader.execute(
            "SELECT count(*) FROM exported_reference WHERE job_id = ? AND source_id = ? AND attribute = 'members'",
            (self._run.job.id, group_id),
        ).fetchone()[0]
        return bool(number > 1)

    async def _note_members(self, group_id: str, held: Sequence[str]) -> None:
        """What the group really has takes the place of what was written; every difference is to be looked at."""
        parameters = {"job": self._run.job.id, "group": group_id, "held": to_json(held)}

        def work(connection: sqlite3.Connection) -> int:
            for statement in MEMBER_DIFFERENCES:
                connection.execute(statement, parameters)
            number: int = connection.execute(FOREIGN, parameters).fetchone()[0]
            return number

        self.result.foreign_members += await self._copy.write(work)


LOST: Final = (
    "FROM exported_reference e WHERE e.job_id = :job AND e.source_id = :group AND e.attribute = 'members'"
    " AND e.target_value NOT IN (SELECT value FROM json_each(:held))"
)
GAINED: Final = (
    "FROM json_each(:held) h JOIN link l ON l.job_id = :job AND l.object_type = 'User' AND l.target_id = h.value"
    " WHERE NOT EXISTS (SELECT 1 FROM exported_reference e WHERE e.job_id = :job AND e.source_id = :group"
    " AND e.attribute = 'members' AND e.related_id = l.source_id)"
)
MEMBER_DIFFERENCES: Final = (
    f"INSERT OR IGNORE INTO pending_reference SELECT :job, :group, 'members', e.related_id {LOST}",
    f"DELETE FROM exported_reference WHERE (job_id, source_id, attribute, related_id) IN"
    f" (SELECT e.job_id, e.source_id, e.attribute, e.related_id {LOST})",
    f"INSERT OR IGNORE INTO pending_reference SELECT :job, :group, 'members', l.source_id {GAINED}",
    f"INSERT OR IGNORE INTO exported_reference SELECT :job, :group, 'members', l.source_id, l.target_id {GAINED}",
)
FOREIGN: Final = (
    "SELECT count(*) FROM json_each(:held) h WHERE NOT EXISTS (SELECT 1 FROM link l WHERE l.job_id = :job"
    " AND l.object_type = 'User' AND l.target_id = h.value)"
)


class SurveyedReads(ReadsThrough):
    """The target as it was listed: what was read there is not asked for a second time. Who wants more of an object than
    the list had asks the target."""

    def __init__(self, reads: TargetReads, copy: Database) -> None:
        super().__init__(reads)
        self._copy = copy

    async def read(self, endpoint: str, target_id: str, *, exclude: Sequence[str] = ()) -> Resource | None:
        object_type: ObjectType = "User" if endpoint == ENDPOINTS["User"] else "Group"
        if set(UNREAD[object_type]) <= set(exclude):
            row = self._copy.reader.execute(
                "SELECT resource FROM found WHERE object_type = ? AND target_id = ?", (object_type, target_id)
            ).fetchone()
            if row is not None:
                resource: Resource = orjson.loads(row["resource"])
                return resource
        return await self._reads.read(endpoint, target_id, exclude=exclude)


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in TABLES.split(";"):
        connection.execute(statement)


def _note_missing(
    connection: sqlite3.Connection, job_id: str, object_type: ObjectType, gone: Sequence[tuple[str, str]]
) -> None:
    """The account is gone: whoever had it is matched again, or gets a new one."""
    connection.executemany("INSERT INTO missing VALUES (?, ?, ?)", ((each[0], object_type, each[1]) for each in gone))
    for table in ("link", "exported_reference", "pending_reference"):
        connection.executemany(
            f"DELETE FROM main.{table} WHERE job_id = ? AND source_id = ?", ((job_id, each[0]) for each in gone)
        )


def _forget_pointing(connection: sqlite3.Connection, job_id: str, object_type: ObjectType) -> None:
    connection.execute(POINTING, {"job": job_id, "type": object_type})


def _name(resource: Resource) -> str:
    return str(resource.get("userName") or resource.get("displayName") or resource["id"])


def _match_of(plan: ObjectPlan, resource: Resource) -> str | None:
    """The value of the first matching attribute, without case."""
    value = plan.matching[0].path.read(resource) if plan.matching else None
    return str(value).casefold() if value is not None else None
