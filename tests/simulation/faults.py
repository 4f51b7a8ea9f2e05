"""Everything that targets do wrong now and then: a table of names and behaviours, and the weather that picks them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from random import Random
from typing import Final

import orjson

from joiner.provisioning.client.exchange import Answer
from joiner.provisioning.client.failures import TargetError
from tests.simulation.scim_target import Request, SimulatedTarget

Behaviour = Callable[[SimulatedTarget, Request], Awaitable[Answer]]

PAGE: Final = b"<!DOCTYPE html><html><title>Maintenance</title><p>We will be back soon.</html>"
READS: Final = frozenset({"GET"})
CREATES: Final = frozenset({"POST"})
UPDATES: Final = frozenset({"PATCH", "PUT"})
DELETES: Final = frozenset({"DELETE"})
ALL: Final = READS | CREATES | UPDATES | DELETES


@dataclass(frozen=True, slots=True)
class Fault:
    """`methods` it strikes. `is_silent`: the target claims success, so that no incremental cycle can know better."""

    behave: Behaviour
    methods: frozenset[str] = ALL
    is_silent: bool = False


async def _throttled(target: SimulatedTarget, request: Request) -> Answer:
    return Answer(429, {}, b"")


async def _throttled_for_seconds(target: SimulatedTarget, request: Request) -> Answer:
    return Answer(429, {"retry-after": str(target.rng.randint(1, 90))}, b"")


async def _throttled_until(target: SimulatedTarget, request: Request) -> Answer:
    until = target.clock() + timedelta(seconds=target.rng.randint(-5, 90))
    return Answer(429, {"retry-after": format_datetime(until, usegmt=True)}, b"")


def _status(status: int, content: bytes = b"", *, after: bool = False) -> Behaviour:
    async def behave(target: SimulatedTarget, request: Request) -> Answer:
        if after:
            target.serve(request)
        return Answer(status, {"content-type": "text/html"} if content else {}, content)

    return behave


def _no_answer(code: str, *, after: bool) -> Behaviour:
    async def behave(target: SimulatedTarget, request: Request) -> Answer:
        if after:
            target.serve(request)
        await asyncio.sleep(request.timeout if code == "Timeout" else 0.1)
        raise TargetError(code, "no answer came")

    return behave


async def _half(target: SimulatedTarget, request: Request) -> Answer:
    answer = target.serve(request)
    return Answer(answer.status, answer.headers, answer.content[: len(answer.content) // 2])


async def _mislabelled(target: SimulatedTarget, request: Request) -> Answer:
    answer = target.serve(request)
    return Answer(answer.status, {"content-type": "text/plain"}, answer.content)


async def _slow(target: SimulatedTarget, request: Request) -> Answer:
    seconds = target.rng.uniform(5, 1.5 * request.timeout)
    answer = target.serve(request)
    await asyncio.sleep(min(seconds, request.timeout))
    if seconds > request.timeout:
        raise TargetError("Timeout", "no answer came")
    return answer


async def _late(target: SimulatedTarget, request: Request) -> Answer:
    """It takes effect only after the client has long given up."""
    await asyncio.sleep(min(20.0, request.timeout))
    return target.serve(request)


async def _conflict(target: SimulatedTarget, request: Request) -> Answer:
    return Answer(409, {}, orjson.dumps({"detail": "exists", "scimType": "uniqueness"}))


async def _race(target: SimulatedTarget, request: Request) -> Answer:
    """Somebody made it by hand a moment before."""
    name = "userName" if request.endpoint == "Users" else "displayName"
    if not target.having(request.endpoint, name, request.body[name]):
        values = {"userName": request.body[name], "active": True} if name == "userName" else {name: request.body[name]}
        target.add_by_hand(request.endpoint, **values)
    return target.serve(request)


async def _everything(target: SimulatedTarget, request: Request) -> Answer:
    """A filter that is not understood is answered with all there is."""
    if request.id:
        return target.serve(request)
    found = [item for item in target.resources[request.endpoint].values() if not target.is_hidden(item["id"])]
    return Answer(200, {}, orjson.dumps({"totalResults": len(found), "Resources": found}))


async def _lost(target: SimulatedTarget, request: Request) -> Answer:
    """Says that an update was made, and forgets it. Members are apart: nobody can read them back."""
    if request.is_about_members or request.id not in target.resources[request.endpoint]:
        return target.serve(request)
    target.not_updated.add(request.id)
    return Answer(204, {}, b"")


async def _lost_members(target: SimulatedTarget, request: Request) -> Answer:
    if not request.is_about_members or request.id not in target.resources["Groups"]:
        return target.serve(request)
    return Answer(204, {}, b"")


async def _lost_delete(target: SimulatedTarget, request: Request) -> Answer:
    if request.id not in target.resources[request.endpoint]:
        return target.serve(request)
    target.undeleted[request.id] = deepcopy(target.resources[request.endpoint][request.id])
    return Answer(204, {}, b"")


FAULTS: Final[Mapping[str, Fault]] = {
    "429": Fault(_throttled),
    "429 for seconds": Fault(_throttled_for_seconds),
    "429 until a date": Fault(_throttled_until),
    "500 before": Fault(_status(500)),
    "500 after": Fault(_status(500, after=True)),
    "503 before": Fault(_status(503)),
    "503 after": Fault(_status(503, after=True)),
    "timeout before": Fault(_no_answer("Timeout", after=False)),
    "timeout after": Fault(_no_answer("Timeout", after=True)),
    "reset before": Fault(_no_answer("WebExceptionProtocolError", after=False)),
    "reset after": Fault(_no_answer("WebExceptionProtocolError", after=True)),
    "half an answer": Fault(_half),
    "wrong content type": Fault(_mislabelled),
    "HTML page": Fault(_status(200, PAGE)),
    "HTML error page": Fault(_status(502, PAGE)),
    "slow": Fault(_slow),
    "late": Fault(_late),
    "409 though absent": Fault(_conflict, CREATES),
    "race": Fault(_race, CREATES),
    "everything on a filter": Fault(_everything, READS),
    "lost update": Fault(_lost, UPDATES, is_silent=True),
    "lost members": Fault(_lost_members, UPDATES, is_silent=True),
    "lost delete": Fault(_lost_delete, DELETES, is_silent=True),
}


@dataclass(slots=True)
class Weather:
    """Which faults occur, name → probability of each request; none while `is_fair`."""

    rng: Random
    rates: Mapping[str, float]
    is_fair: bool = False
    met: set[str] = field(default_factory=set)
    """Names of the faults that occurred."""

    async def answer(self, target: SimulatedTarget, request: Request) -> Answer:
        name = None if self.is_fair else self._pick(request)
        if name is None:
            answer = target.serve(request)
            target.tell(f"  #{request.number} {request} → {answer.status}")
            return answer
        self.met.add(name)
        target.tell(f"  #{request.number} {request} → FAULT {name}")
        return await FAULTS[name].behave(target, request)

    def _pick(self, request: Request) -> str | None:
        drawn = self.rng.random()
        for name, rate in self.rates.items():
            if request.method in FAULTS[name].methods:
                drawn -= rate
                if drawn < 0:
                    return name
        return None
