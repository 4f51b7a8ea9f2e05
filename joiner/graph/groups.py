"""`/groups` and their members."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.directory import groups
from joiner.directory.model import Group
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidValueError
from joiner.graph import shapes
from joiner.graph.errors import GraphError
from joiner.graph.http import (
    collection,
    endpoint,
    json_body,
    json_response,
    last_segment,
    no_content,
    option,
    page_size,
    referenced_id,
)
from joiner.graph.listing import SUPPORTED, Kind, refuse_unsupported, selected_document
from joiner.graph.names import GROUP_NAMES, USER_NAMES
from joiner.graph.odata import equality
from joiner.ids import new_id

MOST_MEMBERS: Final = 20
"""As many as one request may bind (§7)."""
EVALUATION_SECONDS: Final = 10.0
"""A request waits so long for a rule to be asked about everybody; of a large directory the rest follows by itself."""
MEMBER_NAMES: Final = USER_NAMES | GROUP_NAMES
ALREADY_A_MEMBER: Final = (
    "One or more added object references already exist for the following modified properties: 'members'."
)
"""Graph's words: clients compare them."""


class Groups:
    """The routes over one directory."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self._kind: Kind[Group] = Kind(
            read=store.groups_page,
            count=store.count_groups,
            id_of=lambda group: group.id,
            document=shapes.group_document,
            known=GROUP_NAMES.__contains__,
        )

    def routes(self) -> list[Route]:
        table = (
            ("/groups", self.list_groups, "GET"),
            ("/groups", self.create_group, "POST"),
            ("/groups/{id}", self.get_group, "GET"),
            ("/groups/{id}", self.update_group, "PATCH"),
            ("/groups/{id}", self.delete_group, "DELETE"),
            ("/groups/{id}/members", self.list_members, "GET"),
            ("/groups/{id}/members/$ref", self.add_member, "POST"),
            ("/groups/{id}/members/$ref", self.remove_member_by_url, "DELETE"),
            ("/groups/{id}/members/{member}/$ref", self.remove_member, "DELETE"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    async def list_groups(self, request: Request) -> Response:
        """A name that is all ASCII is looked up by its index; other filters look at all groups."""
        name = equality(option(request, "$filter") or "", "displayName")
        if name is not None and name.isascii():
            return self._kind.only(request, groups.groups_named(self._store.reader, name))
        return await self._kind.page(request)

    async def create_group(self, request: Request) -> Response:
        body = await json_body(request)
        if "displayName" not in body:
            raise InvalidValueError("A value is required for property 'displayName' of a group.")
        empty = Group(id=new_id(), display_name="", security_enabled=True, attributes={}, created_at="")
        group, members = shapes.changed_group(empty, body), _bound(body)

        def work(connection: sqlite3.Connection, now: str) -> None:
            groups.add_group(connection, group, now)
            _add_members(connection, group.id, members, now)

        await self._change(work)
        return json_response(request, self._shown(request, group.id), 201)

    async def get_group(self, request: Request) -> Response:
        return json_response(request, self._shown(request, request.path_params["id"]))

    async def update_group(self, request: Request) -> Response:
        """`members@odata.bind` adds, all or nothing (§7)."""
        body, id_ = await json_body(request), request.path_params["id"]
        members = _bound(body)

        def work(connection: sqlite3.Connection, now: str) -> None:
            groups.update_group(connection, shapes.changed_group(groups.group_by_id(connection, id_), body), now)
            _add_members(connection, id_, members, now)

        await self._change(work)
        return no_content(request)

    async def delete_group(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        await self._change(lambda connection, now: groups.delete_group(connection, id_, now))
        return no_content(request)

    # Members

    async def list_members(self, request: Request) -> Response:
        """Users and groups together; those in the recycle bin are left out, so that a page can be short."""
        refuse_unsupported(request, SUPPORTED - {"$filter", "$count"})
        group = groups.group_by_id(self._store.reader, request.path_params["id"])
        top = page_size(request)
        found = groups.members_of(self._store.reader, group.id, option(request, "$skiptoken") or "", top + 1)
        page = found[:top]
        people = self._store.users_by_id([id_ for id_, kind in page if kind == "User"])
        nested = self._store.groups_by_id([id_ for id_, kind in page if kind == "Group"])
        documents = []
        for id_, _ in page:
            if id_ in people and people[id_].deleted_at is None:
                shown = self._member(request, shapes.user_document(people[id_]), shapes.DEFAULT_USER)
                documents.append({"@odata.type": "#microsoft.graph.user", **shown})
            elif id_ in nested:
                shown = self._member(request, shapes.group_document(nested[id_]))
                documents.append({"@odata.type": "#microsoft.graph.group", **shown})
        return collection(request, documents, page[-1][0] if len(found) > top else None)

    async def add_member(self, request: Request) -> Response:
        group_id, member_id = request.path_params["id"], await referenced_id(request)
        await self._store.change(lambda connection, now: _add_members(connection, group_id, [member_id], now))
        return no_content(request)

    async def remove_member(self, request: Request) -> Response:
        return await self._remove(request, request.path_params["member"])

    async def remove_member_by_url(self, request: Request) -> Response:
        """`?@id={url}` instead of a segment: the form that some of Graph's clients send."""
        url = request.query_params.get("@id")
        if not url:
            raise InvalidValueError("The member must be named: …/members/{id}/$ref")
        return await self._remove(request, last_segment(url))

    async def _remove(self, request: Request, member_id: str) -> Response:
        group_id = request.path_params["id"]
        await self._store.change(lambda connection, now: groups.remove_member(connection, group_id, member_id, now))
        return no_content(request)

    # Parts

    async def _change(self, work: Callable[[sqlite3.Connection, str], None]) -> None:
        """For changes that can give a rule another answer."""
        await self._store.change(work)
        await self._store.evaluate_rules(EVALUATION_SECONDS)

    def _shown(self, request: Request, group_id: str) -> dict[str, Any]:
        return self._kind.showing(request)(groups.group_by_id(self._store.reader, group_id))

    def _member(
        self, request: Request, document: Mapping[str, Any], default: tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        if default is not None and option(request, "$select") is None:
            return {name: document.get(name) for name in default}
        return selected_document(request, document, MEMBER_NAMES)


def _bound(body: Mapping[str, Any]) -> list[str]:
    """The ids of `members@odata.bind`. Raises InvalidValueError."""
    urls = body.get("members@odata.bind", [])
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise InvalidValueError("'members@odata.bind' must be a list of addresses.")
    if len(urls) > MOST_MEMBERS:
        raise InvalidValueError(f"'members@odata.bind' may have {MOST_MEMBERS} addresses, not {len(urls)}.")
    return [last_segment(url) for url in urls]


def _add_members(connection: sqlite3.Connection, group_id: str, member_ids: list[str], now: str) -> None:
    """Raises GraphError if one is a member already, NotFoundError."""
    for member_id in member_ids:
        if not groups.add_member(connection, group_id, member_id, now):
            raise GraphError(400, "Request_BadRequest", ALREADY_A_MEMBER)
