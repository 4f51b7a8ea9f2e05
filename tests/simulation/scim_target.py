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
    paging: Literal["index", "cursor", "cursor unasked", "none"] = "index"
    most_listed: int = 1000
    """It lists no more at once, whatever is asked for."""
    filters: bool = True
    """If not, every filter is refused."""
    filterable: tuple[str, ...] | None = None
    """Filters by other attributes are refused."""
    filters_briefly: bool = False
    """What a filter finds is listed by its id and nothing else; a read shows the rest."""
    compares_exactly: bool = False
    """Names that differ in case are different names."""
    updates: Literal["patch", "put"] = "patch"
    """`put`: it knows no PATCH."""
    has_versions: bool = False
    """It gives an ETag with what is read, and refuses to write another version."""
    mixes_members: bool = True
    """Whether one request may add and remove members."""
    shows_empty_groups: bool = True
    """A group without members is read with an empty list, not without one."""
    soft_deletes: bool = True
    """If not, `active` means nothing: accounts can only be deleted."""
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
    version: str | None = None
    """The only version that it may change."""
    cycle: str | None = None
    """The cycle that ran when it arrived; only of requests that write."""

    @property
    def writes(self) -> bool:
        return self.method in WRITES

    @property
    def is_about_members(self) -> bool:
        """A PUT says everything of a group, also its members."""
        if self.method == "PUT":
            return self.endpoint == "Groups"
        return self.method == "PATCH" and any("member" in str(o.get("path")) for o in self.body["Operations"])

    def __str__(self) -> str:
        shown = " ".join([*self.params.values(), *([orjson.dumps(self.body).decode()] if self.body else [])])
        return f"{self.method} /{self.endpoint}{self.id and '/'}{self.id} {shown}"


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that was carried out; `owner` is the source object's id, as the resource's externalId tells it."""

    request: Request
    owner: str
    at: datetime
    before: Resource
    after: Resource
    """Empty: there was, or is, no such resource."""


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
    undeleted: dict[str, Resource] = field(default_factory=dict)
    """What is still there though its deletion was acknowledged: id → the resource as it was then."""
    not_updated: set[str] = field(default_factory=set)
    """What an update was acknowledged of, and did not reach: ids."""
    effects: list[Effect] = field(default_factory=list)
    requests: int = 0
    on_request: Callable[[], None] = field(default=lambda: None)
    cycle_now: Callable[[], str | None] = field(default=lambda: None)
    on_effect: Callable[[Effect], None] = field(default=lambda effect: None)
    _visible_from: dict[str, float] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)
    _gone: dict[str, Resource] = field(default_factory=dict)

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes | None, seconds: float
    ) -> Answer:
        """Raises TargetError if no answer comes within `seconds`."""
        self.requests += 1
        parts = urlsplit(path)
        _, endpoint, *rest = parts.path.split("/")
        body = orjson.loads(data) if data else None
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        version = headers.get("If-Match")
        request = Request(self.requests, method, endpoint, rest[0] if rest else "", params, body, seconds, version)
        await asyncio.sleep(self.rng.choice((0.01, 0.05, 0.2, 1.5)))
        self.on_request()
        if headers.get("Authorization", headers.get("authorization")) != f"Bearer {self.token}":
            self.tell(f"  #{request.number} {request} → 401")
            return _error(401, "the token has expired")
        if request.writes:
            request.cycle = self.cycle_now()
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
            after = held.get(request.id, {})
            owner = (request.body or {}).get("externalId") or {**before, **after}.get("externalId")
            effect = Effect(request, str(owner), self.clock(), before, after)
            self.effects.append(effect)
            self.on_effect(effect)
        return answer

    def add_by_hand(self, endpoint: str, **values: Any) -> str:
        """What somebody else made in the application; returns its id."""
        id_ = self._new_id(endpoint)
        self.resources[endpoint][id_] = self._kept({"id": id_, **values})
        self.made_by_hand[id_] = deepcopy(self.resources[endpoint][id_])
        return id_

    def delete_by_hand(self, endpoint: str, id_: str) -> None:
        self._forget(endpoint, id_)

    def having(self, endpoint: str, attribute: str, value: Any) -> list[Resource]:
        """The resources with the value in any case of letters, hidden ones included."""
        return [item for item in self.resources[endpoint].values() if _equal(attribute, read(item, attribute), value)]

    def owner_of(self, id_: str) -> str:
        """The source object's id of an account, also of one that is gone, or its own if it is nobody's."""
        return str(self.resources["Users"].get(id_, self._gone.get(id_, {})).get("externalId") or id_)

    def is_hidden(self, id_: str) -> bool:
        return self._visible_from.get(id_, 0.0) > self.clock().timestamp()

    # Verbs

    def _get(self, request: Request) -> Answer:
        exclude = () if self.traits.ignores_exclusion else request.params.get("excludedAttributes", "").split(",")
        if request.id:
            found = self._visible(request)
            if found is None:
                return _error(404, "no such resource")
            shown = self._shown(request.endpoint, found)
            return _json(200, _without(shown, exclude), self._version(request.id))
        if "filter" not in request.params:
            return self._list(request, exclude)
        if not self.traits.filters:
            return _error(501, "there are no filters here")
        matching = [item for item in self.resources[request.endpoint].values() if self._passes(item, request)]
        resources = [_without(self._shown(request.endpoint, item), exclude) for item in matching]
        if self.traits.filters_briefly:
            resources = [{"id": item["id"]} for item in resources]
        return _json(200, {"schemas": [LIST_SCHEMA], "totalResults": len(resources), "Resources": resources})

    def _list(self, request: Request, exclude: Sequence[str]) -> Answer:
        paging, params = self.traits.paging, request.params
        held = [item for id_, item in self.resources[request.endpoint].items() if not self.is_hidden(id_)]
        begin, size = 0, len(held)
        if paging != "none":
            size = min(int(params["count"]), self.traits.most_listed)
            begin = int(params["startIndex"]) - 1 if "startIndex" in params else int(params["cursor"] or "0")
        part = [_without(self._shown(request.endpoint, item), exclude) for item in held[begin : begin + size]]
        match self.traits.lists:
            case "not":
                return _error(501, "there are no lists here")
            case "twice":
                part = [*part, *part[:1]]
            case "not all":
                part = part[1:]
            case "briefly":
                part = [{name: item[name] for name in ("id", "displayName") if name in item} for item in part]
        body = {"schemas": [LIST_SCHEMA], "totalResults": len(held), "Resources": part}
        if paging.startswith("cursor") and begin + size < len(held):
            body["nextCursor"] = str(begin + size)
        return _json(200, body)

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
        if self.traits.updates == "put":
            return _error(501, "there is no PATCH here")
        if found is None:
            return _error(404, "no such resource")
        verbs = {o["op"].lower() for o in request.body["Operations"] if "member" in str(o.get("path"))}
        if len(verbs) > 1 and not self.traits.mixes_members:
            return _error(400, "members are added or removed, not both", "invalidValue")
        for operation in request.body["Operations"]:
            if self.traits.refuses_pathless and operation.get("path") is None:
                return _error(400, "an operation needs a path", "noTarget")
            several = isinstance(operation.get("value"), list) and operation.get("path") == "members"
            if several and len(operation["value"]) > self.traits.members_per_operation:
                return _error(400, "one member at a time", "tooMany")
        return self._change(request, patched(found, request.body["Operations"]))

    def _put(self, request: Request) -> Answer:
        if self.traits.updates == "patch" or self._visible(request) is None:
            return _error(404, "no such resource")
        if request.version not in (None, self._version(request.id).get("etag")):
            return _error(412, "somebody else has written to it")
        return self._change(request, {name: value for name, value in request.body.items() if name != "schemas"})

    def _change(self, request: Request, changed: Resource) -> Answer:
        changed = self._kept(changed)
        if self._is_taken(request.endpoint, changed):
            return _error(409, "the name is taken", "uniqueness")
        self.resources[request.endpoint][request.id] = changed
        self._versions[request.id] = self._versions.get(request.id, 0) + 1
        return _json(200, changed) if self.traits.answers_patch_with_body else Answer(204, {}, b"")

    def _version(self, id_: str) -> dict[str, str]:
        return {"etag": f'W/"{self._versions.get(id_, 0)}"'} if self.traits.has_versions else {}

    def _shown(self, endpoint: str, resource: Resource) -> Resource:
        if endpoint == "Groups" and self.traits.shows_empty_groups:
            return {"members": [], **resource}
        return resource

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
            attribute, value = match[1], orjson.loads(match[2])
            if self.traits.filterable is not None and attribute not in self.traits.filterable:
                raise RefusedError("invalidFilter", f"nothing can be found by {attribute}")
            if attribute in self.traits.unfilterable:
                continue
            if not self._is_same(attribute, read(resource, attribute), value):
                return False
        return True

    def _is_same(self, attribute: str, held: Any, wanted: Any) -> bool:
        return (
            bool(held is not None and held == wanted)
            if self.traits.compares_exactly
            else _equal(attribute, held, wanted)
        )

    def _is_taken(self, endpoint: str, resource: Resource) -> bool:
        if self.traits.permits_duplicates:
            return False
        name = UNIQUE[endpoint]
        wanted = resource.get(name)
        others = (other for other in self.resources[endpoint].values() if other["id"] != resource.get("id"))
        return any(self._is_same(name, other.get(name), wanted) for other in others)

    def _kept(self, resource: Resource) -> Resource:
        if self.traits.folds_names and "userName" in resource:
            resource["userName"] = resource["userName"].lower()
        return resource

    def _new_id(self, endpoint: str) -> str:
        return f"{endpoint[0].lower()}-{self.rng.getrandbits(32):08x}"

    def _forget(self, endpoint: str, id_: str) -> None:
        self._gone[id_] = self.resources[endpoint].pop(id_)
        self.undeleted.pop(id_, None)
        if not self.traits.keeps_dangling_members:
            for group in self.resources["Groups"].values():
                if "members" in group:
                    group["members"] = [item for item in group["members"] if item["value"] != id_]


VERBS: dict[str, Callable[[SimulatedTarget, Request], Answer]] = {
    "GET": SimulatedTarget._get,
    "POST": SimulatedTarget._post,
    "PATCH": SimulatedTarget._patch,
    "PUT": SimulatedTarget._put,
    "DELETE": SimulatedTarget._delete,
}


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, {"content-type": "application/scim+json", **(headers or {})}, orjson.dumps(body))


def _error(status: int, detail: str, scim_type: str | None = None) -> Answer:
    body = {"schemas": [ERROR_SCHEMA], "status": str(status), "detail": detail}
    return _json(status, body if scim_type is None else {**body, "scimType": scim_type})


def _without(resource: Resource, names: Any) -> Resource:
    return {name: value for name, value in resource.items() if name not in names}


def _equal(attribute: str, held: Any, wanted: Any) -> bool:
    if attribute in FOLDED and isinstance(held, str) and isinstance(wanted, str):
        return held.casefold() == wanted.casefold()
    return bool(held is not None and held == wanted)
