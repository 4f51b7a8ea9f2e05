"""How the pace towards a target is found and kept, on a clock that only tests move."""

import heapq
from collections.abc import Callable

import pytest

from joiner.provisioning.client.pace import FULL, Pace, PaceLimits, Verdict


class Load:
    """Requests without end, at the pace, against a target that is a function of time; all on a virtual clock."""

    def __init__(self, pace: Pace, answer: Callable[[float, int], tuple[float, Verdict, float | None]]) -> None:
        self.pace = pace
        self.now = 1000.0
        self.begun: list[float] = []
        self.answered: list[float] = []
        self.refused: list[float] = []
        self.most_under_way = 0
        self._answer = answer
        self._under_way: list[tuple[float, float, Verdict, float | None]] = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            wait = self.pace.begin(self.now)
            if wait == 0:
                self.begun.append(self.now)
                latency, verdict, pause = self._answer(self.now, len(self._under_way) + 1)
                heapq.heappush(self._under_way, (self.now + latency, self.now, verdict, pause))
                self.most_under_way = max(self.most_under_way, len(self._under_way))
                continue
            ends = self._under_way[0][0] if self._under_way else FULL
            wakes = self.now + wait
            assert min(ends, wakes) < FULL, "nothing would ever happen again"
            if ends <= wakes:
                moment, began, verdict, pause = heapq.heappop(self._under_way)
                self.now = max(self.now, moment)
                (self.answered if verdict is Verdict.ANSWERED else self.refused).append(self.now)
                self.pace.end(began, self.now, verdict, pause)
            else:
                self.now = wakes

    def rate(self, seconds: float) -> float:
        """Answers per second of late."""
        return sum(moment > self.now - seconds for moment in self.answered) / seconds


def quick(latency: float) -> Callable[[float, int], tuple[float, Verdict, float | None]]:
    count = iter(range(10**9))
    return lambda now, under_way: (latency + next(count) * 1e-9, Verdict.ANSWERED, None)


class Throttling:
    """Answers 429 to what exceeds its rate in a second; `pause` is its Retry-After."""

    def __init__(self, rate: float, pause: float | None = 1.0) -> None:
        self.rate = rate
        self.pause = pause
        self._window, self._count, self._tick = 0, 0, 0

    def __call__(self, now: float, under_way: int) -> tuple[float, Verdict, float | None]:
        self._tick += 1
        if int(now) != self._window:
            self._window, self._count = int(now), 0
        self._count += 1
        latency = 0.03 + self._tick * 1e-9
        if self._count > self.rate:
            return latency, Verdict.THROTTLED, self.pause
        return latency, Verdict.ANSWERED, None


@pytest.mark.req("REQ-C-035")
@pytest.mark.parametrize("rate", [1.0, 25.0, 300.0])
def test_a_limit_of_requests_per_second_is_kept_and_used(rate: float) -> None:
    load = Load(Pace(PaceLimits(requests_per_second=rate)), quick(0.01))
    load.run(20)
    for start in range(1000, 1019):
        assert sum(start <= moment < start + 1 for moment in load.begun) <= rate * 1.02 + 1
    assert len(load.begun) >= 20 * rate * 0.99


def test_the_pace_grows_to_the_most_that_may_be_under_way_while_answers_are_quick() -> None:
    load = Load(Pace(PaceLimits(most_concurrent=32, first_concurrent=4)), quick(0.05))
    load.run(3)
    assert load.most_under_way == load.pace.concurrency == 32
    assert load.rate(1) == pytest.approx(32 / 0.05, rel=0.05)


def test_the_pace_does_not_grow_when_it_is_not_used() -> None:
    pace = Pace(PaceLimits(first_concurrent=8))
    for second in range(100):
        assert pace.begin(float(second)) == 0
        pace.end(float(second), second + 0.01, Verdict.ANSWERED)
    assert pace.concurrency == 8


