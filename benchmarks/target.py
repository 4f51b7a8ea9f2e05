"""A SCIM endpoint under load: how to talk to it, and the users that it holds."""

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks import client
from benchmarks.client import Answer, Drive, Job
from benchmarks.people import scim_user
from benchmarks.usage import Processes

SEEDING_CONNECTIONS = 8
MOST_SHOWN = 140
"""Characters of an unexpected answer's body."""

FIRST_OF_CELLS = 1_000_000
"""Users from this number on are made and deleted by single cells; those below belong to the set."""


@dataclass
class Target:
    """One running server, as the benchmark sees it."""

    name: str
    version: str
    stores: str
    """Where it keeps what it has acknowledged."""
    port: int
    prefix: str
    """The path of the SCIM base URL."""
    token: str
    processes: Processes
    is_ours: bool = False
    ids: list[str] = field(default_factory=list)
    """The users of the set: the id of user 0, of user 1, and so on."""
    notes: list[str] = field(default_factory=list)
    only: Collection[str] = ()
    """The names of the workloads that it is made for; none: all."""
    lacks: set[object] = field(default_factory=set)
    """Workloads that it turned out not to do, or not in bearable time."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_OF_CELLS))

    host = "127.0.0.1"

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of one request; `path` begins behind the base URL."""
        head = (
            f"{method} {self.prefix}{path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nAccept: application/scim+json\r\n"
        )
        if body is None:
            return f"{head}\r\n".encode()
        content = orjson.dumps(body)
        return f"{head}Content-Type: application/scim+json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content

    def drive(self, job: Callable[[], Job], connections: int, patience: float) -> Drive:
        return client.drive(self.host, self.port, job, connections, patience)

    def exchange(self, *requests: bytes) -> list[Answer]:
        """The answers in the order of the requests."""
        return client.exchange(self.host, self.port, requests)

    def delete(self, paths: Iterable[str]) -> None:
        """Removes resources that a cell made. Raises UnexpectedAnswerError."""
        requests = [self.request("DELETE", path) for path in paths]
        if not requests:
            return
        for answer in client.exchange(self.host, self.port, requests, SEEDING_CONNECTIONS):
            if answer.status not in (200, 204):
                raise UnexpectedAnswerError(answer)

    def seed(self, users: int, seconds: float) -> bool:
        """Adds users until the set has so many; whether that came true before the time was over.

        Raises UnexpectedAnswerError.
        """
        deadline = time.monotonic() + seconds
        numbers = iter(range(len(self.ids), users))
        ids: dict[int, str] = {}

        def job() -> Job:
            for number in numbers:
                if time.monotonic() > deadline:
                    return
                ids[number] = created_id((yield self.request("POST", "/Users", scim_user(number))))

        self.drive(job, SEEDING_CONNECTIONS, patience=seconds + 60)
        self.ids += [ids[number] for number in sorted(ids)]
        return len(self.ids) >= users


class UnexpectedAnswerError(Exception):
    """A request outside of any measurement was refused."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(shown(answer))


def shown(answer: Answer) -> str:
    """The answer in a line that tells why it was refused."""
    text = answer.body.decode("utf-8", "replace")
    return f"{answer.status} {' '.join(text.split())[:MOST_SHOWN]}".strip()


def created_id(answer: Answer) -> str:
    """The id of the resource that a POST made. Raises UnexpectedAnswerError."""
    if answer.status != 201:
        raise UnexpectedAnswerError(answer)
    return str(orjson.loads(answer.body)["id"])
