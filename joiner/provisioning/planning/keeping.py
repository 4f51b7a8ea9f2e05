"""From the copy that a plan was computed on to the rows that are kept, in portions: a plan may be of any size."""

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from joiner.provisioning.log.journal_rows import failures_of
from joiner.provisioning.planning.causes import ACCOUNT_GONE
from joiner.provisioning.planning.planned_writes import PREFIX
from joiner.provisioning.plans import plans
from joiner.storage.rows import from_json, to_json
from joiner.storage.sqlite import Database

AT_ONCE: Final = 1000
GROUPS_KEPT: Final = 50
"""Causes and reasons that a summary names; of the others it gives the number."""
VIRTUAL: Final = re.compile(rf"{PREFIX}[0-9a-f]{{16}}-\d+")
"""Ids of objects that exist in the plan only."""
NEW: Final = "new:"
"""Before the id of a source object: stands for the id that its account will get."""
REFERENCE_WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("members", "add"): "members ← a member of the group in the directory",
    ("members", "remove"): "members ← no member of the group in the directory",
    ("members", "held"): "members ← no member of the group in the directory; held back",
    ("manager", "add"): "manager ← the manager in the directory",
    ("manager", "remove"): "manager ← no manager in the directory",
}

OBJECTS: Final = """
SELECT o.*, coalesce(nullif(o.target_id, ''), l.target_id, '') AS target FROM planned_object o
LEFT JOIN link l ON l.job_id = :job AND l.source_id = o.source_id
WHERE o.position > :after ORDER BY o.position LIMIT :limit
"""
COUNTS: Final = """
SELECT source_id, attribute, verb, count(*) AS number FROM planned_reference
WHERE source_id IN (SELECT value FROM json_each(?)) GROUP BY source_id, attribute, verb
"""
REQUESTS: Final = """
SELECT r.position, r.method, r.path, r.body, coalesce(l.source_id, o.source_id) AS source_id
FROM planned_request r
LEFT JOIN link l ON l.job_id = :job AND l.target_id = r.target_id
     AND l.object_type = iif(r.endpoint = '/Users', 'User', 'Group')
LEFT JOIN planned_object o ON o.target_id = r.target_id AND o.target_id <> ''
     AND o.object_type = iif(r.endpoint = '/Users', 'User', 'Group')
WHERE r.position > :after ORDER BY r.position LIMIT :limit
"""
REFERENCES: Final = """
SELECT source_id, attribute, related_id, wanted_id, name, verb FROM planned_reference
WHERE (source_id, attribute, related_id) > (:source, :attribute, :related)
ORDER BY source_id, attribute, related_id LIMIT :limit
"""
FAILED: Final = """
INSERT INTO planned_object (source_id, object_type, name, action, is_held, target_id, problem)
VALUES (:source, :type, :name, 'failure', 0, :target, :problem)
ON CONFLICT (source_id) DO UPDATE SET action = 'failure', problem = excluded.problem
"""


