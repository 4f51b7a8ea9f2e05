"""What the endpoint does with resources, behind HTTP: every verb of RFC 7644 §3 for one connection at a time."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Final, TypeVar

import msgspec

from joiner.application.connections import Connection
from joiner.application.events.log import Actor, EventLog
from joiner.application.resources.changes import (
    Altered,
    Expected,
    Target,
    change_resource,
    create_resource,
    delete_resource,
    is_single,
)
from joiner.application.resources.passwords import hash_password
from joiner.application.resources.render import Base, related_to, render, render_list
from joiner.application.resources.store import ALL, Related, ResourceReader, Stored
from joiner.application.search.cursors import Place, digest, read_cursor, write_cursor
from joiner.application.search.filters import Condition, compile_filter
from joiner.application.search.orders import Order, compile_order
from joiner.clock import Clock, to_iso
from joiner.scim.core import ENTERPRISE_URN, GROUP_URN
from joiner.scim.errors import InvalidCountError
from joiner.scim.grammar import parse_filter
from joiner.scim.members import MemberChange, members_in, net_changes, split_members
from joiner.scim.messages import Operation, parse_patch
from joiner.scim.patches import apply_patch, secrets_in, without_own_id
from joiner.scim.projection import Projection
from joiner.scim.resources import read_incoming, replaced
from joiner.scim.schemas import ResourceType
from joiner.scim.sorting import parse_sort
from joiner.storage.session import Session, Storage, Work

T = TypeVar("T")

DEFAULT_COUNT: Final = 100
MANY_MEMBERS: Final = 200
"""A change of more members than this must not keep others waiting."""


class Caller(msgspec.Struct, frozen=True):
    """On whose behalf something is done, and where the client thinks it is."""

    connection: Connection
    token_id: str
    base: Base

    @property
    def actor(self) -> Actor:
        return Actor(self.connection.id, self.token_id)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a list (RFC 7644 §3.4.2, RFC 9865 §2)."""

    filter: str | None = None
    sort_by: str | None = None
    sort_order: str | None = None
    start_index: int = 1
    count: int = DEFAULT_COUNT
    cursor: str | None = None
    """Empty for the first page of a walk."""


class Change(msgspec.Struct, frozen=True):
    """A change that is ready to be made, but for the password that it sets."""

    alter: Callable[[dict[str, Any], str | None], Altered]
    """Given the stored attributes and the hash of a new password, what becomes of the resource. Raises ScimError."""
    asserted: Set[str]
    """Lower-cased names of the attributes that the client sent (REQ-S-032). Complete once the change is made."""
    password: Any = None
    long: bool = False


