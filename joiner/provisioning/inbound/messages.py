"""The body of `bulkUpload`: a SCIM BulkRequest that knows one kind of operation (Graph API §10.12, REQ-C-036).

Pure. Only the form is judged here; what the people in it are worth is judged when they are taken over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from joiner.errors import InvalidValueError

BULK_REQUEST: Final = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
MOST_OPERATIONS: Final = 50
MOST_BYTES: Final = 1024 * 1024
TAIL: Final = b"]}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One person, as the system of record has them."""

    bulk_id: str
    """Not necessarily another one in each operation: Microsoft's own example repeats it (SCIM clients §1.9)."""
    data: Mapping[str, Any]


class UploadError(InvalidValueError):
    """The upload is refused as a whole; nothing of it is kept."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{place}: {told}" if place else told for place, told in problems))
        self.problems = tuple(problems)
        """(place, what is wrong), for example `("Operations[3].method", "must be POST, not PUT")`."""


def parse_upload(content: bytes, most: int | None = MOST_OPERATIONS) -> tuple[Operation, ...]:
    """The operations in their order, `most` of them at most; None: any number. Raises UploadError with everything that
    is wrong."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UploadError([("", f"the body is not JSON: {error}")]) from None
    if not isinstance(body, dict):
        raise UploadError([("", "the body must be a JSON object: a SCIM BulkRequest")])
    message = _by_name(body)
    problems = _message_problems(message, most)
    listed = message.get("operations")
    operations = []
    for number, item in enumerate(listed if isinstance(listed, list) else ()):
        operation = _operation(item, f"Operations[{number}]", problems)
        if operation is not None:
            operations.append(operation)
    if problems:
        raise UploadError(problems)
    return tuple(operations)


def written_uploads(operations: Sequence[Operation]) -> Iterator[tuple[int, bytes]]:
    """The operations as bodies of as few requests as there may be, each with the number of its operations. Raises
    UploadError for a person who is too long for any."""
    head = b'{"schemas":["%b"],"Operations":[' % BULK_REQUEST.encode()
    piece: list[bytes] = []
    size = len(head)
    for number, each in enumerate(operations):
        text = orjson.dumps({"method": "POST", "bulkId": each.bulk_id, "path": "/Users", "data": each.data})
        if len(head) + len(text) + len(TAIL) > MOST_BYTES:
            raise UploadError([(f"Operations[{number}]", f"is too long: a request may have {MOST_BYTES} bytes")])
        if piece and (len(piece) == MOST_OPERATIONS or size + len(text) + len(TAIL) > MOST_BYTES):
            yield len(piece), head + b",".join(piece) + TAIL
            piece, size = [], len(head)
        piece.append(text)
        size += len(text) + 1
    if piece:
        yield len(piece), head + b",".join(piece) + TAIL


def _message_problems(message: Mapping[str, Any], most: int | None) -> list[tuple[str, str]]:
    problems = []
    schemas = message.get("schemas")
    if not isinstance(schemas, list) or BULK_REQUEST.lower() not in (str(each).lower() for each in schemas):
        problems.append(("schemas", f"must contain {BULK_REQUEST}"))
    operations = message.get("operations")
    if not isinstance(operations, list) or not operations:
        problems.append(("Operations", "must be a list of at least one operation"))
    elif most is not None and len(operations) > most:
        told = f"may be {most} at most; there are {len(operations)}: send several requests"
        problems.append(("Operations", told))
    if message.get("failonerrors") is not None:
        # The answer is given before the first operation is looked at.
        problems.append(("failOnErrors", "must be null: every operation is processed, whatever becomes of the others"))
    return problems


def _operation(item: Any, place: str, problems: list[tuple[str, str]]) -> Operation | None:
    """The operation; None if something is wrong with it, which is added to the problems."""
    if not isinstance(item, dict):
        problems.append((place, "must be an object"))
        return None
    named = _by_name(item)
    method, path, bulk_id, data = (named.get(name) for name in ("method", "path", "bulkid", "data"))
    found: list[tuple[str, str]] = []
    if not isinstance(method, str) or method.upper() != "POST":
        told = "is missing" if method is None else f"cannot be {method}"
        found.append(("method", f"{told}; it is always POST: whom the directory has already is updated"))
    if not isinstance(path, str) or path.strip("/").lower() != "users":
        told = "is missing" if path is None else f"cannot be {path}"
        found.append(("path", f"{told}; it is always /Users"))
    if not isinstance(bulk_id, str) or not bulk_id.strip():
        found.append(("bulkId", "is required, as text"))
    if not isinstance(data, dict) or not data:
        found.append(("data", "is required: the person as a SCIM user"))
    problems += [(f"{place}.{member}", told) for member, told in found]
    return Operation(str(bulk_id), data) if isinstance(data, dict) and not found else None


def _by_name(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in body.items()}
