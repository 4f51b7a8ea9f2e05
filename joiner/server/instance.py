"""One installation at work: its databases opened, its sides put together as one ASGI application.

A side is imported when it is opened: a command that needs one alone would wait longest for importing the other.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from joiner.clock import Clock, system_clock
from joiner.config import Settings
from joiner.directory.api_keys import ApiKeys
from joiner.server.access import Access
from joiner.server.data_folder import DataFolder
from joiner.server.overview import overview
from joiner.storage.sqlite import Database

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from joiner.application.side import ApplicationSide
    from joiner.provisioning.side import ProvisioningSide

Side = Literal["application", "directory"]
SIDES: Final[tuple[Side, ...]] = ("application", "directory")
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PATHS: Final[dict[Side, tuple[str, ...]]] = {
    "application": ("/scim", "/scim/{rest:path}", "/app/{rest:path}", "/oauth/token"),
    "directory": ("/v1.0/{rest:path}", "/beta/{rest:path}"),
}
"""Where a side's routes begin; a side that does not run here says so there."""


class Instance:
    """An asynchronous context manager; `app` answers requests while it is open.

    Cycles run while `working` is entered, and not otherwise: commands that only read and write do without it, and start
    in a fraction of the time.
    """

    def __init__(
        self,
        folder: DataFolder,
        settings: Settings,
        *,
        sides: Sequence[Side] = SIDES,
        clock: Clock = system_clock,
    ) -> None:
        self.folder = folder
        self.sides = tuple(sides)
        self.app: ASGIApp
        self._settings = settings
        self._clock = clock
        self._closing = AsyncExitStack()
        self._directory: Database | None = None
        self._application: ApplicationSide | None = None
        self._provisioning: ProvisioningSide | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            directory = self._open_database(opened) if "directory" in self.sides else None
            api_keys = ApiKeys(directory, self._clock) if directory is not None else None
            access = Access(self.folder.local_key, api_keys)
            routes: list[BaseRoute] = []
            application = await self._open_application(opened, access) if "application" in self.sides else None
            if application is not None:
                routes += application.routes()
            if directory is not None and api_keys is not None:
                routes += self._open_directory(directory, api_keys, access)
            self._directory, self._application = directory, application
            app = Starlette(routes=[*routes, *self._common_routes()])
            self.app = app if application is None else application.in_front_of(app)
            self._closing = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Runs cycles and tells webhooks while the block lasts.

        To be entered when the server listens, and left before it stops: what a crash left behind goes on at once, and a
        cycle may well write into this very server's other side.
        """
        async with AsyncExitStack() as running:
            if self._application is not None:
                await running.enter_async_context(self._application.deliveries)
            if self._provisioning is not None:
                running.push_async_callback(self._provisioning.stop)
                await self._provisioning.start()
            yield

    async def _open_application(self, opened: AsyncExitStack, access: Access) -> "ApplicationSide":
        from joiner.application.side import ApplicationSide

        application = await ApplicationSide.open(
            self._settings.database_url or self.folder.path / "application.db",
            clock=self._clock,
            authorise_admin=access.is_admin,
            secret_key=self.folder.secret_key,
            allow_loopback=self._settings.allow_loopback,
            allow_private=self._settings.allow_private,
            public_url=self._settings.public_url,
            events_kept=timedelta(days=self._settings.events_kept_days),
        )
        opened.push_async_callback(application.close)
        return application

    def _open_database(self, opened: AsyncExitStack) -> Database:
        from joiner.directory import store
        from joiner.provisioning import side

        database = Database(
            self.folder.path / "directory.db", {"directory": store.MIGRATIONS, "provisioning": side.MIGRATIONS}
        )
        opened.callback(database.close)
        return database

    def _open_directory(self, database: Database, api_keys: ApiKeys, access: Access) -> list[BaseRoute]:
        from joiner.directory.store import DirectoryStore
        from joiner.graph.bulk_uploads import BulkUploads
        from joiner.graph.endpoint import graph_routes
        from joiner.graph.explanations import ExplanationRoutes
        from joiner.graph.job_actions import JobActions
        from joiner.graph.plans import PlanRoutes
        from joiner.graph.schemas import SchemaRoutes
        from joiner.graph.synchronization import Synchronization
        from joiner.graph.target_profiles import TargetProfiles
        from joiner.provisioning.side import ProvisioningSide

        store = DirectoryStore(database, self._clock)
        self._provisioning = ProvisioningSide(
            database,
            store,
            engine_path=self.folder.path / "engine.db",
            secret_key=self.folder.secret_key,
            allow_loopback=self._settings.allow_loopback,
            allow_private=self._settings.allow_private,
            clock=self._clock,
            logs_kept=timedelta(days=self._settings.logs_kept_days),
            mail_server=self._settings.mail_server,
            public_url=self._settings.public_url,
        )
        side = self._provisioning
        service = side.service
        routes = [
            *Synchronization(service, store).routes(),
            *BulkUploads(service, side.inbound).routes(),
            *JobActions(service, side.on_demand).routes(),
            *SchemaRoutes(service, side.schemas).routes(),
            *TargetProfiles(service, store).routes(),
            *PlanRoutes(service, side.planning, side.drift_checks, side.schemas).routes(),
            *ExplanationRoutes(service, side.explanations).routes(),
        ]
        return graph_routes(store, api_keys, access.authenticate, routes)

    def _common_routes(self) -> list[BaseRoute]:
        absent = (side for side in SIDES if side not in self.sides)
        return [
            Route("/", self._overview),
            Route("/healthz", _healthz),
            Route("/readyz", self._readyz),
            *(Route(path, _absent(side), methods=METHODS) for side in absent for path in PATHS[side]),
        ]

    async def _overview(self, request: Request) -> Response:
        return overview(request, self.sides)

    async def _readyz(self, _request: Request) -> Response:
        """200 when the databases answer; opening the sides has succeeded if this is reached at all."""
        if self._directory is not None:
            self._directory.reader.execute("SELECT 1").fetchone()
        return JSONResponse({"status": "ready", "sides": self.sides})


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _absent(side: Side) -> Callable[[Request], Awaitable[Response]]:
    """Answers for a side that does not run here, in the shape of its own errors."""

    async def answer(_request: Request) -> Response:
        message = f"The {side} side does not run here."
        return JSONResponse({"error": {"code": "SideNotServed", "message": message}}, 404)

    return answer
