"""What is left when a SCIM server does nothing but store and answer: a ceiling, not a server.

Raw ASGI, orjson, SQLite in WAL mode with `synchronous = FULL` and group commit. No schemas, no PATCH, no tenants.
Of users alone: POST, GET by id, DELETE, and filters of the form `userName eq "…"`.
"""

import asyncio
import os
import queue
import sqlite3
import threading
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import unquote_plus

import orjson

Parameters = Sequence[str]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DATABASE = os.environ["CEILING_DATABASE"]
AUTHORIZATION = f"Bearer {os.environ['SCIM_TOKEN']}".encode()
FILTER = 'filter=userName eq "'


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(DATABASE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


class Writer(threading.Thread):
    """One thread that writes; what waits together is committed together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.waiting: queue.SimpleQueue[tuple[str, Parameters, Callable[[], object]]] = queue.SimpleQueue()

    async def write(self, statement: str, parameters: Parameters) -> None:
        loop = asyncio.get_running_loop()
        durable = loop.create_future()
        self.waiting.put((statement, parameters, lambda: loop.call_soon_threadsafe(durable.set_result, None)))
        await durable

    def run(self) -> None:
        connection = connect()
        while True:
            batch = [self.waiting.get()]
            while len(batch) < 256 and not self.waiting.empty():
                batch.append(self.waiting.get())
            connection.execute("BEGIN")
            for statement, parameters, _ in batch:
                connection.execute(statement, parameters)
            connection.execute("COMMIT")
            for _, _, tell in batch:
                tell()


reader = connect()
reader.execute("CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT UNIQUE, body TEXT) WITHOUT ROWID")
writer = Writer()
writer.start()


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    if scope["type"] != "http":
        return
    if (b"authorization", AUTHORIZATION) not in scope["headers"]:
        await answer(send, 401)
        return
    method, id_ = scope["method"], scope["path"].removeprefix("/Users/")
    if method == "POST" and scope["path"] == "/Users":
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        user = orjson.loads(body)
        id_ = user["id"] = str(uuid.uuid4())
        content = orjson.dumps(user)
        await writer.write("INSERT INTO user VALUES (?, ?, ?)", (id_, user["userName"].lower(), content.decode()))
        await answer(send, 201, content)
    elif method == "DELETE":
        await writer.write("DELETE FROM user WHERE id = ?", (id_,))
        await answer(send, 204)
    elif FILTER in (query := unquote_plus(scope["query_string"].decode())):
        name = query.partition(FILTER)[2].rstrip('"').lower()
        found = [row[0].encode() for row in reader.execute("SELECT body FROM user WHERE name = ?", (name,))]
        await answer(send, 200, b'{"totalResults":%d,"Resources":[%b]}' % (len(found), b",".join(found)))
    else:
        row = reader.execute("SELECT body FROM user WHERE id = ?", (id_,)).fetchone()
        await (answer(send, 200, row[0].encode()) if row else answer(send, 404))


async def answer(send: Send, status: int, body: bytes = b"") -> None:
    headers = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
