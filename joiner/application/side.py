"""The application side as one thing: open it on a file, get its routes, close it."""

from pathlib import Path
from typing import Final, Self

from starlette.routing import BaseRoute, Mount

from joiner.application.admin_endpoint import Authorise, admin_routes
from joiner.application.endpoint import ScimEndpoint
from joiner.application.store import ResourceStore
from joiner.application.tokens import TokenService
from joiner.clock import Clock, system_clock
from joiner.storage.sqlite import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"
SCIM_PREFIXES: Final = ("/scim/v2", "/scim")
"""The same tree under both; the longer one first, because it lies below the other."""


class ApplicationSide:
    """Use `open`. `authorise_admin` judges the Authorization header of `/app/api`."""

    def __init__(self, db: Database, clock: Clock, authorise_admin: Authorise) -> None:
        self._db = db
        self._authorise_admin = authorise_admin
        self.store = ResourceStore(db, clock)
        self.tokens = TokenService(db, clock)

    @classmethod
    def open(cls, path: Path, *, authorise_admin: Authorise, clock: Clock = system_clock) -> Self:
        """Opens, and if need be creates or upgrades, the database at `path`."""
        return cls(Database(path, {"application": MIGRATIONS}), clock, authorise_admin)

    def routes(self) -> list[BaseRoute]:
        """`/scim`, `/scim/v2` and `/app/api`."""
        scim: list[BaseRoute] = [
            Mount(prefix, app=ScimEndpoint(self.store, self.tokens, prefix)) for prefix in SCIM_PREFIXES
        ]
        return [*scim, Mount("/app/api", routes=admin_routes(self.store, self.tokens, self._authorise_admin))]

    def close(self) -> None:
        self._db.close()
