"""The benchmark's workloads: the same at every run, and not content with any answer."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest

from benchmarks.cells import Cell, Workload
from benchmarks.client import Answer
from benchmarks.people import scim_user
from benchmarks.profiling import Profile
from benchmarks.target import Target
from benchmarks.usage import Processes
from benchmarks.workloads import WORKLOADS, sample

WITHOUT_PREPARATION = [
    workload for workload in WORKLOADS if workload.name in ("w1", "w2", "w3", "w4", "w5", "w6", "w9")
]
REFUSAL = Answer(500, b"out of order")


def target() -> Target:
    """A target that nothing listens for."""
    ids = [f"id-{number}" for number in range(200)]
    return Target("imagined", "1", "nowhere", 1, "/scim", "secret", Processes(), ids=ids)


def answered(workload: Workload, answer: Answer, most: int = 40) -> tuple[list[bytes], Cell]:
    """The first requests of a cell that gets always the same answer."""
    cell = Cell(target(), size=200, seconds=60)
    with workload.prepare(cell) as make_job:
        job = make_job()
        requests = [next(job)]
        requests += [job.send(answer) for _ in range(most - 1)]
        job.close()
    return requests, cell


@pytest.mark.parametrize("workload", WITHOUT_PREPARATION, ids=lambda workload: workload.name)
def test_a_workload_sends_the_same_requests_at_every_run(workload: Workload) -> None:
    first, _ = answered(workload, REFUSAL)
    assert answered(workload, REFUSAL)[0] == first
    assert len(set(first)) == len(first), "every request is another one"


@pytest.mark.parametrize("workload", WITHOUT_PREPARATION, ids=lambda workload: workload.name)
@pytest.mark.parametrize("answer", [REFUSAL, Answer(200, b'{"totalResults": 7}')], ids=["refusal", "wrong content"])
def test_a_wrong_answer_is_an_error_and_no_success(workload: Workload, answer: Answer) -> None:
    requests, cell = answered(workload, answer)
    assert cell.done == 0
    assert cell.errors.total() == len(requests) - 1


def test_the_right_answer_is_a_success() -> None:
    [workload] = [workload for workload in WORKLOADS if workload.name == "w2"]
    cell = Cell(target(), size=1, seconds=60)
    with workload.prepare(cell) as make_job:
        job = make_job()
        assert next(job).startswith(b"GET /scim/Users/id-0 HTTP/1.1\r\n")
        job.send(Answer(200, orjson.dumps(scim_user(0))))
    assert (cell.done, cell.errors) == (1, {})


class Forgetful(Target):
    """Acknowledges everything and shows groups without members."""

    def exchange(self, *requests: bytes) -> list[Answer]:
        return [
            Answer(201, b'{"id": "g"}') if request.startswith(b"POST") else Answer(200, b'{"members": []}')
            for request in requests
        ]

    def delete(self, paths: Iterable[str]) -> None:
        assert list(paths) == ["/Groups/g"]


def test_an_acknowledged_member_that_is_not_in_the_group_is_an_error() -> None:
    [workload] = [workload for workload in WORKLOADS if workload.name == "w7a" and workload.members == 100]
    forgetful = Forgetful("imagined", "1", "nowhere", 1, "/scim", "secret", Processes(), ids=target().ids)
    cell = Cell(forgetful, size=200, seconds=60)
    with workload.prepare(cell) as make_job:
        job = make_job()
        next(job)
        job.send(Answer(204, b""))
        job.send(Answer(500, b"refused"))
    assert cell.done == 1
    assert cell.errors == {"500 refused": 1, "an acknowledged member is not there": 1}


def test_a_user_has_the_values_that_entra_sends() -> None:
    user = scim_user(7)
    assert len(list(values(user))) == 22
    assert 850 < len(orjson.dumps(user)) < 1050
    assert user == scim_user(7)
    assert user["userName"] != scim_user(8)["userName"]


def values(part: Any) -> Iterator[Any]:
    """The values that Entra maps, without those that only tell them apart."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name not in ("schemas", "type", "primary"):
                yield from values(value)
    elif isinstance(part, list):
        for one in part:
            yield from values(one)
    else:
        yield part


@pytest.mark.parametrize("size", [1, 20, 1000, 10_000])
def test_a_sample_spreads_over_the_whole_set(size: int) -> None:
    numbers = sample(size)
    assert len(set(numbers)) == len(numbers) == min(size, 1000)
    assert min(numbers) == 0
    assert size - max(numbers) <= max(1, size // 1000)


def test_a_profile_counts_a_function_once_in_a_stack_that_recurs() -> None:
    profile = Profile()
    profile.add("outer (a.py:1);inner (b.py:2);inner (b.py:2) 3\nouter (a.py:1) 1\n")
    assert profile.samples == 4
    assert profile.own == {"b.py: inner": 3, "a.py: outer": 1}
    assert profile.below == {"a.py: outer": 4, "b.py: inner": 3}
