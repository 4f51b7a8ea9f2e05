"""When a job is quarantined, and the timetable of the attempts: pure rules."""

from datetime import UTC, datetime, timedelta

import pytest

from joiner.provisioning.job.job_settings import thresholds
from joiner.provisioning.job.quarantine import Tally, fails_completely, is_over, next_attempt, renewed, verdict

DEFAULTS = thresholds({})
BEGAN = datetime(2024, 5, 6, 7, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.req("REQ-P-077", "REQ-P-078", "REQ-P-079", "REQ-P-080")
@pytest.mark.parametrize(
    ("failures", "references", "successes", "reason"),
    [
        (4_000, 0, 0, None),
        (4_999, 0, 0, None),
        (5_000, 0, 7_500, None),
        (5_000, 0, 7_499, "EncounteredEscrowProportionThreshold"),
        (45_000, 0, 1_000_000, "EncounteredBaseEscrowThreshold"),
        (40_000, 0, 1_000_000, None),
        (30_000, 0, 5_000, "EncounteredEscrowProportionThreshold"),
        (20_000, 0, 100_000, None),
        (40_000, 21_000, 1_000_000, "EncounteredTotalEscrowThreshold"),
        (40_000, 20_000, 1_000_000, None),
        (0, 60_000, 0, None),
        (4_999, 50_000, 0, None),
        (0, 60_001, 1_000_000, "EncounteredTotalEscrowThreshold"),
    ],
)
def test_the_documented_arithmetic(failures: int, references: int, successes: int, reason: str | None) -> None:
    found = verdict(Tally(failures, references, successes), DEFAULTS)
    assert (found and found[0]) == reason


@pytest.mark.req("REQ-P-081")
def test_every_threshold_can_be_set() -> None:
    limits = thresholds(
        {
            "QuarantineEvaluationThreshold": "2",
            "QuarantineEscrowPercent": "50",
            "QuarantineBaseEscrowThreshold": "10",
            "QuarantineTotalEscrowThreshold": "12",
        }
    )
    assert verdict(Tally(1, 0, 0), limits) is None
    assert verdict(Tally(2, 0, 2), limits) is None
    assert verdict(Tally(3, 0, 2), limits) == (
        "EncounteredEscrowProportionThreshold",
        "3 of 5 objects fail; more than 50 % are too many",
    )
    assert verdict(Tally(11, 0, 99), limits) is not None
    assert verdict(Tally(10, 3, 99), limits) is not None


@pytest.mark.req("REQ-P-082")
def test_a_small_tenant_fails_completely_at_the_third_cycle_unless_it_is_one_bad_record() -> None:
    assert not fails_completely(2, Tally(3, 0, 0), DEFAULTS)
    assert fails_completely(3, Tally(3, 0, 0), DEFAULTS)
    assert not fails_completely(3, Tally(1, 0, 30), DEFAULTS)


@pytest.mark.req("REQ-P-083")
def test_attempts_follow_the_first_failure_after_6_12_24_hours_then_daily() -> None:
    moment, waits = BEGAN, []
    for _ in range(6):
        moment = next_attempt(BEGAN, moment)
        waits.append(moment - BEGAN)
    assert waits == [6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 4 * DAY]
    assert next_attempt(BEGAN, BEGAN + 7 * HOUR) == BEGAN + 12 * HOUR, "whatever was tried in between"
    assert not is_over(BEGAN, BEGAN + 28 * DAY - HOUR)
    assert is_over(BEGAN, BEGAN + 28 * DAY)


@pytest.mark.req("REQ-P-084")
def test_a_series_keeps_its_beginning_while_count_and_last_evaluation_move() -> None:
    error = {"code": "Unauthorized", "message": "no", "tenantActionable": True}
    first = renewed(None, "EncounteredQuarantineException", error, BEGAN)
    second = renewed(first, "EncounteredQuarantineException", error, BEGAN + 6 * HOUR)
    assert first["seriesBegan"] == second["seriesBegan"] == first["currentBegan"] == "2024-05-06T07:00:00.000000Z"
    assert second["currentBegan"] == "2024-05-06T13:00:00.000000Z"
    assert (first["seriesCount"], second["seriesCount"]) == (0, 1)
    assert second["nextAttempt"] == "2024-05-06T19:00:00.000000Z"
