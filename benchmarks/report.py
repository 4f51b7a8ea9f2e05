"""The endpoint's figures as a table and as JSON: medians over the rounds, and ratios to the base."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.endpoint import Measurement, Outcome

COLUMNS = ("workload", "at once", "server", "a second", "×", "CPU ms", "÷", "p50 ms", "p99 ms", "peak MB", "client")


@dataclass(frozen=True)
class Result:
    """The rounds of one server, workload, size and number of connections."""

    server: str
    workload: str
    what: str
    unit: str
    size: int
    connections: int
    rate: float
    """Units a second."""
    cpu_ms: float
    """Milliseconds of the server's processor time for each unit."""
    p50_ms: float
    p99_ms: float
    peak_mb: float
    client_share: float
    client_us: float
    """Microseconds of the client's processor time for each request."""
    errors: dict[str, int]
    """Added up, not the median."""
    faster: float | None
    """How many times the base's rate, in the same round; None: there is no base."""
    cheaper: float | None
    """How many times less processor time than the base."""


def summarise(outcome: Outcome) -> list[Result]:
    """One result for each server and case, in the order of the measurements."""
    cases: dict[tuple[Any, ...], dict[str, list[Measurement]]] = {}
    for each in outcome.measurements:
        cases.setdefault(_case(each), {}).setdefault(each.server, []).append(each)
    return [
        _result(rounds, servers.get(outcome.base or "")) for servers in cases.values() for rounds in servers.values()
    ]


def _case(each: Measurement) -> tuple[Any, ...]:
    return each.size, each.what, each.connections


def _result(rounds: Sequence[Measurement], base: Sequence[Measurement] | None) -> Result:
    one = rounds[0]
    errors: dict[str, int] = {}
    for each in rounds:
        for what, count in each.errors.items():
            errors[what] = errors.get(what, 0) + count
    in_base = {each.round: each for each in base or ()}
    pairs = [(each, in_base[each.round]) for each in rounds if each.round in in_base]
    pairs = [(each, other) for each, other in pairs if each.done and other.done]
    return Result(
        server=one.server,
        workload=one.workload,
        what=one.what,
        unit=one.unit,
        size=one.size,
        connections=one.connections,
        rate=median(each.rate for each in rounds),
        cpu_ms=median(each.cpu_ms for each in rounds),
        p50_ms=median(each.latencies[0] for each in rounds) * 1000,
        p99_ms=median(each.latencies[1] for each in rounds) * 1000,
        peak_mb=max(each.peak_bytes for each in rounds) / 1e6,
        client_share=median(each.client_share for each in rounds),
        client_us=median(each.client_cpu_seconds / max(1, each.requests) for each in rounds) * 1e6,
        errors=errors,
        faster=median(each.rate / other.rate for each, other in pairs) if pairs else None,
        # The system counts processor time in ticks of 10 ms: of a short cell it may have seen nothing.
        cheaper=median(other.cpu_ms / max(each.cpu_ms, 1e-3) for each, other in pairs) if pairs else None,
    )


def show(results: Sequence[Result], outcome: Outcome, console: Console) -> None:
    for size, sized in groupby(results, key=lambda result: result.size):
        console.print(_table(f"{size:,} users", list(sized)))
    for target in outcome.servers:
        console.print(f"{target.name} {target.version}: {target.stores}")
    for note in outcome.notes:
        console.print(note, style="yellow", markup=False)
    for result in results:
        for what, count in result.errors.items():
            place = f"{result.server}, {result.workload}, {result.connections} connections, {result.size:,} users"
            console.print(f"{place}: {count} errors: {what}", style="red", markup=False)


def _table(title: str, results: Sequence[Result]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("workload", "server") else "right", no_wrap=True)
    for _, case in groupby(results, key=lambda result: (result.what, result.connections)):
        for number, result in enumerate(case):
            first = number == 0
            unit = "" if result.unit == "requests" else f" ({result.unit})"
            table.add_row(
                f"{result.workload} {result.what}{unit}" if first else "",
                str(result.connections) if first else "",
                result.server,
                _figure(result.rate) + (f" ({sum(result.errors.values())} errors)" if result.errors else ""),
                _figure(result.faster),
                _figure(result.cpu_ms),
                _figure(result.cheaper),
                _figure(result.p50_ms),
                _figure(result.p99_ms),
                _figure(result.peak_mb),
                f"{result.client_share:.0%}",
            )
        table.add_section()
    return table


def _figure(value: float | None) -> str:
    """Three digits that count, or all before the point."""
    if value is None:
        return ""
    decimals = next((places for least, places in ((100, 0), (10, 1), (1, 2)) if value >= least), 3)
    return f"{value:,.{decimals}f}"


def document(results: Sequence[Result], outcome: Outcome) -> Mapping[str, Any]:
    """Everything, ready to be written as JSON."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "servers": [
            {"name": target.name, "version": target.version, "stores": target.stores} for target in outcome.servers
        ],
        "notes": list(outcome.notes),
        "results": [asdict(result) for result in results],
        "measurements": [asdict(each) for each in outcome.measurements],
    }


def markdown(written: Mapping[str, Any]) -> str:
    """What `document` gave as tables for a page: for each size and number of connections one, with a row a workload."""
    results = [Result(**result) for result in written["results"]]
    servers = [server["name"] for server in written["servers"]]
    tables = []
    for size in dict.fromkeys(result.size for result in results):
        for connections in sorted({result.connections for result in results if result.size == size}):
            chosen = [result for result in results if (result.size, result.connections) == (size, connections)]
            tables.append(f"{size:,} users, {connections} at once:\n\n{_markdown_table(chosen, servers)}")
    return "\n\n".join(tables)


def _markdown_table(results: Sequence[Result], servers: Sequence[str]) -> str:
    present = [name for name in servers if any(result.server == name for result in results)]
    lines = [
        f"| | {' | '.join(f'{name}: a second | CPU ms | p50 / p99 ms' for name in present)} |",
        f"|---|{'---:|' * 3 * len(present)}",
    ]
    for what, case in groupby(results, key=lambda result: (result.workload, result.what)):
        by_server = {result.server: result for result in case}
        cells = [_markdown_cells(by_server.get(name)) for name in present]
        lines.append(f"| {' '.join(what)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _markdown_cells(result: Result | None) -> str:
    if result is None:
        return " | | "
    return f"{_figure(result.rate)} | {_figure(result.cpu_ms)} | {_figure(result.p50_ms)} / {_figure(result.p99_ms)}"
