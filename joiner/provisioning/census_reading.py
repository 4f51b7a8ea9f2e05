"""The first phase of an initial cycle: reading the target's lists instead of asking about every object, where that
takes less and the lists can be trusted.

A list can be trusted if it is complete and each object in it is: as many different ids as the target says there are,
none twice, and no attribute left out that a read shows. Otherwise nothing of it is used.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from joiner.clock import to_iso
from joiner.provisioning import census
from joiner.provisioning.census import Census
from joiner.provisioning.client.answers import Page as ListPart
from joiner.provisioning.client.answers import Resource
from joiner.provisioning.decision import ObjectType
from joiner.provisioning.failures import TargetError
from joiner.provisioning.job_settings import prefetch
from joiner.provisioning.links import sources_linked_to
from joiner.provisioning.plan import ObjectPlan
from joiner.provisioning.run import ENDPOINTS, UNREAD, Claims, Page, PageResult, Run, empty_page

REQUESTS_PER_PAGE: Final = 8
"""Parts of a list that are read side by side, and committed together."""
PART_COSTS: Final = 5
"""One part of a list costs a target as much as so many lookups."""
FEWEST_LOOKUPS: Final = 10
"""Below that nothing can be won."""
TYPES: Final[tuple[ObjectType, ...]] = ("User", "Group")


class UntrustworthyListError(Exception):
    """The list cannot take the place of lookups; the text says why."""


async def census_page(run: Run, cursor: str, before: Sequence[Claims]) -> Page:
    """The next part of the lists; `cursor` is the object type and the place in its list: an index with the size of a
    part and the id before it, or `=` and the target's own cursor."""
    name, _, place = cursor.partition(" ")
    object_type: ObjectType = "Group" if name == "Group" else "User"
    plan = run.plan_of(object_type)
    if plan is None or (not place and not _is_worth_asking(run, plan)):
        following = _following(object_type)
        return await census_page(run, following, before) if following else empty_page()
    return Page(None, False, lambda: _read(run, plan, place))


async def _read(run: Run, plan: ObjectPlan, place: str) -> PageResult:
    try:
        return await (_continue(run, plan, place) if place else _begin(run, plan))
    except (TargetError, UntrustworthyListError) as error:
        # Whatever makes the target unusable shows again when the first object is looked up.
        reason = str(error)

    def give_up(connection: sqlite3.Connection) -> None:
        census.give_up(connection, run.cycle.id, plan.object_type, reason, run.clock())

    return _next_type(plan.object_type, give_up)


async def _begin(run: Run, plan: ObjectPlan) -> PageResult:
    endpoint = ENDPOINTS[plan.object_type]
    place = 1 if run.context.profile.paging == "index" else ""
    first = await _part(run, plan, place, run.context.profile.page_size)
    if first.next_cursor is None and first.total is None:
        raise UntrustworthyListError("the application does not say how many objects there are")
    size = len(first.resources)
    if first.total and size:
        _check_cost(run, plan, first.total, size)
    await check_whole(run, plan, endpoint, first.resources)
    return _result(run, plan, Census("reading", 0, first.total, to_iso(run.clock())), [first], size)


async def _continue(run: Run, plan: ObjectPlan, place: str) -> PageResult:
    known = census.census_of(run.reader, run.cycle.id, plan.object_type)
    assert known is not None
    if place.startswith("="):
        part = await _part(run, plan, place[1:], run.context.profile.page_size)
        return _result(run, plan, known, [part], len(part.resources), by_cursor=True)
    assert known.total is not None
    begin, size, before = place.split(" ", 2)
    parts = await _side_by_side(run, plan, int(begin), known.total, int(size), before)
    return _result(run, plan, known, parts, int(size))


async def _side_by_side(
    run: Run, plan: ObjectPlan, begin: int, total: int, size: int, before: str
) -> Sequence[ListPart]:
    """The next parts by index. Each begins with the object that the one before ends with: where somebody deletes an
    object that was listed, the others move up, and one would be missed though the number of all stays right."""
    shared = 1 if size > 1 else 0
    begins = range(begin, min(total + 1, begin + (size - shared) * REQUESTS_PER_PAGE), size - shared)
    # All end before the target is given back, whatever becomes of one.
    answered = await asyncio.gather(*(_part(run, plan, at - shared, size) for at in begins), return_exceptions=True)
    parts: list[ListPart] = []
    for part in answered:
        if isinstance(part, BaseException):
            raise part
        if shared and (not part.resources or part.resources[0]["id"] != before):
            raise UntrustworthyListError("the objects in the application changed while they were listed")
        parts.append(part._replace(resources=part.resources[shared:]))
        if len(part.resources) < size:
            # A part that is shorter than was asked for is followed from its end.
            break
        before = part.resources[-1]["id"]
    return parts


