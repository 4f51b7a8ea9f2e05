"""The application side alone: our server and its peers, side by side.

In each round every workload runs on one server after the other for a short time, A B A B, so that whatever else
happens on the machine hits all of them alike.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.cells import Cell, Workload
from benchmarks.client import TooSlowError
from benchmarks.environments import InstallationError
from benchmarks.servers import SERVERS, StartError
from benchmarks.target import Target, UnexpectedAnswerError
from benchmarks.workloads import NotOfferedError
from tests.services import MissingProgramError

OURS = "joiner"
WARM_UP_SECONDS = 0.3
PATIENCE = 60.0
"""Seconds beyond its own time after which a cell is given up."""
PEER_SEEDING_SECONDS = 60.0
OWN_SEEDING_SECONDS = 600.0
MOST_OF_A_LOG = 300
"""Characters shown of what a server said that did not start."""

CELL_FAILURES = (NotOfferedError, TooSlowError, UnexpectedAnswerError)
START_FAILURES = (InstallationError, StartError, MissingProgramError)


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    peers: Sequence[str]
    """What runs beside our own server."""
    sizes: Sequence[int]
    connections: Sequence[int]
    rounds: int
    seconds: float
    workloads: Sequence[Workload]


@dataclass(frozen=True)
class Measurement:
    """What one cell gave."""

    server: str
    workload: str
    what: str
    unit: str
    size: int
    connections: int
    round: int
    done: int
    """Units answered as they should be."""
    seconds: float
    cpu_seconds: float
    """Of all the server's processes."""
    latencies: tuple[float, float]
    """Seconds: the median, and what 99 of 100 requests stay below."""
    peak_bytes: int
    client_share: float
    """Of one core. Beyond 0.8 the client may be what is measured."""
    client_cpu_seconds: float
    requests: int
    errors: dict[str, int]

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.done / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of the server's processor time for each unit."""
        return self.cpu_seconds * 1000 / self.done if self.done else float("nan")


@dataclass(frozen=True)
class Outcome:
    servers: Sequence[Target]
    notes: Sequence[str]
    """What could not be measured, and why."""
    measurements: Sequence[Measurement]

    @property
    def base(self) -> str | None:
        """What ratios are to: the first server of others, or else the first beside ours."""
        beside = sorted(self.servers[1:], key=lambda target: target.is_ours)
        return beside[0].name if beside else None


def measure_endpoint(plan: Plan, folder: Path, console: Console) -> Outcome:
    """Starts the servers, measures, stops them. Tells the console how far it is."""
    notes: list[str] = []
    with ExitStack() as running:
        targets = []
        for name in (OURS, *plan.peers):
            console.print(f"starting {name}", style="dim")
            try:
                targets.append(running.enter_context(SERVERS[name](folder)))
            except START_FAILURES as error:
                notes.append(f"{name} could not be started: {' '.join(str(error).split())[-MOST_OF_A_LOG:]}")
        measurements = [found for size in plan.sizes for found in _measure_size(plan, size, targets, console)]
        notes += [f"{target.name}: {note}" for target in targets for note in target.notes]
    return Outcome(targets, notes, measurements)


def _measure_size(plan: Plan, size: int, targets: Sequence[Target], console: Console) -> Iterator[Measurement]:
    workloads = [workload for workload in plan.workloads if workload.members <= max(size, 100)]
    users = max([size, *(workload.users for workload in workloads)])
    seeded = [target for target in targets if _seed(target, users, console)]
    for workload in workloads:
        for target in _doing(workload, seeded):
            _warm_up(plan, workload, target, size)
    for number in range(1, plan.rounds + 1):
        for workload in workloads:
            for connections in (workload.connections,) if workload.connections else plan.connections:
                for target in _doing(workload, seeded):
                    yield from _measured(plan, workload, target, size, connections, number)
        console.print(f"{size:,} users, round {number} of {plan.rounds} done", style="dim")


def _doing(workload: Workload, targets: Sequence[Target]) -> list[Target]:
    """The targets that have not shown that they do not do it."""
    return [
        target
        for target in targets
        if workload not in target.lacks and (not target.only or workload.name in target.only)
    ]


def _seed(target: Target, users: int, console: Console) -> bool:
    """Whether the target now has so many users."""
    try:
        if target.seed(users, OWN_SEEDING_SECONDS if target.is_ours else PEER_SEEDING_SECONDS):
            console.print(f"{target.name} has {len(target.ids):,} users", style="dim")
            return True
        target.notes.append(f"only {len(target.ids):,} of {users:,} users in {PEER_SEEDING_SECONDS:g} seconds")
    except (*CELL_FAILURES, OSError) as error:
        target.notes.append(f"could not be filled with {users:,} users: {error}")
    return False


def _warm_up(plan: Plan, workload: Workload, target: Target, size: int) -> None:
    """Runs a cell that does not count; a workload of which nothing succeeds is left out from then on."""
    cell = Cell(target, size, min(plan.seconds, WARM_UP_SECONDS))
    try:
        with workload.prepare(cell) as job:
            target.drive(job, workload.connections or plan.connections[0], PATIENCE)
        failure = None if cell.done else next(iter(cell.errors), "no answer")
    except CELL_FAILURES as error:
        failure = str(error)
    if failure is not None:
        _leave_out(target, workload, failure)


def _leave_out(target: Target, workload: Workload, reason: str) -> None:
    target.lacks.add(workload)
    target.notes.append(f"{workload.name} ({workload.what}) is left out from here on: {reason}")


def _measured(
    plan: Plan, workload: Workload, target: Target, size: int, connections: int, number: int
) -> Iterator[Measurement]:
    """One cell; none if it took too long."""
    cell = Cell(target, size, plan.seconds)
    try:
        with workload.prepare(cell) as job:
            target.processes.forget_peak()
            cpu = target.processes.cpu_seconds()
            drive = target.drive(job, connections, plan.seconds + PATIENCE)
            cpu = target.processes.cpu_seconds() - cpu
            peak = target.processes.peak_bytes()
    except CELL_FAILURES as error:
        _leave_out(target, workload, str(error))
        return
    yield Measurement(
        server=target.name,
        workload=workload.name,
        what=workload.what,
        unit=workload.unit,
        size=size,
        connections=connections,
        round=number,
        done=cell.done,
        seconds=drive.seconds,
        cpu_seconds=cpu,
        latencies=(_quantile(drive.latencies, 0.5), _quantile(drive.latencies, 0.99)),
        peak_bytes=peak,
        client_share=drive.client_cpu / drive.seconds,
        client_cpu_seconds=drive.client_cpu,
        requests=len(drive.latencies),
        errors=dict(cell.errors),
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all stays below; of few values the greatest."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")
