"""Bulk requests (RFC 7644 §3.7): many changes in one transaction, each of which may fail alone."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from joiner.application.resources.changes import change_resource, create_resource, delete_resource, lock_resources
from joiner.application.resources.passwords import hash_password
from joiner.application.resources.render import etag_of, location_of
from joiner.application.resources.service import Caller, Change, ResourceService, creation, modification, replacement
from joiner.application.resources.store import Stored
from joiner.scim.bulk import BulkOperation, BulkRequest, parse_bulk
from joiner.scim.bulk_run import BulkRun
from joiner.scim.errors import ResourceNotFoundError, ScimError
from joiner.scim.schemas import ResourceType
from joiner.storage.session import Session


async def answer_bulk(service: ResourceService, caller: Caller, body: Mapping[str, Any]) -> dict[str, Any]:
    """The BulkResponse. Raises ScimError if the request as a whole is wrong."""
    settings = caller.connection.settings
    request = parse_bulk(body, most_operations=settings.most_operations, strict=settings.strict)
    passwords = await _hashed_passwords(caller, request)

    named = {operation.id for operation in request.operations if operation.id is not None}

    async def work(session: Session) -> dict[str, Any]:
        await lock_resources(session, caller.connection.id, named)
        run = BulkRun(request, caller.base.url)
        for step in run.steps():
            try:
                operation = run.resolve(step)
                hashed = passwords.get(operation.index)
                execute = partial(_execute, service=service, caller=caller, operation=operation, hashed=hashed)
                run.succeeded(step, *await session.attempt(execute))
            except ScimError as error:
                created = run.failed(step, error)
                if created is not None:
                    resource_type, _ = _target(caller, step.operation)
                    await delete_resource(session, service.target(caller, resource_type), created)
        return run.response()

    return await service.together(work)


async def _hashed_passwords(caller: Caller, request: BulkRequest) -> dict[int, str]:
    """Operation → the hash of the password that it sets. Hashing cannot wait inside the transaction."""
    found: dict[int, str] = {}
    for operation in request.operations:
        if operation.error is not None or not _may_set_password(operation.data):
            continue
        try:
            hashed = await hash_password(_change(caller, operation)[1].password)
        except ScimError:
            # It fails again, and is reported, when it is executed.
            continue
        if hashed is not None:
            found[operation.index] = hashed
    return found


def _may_set_password(data: Any) -> bool:
    """Whether the word occurs as a name or in a PATCH, in any case."""
    return data is not None and "password" in str(data).lower()


async def _execute(
    session: Session, *, service: ResourceService, caller: Caller, operation: BulkOperation, hashed: str | None
) -> tuple[str, int, str, str | None]:
    """(id, status, location, ETag). Raises ScimError."""
    version = operation.version

    def expected(present: int) -> bool:
        return version is None or version in ("*", f'W/"{present}"', f'"{present}"', str(present))

    if operation.method == "DELETE":
        resource_type, id_ = _target(caller, operation)
        await delete_resource(session, service.target(caller, resource_type), id_, expected)
        return id_, 204, f"{caller.base.url}{resource_type.endpoint}/{id_}", None
    resource_type, change = _change(caller, operation)
    target = service.target(caller, resource_type)
    if operation.method == "POST":
        stored = await create_resource(session, target, change.alter({}, hashed))
        return _result(caller, resource_type, stored, 201)
    stored = await change_resource(
        session, target, operation.id or "", lambda held: change.alter(held, hashed), expected
    )
    return _result(caller, resource_type, stored, 200)


def _change(caller: Caller, operation: BulkOperation) -> tuple[ResourceType, Change]:
    resource_type, _ = _target(caller, operation)
    if operation.method == "PATCH":
        return resource_type, modification(caller, resource_type, operation.id or "", operation.data)
    make = creation if operation.method == "POST" else replacement
    return resource_type, make(caller, resource_type, operation.data)


def _target(caller: Caller, operation: BulkOperation) -> tuple[ResourceType, str]:
    """Raises ResourceNotFoundError."""
    resource_type = caller.connection.registry.by_endpoint.get(operation.endpoint.lower())
    if resource_type is None:
        raise ResourceNotFoundError(f"there is no endpoint '{operation.endpoint[:100]}'")
    return resource_type, operation.id or ""


def _result(caller: Caller, resource_type: ResourceType, stored: Stored, status: int) -> tuple[str, int, str, str]:
    return stored.id, status, location_of(stored, resource_type.endpoint, caller.base), etag_of(stored)
