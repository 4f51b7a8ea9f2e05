"""Writing resources: each change is one transaction with its columns, its memberships and its event.

The functions take a session, so that a bulk request can make several changes one after the other. What changes nothing
writes nothing (REQ-S-228). Whatever happens in parallel, nothing is lost: a change is applied to what is stored at that
moment, with its row locked.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from joiner.application.connections import ConnectionSettings, for_update
from joiner.application.events.log import Actor, note_event
from joiner.application.resources.memberships import change_members, rename_member
from joiner.application.resources.store import Related, Stored, manager_display, read_resource
from joiner.application.search.columns import Columns, UniquePath, changes_index, columns_of, display_of, unique_paths
from joiner.ids import new_ordered_id
from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.errors import InvalidAttributeError, PreconditionFailedError, UniquenessError
from joiner.scim.members import MemberChange
from joiner.scim.schemas import ResourceType
from joiner.storage.session import Row, Session, UniqueViolationError

Resource = Mapping[str, Any]


class Target(msgspec.Struct, frozen=True):
    """What a change needs to know besides the resource: who acts, when, on what type, under which settings."""

    actor: Actor
    resource_type: ResourceType
    settings: ConnectionSettings
    now: str
    base: str = ""
    """The endpoint's URL, for what is read with a changed resource."""
    related: Related | None = None


class Altered(msgspec.Struct, frozen=True):
    """What becomes of a resource. `resource` None: its attributes stay as they are."""

    resource: Resource | None
    members: Sequence[MemberChange] = ()
    password: str | None = None
    """The hash of a new one."""


Alter = Callable[[dict[str, Any]], Altered]
"""Given the stored attributes, what becomes of them. Raises ScimError, and then nothing has happened."""
Expected = Callable[[int], bool]
"""Judges the present version (If-Match)."""

INSERT: Final = (
    "INSERT INTO resource (id, connection_id, type, display, name_key, display_key, external_id, active, manager_id,"
    " version, created_at, modified_at, body, search)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?10, ?11, ?12) RETURNING number"
)
INSERT_AT_ONCE: Final = (
    f"WITH made AS ({INSERT}), noted AS (INSERT INTO event (at, connection_id, token_id, type, resource_id, verb,"
    " version, attributes, data) VALUES (?10, ?2, ?13, ?3, ?1, 'create', 1, ?14, ?15)), found AS (INSERT INTO"
    " indexed_value (connection_id, type, path, value, number, must_be_unique) SELECT ?2, ?3, each.path, each.value,"
    " made.number, each.must_be_unique FROM made, unnest(?16::text[], ?17::text[], ?18::integer[])"
    " AS each (path, value, must_be_unique)) SELECT number FROM made"
)
UPDATE: Final = (
    "UPDATE resource SET display = ?2, name_key = ?3, display_key = ?4, external_id = ?5, active = ?6, manager_id = ?7,"
    " version = ?8, modified_at = ?9, body = ?10, search = ?11 WHERE number = ?1"
)


def is_single(altered: Altered) -> bool:
    """Whether `create_resource` writes with one statement where the database can do that."""
    return not altered.members and altered.password is None


async def create_resource(session: Session, target: Target, altered: Altered) -> Stored:
    """A new resource. Raises UniquenessError, InvalidAttributeError."""
    resource = altered.resource or {}
    type_ = target.resource_type.name
    columns = columns_of(target.resource_type, resource, unique_groups=target.settings.unique_group_names)
    named = await _manager_named(session, target, columns)
    id_ = new_ordered_id()
    insert = _insert_at_once if session.dialect == "postgresql" and is_single(altered) else _insert
    try:
        number = await insert(session, target, altered, id_, columns)
    except UniqueViolationError as error:
        raise _taken(target.resource_type, resource, error) from None
    return Stored(number, id_, type_, 1, target.now, target.now, columns.body, columns.manager_id, named, None)


async def _insert(session: Session, target: Target, altered: Altered, id_: str, columns: Columns) -> int:
    row = await session.row(INSERT, *_inserted(target, id_, columns))
    assert row is not None
    number: int = row[0]
    await _index(session, target, number, columns.indexed)
    members = None
    if altered.members:
        members = await change_members(
            session,
            target.actor.connection_id,
            (number, id_),
            altered.members,
            must_exist=target.settings.members_must_exist,
        )
    if altered.password is not None:
        await _keep_password(session, number, altered.password)
    kind = (target.resource_type.name, id_, 1)
    noted = members.json() if members else None
    await note_event(session, target.actor, kind, "create", target.now, altered.resource, noted, _secrets(altered))
    return number


