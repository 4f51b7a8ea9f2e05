"""The benchmark of the application side, run for moments."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import orjson
import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.client import Answer, Job, drive, exchange
from benchmarks.endpoint import Plan, measure_endpoint
from benchmarks.workloads import WORKLOADS

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class ClosesAfterEachAnswer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@contextmanager
def impatient_server() -> Iterator[int]:
    """The port of a server that closes every connection after one answer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), ClosesAfterEachAnswer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_short_run_on_our_server_ends_without_errors(tmp_path: Path) -> None:
    plan = Plan(peers=(), sizes=(20,), connections=(2,), rounds=1, seconds=0.05, workloads=WORKLOADS)
    outcome = measure_endpoint(plan, tmp_path, Console(file=io.StringIO()))
    results = report.summarise(outcome)
    assert {result.what: result.errors for result in results if result.errors} == {}
    assert all(result.rate > 0 for result in results)
    left_out = [workload.what for workload in WORKLOADS if any(workload.what in note for note in outcome.notes)]
    too_large = [workload.what for workload in WORKLOADS if workload.members > 100]
    assert {result.what for result in results} == {workload.what for workload in WORKLOADS} - {*left_out, *too_large}
    assert set(left_out) <= {"/Bulk of 1,000 creates"}
    written = orjson.loads(orjson.dumps(report.document(results, outcome)))
    rows = [line for line in report.markdown(written).splitlines() if line.startswith("| w")]
    assert len(rows) == len(results)


def test_the_client_connects_again_when_the_server_closes() -> None:
    with impatient_server() as port:
        assert exchange("127.0.0.1", port, [REQUEST] * 5) == [Answer(200, b"hello")] * 5


def test_what_a_job_raises_is_raised_where_it_was_started() -> None:
    def job() -> Job:
        yield REQUEST
        raise ValueError("a job that fails")

    with impatient_server() as port, pytest.raises(ValueError, match="a job that fails"):
        drive("127.0.0.1", port, job, connections=2, patience=30)
