"""Requests taken to pieces that mean the same however they are packed: which object, what of it, which value.

A plan and the cycle that carries it out may pack members into different requests, and know new accounts by different
ids; the facts are the same.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

Fact = str
NEW = re.compile(r"new:(\w+)")
LISTED = re.compile(r'^members\[value eq "(?P<id>[^"]+)"\]$')


def facts(method: str, path: str, body: Any, owners: Mapping[str, str]) -> set[Fact]:
    """`owners`: target id → id of the source object, which takes its place."""
    text = orjson.dumps([path, body]).decode()
    for target_id, source_id in owners.items():
        text = text.replace(target_id, source_id)
    where, told = orjson.loads(NEW.sub(r"\1", text))
    if method == "DELETE":
        return {f"DELETE {where}"}
    if method == "PATCH":
        return {f"{where} {fact}" for operation in told["Operations"] for fact in _of_operation(operation)}
    if method == "POST":
        return {f"POST {where} {told.get('externalId')}"}
    values = {name: value for name, value in told.items() if name not in ("id", "schemas", "meta", "members")}
    members = {f"{where} holds {member['value']}" for member in told.get("members", ())}
    # What is written back is what the target has made of it.
    return {f"{where} {name} = {_text(value)}".casefold() for name, value in values.items()} | members


def _of_operation(operation: Mapping[str, Any]) -> Iterator[Fact]:
    verb, path = operation["op"].lower(), operation.get("path")
    value: Any = operation.get("value")
    if path is None:
        yield from (f"{name} = {_text(item)}" for name, item in value.items())
    elif path == "members":
        yield from (f"{verb} member {item['value']}" for item in value)
    elif listed := LISTED.match(path):
        yield f"{verb} member {listed['id']}"
    else:
        yield f"{path} = {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        # The order of elements, and of the members of a group, means nothing.
        return str(sorted(_text(item) for item in value))
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
