"""`…/synchronization/jobs/{id}/joiner.plans`: what a cycle would do, and carrying out exactly that. Our own actions."""

import re
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.errors import InvalidValueError
from joiner.graph.actors import actor_of
from joiner.graph.http import collection, endpoint, json_body, json_response, no_content, option, page_size
from joiner.graph.schemas import sent_document
from joiner.provisioning.administration.schemas import Schemas
from joiner.provisioning.administration.service import ProvisioningService
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.planning.drift_checks import DriftChecks
from joiner.provisioning.planning.overlay import Variation
from joiner.provisioning.planning.service import Planning, plan_document

KINDS: Final[Mapping[str | None, bool | None]] = {None: None, "initial": True, "incremental": False}
SCOPES: Final[Mapping[str | None, bool | None]] = {None: None, "all": True, "assigned": False}
ONE_ACTION: Final = re.compile(r"\s*action\s+eq\s+'([a-z]+)'\s*")
NUMBER: Final = re.compile(r"[0-9]{1,9}")


class PlanRoutes:
    """The routes over the plans of one service."""

    def __init__(
        self,
        service: ProvisioningService,
        planning: Planning,
        drift_checks: DriftChecks,
        schemas: Schemas,
    ) -> None:
        self._service = service
        self._planning = planning
        self._drift_checks = drift_checks
        self._schemas = schemas

    def routes(self, prefix: str = "/servicePrincipals/{sp}/synchronization") -> list[Route]:
        job = f"{prefix}/jobs/{{job}}"
        plan = f"{job}/joiner.plans/{{plan}}"
        table = (
            (f"{job}/joiner.plan", self.make, "POST"),
            (f"{job}/schema/joiner.plan", self.make_with_schema, "POST"),
            (f"{job}/joiner.drift", self.look_for_drift, "POST"),
            (f"{job}/joiner.drift", self.drift_checks, "GET"),
            (f"{job}/joiner.adopt", self.adopt, "POST"),
            (f"{plan}/accounts", self.accounts, "GET"),
            (f"{job}/joiner.plans", self.list, "GET"),
            (plan, self.get, "GET"),
            (plan, self.delete, "DELETE"),
            (f"{plan}/items", self.items, "GET"),
            (f"{plan}/comparison/{{other}}", self.comparison, "GET"),
            (f"{plan}/report", self.report, "GET"),
            (f"{job}/joiner.apply", self.apply, "POST"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    async def make(self, request: Request) -> Response:
        """Begins to compute a plan: 202 with it as it stands. `kind`: initial or incremental; `scope`: as if that were
        the job's, all or assigned."""
        job = self._job(request)
        body = await json_body(request)
        kind, scope = body.get("kind"), body.get("scope")
        if not isinstance(kind, str | None) or kind not in KINDS:
            raise InvalidValueError("kind must be 'initial' or 'incremental'")
        if not isinstance(scope, str | None) or scope not in SCOPES:
            raise InvalidValueError("scope must be 'all' or 'assigned'")
        variation = Variation(is_initial=KINDS[kind], sync_all=SCOPES[scope])
        plan = await self._planning.make(job, variation, actor_of(request))
        return json_response(request, plan_document(plan), 202)

    async def make_with_schema(self, request: Request) -> Response:
        """As `make`, with another schema document in place of the job's: what saving it would set off. It is in the
        body, or that version with `?joiner.version=v1.3`, or the template's with `?joiner.template=true`."""
        job = self._job(request)
        version = request.query_params.get("joiner.version")
        if request.query_params.get("joiner.template", "false").lower() == "true":
            document = self._schemas.template(job.id)
        elif version is not None:
            document = self._schemas.version(job.id, version)
        else:
            document = await sent_document(request)
        text = self._schemas.as_next(job.id, document)
        plan = await self._planning.make(job, Variation(schema=text), actor_of(request))
        return json_response(request, plan_document(plan), 202)

    async def look_for_drift(self, request: Request) -> Response:
        """Begins to look at the whole application: 202 with the plan that would repair what is not as it should be."""
        job = self._job(request)
        plan = await self._planning.make(job, Variation(is_drift=True), actor_of(request))
        return json_response(request, plan_document(plan), 202)

    async def drift_checks(self, request: Request) -> Response:
        """When looks come round by themselves, and the last one."""
        return json_response(request, self._drift_checks.document(self._job(request)))

    async def adopt(self, request: Request) -> Response:
        """Takes what the application has as it is; `plan`: the one that looked at it."""
        job = self._job(request)
        number = (await json_body(request)).get("plan")
        if type(number) is not int or not NUMBER.fullmatch(str(number)):
            raise InvalidValueError("plan must be the number of a plan")
        return json_response(request, await self._planning.adopt(job, number, actor_of(request)))

    async def accounts(self, request: Request) -> Response:
        """The accounts that nobody manages."""
        token = option(request, "$skiptoken") or "/"
        kind, _, target_id = token.partition("/")
        size = page_size(request)
        found = self._planning.accounts(*self._key(request), (kind, target_id), size)
        more = f"{found[-1]['objectType']}/{found[-1]['targetId']}" if len(found) == size else None
        return collection(request, found, more)

    async def list(self, request: Request) -> Response:
        return collection(request, [plan_document(plan) for plan in self._planning.plans(self._job(request).id)])

    async def get(self, request: Request) -> Response:
        return json_response(request, plan_document(self._planning.plan(*self._key(request))))

    async def delete(self, request: Request) -> Response:
        await self._planning.delete(*self._key(request))
        return no_content(request)

    async def items(self, request: Request) -> Response:
        """The items in the order in which they would be dealt with; `$filter=action eq 'create'`: one action only."""
        text, token = option(request, "$filter"), option(request, "$skiptoken")
        match = ONE_ACTION.fullmatch(text) if text is not None else None
        if text is not None and match is None:
            raise InvalidValueError("plans can be filtered by action eq '…' only")
        if token is not None and not NUMBER.fullmatch(token):
            raise InvalidValueError("$skiptoken is not one of ours")
        size = page_size(request)
        action = match[1] if match else None
        found = self._planning.items(*self._key(request), int(token or 0), size, action)
        return collection(request, found, str(found[-1]["position"]) if len(found) == size else None)

    async def comparison(self, request: Request) -> Response:
        """What is new, gone or different, seen from the other plan."""
        older = request.path_params["other"]
        if not NUMBER.fullmatch(older):
            raise InvalidValueError(f"'{older}' is not the number of a plan")
        return json_response(request, self._planning.compare(*self._key(request), int(older)))

    async def report(self, request: Request) -> Response:
        return json_response(request, self._planning.report(*self._key(request)))

    async def apply(self, request: Request) -> Response:
        """Begins to carry out `plan`, of it `items` (ids or names) or everything: 202 with the cycle that does it."""
        job = self._job(request)
        body = await json_body(request)
        number, items, allows = body.get("plan"), body.get("items"), body.get("allowDeletes", False)
        if type(number) is not int or not NUMBER.fullmatch(str(number)):
            raise InvalidValueError("plan must be the number of a plan")
        if items is not None and not (isinstance(items, list) and all(isinstance(item, str) for item in items)):
            raise InvalidValueError("items must be a list of ids or names")
        if not isinstance(allows, bool):
            raise InvalidValueError("allowDeletes must be true or false")
        cycle = await self._planning.apply(job, number, items, actor_of(request), allow_deletes=allows)
        return json_response(request, {"cycleId": cycle.id, "plan": number}, 202)

    def _job(self, request: Request) -> Job:
        """Raises NotFoundError."""
        return self._service.job(request.path_params["sp"], request.path_params["job"])

    def _key(self, request: Request) -> tuple[str, int]:
        """Raises NotFoundError, InvalidValueError."""
        number = request.path_params["plan"]
        if not NUMBER.fullmatch(number):
            raise InvalidValueError(f"'{number}' is not the number of a plan")
        return self._job(request).id, int(number)
