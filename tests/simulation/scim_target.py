"""An application with a SCIM endpoint, in memory: what it keeps, how it answers, and who wrote what.

What it does wrong for good are its `Traits`; what goes wrong now and then are the `faults`.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import orjson

from joiner.clock import Clock
from joiner.provisioning.client.exchange import Answer
from tests.simulation.scim_patch import RefusedError, Resource, patched, read

if TYPE_CHECKING:
    from tests.simulation.faults import Weather

CONDITION = re.compile(r'^(\S+|\S+\[[^\]]*\]\S*) eq ("(?:[^"\\]|\\.)*")$')
FOLDED = frozenset({"userName", "displayName"})
UNIQUE = {"Users": "userName", "Groups": "displayName"}
LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})


@dataclass(frozen=True)
class Traits:
    """How this target is, all the time."""

    permits_duplicates: bool = False
    """Several accounts may have one userName."""
    ignores_exclusion: bool = False
    """Members come with every group, whatever is asked for."""
    folds_names: bool = False
    """userName is kept in lower case."""
    answers_patch_with_body: bool = False
    hidden_seconds: float = 0.0
    """So long after a create the resource is not found; only DELETE finds it, since a 404 there means success."""
    keeps_dangling_members: bool = False
    """Deleting an account leaves it in its groups."""
    refuses_pathless: bool = False
    """A PATCH operation without a path is refused."""
    members_per_operation: int = 1000
    """More values of `members` in one operation are refused."""
    lists: Literal["", "not", "twice", "not all", "briefly"] = ""
    """What is wrong with its lists."""
    unfilterable: frozenset[str] = frozenset()
    """A filter by one of these attributes is answered with everything."""


@dataclass(slots=True)
class Request:
    """One request as it arrived. `id` is '' for the collection."""

    number: int
    method: str
    endpoint: str
    id: str
    params: Mapping[str, str]
    body: Any
    timeout: float

    @property
    def writes(self) -> bool:
        return self.method in WRITES

    @property
    def is_about_members(self) -> bool:
        return self.method == "PATCH" and any("member" in str(o.get("path")) for o in self.body["Operations"])

    def __str__(self) -> str:
        shown = " ".join([*self.params.values(), *([orjson.dumps(self.body).decode()] if self.body else [])])
        return f"{self.method} /{self.endpoint}{self.id and '/'}{self.id} {shown}"


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that changed something; `owner` is the source object's id, as the resource's externalId tells it."""

    request: Request
    owner: str
    at: datetime


