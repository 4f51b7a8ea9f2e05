"""`/auditLogs`: the provisioning log and the audit log, newest first; they can be read and nothing else (Graph API §11,
REQ-P-134, REQ-P-137)."""

import re
import sqlite3
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.errors import InvalidValueError
from joiner.graph.http import collection, endpoint, is_uploader, json_response, option, page_size
from joiner.graph.log_conditions import OF_UPLOADS, Condition, row_conditions
from joiner.graph.odata import parse_filter
from joiner.provisioning.log import audit, journal_rows
from joiner.storage.sqlite import Database

MOST: Final = 1000
READ_AT_ONCE: Final = 1000
POSITION: Final = re.compile(r"[0-9]{1,18}")
ENTRY: Final = frozenset(
    {
        "activitydatetime",
        "changeid",
        "cycleid",
        "durationinmilliseconds",
        "id",
        "initiatedby",
        "jobid",
        "joiner.requests",
        "modifiedproperties",
        "provisioningaction",
        "provisioningstatusinfo",
        "provisioningsteps",
        "serviceprincipal",
        "sourceidentity",
        "sourcesystem",
        "targetidentity",
        "targetsystem",
        "tenantid",
    }
)
AUDIT: Final = frozenset(
    {
        "activitydatetime",
        "activitydisplayname",
        "additionaldetails",
        "category",
        "correlationid",
        "id",
        "initiatedby",
        "loggedbyservice",
        "operationtype",
        "result",
        "resultreason",
        "targetresources",
    }
)
"""The properties of the entries of both logs, in small letters."""

Page = list[tuple[int, dict[str, Any]]]
Read = Callable[[int, bool, int], Page]
"""(position, ascending, limit) → the entries beyond the position."""


class AuditLogs:
    """The routes over the logs in `db`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def routes(self) -> list[Route]:
        return [
            endpoint("/auditLogs/provisioning", self.list_entries, "GET", for_uploaders=True),
            endpoint("/auditLogs/provisioning/{id}", self.get_entry, "GET"),
            endpoint("/auditLogs/directoryAudits", self.list_audits, "GET"),
            endpoint("/auditLogs/directoryAudits/{id}", self.get_audit, "GET"),
        ]

    async def list_entries(self, request: Request) -> Response:
        """What columns and indexes can answer is read by them; the rest of a filter is applied to what they leave. Who
        may only upload sees what became of uploads."""
        text = option(request, "$filter")
        conditions = row_conditions(text) if text else []
        if is_uploader(request):
            conditions.append(OF_UPLOADS)

        def read(position: int, ascending: bool, limit: int) -> Page:
            return _entries(self._db.reader, conditions, position, ascending, limit)

        return _page(request, text, ENTRY, read)

    async def get_entry(self, request: Request) -> Response:
        return json_response(request, journal_rows.entry_by_id(self._db.reader, request.path_params["id"]))

    async def list_audits(self, request: Request) -> Response:
        def read(position: int, ascending: bool, limit: int) -> Page:
            return audit.documents(self._db.reader, position, ascending, limit)

        return _page(request, option(request, "$filter"), AUDIT, read)

    async def get_audit(self, request: Request) -> Response:
        return json_response(request, audit.document_by_id(self._db.reader, request.path_params["id"]))


def _page(request: Request, text: str | None, properties: frozenset[str], read: Read) -> Response:
    holds = parse_filter(text, ignore_case=False, known=properties.__contains__) if text else None
    top, ascending = page_size(request, MOST), _is_ascending(option(request, "$orderby"))
    position = _position(option(request, "$skiptoken"), ascending)
    page: Page = []
    while len(page) <= top:
        found = read(position, ascending, READ_AT_ONCE if holds else top + 1)
        if not found:
            break
        position = found[-1][0]
        page += [(number, entry) for number, entry in found if holds is None or holds(entry)]
    next_token = str(page[top - 1][0]) if len(page) > top else None
    return collection(request, [entry for _, entry in page[:top]], next_token)


def _entries(
    connection: sqlite3.Connection, conditions: list[Condition], position: int, ascending: bool, limit: int
) -> Page:
    order, beyond = ("ASC", ">") if ascending else ("DESC", "<")
    where = " AND ".join([f"j.position {beyond} ?", *(condition for condition, _ in conditions)])
    rows = connection.execute(
        f"SELECT {journal_rows.COLUMNS} FROM journal j CROSS JOIN journal_run r ON r.number = j.run WHERE {where}"
        f" ORDER BY j.position {order} LIMIT ?",
        (position, *(value for _, value in conditions), limit),
    )
    return list(journal_rows.documents(rows))


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
    if not POSITION.fullmatch(token):
        raise InvalidValueError("$skiptoken is not one of this service")
    return int(token)
