"""What somebody writes in an afternoon: the requests of an initial cycle, sixteen at once, and nothing else.

No mapping, no matching of what it finds, no links, no log, no second try, nothing kept.

`python -m benchmarks.naive aiohttp|httpx PORT USERS` prints the seconds that it took and the processor time.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import uvloop

from benchmarks.people import DEPARTMENTS, scim_user

AT_ONCE = 16
PER_PATCH = 100
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
Send = Callable[[str, str, dict[str, Any] | None, dict[str, str] | None], Awaitable[Any]]


async def provision(send: Send, users: list[dict[str, Any]]) -> None:
    """One query and one POST for each user; a group for each department; its members, and every manager."""
    ids: dict[int, str] = {}

    async def user(number: int) -> None:
        body = users[number]
        await send("GET", "/Users", None, {"filter": f"userName eq {json.dumps(body['userName'])}"})
        ids[number] = (await send("POST", "/Users", body, None))["id"]

    await _at_once(user(number) for number in range(len(users)))

    async def group(position: int) -> None:
        name = DEPARTMENTS[position]
        await send("GET", "/Groups", None, {"filter": f"displayName eq {json.dumps(name)}"})
        created = await send("POST", "/Groups", {"displayName": name}, None)
        members = [ids[number] for number in range(position, len(users), len(DEPARTMENTS))]
        for begin in range(0, len(members), PER_PATCH):
            value = [{"value": id_} for id_ in members[begin : begin + PER_PATCH]]
            await send("PATCH", f"/Groups/{created['id']}", _patch("add", "members", value), None)

    await _at_once(group(position) for position in range(len(DEPARTMENTS)))

    async def manager(number: int) -> None:
        value = {"value": ids[number // 20]}
        await send("PATCH", f"/Users/{ids[number]}", _patch("replace", "manager", value), None)

    await _at_once(manager(number) for number in range(1, len(users)))


def _patch(op: str, path: str, value: Any) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": [{"op": op, "path": path, "value": value}]}


async def _at_once(work: Iterable[Awaitable[None]]) -> None:
    waiting = iter(work)

    async def worker() -> None:
        for each in waiting:
            await each

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def with_aiohttp(base: str, users: list[dict[str, Any]]) -> None:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def send(method: str, path: str, body: Any, params: Any) -> Any:
            async with session.request(method, base + path, json=body, params=params) as answer:
                return await answer.json(content_type=None) if answer.status != 204 else None

        await provision(send, users)


async def with_httpx(base: str, users: list[dict[str, Any]]) -> None:
    import httpx

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=AT_ONCE)) as client:

        async def send(method: str, path: str, body: Any, params: Any) -> Any:
            answer = await client.request(method, base + path, json=body, params=params)
            return answer.json() if answer.content else None

        await provision(send, users)


def main() -> None:
    library, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    users = [scim_user(number) for number in range(count)]
    run = {"aiohttp": with_aiohttp, "httpx": with_httpx}[library]
    began, cpu = time.perf_counter(), time.process_time()
    uvloop.run(run(f"http://127.0.0.1:{port}/scim", users))
    print(time.perf_counter() - began, time.process_time() - cpu)


if __name__ == "__main__":
    main()