class Keeping:
    """Moves one plan. `summary` is complete when everything has been moved."""

    def __init__(self, copy: Database, live: Database, job_id: str, number: int) -> None:
        self._copy = copy
        self._live = live
        self._job_id = job_id
        self._number = number
        self._counts: dict[str, Counter[str]] = {"User": Counter(), "Group": Counter()}
        self._held = 0
        self._causes: Counter[tuple[str, str, str, str]] = Counter()
        self._references: dict[str, Counter[str]] = {}
        self._requests: Counter[str] = Counter()
        self._writing: asyncio.Future[None] | None = None

    async def keep(self, cycle_id: str) -> None:
        """Writes every item, reference and request of the plan."""
        await self._copy.write(lambda connection: _note_failures(connection, cycle_id))
        for items in self._items():
            await self._write(items, [], [])
        for references in self._planned_references():
            await self._write([], references, [])
        for requests in self._planned_requests():
            await self._write([], [], requests)
        await self._written()

    def summary(self, skipped: Counter[tuple[str, str, str]], read: int) -> dict[str, Any]:
        """For the plan, once everything is kept. `skipped`: (object type, code, reason) → number; `read`: how many
        objects the cycle looked at."""
        causes = self._causes.most_common()
        reasons = skipped.most_common()
        return {
            "read": read,
            "counts": {kind: dict(counter) for kind, counter in self._counts.items()},
            "held": self._held,
            "references": {name: dict(counter) for name, counter in self._references.items()},
            "requests": dict(self._requests),
            "causes": [
                {"objectType": kind, "action": action, "kind": rule, "text": text, "count": number}
                for (kind, action, rule, text), number in causes[:GROUPS_KEPT]
            ],
            "otherCauses": len(causes[GROUPS_KEPT:]),
            "skipped": [
                {"objectType": kind, "code": code, "reason": reason, "count": number}
                for (kind, code, reason), number in reasons[:GROUPS_KEPT]
            ],
            "otherSkipped": sum(number for _, number in reasons[GROUPS_KEPT:]),
        }

    async def _write(self, items: list[Any], references: list[Any], requests: list[Any]) -> None:
        """Returns when the portion before is written, so that the next one is read meanwhile."""
        await self._written()
        self._writing = asyncio.wrap_future(
            self._live.submit(
                lambda connection: plans.add_items(connection, self._job_id, self._number, items, references, requests)
            )
        )

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing

    def _items(self) -> Iterator[list[tuple[Any, ...]]]:
        after = 0
        while True:
            parameters = {"job": self._job_id, "after": after, "limit": AT_ONCE}
            rows = self._copy.reader.execute(OBJECTS, parameters).fetchall()
            if not rows:
                return
            after = rows[-1]["position"]
            ids = to_json([row["source_id"] for row in rows])
            written: dict[str, dict[str, dict[str, int]]] = {}
            for row in self._copy.reader.execute(COUNTS, (ids,)):
                of_object = written.setdefault(row["source_id"], {})
                of_object.setdefault(row["attribute"], {})[row["verb"]] = row["number"]
            yield [self._item(row, written.get(row["source_id"], {})) for row in rows]

    def _item(self, row: sqlite3.Row, written: Mapping[str, Mapping[str, int]]) -> tuple[Any, ...]:
        kind, action, causes, problem = row["object_type"], row["action"], row["causes"], row["problem"]
        self._counts[kind][action] += 1
        self._held += row["is_held"]
        told = [tuple(cause) for cause in from_json(causes)]
        recorded = list(told)
        for attribute, verbs in written.items():
            for verb, number in verbs.items():
                self._references.setdefault(attribute, Counter())[verb] += number
                if action == "update":
                    told.append(("reference", REFERENCE_WORDS[attribute, verb]))
        if action == "failure" and problem is not None:
            told = [("problem", "{code}: {reason}".format_map(from_json(problem)))]
        if row["missing_id"] is not None:
            told = [("target", ACCOUNT_GONE)]
        for cause, text in told:
            counted = _of_anybody(text, row["name"], row["target"]) if cause == "problem" else text
            self._causes[kind, action, cause, counted] += 1
        return (
            row["position"],
            row["source_id"],
            kind,
            row["name"],
            action,
            row["is_held"],
            "" if VIRTUAL.fullmatch(row["target"]) else row["target"],
            row["changes"],
            causes if told == recorded else to_json(told),
            problem,
            row["fingerprint"],
            to_json(written),
            row["missing_id"],
        )

    def _planned_references(self) -> Iterator[list[tuple[Any, ...]]]:
        last = ("", "", "")
        while True:
            parameters = dict(zip(("source", "attribute", "related"), last, strict=True), limit=AT_ONCE)
            rows = self._copy.reader.execute(REFERENCES, parameters).fetchall()
            if not rows:
                return
            last = tuple(rows[-1])[:3]
            yield [tuple(row) for row in rows]

    def _planned_requests(self) -> Iterator[list[tuple[Any, ...]]]:
        after = 0
        while True:
            parameters = {"job": self._job_id, "after": after, "limit": AT_ONCE}
            rows = self._copy.reader.execute(REQUESTS, parameters).fetchall()
            if not rows:
                return
            after = rows[-1]["position"]
            self._requests.update(row["method"] for row in rows)
            virtual = {id_ for row in rows for text in (row["path"], row["body"]) for id_ in _virtual_ids(text)}
            names = self._sources_of(virtual)
            yield [
                (row["source_id"], row["position"], row["method"], _told(row["path"], names), _told(row["body"], names))
                for row in rows
            ]

    def _sources_of(self, virtual_ids: set[str]) -> dict[str, str]:
        if not virtual_ids:
            return {}
        rows = self._copy.reader.execute(
            "SELECT target_id, source_id FROM link WHERE job_id = ? AND object_type IN ('User', 'Group')"
            " AND target_id IN (SELECT value FROM json_each(?))",
            (self._job_id, to_json(list(virtual_ids))),
        )
        return {row[0]: row[1] for row in rows}


def _of_anybody(text: str, *names: str) -> str:
    """The text without the names of whom it is about, so that it is counted together with those about others."""
    for name in filter(None, names):
        text = text.replace(name, "…")
    return text


def _virtual_ids(text: str | None) -> list[str]:
    # Most texts have none, and that is seen faster this way.
    return VIRTUAL.findall(text) if text is not None and PREFIX in text else []


def _told(text: str | None, names: Mapping[str, str]) -> str | None:
    """With the source objects in place of the ids that their accounts do not have yet."""
    if text is None or PREFIX not in text:
        return text
    return VIRTUAL.sub(lambda match: NEW + names.get(match[0], "?"), text)


def _note_failures(connection: sqlite3.Connection, cycle_id: str) -> None:
    """What failed after it was decided, or could not be asked about, is known by the log of the copy."""
    for entry in failures_of(connection, cycle_id):
        source, error = entry["sourceIdentity"], entry["provisioningStatusInfo"]["errorInformation"] or {}
        problem = {"code": error.get("errorCode", ""), "reason": error.get("reason", "")}
        parameters = {
            "source": source["id"],
            "type": source["identityType"],
            "name": source["details"].get("UserPrincipalName") or source["displayName"],
            "target": entry["targetIdentity"]["id"],
            "problem": to_json(problem),
        }
        connection.execute(FAILED, parameters)
