"""Both sides of provisioning for one test: a real directory, the real engine, a real endpoint on a real socket.

Cycles run as plain coroutines here: durability has tests of its own with real processes.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from joiner.application.side import ApplicationSide
from joiner.directory import applications, groups, users
from joiner.directory import store as directory_store
from joiner.directory.gallery import find_template
from joiner.directory.model import DEFAULT_ACCESS, AppRole, Group, User
from joiner.directory.store import DirectoryStore
from joiner.ids import derived_id
from joiner.net.addresses import checked_addresses
from joiner.provisioning.client.exchange import Answer, Exchange
from joiner.provisioning.client.pool import over_sockets
from joiner.provisioning.durable import PageRunner, run_pages
from joiner.provisioning.job import cycles
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.log import journal_rows
from joiner.provisioning.side import MIGRATIONS, ProvisioningSide
from joiner.storage.sqlite import Database

START = datetime(2024, 5, 6, 7, 0, tzinfo=UTC)


class StillClock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, step: timedelta) -> None:
        self.now += step

    async def sleep(self, seconds: float) -> None:
        """Waits without waiting; what is measured in days does not notice the seconds."""


class PlainEngine:
    """Cycles as tasks of the event loop."""

    def __init__(self) -> None:
        self.runner: PageRunner | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """There is nothing to go on with: nothing outlives a test."""

    async def run(self, cycle_id: str) -> None:
        assert self.runner is not None
        if cycle_id not in self._tasks:
            self._tasks[cycle_id] = asyncio.create_task(
                run_pages(self.runner, cycle_id, self._run_some, self.runner.drop_some)
            )

    async def _run_some(self, cycle_id: str, fence: int) -> bool:
        assert self.runner is not None
        return await self.runner.run_pages(cycle_id, fence, lambda: True)

    async def wait(self, cycle_id: str) -> None:
        """Returns when the cycle has ended."""
        await self._tasks[cycle_id]

    async def stop(self) -> None:
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that wrote to the application."""

    method: str
    path: str
    body: Any


class Recorder:
    """The application's routes, and what the engine sent to them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.sent: list[Sent] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        content = b"".join(message.get("body", b"") for message in messages)
        self.sent.append(Sent(scope["method"], scope["path"], orjson.loads(content) if content else None))

        async def again() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, again, send)


class Asked(msgspec.Struct, frozen=True):
    """One request that the engine sent."""

    method: str
    path: str
    """From behind the Tenant URL, decoded."""
    body: Any


Falsify = Callable[[dict[str, Any]], dict[str, Any] | int]
"""(list answer) → what is answered instead, an int as the status of a refusal."""


class Watched:
    """An exchange that notes what is sent through it. `falsify` is done to lists; `created`: the body of the answer to
    each create that succeeds."""

    def __init__(self, exchange: Exchange, asked: list[Asked], falsify: Falsify | None, created: bytes | None) -> None:
        self._exchange = exchange
        self._asked = asked
        self._falsify = falsify
        self._created = created

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        self._asked.append(Asked(method, unquote(path), orjson.loads(body) if body else None))
        answer = await self._exchange.send(method, path, headers, body)
        if self._created is not None and answer.status == 201:
            return Answer(201, {}, self._created)
        if self._falsify is None or "count=" not in path or answer.status != 200:
            return answer
        content = self._falsify(orjson.loads(answer.content))
        if isinstance(content, int):
            return Answer(content, answer.headers, b'{"detail": "made to fail"}')
        return Answer(200, answer.headers, orjson.dumps(content))


Fault = Callable[[str, str], int | None]
"""(method, path) → the status to answer instead of the application, None to let it answer."""


class Faulty:
    """The application, refusing what `fault` says: an imitation only where faults must be controlled."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.fault: Fault = lambda method, path: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = self.fault(scope["method"], scope["path"])
        if status is None:
            await self._app(scope, receive, send)
        else:
            await Response(b'{"detail": "made to fail"}', status, media_type="application/scim+json")(
                scope, receive, send
            )


