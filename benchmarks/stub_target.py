"""A SCIM application that answers at once, so that whoever provisions into it is what is measured: a raw protocol over
dictionaries, no validation, nothing durable. `python -m benchmarks.stub_target` prints its port and serves.

It finds by equality, lists by index, and of a PATCH keeps simple attributes and the manager; the rest it takes for
done.
"""

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import orjson
import uvloop

LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
INDEXED: Final = ("userName", "externalId", "displayName")
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Store:
    """The resources of both endpoints: id → JSON, and (endpoint, attribute, value) → id."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, bytes]] = {"/Users": {}, "/Groups": {}}
        self.found: dict[tuple[str, str, str], str] = {}
        self.writes = 0

    def create(self, endpoint: str, body: bytes) -> bytes:
        resource = orjson.loads(body)
        bodies = self.bodies[endpoint]
        id_ = f"{endpoint[1]}{len(bodies):08d}"
        for name in INDEXED:
            if name in resource:
                self.found[endpoint, name, resource[name]] = id_
        bodies[id_] = orjson.dumps({**resource, "id": id_})
        return bodies[id_]

    def modify(self, endpoint: str, id_: str, body: bytes) -> None:
        if b"members" in body:
            return
        resource = orjson.loads(self.bodies[endpoint][id_])
        for operation in orjson.loads(body)["Operations"]:
            if operation["path"].endswith("manager"):
                resource.setdefault(ENTERPRISE, {})["manager"] = operation["value"]
            elif operation["path"].isalpha():
                resource[operation["path"]] = operation["value"]
        self.bodies[endpoint][id_] = orjson.dumps(resource)

    def find(self, endpoint: str, condition: str) -> list[bytes]:
        attribute, _, literal = condition.partition(" eq ")
        id_ = self.found.get((endpoint, attribute, orjson.loads(literal)))
        return [] if id_ is None else [self.bodies[endpoint][id_]]

    def page(self, endpoint: str, start: int, count: int) -> tuple[int, list[bytes]]:
        bodies = self.bodies[endpoint]
        # Ids are numbered: a page is found without walking through what comes before.
        ids = (f"{endpoint[1]}{number:08d}" for number in range(start - 1, min(len(bodies), start - 1 + count)))
        return len(bodies), [bodies[id_] for id_ in ids]


class Protocol(asyncio.Protocol):
    """One connection of HTTP/1.1, with requests one after the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        while received:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                break
            head = received[:end]
            at = head.lower().find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(received) < end + 4 + length:
                break
            method, target, _ = head.split(b" ", 2)
            status, body = self._answer(method.decode(), target.decode(), received[end + 4 : end + 4 + length])
            self._transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: application/scim+json\r\ncontent-length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )
            received = received[end + 4 + length :]
        self._received = received

    def _answer(self, method: str, target: str, body: bytes) -> tuple[bytes, bytes]:
        path, _, query = target.partition("?")
        if path == "/writes":
            return b"200 OK", str(self._store.writes).encode()
        parts = path.removeprefix("/scim").split("/")
        endpoint = f"/{parts[1]}"
        if endpoint not in self._store.bodies:
            return b"404 Not Found", b"{}"
        if method != "GET":
            self._store.writes += 1
            if method == "POST":
                return b"201 Created", self._store.create(endpoint, body)
            if method == "PATCH":
                self._store.modify(endpoint, unquote(parts[2]), body)
            return b"204 No Content", b""
        if len(parts) > 2:
            found = self._store.bodies[endpoint].get(unquote(parts[2]))
            return (b"404 Not Found", b"{}") if found is None else (b"200 OK", found)
        asked = parse_qs(query)
        if "filter" in asked:
            page = self._store.find(endpoint, asked["filter"][0])
            total = len(page)
        else:
            total, page = self._store.page(
                endpoint, int(asked.get("startIndex", ["1"])[0]), int(asked.get("count", ["100"])[0])
            )
        head = f'{{"schemas":["{LIST}"],"totalResults":{total},"itemsPerPage":{len(page)},"Resources":['
        return b"200 OK", b"%b%b]}" % (head.encode(), b",".join(page))


async def serve() -> None:
    store = Store()
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(store), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
