"""Bulk messages: the operations of a request, and the response with what became of each (RFC 7644 §3.7).

What is wrong with the request as a whole is raised; what is wrong with one operation stays with it and becomes its
result. References between operations are found in `bulk_references`, their order in `bulk_plan`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from joiner.scim.errors import InvalidAttributeError, InvalidSyntaxError, ScimError, TooLargeError
from joiner.scim.messages import PREFIX, error_response

METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
REQUEST_NAMES: Final = {name.lower(): name for name in ("schemas", "failOnErrors", "Operations")}
OPERATION_NAMES: Final = {name.lower(): name for name in ("method", "path", "bulkId", "version", "data")}
SHOWN: Final = 100
"""So many characters of what a client sent are repeated to it."""


class BulkOperation(msgspec.Struct, frozen=True):
    """One operation. `endpoint` and `id` are the parts of its path; both may name nothing that exists."""

    index: int
    """Its place in the request, from 0."""
    method: str
    """In capitals. One of METHODS unless there is an error."""
    endpoint: str
    """With its slash and as it was spelled, such as `/Users`; empty if the path is wrong."""
    id: str | None
    """None for POST. May be `bulkId:x`, a reference."""
    bulk_id: str | None
    version: str | None
    """What the resource's version must be, as in If-Match."""
    data: Any
    """An object; None for DELETE."""
    error: ScimError | None = None
    """Why it cannot be executed."""


class BulkRequest(msgspec.Struct, frozen=True):
    """A bulk request whose message is right, whatever its operations are."""

    fail_on_errors: int | None
    """After so many errors no further operation is begun. None: all are tried."""
    operations: tuple[BulkOperation, ...]


class BulkResult(msgspec.Struct, frozen=True):
    """What became of one operation."""

    operation: BulkOperation
    status: int
    location: str | None = None
    """The resource's URL; None for a POST that failed."""
    version: str | None = None
    """The resource's ETag."""
    error: ScimError | None = None


def parse_bulk(body: Any, *, most_operations: int, strict: bool = False) -> BulkRequest:
    """The operations of a BulkRequest message. Names may be in any case; the message's URN is demanded if `strict`.

    Raises InvalidSyntaxError, InvalidAttributeError (failOnErrors), and TooLargeError that names the limit
    (REQ-S-301, REQ-S-310).
    """
    if not isinstance(body, Mapping):
        raise InvalidSyntaxError("the body must be a JSON object")
    message = _by_name(body, REQUEST_NAMES)
    if strict:
        _check_schemas(message.get("schemas"))
    listed = message.get("Operations")
    if not isinstance(listed, list):
        raise InvalidSyntaxError("'Operations' must be a list")
    if len(listed) > most_operations:
        raise TooLargeError(
            f"a bulk request may have {most_operations} operations (maxOperations); this one has {len(listed)}"
        )
    known: set[str] = set()
    operations = tuple([_operation(item, index, known) for index, item in enumerate(listed)])
    return BulkRequest(_fail_on_errors(message.get("failOnErrors")), operations)


def bulk_response(results: Iterable[BulkResult]) -> dict[str, Any]:
    """The BulkResponse message, in the order of the request whatever the order of `results` (REQ-S-300, REQ-S-308)."""
    ordered = sorted(results, key=lambda result: result.operation.index)
    return {"schemas": [f"{PREFIX}BulkResponse"], "Operations": [_entry(result) for result in ordered]}


def _entry(result: BulkResult) -> dict[str, Any]:
    operation = result.operation
    entry: dict[str, Any] = {"method": operation.method}
    if operation.bulk_id is not None:
        entry["bulkId"] = operation.bulk_id
    if result.location is not None:
        entry["location"] = result.location
    if result.version is not None:
        entry["version"] = result.version
    entry["status"] = str(result.status)
    if result.error is not None:
        entry["response"] = error_response(result.error)
    return entry


def _check_schemas(schemas: Any) -> None:
    urn = f"{PREFIX}BulkRequest"
    listed = schemas if isinstance(schemas, list) else []
    if not any(isinstance(item, str) and item.lower() == urn.lower() for item in listed):
        raise InvalidSyntaxError(f"'schemas' must contain {urn}")


def _fail_on_errors(value: Any) -> int | None:
    if value is None:
        return None
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidAttributeError("'failOnErrors' must be a whole number from 1 on")
    return number


def _operation(item: Any, index: int, known: set[str]) -> BulkOperation:
    if not isinstance(item, Mapping):
        raise InvalidSyntaxError(f"Operations[{index}] must be an object")
    members = _by_name(item, OPERATION_NAMES)
    named = members.get("method")
    method = named.upper() if isinstance(named, str) else ""
    bulk_id = _bulk_id(members.get("bulkId"), method, index, known)
    path, version, data = members.get("path"), members.get("version"), members.get("data")
    try:
        if method not in METHODS:
            raise InvalidSyntaxError("'method' must be POST, PUT, PATCH or DELETE")
        endpoint, id_ = _split(path, method)
        if version is not None and not isinstance(version, str):
            raise InvalidAttributeError("'version' must be text")
        if method == "DELETE":
            data = None
        elif not isinstance(data, Mapping):
            raise InvalidSyntaxError(f"{method} needs 'data', an object")
    except ScimError as error:
        return BulkOperation(index, method[:SHOWN], "", None, bulk_id, None, None, error)
    return BulkOperation(index, method, endpoint, id_, bulk_id, version, data)


def _bulk_id(value: Any, method: str, index: int, known: set[str]) -> str | None:
    if value is None or value == "":
        if method == "POST":
            raise InvalidSyntaxError(f"Operations[{index}]: a POST needs a bulkId")
        return None
    if not isinstance(value, str):
        raise InvalidSyntaxError(f"Operations[{index}].bulkId must be text")
    if value in known:
        raise InvalidSyntaxError(f"Operations[{index}]: the bulkId '{value[:SHOWN]}' is there twice")
    known.add(value)
    return value


def _split(path: Any, method: str) -> tuple[str, str | None]:
    """Endpoint and id. Doubled and trailing slashes count as one and none (T22)."""
    wanted = "such as /Users" if method == "POST" else "such as /Users/{id}"
    if not isinstance(path, str):
        raise InvalidSyntaxError(f"{method} needs a path, {wanted}")
    segments = [segment for segment in path.split("/") if segment]
    if "%" in path:
        segments = [unquote(segment) for segment in segments]
    if "\x00" in "".join(segments):
        raise InvalidSyntaxError("a path cannot contain NUL")
    if segments and segments[0].lower() == "bulk":
        raise InvalidSyntaxError("a bulk request cannot be inside another one")
    if "?" in path or len(segments) != (1 if method == "POST" else 2):
        raise InvalidSyntaxError(f"the path of a {method} must be {wanted}, not '{path[:SHOWN]}'")
    return f"/{segments[0]}", segments[1] if method != "POST" else None


def _by_name(item: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """The members under the RFC's spelling; of keys that differ in case only the exact one wins (T2)."""
    spellings = names.values()
    if all(key in spellings for key in item):
        return item
    folded = {names.get(key.lower(), key): value for key, value in item.items()}
    return folded | {name: item[name] for name in spellings if name in item}
