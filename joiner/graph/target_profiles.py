"""What a job's target can do, and Test Connection check by check: `joiner.profile`, `joiner.probe`,
`joiner.testConnection`. Graph has no routes for these."""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.directory.store import DirectoryStore
from joiner.graph.http import endpoint, json_body, json_response
from joiner.provisioning.administration.service import ProvisioningService
from joiner.provisioning.client.profile import parse_profile, profile_document
from joiner.provisioning.cycle.connection_check import CheckResult
from joiner.provisioning.job.jobs import Job


class TargetProfiles:
    """The routes over one service."""

    def __init__(self, service: ProvisioningService, directory: DirectoryStore) -> None:
        self._service = service
        self._directory = directory

    def routes(self, prefix: str = "/servicePrincipals/{sp}/synchronization") -> list[Route]:
        job = f"{prefix}/jobs/{{job}}"
        table = (
            (f"{job}/joiner.profile", self.get_profile, "GET"),
            (f"{job}/joiner.profile", self.change_profile, "PATCH"),
            (f"{job}/joiner.probe", self.probe, "POST"),
            (f"{prefix}/joiner.testConnection", self.test_connection, "POST"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    async def get_profile(self, request: Request) -> Response:
        """Every member, with what differs from the defaults under `changed`."""
        return json_response(request, _document(self._job(request)))

    async def change_profile(self, request: Request) -> Response:
        """The members of the body are set, null sets the default; the others stay."""
        job = await self._service.connections.change_profile(self._job(request).id, await json_body(request))
        return json_response(request, _document(job))

    async def probe(self, request: Request) -> Response:
        """Tries the target out. `keep`: false only reports; otherwise the profile becomes what was found."""
        job, body = self._job(request), await json_body(request)
        report = await self._service.connections.probe_profile(job.id)
        if body.get("keep") is not False:
            job = await self._service.connections.change_profile(job.id, report.changes)
        findings = msgspec.to_builtins(report)
        return json_response(request, {**findings, "changes": report.changes, "profile": _document(job)})

    async def test_connection(self, request: Request) -> Response:
        """The stored credentials, each check with its result; 200 whatever they are."""
        principal = self._directory.service_principal(request.path_params["sp"])
        template = self._service.templates(principal.id)[0]
        results = await self._service.connections.test_connection(principal.id, template.id, None)
        return json_response(request, {"checks": shown_checks(results)})

    def _job(self, request: Request) -> Job:
        """Raises NotFoundError."""
        return self._service.job(request.path_params["sp"], request.path_params["job"])


def shown_checks(results: Sequence[CheckResult]) -> list[dict[str, Any]]:
    """Name and result of each check: `passed`, `failed` with its message, `notTried`."""
    return [
        {
            "name": result.name,
            "result": "failed" if result.problem else "passed" if result.is_done else "notTried",
            **({"message": result.problem} if result.problem else {}),
        }
        for result in results
    ]


def _document(job: Job) -> dict[str, Any]:
    return {**profile_document(parse_profile(job.profile)), "changed": sorted(job.profile)}
