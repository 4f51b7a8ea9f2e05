"""SCIM protocol messages: lists, errors, and the operations of a PATCH (RFC 7644 §3.4.2, §3.5.2, §3.12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from joiner.scim.errors import InvalidAttributeError, InvalidSyntaxError, NoTargetError, ScimError

PREFIX: Final = "urn:ietf:params:scim:api:messages:2.0:"
PATCH_OP: Final = f"{PREFIX}PatchOp"
MOST_OPERATIONS: Final = 1000
MOST_NUMBER: Final = 2**53

Verb = Literal["add", "remove", "replace"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a PATCH. `has_value` tells an absent value from null."""

    verb: Verb
    path: str | None
    value: Any
    has_value: bool


@dataclass(frozen=True, slots=True)
class Search:
    """The parameters of a SearchRequest; None for what is not there."""

    filter: str | None
    sort_by: str | None
    sort_order: str | None
    start_index: int | None
    count: int | None
    cursor: str | None
    attributes: str | None
    """Separated by commas."""
    excluded: str | None


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


def parse_patch(body: Any, *, strict: bool = False) -> list[Operation]:
    """The operations of a PatchOp message. Names and verbs may be in any case; unless `strict`, the URN may be missing,
    and there may be no operation at all (T1, T2, T17, T27).

    Raises InvalidSyntaxError, InvalidAttributeError, NoTargetError.
    """
    if not isinstance(body, Mapping):
        raise InvalidSyntaxError("the body must be a JSON object")
    if strict:
        check_message(body, PATCH_OP)
    listed = _member(body, "Operations")
    if not isinstance(listed, list):
        raise InvalidSyntaxError("'Operations' must be a list")
    if strict and not listed:
        raise InvalidSyntaxError("'Operations' must have at least one operation")
    if len(listed) > MOST_OPERATIONS:
        raise InvalidSyntaxError(f"a PATCH may have {MOST_OPERATIONS} operations; this one has {len(listed)}")
    return [_operation(item, number) for number, item in enumerate(listed)]


def parse_search(body: Mapping[str, Any]) -> Search:
    """The parameters of a SearchRequest message (RFC 7644 §3.4.3). Raises InvalidSyntaxError (REQ-S-194),
    InvalidAttributeError."""
    check_message(body, f"{PREFIX}SearchRequest")
    return Search(
        filter=_text(body, "filter"),
        sort_by=_text(body, "sortBy"),
        sort_order=_text(body, "sortOrder"),
        start_index=_number(body, "startIndex"),
        count=_number(body, "count"),
        cursor=_text(body, "cursor"),
        attributes=_names(body, "attributes"),
        excluded=_names(body, "excludedAttributes"),
    )


def check_message(body: Mapping[str, Any], urn: str) -> None:
    """Raises InvalidSyntaxError unless `schemas` says that the body is this message."""
    schemas = _member(body, "schemas")
    named = schemas if isinstance(schemas, list) else ()
    if not any(isinstance(each, str) and each.lower() == urn.lower() for each in named):
        raise InvalidSyntaxError(f"'schemas' must contain {urn}")


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
    if verb == "remove" and not path:
        raise NoTargetError(f"Operations[{number}]: remove needs a path")
    value = _member(item, "value")
    has_value = value is not None or any(key.lower() == "value" for key in item)
    if verb != "remove" and not has_value:
        raise InvalidAttributeError(f"Operations[{number}]: {verb} needs a value")
    return Operation(verb, path or None, value, has_value)  # type: ignore[arg-type] # checked above


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = _member(body, name)
    if value is not None and not isinstance(value, str):
        raise InvalidAttributeError(f"'{name}' takes text")
    return value


def _number(body: Mapping[str, Any], name: str) -> int | None:
    value = _member(body, name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or abs(value) > MOST_NUMBER):
        raise InvalidAttributeError(f"'{name}' must be a whole number")
    return value


def _names(body: Mapping[str, Any], name: str) -> str | None:
    """A list of attributes, or the text with commas that a URL has."""
    value = _member(body, name)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if value is not None and not isinstance(value, str):
        raise InvalidAttributeError(f"'{name}' takes a list of attributes")
    return value


def _member(item: Mapping[str, Any], name: str) -> Any:
    """The member of this name; in its own spelling if it is there, else in any case (T2)."""
    if name in item:
        return item[name]
    folded = name.lower()
    return next((value for key, value in item.items() if key.lower() == folded), None)
