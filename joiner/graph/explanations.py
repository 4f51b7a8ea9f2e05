"""`…/synchronization/jobs/{id}/joiner.explain`: why somebody is, or is not, provisioned. Our own action."""

from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.errors import InvalidValueError
from joiner.graph.errors import GraphError
from joiner.graph.http import endpoint, json_response, option
from joiner.provisioning.administration.service import ProvisioningService
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.explanation.explain import Explanations

FLAGS: Final = {None: False, "false": False, "true": True}


class ExplanationRoutes:
    """The routes over the explanations of one service."""

    def __init__(self, service: ProvisioningService, explanations: Explanations) -> None:
        self._service = service
        self._explanations = explanations

    def routes(self, prefix: str = "/servicePrincipals/{sp}/synchronization") -> list[Route]:
        path = f"{prefix}/jobs/{{job}}/joiner.explain/{{type}}/{{object}}"
        return [endpoint(path, self.explain, "GET")]

    async def explain(self, request: Request) -> Response:
        """`User` or `Group`, and the object's id; `$live=true` asks the application, which only administrators may."""
        kind, live = request.path_params["type"].capitalize(), option(request, "$live")
        if kind not in ("User", "Group"):
            raise InvalidValueError(f"'{request.path_params['type']}' must be User or Group")
        if live not in FLAGS:
            raise InvalidValueError("$live must be true or false")
        if FLAGS[live] and request.state.principal.role != "admin":
            raise GraphError(403, "Authorization_RequestDenied", "Only administrators may have the application asked.")
        job = self._service.job(request.path_params["sp"], request.path_params["job"])
        told = await self._explanations.explain(
            job, cast(ObjectType, kind), request.path_params["object"], live=FLAGS[live]
        )
        return json_response(request, told)
