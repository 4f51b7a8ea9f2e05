"""The phases of a cycle that look at users and groups, page by page."""

import sqlite3
from collections.abc import Sequence

from joiner.provisioning.cycle import deletions
from joiner.provisioning.cycle.exporting import Known, begin_page, decide_items
from joiner.provisioning.cycle.items import Item, items_of
from joiner.provisioning.cycle.run import OBJECTS_PER_PAGE, Page, PageResult, Run, empty_page, nothing
from joiner.provisioning.cycle.sources import page_of_sources, sources_by_id
from joiner.provisioning.decisions.decide import as_staged
from joiner.provisioning.decisions.decision import ObjectType


async def users_page(run: Run, cursor: str, before: Known) -> Page:
    """The users in id order after `cursor`."""
    return await _object_page(run, "User", cursor, before)


async def groups_page(run: Run, cursor: str, before: Known) -> Page:
    """The groups in id order after `cursor`."""
    return await _object_page(run, "Group", cursor, before)


async def removals_page(run: Run, cursor: str, before: Known) -> Page:
    """What the earlier phases put off: disables and deletes; users first, then groups."""
    after = tuple(cursor.split(" ", 1)) if cursor else ("", "")
    rows = run.reader.execute(
        "SELECT object_type, source_id FROM removal WHERE cycle_id = ? AND (object_type = 'Group', source_id) > (?, ?)"
        " ORDER BY object_type = 'Group', source_id LIMIT ?",
        (run.cycle.id, int(after[0] or 0), after[1], OBJECTS_PER_PAGE),
    ).fetchall()
    if not rows:
        return empty_page(cursor)
    object_type: ObjectType = rows[0]["object_type"]
    ids = [row["source_id"] for row in rows if row["object_type"] == object_type]
    plan = run.plan_of(object_type)
    items = items_of(run, object_type, sources_by_id(run, object_type, ids), plan) if plan else []
    is_last = len(rows) < OBJECTS_PER_PAGE and len(ids) == len(rows)
    cursor = f"{int(object_type == 'Group')} {ids[-1]}"
    if plan is None:
        return empty_page(cursor)
    decided = await decide_items(run, plan, items, before)
    _hold_back(run, items)
    return await begin_page(run, decided, items, cursor, is_last)


def _hold_back(run: Run, items: Sequence[Item]) -> None:
    """What the guard holds back is logged and not sent."""
    held = deletions.held_objects(run.reader, run.job.id, [item.source.id for item in items])
    for item in items:
        if item.source.id in held and item.outcome is None and item.decision is not None and item.decision.is_removal:
            item.decision = as_staged(item.source, item.decision)
            item.is_held = True


async def one_object(run: Run, object_type: ObjectType, source_id: str) -> PageResult:
    """One object, looked up, decided and exported at once, whatever the decision (REQ-P-119)."""
    plan = run.plan_of(object_type)
    if plan is None:
        return PageResult(source_id, True, nothing)
    items = items_of(run, object_type, sources_by_id(run, object_type, [source_id]), plan)
    page = await begin_page(run, await decide_items(run, plan, items), items, source_id, True)
    return await page.finish()


async def _object_page(run: Run, object_type: ObjectType, cursor: str, before: Known) -> Page:
    plan = run.plan_of(object_type)
    if plan is None:
        return empty_page(cursor)
    sources = page_of_sources(run, object_type, cursor)
    if not sources:
        return empty_page(cursor)
    items = items_of(run, object_type, sources, plan)
    decided = await decide_items(run, plan, items, before)
    # Taking access away waits for the last phase, so that its extent is known before it begins.
    deferred = [item for item in items if item.outcome is None and item.decision and item.decision.is_removal]
    later = {item.source.id for item in deferred}
    rest = [item for item in items if item.source.id not in later]
    page = await begin_page(run, decided, rest, sources[-1].id, len(sources) < OBJECTS_PER_PAGE)
    send = page.finish

    async def finish() -> PageResult:
        result = await send()
        commit = result.commit

        def commit_with_removals(connection: sqlite3.Connection) -> None:
            commit(connection)
            connection.executemany(
                "INSERT OR IGNORE INTO removal VALUES (?, ?, ?, ?)",
                (
                    (run.cycle.id, object_type, item.source.id, item.decision.action.value)
                    for item in deferred
                    if item.decision is not None
                ),
            )

        result.commit = commit_with_removals
        result.counts["imported"] = len(sources)
        result.counts["entitled"] = sum(item.scope.in_scope for item in items)
        return result

    page.finish = finish
    return page
