"""`/auditLogs/provisioning`: the provisioning log, newest first (Graph API §11)."""

import sqlite3
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.errors import InvalidValueError, NotFoundError
from joiner.graph.http import collection, endpoint, json_response, option, page_size
from joiner.graph.odata import equality, parse_filter
from joiner.storage.sqlite import Database

MOST: Final = 1000
READ_AT_ONCE: Final = 1000


class AuditLogs:
    """The routes over the journal in `db`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def routes(self) -> list[Route]:
        return [
            endpoint("/auditLogs/provisioning", self.list_entries, "GET"),
            endpoint("/auditLogs/provisioning/{id}", self.get_entry, "GET"),
        ]

    async def list_entries(self, request: Request) -> Response:
        """A job's entries come by an index; any other filter is applied to the entries one after the other."""
        text, top = option(request, "$filter"), page_size(request, MOST)
        job_id = equality(text, "jobId") if text else None
        holds = parse_filter(text, ignore_case=False) if text and job_id is None else None
        ascending = _is_ascending(option(request, "$orderby"))
        position = _position(option(request, "$skiptoken"), ascending)
        page: list[tuple[int, dict[str, Any]]] = []
        while len(page) <= top:
            rows = _rows(self._db.reader, job_id, position, ascending, READ_AT_ONCE if holds else top + 1)
            if not rows:
                break
            position = rows[-1]["position"]
            entries = ((row["position"], orjson.loads(row["entry"])) for row in rows)
            page += [(number, entry) for number, entry in entries if holds is None or holds(entry)]
        next_token = str(page[top - 1][0]) if len(page) > top else None
        return collection(request, [entry for _, entry in page[:top]], next_token)

    async def get_entry(self, request: Request) -> Response:
        row = self._db.reader.execute("SELECT entry FROM journal WHERE id = ?", (request.path_params["id"],)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no log entry '{request.path_params['id']}'")
        return json_response(request, orjson.loads(row["entry"]))


def _rows(
    connection: sqlite3.Connection, job_id: str | None, position: int, ascending: bool, limit: int
) -> list[sqlite3.Row]:
    order, beyond = ("ASC", ">") if ascending else ("DESC", "<")
    return connection.execute(
        f"SELECT position, entry FROM journal WHERE (?1 IS NULL OR job_id = ?1) AND position {beyond} ?2"
        f" ORDER BY position {order} LIMIT ?3",
        (job_id, position, limit),
    ).fetchall()


def _is_ascending(orderby: str | None) -> bool:
    if orderby is None:
        return False
    words = orderby.lower().split()
    if words[:1] != ["activitydatetime"] or words[1:] not in ([], ["asc"], ["desc"]):
        raise InvalidValueError("$orderby can be 'activityDateTime' or 'activityDateTime desc'")
    return words[1:] != ["desc"]


def _position(token: str | None, ascending: bool) -> int:
    if token is None:
        return 0 if ascending else 2**62
    if not token.isdecimal():
        raise InvalidValueError("$skiptoken is not one of this service")
    return int(token)
