"""SCIM protocol messages: lists, errors, and the operations of a PATCH (RFC 7644 §3.4.2, §3.5.2, §3.12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from joiner.scim.errors import InvalidAttributeError, InvalidSyntaxError, NoTargetError, ScimError

PREFIX: Final = "urn:ietf:params:scim:api:messages:2.0:"
MOST_OPERATIONS: Final = 1000

Verb = Literal["add", "remove", "replace"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a PATCH. `has_value` tells an absent value from null."""

    verb: Verb
    path: str | None
    value: Any
    has_value: bool


def list_response(total: int, start_index: int, resources: Sequence[Any]) -> dict[str, Any]:
    return {
        "schemas": [f"{PREFIX}ListResponse"],
        "totalResults": total,
        "startIndex": start_index,
        "itemsPerPage": len(resources),
        "Resources": list(resources),
    }


def error_response(error: ScimError) -> dict[str, Any]:
    body: dict[str, Any] = {"schemas": [f"{PREFIX}Error"], "status": str(error.status)}
    if error.scim_type is not None:
        body["scimType"] = error.scim_type
    body["detail"] = str(error)
    return body


def parse_patch(body: Any) -> list[Operation]:
    """The operations of a PatchOp message. Names and verbs may be in any case, the URN may be missing, and there may
    be no operation at all (T1, T2, T17, T27). Raises InvalidSyntaxError, InvalidAttributeError, NoTargetError."""
    if not isinstance(body, Mapping):
        raise InvalidSyntaxError("the body must be a JSON object")
    listed = _member(body, "operations")
    if not isinstance(listed, list):
        raise InvalidSyntaxError("'Operations' must be a list")
    if len(listed) > MOST_OPERATIONS:
        raise InvalidSyntaxError(f"a PATCH may have {MOST_OPERATIONS} operations; this one has {len(listed)}")
    return [_operation(item, number) for number, item in enumerate(listed)]


def _operation(item: Any, number: int) -> Operation:
    if not isinstance(item, Mapping):
        raise InvalidSyntaxError(f"Operations[{number}] must be an object")
    named = _member(item, "op")
    verb = named.lower() if isinstance(named, str) else ""
    if verb not in ("add", "remove", "replace"):
        raise InvalidSyntaxError(f"Operations[{number}].op must be add, remove or replace")
    path = _member(item, "path")
    if path is not None and not isinstance(path, str):
        raise InvalidSyntaxError(f"Operations[{number}].path must be text")
    has_value = any(key.lower() == "value" for key in item)
    if verb == "remove" and not path:
        raise NoTargetError(f"Operations[{number}]: remove needs a path")
    if verb == "add" and not has_value:
        raise InvalidAttributeError(f"Operations[{number}]: add needs a value")
    if verb == "replace" and not has_value:
        raise InvalidAttributeError(f"Operations[{number}]: replace needs a value")
    return Operation(verb, path or None, _member(item, "value"), has_value)  # type: ignore[arg-type] # checked above


def _member(item: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in item.items() if key.lower() == name), None)