async def _insert_at_once(session: Session, target: Target, altered: Altered, id_: str, columns: Columns) -> int:
    """The same in one statement, which saves four round trips."""
    data = altered.resource or {}
    row = await session.row(
        INSERT_AT_ONCE,
        *_inserted(target, id_, columns),
        target.actor.token_id,
        " ".join(data),
        orjson.dumps(data).decode() if data else None,
        *([value[place] for value in columns.indexed] for place in range(3)),
    )
    assert row is not None
    number: int = row[0]
    return number


def _inserted(target: Target, id_: str, columns: Columns) -> tuple[Any, ...]:
    """The parameters of INSERT."""
    return (
        id_,
        target.actor.connection_id,
        target.resource_type.name,
        columns.display,
        columns.name_key,
        columns.display_key,
        columns.external_id,
        columns.active,
        columns.manager_id,
        target.now,
        columns.body,
        columns.search,
    )


async def change_resource(
    session: Session, target: Target, id_: str, alter: Alter, expected: Expected | None = None
) -> Stored:
    """The resource afterwards. Raises ResourceNotFoundError, PreconditionFailedError, UniquenessError, and what `alter`
    raises."""
    connection_id, type_ = target.actor.connection_id, target.resource_type.name
    stored = await read_resource(session, connection_id, type_, id_, target.base, target.related, lock=True)
    _check_version(stored, expected)
    before = stored.resource
    altered = alter(before)
    after = before if altered.resource is None else altered.resource
    changed = {} if after is before else differences(before, after)
    members = None
    if altered.members:
        members = await change_members(
            session, connection_id, (stored.number, id_), altered.members, must_exist=target.settings.members_must_exist
        )
    if altered.password is not None:
        await _keep_password(session, stored.number, altered.password)
    if not changed and not members and altered.password is None:
        return stored
    version = stored.version + 1
    if changed:
        columns = columns_of(target.resource_type, after, unique_groups=target.settings.unique_group_names)
        await _update(session, target, (stored.number, id_), version, before, after, changed, columns)
        manager = stored.manager_display
        if columns.manager_id != stored.manager_id:
            manager = await _manager_named(session, target, columns)
        stored = msgspec.structs.replace(
            stored, body=columns.body, manager_id=columns.manager_id, manager_display=manager
        )
    else:
        await session.execute(
            "UPDATE resource SET version = ?2, modified_at = ?3 WHERE number = ?1", stored.number, version, target.now
        )
    kind = (type_, id_, version)
    noted = members.json() if members else None
    await note_event(session, target.actor, kind, "update", target.now, changed, noted, _secrets(altered))
    return msgspec.structs.replace(stored, version=version, modified_at=target.now)


async def delete_resource(session: Session, target: Target, id_: str, expected: Expected | None = None) -> None:
    """Removes the resource, its memberships and its passwords. Its groups get a new version (REQ-S-282), and so do the
    users that it was the manager of, unless they keep it (REQ-S-283)."""
    connection_id, type_ = target.actor.connection_id, target.resource_type.name
    if session.dialect == "postgresql":
        # Whoever adds a member has its group first and then the member, so that is the order here as well. What it was
        # added to meanwhile is found by asking again.
        await _groups_of(session, connection_id, id_)
    managed = await _managed_by(session, target, id_)
    if managed:
        await lock_resources(session, connection_id, [id_, *managed])
    stored = await read_resource(session, connection_id, type_, id_, lock=True)
    _check_version(stored, expected)
    groups = await _groups_of(session, connection_id, id_)
    for number, group_id, version in groups:
        await session.execute(
            "UPDATE resource SET version = ?2, modified_at = ?3 WHERE number = ?1", number, version + 1, target.now
        )
        left = await change_members(
            session, connection_id, (number, group_id), [MemberChange("remove", {id_: None})], must_exist=False
        )
        kind = ("Group", group_id, version + 1)
        await note_event(session, target.actor, kind, "update", target.now, members=left.json())
    for user_id in managed:
        await change_resource(session, target, user_id, lambda user: Altered(_without_manager(user, id_)))
    await _unindex(session, target, stored.number, stored.resource)
    await session.execute("DELETE FROM resource WHERE number = ?1", stored.number)
    await note_event(session, target.actor, (type_, id_, stored.version), "delete", target.now)


async def lock_resources(session: Session, connection_id: int, ids: Collection[str]) -> None:
    """Keeps others from changing them until the transaction ends. All are taken in one order, so that two who change
    several of the same do not wait for each other."""
    if ids and session.dialect == "postgresql":
        await session.execute(
            "SELECT 1 FROM resource WHERE id = ANY(?1::text[]) AND connection_id = ?2 ORDER BY number FOR UPDATE",
            list(ids),
            connection_id,
        )


async def _groups_of(session: Session, connection_id: int, member_id: str) -> Sequence[Row]:
    """(number, id, version) of the groups that it is a member of, which others cannot change from now on."""
    found = "(SELECT group_number FROM membership WHERE member_id = ?1)"
    # An array, because PostgreSQL would join a subquery with all resources before it knows how short it is.
    listed = f"= ANY (ARRAY{found})" if session.dialect == "postgresql" else f"IN {found}"
    return await session.rows(
        f"SELECT number, id, version FROM resource WHERE number {listed} AND connection_id = ?2 ORDER BY number"
        + for_update(session),
        member_id,
        connection_id,
    )


