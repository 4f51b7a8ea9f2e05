"""`/users`, `/groups`, `/directory/deletedItems`: the directory's people, by Graph's routes."""

import sqlite3
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.directory import groups, users
from joiner.directory.model import Group, User
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidValueError, NotFoundError
from joiner.graph import shapes
from joiner.graph.errors import GraphError
from joiner.graph.http import collection, endpoint, json_body, json_response, no_content, option, page_size
from joiner.graph.odata import equality, parse_filter
from joiner.ids import new_id

READ_AT_ONCE: Final = 1000
"""Objects looked at per step when a filter has no index."""


class People:
    """The routes over one directory."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        table = (
            ("/users", self.list_users, "GET"),
            ("/users", self.create_user, "POST"),
            ("/users/{id}", self.get_user, "GET"),
            ("/users/{id}", self.update_user, "PATCH"),
            ("/users/{id}", self.delete_user, "DELETE"),
            ("/users/{id}/manager", self.get_manager, "GET"),
            ("/users/{id}/manager/$ref", self.put_manager, "PUT"),
            ("/users/{id}/manager/$ref", self.delete_manager, "DELETE"),
            ("/groups", self.list_groups, "GET"),
            ("/groups", self.create_group, "POST"),
            ("/groups/{id}", self.get_group, "GET"),
            ("/groups/{id}", self.update_group, "PATCH"),
            ("/groups/{id}", self.delete_group, "DELETE"),
            ("/groups/{id}/members", self.list_members, "GET"),
            ("/groups/{id}/members/$ref", self.add_member, "POST"),
            ("/groups/{id}/members/{member}/$ref", self.remove_member, "DELETE"),
            ("/directory/deletedItems/microsoft.graph.user", self.list_deleted, "GET"),
            ("/directory/deletedItems/{id}", self.get_deleted, "GET"),
            ("/directory/deletedItems/{id}/restore", self.restore, "POST"),
            ("/directory/deletedItems/{id}", self.purge, "DELETE"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    # Users

    async def list_users(self, request: Request) -> Response:
        text, after, top = option(request, "$filter"), option(request, "$skiptoken") or "", page_size(request)
        name = equality(text, "userPrincipalName") if text else None
        if name is not None:
            try:
                found = [users.user_by_id(self._store.reader, name)]
            except NotFoundError:
                found = []
            return collection(request, [self._shown_user(request, user) for user in found])
        holds = parse_filter(text, ignore_case=True) if text else None
        page: list[User] = []
        while len(page) <= top:
            batch = self._store.users_page(after, READ_AT_ONCE if holds else top + 1)
            if not batch:
                break
            after = batch[-1].id
            page += [
                user
                for user in batch
                if user.deleted_at is None and (holds is None or holds(shapes.user_document(user)))
            ]
        next_token = page[top - 1].id if len(page) > top else None
        return collection(request, [self._shown_user(request, user) for user in page[:top]], next_token)

    async def create_user(self, request: Request) -> Response:
        body = await json_body(request)
        for name in ("userPrincipalName", "displayName", "accountEnabled"):
            if name not in body:
                raise InvalidValueError(f"A value is required for property '{name}' of a user.")
        empty = User(
            id=new_id(), user_principal_name="", account_enabled=True, manager_id=None, attributes={}, created_at=""
        )
        user = shapes.changed_user(empty, body)
        await self._store.change(lambda connection, now: users.add_user(connection, user, now))
        return json_response(request, self._shown_user(request, self._user(user.id)), 201)

    async def get_user(self, request: Request) -> Response:
        return json_response(request, self._shown_user(request, self._user(request.path_params["id"])))

    async def update_user(self, request: Request) -> Response:
        body, id_ = await json_body(request), request.path_params["id"]

        def work(connection: sqlite3.Connection, now: str) -> None:
            users.update_user(connection, shapes.changed_user(users.user_by_id(connection, id_), body), now)

        await self._store.change(work)
        return no_content(request)

    async def delete_user(self, request: Request) -> Response:
        id_ = self._user(request.path_params["id"]).id
        await self._store.change(lambda connection, now: users.delete_user(connection, id_, now))
        return no_content(request)

    async def get_manager(self, request: Request) -> Response:
        user = self._user(request.path_params["id"])
        if user.manager_id is None:
            raise NotFoundError(f"the user '{user.user_principal_name}' has no manager")
        manager = self._store.users_by_id([user.manager_id]).get(user.manager_id)
        if manager is None:
            raise NotFoundError(f"there is no user '{user.manager_id}'")
        document = self._shown_user(request, manager)
        return json_response(request, {"@odata.type": "#microsoft.graph.user", **document})

    async def put_manager(self, request: Request) -> Response:
        return await self._set_manager(request, self._user(_referenced(await request.json())).id)

    async def delete_manager(self, request: Request) -> Response:
        return await self._set_manager(request, None)

    async def _set_manager(self, request: Request, manager_id: str | None) -> Response:
        id_ = request.path_params["id"]

        def work(connection: sqlite3.Connection, now: str) -> None:
            user = users.user_by_id(connection, id_)
            changed = User(
                **{name: getattr(user, name) for name in User.__struct_fields__} | {"manager_id": manager_id}
            )
            users.update_user(connection, changed, now)

        await self._store.change(work)
        return no_content(request)

    # Groups

    async def list_groups(self, request: Request) -> Response:
        text, after, top = option(request, "$filter"), option(request, "$skiptoken") or "", page_size(request)
        holds = parse_filter(text, ignore_case=True) if text else None
        page: list[Group] = []
        while len(page) <= top:
            batch = self._store.groups_page(after, READ_AT_ONCE if holds else top + 1)
            if not batch:
                break
            after = batch[-1].id
            page += [group for group in batch if holds is None or holds(shapes.group_document(group))]
        next_token = page[top - 1].id if len(page) > top else None
        return collection(request, [self._shown_group(request, group) for group in page[:top]], next_token)

    async def create_group(self, request: Request) -> Response:
        body = await json_body(request)
        if "displayName" not in body:
            raise InvalidValueError("A value is required for property 'displayName' of a group.")
        empty = Group(id=new_id(), display_name="", security_enabled=True, attributes={}, created_at="")
        group = shapes.changed_group(empty, body)
        members = [_last_segment(url) for url in body.get("members@odata.bind", ())]

        def work(connection: sqlite3.Connection, now: str) -> None:
            groups.add_group(connection, group, now)
            for member_id in members:
                groups.add_member(connection, group.id, member_id, now)

        await self._store.change(work)
        return json_response(request, self._shown_group(request, groups.group_by_id(self._store.reader, group.id)), 201)

    async def get_group(self, request: Request) -> Response:
        group = groups.group_by_id(self._store.reader, request.path_params["id"])
        return json_response(request, self._shown_group(request, group))

    async def update_group(self, request: Request) -> Response:
        body, id_ = await json_body(request), request.path_params["id"]

        def work(connection: sqlite3.Connection, now: str) -> None:
            groups.update_group(connection, shapes.changed_group(groups.group_by_id(connection, id_), body), now)

        await self._store.change(work)
        return no_content(request)

    async def delete_group(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        await self._store.change(lambda connection, now: groups.delete_group(connection, id_, now))
        return no_content(request)

    async def list_members(self, request: Request) -> Response:
        group = groups.group_by_id(self._store.reader, request.path_params["id"])
        top = page_size(request)
        after = option(request, "$skiptoken") or ""
        found = groups.members_of(self._store.reader, group.id, after, top + 1)
        page = found[:top]
        people = self._store.users_by_id([id_ for id_, kind in page if kind == "User"])
        nested = self._store.groups_by_id([id_ for id_, kind in page if kind == "Group"])
        documents = []
        for id_, kind in page:
            if kind == "User" and id_ in people:
                documents.append({"@odata.type": "#microsoft.graph.user", **self._shown_user(request, people[id_])})
            elif id_ in nested:
                documents.append({"@odata.type": "#microsoft.graph.group", **self._shown_group(request, nested[id_])})
        return collection(request, documents, page[-1][0] if len(found) > top else None)

    async def add_member(self, request: Request) -> Response:
        group_id, member_id = request.path_params["id"], _referenced(await request.json())

        def work(connection: sqlite3.Connection, now: str) -> None:
            if not groups.add_member(connection, group_id, member_id, now):
                raise GraphError(
                    400,
                    "Request_BadRequest",
                    "One or more added object references already exist for the following modified properties:"
                    " 'members'.",
                )

        await self._store.change(work)
        return no_content(request)

    async def remove_member(self, request: Request) -> Response:
        group_id, member_id = request.path_params["id"], request.path_params["member"]
        await self._store.change(lambda connection, now: groups.remove_member(connection, group_id, member_id, now))
        return no_content(request)

    # The recycle bin

    async def list_deleted(self, request: Request) -> Response:
        rows = self._store.reader.execute(
            f"SELECT {users.COLUMNS} FROM user WHERE deleted_at IS NOT NULL AND id > ? ORDER BY id LIMIT ?",
            (option(request, "$skiptoken") or "", page_size(request) + 1),
        )
        found = [users.from_row(row) for row in rows]
        top = page_size(request)
        next_token = found[top - 1].id if len(found) > top else None
        return collection(request, [_deleted_document(user) for user in found[:top]], next_token)

    async def get_deleted(self, request: Request) -> Response:
        return json_response(
            request, _deleted_document(users.deleted_user(self._store.reader, request.path_params["id"]))
        )

    async def restore(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        await self._store.change(lambda connection, now: users.restore_user(connection, id_, now))
        document = shapes.user_document(self._user(id_))
        return json_response(request, {"@odata.type": "#microsoft.graph.user", **document})

    async def purge(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        await self._store.change(lambda connection, now: users.purge_user(connection, id_, now))
        return no_content(request)

    # Parts

    def _user(self, id_or_name: str) -> User:
        return users.user_by_id(self._store.reader, id_or_name)

    def _shown_user(self, request: Request, user: User) -> dict[str, Any]:
        return shapes.select(shapes.user_document(user), option(request, "$select"), shapes.DEFAULT_USER)

    def _shown_group(self, request: Request, group: Group) -> dict[str, Any]:
        return shapes.select(shapes.group_document(group), option(request, "$select"))


def _deleted_document(user: User) -> dict[str, Any]:
    document = shapes.user_document(user)
    # As in Graph, the name of a deleted user is prefixed with its id, which frees it.
    document["userPrincipalName"] = user.id.replace("-", "") + user.user_principal_name
    return document


def _referenced(body: Any) -> str:
    """The id that `{"@odata.id": url}` names: only the last segment counts (§6.3)."""
    url = body.get("@odata.id") if isinstance(body, dict) else None
    if not isinstance(url, str) or not url.strip("/"):
        raise InvalidValueError('The body must be {"@odata.id": "…/directoryObjects/{id}"}.')
    return _last_segment(url)


def _last_segment(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]
