"""Two plans of one job beside each other: what is new, what is gone, what is different."""

import sqlite3
from typing import Any, Final

SHOWN: Final = 1000

ONLY_HERE: Final = """
SELECT here.object_type, here.source_id, here.name, here.action FROM plan_item here
WHERE here.job_id = :job AND here.number = :here AND NOT EXISTS (
  SELECT 1 FROM plan_item there WHERE there.job_id = :job AND there.number = :there
  AND there.object_type = here.object_type AND there.source_id = here.source_id)
ORDER BY here.position
"""
REFERENCES: Final = (
    "SELECT attribute, related_id, wanted_id, verb FROM plan_reference WHERE job_id = :job AND number = {number}"
    " AND source_id = here.source_id"
)
DIFFERENT: Final = f"""
SELECT here.object_type, here.source_id, here.name, here.action, there.action AS was FROM plan_item here
JOIN plan_item there ON there.job_id = here.job_id AND there.number = :there
     AND there.object_type = here.object_type AND there.source_id = here.source_id
WHERE here.job_id = :job AND here.number = :here AND (
  here.action <> there.action OR here.is_held <> there.is_held
  OR here.changes <> there.changes
  OR EXISTS ({REFERENCES.format(number=":here")} EXCEPT {REFERENCES.format(number=":there")})
  OR EXISTS ({REFERENCES.format(number=":there")} EXCEPT {REFERENCES.format(number=":here")}))
ORDER BY here.position
"""


def compare(connection: sqlite3.Connection, job_id: str, number: int, older: int) -> dict[str, Any]:
    """The objects of which plan `number` says something else than plan `older`; of each kind the first ones, and how
    many there are."""
    parameters = {"job": job_id, "here": number, "there": older}
    swapped = {"job": job_id, "here": older, "there": number}
    found = {
        "new": connection.execute(ONLY_HERE, parameters),
        "gone": connection.execute(ONLY_HERE, swapped),
        "different": connection.execute(DIFFERENT, parameters),
    }
    answer: dict[str, Any] = {"number": number, "comparedTo": older}
    for name, rows in found.items():
        shown = [_document(row) for row in rows.fetchmany(SHOWN)]
        answer[name] = {"count": len(shown) + sum(1 for _ in rows), "items": shown}
    return answer


def _document(row: sqlite3.Row) -> dict[str, Any]:
    fields = dict(row)
    told = {
        "objectType": fields["object_type"],
        "objectId": fields["source_id"],
        "name": fields["name"],
        "action": fields["action"],
    }
    return {**told, "wasAction": fields["was"]} if "was" in fields else told
