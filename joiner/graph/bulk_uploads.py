"""`…/synchronization/jobs/{id}/bulkUpload`: people of a system of record come in (Graph API §10.12, REQ-C-036)."""

from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.graph.errors import GraphError
from joiner.graph.http import base_url, body_text, endpoint
from joiner.ids import new_id
from joiner.provisioning.administration.service import ProvisioningService
from joiner.provisioning.inbound.messages import MOST_BYTES, UploadError
from joiner.provisioning.inbound.service import Inbound

MEDIA_TYPE: Final = "application/scim+json"


class BulkUploads:
    """The route over one service."""

    def __init__(self, service: ProvisioningService, inbound: Inbound) -> None:
        self._service = service
        self._inbound = inbound

    def routes(self, prefix: str = "/servicePrincipals/{sp}/synchronization") -> list[Route]:
        return [endpoint(f"{prefix}/jobs/{{job}}/bulkUpload", self.upload, "POST", for_uploaders=True)]

    async def upload(self, request: Request) -> Response:
        """202 once the upload is durable; the log under Location tells what becomes of it."""
        job = self._service.job(request.path_params["sp"], request.path_params["job"])
        given = request.headers.get("content-type", "")
        if given.partition(";")[0].strip().lower() != MEDIA_TYPE:
            told = f"not {given}" if given else "and is missing"
            raise GraphError(400, "BadRequest", f"The Content-Type must be {MEDIA_TYPE}, {told}.")
        content = await body_text(request, MOST_BYTES)
        try:
            await self._inbound.upload(job, content)
        except UploadError as error:
            details = [
                {"code": "InvalidOperation", "target": place, "message": f"{place} {told}".strip()}
                for place, told in error.problems
            ]
            raise GraphError(400, "BadRequest", f"Nothing of the upload was kept: {error}", details) from None
        condition = quote(f"jobid eq '{job.id}'", safe="'")
        log = f"{base_url(request)}/auditLogs/provisioning/?$filter={condition}"
        headers = {"Location": log, "request-id": new_id(), "OData-Version": "4.0"}
        return Response(status_code=202, headers=headers)