class ResourceService:
    """The resources in `storage`. Bytes are complete answers in JSON."""

    def __init__(self, storage: Storage, events: EventLog, clock: Clock, cursor_key: bytes) -> None:
        self._storage = storage
        self._events = events
        self._clock = clock
        self._cursor_key = cursor_key
        self.reader = ResourceReader(storage)

    # Reading

    async def read(self, caller: Caller, resource_type: ResourceType, id_: str, projection: Projection) -> Stored:
        """Raises ResourceNotFoundError."""
        related = self._related(caller, resource_type, projection)
        return await self.reader.read(caller.connection.id, resource_type.name, id_, caller.base.json, related)

    async def query(
        self, caller: Caller, types: Sequence[ResourceType], query: Query, projections: Mapping[str, Projection]
    ) -> bytes:
        """A ListResponse. `projections` has one for each type. Raises ScimError."""
        condition = self._condition(caller, types, query)
        order = self._order(types, query)
        count = min(query.count, caller.connection.settings.most_results)
        related = self._related(caller, types[0], projections[types[0].name]) if len(types) == 1 else None
        names = [each.name for each in types]
        if query.cursor is not None:
            return await self._page_after(caller, types, query, condition, order, count, related, projections)
        total, page = await self.reader.page(
            caller.connection.id, names, condition, order, query.start_index, count, caller.base.json, related
        )
        return render_list(total, query.start_index, self._rendered(caller, page, types, projections))

    # Writing

    async def create(self, caller: Caller, resource_type: ResourceType, body: Mapping[str, Any]) -> Stored:
        """Raises ScimError."""
        change = creation(caller, resource_type, body)
        altered = change.alter({}, await hash_password(change.password))

        async def work(session: Session) -> Stored:
            return await create_resource(session, self.target(caller, resource_type), altered)

        return await self._written(work, long=change.long, single=is_single(altered))

    async def change(
        self,
        caller: Caller,
        resource_type: ResourceType,
        id_: str,
        change: Change,
        expected: Expected | None,
        projection: Projection,
    ) -> Stored:
        """The resource afterwards, with the groups of a user if they are shown; see `needs_more`. Raises ScimError."""
        hashed = await hash_password(change.password)

        target = self.target(caller, resource_type, self._related(caller, resource_type, projection))

        def alter(stored: dict[str, Any]) -> Altered:
            return change.alter(stored, hashed)

        async def work(session: Session) -> Stored:
            return await change_resource(session, target, id_, alter, expected)

        return await self._written(work, long=change.long)

    async def delete(self, caller: Caller, resource_type: ResourceType, id_: str, expected: Expected | None) -> None:
        """Raises ScimError."""

        async def work(session: Session) -> None:
            await delete_resource(session, self.target(caller, resource_type), id_, expected)

        is_long = resource_type.schema.id == GROUP_URN or not caller.connection.settings.keep_deleted_managers
        await self._written(work, long=is_long)

    async def together(self, work: Work[T]) -> T:
        """Several changes in one transaction; see `attempt` of a session for those that may fail alone."""
        return await self._written(work, long=True)

    async def _written(self, work: Work[T], *, long: bool, single: bool = False) -> T:
        result = await self._storage.write(work, long=long, single=single)
        self._events.announce()
        return result

    def target(self, caller: Caller, resource_type: ResourceType, related: Related | None = None) -> Target:
        """What the functions of `changes` have to know. The members of a group are not read before a change of them."""
        shown = None if related == "members" else related
        now = to_iso(self._clock())
        return Target(caller.actor, resource_type, caller.connection.settings, now, caller.base.json, shown)

    # Answers

    def needs_more(self, caller: Caller, resource_type: ResourceType, projection: Projection) -> bool:
        """Whether the answer to a change shows what was not read with it: the members of a group."""
        return self._related(caller, resource_type, projection) == "members"

    def rendered(self, caller: Caller, resource_type: ResourceType, stored: Stored, projection: Projection) -> bytes:
        return render(stored, resource_type.endpoint, caller.base, projection)

    def _rendered(
        self,
        caller: Caller,
        page: Sequence[Stored],
        types: Sequence[ResourceType],
        projections: Mapping[str, Projection],
    ) -> list[bytes]:
        endpoints = {each.name: each.endpoint for each in types}
        return [render(each, endpoints[each.type], caller.base, projections[each.type]) for each in page]

    def _related(self, caller: Caller, resource_type: ResourceType, projection: Projection) -> Related | None:
        return related_to(resource_type.name, projection, indirect=caller.connection.settings.indirect_groups)

    # Queries

    def _condition(self, caller: Caller, types: Sequence[ResourceType], query: Query) -> Condition:
        if query.filter is None:
            return ALL
        strict = caller.connection.settings.strict
        tree = parse_filter(query.filter, strict=strict)
        return compile_filter(types, tree, self._storage.dialect, strict=strict)

    def _order(self, types: Sequence[ResourceType], query: Query) -> Order:
        sort = None
        if query.sort_by is not None:
            sort = parse_sort(types, query.sort_by, query.sort_order)
        return compile_order(types, sort, self._storage.dialect)

    async def _page_after(
        self,
        caller: Caller,
        types: Sequence[ResourceType],
        query: Query,
        condition: Condition,
        order: Order,
        count: int,
        related: Related | None,
        projections: Mapping[str, Projection],
    ) -> bytes:
        connection_id = caller.connection.id
        names = [each.name for each in types]
        name = digest(names, query.filter, query.sort_by, query.sort_order)
        now = self._clock()
        after = None
        if query.cursor:
            place = read_cursor(self._cursor_key, query.cursor, connection_id, name, count, now)
            after = (place.value, place.number)
        if count == 0:
            raise InvalidCountError("'count' must be at least 1 with a cursor")
        total, page, end = await self.reader.page_after(
            connection_id, names, condition, order, after, count, caller.base.json, related
        )
        following = None
        if end is not None:
            place = Place(connection_id, name, count, int(now.timestamp()), *end)
            following = write_cursor(self._cursor_key, place)
        return render_list(total, None, self._rendered(caller, page, types, projections), following)


