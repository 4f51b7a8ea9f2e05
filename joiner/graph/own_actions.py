"""What Graph has no route for: importing a directory, users as mappings see them, and the keys of this API. Named in
our own namespace."""

from datetime import timedelta
from io import BytesIO
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.directory import users
from joiner.directory.api_keys import ApiKeys
from joiner.directory.csv_import import import_directory
from joiner.directory.example import example_files
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidValueError
from joiner.graph.http import NUMBER, collection, endpoint, json_body, json_response, no_content
from joiner.graph.uploads import receive_files, spool_files

MOST_DAYS: Final = 3650


class OwnActions:
    """The routes over one directory and its keys."""

    def __init__(self, store: DirectoryStore, api_keys: ApiKeys) -> None:
        self._store = store
        self._api_keys = api_keys

    def routes(self) -> list[Route]:
        table = (
            ("/directory/joiner.import", self.import_files, "POST"),
            ("/directory/joiner.importExample", self.import_example, "POST"),
            ("/users/{id}/joiner.sourceAttributes", self.source_attributes, "GET"),
            ("/joiner.apiKeys", self.list_keys, "GET"),
            ("/joiner.apiKeys", self.create_key, "POST"),
            ("/joiner.apiKeys/{id}", self.revoke_key, "DELETE"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    async def import_files(self, request: Request) -> Response:
        """The body is the users file and behind it the groups file, as they are, since their encoding is part of the
        question. The query says how long they are (`usersBytes`, `groupsBytes`; without one there is no such file), if
        wrong lines are left out (`skipBadRows`), and the group of a groups file that has no column for it
        (`onlyGroup`)."""
        query = request.query_params
        sizes = {name: _size(name, query[name]) for name in ("usersBytes", "groupsBytes") if name in query}
        if not sizes:
            raise InvalidValueError("there is neither a users file (usersBytes) nor a groups file (groupsBytes)")
        skips = query.get("skipBadRows", "false").lower()
        if skips not in ("true", "false"):
            raise InvalidValueError("skipBadRows must be true or false")
        with spool_files(self._store.db.path.parent, len(sizes)) as spooled:
            await receive_files(request, list(sizes.values()), spooled)
            files = dict(zip(sizes, spooled, strict=True))
            report = await import_directory(
                self._store,
                files.get("usersBytes"),
                files.get("groupsBytes"),
                only_group=query.get("onlyGroup"),
                skip_bad_rows=skips == "true",
            )
        return json_response(request, msgspec.to_builtins(report))

    async def import_example(self, request: Request) -> Response:
        files = (BytesIO(content) for content in example_files())
        return json_response(request, msgspec.to_builtins(await import_directory(self._store, *files)))

    async def source_attributes(self, request: Request) -> Response:
        """What mappings see of a user, whatever application it is assigned to, by the engine's attribute names."""
        user = users.user_by_id(self._store.reader, request.path_params["id"])
        attributes = self._store.source_attributes(user)
        return json_response(request, {"attributes": {**attributes, "IsSoftDeleted": not user.account_enabled}})

    async def list_keys(self, request: Request) -> Response:
        return collection(request, [msgspec.to_builtins(key) for key in self._api_keys.list()])

    async def create_key(self, request: Request) -> Response:
        body = await json_body(request)
        days = body.get("expiresInDays")
        if days is not None and (type(days) is not int or not 1 <= days <= MOST_DAYS):
            raise InvalidValueError(f"expiresInDays must be a whole number from 1 to {MOST_DAYS}")
        expires_in = None if days is None else timedelta(days=days)
        role, name = str(body.get("role", "admin")), str(body.get("name", ""))
        text, key = await self._api_keys.create(role, name, expires_in)
        return json_response(request, {**msgspec.to_builtins(key), "key": text}, 201)

    async def revoke_key(self, request: Request) -> Response:
        await self._api_keys.revoke(request.path_params["id"])
        return no_content(request)


def _size(name: str, text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise InvalidValueError(f"{name} must be a number of bytes, not '{text}'")
    return int(text)
