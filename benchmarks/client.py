"""A client for HTTP/1.1 that costs little: one uvloop process, one raw protocol for each connection.

What a connection sends is a job: a generator that yields ready requests and is sent the answers.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import httptools
import uvloop


class Answer(NamedTuple):
    """A response's status and body. Status 0: the connection was lost before there was one."""

    status: int
    body: bytes


LOST = Answer(0, b"connection lost")

Job = Generator[bytes, Answer, None]


class TooSlowError(Exception):
    """The server had not answered everything when the patience with it was over."""


@dataclass(frozen=True, slots=True)
class Drive:
    """What driving some jobs took."""

    latencies: list[float]
    """Seconds from sending a request to the end of its answer."""
    seconds: float
    """From the first request to the last answer."""
    client_cpu: float
    """Seconds of processor time that this process used meanwhile."""


def drive(host: str, port: int, job: Callable[[], Job], connections: int, patience: float) -> Drive:
    """Runs one job on each connection until all have ended.

    Raises OSError when the server does not accept connections, TooSlowError after `patience` seconds, and what a job
    raises.
    """
    # A collection would fall into one cell and not into another, and there is no garbage in cycles worth collecting.
    gc.disable()
    try:
        return uvloop.run(_drive(host, port, [job() for _ in range(connections)], patience))
    finally:
        gc.enable()


def exchange(host: str, port: int, requests: Iterable[bytes], connections: int = 1) -> list[Answer]:
    """The answers to all requests; in the order of the requests if there is one connection. Raises as `drive` does."""
    answers: list[Answer] = []
    waiting = iter(requests)

    def job() -> Job:
        for request in waiting:
            answers.append((yield request))  # noqa: PERF401 - a comprehension cannot yield

    drive(host, port, job, connections, patience=300)
    return answers


async def _drive(host: str, port: int, jobs: Sequence[Job], patience: float) -> Drive:
    latencies: list[float] = []
    connections = [Connection(host, port, job, latencies) for job in jobs]
    await asyncio.gather(*(connection.connect() for connection in connections))
    began, cpu = time.perf_counter(), time.process_time()
    for connection in connections:
        connection.start()
    try:
        async with asyncio.timeout(patience):
            await asyncio.gather(*(connection.ended for connection in connections))
    except TimeoutError:
        raise TooSlowError(f"still answering after {patience:g} seconds") from None
    finally:
        for connection in connections:
            connection.abort()
    return Drive(latencies, time.perf_counter() - began, time.process_time() - cpu)


class Connection(asyncio.Protocol):
    """Drives one job, one request at a time. Connects again when the server closes."""

    def __init__(self, host: str, port: int, job: Job, latencies: list[float]) -> None:
        self._address = host, port
        self._job = job
        self._latencies = latencies
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._request: bytes | None = None
        """What is being answered, or is to be sent once there is a connection."""
        self._is_sent = False
        self._sent_at = 0.0
        self._body: list[bytes] = []
        self._reconnecting: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self._loop.create_connection(lambda: self, *self._address)

    def start(self) -> None:
        self._request = next(self._job, None)
        self._go_on()

    def abort(self) -> None:
        if not self.ended.done():
            self.ended.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._is_sent:
            self._take(LOST)
        if self._request is not None and not self.ended.done():
            self._reconnecting = self._loop.create_task(self._reconnect())

    # What the parser calls

    def on_message_begin(self) -> None:
        self._body = []

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._latencies.append(time.perf_counter() - self._sent_at)
        keeps_alive = self._parser.should_keep_alive()
        self._take(Answer(self._parser.get_status_code(), b"".join(self._body)))
        if keeps_alive:
            self._go_on()
        elif self._transport is not None:
            self._transport.close()

    def _take(self, answer: Answer) -> None:
        self._is_sent = False
        try:
            self._request = self._job.send(answer)
        except StopIteration:
            self._request = None
            self._end()
        except Exception as error:
            # Raised where `drive` was called: the parser that calls this would swallow it.
            self._request = None
            self._fail(error)

    def _go_on(self) -> None:
        if self._request is None:
            self._end()
        elif self._transport is not None:
            self._is_sent = True
            self._sent_at = time.perf_counter()
            self._transport.write(self._request)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    async def _reconnect(self) -> None:
        try:
            await self.connect()
        except OSError as error:
            self._fail(error)
        else:
            self._go_on()
