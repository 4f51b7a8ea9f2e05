"""HTTP requests as the endpoint needs them: the body within its limit, the query decoded, the base URL as the client
sees it. One lean layer over ASGI, because every request passes here."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from joiner.application.resources.render import Base
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidSyntaxError,
    InvalidVersionError,
    NotAcceptableError,
    TooLargeError,
    UnsupportedMediaTypeError,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_BYTES: Final = 1024 * 1024
MOST_BULK_BYTES: Final = 16 * 1024 * 1024
"""Also for a PATCH or PUT of a group, which may name a hundred thousand members."""
DEEPEST_JSON: Final = 64
JSON_TYPES: Final = ("application/scim+json", "application/json", "text/json")
SURROGATE: Final = re.compile("[\ud800-\udfff]")
VERSION: Final = re.compile(r"/v(\d+)(?=/|$)", re.IGNORECASE)
HOST: Final = re.compile(rb"([A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
"""What a Host header may say: it becomes the beginning of locations (RFC 9110 §7.2)."""
ONCE: Final = frozenset({b"host", b"authorization", b"content-type"})
"""Headers of which a second one would be taken for the first by somebody on the way (RFC 9112 §3.2, RFC 6750 §3.1)."""
MOST_BASES: Final = 1000

_BASES: Final[dict[tuple[str | None, str, bytes, str], Base]] = {}


class ScimRequest:
    """One request. The body is read when it is asked for."""

    __slots__ = ("_receive", "_scope", "base", "headers", "method", "path")

    def __init__(self, scope: Scope, receive: Receive, public_url: str | None = None) -> None:
        """`public_url` is where clients reach the server, if that is not what the request says.

        Raises InvalidVersionError, InvalidSyntaxError for headers that could mean several things.
        """
        self._scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """Names in lower case."""
        if len(self.headers) != len(scope["headers"]):
            self.headers = _combined(scope["headers"])
        root: str = scope.get("root_path", "")
        path: str = scope["path"]
        if root and path.startswith(root):
            path = path[len(root) :]
        version = VERSION.match(path)
        if version is not None:
            if version[1] != "2":
                raise InvalidVersionError(f"version {version[1][:10]} of the protocol is not spoken here; use v2")
            root, path = root + version[0], path[version.end() :]
        self.path = path
        """Behind the base, for example `/Users/2819`."""
        self.base = self._base(root, public_url)

    def check_accept(self) -> None:
        """Raises NotAcceptableError if the client does not take JSON (REQ-S-042)."""
        accept = self.headers.get(b"accept")
        if accept and b"*/*" not in accept and b"json" not in accept and b"application/*" not in accept:
            raise NotAcceptableError("answers are application/scim+json")

    def check_media_type(self) -> None:
        """Raises UnsupportedMediaTypeError for what only the lenient profile takes for JSON (T24)."""
        if self.headers.get(b"content-type", b"").strip().lower().startswith(b"text/json"):
            raise UnsupportedMediaTypeError("'text/json' is not accepted; send application/scim+json")

    @property
    def query(self) -> dict[str, str]:
        """Names in lower case; the last of repeated ones. `+` and `%20` are blanks (REQ-S-050)."""
        raw: bytes = self._scope.get("query_string", b"")
        if not raw:
            return {}
        found = {}
        for part in raw.split(b"&"):
            name, _, value = part.partition(b"=")
            found[_decoded(name).lower()] = _decoded(value)
        return found

    def header(self, name: bytes) -> str | None:
        """A header by its lower-cased name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, most_bytes: int = MOST_BYTES) -> bytes:
        """Raises TooLargeError before more than `most_bytes` are read (REQ-S-054)."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 15 or int(declared) > most_bytes):
            raise TooLargeError(f"the body has {declared[:20].decode()} bytes; at most {most_bytes} are accepted")
        message = await self._receive()
        first: bytes = message.get("body", b"")
        if not message.get("more_body", False) and len(first) <= most_bytes:
            if message["type"] == "http.disconnect":
                raise InvalidSyntaxError("the client went away")
            return first
        chunks, size = [first], len(first)
        while message.get("more_body", False) and size <= most_bytes:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidSyntaxError("the client went away")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if size > most_bytes:
            raise TooLargeError(f"at most {most_bytes} bytes are accepted")
        return b"".join(chunks)

    async def json(self, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
        """The parsed body, an object. Raises UnsupportedMediaTypeError, TooLargeError, InvalidSyntaxError, and
        InvalidAttributeError for lone surrogates (REQ-S-342)."""
        content_type = self.headers.get(b"content-type", b"")
        if content_type and content_type != b"application/scim+json":
            kind = content_type.decode("latin-1").partition(";")[0].strip().lower()
            if kind and kind not in JSON_TYPES:
                raise UnsupportedMediaTypeError(f"'{kind[:100]}' is not accepted; send application/scim+json")
        coding = self.headers.get(b"content-encoding", b"identity").decode("latin-1").strip()
        if coding.lower() not in ("identity", ""):
            raise UnsupportedMediaTypeError(f"a body in the coding '{coding[:100]}' is not accepted; send it as it is")
        return parse_json(await self.body(most_bytes))

    def _base(self, root: str, public_url: str | None) -> Base:
        host = self.headers.get(b"host") or self._server()
        said = (public_url, self._scope.get("scheme", "http"), host, root)
        base = _BASES.get(said)
        if base is None:
            if public_url is None and not HOST.fullmatch(host):
                raise InvalidSyntaxError("the Host header does not name a host")
            origin = f"{said[1]}://{host.decode()}" if public_url is None else public_url.rstrip("/")
            if len(_BASES) >= MOST_BASES:
                _BASES.clear()
            base = _BASES[said] = Base(f"{origin}{root}")
        return base

    def _server(self) -> bytes:
        """The address that the client has connected to, where it has not said what it calls it."""
        address, port = self._scope.get("server") or ("localhost", 80)
        return (f"[{address}]:{port}" if ":" in address else f"{address}:{port}").encode()


def _decoded(text: bytes) -> str:
    if b"%" in text:
        text = unquote_to_bytes(text.replace(b"+", b" "))
    elif b"+" in text:
        text = text.replace(b"+", b" ")
    return text.decode("utf-8", "replace")


def _combined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Repeated headers as one that lists their values (RFC 9110 §5.3). Raises InvalidSyntaxError for those that cannot
    be lists."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in found:
            found[name] = value
        elif name in ONCE:
            raise InvalidSyntaxError(f"the header {name.decode()} is there more than once")
        else:
            found[name] += b", " + value
    return found


def parse_json(body: bytes) -> dict[str, Any]:
    """The object that a body holds. Raises InvalidSyntaxError, InvalidAttributeError."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if _has_surrogates(body):
            raise InvalidAttributeError("a text contains half of a surrogate pair") from None
        raise InvalidSyntaxError(f"the body is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise InvalidSyntaxError("the body must be a JSON object")
    if body.count(b"{") + body.count(b"[") > DEEPEST_JSON:
        _check_depth(parsed, DEEPEST_JSON - 1)
    return parsed


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
