"""Seeded worlds in which everything goes wrong that can, and that must come out right in the end."""

import os
import subprocess
import sys

import pytest

from tests.repository import ROOT
from tests.simulation.regressions import REGRESSIONS
from tests.simulation.simulate import simulate

SEEDS = range(200)
SEEDS_A_TEST = 20


@pytest.mark.req("REQ-P-054", "REQ-P-061", "REQ-P-072", "REQ-P-108", "REQ-P-131")
@pytest.mark.parametrize("first", range(0, len(SEEDS), SEEDS_A_TEST))
def test_after_the_faults_the_target_is_as_intended_and_stays_so_without_a_write(first: int) -> None:
    problems = [f"seed {seed}: {problem}" for seed in SEEDS[first : first + SEEDS_A_TEST] for problem in told(seed)]
    assert not problems, "python -m tests.simulation --seed N --verbose tells the story"


@pytest.mark.req("REQ-P-061")
@pytest.mark.parametrize("attribute", ["externalId", "userName", "displayName"])
def test_nobody_is_touched_in_a_target_that_cannot_filter(attribute: str) -> None:
    problems = [text for seed in range(20) for text in simulate(seed, frozenset({attribute})).problems]
    assert problems == []


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_has_failed_does_not_fail_again(seed: int) -> None:
    assert told(seed) == [], REGRESSIONS[seed]


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    # Random ids are part of the story but not of what happens.
    script = (
        "import re, sys; from tests.simulation.simulate import simulate;"
        "print(re.sub(r'[0-9a-f-]{36}', '', '\\n'.join(simulate(14).story)))"
    )
    stories = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert stories[0] == stories[1]
    assert stories[0].count("\n") > 20


def told(seed: int) -> list[str]:
    return simulate(seed).problems