def creation(caller: Caller, resource_type: ResourceType, body: Mapping[str, Any]) -> Change:
    """What a POST does (RFC 7644 §3.3). Raises ScimError."""
    strict = caller.connection.settings.strict
    incoming = read_incoming(resource_type, body, strict=strict, creating=True)
    resource = _without_derived(incoming.resource)
    members = _taken_members(resource_type, resource, strict=strict)
    changes = [MemberChange("add", members)] if members else []
    return Change(
        lambda _, hashed: Altered(resource, changes, hashed),
        incoming.asserted,
        incoming.secrets.get("password"),
        long=_is_long(changes),
    )


def replacement(caller: Caller, resource_type: ResourceType, body: Mapping[str, Any]) -> Change:
    """What a PUT does (RFC 7644 §3.5.1). Raises ScimError."""
    strict = caller.connection.settings.strict
    incoming = read_incoming(resource_type, body, strict=strict)
    resource = _without_derived(incoming.resource)
    members = _taken_members(resource_type, resource, strict=strict)
    changes = [MemberChange("replace", members)] if resource_type.schema.id == GROUP_URN else []

    def alter(stored: dict[str, Any], hashed: str | None) -> Altered:
        return Altered(replaced(resource_type, stored, resource, incoming.asserted), changes, hashed)

    return Change(alter, incoming.asserted, incoming.secrets.get("password"), long=bool(changes))


def modification(caller: Caller, resource_type: ResourceType, id_: str, body: Mapping[str, Any]) -> Change:
    """What a PATCH of the resource `id_` does (RFC 7644 §3.5.2). Raises ScimError."""
    strict = caller.connection.settings.strict
    operations: Sequence[Operation] = without_own_id(parse_patch(body, strict=strict), id_)
    changes: Sequence[MemberChange] = ()
    asserted: set[str] = set()
    if resource_type.schema.id == GROUP_URN:
        operations, split = split_members(resource_type, operations, strict=strict)
        changes = net_changes(split)
        if changes:
            asserted.add("members")
    if not operations:
        return Change(lambda _, __: Altered(None, changes), asserted, long=_is_long(changes))

    def alter(stored: dict[str, Any], hashed: str | None) -> Altered:
        patched = apply_patch(resource_type, stored, operations, strict=strict)
        asserted.update(patched.asserted)
        return Altered(_without_derived(patched.resource), changes, hashed)

    password = secrets_in(resource_type, operations, strict=strict).get("password")
    return Change(alter, asserted, password, long=_is_long(changes))


def _without_derived(resource: dict[str, Any]) -> dict[str, Any]:
    """Without the manager's `$ref`, which the server derives like `displayName` (REQ-S-028)."""
    extension = resource.get(ENTERPRISE_URN)
    if extension is None or "$ref" not in extension.get("manager", ()):
        return resource
    manager = {name: value for name, value in extension["manager"].items() if name != "$ref"}
    rest = {name: value for name, value in extension.items() if name != "manager"}
    merged = {**rest, "manager": manager} if manager else rest
    return (
        {**resource, ENTERPRISE_URN: merged} if merged else {k: v for k, v in resource.items() if k != ENTERPRISE_URN}
    )


def _taken_members(resource_type: ResourceType, resource: dict[str, Any], *, strict: bool) -> Mapping[str, str | None]:
    """The members that were named in a group; they are rows, not part of the resource."""
    if resource_type.schema.id != GROUP_URN:
        return {}
    return members_in(resource.pop("members", None), strict=strict)


def _is_long(changes: Sequence[MemberChange]) -> bool:
    return any(change.kind not in ("add", "remove") or len(change.members) > MANY_MEMBERS for change in changes)
