"""What a workload is made of: cells that its connections share, cases, and answers that are right."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import cycle, islice

from benchmarks.client import Answer, Job
from benchmarks.target import Target, shown

MOST_REQUESTS = 20_000
"""A cell that repeats its cases ends when its time is over or this many were sent."""

NO_MATCH = re.compile(rb'"totalResults":\s*0\b')
ONE_MATCH = re.compile(rb'"totalResults":\s*1\b')


@dataclass
class Cell:
    """One workload on one target for a short time: what its connections share."""

    target: Target
    size: int
    """Users in the set."""
    seconds: float
    done: int = 0
    """Units that were answered as they should be."""
    errors: Counter[str] = field(default_factory=Counter)
    """What was answered instead → how often."""
    deadline: float | None = None

    def is_over(self) -> bool:
        """Whether no more requests are to be sent. The time runs from the first call."""
        now = time.perf_counter()
        if self.deadline is None:
            self.deadline = now + self.seconds
        return now > self.deadline

    def accept(self, answer: Answer, is_right: bool) -> bool:
        """`is_right`; notes the answer as an error if not."""
        if not is_right:
            self.errors[shown(answer)] += 1
        return is_right


Case = tuple[bytes, Callable[[Answer], bool]]
"""A request, and whether an answer to it is right."""

Prepare = Callable[[Cell], AbstractContextManager[Callable[[], Job]]]


@dataclass(frozen=True)
class Workload:
    """A line of the result."""

    name: str
    what: str
    prepare: Prepare
    unit: str = "requests"
    members: int = 0
    """Members of the group that it works on; 0: no group. With more than a hundred it is left out for smaller sets."""
    added: int = 0
    """Users that it adds to the group."""
    connections: int | None = None
    """A fixed number instead of those asked for."""

    @property
    def users(self) -> int:
        """How many it needs in the set, whatever the size asked for."""
        return self.members + self.added


def in_turn(cell: Cell, cases: Iterator[Case]) -> Callable[[], Job]:
    """The job of sending the cases, each by whichever connection is free."""

    def job() -> Job:
        for request, is_right in cases:
            if cell.is_over():
                return
            answer = yield request
            cell.done += cell.accept(answer, is_right(answer))

    return job


def around(cases: Sequence[Case]) -> Iterator[Case]:
    return islice(cycle(cases), MOST_REQUESTS)


# Which answers are right


def is_ok_with(text: bytes, answer: Answer) -> bool:
    return answer.status == 200 and text in answer.body


def is_one_match(text: bytes, answer: Answer) -> bool:
    return answer.status == 200 and text in answer.body and ONE_MATCH.search(answer.body) is not None


def is_changed(text: bytes, answer: Answer) -> bool:
    return answer.status == 204 or (answer.status == 200 and text in answer.body)


def has_users(count: int, answer: Answer) -> bool:
    return answer.status == 200 and answer.body.count(b'"userName"') == count


def has_members(count: int, answer: Answer) -> bool:
    return answer.status == 200 and answer.body.count(b'"value"') == count


def is_acknowledged(answer: Answer) -> bool:
    return answer.status in (200, 204)


def is_no_match(answer: Answer) -> bool:
    return answer.status == 200 and NO_MATCH.search(answer.body) is not None
