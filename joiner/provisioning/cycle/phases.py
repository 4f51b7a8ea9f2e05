"""The phases of a cycle: how the pages of each begin, what each needs before, and which comes next."""

import sqlite3
from collections.abc import Mapping
from typing import Final

from joiner.provisioning.cycle import deletions, objects, pending_references, references
from joiner.provisioning.cycle.census_reading import census_page
from joiner.provisioning.cycle.run import (
    ENDPOINTS,
    OBJECTS_PER_PAGE,
    REFERENCES_PER_PAGE,
    BeginPage,
    Page,
    PageResult,
    Run,
)
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.job.cycles import PHASES
from joiner.provisioning.plans import applying

PAGES: Final[Mapping[str, BeginPage]] = {
    "census": census_page,
    "users": objects.users_page,
    "groups": objects.groups_page,
    "references": references.references_page,
    "removals": objects.removals_page,
}

SUCCESSORS: Final[Mapping[str, str]] = {"census": "users", "users": "groups"}
"""Phases that a page goes on with when there is nothing to look at in the one before; others are entered first."""

SWEEP: Final = """
INSERT OR IGNORE INTO removal
SELECT :cycle, object_type, source_id,
       iif(is_managed AND iif(object_type = 'User', :User, :Group), 'delete', '')
FROM (SELECT job_id, object_type, source_id, is_managed FROM link
  UNION ALL SELECT job_id, object_type, source_id, 1 FROM intent) known
WHERE job_id = :job AND NOT EXISTS (
  SELECT 1 FROM user WHERE user.id = known.source_id UNION ALL SELECT 1 FROM grp WHERE grp.id = known.source_id)
"""
"""Objects that are linked, or may have been created, and that the directory no longer has count as permanently deleted
(REQ-P-062). What may have been created counts as a deletion, as if it had been."""


async def first_page(run: Run) -> tuple[str, Page]:
    """The page at which the cycle stands, or the first one after it that has anything to look at, with its phase."""
    phase = run.cycle.phase
    page = await PAGES[phase](run, run.cycle.cursor, ())
    while page.is_empty and phase in SUCCESSORS:
        phase = SUCCESSORS[phase]
        page = await PAGES[phase](run, "", ())
    return phase, page


def following(connection: sqlite3.Connection, run: Run, phase: str, result: PageResult) -> tuple[str, str, int] | None:
    """Phase and cursor of the page after this one of `phase`, and how many pages more than one a phase that is entered
    has; None if the cycle is over. Part of the page's transaction."""
    if not result.is_last:
        return phase, result.cursor, 0
    for entered in PHASES[PHASES.index(phase) + 1 :]:
        pages = _enter(connection, run, entered)
        if pages:
            return entered, "", pages - 1
    return None


def expected_pages(connection: sqlite3.Connection, run: Run) -> int:
    """Pages of users and groups, at least one each of references and removals, and two of the census."""
    if run.cycle.plan is not None:
        return applying.count_pages(connection, run.cycle, OBJECTS_PER_PAGE) + 2
    users, groups = _numbers_of_objects(run)
    census = 2 if run.is_initial else 0
    return census + max(1, _pages(users, OBJECTS_PER_PAGE)) + max(1, _pages(groups, OBJECTS_PER_PAGE)) + 2


def _numbers_of_objects(run: Run) -> tuple[int, int]:
    """Users and groups that the cycle looks at."""
    if run.is_initial:
        return run.directory.count_users(), run.directory.count_groups()
    resource_id = run.job.service_principal_id
    return (
        run.directory.count_changed_users(run.window, resource_id),
        run.directory.count_changed_groups(run.window, resource_id),
    )


def _enter(connection: sqlite3.Connection, run: Run, phase: str) -> int:
    """What a phase needs at its beginning; returns the number of its pages, 1 if that is not known before."""
    if phase == "references":
        _note_references(connection, run)
        return _pages(pending_references.count_pending(connection, run.job.id), REFERENCES_PER_PAGE)
    if phase == "removals":
        number = connection.execute("SELECT count(*) FROM removal WHERE cycle_id = ?", (run.cycle.id,)).fetchone()[0]
        return _pages(number, OBJECTS_PER_PAGE)
    return 1


def _note_references(connection: sqlite3.Connection, run: Run) -> None:
    """Notes the references that no page has noted. Members leave groups in this phase: the last moment at which
    everything can still be held back."""
    if run.cycle.plan is not None:
        applying.note_references(connection, run.cycle)
        if applying.is_planned_only(connection, run.cycle):
            deletions.weigh(connection, run)
        return
    pending_references.note_changed_memberships(connection, run)
    if run.is_initial:
        deletes: dict[str, bool] = {name: _deletes(run, name) for name in ENDPOINTS}
        connection.execute(SWEEP, {"cycle": run.cycle.id, "job": run.job.id, **deletes})
    deletions.weigh(connection, run)


def _deletes(run: Run, object_type: ObjectType) -> bool:
    plan = run.plan_of(object_type)
    return plan is not None and plan.deletes


def _pages(number: int, size: int) -> int:
    return -(-number // size)