async def _managed_by(session: Session, target: Target, id_: str) -> Sequence[str]:
    """The ids of the others whose manager is to go with this user."""
    if target.resource_type.name != "User" or target.settings.keep_deleted_managers:
        return ()
    rows = await session.rows(
        "SELECT id FROM resource WHERE connection_id = ?1 AND type = 'User' AND manager_id = ?2 AND id <> ?2"
        " ORDER BY number",
        target.actor.connection_id,
        id_,
    )
    return [row[0] for row in rows]


def _without_manager(user: Resource, manager_id: str) -> Resource:
    """The user without this manager; one that has got another meanwhile stays as it is."""
    extension = user.get(ENTERPRISE_URN, {})
    if extension.get("manager", {}).get("value") != manager_id:
        return user
    left = {name: value for name, value in extension.items() if name != "manager"}
    rest = {name: value for name, value in user.items() if name != ENTERPRISE_URN}
    return {**rest, ENTERPRISE_URN: left} if left else rest


def differences(before: Resource, after: Resource) -> dict[str, Any]:
    """Attribute → its new value, None where it is gone."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    changed.update((name, None) for name in before if name not in after)
    return changed


async def _update(
    session: Session,
    target: Target,
    place: tuple[int, str],
    version: int,
    before: Resource,
    after: Resource,
    changed: Collection[str],
    columns: Columns,
) -> None:
    number, id_ = place
    try:
        await session.execute(
            UPDATE,
            number,
            columns.display,
            columns.name_key,
            columns.display_key,
            columns.external_id,
            columns.active,
            columns.manager_id,
            version,
            target.now,
            columns.body,
            columns.search,
        )
        if display_of(before) != columns.display:
            await rename_member(session, target.resource_type.name, id_, columns.display)
        if changes_index(target.resource_type, changed):
            await _unindex(session, target, number, before)
            await _index(session, target, number, columns.indexed)
    except UniqueViolationError as error:
        raise _taken(target.resource_type, after, error) from None


async def _index(session: Session, target: Target, number: int, values: Sequence[tuple[str, str, int]]) -> None:
    for path, value, unique in values:
        await session.execute(
            "INSERT INTO indexed_value (connection_id, type, path, value, number, must_be_unique)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            target.actor.connection_id,
            target.resource_type.name,
            path,
            value,
            number,
            unique,
        )


async def _unindex(session: Session, target: Target, number: int, resource: Resource) -> None:
    for path, value, _ in columns_of(target.resource_type, resource).indexed:
        await session.execute(
            "DELETE FROM indexed_value WHERE connection_id = ?1 AND type = ?2 AND path = ?3 AND value = ?4"
            " AND number = ?5",
            target.actor.connection_id,
            target.resource_type.name,
            path,
            value,
            number,
        )


async def _manager_named(session: Session, target: Target, columns: Columns) -> str | None:
    """The manager's name as a JSON string, None if there is none here. Raises InvalidAttributeError if one must be."""
    if columns.manager_id is None:
        return None
    named = await manager_display(session, target.actor.connection_id, columns.manager_id)
    if named is None and target.settings.members_must_exist:
        raise InvalidAttributeError(f"'{ENTERPRISE_URN}:manager': there is no user '{columns.manager_id[:100]}'")
    return named


async def _keep_password(session: Session, number: int, hashed: str) -> None:
    await session.execute(
        "INSERT INTO password (number, hash) VALUES (?1, ?2) ON CONFLICT (number) DO UPDATE SET hash = ?2",
        number,
        hashed,
    )


def _secrets(altered: Altered) -> Sequence[str]:
    """What changes besides the resource: its event names it, without the value."""
    return () if altered.password is None else ("password",)


def _check_version(stored: Stored, expected: Expected | None) -> None:
    if expected is not None and not expected(stored.version):
        raise PreconditionFailedError(f'the resource has changed; its version is W/"{stored.version}"')


def _taken(resource_type: ResourceType, resource: Resource, error: UniqueViolationError) -> UniquenessError:
    """Names the attribute, without what the database says."""
    paths = unique_paths(resource_type)[:1]
    if "indexed_value" in str(error) or "unique_value" in str(error):
        paths = unique_paths(resource_type)[1:]
    elif resource_type.name == "Group":
        paths = (UniquePath("", "displayName", ""),)
    if len(paths) == 1:
        return UniquenessError(f"{paths[0]} {', '.join(map(repr, paths[0].values(resource)))[:200]} is taken")
    return UniquenessError(f"one of {', '.join(map(str, paths))} is taken")
