"""The one client of every command: over HTTP when a server runs, in this process when none does.

Commands do not know which. What is slow to import is imported where it is used: `joiner --help` needs none of it.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from joiner.config import is_loopback, settings_of
from joiner.errors import DataFolderInUseError, InvalidValueError, JoinerError

if TYPE_CHECKING:
    import ssl

    import httpx

    from joiner.server.instance import Side

PATIENCE: Final = 10.0
"""Seconds that a command waits for another one, or for a server that is just starting, to let it in."""
LOOK_AGAIN: Final = 0.05
CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 300.0
FILES_SECONDS: Final = 4 * 3600.0
"""An import of a large directory is one request."""
CHUNK: Final = 1 << 16
UNAUTHORIZED: Final = 401
IN_PROCESS: Final = "http://joiner.invalid"
"""The address of an application that is called without a network; it appears in links that only we follow."""


class DetailedError(JoinerError):
    """Several things are wrong: the text says that, `details` name them, a line each."""

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class ApiError(DetailedError):
    """The API refused; the text is its own."""

    def __init__(self, status: int, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message, details)
        self.status = status
        self.retry_after: float | None = None
        """Seconds after which the server wants to be asked again; None: it does not say."""


class Target(msgspec.Struct, frozen=True):
    """What a command works on: an embedded data folder, or a server elsewhere and the key for it."""

    data: Path = Path()
    url: str = ""
    api_key: str = ""


class Client:
    """Requests with their errors as `ApiError`, answers as parsed JSON."""

    def __init__(self, http: "httpx.AsyncClient", origin: str) -> None:
        self._http = http
        self.origin = origin
        """The server's address without a slash at its end."""

    @property
    def is_remote(self) -> bool:
        """A server answers, which others use too and which goes on when this command has ended."""
        return self.origin != IN_PROCESS

    async def get(self, path: str, **query: str) -> Any:
        """`query`: options by name without `$`, for example `filter="displayName eq 'x'"`."""
        return await self._call("GET", path, params={f"${name}": value for name, value in query.items()})

    async def get_raw(self, path: str) -> bytes:
        """The answer as it came, for documents in which nothing may be lost."""
        return await self._send("GET", path)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self._call("POST", path, body)

    async def post_raw(self, path: str, content: bytes, media_type: str = "application/json") -> Any:
        """As `post`, with a body that is JSON already."""
        return _parsed(await self._send("POST", path, content, headers={"Content-Type": media_type}))

    async def post_files(self, path: str, files: Sequence[BinaryIO], query: dict[str, str]) -> Any:
        """As `post`, with files one behind the other, read as they are sent."""
        sizes = (os.fstat(file.fileno()).st_size for file in files)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(sum(sizes))}
        return _parsed(await self._send("POST", path, _chunks(files), query, headers, FILES_SECONDS))

    async def put_raw(self, path: str, content: bytes) -> None:
        await self._send("PUT", path, content)

    async def put(self, path: str, body: Any) -> Any:
        return await self._call("PUT", path, body)

    async def patch(self, path: str, body: Any) -> Any:
        return await self._call("PATCH", path, body)

    async def delete(self, path: str) -> None:
        await self._call("DELETE", path)

    async def scim_query(self, endpoint: str, **query: str) -> Any:
        """A ListResponse of the SCIM endpoint (RFC 7644 §3.4.2); the client's key must be a secret token."""
        return await self._call("GET", f"/scim/{endpoint}", params=query)

    async def items(self, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """The items of a collection, page after page."""
        page = await self.get(path, **query)
        while True:
            for item in page["value"]:
                yield item
            link = page.get("@odata.nextLink")
            if not link:
                return
            page = await self._call("GET", link)

    async def every(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All items of a collection."""
        return [item async for item in self.items(path, **query)]

    async def _call(self, method: str, path: str, body: Any = None, params: dict[str, str] | None = None) -> Any:
        import orjson

        return _parsed(await self._send(method, path, None if body is None else orjson.dumps(body), params))

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | AsyncIterator[bytes] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> bytes:
        import httpx

        if headers is None:
            headers = {} if content is None else {"Content-Type": "application/json"}
        patience = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            answer = await self._http.request(
                method, path, content=content, params=params, headers=headers, timeout=patience
            )
        except httpx.TimeoutException:
            raise ApiError(0, f"the server at {self.origin} did not answer in time") from None
        except httpx.HTTPError as error:
            raise ApiError(0, f"the server at {self.origin} cannot be reached: {error}") from None
        if answer.is_success:
            return answer.content
        refusal = _refusal(answer.status_code, answer.content)
        if answer.status_code == UNAUTHORIZED:
            refusal = ApiError(UNAUTHORIZED, f"the server at {self.origin} does not accept the key: {refusal}")
        wanted = answer.headers.get("retry-after", "")
        refusal.retry_after = float(wanted) if wanted.isdecimal() else None
        raise refusal


@asynccontextmanager
async def connect(
    target: Target, *, sides: "Sequence[Side]", engine: bool = False, creates: bool = False
) -> AsyncIterator[Client]:
    """A client for the target. Without a server on a data folder, these sides of it are opened in this process.

    `engine`: cycles must be able to run. `creates`: a folder that does not exist is made. Raises InvalidValueError if
    the target cannot be used, DataFolderInUseError if another process does not let go of it.
    """
    from joiner.server.data_folder import DataFolder, find_server, read_local_key

    if target.url:
        async with remote(target.url, target.api_key) as client:
            yield client
        return
    if not creates and not target.data.is_dir():
        raise InvalidValueError(f"there is no data folder {target.data}")
    end = time.monotonic() + PATIENCE
    while True:
        address = find_server(target.data)
        if address is not None:
            async with remote(address.url, read_local_key(target.data), address.certificate) as client:
                yield client
            return
        try:
            folder = DataFolder.open(target.data)
            break
        except DataFolderInUseError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(LOOK_AGAIN)
    try:
        async with _in_process(folder, sides, engine) as client:
            yield client
    finally:
        folder.close()


@asynccontextmanager
async def remote(url: str, key: str, certificate: str | None = None) -> AsyncIterator[Client]:
    """A client of the server at the URL, with a bearer key. `certificate`: the file with the one that it must show,
    whatever name that is made out to."""
    import httpx

    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise InvalidValueError(f"'{url}' is not the address of a server; it looks like https://joiner.example.com")
    if not (key.isascii() and key.isprintable()):
        raise InvalidValueError("the API key has a character in it that no key has")
    origin = url.rstrip("/")
    # A proxy for the world outside cannot reach this machine's loopback.
    async with httpx.AsyncClient(
        base_url=origin,
        headers={"Authorization": f"Bearer {key}"},
        trust_env=not is_loopback(address.host),
        verify=True if certificate is None else _only(certificate),
    ) as http:
        yield Client(http, origin)


def _only(certificate: str) -> "ssl.SSLContext":
    import ssl

    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@asynccontextmanager
async def _in_process(folder: Any, sides: "Sequence[Side]", engine: bool) -> AsyncIterator[Client]:
    import httpx

    from joiner.server.instance import Instance
    from joiner.server.logs import configure_logging

    settings = settings_of(folder.path)
    # Only what an administrator must see: standard output and error belong to the command.
    configure_logging("debug" if settings.log_level == "debug" else "warning")
    async with (
        Instance(folder, settings, sides=sides) as instance,
        instance.working() if engine else nullcontext(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(instance.app),
            base_url=IN_PROCESS,
            headers={"Authorization": f"Bearer {folder.local_key}"},
        ) as http,
    ):
        yield Client(http, IN_PROCESS)


async def _chunks(files: Sequence[BinaryIO]) -> AsyncIterator[bytes]:
    for file in files:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


def _parsed(content: bytes) -> Any:
    import orjson

    return orjson.loads(content) if content else None


def _refusal(status: int, content: bytes) -> ApiError:
    """The error in Graph's shape (`{"error": {"message", "details"}}`) or the application's (`{"error": text}`)."""
    import orjson

    try:
        error = orjson.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return ApiError(status, f"the server answered with status {status}")
    if isinstance(error, str):
        return ApiError(status, error)
    details = [str(detail.get("message")) for detail in error.get("details") or ()]
    return ApiError(status, str(error.get("message") or f"status {status}"), details)
