"""The workloads w1–w10: which requests are sent, and which answers are right.

A workload is a context manager around one cell. It makes what the cell needs, gives the job that each connection does,
and removes what the cell made, so that every cell meets the same set of users.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from benchmarks.cells import (
    Case,
    Cell,
    Workload,
    around,
    has_members,
    has_users,
    in_turn,
    is_acknowledged,
    is_changed,
    is_no_match,
    is_ok_with,
    is_one_match,
)
from benchmarks.client import Answer, Job
from benchmarks.people import scim_user
from benchmarks.target import Target, UnexpectedAnswerError, created_id

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"

MOST_NEW_USERS = 6_000
"""A cell ends when its time is over or this many were sent."""
SAMPLE = 1_000
"""So many users, spread over the set, are read in turn."""
PAGE = 100
MEMBERS_AT_ONCE = 1_000
MOST_ADDED = 500
"""So many members one cell adds one by one."""
CYCLE_GROUP = 50
CYCLE_PATCH = 10
BULK_USERS = 1_000


# Users: w1 to w6


@contextmanager
def create_users(cell: Cell) -> Iterator[Callable[[], Job]]:
    target = cell.target
    requests = iter([_post_user(target, next(target.numbers)) for _ in range(MOST_NEW_USERS)])
    made: list[str] = []

    def job() -> Job:
        for request in requests:
            if cell.is_over():
                return
            _created(cell, (yield request), made)

    yield job
    target.delete(f"/Users/{id_}" for id_ in made)


def _name(number: int) -> str:
    name: str = scim_user(number)["userName"]
    return name


def _find(target: Target, attribute: str, value: str) -> bytes:
    condition = f'{attribute} eq "{value}"'
    return target.request("GET", f"/Users?filter={quote(condition)}")


def _post_user(target: Target, number: int) -> bytes:
    return target.request("POST", "/Users", scim_user(number))


def _created(cell: Cell, answer: Answer, made: list[str]) -> bool:
    """Whether the answer shows a created user, whose id is then in `made`."""
    if cell.accept(answer, answer.status == 201):
        made.append(created_id(answer))
        cell.done += 1
        return True
    return False


@contextmanager
def read_users(cell: Cell) -> Iterator[Callable[[], Job]]:
    def case(number: int) -> Case:
        request = cell.target.request("GET", f"/Users/{cell.target.ids[number]}")
        return request, partial(is_ok_with, _name(number).encode())

    yield in_turn(cell, around([case(number) for number in sample(cell.size)]))


@contextmanager
def find_users(cell: Cell, attribute: str) -> Iterator[Callable[[], Job]]:
    def case(number: int) -> Case:
        value = scim_user(number)[attribute]
        return _find(cell.target, attribute, value), partial(is_one_match, value.encode())

    yield in_turn(cell, around([case(number) for number in sample(cell.size)]))


@contextmanager
def change_users(cell: Cell) -> Iterator[Callable[[], Job]]:
    """As Entra does it: one operation for each attribute, verbs in capitals, the boolean as a string."""
    target = cell.target

    def case(number: int, serial: int) -> Case:
        name = f"Renamed {serial}"
        operations = [
            {"op": "Replace", "path": "active", "value": ("True", "False")[serial % 2]},
            {"op": "Replace", "path": "displayName", "value": name},
        ]
        request = target.request("PATCH", f"/Users/{target.ids[number]}", _patch(operations))
        return request, partial(is_changed, name.encode())

    numbers = itertools.cycle(sample(cell.size))
    serials = itertools.islice(target.numbers, MOST_NEW_USERS)
    yield in_turn(cell, iter([case(number, serial) for number, serial in zip(numbers, serials, strict=False)]))


@contextmanager
def list_users(cell: Cell) -> Iterator[Callable[[], Job]]:
    last = max(2, cell.size * 9 // 10)

    def case(start: int) -> Case:
        there = min(PAGE, len(cell.target.ids) - start + 1)
        return cell.target.request("GET", f"/Users?startIndex={start}&count={PAGE}"), partial(has_users, there)

    yield in_turn(cell, around([case(start) for start in range(max(1, last - PAGE // 2), last)]))


def sample(size: int) -> list[int]:
    """Numbers of users, spread evenly over the set, in an order without neighbours; the same at every run."""
    count = min(size, SAMPLE)
    spread = [position * size // count for position in range(count)]
    return [spread[position * 7919 % count] for position in range(count)]


# Groups: w7 and w8


@contextmanager
def add_members_singly(cell: Cell, members: int) -> Iterator[Callable[[], Job]]:
    """Every connection adds to the same group. Afterwards each acknowledged member must be there."""
    target = cell.target
    added = target.ids[members : members + MOST_ADDED]
    acknowledged: list[str] = []
    with group_of(target, members) as path:
        waiting = iter([(id_, target.request("PATCH", path, _add([id_]))) for id_ in added])

        def job() -> Job:
            for id_, request in waiting:
                if cell.is_over():
                    return
                answer = yield request
                if cell.accept(answer, answer.status in (200, 204)):
                    cell.done += 1
                    acknowledged.append(id_)

        yield job
        [answer] = target.exchange(target.request("GET", path))
        present = {member["value"] for member in orjson.loads(answer.body)["members"]}
        if lost := set(acknowledged) - present:
            cell.errors["an acknowledged member is not there"] += len(lost)


@contextmanager
def add_members_together(cell: Cell, members: int) -> Iterator[Callable[[], Job]]:
    target = cell.target
    added = target.ids[members : members + MEMBERS_AT_ONCE]
    with group_of(target, members) as path:
        yield in_turn(cell, iter([(target.request("PATCH", path, _add(added)), is_acknowledged)]))


@contextmanager
def read_group(cell: Cell, members: int, query: str, shown_members: int) -> Iterator[Callable[[], Job]]:
    with group_of(cell.target, members) as path:
        request = cell.target.request("GET", f"{path}{query}")
        yield in_turn(cell, around([(request, partial(has_members, shown_members))]))


@contextmanager
def group_of(target: Target, members: int) -> Iterator[str]:
    """The path of a group that has the first users of the set as its members. Raises UnexpectedAnswerError."""
    [answer] = target.exchange(_post_group(target, f"Group {next(target.numbers)}"))
    path = f"/Groups/{created_id(answer)}"
    for start in range(0, members, MEMBERS_AT_ONCE):
        ids = target.ids[start : min(start + MEMBERS_AT_ONCE, members)]
        [answer] = target.exchange(target.request("PATCH", path, _add(ids)))
        if not is_acknowledged(answer):
            raise UnexpectedAnswerError(answer)
    yield path
    target.delete([path])


def _post_group(target: Target, name: str) -> bytes:
    return target.request("POST", "/Groups", {"schemas": [GROUP], "externalId": name, "displayName": name})


def _add(ids: Sequence[str]) -> dict[str, Any]:
    return _patch([{"op": "Add", "path": "members", "value": [{"value": id_} for id_ in ids]}])


def _patch(operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": operations}


# Many users: w9 and w10


@contextmanager
def initial_cycle(cell: Cell) -> Iterator[Callable[[], Job]]:
    """What a first cycle sends: each user is looked for and made; every 50 become a group, by 5 requests of 10 members.

    The connections fill the groups together, so that the mix is the same for any number of them.
    """
    target = cell.target
    numbers = itertools.islice(target.numbers, MOST_NEW_USERS)
    pairs = iter([(_find(target, "userName", _name(number)), _post_user(target, number)) for number in numbers])
    made: list[str] = []
    groups: list[str] = []
    groupless: list[str] = []

    def group(members: list[str]) -> Job:
        answer = yield _post_group(target, f"Group {next(target.numbers)}")
        if not cell.accept(answer, answer.status == 201):
            return
        path = f"/Groups/{created_id(answer)}"
        groups.append(path)
        for start in range(0, CYCLE_GROUP, CYCLE_PATCH):
            answer = yield target.request("PATCH", path, _add(members[start : start + CYCLE_PATCH]))
            cell.accept(answer, is_acknowledged(answer))

    def job() -> Job:
        for find, post in pairs:
            if cell.is_over():
                return
            answer = yield find
            cell.accept(answer, is_no_match(answer))
            if _created(cell, (yield post), made):
                groupless.append(made[-1])
            if len(groupless) == CYCLE_GROUP:
                members = groupless.copy()
                groupless.clear()
                yield from group(members)

    yield job
    target.delete(groups)
    target.delete(f"/Users/{id_}" for id_ in made)


@contextmanager
def create_in_bulk(cell: Cell) -> Iterator[Callable[[], Job]]:
    """As few requests as the target's ServiceProviderConfig allows. Raises NotOfferedError."""
    target = cell.target
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": f"u{number}", "data": scim_user(number)}
        for number in itertools.islice(target.numbers, BULK_USERS)
    ]
    most = _bulk_limit(target, len(orjson.dumps(operations)) // BULK_USERS + 1)
    parts = [operations[start : start + most] for start in range(0, BULK_USERS, most)]
    requests = iter([target.request("POST", "/Bulk", {"schemas": [BULK], "Operations": part}) for part in parts])
    made: list[str] = []

    def job() -> Job:
        for request in requests:
            answer = yield request
            if not cell.accept(answer, answer.status == 200):
                continue
            for operation in orjson.loads(answer.body)["Operations"]:
                if cell.accept(Answer(0, orjson.dumps(operation)), str(operation["status"]) == "201"):
                    made.append(operation["location"].rpartition("/")[2])
                    cell.done += 1

    yield job
    target.delete(f"/Users/{id_}" for id_ in made)


class NotOfferedError(Exception):
    """The target says itself that it does not do this."""


def _bulk_limit(target: Target, operation_bytes: int) -> int:
    """How many operations of this size one request may hold. Raises NotOfferedError."""
    [answer] = target.exchange(target.request("GET", "/ServiceProviderConfig"))
    bulk = orjson.loads(answer.body)["bulk"] if answer.status == 200 else {"supported": False}
    if not bulk["supported"]:
        raise NotOfferedError("/Bulk is not offered")
    fitting = (bulk["maxPayloadSize"] - 200) // operation_bytes
    return int(max(1, min(bulk["maxOperations"], fitting, BULK_USERS)))


def _of_group(members: int) -> tuple[Workload, ...]:
    with_members = partial(read_group, members=members, query="", shown_members=members)
    without = partial(read_group, members=members, query="?excludedAttributes=members", shown_members=0)
    alone = partial(add_members_singly, members=members)
    group = f"group of {members:,}"
    return (
        Workload("w7a", f"PATCH {group}, add 1 member", alone, members=members, added=MOST_ADDED),
        Workload("w8a", f"GET {group}", with_members, members=members),
        Workload("w8b", f"GET {group} without members", without, members=members),
    )


WORKLOADS: Sequence[Workload] = (
    Workload("w1", "POST /Users", create_users),
    Workload("w2", "GET /Users/{id}", read_users),
    Workload("w3", "GET /Users?filter=userName eq", partial(find_users, attribute="userName")),
    Workload("w4", "GET /Users?filter=externalId eq", partial(find_users, attribute="externalId")),
    Workload("w5", "PATCH active and displayName", change_users),
    Workload("w6", "GET page of 100 at 90 %", list_users),
    *_of_group(100),
    *_of_group(10_000),
    Workload(
        *("w7b", "PATCH group of 10,000, add 1,000", partial(add_members_together, members=10_000)),
        members=10_000,
        added=MEMBERS_AT_ONCE,
        connections=1,
    ),
    Workload("w9", "initial cycle", initial_cycle, unit="users"),
    Workload("w10", "/Bulk of 1,000 creates", create_in_bulk, unit="users", connections=1),
)

NAMES: Sequence[str] = list(dict.fromkeys(workload.name for workload in WORKLOADS))
