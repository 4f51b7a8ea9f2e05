"""A SCIM target on a real socket that answers what a test tells it to, and the client in front of it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from joiner.net.addresses import checked_addresses
from joiner.provisioning.client.authentication import NO_AUTHENTICATION, Authentication, bearer
from joiner.provisioning.client.http import open_exchange
from joiner.provisioning.client.pace import Pace
from joiner.provisioning.client.profile import DEFAULT_PROFILE, TargetProfile
from joiner.provisioning.client.target import ScimTarget

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)

Reply = Callable[[], web.StreamResponse]


@dataclass(frozen=True)
class Seen:
    """One request that the target got."""

    method: str
    path: str
    query: Mapping[str, str]
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    raw_query: str = ""

    @property
    def body(self) -> Any:
        return orjson.loads(self.text)

    def __getitem__(self, place: Any) -> Any:
        return (self.method, self.path, self.query, self.text)[place]

    def __iter__(self) -> Any:
        return iter((self.method, self.path, self.query, self.text))


class Script:
    """Gives the prepared answers in order and remembers what it was asked, and how long the client slept."""

    def __init__(self, *answers: Reply) -> None:
        self.answers = list(answers)
        self.requests: list[Seen] = []
        self.slept: list[float] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        seen = Seen(
            request.method, request.path, dict(request.query), text, request.headers, request.raw_path.partition("?")[2]
        )
        self.requests.append(seen)
        return self.answers.pop(0)()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@asynccontextmanager
async def talking_to(
    script: Script,
    token: str | None = "t0ken",  # noqa: S107 - it opens nothing
    *,
    base_url: str | None = None,
    query: str = "",
    authentication: Authentication | None = None,
    profile: TargetProfile = DEFAULT_PROFILE,
    pace: Pace | None = None,
) -> AsyncIterator[ScimTarget]:
    """The client, connected to the script, or to `base_url`. Time stands still, chance is always 1."""
    async with AsyncExitStack() as stack:
        if base_url is None:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", script.answer)
            server = await stack.enter_async_context(TestServer(app))
            base_url = str(server.make_url("/scim"))
        addresses = checked_addresses(allow_loopback=True, allow_private=False)
        exchange = await stack.enter_async_context(
            open_exchange(base_url, addresses, query=query, seconds=profile.timeout_seconds)
        )
        if authentication is None:
            authentication = bearer(token) if token else NO_AUTHENTICATION
        yield ScimTarget(
            exchange,
            authentication=authentication,
            profile=profile,
            pace=pace,
            clock=lambda: NOW,
            sleep=script.sleep,
            jitter=lambda: 1.0,
        )


def json(body: Any, status: int = 200, **headers: str) -> Reply:
    return lambda: web.json_response(body, status=status, headers=headers, content_type="application/scim+json")


def empty(status: int = 200, **headers: str) -> Reply:
    return lambda: web.Response(status=status, headers=headers)


def listed(*resources: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A ListResponse; a member that is None is left out."""
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": len(resources),
        "Resources": list(resources),
        **members,
    }
    return {name: value for name, value in body.items() if value is not None}
