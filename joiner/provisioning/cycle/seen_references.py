"""What reads show of references: what the target holds, whether what was taken away is really gone, and that accounts
are gone which others point to.

Functions run inside the transaction of a page.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from joiner.provisioning.cycle.run import Run
from joiner.storage.rows import marks, write_rows

HELD: Final = """
WITH held (job_id, source_id, attribute, value) AS (VALUES {rows})
INSERT INTO exported_reference SELECT h.job_id, h.source_id, h.attribute, '', h.value FROM held h
LEFT JOIN exported_reference e
  ON (e.job_id, e.source_id, e.attribute, e.related_id) = (h.job_id, h.source_id, h.attribute, '')
WHERE e.target_value IS NOT h.value ON CONFLICT DO UPDATE SET target_value = excluded.target_value
"""
OF_TAKEN: Final = (
    "FROM reference_intent i WHERE i.job_id = :job AND i.source_id = :source AND i.attribute = :attribute"
    " AND i.related_id = ''"
)
STILL_THERE: Final = (
    "INSERT OR IGNORE INTO pending_reference SELECT :job, :source, :attribute, ''"
    f" {OF_TAKEN} AND i.target_value = :value"
)
NO_LONGER_THERE: Final = (
    "DELETE FROM reference_intent WHERE (job_id, source_id, attribute, related_id) IN"
    f" (SELECT i.job_id, i.source_id, i.attribute, i.related_id {OF_TAKEN} AND i.target_value IS NOT :value)"
    " AND NOT EXISTS (SELECT 1 FROM pending_reference p WHERE p.job_id = :job AND p.source_id = :source"
    " AND p.attribute = :attribute)"
)
"""What is pending is written or taken away in any case, and the attempt is forgotten then."""
GONE: Final = (
    "DELETE FROM exported_reference WHERE job_id = ?1 AND attribute = 'members' AND related_id = ?2"
    " AND source_id IN (SELECT group_id FROM membership WHERE member_id = ?2)",
    "INSERT OR IGNORE INTO pending_reference SELECT ?1, user.id, 'manager', '' FROM user"
    " CROSS JOIN link ON link.job_id = ?1 AND link.source_id = user.id WHERE user.manager_id = ?2",
)
"""No group holds it as a member any more; whose manager it is must not go on to name it."""


def note_read(connection: sqlite3.Connection, run: Run, held: Sequence[tuple[str, str, str | None]]) -> None:
    """What the target was seen to hold, so that an equal reference is not written again, and a lost one is."""
    write_rows(connection, HELD, [(run.job.id, *reference) for reference in held if reference[2] is not None])
    connection.executemany(
        "DELETE FROM exported_reference WHERE job_id = ? AND source_id = ? AND attribute = ? AND related_id = ''",
        ((run.job.id, *reference[:2]) for reference in held if reference[2] is None),
    )
    for parameters in _remembered(connection, run, held):
        connection.execute(NO_LONGER_THERE, parameters)


def note_unwanted(connection: sqlite3.Connection, run: Run, held: Sequence[tuple[str, str, str | None]]) -> None:
    """(source id, attribute, value) that the target was seen to hold where the directory has nothing: what was taken
    away and is still there is taken away again; of what is gone nothing has to be remembered."""
    for parameters in _remembered(connection, run, held):
        connection.execute(STILL_THERE, parameters)
        connection.execute(NO_LONGER_THERE, parameters)


def _remembered(
    connection: sqlite3.Connection, run: Run, held: Sequence[tuple[str, str, str | None]]
) -> Iterator[dict[str, str | None]]:
    """Those of `held` that something was taken away from, as parameters of statements."""
    if not held:
        return
    rows = connection.execute(
        "SELECT source_id, attribute FROM reference_intent WHERE job_id = ? AND related_id = ''"
        f" AND source_id IN ({marks(held)})",
        (run.job.id, *(source_id for source_id, _, _ in held)),
    )
    remembered = {tuple(row) for row in rows}
    for source_id, attribute, value in held:
        if (source_id, attribute) in remembered:
            yield {"job": run.job.id, "source": source_id, "attribute": attribute, "value": value}


def note_gone(connection: sqlite3.Connection, run: Run, source_ids: Sequence[str]) -> None:
    """The accounts of these objects are gone."""
    for statement in GONE:
        connection.executemany(statement, ((run.job.id, source_id) for source_id in source_ids))
