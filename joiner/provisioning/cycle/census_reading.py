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
from joiner.provisioning.client.answers import Page as ListPart
from joiner.provisioning.client.answers import Resource
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.cycle import census
from joiner.provisioning.cycle.census import Census
from joiner.provisioning.cycle.run import ENDPOINTS, UNREAD, Claims, Page, PageResult, Run, empty_page
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.job.job_settings import prefetch
from joiner.provisioning.job.links import sources_linked_to
from joiner.provisioning.mapping.plan import ObjectPlan

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
    part, the total and the id before it, or `=` and the target's own cursor."""
    name, _, place = cursor.partition(" ")
    object_type: ObjectType = "Group" if name == "Group" else "User"
    plan = run.plan_of(object_type)
    if plan is None or (not place and not _is_worth_asking(run, plan)):
        following = _following(object_type)
        return await census_page(run, following, before) if following else empty_page()
    claims, expected = Claims(), _expected(object_type, place)
    known = before[-1] if before else claims

    async def finish() -> PageResult:
        result = await _read(run, plan, place, known, claims)
        # The cursor that is kept has the last id besides, which only reading tells.
        result.is_elsewhere = expected is None or not result.cursor.startswith(f"{expected} ")
        return result

    return Page(expected, False, finish, claims)


def _expected(object_type: ObjectType, place: str) -> str | None:
    """Where the page after this one begins, if no part of this one turns out to be short; None if nobody can say."""
    if not place or place.startswith("="):
        return None
    begin, size, total = map(int, place.split(" ")[:3])
    following = begin + _step(size) * REQUESTS_PER_PAGE
    return f"{object_type} {following} {size} {total}" if following <= total else None


def _step(size: int) -> int:
    """From the beginning of a part to that of the next one, which shares an object with it where there are several."""
    return max(1, size - 1)


async def _read(run: Run, plan: ObjectPlan, place: str, before: Claims, claims: Claims) -> PageResult:
    """`before`: the claims of the page before, which need not be committed yet; `claims`: those of this one."""
    try:
        return await (_continue(run, plan, place, before, claims) if place else _begin(run, plan, claims))
    except (TargetError, UntrustworthyListError) as error:
        # Whatever makes the target unusable shows again when the first object is looked up.
        reason = str(error)

    def give_up(connection: sqlite3.Connection) -> None:
        census.give_up(connection, run.cycle.id, plan.object_type, reason, run.clock())

    return _next_type(plan.object_type, give_up)


async def _begin(run: Run, plan: ObjectPlan, claims: Claims) -> PageResult:
    endpoint = ENDPOINTS[plan.object_type]
    place = 1 if run.context.profile.paging == "index" else ""
    first = await _part(run, plan, place, run.context.profile.page_size)
    if first.next_cursor is None and first.total is None:
        raise UntrustworthyListError("the application does not say how many objects there are")
    size = len(first.resources)
    if first.total and size:
        _check_cost(run, plan, first.total, size)
    await check_whole(run, plan, endpoint, first.resources)
    known = Census("reading", 0, first.total, to_iso(run.clock()))
    return _result(run, plan, known, [first], size, Claims(), claims)


async def _continue(run: Run, plan: ObjectPlan, place: str, before: Claims, claims: Claims) -> PageResult:
    known = before.census or census.census_of(run.reader, run.cycle.id, plan.object_type)
    assert known is not None
    if place.startswith("="):
        part = await _part(run, plan, place[1:], run.context.profile.page_size)
        return _result(run, plan, known, [part], len(part.resources), before, claims, by_cursor=True)
    assert known.total is not None
    _, size, _, *last = place.split(" ", 3)
    parts = await _side_by_side(run, plan, known.listed + 1, known.total, int(size), last[0] if last else before.last)
    return _result(run, plan, known, parts, int(size), before, claims)


async def _side_by_side(
    run: Run, plan: ObjectPlan, begin: int, total: int, size: int, before: str
) -> Sequence[ListPart]:
    """The next parts by index. Each begins with the object that the one before ends with: where somebody deletes an
    object that was listed, the others move up, and one would be missed though the number of all stays right."""
    step = _step(size)
    shared = size - step
    begins = range(begin, min(total + 1, begin + step * REQUESTS_PER_PAGE), step)
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
    run: Run,
    plan: ObjectPlan,
    known: Census,
    parts: Sequence[ListPart],
    size: int,
    before: Claims,
    claims: Claims,
    *,
    by_cursor: bool = False,
) -> PageResult:
    """What to commit of these parts, and where to go on."""
    resources = [resource for part in parts for resource in part.resources]
    cursor = parts[-1].next_cursor
    by_cursor = by_cursor or cursor is not None
    total = parts[0].total if known.total is None else known.total
    # Not every part of a list by cursor says it (RFC 9865 §2).
    if any(part.total != total and not (by_cursor and part.total is None) for part in parts):
        raise UntrustworthyListError("the number of objects in the application changed while they were listed")
    ids = _check_new(run, plan, resources, before.listed)
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
    claims.census, claims.listed, claims.last = state, ids, resources[-1]["id"] if resources else ""
    rows = census.rows_of(run.cycle.id, plan, resources)

    def commit(connection: sqlite3.Connection) -> None:
        census.write_census(connection, run.cycle.id, object_type, state)
        census.add_rows(connection, rows)

    if is_last:
        return _next_type(object_type, commit)
    further = f"={cursor}" if cursor is not None else f"{listed + 1} {size} {total} {resources[-1]['id']}"
    per_page = _step(size) * REQUESTS_PER_PAGE
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


def _check_new(run: Run, plan: ObjectPlan, resources: Sequence[Resource], before: frozenset[str]) -> frozenset[str]:
    """The ids of the objects. Raises UntrustworthyListError if one of them was listed before."""
    ids = frozenset(resource["id"] for resource in resources)
    is_known = not ids.isdisjoint(before) or census.has_objects(run.reader, run.cycle.id, plan.object_type, [*ids])
    if len(ids) < len(resources) or is_known:
        raise UntrustworthyListError("the application lists an object twice")
    return ids


def _next_type(object_type: ObjectType, commit: Callable[[sqlite3.Connection], None]) -> PageResult:
    following = _following(object_type)
    return PageResult(following, not following, commit)


def _following(object_type: ObjectType) -> str:
    """The cursor of the next type, '' if there is none."""
    at = TYPES.index(object_type) + 1
    return TYPES[at] if at < len(TYPES) else ""
