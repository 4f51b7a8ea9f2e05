"""Managers and group members: references between target objects, written once both ends exist.

Whatever may have changed a reference leaves a row in `pending_reference`; the phase works the rows off by comparing
what the directory holds with what was exported. So a member or manager that comes into scope later is set in the
cycle that links it (REQ-P-108), a failed one stays pending, and a membership that did not change costs nothing.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from joiner.provisioning.cycle import deletions
from joiner.provisioning.cycle.pending_references import is_mapped
from joiner.provisioning.cycle.reference import CYCLE, MANAGER, MEMBERS, ONE_OBJECT, Reference, read_references
from joiner.provisioning.cycle.reference_export import ReferenceExport
from joiner.provisioning.cycle.run import REFERENCES_PER_PAGE, Claims, Page, PageResult, Run
from joiner.provisioning.cycle.side_by_side import side_by_side
from joiner.provisioning.decisions.decision import Step
from joiner.provisioning.job.links import FOREVER, escrowed
from joiner.provisioning.log.journal_packing import PackedRow
from joiner.provisioning.log.journal_rows import Journal
from joiner.provisioning.ports import watched
from joiner.storage.rows import to_json, write_rows

ATTEMPT: Final = "REPLACE INTO reference_intent VALUES {rows}"
EXPORTED: Final = "REPLACE INTO exported_reference VALUES {rows}"
FORGET_PENDING, FORGET_EXPORTED, FORGET_ATTEMPTS = (
    "WITH gone (job_id, source_id, attribute, related_id) AS (VALUES {rows})"
    f" DELETE FROM {table} WHERE (job_id, source_id, attribute, related_id) IN gone"
    for table in ("pending_reference", "exported_reference", "reference_intent")
)
FORGET_STAGED: Final = (
    "WITH gone (job_id, source_id, related_id) AS (VALUES {rows})"
    " DELETE FROM staged_removal WHERE (job_id, source_id, related_id) IN gone"
)


async def references_page(run: Run, cursor: str, before: Sequence[Claims]) -> Page:
    """The pending references in order of their objects, after `cursor`."""
    source_id, attribute, related_id = cursor.split(" ") if cursor else ("", "", "")
    window = {"source": source_id, "attribute": attribute, "related": related_id}
    return await _page(run, CYCLE, window, cursor)


async def references_of(run: Run, source_id: str, member_ids: Sequence[str]) -> PageResult:
    """The pending references of one object; of a group's members only these."""
    window = {"source": source_id, "attribute": "", "related": "", "members": to_json(member_ids)}
    page = await _page(run, ONE_OBJECT, window, "")
    return await page.finish()


async def _page(run: Run, sql: str, window: Mapping[str, str], cursor: str) -> Page:
    # An attempt to get out of quarantine, and a run on demand, try whatever failed.
    due = run.cycle.began_at if not run.job.quarantine and sql is CYCLE else FOREVER
    fixed = {"job": run.job.id, "cycle": run.cycle.id, "due": due, "limit": REFERENCES_PER_PAGE}
    found = read_references(run.reader, sql, {**fixed, **window})
    gate = run.gate.page() if run.gate is not None else None
    references = found if gate is None else [item for item in found if gate.admits_reference(item.decided)]
    if sql is CYCLE and run.cycle.plan is None and any(item.removes is not None for item in references):
        young = deletions.not_weighed(run)
        references = [item for item in references if item.removes is None or item.key[::2] not in young]
    # What no mapping writes any more is left as it is, in the target too.
    mapped = {attribute for attribute in (MEMBERS, MANAGER) if is_mapped(run, attribute)}
    unmapped = [reference for reference in references if reference.attribute not in mapped]
    by_object: dict[tuple[str, str], list[Reference]] = defaultdict(list)
    for reference in (item for item in references if item.attribute in mapped):
        by_object[reference.source_id, reference.attribute].append(reference)
    exports = [ReferenceExport(run, items) for items in by_object.values()]
    last = " ".join(found[-1].key) if found else cursor
    is_last = len(found) < REFERENCES_PER_PAGE
    await _announce(run, [attempt for export in exports for attempt in export.attempts()])

    def commit(connection: sqlite3.Connection) -> None:
        _settle(connection, run, unmapped, exports)
        failed_before = escrowed(connection, run.job.id, [id_ for id_, _ in by_object], is_reference=True)
        told = {export: export.settle(connection, was_escrowed=export.source_id in failed_before) for export in exports}
        _log(Journal(connection, run.log), told)

    async def finish() -> PageResult:
        # Different objects go side by side; the batches of one object stay in order.
        failure = await side_by_side(ReferenceExport.send, exports, run.at_once)
        counts = {
            "reference_deltas": len(references),
            "exports": sum(export.number_exported + export.number_failed for export in exports),
            "exported": sum(export.number_exported for export in exports),
            "escrowed": sum(export.number_failed > 0 for export in exports),
        }
        return PageResult(last, is_last, watched(gate, commit), counts, failure=failure)

    def abandon(connection: sqlite3.Connection) -> None:
        new = [item for export in exports for item in export.changes if item.attempted is None]
        write_rows(connection, FORGET_ATTEMPTS, [(run.job.id, *item.key) for item in new])

    return Page(last, is_last, finish, abandon=abandon)


async def _announce(run: Run, attempts: Sequence[tuple[str, ...]]) -> None:
    """Writes down what is about to be written."""
    if not attempts or run.sends_nothing:
        return

    def announce(connection: sqlite3.Connection) -> None:
        run.check_owned(connection)
        write_rows(connection, ATTEMPT, attempts)

    await run.db.write(announce)


def _log(journal: Journal, told: Mapping[ReferenceExport, Sequence[Step]]) -> None:
    rows = journal.rows_of([export.source_id for export, steps in told.items() if steps])
    changed: dict[str, PackedRow] = {}
    for export, steps in told.items():
        if steps:
            changed[export.source_id] = export.logged(changed.get(export.source_id, rows.get(export.source_id)), steps)
    journal.write(list(changed.values()))


def _settle(
    connection: sqlite3.Connection, run: Run, unmapped: Iterable[Reference], exports: Iterable[ReferenceExport]
) -> None:
    """Writes what is now known of the target, and what is no longer pending."""
    job_id = run.job.id
    written = [item for export in exports for item in export.written]
    write_rows(connection, EXPORTED, [(job_id, *item.key, item.adds) for item in written if item.adds is not None])
    gone = [(job_id, *item.key) for item in written if item.removes is not None]
    write_rows(connection, FORGET_EXPORTED, gone)
    tried = [(job_id, *item.key) for export in exports for item in export.tried]
    write_rows(connection, FORGET_ATTEMPTS, tried)
    settled = [item for export in exports for item in export.settled]
    members = [(job_id, item.source_id, item.related_id) for item in settled if item.attribute == MEMBERS]
    write_rows(connection, FORGET_STAGED, members)
    done = [(job_id, *item.key) for item in chain(unmapped, settled)]
    write_rows(connection, FORGET_PENDING, done)
