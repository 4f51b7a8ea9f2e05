"""Measures how fast both sides are, and shows where the time goes."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import orjson
from rich.console import Console

from benchmarks import cycles, engine, expressions, report
from benchmarks.endpoint import OURS, Plan, measure_endpoint
from benchmarks.profiling import profile, show_profile
from benchmarks.servers import SERVERS
from benchmarks.workloads import NAMES, WORKLOADS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_endpoint(commands.add_parser("endpoint", help="the application side alone, beside its peers"))
    _add_cycles(commands.add_parser("cycles", help="whole cycles, from one side to the other"))
    _add_engine(commands.add_parser("engine", help="the directory side alone, beside naive scripts"))
    _add_expressions(commands.add_parser("expressions", help="the mappings of one user"))
    _add_profile(commands.add_parser("profile", help="where the application side spends its time"))
    _add_table(commands.add_parser("table", help="figures that endpoint wrote to a file, as Markdown"))
    options = parser.parse_args()
    # So that the servers are stopped as well when we are.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    result: int = options.run(options)
    return result


def _add_endpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--peers",
        type=_some_of(SERVERS),
        default=["scim2-server"],
        metavar="NAME,…",
        help=f'what to measure beside {OURS}, "" for nothing; the first is the base of the ratios. '
        f"There are {', '.join(name for name in SERVERS if name != OURS)}. Default: scim2-server",
    )
    parser.add_argument("--sizes", type=_numbers, default=[1000, 10_000], metavar="N,…", help="users in the set")
    parser.add_argument("--connections", type=_numbers, default=[8, 32], metavar="N,…", help="how many send at once")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each cell runs")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="N", help="how long a cell runs")
    parser.add_argument("--workloads", type=_some_of(NAMES), default=NAMES, metavar="NAME,…", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file as well")
    parser.set_defaults(run=_endpoint)


def _add_cycles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, default=2000, metavar="N", help="users of the directory (default 2000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    parser.set_defaults(run=_cycles)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, default=5000, metavar="N", help="users of the directory (default 5000)")
    parser.add_argument("--naive", type=_some_of(engine.NAIVE), default=engine.NAIVE, metavar="NAME,…")
    parser.add_argument("--group-members", type=int, default=0, metavar="N", help="and a group of so many members")
    parser.add_argument("--parts", type=_some_of(engine.PARTS), default=engine.PARTS, metavar="NAME,…")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    parser.set_defaults(run=_engine)


def _add_expressions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    parser.set_defaults(run=_expressions)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workload", choices=NAMES)
    parser.add_argument("--size", type=int, default=1000, metavar="N", help="users in the set")
    parser.add_argument("--connections", type=int, default=8, metavar="N", help="how many send at once")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="N", help="how long it is watched")
    parser.set_defaults(run=_profile)


def _add_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.set_defaults(run=_show_table)


def _endpoint(options: argparse.Namespace) -> int:
    console = _console()
    workloads = [workload for workload in WORKLOADS if workload.name in options.workloads]
    plan = Plan(options.peers, options.sizes, options.connections, options.rounds, options.seconds, workloads)
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure_endpoint(plan, Path(folder), Console(stderr=True))
    results = report.summarise(outcome)
    report.show(results, outcome, console)
    if options.json:
        options.json.write_bytes(orjson.dumps(report.document(results, outcome), option=orjson.OPT_INDENT_2))
    return 1 if any(result.errors for result in results if result.server.startswith(OURS)) else 0


def _cycles(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = list(cycles.measure_cycles(Path(folder), options.users))
    cycles.show(figures)
    if options.json:
        options.json.write_text(json.dumps([cycles.vars_of(figure) for figure in figures], indent=1) + "\n")
    return 0


def _engine(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = list(
            engine.measure_engine(
                Path(folder), options.users, tuple(options.naive), options.group_members, options.parts
            )
        )
    engine.show(figures)
    if options.json:
        options.json.write_text(json.dumps(engine.document_of(figures), indent=1) + "\n")
    return 0


def _expressions(options: argparse.Namespace) -> int:
    figures = expressions.measure_expressions()
    expressions.show(figures)
    if options.json:
        options.json.write_text(json.dumps(expressions.document_of(figures), indent=1) + "\n")
    return 0


def _profile(options: argparse.Namespace) -> int:
    named = [workload for workload in WORKLOADS if workload.name == options.workload]
    workload = max(named, key=lambda each: each.members if each.members <= options.size else 0)
    with tempfile.TemporaryDirectory() as folder:
        found = profile(workload, options.size, options.connections, options.seconds, Path(folder))
    console = _console()
    console.print(f"{workload.name}: {workload.what}")
    show_profile(found, console)
    return 0


def _show_table(options: argparse.Namespace) -> int:
    print(report.markdown(orjson.loads(options.file.read_bytes())))
    return 0


def _console() -> Console:
    """As wide as the tables need when nobody says how wide it is."""
    return Console(width=None if sys.stdout.isatty() else 150)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Reads names with commas between them, each one of those known."""

    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(known)}")
        return names

    return read


if __name__ == "__main__":
    sys.exit(main())
