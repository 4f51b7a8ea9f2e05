"""Runs seeds of the simulation from the command line: `python -m tests.simulation --seeds 1000`."""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.simulate import MOST_STEPS, Outcome, simulate

PROGRESS_SECONDS = 2.0


def main() -> int:
    """0 if every seed went as it should, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--seeds", type=int, default=1000, help="so many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--verbose", action="store_true", help="tell the story of the seed")
    parser.add_argument("--shrink", action="store_true", help="end the seed's world as early as it still fails")
    options = parser.parse_args()
    if options.seed is not None:
        return _tell(_shrunk(options.seed) if options.shrink else _guarded(options.seed), verbose=options.verbose)
    began, failed = time.monotonic(), 0
    shown = began
    start = "\r" if sys.stdout.isatty() else ""
    seeds = range(options.first, options.first + options.seeds)
    for number, outcome in enumerate(_outcomes(seeds, options.jobs), start=1):
        if outcome.problems:
            failed += 1
            print(f"{start}python -m tests.simulation --seed {outcome.seed} --verbose   # {outcome.problems[0][:200]}")
        if sys.stderr.isatty() and time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            print(f"\r{_progress(number, seeds, failed, shown - began)} ", end="", flush=True, file=sys.stderr)
    print(f"\r{_progress(len(seeds), seeds, failed, time.monotonic() - began)}", file=sys.stderr)
    return int(failed > 0)


def _progress(number: int, seeds: range, failed: int, seconds: float) -> str:
    return f"{number}/{len(seeds)} seeds, {failed} failed, {number / seconds:.0f}/s"


def _outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(_without_story, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_without_story, seeds, chunksize=10)


def _without_story(seed: int) -> Outcome:
    outcome = _guarded(seed)
    return Outcome(seed, outcome.problems)


def _shrunk(seed: int) -> Outcome:
    """The first that fails of the worlds that are calm after no step, one, two …; the whole one if none does."""
    outcomes = (_guarded(seed, steps) for steps in range(MOST_STEPS))
    return next((outcome for outcome in outcomes if outcome.problems), None) or _guarded(seed)


def _guarded(seed: int, steps: int = MOST_STEPS) -> Outcome:
    try:
        return simulate(seed, steps=steps)
    except Exception as error:
        return Outcome(seed, [f"the simulation broke: {error!r}"])


def _tell(outcome: Outcome, *, verbose: bool) -> int:
    if verbose:
        print("\n".join(outcome.story))
    for problem in outcome.problems:
        print(f"seed {outcome.seed}: {problem}")
    return int(bool(outcome.problems))


if __name__ == "__main__":
    sys.exit(main())