def test_a_target_that_becomes_slow_under_load_is_given_less() -> None:
    def queueing(now: float, under_way: int) -> tuple[float, Verdict, float | None]:
        """Bears ten at once; what is more makes all of them slow."""
        return 0.1 * max(1.0, (under_way / 10) ** 3) + (now % 1) * 1e-6, Verdict.ANSWERED, None

    load = Load(Pace(PaceLimits(most_concurrent=100)), queueing)
    load.run(60)
    assert 10 <= load.pace.concurrency <= 20


def test_overload_halves_the_pace_once_for_all_requests_that_were_under_way() -> None:
    pace = Pace(PaceLimits(first_concurrent=16))
    assert [pace.begin(1.0) for _ in range(16)] == [0] * 16
    for _ in range(16):
        pace.end(1.0, 2.0, Verdict.OVERLOADED)
    assert pace.concurrency == 8
    assert pace.begin(3.0) == 0
    pace.end(3.0, 4.0, Verdict.OVERLOADED)
    assert pace.concurrency == 4


@pytest.mark.req("REQ-C-022")
def test_a_pause_that_the_target_asks_for_holds_for_all_requests() -> None:
    pace = Pace(PaceLimits())
    assert pace.begin(10.0) == 0
    assert pace.begin(10.0) == 0
    pace.end(10.0, 11.0, Verdict.THROTTLED, 7.0)
    assert pace.begin(12.0) == pytest.approx(6.0)
    pace.end(10.0, 12.0, Verdict.OVERLOADED, 2.0)
    assert pace.begin(17.5) == pytest.approx(0.5)
    assert pace.begin(18.0) == 0


def test_without_a_time_the_pause_grows_from_one_429_to_the_next_up_to_half_a_minute() -> None:
    pace, now, pauses = Pace(PaceLimits()), 100.0, []
    for _ in range(8):
        began = now
        assert pace.begin(began) == 0
        pace.end(began, began + 0.1, Verdict.THROTTLED)
        pauses.append(pace.begin(began + 0.1))
        now = began + 0.1 + pauses[-1]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


@pytest.mark.parametrize("borne", [20.0, 80.0, 200.0])
@pytest.mark.parametrize("pause", [None, 1.0])
def test_the_highest_rate_that_a_throttling_target_bears_is_found(borne: float, pause: float | None) -> None:
    load = Load(Pace(PaceLimits(most_concurrent=32)), Throttling(borne, pause))
    load.run(30)
    del load.refused[:]
    load.run(120)
    assert load.rate(120) > borne * 0.75
    assert len(load.refused) < len(load.begun) * 0.05


def test_a_target_that_bears_more_again_is_given_more_again() -> None:
    target = Throttling(20.0)
    load = Load(Pace(PaceLimits()), target)
    load.run(60)
    target.rate = 100.0
    load.run(120)
    assert load.rate(20) > 70


def test_a_fixed_limit_holds_even_where_more_would_be_borne() -> None:
    load = Load(Pace(PaceLimits(requests_per_second=10)), Throttling(100.0))
    load.run(20)
    assert load.refused == []
    assert load.rate(10) == pytest.approx(10, abs=0.5)


def test_what_was_learnt_goes_on_in_a_successor_with_nothing_under_way() -> None:
    load = Load(Pace(PaceLimits()), Throttling(20.0))
    load.run(30)
    heir = load.pace.successor()
    assert (heir.requests_per_second, heir.concurrency) == (load.pace.requests_per_second, load.pace.concurrency)
    again = Load(heir, Throttling(20.0))
    again.now = load.now + 10
    again.run(20)
    assert len(again.refused) <= 3


def test_a_request_that_is_given_up_makes_room_and_teaches_nothing() -> None:
    pace = Pace(PaceLimits(first_concurrent=1, most_concurrent=1))
    assert pace.begin(1.0) == 0
    assert pace.begin(1.0) == FULL
    pace.cancel()
    assert pace.begin(1.0) == 0
