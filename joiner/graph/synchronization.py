"""`/servicePrincipals/{id}/synchronization`: templates, secrets, jobs and their schemas. What is done with jobs is in
`job_actions`."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.directory.store import DirectoryStore
from joiner.errors import ForbiddenTargetError, InvalidValueError
from joiner.graph.actors import actor_of
from joiner.graph.errors import GraphError
from joiner.graph.http import collection, denied, endpoint, is_uploader, json_body, json_response, no_content
from joiner.graph.target_profiles import shown_checks
from joiner.provisioning.administration.service import ProvisioningService
from joiner.provisioning.cycle.connection_check import ConnectionTestError
from joiner.provisioning.job import provisioning_mode
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.templates import Template, source_of

WORDS: Final = {"passed": "passed", "notTried": "not tried"}


class Synchronization:
    """The routes over one service."""

    def __init__(self, service: ProvisioningService, directory: DirectoryStore) -> None:
        self._service = service
        self._directory = directory

    def routes(self, prefix: str = "/servicePrincipals/{sp}/synchronization") -> list[Route]:
        job = f"{prefix}/jobs/{{job}}"
        table = (
            (prefix, self.container, "GET"),
            (f"{prefix}/templates", self.templates, "GET"),
            (f"{prefix}/templates/{{template}}", self.template, "GET"),
            (f"{prefix}/secrets", self.get_secrets, "GET"),
            (f"{prefix}/secrets", self.put_secrets, "PUT"),
            (f"{prefix}/joiner.provisioningMode", self.get_mode, "GET"),
            (f"{prefix}/joiner.provisioningMode", self.put_mode, "PUT"),
            (f"{prefix}/jobs", self.list_jobs, "GET"),
            (f"{prefix}/jobs", self.create_job, "POST"),
            (f"{prefix}/jobs/validateCredentials", self.validate_credentials, "POST"),
            (job, self.delete_job, "DELETE"),
            (f"{job}/validateCredentials", self.validate_credentials, "POST"),
        )
        return [
            *(endpoint(path, function, method) for path, function, method in table),
            endpoint(job, self.get_job, "GET", for_uploaders=True),
        ]

    # Templates

    async def container(self, request: Request) -> Response:
        principal_id = self._principal_id(request)
        return json_response(request, {"id": principal_id, "secrets": self._secrets(principal_id)})

    async def templates(self, request: Request) -> Response:
        principal_id = self._principal_id(request)
        return collection(request, [self._template(principal_id, t) for t in self._service.templates(principal_id)])

    async def template(self, request: Request) -> Response:
        principal_id = self._principal_id(request)
        return json_response(request, self._template(principal_id, self._named_template(request)))

    # Secrets

    async def get_secrets(self, request: Request) -> Response:
        return json_response(request, {"value": self._secrets(self._principal_id(request))})

    async def put_secrets(self, request: Request) -> Response:
        principal_id = self._principal_id(request)
        body = await json_body(request)
        pairs = _pairs(body.get("value", body.get("credentials")), "value")
        # Graph itself tests when it is asked to, by another request; its clients may save before the target runs.
        if request.query_params.get("joiner.test", "false").lower() == "true":
            try:
                await self._service.connections.save_credentials(principal_id, pairs, actor_of(request))
            except ConnectionTestError as error:
                raise _refused_connection(error) from None
        else:
            await self._service.connections.put_credentials(principal_id, pairs, actor_of(request))
        return no_content(request)

    async def validate_credentials(self, request: Request) -> Response:
        """204 when the target accepts the credentials, 400 with the reason in words when it does not."""
        principal_id = self._principal_id(request)
        body = await json_body(request)
        if "job" in request.path_params:
            template_id = self._job(request).template_id
        else:
            template_id = str(body.get("templateId") or self._service.templates(principal_id)[0].id)
        saved = body.get("useSavedCredentials") is True
        pairs = None if saved else _pairs(body.get("credentials"), "credentials")
        try:
            await self._service.connections.validate_credentials(principal_id, template_id, pairs)
        except ConnectionTestError as error:
            raise _refused_connection(error) from None
        except (InvalidValueError, ForbiddenTargetError) as error:
            raise GraphError(400, "CredentialsValidationFailed", str(error)) from None
        return no_content(request)

    # The provisioning mode, which Graph has no resource for: the portal shows it

    async def get_mode(self, request: Request) -> Response:
        mode = self._service.provisioning_mode(self._principal_id(request))
        return json_response(request, {provisioning_mode.NAME: mode})

    async def put_mode(self, request: Request) -> Response:
        principal_id = self._principal_id(request)
        mode = provisioning_mode.checked_mode((await json_body(request)).get(provisioning_mode.NAME))
        await self._service.set_provisioning_mode(principal_id, mode, actor_of(request))
        return no_content(request)

    # Jobs

    async def list_jobs(self, request: Request) -> Response:
        jobs = self._service.jobs(self._principal_id(request))
        return collection(request, [self._service.job_document(job) for job in jobs])

    async def create_job(self, request: Request) -> Response:
        principal_id = self._principal_id(request)
        template_id = (await json_body(request)).get("templateId")
        if not isinstance(template_id, str):
            raise InvalidValueError("templateId is required")
        job = await self._service.create_job(principal_id, template_id, actor_of(request))
        return json_response(request, self._service.job_document(job), 201)

    async def get_job(self, request: Request) -> Response:
        job = self._job(request)
        if is_uploader(request) and source_of(job.template_id) != "uploads":
            raise denied()
        return json_response(request, self._service.job_document(job))

    async def delete_job(self, request: Request) -> Response:
        await self._service.delete_job(self._job(request).id, actor_of(request))
        return no_content(request)

    # Parts

    def _principal_id(self, request: Request) -> str:
        """Raises NotFoundError."""
        return self._directory.service_principal(request.path_params["sp"]).id

    def _job(self, request: Request) -> Job:
        """Raises NotFoundError."""
        return self._service.job(request.path_params["sp"], request.path_params["job"])

    def _named_template(self, request: Request) -> Template:
        return self._service.template(self._principal_id(request), request.path_params["template"])

    def _template(self, principal_id: str, template: Template) -> dict[str, Any]:
        return {
            "id": template.id,
            "factoryTag": template.factory_tag,
            "applicationId": self._directory.service_principal(principal_id).app_id,
            "default": template.default,
            "discoverable": True,
            "description": template.description,
            "metadata": [{"key": "IsSynchronizationInPreview", "value": "False"}],
        }

    def _secrets(self, principal_id: str) -> list[dict[str, str]]:
        return [
            {"key": key, "value": value} for key, value in self._service.connections.credentials(principal_id).items()
        ]


def _refused_connection(error: ConnectionTestError) -> GraphError:
    """The answer with every check, those that passed as well."""
    details = [
        {
            "code": check["result"],
            "target": check["name"],
            "message": f"{check['name']}: {check.get('message') or WORDS[check['result']]}",
        }
        for check in shown_checks(error.results)
    ]
    return GraphError(400, "CredentialsValidationFailed", str(error), details)


def _pairs(items: Any, name: str) -> list[tuple[str, str | None]]:
    """The `{key, value}` pairs of a request. Raises InvalidValueError naming the one that is wrong."""
    if not isinstance(items, list):
        raise InvalidValueError(f"'{name}' must be a list of key and value pairs")
    pairs: list[tuple[str, str | None]] = []
    for number, item in enumerate(items):
        if not isinstance(item, Mapping) or not isinstance(item.get("key"), str):
            raise InvalidValueError(f"{name}[{number}] has no key")
        if not isinstance(item.get("value"), str | None):
            raise InvalidValueError(f"{name}[{number}].value must be text")
        pairs.append((item["key"], item.get("value")))
    return pairs
