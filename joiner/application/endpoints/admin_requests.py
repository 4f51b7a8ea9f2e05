"""Requests of the administration: who may make them, how they are read and answered. Errors are `{"error": text}`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.application.events.log import EventsRemovedError
from joiner.errors import AlreadyExistsError, InvalidValueError, JoinerError, NotFoundError
from joiner.storage.session import UnavailableError

T = TypeVar("T")

Authorise = Callable[[str | None], bool]
"""Whether an Authorization header has the right to administrate."""
Act = Callable[[Request], Awaitable[tuple[int, Any]]]
"""What a request does: the status and the answer, None for no body."""
Entry = tuple[str, str, Act]
"""Path, method, what it does."""
MOST_BYTES: Final = 1024 * 1024


Days = Annotated[int, msgspec.Meta(ge=1, le=36500)]


class UnauthorisedError(JoinerError):
    """Whoever asks has not shown that they may."""


class RefusedError(JoinerError):
    """Who asks is known, and may not do this."""


class TooLongError(JoinerError):
    """The body is longer than any sensible one."""


STATUS_CODES: Final[dict[type[JoinerError], int]] = {
    UnauthorisedError: 401,
    RefusedError: 403,
    NotFoundError: 404,
    AlreadyExistsError: 409,
    EventsRemovedError: 410,
    TooLongError: 413,
    UnavailableError: 503,
}
"""Others are 400."""


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A request's body; what it does not know is refused by name."""


def routes(entries: Iterable[Entry]) -> list[Route]:
    """Routes whose errors are answered as they should be."""
    return [Route(path, _answering(act), methods=[method]) for path, method, act in entries]


def guarded(entries: Iterable[Entry], authorise: Authorise) -> list[Entry]:
    """The same entries for holders of the administrator's key alone."""

    def with_guard(act: Act) -> Act:
        async def act_if_allowed(request: Request) -> tuple[int, Any]:
            if not authorise(request.headers.get("authorization")):
                raise UnauthorisedError("the administrator's key is required")
            return await act(request)

        return act_if_allowed

    return [(path, method, with_guard(act)) for path, method, act in entries]


async def read_body(request: Request, type_: type[T]) -> T:
    """The JSON body. Raises InvalidValueError, TooLongError."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_BYTES:
            raise TooLongError(f"at most {MOST_BYTES} bytes are accepted")
        chunks.append(chunk)
    content = b"".join(chunks)
    if rb"\u0000" in content:
        raise InvalidValueError("a text contains a NUL character")
    try:
        return msgspec.json.decode(content or b"{}", type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValueError(str(error)) from None


def lifetime(days: Days | None) -> timedelta | None:
    """How long something is valid; None: without end."""
    return None if days is None else timedelta(days=days)


def read_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A whole number of the query; `most` for a greater one. Raises InvalidValueError."""
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        raise InvalidValueError(f"'{name}' must be a whole number, not '{text[:50]}'")
    return min(int(text), most)


def _answering(act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        try:
            if "\x00" in request.scope["path"] or "%00" in request.url.query:
                raise NotFoundError("there is nothing of that name")
            status, body = await act(request)
        except JoinerError as error:
            return _json(STATUS_CODES.get(type(error), 400), {"error": str(error)})
        return _json(status, body)

    return respond


def _json(status: int, body: Any) -> Response:
    content = b"" if body is None else orjson.dumps(body)
    return Response(content, status, media_type="application/json" if body is not None else None)
