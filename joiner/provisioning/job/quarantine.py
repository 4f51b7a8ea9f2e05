"""When a job is quarantined, and the timetable of its attempts to get out.

Pure. Source: provisioning service §8.1 (reasons), §8.2 (arithmetic), §8.3 (series).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from joiner.clock import from_iso, to_iso

Reason = Literal[
    "EncounteredQuarantineException",
    "EncounteredEscrowProportionThreshold",
    "EncounteredBaseEscrowThreshold",
    "EncounteredTotalEscrowThreshold",
    "TooManyDeletes",
    "QuarantinedOnDemand",
]

FIRST_ATTEMPTS: Final = (timedelta(0), timedelta(hours=6), timedelta(hours=12), timedelta(hours=24))
END: Final = timedelta(days=28)
COMPLETE_FAILURES: Final = 3
"""So many cycles in a row that failed as a whole are too many (REQ-P-082)."""


def next_attempt(first_failure: datetime, now: datetime) -> datetime:
    """6, 12 and 24 hours after the first failure, then every 24 hours: the first of these after `now` (REQ-P-083).

    Escrows follow the same timetable.
    """
    for wait in FIRST_ATTEMPTS[1:]:
        if first_failure + wait > now:
            return first_failure + wait
    days = (now - first_failure) // timedelta(days=1) + 1
    return first_failure + timedelta(days=days)


def is_over(first_failure: datetime, now: datetime) -> bool:
    """28 days of attempts have passed (REQ-P-073, REQ-P-086)."""
    return now - first_failure >= END


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Numbers of failures; see `verdict`."""

    evaluated_from: int
    percent: int
    base: int
    total: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How a job's objects stand at the end of a cycle."""

    failures: int
    """Objects that failed and wait for another try."""
    reference_failures: int
    """Objects whose members or manager could not be written."""
    successes: int
    """Objects that are as they should be."""

    def exceeds(self, percent: int) -> bool:
        """More than so many percent of the objects fail; references are left out (REQ-P-080)."""
        return self.failures * 100 > percent * (self.failures + self.successes)


def verdict(tally: Tally, thresholds: Thresholds) -> tuple[Reason, str] | None:
    """The reason and a sentence, or None for a job that may go on (REQ-P-077 … REQ-P-081)."""
    failures, total = tally.failures, tally.failures + tally.reference_failures
    if total < thresholds.evaluated_from:
        return None
    if failures > thresholds.base:
        return "EncounteredBaseEscrowThreshold", f"{failures} objects fail; more than {thresholds.base} are too many"
    if total > thresholds.total:
        text = f"{total} objects and references fail; more than {thresholds.total} are too many"
        return "EncounteredTotalEscrowThreshold", text
    if failures >= thresholds.evaluated_from and tally.exceeds(thresholds.percent):
        text = f"{failures} of {failures + tally.successes} objects fail; more than {thresholds.percent} % are too many"
        return "EncounteredEscrowProportionThreshold", text
    return None


def fails_completely(complete_failures: int, tally: Tally, thresholds: Thresholds) -> bool:
    """The rule for small tenants (REQ-P-082). The share keeps a single bad record from stopping everybody: it fails
    alone, at its own times."""
    return complete_failures >= COMPLETE_FAILURES and tally.exceeds(thresholds.percent)


def renewed(
    before: Mapping[str, Any] | None, reason: Reason, error: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """The quarantine as imposed now; one that stands already goes on as the same series (REQ-P-084)."""
    began = from_iso(before["seriesBegan"]) if before else now
    return {
        "reason": reason,
        "seriesBegan": to_iso(began),
        "currentBegan": to_iso(now),
        # How often it was judged again and left as it is.
        "seriesCount": int(before["seriesCount"]) + 1 if before else 0,
        "nextAttempt": to_iso(next_attempt(began, now)),
        "error": dict(error),
    }
