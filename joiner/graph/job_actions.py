"""What is done with a job: start, pause, restart, settings, provisioning on demand, held deletions (Graph API §10.4,
§10.6).

Shapes are Graph's; `joiner.…` are our own actions, named in our own namespace.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.errors import InvalidValueError
from joiner.graph.actors import actor_of
from joiner.graph.http import collection, endpoint, json_body, json_response, no_content, option
from joiner.provisioning.administration.service import ProvisioningService
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.on_demand import OnDemand, Subject

KINDS: Mapping[str, ObjectType] = {"user": "User", "group": "Group"}


class JobActions:
    """The routes over one service."""

    def __init__(self, service: ProvisioningService, on_demand: OnDemand) -> None:
        self._service = service
        self._on_demand = on_demand

    def routes(self, prefix: str = "/servicePrincipals/{sp}/synchronization") -> list[Route]:
        job = f"{prefix}/jobs/{{job}}"
        table = (
            (job, self.change_settings, "PATCH"),
            (f"{job}/start", self.start, "POST"),
            (f"{job}/pause", self.pause, "POST"),
            (f"{job}/joiner.stop", self.stop, "POST"),
            (f"{job}/restart", self.restart, "POST"),
            (f"{job}/provisionOnDemand", self.provision_on_demand, "POST"),
            (f"{job}/joiner.search", self.search, "GET"),
            (f"{job}/joiner.run", self.run, "POST"),
            (f"{job}/joiner.cycles/{{cycle}}", self.get_cycle, "GET"),
            (f"{job}/joiner.narrowerScope", self.narrower_scope, "GET"),
            (f"{job}/joiner.quarantine", self.quarantine, "POST"),
            (f"{job}/joiner.objectConnections", self.refuse_connections, "GET"),
            (f"{job}/joiner.objectConnections/{{anchor}}", self.get_connection, "GET"),
            (f"{job}/joiner.objectConnections/{{anchor}}", self.delete_connection, "DELETE"),
            (f"{job}/joiner.deletes", self.list_deletes, "GET"),
            (f"{job}/joiner.deletes/allow", self.allow_deletes, "POST"),
            (f"{job}/joiner.deletes/reject", self.reject_deletes, "POST"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    async def change_settings(self, request: Request) -> Response:
        """`synchronizationJobSettings`: those that are named; everything else of a job has actions of its own."""
        job = self._job(request)
        pairs = (await json_body(request)).get("synchronizationJobSettings") or []
        await self._service.change_settings(job.id, _settings(pairs), actor_of(request))
        return no_content(request)

    async def start(self, request: Request) -> Response:
        await self._service.start(self._job(request).id, actor_of(request))
        return no_content(request)

    async def pause(self, request: Request) -> Response:
        await self._service.pause(self._job(request).id, actor_of(request))
        return no_content(request)

    async def stop(self, request: Request) -> Response:
        """Pauses the job, and ends a cycle that runs at its next page."""
        await self._service.pause(self._job(request).id, actor_of(request), at_once=True)
        return no_content(request)

    async def restart(self, request: Request) -> Response:
        job = self._job(request)
        criteria = (await json_body(request)).get("criteria") or {}
        if not isinstance(criteria, dict):
            raise InvalidValueError("criteria must be an object")
        scope = criteria.get("resetScope")
        if not isinstance(scope, str | None):
            raise InvalidValueError("criteria.resetScope must be text: values with commas between")
        await self._service.restart(job.id, scope, actor_of(request))
        return no_content(request)

    async def run(self, request: Request) -> Response:
        """Begins one cycle now, whether the job is started or not: 202 with its id."""
        cycle = await self._service.run_now(self._job(request).id)
        return json_response(request, {"cycleId": cycle.id, "kind": cycle.kind}, 202)

    async def get_cycle(self, request: Request) -> Response:
        job = self._job(request)
        return json_response(request, self._service.cycle_document(job.id, request.path_params["cycle"]))

    async def quarantine(self, request: Request) -> Response:
        reason = (await json_body(request)).get("reason") or ""
        if not isinstance(reason, str):
            raise InvalidValueError("reason must be text")
        await self._service.quarantine(self._job(request).id, reason, actor_of(request))
        return no_content(request)

    async def narrower_scope(self, request: Request) -> Response:
        """What a change from all users and groups to assigned ones would mean."""
        return json_response(request, {"leaving": self._service.count_leaving(self._job(request))})

    # Object connections

    async def refuse_connections(self, request: Request) -> Response:
        raise InvalidValueError("name one object connection by the id of its source or target object")

    async def get_connection(self, request: Request) -> Response:
        found = self._service.object_connections.find(self._job(request).id, request.path_params["anchor"])
        return json_response(request, msgspec.to_builtins(found))

    async def delete_connection(self, request: Request) -> Response:
        job = self._job(request)
        await self._service.object_connections.forget(job.id, request.path_params["anchor"], actor_of(request))
        return no_content(request)

    # Deletions that are held back

    async def list_deletes(self, request: Request) -> Response:
        staged = self._service.removals.staged(self._job(request).id)
        return collection(request, [msgspec.to_builtins(item) for item in staged])

    async def allow_deletes(self, request: Request) -> Response:
        """`items`: ids of `joiner.deletes`; without it all that are held back now."""
        number = await self._service.removals.allow(self._job(request).id, await _items(request), actor_of(request))
        return json_response(request, {"allowed": number})

    async def reject_deletes(self, request: Request) -> Response:
        number = await self._service.removals.reject(self._job(request).id, await _items(request), actor_of(request))
        return json_response(request, {"rejected": number})

    # On demand

    async def provision_on_demand(self, request: Request) -> Response:
        """A `stringKeyStringValuePair` whose texts are JSON themselves (§10.6)."""
        job = self._job(request)
        subject = _subject(await json_body(request), job)
        entry = await self._on_demand.provision(job, subject, actor_of(request))
        key, value = self._on_demand.result(entry)
        return json_response(request, {"key": orjson.dumps(key).decode(), "value": orjson.dumps(value).decode()})

    async def search(self, request: Request) -> Response:
        """Users who can be provisioned on demand, by `$search`."""
        self._job(request)
        return collection(request, self._on_demand.search(option(request, "$search") or ""))

    def _job(self, request: Request) -> Job:
        """Raises NotFoundError."""
        return self._service.job(request.path_params["sp"], request.path_params["job"])


def _settings(pairs: Any) -> list[tuple[str, str | None]]:
    """The `{name, value}` pairs. Raises InvalidValueError naming the one that is wrong."""
    if not isinstance(pairs, list):
        raise InvalidValueError("synchronizationJobSettings must be a list of name and value pairs")
    found: list[tuple[str, str | None]] = []
    for number, pair in enumerate(pairs):
        if not isinstance(pair, Mapping) or not isinstance(pair.get("name"), str):
            raise InvalidValueError(f"synchronizationJobSettings[{number}] has no name")
        if not isinstance(pair.get("value"), str | None):
            raise InvalidValueError(f"synchronizationJobSettings[{number}].value must be text")
        found.append((pair["name"], pair.get("value")))
    return found


async def _items(request: Request) -> Sequence[str] | None:
    items = (await json_body(request)).get("items")
    if items is not None and not (isinstance(items, list) and all(isinstance(item, str) for item in items)):
        raise InvalidValueError("items must be a list of ids")
    return items


def _subject(body: Mapping[str, Any], job: Job) -> Subject:
    """The one subject of `parameters`. Raises InvalidValueError that names what is wrong."""
    parameters = body.get("parameters")
    if not isinstance(parameters, list) or len(parameters) != 1 or not isinstance(parameters[0], Mapping):
        raise InvalidValueError("parameters must hold one object with ruleId and subjects")
    rule_id, subjects = parameters[0].get("ruleId"), parameters[0].get("subjects")
    rules = [rule["id"] for rule in job.schema["synchronizationRules"]]
    if rule_id is not None and rule_id not in rules:
        raise InvalidValueError(f"'{rule_id}' is not a rule of this job; it has {', '.join(rules)}")
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise InvalidValueError("subjects must hold one user or one group")
    object_id, kind = _reference(subjects[0], "subjects[0]")
    links = subjects[0].get("links") or {}
    members = links.get("members", []) if isinstance(links, Mapping) else None
    if not isinstance(members, list):
        raise InvalidValueError("links.members must be a list")
    ids = [_reference(member, f"links.members[{number}]")[0] for number, member in enumerate(members)]
    return Subject(kind, object_id, tuple(dict.fromkeys(ids)))


def _reference(value: Any, place: str) -> tuple[str, ObjectType]:
    if not isinstance(value, Mapping) or not isinstance(value.get("objectId"), str):
        raise InvalidValueError(f"{place}.objectId must be an id")
    kind = KINDS.get(str(value.get("objectTypeName")).lower())
    if kind is None:
        raise InvalidValueError(f"{place}.objectTypeName must be User or Group")
    return value["objectId"], kind