@dataclass(slots=True)
class SimulatedTarget:
    """The application. `weather` decides which fault a request meets."""

    rng: Random
    clock: Clock
    traits: Traits
    weather: "Weather"
    tell: Callable[[str], None]
    token: str = "first"
    resources: dict[str, dict[str, Resource]] = field(default_factory=lambda: {"Users": {}, "Groups": {}})
    writes: list[Request] = field(default_factory=list)
    """The requests to write that were understood, whether they changed anything or not."""
    made_by_hand: dict[str, Resource] = field(default_factory=dict)
    """What was there before the job wrote: id → the resource as it was."""
    effects: list[Effect] = field(default_factory=list)
    requests: int = 0
    on_request: Callable[[], None] = field(default=lambda: None)
    _visible_from: dict[str, float] = field(default_factory=dict)

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes | None, seconds: float
    ) -> Answer:
        """Raises TargetError if no answer comes within `seconds`."""
        self.requests += 1
        parts = urlsplit(path)
        _, endpoint, *rest = parts.path.split("/")
        body = orjson.loads(data) if data else None
        params = dict(parse_qsl(parts.query))
        request = Request(self.requests, method, endpoint, rest[0] if rest else "", params, body, seconds)
        await asyncio.sleep(self.rng.choice((0.01, 0.05, 0.2, 1.5)))
        self.on_request()
        if headers.get("Authorization", headers.get("authorization")) != f"Bearer {self.token}":
            self.tell(f"  #{request.number} {request} → 401")
            return _error(401, "the token has expired")
        if request.writes:
            self.writes.append(request)
        return await self.weather.answer(self, request)

    def serve(self, request: Request) -> Answer:
        """The right answer, and what it takes to give it."""
        held = self.resources[request.endpoint]
        before = held.get(request.id, {})
        try:
            answer = VERBS[request.method](self, request)
        except RefusedError as error:
            answer = _error(400, str(error), error.scim_type)
        if request.writes and answer.status < 300:
            owner = (request.body or {}).get("externalId") or {**before, **held.get(request.id, {})}.get("externalId")
            self.effects.append(Effect(request, str(owner), self.clock()))
        return answer

    def add_by_hand(self, endpoint: str, **values: Any) -> str:
        """What somebody else made in the application; returns its id."""
        id_ = self._new_id(endpoint)
        self.resources[endpoint][id_] = {"id": id_, **values}
        self.made_by_hand[id_] = deepcopy(self.resources[endpoint][id_])
        return id_

    def delete_by_hand(self, endpoint: str, id_: str) -> None:
        self._forget(endpoint, id_)

    def having(self, endpoint: str, attribute: str, value: Any) -> list[Resource]:
        """The resources with the value, hidden ones included."""
        return [item for item in self.resources[endpoint].values() if _equal(attribute, read(item, attribute), value)]

    def is_hidden(self, id_: str) -> bool:
        return self._visible_from.get(id_, 0.0) > self.clock().timestamp()

    # Verbs

    def _get(self, request: Request) -> Answer:
        exclude = () if self.traits.ignores_exclusion else request.params.get("excludedAttributes", "").split(",")
        if request.id:
            found = self._visible(request)
            return _error(404, "no such resource") if found is None else _json(200, _without(found, exclude))
        if "filter" not in request.params:
            return self._list(request, exclude)
        matching = [item for item in self.resources[request.endpoint].values() if self._passes(item, request)]
        resources = [_without(item, exclude) for item in matching]
        return _json(200, {"schemas": [LIST_SCHEMA], "totalResults": len(resources), "Resources": resources})

    def _list(self, request: Request, exclude: Sequence[str]) -> Answer:
        start, count = (int(request.params[name]) for name in ("startIndex", "count"))
        shown = [item for id_, item in self.resources[request.endpoint].items() if not self.is_hidden(id_)]
        total = len(shown)
        part = [_without(item, exclude) for item in shown[start - 1 : start - 1 + count]]
        match self.traits.lists:
            case "not":
                return _error(501, "there are no lists here")
            case "twice":
                part = [*part, *part[:1]]
            case "not all":
                part = part[1:]
            case "briefly":
                part = [{name: item[name] for name in ("id", "displayName") if name in item} for item in part]
        return _json(200, {"schemas": [LIST_SCHEMA], "totalResults": total, "Resources": part})

    def _post(self, request: Request) -> Answer:
        resource = dict(request.body)
        if self._is_taken(request.endpoint, resource):
            return _error(409, "the name is taken", "uniqueness")
        id_ = self._new_id(request.endpoint)
        self.resources[request.endpoint][id_] = self._kept({"id": id_, **resource})
        self._visible_from[id_] = self.clock().timestamp() + self.traits.hidden_seconds
        return _json(201, self.resources[request.endpoint][id_])

    def _patch(self, request: Request) -> Answer:
        found = self._visible(request)
        if found is None:
            return _error(404, "no such resource")
        for operation in request.body["Operations"]:
            if self.traits.refuses_pathless and operation.get("path") is None:
                return _error(400, "an operation needs a path", "noTarget")
            several = isinstance(operation.get("value"), list) and operation.get("path") == "members"
            if several and len(operation["value"]) > self.traits.members_per_operation:
                return _error(400, "one member at a time", "tooMany")
        changed = self._kept(patched(found, request.body["Operations"]))
        if self._is_taken(request.endpoint, changed):
            return _error(409, "the name is taken", "uniqueness")
        self.resources[request.endpoint][request.id] = changed
        return _json(200, changed) if self.traits.answers_patch_with_body else Answer(204, {}, b"")

    def _delete(self, request: Request) -> Answer:
        if request.id not in self.resources[request.endpoint]:
            return _error(404, "no such resource")
        self._forget(request.endpoint, request.id)
        return Answer(204, {}, b"")

    def _visible(self, request: Request) -> Resource | None:
        return None if self.is_hidden(request.id) else self.resources[request.endpoint].get(request.id)

    def _passes(self, resource: Resource, request: Request) -> bool:
        if self.is_hidden(resource["id"]):
            return False
        for text in request.params["filter"].split(" and "):
            match = CONDITION.match(text)
            assert match is not None, f"a filter that nobody understands: {text}"
            if match[1] in self.traits.unfilterable:
                continue
            if not _equal(match[1], read(resource, match[1]), orjson.loads(match[2])):
                return False
        return True

    def _is_taken(self, endpoint: str, resource: Resource) -> bool:
        if self.traits.permits_duplicates:
            return False
        name = UNIQUE[endpoint]
        return any(other["id"] != resource.get("id") for other in self.having(endpoint, name, resource.get(name)))

    def _kept(self, resource: Resource) -> Resource:
        if self.traits.folds_names and "userName" in resource:
            resource["userName"] = resource["userName"].lower()
        return resource

    def _new_id(self, endpoint: str) -> str:
        return f"{endpoint[0].lower()}-{self.rng.getrandbits(32):08x}"

    def _forget(self, endpoint: str, id_: str) -> None:
        del self.resources[endpoint][id_]
        if not self.traits.keeps_dangling_members:
            for group in self.resources["Groups"].values():
                if "members" in group:
                    group["members"] = [item for item in group["members"] if item["value"] != id_]


VERBS: dict[str, Callable[[SimulatedTarget, Request], Answer]] = {
    "GET": SimulatedTarget._get,
    "POST": SimulatedTarget._post,
    "PATCH": SimulatedTarget._patch,
    "DELETE": SimulatedTarget._delete,
}


def _json(status: int, body: Any) -> Answer:
    return Answer(status, {"content-type": "application/scim+json"}, orjson.dumps(body))


def _error(status: int, detail: str, scim_type: str | None = None) -> Answer:
    body = {"schemas": [ERROR_SCHEMA], "status": str(status), "detail": detail}
    return _json(status, body if scim_type is None else {**body, "scimType": scim_type})


def _without(resource: Resource, names: Any) -> Resource:
    return {name: value for name, value in resource.items() if name not in names}


def _equal(attribute: str, held: Any, wanted: Any) -> bool:
    if attribute in FOLDED and isinstance(held, str) and isinstance(wanted, str):
        return held.casefold() == wanted.casefold()
    return bool(held is not None and held == wanted)