class World:
    """Use `opened`."""

    def __init__(self, folder: Path, application: ApplicationSide, url: str, sent: list[Sent], faulty: Faulty) -> None:
        self.sent = sent
        """Every request of the engine that wrote to the application, in order."""
        self.clock = StillClock()
        self._faulty = faulty
        self.application = application
        self.url = url
        self.db = Database(
            folder / "directory.db", {"directory": directory_store.MIGRATIONS, "provisioning": MIGRATIONS}
        )
        self.directory = DirectoryStore(self.db, self.clock)
        self.engine = engine = PlainEngine()
        self.asked: list[Asked] = []
        """What the engine's client sent, reads as well, in order."""
        self.falsify: Falsify | None = None
        """Changes lists on their way to connections that are made from now on."""
        self.created: bytes | None = None
        """The body of the answer that those get to each create that succeeds; None: as it is."""
        self._over_sockets = over_sockets(checked_addresses(allow_loopback=True, allow_private=False))
        self.side = ProvisioningSide(
            self.db,
            self.directory,
            engine_path=folder / "engine.db",
            secret_key=bytes(32),
            allow_loopback=True,
            allow_private=False,
            clock=self.clock,
            sleep=self.clock.sleep,
            connect=self._connect,
            engine=engine,
        )
        engine.runner = self.side.runner
        self.service = self.side.service
        self.principal_id = ""
        self.job_id = ""
        self.hand = ""
        """A token of the application for what is done there by hand, and its id."""
        self.hand_id = ""
        self._assignments: dict[tuple[str, str], str] = {}

    @asynccontextmanager
    async def _connect(self, base_url: str, **options: Any) -> AsyncIterator[Exchange]:
        async with self._over_sockets(base_url, **options) as exchange:
            yield Watched(exchange, self.asked, self.falsify, self.created)

    def fail(self, fault: Fault | None) -> None:
        """From now on the application fails as told; None: it works again."""
        self._faulty.fault = fault or (lambda method, path: None)

    # The directory

    async def add_user(self, name: str, manager: str | None = None, **attributes: Any) -> str:
        """A user `name@fjord.example`; returns its id."""
        user = User(
            id=derived_id("user", name),
            user_principal_name=f"{name}@fjord.example",
            account_enabled=True,
            manager_id=manager,
            attributes={"displayName": name.title(), "givenName": name.title(), "surname": "Dahl", **attributes},
            created_at="",
        )
        await self.directory.change(lambda connection, now: users.add_user(connection, user, now))
        return user.id

    async def change_user(self, user_id: str, **fields: Any) -> None:
        """`account_enabled`, `manager_id`, `user_principal_name`; anything else is an attribute."""
        own = {name: fields.pop(name) for name in tuple(fields) if name in User.__struct_fields__}

        def work(connection: Any, now: str) -> None:
            user = users.user_by_id(connection, user_id)
            attributes = {name: value for name, value in {**user.attributes, **fields}.items() if value is not None}
            users.update_user(connection, msgspec.structs.replace(user, attributes=attributes, **own), now)

        await self.directory.change(work)

    async def add_group(self, name: str, *members: str, **attributes: Any) -> str:
        group = Group(
            id=derived_id("group", name),
            display_name=name,
            security_enabled=attributes.pop("security_enabled", True),
            membership_rule=attributes.pop("membership_rule", None),
            attributes=attributes,
            created_at="",
        )

        def work(connection: Any, now: str) -> None:
            groups.add_group(connection, group, now)
            for member in members:
                groups.add_member(connection, group.id, member, now)

        await self.directory.change(work)
        await self.directory.evaluate_rules()
        return group.id

    async def add_member(self, group_id: str, member_id: str) -> None:
        await self.directory.change(lambda c, now: groups.add_member(c, group_id, member_id, now))

    async def remove_member(self, group_id: str, member_id: str) -> None:
        await self.directory.change(lambda c, now: groups.remove_member(c, group_id, member_id, now))

    async def assign(self, *principal_ids: str, role: str = DEFAULT_ACCESS) -> None:
        for principal_id in principal_ids:
            assignment = await self.directory.change(
                lambda c, now, p=principal_id: applications.assign(c, self.principal_id, p, role, now)  # type: ignore[misc] # binds p
            )
            self._assignments[principal_id, role] = assignment.id

    async def unassign(self, principal_id: str, role: str = DEFAULT_ACCESS) -> None:
        assignment_id = self._assignments.pop((principal_id, role))
        await self.directory.change(lambda c, now: applications.unassign(c, self.principal_id, assignment_id, now))

    async def declare_roles(self, *roles: AppRole) -> None:
        """Gives the application these roles beside the default access."""
        await self.db.write(
            lambda c: c.execute("UPDATE service_principal SET app_roles = ?", (msgspec.json.encode(roles).decode(),))
        )

    # The job

    async def add_application(self, token: str, template: str = "ALVAO", **secrets: str) -> None:
        entry = find_template(template)
        principal = await self.directory.change(
            lambda c, now: applications.add_service_principal(c, entry.id, template, now)
        )
        self.principal_id = principal.id
        pairs = {"BaseAddress": f"{self.url}/scim", "SecretToken": token, **secrets}
        await self.service.connections.put_credentials(principal.id, list(pairs.items()))
        template_id = self.service.templates(principal.id)[0].id
        self.job_id = (await self.service.create_job(principal.id, template_id)).id

    async def set_schema(self, change: Any) -> None:
        """Lets `change(document)` edit the job's schema in place."""
        job = self.job()
        document = orjson.loads(orjson.dumps(job.schema))
        change(document)

        def work(connection: Any) -> None:
            connection.execute(
                "UPDATE job SET schema = ?, schema_version = schema_version + 1 WHERE id = ?",
                (orjson.dumps(document).decode(), self.job_id),
            )

        await self.db.write(work)

    def job(self) -> Job:
        return self.service.job(self.principal_id, self.job_id)

    async def configure(self, **settings: str | None) -> None:
        """Changes settings of the job; the names with underscores for dots."""
        pairs = [(name.replace("_", "."), value) for name, value in settings.items()]
        await self.service.change_settings(self.job_id, pairs)

    async def run_due(self) -> list[dict[str, str]]:
        """Runs the cycles that the scheduler would begin now, to their ends."""
        begun = await self.side.scheduler.begin_due_cycles()
        for cycle_id in begun:
            await self.engine.wait(cycle_id)
        return [self.outcome(cycle_id) for cycle_id in begun]

    async def run(self) -> dict[str, str]:
        """Runs one cycle; name of the object → `action status` of its log entry in that cycle."""
        cycle = await self.service.run_now(self.job_id)
        await self.engine.wait(cycle.id)
        return self.outcome(cycle.id)

    def outcome(self, cycle_id: str) -> dict[str, str]:
        """Name of the object → `action status` of its log entry in the cycle."""
        return {name: f"{e['provisioningAction']} {status_of(e)}" for name, e in self.entries(cycle_id).items()}

    def cycle(self) -> cycles.Cycle:
        """The latest cycle that ended."""
        cycle = cycles.last_cycle(self.db.reader, self.job_id, cycles.ENDED)
        assert cycle is not None
        return cycle

    def cycle_running(self) -> cycles.Cycle:
        """The cycle under way."""
        cycle = cycles.running_cycle(self.db.reader, self.job_id)
        assert cycle is not None
        return cycle

    def entries(self, cycle_id: str | None = None) -> dict[str, dict[str, Any]]:
        """Name of the object → its log entry in the cycle (default: the latest)."""
        found = journal_rows.entries_of(self.db.reader, cycle_id or self.cycle().id)
        return {_short(entry): entry for entry in found}

    def status(self) -> dict[str, Any]:
        document = self.service.job_document(self.job())
        status: dict[str, Any] = document["status"]
        return status

    # The application

    async def accounts(self) -> dict[str, dict[str, Any]]:
        """User name without domain → the resource that the application holds, with its id."""
        return {_local(person["userName"]): person for person in await self._held("Users")}

    async def held_groups(self) -> dict[str, set[str]]:
        """Group name → user names of its members."""
        names = {person["id"]: _local(person["userName"]) for person in await self._held("Users")}
        return {
            group["displayName"]: {names.get(each["value"], each["value"]) for each in group.get("members", [])}
            for group in await self._held("Groups")
        }

    async def application_add(self, endpoint: str = "Users", /, **resource: Any) -> str:
        """An account, or a group, that somebody made by hand."""
        made: dict[str, Any] = await self._by_hand("POST", endpoint, resource)
        id_: str = made["id"]
        return id_

    async def application_delete(self, id_: str, endpoint: str = "Users") -> None:
        await self._by_hand("DELETE", f"{endpoint}/{id_}")

    async def application_change(self, id_: str, **changes: Any) -> None:
        await self._by_hand("PATCH", f"Users/{id_}", {"Operations": [{"op": "replace", "value": changes}]})

    async def application_remove(self, id_: str, path: str) -> None:
        await self._by_hand("PATCH", f"Users/{id_}", {"Operations": [{"op": "remove", "path": path}]})

    async def revoke_tokens(self) -> None:
        """Every token but the one for what is done by hand."""
        for token in await self.application.tokens.list():
            if token.id != self.hand_id:
                await self.application.tokens.revoke(token.id)

    async def requests(self) -> int:
        """How often the application was written to by the engine."""
        page = await self.application.events.page(0, limit=1_000_000)
        return sum(event["tokenId"] != self.hand_id for event in page.events)

    async def _held(self, endpoint: str) -> list[dict[str, Any]]:
        listed: dict[str, Any] = await self._by_hand("GET", f"{endpoint}?count=1000")
        assert listed["totalResults"] == len(listed["Resources"])
        found: list[dict[str, Any]] = listed["Resources"]
        return found

    async def _by_hand(self, method: str, path: str, body: Any = None) -> Any:
        transport = httpx.ASGITransport(app=Starlette(routes=self.application.routes()))
        headers = {"Authorization": f"Bearer {self.hand}"}
        async with httpx.AsyncClient(transport=transport, base_url=f"{self.url}/scim/", headers=headers) as http:
            answer = await http.request(method, path, json=body)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None


