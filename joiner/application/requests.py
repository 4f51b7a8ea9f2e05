"""HTTP requests as the endpoint needs them: the body within its limit, the query decoded, the base URL as the client
sees it. One lean layer over ASGI, because every request passes here."""

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidSyntaxError,
    NotAcceptableError,
    TooLargeError,
    UnsupportedMediaTypeError,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_BYTES: Final = 1024 * 1024
DEEPEST_JSON: Final = 64
JSON_TYPES: Final = ("application/scim+json", "application/json", "text/json")
SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ScimRequest:
    """One request, read."""

    method: str
    path: str
    """Behind the base, for example `/Users/2819`; without doubled or trailing slashes."""
    query: dict[str, str]
    """Names lower-cased; the last of repeated ones."""
    headers: dict[str, str]
    base_url: str
    body: bytes

    def json(self) -> Any:
        """The parsed body. Raises InvalidSyntaxError, or InvalidAttributeError for lone surrogates (REQ-S-342)."""
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type and content_type not in JSON_TYPES:
            raise UnsupportedMediaTypeError(f"'{content_type}' is not accepted; send application/scim+json")
        try:
            parsed = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            if _has_surrogates(self.body):
                raise InvalidAttributeError("a text contains half of a surrogate pair") from None
            raise InvalidSyntaxError(f"the body is not JSON: {error}") from None
        if not isinstance(parsed, dict):
            raise InvalidSyntaxError("the body must be a JSON object")
        if self.body.count(b"{") + self.body.count(b"[") > DEEPEST_JSON:
            _check_depth(parsed, DEEPEST_JSON)
        return parsed


async def read_request(scope: Scope, receive: Receive, prefix: str) -> ScimRequest:
    """Raises TooLargeError before the body is read whole, NotAcceptableError."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    accept = headers.get("accept", "")
    if accept and not any(kind in accept for kind in ("json", "*/*", "application/*")):
        raise NotAcceptableError("answers are application/scim+json")
    raw_query = scope.get("query_string", b"").decode("utf-8", "replace")
    query = {name.lower(): value for name, value in parse_qsl(raw_query, keep_blank_values=True, errors="replace")}
    host = headers.get("host") or "{}:{}".format(*(scope.get("server") or ("localhost", 80)))
    path: str = scope["path"]
    root = scope.get("root_path", "")
    if root and path.startswith(root):
        path = path[len(root) :]
    return ScimRequest(
        method=scope["method"],
        path=re.sub(r"/{2,}", "/", "/" + path).rstrip("/"),
        query=query,
        headers=headers,
        base_url=f"{scope.get('scheme', 'http')}://{host}{prefix}",
        body=await _read_body(headers, receive),
    )


async def _read_body(headers: dict[str, str], receive: Receive) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        raise TooLargeError(f"the body has {declared} bytes; at most {MOST_BYTES} are accepted")
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidSyntaxError("the client went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MOST_BYTES:
            raise TooLargeError(f"at most {MOST_BYTES} bytes are accepted")
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _has_surrogates(body: bytes) -> bool:
    try:
        return SURROGATE.search(json.dumps(json.loads(body), ensure_ascii=False)) is not None
    except (ValueError, RecursionError):
        return False


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        raise InvalidSyntaxError(f"the body is nested deeper than {DEEPEST_JSON} levels")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        if isinstance(item, (dict, list)):
            _check_depth(item, left - 1)
