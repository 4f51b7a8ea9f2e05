"""The order in which bulk operations are executed, so that every reference is known when it is needed
(RFC 7644 §3.7.1, §3.7.2).

Operations keep the order of the request wherever references allow it: one that refers to a later one waits for it, and
what concerns the same resource stays in its order. Where POSTs refer to each other in a circle, some are created
without what can be added later, and get it by a PATCH of their own.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping, Set
from typing import Final

import msgspec

from joiner.scim.bulk import BulkOperation, BulkRequest
from joiner.scim.bulk_references import (
    REFERENCE,
    References,
    defer,
    references_of,
)
from joiner.scim.errors import ConflictError, ScimError

Graph = Mapping[int, Collection[int]]
"""What waits → what it waits for."""
CIRCLE: Final = "the operation is in a circle of references that cannot be added later"


class Step(msgspec.Struct, frozen=True):
    """One request to execute. Its operation's references are not resolved yet."""

    operation: BulkOperation
    has_references: bool = False
    completes: bool = False
    """It adds what an earlier step left out; both together are the operation of this index."""
    error: ScimError | None = None
    """Why the operation fails without being executed."""


class Plan(msgspec.Struct, frozen=True):
    """What to execute, in this order."""

    steps: tuple[Step, ...]


def plan(request: BulkRequest) -> Plan:
    """The steps of a request, in time that grows with its size and number of references.

    Every operation has one step, and those whose references were put off have a second one. Raises nothing: what is
    wrong with an operation is its step's `error`.
    """
    references: dict[int, References] = {}
    errors: dict[int, ScimError] = {}
    for operation in request.operations:
        if operation.error is not None:
            errors[operation.index] = operation.error
            continue
        try:
            found = references_of(operation)
        except ScimError as error:
            errors[operation.index] = error
            continue
        if found is not None:
            references[operation.index] = found
    if not references:
        return Plan(tuple([Step(operation, error=errors.get(operation.index)) for operation in request.operations]))
    return Plan(tuple(_planned(request.operations, references, errors)))


def _planned(
    operations: tuple[BulkOperation, ...], references: Mapping[int, References], errors: dict[int, ScimError]
) -> Iterable[Step]:
    posts = {
        operation.bulk_id: operation.index
        for operation in operations
        if operation.method == "POST" and operation.bulk_id is not None
    }
    needed = {index: _indexes(found.needed, posts) for index, found in references.items()}
    deferrable = {index: _indexes(found.deferrable, posts) for index, found in references.items()}
    hopeless, put_off = _break_circles(needed, deferrable)
    errors.update({index: ConflictError(CIRCLE) for index in hopeless})

    completions: dict[int, Step] = {}
    steps: dict[int, Step] = {}
    for operation in operations:
        index = operation.index
        late = put_off.get(index)
        if late:
            operation, patch = defer(operation, {str(operations[number].bulk_id) for number in late})
            completions[index] = Step(patch, has_references=True, completes=True)
        steps[index] = Step(operation, index in references, error=errors.get(index))

    # Two nodes for each operation, so that a completion comes right behind what it completes if nothing else decides.
    waits: dict[int, Set[int]] = {2 * index: set() for index in steps}
    for index in references.keys() - hopeless:
        now = (needed[index] | deferrable[index]) - put_off.get(index, set())
        waits[2 * index] = {2 * number for number in now}
    for index in completions:
        waits[2 * index + 1] = {2 * index, *(2 * number for number in put_off[index])}
    _keep_order_on_resources(operations, posts, completions, waits)
    return [completions[node // 2] if node % 2 else steps[node // 2] for node in _in_order(waits)]


def _indexes(bulk_ids: Iterable[str], posts: Mapping[str, int]) -> set[int]:
    return {posts[bulk_id] for bulk_id in bulk_ids if bulk_id in posts}


def _break_circles(
    needed: Mapping[int, set[int]], deferrable: Mapping[int, set[int]]
) -> tuple[set[int], dict[int, set[int]]]:
    """The operations in circles that cannot be broken, and for others the references that have to be put off."""
    circles = _circles({index: needed[index] | deferrable[index] for index in needed})
    if not circles:
        return set(), {}
    inside = {index: needed[index] & circles for index in circles}
    hopeless = _circles(inside)
    order = _in_order({index: () if index in hopeless else waits for index, waits in inside.items()})
    rank = {index: place for place, index in enumerate(order)}
    put_off = {}
    for index in circles - hopeless:
        late = {other for other in (deferrable[index] & circles) - hopeless if rank[other] >= rank[index]}
        if late:
            put_off[index] = late
    return hopeless, put_off


def _circles(graph: Graph) -> set[int]:
    """The nodes on circles, and those on the way from one circle to another."""
    ahead = _stuck(graph)
    backwards: dict[int, list[int]] = {node: [] for node in ahead}
    for node in ahead:
        for other in graph[node]:
            if other in ahead:
                backwards[other].append(node)
    return _stuck(backwards)


def _stuck(graph: Graph) -> set[int]:
    return graph.keys() - set(_in_order(graph))


def _in_order(graph: Graph) -> list[int]:
    """The nodes, each behind those it waits for, otherwise by their numbers; without those that wait for ever."""
    followers: dict[int, list[int]] = {}
    left: dict[int, int] = {}
    ready: list[int] = []
    for node, waits in graph.items():
        count = 0
        for other in waits:
            if other in graph:
                followers.setdefault(other, []).append(node)
                count += 1
        if count:
            left[node] = count
        else:
            ready.append(node)
    heapq.heapify(ready)
    ordered = []
    while ready:
        node = heapq.heappop(ready)
        ordered.append(node)
        for follower in followers.get(node, ()):
            left[follower] -= 1
            if not left[follower]:
                heapq.heappush(ready, follower)
    return ordered


def _keep_order_on_resources(
    operations: tuple[BulkOperation, ...],
    posts: Mapping[str, int],
    completions: Collection[int],
    waits: dict[int, Set[int]],
) -> None:
    """What concerns one resource is executed in the order of the request, and after the resource is complete."""
    latest: dict[tuple[str, str], int] = {}
    for operation in operations:
        if operation.id is None:
            continue
        resource = operation.endpoint.lower(), operation.id
        node = 2 * operation.index
        before = latest.get(resource)
        if before is None and operation.id.startswith(REFERENCE):
            post = posts.get(operation.id.removeprefix(REFERENCE))
            before = 2 * post + 1 if post is not None and post in completions else None
        if before is not None:
            waits[node] = {*waits[node], before}
        latest[resource] = node
