"""Requests of the administration: who may make them, how they are read and answered. Errors are `{"error": text}`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.errors import AlreadyExistsError, InvalidValueError, JoinerError, NotFoundError
from joiner.storage.session import UnavailableError

T = TypeVar("T")

Authorise = Callable[[str | None], bool]
"""Whether an Authorization header has the right to administrate."""
Act = Callable[[Request], Awaitable[tuple[int, Any]]]
"""What a request does: the status and the answer, None for no body."""
Entry = tuple[str, str, Act]
"""Path, method, what it does."""
STATUS_CODES: Final[dict[type[JoinerError], int]] = {
    NotFoundError: 404,
    InvalidValueError: 400,
    AlreadyExistsError: 409,
    UnavailableError: 503,
}
MOST_BYTES: Final = 1024 * 1024


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A request's body; what it does not know is refused by name."""


def guarded_routes(entries: Sequence[Entry], authorise: Authorise) -> list[Route]:
    """Routes that need the administrator's key."""
    return [Route(path, _guarded(act, authorise), methods=[method]) for path, method, act in entries]


async def read_body(request: Request, type_: type[T]) -> T:
    """The JSON body. Raises InvalidValueError."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_BYTES:
            raise InvalidValueError(f"at most {MOST_BYTES} bytes are accepted")
        chunks.append(chunk)
    try:
        return msgspec.json.decode(b"".join(chunks) or b"{}", type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValueError(str(error)) from None


def read_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A whole number of the query, at most `most`. Raises InvalidValueError."""
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        raise InvalidValueError(f"'{name}' must be a whole number, not '{text[:50]}'")
    return min(int(text), most)


def _guarded(act: Act, authorise: Authorise) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        if not authorise(request.headers.get("authorization")):
            return _json(401, {"error": "the administrator's key is required"})
        try:
            status, body = await act(request)
        except JoinerError as error:
            return _json(STATUS_CODES.get(type(error), 400), {"error": str(error)})
        return _json(status, body)

    return respond


def _json(status: int, body: Any) -> Response:
    content = b"" if body is None else orjson.dumps(body)
    return Response(content, status, media_type="application/json" if body is not None else None)