def _result(
    run: Run, plan: ObjectPlan, known: Census, parts: Sequence[ListPart], size: int, *, by_cursor: bool = False
) -> PageResult:
    """What to commit of these parts, and where to go on."""
    resources = [resource for part in parts for resource in part.resources]
    cursor = parts[-1].next_cursor
    by_cursor = by_cursor or cursor is not None
    total = parts[0].total if known.total is None else known.total
    # Not every part of a list by cursor says it (RFC 9865 §2).
    if any(part.total != total and not (by_cursor and part.total is None) for part in parts):
        raise UntrustworthyListError("the number of objects in the application changed while they were listed")
    _check_new(run, plan, resources)
    listed = known.listed + len(resources)
    is_last = cursor is None if by_cursor else listed == total
    if (is_last or not resources) and total not in (None, listed):
        raise UntrustworthyListError(f"the application says that it has {total} objects, and lists {listed}")
    if not is_last and not resources:
        raise UntrustworthyListError("the application's list does not come to its end")
    if not is_last and total is None:
        # A list by cursor that does not tell its length is read until asking would have taken less.
        _check_cost(run, plan, listed + 1, size)
    object_type = plan.object_type
    state = Census("complete" if is_last else "reading", listed, total, known.read_at)

    def commit(connection: sqlite3.Connection) -> None:
        census.write_census(connection, run.cycle.id, object_type, state)
        census.add_objects(connection, run.cycle.id, plan, resources)

    if is_last:
        return _next_type(object_type, commit)
    further = f"={cursor}" if cursor is not None else f"{listed + 1} {size} {resources[-1]['id']}"
    per_page = max(1, size - 1) * REQUESTS_PER_PAGE
    more = -(-(total - listed) // per_page) if total is not None and not by_cursor and not known.listed else 0
    return PageResult(f"{object_type} {further}", False, commit, more_pages=more)


async def _part(run: Run, plan: ObjectPlan, place: int | str, size: int) -> ListPart:
    object_type = plan.object_type
    part = await run.target.page(ENDPOINTS[object_type], place=place, count=size, exclude=UNREAD[object_type])
    if any(resource.get(name) for resource in part.resources for name in UNREAD[object_type]):
        raise UntrustworthyListError("the application lists groups with their members")
    return part


def _is_worth_asking(run: Run, plan: ObjectPlan) -> bool:
    wanted = prefetch(run.job.settings)
    if run.context.profile.paging == "none":
        return False
    if wanted == "auto":
        return bool(plan.matching) and _lookups(run, plan) >= FEWEST_LOOKUPS
    return bool(plan.matching) and wanted == "on"


def _check_cost(run: Run, plan: ObjectPlan, objects: int, size: int) -> None:
    """Raises UntrustworthyListError if asking about each object takes less than reading so many, at least, in parts of
    this size."""
    if prefetch(run.job.settings) == "on":
        return
    lookups = _lookups(run, plan)
    if -(-objects // size) * PART_COSTS > lookups:
        raise UntrustworthyListError(f"the application has {objects} objects, and about {lookups} lookups do as well")


def _lookups(run: Run, plan: ObjectPlan) -> int:
    """About how many lookups the cycle needs: one for each linked object, and one for each matching attribute of the
    others that are in scope."""
    directory, resource_id = run.directory, run.job.service_principal_id
    if plan.object_type == "User":
        in_scope = directory.count_users() if run.context.settings.sync_all else directory.count_entitled(resource_id)
    else:
        in_scope = directory.count_groups()
    linked: int = run.reader.execute(
        "SELECT count(*) FROM link WHERE job_id = ? AND object_type = ?", (run.job.id, plan.object_type)
    ).fetchone()[0]
    return linked + max(0, in_scope - linked) * len(plan.matching)


async def check_whole(run: Run, plan: ObjectPlan, endpoint: str, resources: Sequence[Resource]) -> None:
    """Raises UntrustworthyListError if a read of one object shows more than the list does. One that the job is linked
    with has the attributes that it has written; what others made may have none."""
    if not resources:
        return
    ids = [resource["id"] for resource in resources]
    linked = sources_linked_to(run.reader, run.job.id, plan.object_type, ids)
    listed = next((resource for resource in resources if resource["id"] in linked), resources[0])
    read = await run.target.read(endpoint, listed["id"], exclude=UNREAD[plan.object_type])
    if read is None:
        raise UntrustworthyListError("the application lists an object that it does not have")
    for flow in (*plan.flows, *plan.matching):
        if flow.path.read(listed) is None and flow.path.read(read) is not None:
            raise UntrustworthyListError(f"the application leaves {flow.target} out of its lists")


def _check_new(run: Run, plan: ObjectPlan, resources: Sequence[Resource]) -> None:
    """Raises UntrustworthyListError if one of the objects was listed before."""
    ids = [resource["id"] for resource in resources]
    if len(set(ids)) < len(ids) or census.has_objects(run.reader, run.cycle.id, plan.object_type, ids):
        raise UntrustworthyListError("the application lists an object twice")


def _next_type(object_type: ObjectType, commit: Callable[[sqlite3.Connection], None]) -> PageResult:
    following = _following(object_type)
    return PageResult(following, not following, commit)


def _following(object_type: ObjectType) -> str:
    """The cursor of the next type, '' if there is none."""
    at = TYPES.index(object_type) + 1
    return TYPES[at] if at < len(TYPES) else ""
