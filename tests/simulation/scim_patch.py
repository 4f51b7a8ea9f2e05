"""PATCH as the simulated target understands it: every shape that the engine's dialects send, and nothing else.

Written apart from `joiner.scim`, so that a mistake there is not made here again.
"""

import re
from copy import deepcopy
from typing import Any

PATH = re.compile(
    r"^(?:(?P<urn>urn:[^\[\]]+:User):)?(?P<name>[A-Za-z$]+)"
    r"(?:\[(?P<key>\w+) eq \"?(?P<wanted>[^\"\]]*)\"?\])?(?:\.(?P<sub>\w+))?$"
)
BOOLEANS = {"true": True, "false": False}
Resource = dict[str, Any]


class RefusedError(Exception):
    """The operation cannot be applied; `scim_type` is that of RFC 7644 §3.12."""

    def __init__(self, scim_type: str, detail: str) -> None:
        super().__init__(detail)
        self.scim_type = scim_type


def patched(resource: Resource, operations: list[dict[str, Any]]) -> Resource:
    """A copy of the resource with the operations applied in order. Raises RefusedError."""
    result: Resource = deepcopy(resource)
    for operation in operations:
        verb, path, value = operation["op"].lower(), operation.get("path"), operation.get("value")
        if verb not in ("add", "replace", "remove"):
            raise RefusedError("invalidSyntax", f"'{verb}' is no operation")
        if path is None:
            for name, item in (value or {}).items():
                _apply(result, verb, name, item)
        else:
            _apply(result, verb, path, value)
    return result


def read(resource: Resource, path: str) -> Any:
    """The value at a path, None if there is none."""
    match = _parsed(path)
    holder = resource.get(match["urn"], {}) if match["urn"] else resource
    value = holder.get(match["name"])
    if match["key"]:
        value = next((item for item in value or [] if item.get(match["key"]) == match["wanted"]), None)
    return value.get(match["sub"]) if match["sub"] and isinstance(value, dict) else value


def _apply(resource: Resource, verb: str, path: str, value: Any) -> None:
    match = _parsed(path)
    name, key, wanted, sub = match["name"], match["key"], match["wanted"], match["sub"]
    holder = resource.setdefault(match["urn"], {}) if match["urn"] else resource
    if name == "active" and isinstance(value, str):
        value = BOOLEANS[value.lower()]
    if name == "members":
        _apply_members(holder, verb, wanted, value)
    elif verb == "remove":
        _remove(holder, name, key, wanted, sub)
    elif key:
        elements = holder.setdefault(name, [])
        element = next((item for item in elements if item.get(key) == wanted), None)
        if element is None:
            element = {key: wanted}
            elements.append(element)
        element[sub or "value"] = value
    elif sub:
        holder.setdefault(name, {})[sub] = value
    elif name == "manager":
        holder[name] = dict(value) if isinstance(value, dict) else {"value": value}
    else:
        holder[name] = value
    if match["urn"] and not holder:
        del resource[match["urn"]]


def _apply_members(group: Resource, verb: str, wanted: str | None, value: Any) -> None:
    held = {item["value"]: item for item in group.get("members", [])}
    named = [wanted] if wanted is not None else [item["value"] for item in value or []]
    if verb == "remove":
        held = {} if wanted is None and value is None else {id_: m for id_, m in held.items() if id_ not in named}
    else:
        kept = {} if verb == "replace" else held
        held = {**kept, **{id_: {"value": id_} for id_ in named}}
    group["members"] = list(held.values())


def _remove(holder: Resource, name: str, key: str | None, wanted: str | None, sub: str | None) -> None:
    if not key and not sub:
        holder.pop(name, None)
        return
    held = holder.get(name)
    if key:
        held = next((item for item in held or [] if item.get(key) == wanted), None)
    if sub and isinstance(held, dict):
        held.pop(sub, None)
    elif key:
        holder[name] = [item for item in holder.get(name, []) if item.get(key) != wanted]


def _parsed(path: str) -> re.Match[str]:
    match = PATH.match(path)
    if match is None:
        raise RefusedError("invalidPath", f"'{path}' is not understood")
    return match
