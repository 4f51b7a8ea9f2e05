"""One application on one socket: uvicorn, ready when it says so, stopped gracefully."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from joiner.config import Settings, is_loopback
from joiner.errors import InvalidStateError
from joiner.server.memory import SECONDS_BETWEEN, give_back
from joiner.server.protocol import LimitedProtocol

BACKLOG: Final = 2048
SECONDS_TO_FINISH: Final = 10
"""How long requests under way may take after the order to stop."""
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to us and says when it accepts requests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def listening(app: ASGIApp, settings: Settings) -> AsyncIterator[str]:
    """Serves the application while the block lasts; yields its URL for clients on this machine.

    Port 0 takes a free one. Raises InvalidStateError if the address cannot be listened on.
    """
    host = settings.host
    bound = _bind(host, settings.port)
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
        timeout_notify=SECONDS_BETWEEN,
        callback_notify=give_back,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    server = Server(config)
    _calm_collector()
    serving = asyncio.create_task(server.serve([bound]), name="http server")
    ready = asyncio.create_task(server.ready.wait())
    await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    try:
        if serving.done():
            raise InvalidStateError("the server could not be started") from serving.exception()
        yield _url("https" if settings.tls_certificate else "http", host, bound)
    finally:
        server.should_exit = True
        await serving
        bound.close()


async def stop_signal() -> signal.Signals:
    """Returns when the process is told to stop; a second signal then ends it the usual way."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, told.set_result, number)
    try:
        return await told
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _calm_collector() -> None:
    """What was imported stays; requests leave few cycles behind. Looking for them after every 700 objects costs a
    twentieth of the processor time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(BACKLOG)
            bound.setblocking(False)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidStateError(f"port {port} of {host} is taken; choose another one with --port") from None
        raise InvalidStateError(f"cannot listen on port {port} of {host}: {error.strerror or error}") from None
    return bound


def _url(scheme: str, host: str, bound: socket.socket) -> str:
    """Where clients on this machine find it: a server on all addresses is found on loopback too."""
    name, port = bound.getsockname()[:2]
    if name in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        name = "127.0.0.1" if bound.family == socket.AF_INET else "::1"
    elif not is_loopback(host):
        name = host.strip("[]")
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
