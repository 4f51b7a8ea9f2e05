"""`/users` and `/directory/deletedItems`: people, their managers, and the recycle bin."""

import sqlite3
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.directory import users
from joiner.directory.model import User
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidValueError, NotFoundError
from joiner.graph import shapes
from joiner.graph.http import collection, endpoint, json_body, json_response, no_content, option, referenced_id
from joiner.graph.listing import Kind
from joiner.graph.names import ENGINE_ONLY, USER_NAMES
from joiner.graph.odata import equality
from joiner.ids import new_id

REQUIRED: Final = ("userPrincipalName", "displayName", "accountEnabled")
BIN: Final = "/directory/deletedItems"


class Users:
    """The routes over one directory."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self._active = self._kind("active")
        self._deleted = self._kind("deleted")

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
            (f"{BIN}/microsoft.graph.user", self._deleted.page, "GET"),
            (f"{BIN}/microsoft.graph.group", self.list_nothing, "GET"),
            (f"{BIN}/microsoft.graph.application", self.list_nothing, "GET"),
            (f"{BIN}/microsoft.graph.servicePrincipal", self.list_nothing, "GET"),
            (f"{BIN}/{{id}}", self.get_deleted, "GET"),
            (f"{BIN}/{{id}}/restore", self.restore, "POST"),
            (f"{BIN}/{{id}}", self.purge, "DELETE"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    # Users

    async def list_users(self, request: Request) -> Response:
        """A name or an id is looked up by its index; other filters look at everybody."""
        text = option(request, "$filter") or ""
        wanted = equality(text, "userPrincipalName") or equality(text, "id")
        if wanted is None:
            return await self._active.page(request)
        try:
            user = self._user(wanted)
        except NotFoundError:
            return self._active.only(request, [])
        by_id = equality(text, "id") is not None
        return self._active.only(request, [user] if by_id == (user.id == wanted) else [])

    async def create_user(self, request: Request) -> Response:
        body = await json_body(request)
        for name in REQUIRED:
            if name not in body:
                raise InvalidValueError(f"A value is required for property '{name}' of a user.")
        empty = User(
            id=new_id(), user_principal_name="", account_enabled=True, manager_id=None, attributes={}, created_at=""
        )
        user = shapes.changed_user(empty, body)
        await self._store.change(lambda connection, now: users.add_user(connection, user, now))
        return json_response(request, self._active.showing(request)(self._user(user.id)), 201)

    async def get_user(self, request: Request) -> Response:
        show = self._active.showing(request)
        return json_response(request, show(self._user(request.path_params["id"])))

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

    # Managers

    async def get_manager(self, request: Request) -> Response:
        user = self._user(request.path_params["id"])
        if user.manager_id is None:
            raise NotFoundError(f"the user '{user.user_principal_name}' has no manager")
        document = self._active.showing(request)(self._user(user.manager_id))
        return json_response(request, {"@odata.type": "#microsoft.graph.user", **document})

    async def put_manager(self, request: Request) -> Response:
        return await self._set_manager(request, self._user(await referenced_id(request)).id)

    async def delete_manager(self, request: Request) -> Response:
        return await self._set_manager(request, None)

    async def _set_manager(self, request: Request, manager_id: str | None) -> Response:
        id_ = request.path_params["id"]

        def work(connection: sqlite3.Connection, now: str) -> None:
            user = users.user_by_id(connection, id_)
            users.update_user(connection, msgspec.structs.replace(user, manager_id=manager_id), now)

        await self._store.change(work)
        return no_content(request)

    # The recycle bin

    async def list_nothing(self, request: Request) -> Response:
        """Of other kinds nothing is ever in the bin: security groups and applications are gone at once."""
        return collection(request, [])

    async def get_deleted(self, request: Request) -> Response:
        user = users.deleted_user(self._store.reader, request.path_params["id"])
        return json_response(request, self._deleted.showing(request)(user))

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

    def _kind(self, which: users.Which) -> Kind[User]:
        reader = self._store
        return Kind(
            read=lambda after, limit: users.users_page(reader.reader, after, limit, which),
            count=lambda: users.count_users(reader.reader, which),
            id_of=lambda user: user.id,
            document=shapes.user_document if which == "active" else _deleted_document,
            known=self._is_property,
            default=shapes.DEFAULT_USER if which == "active" else None,
        )

    def _is_property(self, name: str) -> bool:
        """Imported directories have properties of their own."""
        if name in USER_NAMES or name.startswith("extension"):
            return True
        return name not in ENGINE_ONLY and users.has_attribute(self._store.reader, name)

    def _user(self, id_or_name: str) -> User:
        """Raises NotFoundError."""
        return users.user_by_id(self._store.reader, id_or_name)


def _deleted_document(user: User) -> dict[str, Any]:
    document = shapes.user_document(user)
    # As in Graph, the name of a deleted user is prefixed with its id, which frees it.
    document["userPrincipalName"] = user.id.replace("-", "") + user.user_principal_name
    return document
