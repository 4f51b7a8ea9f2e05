"""How fast a target is asked: how many requests at once, how many a second, and when not at all. Pure; time comes in.

The number of requests under way grows while answers come quickly (one more per answer at first, later one per round),
and is cut when the target is overloaded (503, no answer in time). A 429 also gives a rate: a bit below what the target
had just borne, from where it grows slowly again. So the pace swings around the most that the target bears.
"""

import math
from collections import deque
from enum import Enum
from typing import Final

import msgspec

FULL: Final = math.inf
"""Wait until a request ends."""
SLACK: Final = 0.02
"""Seconds that a request may begin early: timers are coarse, and what they lose is not lost."""
INSTANT: Final = 1e-5
"""Seconds that are not worth waiting for, and more than the times of today lose to rounding."""
QUICK: Final = 0.25
"""Answers within so many seconds are quick, whatever they took when the target was idle."""
BEST_HOLDS: Final = 300.0
"""Seconds for which the quickest answer is what others are compared with."""
SLOWED: Final = 4.0
"""Answers are slow that take so many times as long as when the target was idle."""
CUT_WHEN_SLOW: Final = 0.8
CUT_WHEN_OVERLOADED: Final = 0.5
CUT_WHEN_THROTTLED: Final = 0.8
REGAINED: Final = 0.02
"""Share of the rate that is won back each second."""
LEAST_RATE: Final = 0.5
MEASURED: Final = 2.0
"""Seconds over which the rate that was borne is measured."""
TELLING: Final = 8
"""So many answers tell a rate."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


class Verdict(Enum):
    """What an answer says about the pace."""

    ANSWERED = "answered"
    OVERLOADED = "overloaded"
    THROTTLED = "throttled"


class PaceLimits(msgspec.Struct, frozen=True):
    """What the pace never exceeds, and where it begins."""

    most_concurrent: int = 32
    first_concurrent: int = 8
    requests_per_second: float | None = None
    """None: as many as the target bears."""


class Pace:
    """The pace of one target. Times are seconds of any clock that does not run backwards."""

    def __init__(self, limits: PaceLimits) -> None:
        self._limits = limits
        self._window = float(min(limits.first_concurrent, limits.most_concurrent))
        self._threshold = float(limits.most_concurrent)
        self._under_way = 0
        self._rate: float | None = None
        self._regained_until = 0.0
        self._next = 0.0
        self._paused_until = 0.0
        self._last_cut = -math.inf
        self._streak = 0
        self._latency = 0.0
        self._best_latency = math.inf
        self._best_since = math.inf
        self._ended: deque[float] = deque(maxlen=512)

    def successor(self) -> "Pace":
        """What has been learnt, for a target that is opened again: nothing is under way."""
        heir = Pace(self._limits)
        heir._window, heir._threshold = self._window, self._threshold
        heir._rate, heir._regained_until, heir._next = self._rate, self._regained_until, self._next
        heir._paused_until, heir._last_cut, heir._streak = self._paused_until, self._last_cut, self._streak
        heir._best_latency, heir._best_since = self._best_latency, self._best_since
        return heir

    @property
    def concurrency(self) -> int:
        """How many requests may be under way at once."""
        return int(self._window)

    @property
    def requests_per_second(self) -> float | None:
        """The rate that is kept; None while none is needed."""
        fixed, found = self._limits.requests_per_second, self._rate
        if fixed is None or found is None:
            return found if fixed is None else fixed
        return min(fixed, found)

    def begin(self, now: float) -> float:
        """0 if a request may begin now, which is counted; else the seconds after which to ask again, or `FULL`."""
        paused = self._paused_until - now
        if paused > INSTANT:
            return paused
        if self._under_way >= int(self._window):
            return FULL
        rate = self.requests_per_second
        if rate is not None:
            early = self._next - SLACK - now
            if early > INSTANT:
                return early
            self._next = max(self._next, now) + 1 / rate
        self._under_way += 1
        return 0.0

    def end(self, began: float, now: float, verdict: Verdict, pause: float | None = None) -> None:
        """A request that began then has ended. `pause`: seconds for which the target wants to be left alone."""
        was_full = self._under_way >= int(self._window)
        self._under_way -= 1
        if verdict is Verdict.ANSWERED:
            self._grow(began, now, was_full)
        else:
            self._cut(began, now, verdict)
            # What is to come again at once, and is refused again, has to wait after all.
            if (pause is None and verdict is Verdict.THROTTLED) or (pause == 0 and self._streak > 1):
                pause = min(FIRST_PAUSE * 2 ** (self._streak - 1), LONGEST_PAUSE)
        if pause:
            self._paused_until = max(self._paused_until, now + pause)

    def cancel(self) -> None:
        """A request that had begun was given up: nothing is learnt from it."""
        self._under_way -= 1

    def _grow(self, began: float, now: float, was_full: bool) -> None:
        latency = now - began
        self._streak = 0
        self._ended.append(now)
        if now < self._best_since:
            self._best_since = now
        self._latency += (latency - self._latency) / min(len(self._ended), 8)
        if now - self._best_since > BEST_HOLDS:
            # The way to the target may have become longer. With half of the load its best shows again.
            self._best_since, self._best_latency = now, math.inf
            self._window = max(1.0, self._window / 2)
        if latency < self._best_latency:
            self._best_latency = latency
        if self._rate is not None and now > self._regained_until:
            # Time in which nothing was sent wins nothing back.
            self._rate += self._rate * REGAINED * min(now - self._regained_until, 1.0)
            self._regained_until = now
        if self._latency > max(QUICK, SLOWED * self._best_latency):
            if began >= self._last_cut:
                self._last_cut = now
                self._window = self._threshold = max(1.0, self._window * CUT_WHEN_SLOW)
        elif was_full and self._window < self._limits.most_concurrent:
            self._window += 1.0 if self._window < self._threshold else 1 / self._window
            self._window = min(self._window, float(self._limits.most_concurrent))

    def _cut(self, began: float, now: float, verdict: Verdict) -> None:
        # What was under way when the pace was cut last says nothing about the pace since.
        if began < self._last_cut:
            return
        self._last_cut = now
        self._streak += 1
        if verdict is Verdict.THROTTLED:
            borne = self._borne(now)
            if borne is not None:
                self._rate = max(LEAST_RATE, CUT_WHEN_THROTTLED * min(borne, self._rate or math.inf))
            elif self._rate is not None:
                self._rate = max(LEAST_RATE, CUT_WHEN_THROTTLED * self._rate)
            self._regained_until = self._next = now
        self._window = max(1.0, self._window * CUT_WHEN_OVERLOADED)
        self._threshold = max(2.0, self._window)

    def _borne(self, now: float) -> float | None:
        """Answers per second of late; None if they were too few to tell."""
        recent = [moment for moment in self._ended if moment > now - MEASURED]
        if len(recent) < TELLING:
            return None
        # Less than all of the time has passed at the beginning; a moment is not taken for a rate of thousands.
        return len(recent) / max(min(MEASURED, now - recent[0]), 0.25)