@asynccontextmanager
async def opened(folder: Path, template: str = "ALVAO", **secrets: str) -> AsyncIterator[World]:
    """A world with an application added, credentials entered and a job created; nothing assigned."""
    application = await ApplicationSide.open(
        folder / "application.db", authorise_admin=lambda header: False, secret_key=bytes(32)
    )
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    faulty = Faulty(Starlette(routes=application.routes()))
    recorder = Recorder(faulty)
    config = uvicorn.Config(recorder, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    world = World(folder, application, f"http://127.0.0.1:{listener.getsockname()[1]}", recorder.sent, faulty)
    try:
        token, _ = await application.tokens.create()
        world.hand, by_hand = await application.tokens.create()
        world.hand_id = by_hand.id
        await world.add_application(token, template, **secrets)
        yield world
    finally:
        await world.side.stop()
        server.should_exit = True
        await serving
        listener.close()
        world.db.close()
        await application.close()


async def joined(world: World) -> tuple[str, str, str]:
    """Ada and Bea of the group Team, provisioned; Cid is not assigned."""
    ada = await world.add_user("ada", jobTitle="Engineer")
    bea = await world.add_user("bea", manager=ada)
    await world.add_user("cid")
    team = await world.add_group("Team", ada, bea)
    await world.assign(team)
    assert await world.run() == {
        "ada": "create success",
        "bea": "create success",
        "cid": "create skipped",
        "Team": "create success",
    }
    return ada, bea, team


def status_of(entry: dict[str, Any]) -> str:
    status: str = entry["provisioningStatusInfo"]["status"]
    return status


def code_of(entry: dict[str, Any]) -> str:
    code: str = entry["provisioningStatusInfo"]["errorInformation"]["errorCode"]
    return code


def _short(entry: dict[str, Any]) -> str:
    details = entry["sourceIdentity"]["details"]
    return _local(details.get("UserPrincipalName") or entry["sourceIdentity"]["displayName"])


def _local(name: str) -> str:
    """A user name without its domain, in lower case; other names as they are."""
    local, at, _ = name.partition("@")
    return local.lower() if at else name
