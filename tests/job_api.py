"""A world and the Graph-shaped API in front of it, called without a network by an administrator named root, or
with the key `hr` by one who may only upload."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from joiner.directory.api_keys import ApiKeys, Principal
from joiner.graph.bulk_uploads import BulkUploads
from joiner.graph.endpoint import graph_routes
from joiner.graph.job_actions import JobActions
from joiner.graph.schemas import SchemaRoutes
from joiner.graph.synchronization import Synchronization
from joiner.graph.target_profiles import TargetProfiles
from tests.world import World, opened

HOLDERS = {"Bearer hr": Principal("HR", "uploader")}
"""Who is not an administrator."""


@dataclass
class JobApi:
    """The paths are below `/v1.0`."""

    world: World
    http: httpx.AsyncClient

    @property
    def base(self) -> str:
        """The application's `synchronization` resource."""
        return f"/servicePrincipals/{self.world.principal_id}/synchronization"

    @property
    def job(self) -> str:
        return f"{self.base}/jobs/{self.world.job_id}"

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        answer = await self.http.request(method, path, json=body, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def run(self) -> dict[str, Any]:
        begun = await self.ask("POST", f"{self.job}/joiner.run", status=202)
        await self.world.engine.wait(begun["cycleId"])
        cycle: dict[str, Any] = await self.ask("GET", f"{self.job}/joiner.cycles/{begun['cycleId']}")
        return cycle


@asynccontextmanager
async def opened_api(folder: Path, template: str = "ALVAO") -> AsyncIterator[JobApi]:
    """A world with an application, credentials and a job, and its API."""
    async with opened(folder, template) as world:
        routes = graph_routes(
            world.directory,
            ApiKeys(world.db, world.clock),
            lambda header: HOLDERS.get(header or "", Principal("root", "admin")),
            [
                *Synchronization(world.service, world.directory).routes(),
                *BulkUploads(world.service, world.side.inbound).routes(),
                *JobActions(world.service, world.side.on_demand).routes(),
                *TargetProfiles(world.service, world.directory).routes(),
                *SchemaRoutes(world.service, world.side.schemas).routes(),
            ],
        )
        transport = httpx.ASGITransport(app=Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="https://graph.example/v1.0") as http:
            yield JobApi(world, http)
