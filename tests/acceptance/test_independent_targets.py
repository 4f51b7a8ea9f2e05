"""The engine and SCIM endpoints that others have written, over real sockets: the life of an application, from the probe
to the last leaver. Between changes nothing is written, whether a cycle looks at everything or not."""

import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.environments import InstallationError
from benchmarks.servers import SERVERS
from benchmarks.target import Target
from joiner.directory import groups, users
from joiner.provisioning.client.profile import changed_profile
from tests.mappings import ENTERPRISE, FLOW_NULL, add_mappings, mapping, open_gates
from tests.planning import actions, make_plan
from tests.services import skipped_if_missing
from tests.world import World, opened

WORK_MAIL = 'emails[type eq "work"].value'
PRIMARY_MAIL = 'emails[primary eq "True"].value'
EVERYBODY = {
    "jobTitle": "Engineer",
    "department": "R&D",
    "companyName": "Fjord",
    "employeeId": "7",
    "city": "Bergen",
    "country": "NO",
    "streetAddress": "Kai 7",
    "telephoneNumber": "+47 55 51 23 45",
    "mobile": "99 88 77 66",
}


@dataclass(frozen=True)
class Kind:
    """An implementation, and what docs/targets.md says that it needs."""

    profile: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the defaults. A probe must find exactly this."""
    keeps: Collection[str] | None = None
    """The target attributes of mappings that it keeps; the other mappings are taken out. None: all."""


KINDS = {
    "joiner": Kind(),
    "scim2-server": Kind(),
    "scimmy": Kind(),
    "django-scim2": Kind(
        {
            "updates": "put",
            "memberUpdates": "patch",
            "removesMembersBy": "value",
            "excludesAttributes": False,
            "filterable": ["userName", "externalId", "displayName"],
        },
        {"userName", "externalId", "active", "name.givenName", "name.familyName", PRIMARY_MAIL},
    ),
}


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    with skipped_if_missing():
        server = SERVERS[request.param](tmp_path)
        try:
            started = server.__enter__()
        except InstallationError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"{request.param} cannot be installed: {error}")
    try:
        yield started
    finally:
        server.__exit__(None, None, None)


@dataclass(frozen=True)
class Side:
    """A directory and its engine, connected to a target."""

    world: World
    target: Target
    kind: Kind
    http: httpx.AsyncClient

    async def cycle(self) -> dict[str, int]:
        """Runs a cycle in which nothing may fail: what it wrote, such as `PATCH /Users`, and how often."""
        before = len(self.world.asked)
        outcomes = await self.world.run()
        assert self.world.cycle().state == "succeeded", self.world.entries()
        assert not [name for name, outcome in outcomes.items() if "failure" in outcome], self.world.entries()
        written: dict[str, int] = {}
        for sent in self.world.asked[before:]:
            if sent.method != "GET":
                name = f"{sent.method} /{sent.path.split('/')[1]}"
                written[name] = written.get(name, 0) + 1
        return written

    async def is_at_rest(self) -> None:
        """Nothing is written by the next cycle, nor by ones that look at everything, with the lists or one by one;
        and a plan finds nothing to do."""
        assert await self.cycle() == {}
        for prefetch in ("on", "off"):
            await self.world.configure(Prefetch=prefetch)
            await self.world.service.restart(self.world.job_id, None)
            assert await self.cycle() == {}
            assert self.world.cycle().kind == "initial"
        await self.world.service.restart(self.world.job_id, None)
        plan = await make_plan(self.world)
        assert actions(self.world, plan.number) == {}
        assert await self.cycle() == {}

    async def held(self, endpoint: str) -> list[dict[str, Any]]:
        answer = await self.http.get(endpoint, params={"count": 100})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json().get("Resources", [])
        return found

    async def holds(self, inactive: Collection[str] = ()) -> None:
        """The target has an account of everybody, with the values of the directory, and the groups' members."""
        accounts = {account["externalId"]: account for account in await self.held("/Users")}
        people = users.users_page(self.world.db.reader, "", 100)
        known = {person.id: accounts[person.id]["id"] for person in people}
        assert len(accounts) == len(people)
        for person in people:
            name = person.user_principal_name.partition("@")[0]
            wanted = {
                "userName": person.user_principal_name,
                "active": name not in inactive,
                "name.givenName": person.attributes["givenName"],
                PRIMARY_MAIL: person.attributes.get("mail"),
                WORK_MAIL: person.attributes.get("mail"),
                "title": person.attributes.get("jobTitle"),
                "mobile": person.attributes.get("mobile"),
                "city": person.attributes.get("city"),
                "department": person.attributes.get("department"),
                "manager": known.get(person.manager_id or ""),
            }
            shown = values_of(accounts[person.id])
            kept = wanted.keys() & (self.kind.keeps or wanted.keys() - {PRIMARY_MAIL})
            assert {key: shown[key] for key in kept} == {key: wanted[key] for key in kept}, name

    async def members(self) -> dict[str, set[str]]:
        names = {account["id"]: account["userName"].partition("@")[0] for account in await self.held("/Users")}
        return {
            group["displayName"]: {names[member["value"]] for member in group.get("members") or ()}
            for group in await self.held("/Groups")
        }


def values_of(account: dict[str, Any]) -> dict[str, Any]:
    def element(attribute: str, **wanted: Any) -> dict[str, Any]:
        return next((each for each in account.get(attribute) or () if wanted.items() <= each.items()), {})

    enterprise = account.get(ENTERPRISE) or {}
    return {
        "userName": account["userName"],
        "active": account["active"],
        "name.givenName": account["name"]["givenName"],
        PRIMARY_MAIL: element("emails", primary=True).get("value") or None,
        WORK_MAIL: element("emails", type="work").get("value"),
        "title": account.get("title"),
        "mobile": element("phoneNumbers", type="mobile").get("value"),
        "city": element("addresses", type="work").get("locality"),
        "department": enterprise.get("department"),
        "manager": (enterprise.get("manager") or {}).get("value"),
    }


@asynccontextmanager
async def connected(folder: Path, target: Target, kind: Kind) -> AsyncIterator[Side]:
    url = f"http://{target.host}:{target.port}{target.prefix}"
    headers = {"Authorization": f"Bearer {target.token}"}
    async with (
        opened(folder, BaseAddress=url, SecretToken=target.token) as world,
        httpx.AsyncClient(base_url=url, headers=headers) as http,
    ):
        await world.set_schema(lambda document: adapt(document, kind.keeps))
        yield Side(world, target, kind, http)


def adapt(document: dict[str, Any], keeps: Collection[str] | None) -> None:
    """Lets two values be cleared, and leaves only mappings that write what is kept."""
    open_gates(document, "city", "department")
    of_users = document["synchronizationRules"][0]["objectMappings"][0]
    for each in of_users["attributeMappings"]:
        if each["source"]["name"] in ("city", "department"):
            each.update(FLOW_NULL)
    if keeps is not None:
        add_mappings(document, mapping(PRIMARY_MAIL, "[mail]"), **{PRIMARY_MAIL: {"type": "String"}})
        of_users["attributeMappings"] = [
            each for each in of_users["attributeMappings"] if each["targetAttributeName"] in keeps
        ]


async def populate(world: World) -> dict[str, str]:
    """Nine people, Ada above six of them, in three groups; name → id."""
    ids = {"ada": await world.add_user("ada", **EVERYBODY, mail="ada@fjord.example")}
    for name in ("bea", "cid", "dan", "eve", "fay", "gus", "o'hara"):
        ids[name] = await world.add_user(name, manager=ids["ada"], **EVERYBODY, mail=f"{name}@fjord.example")
    ids["hal"] = await world.add_user("hal")
    people = {"Team": ("ada", "bea", "cid", "hal"), "Crew & Co": ("dan", "eve", "o'hara"), "Nobody": ()}
    for name, members in people.items():
        ids[name] = await world.add_group(name, *(ids[member] for member in members))
    await world.assign(*(ids[name] for name in (*people, "fay", "gus")))
    return ids


async def change(world: World, ids: Mapping[str, str]) -> None:
    """A rename, values that change, come and go, managers and members that move, a group with another name."""
    await world.change_user(
        ids["ada"],
        user_principal_name="ada.berg@fjord.example",
        mail="ada.berg@fjord.example",
        givenName="Ada Marie",
        jobTitle="Director",
        city=None,
    )
    await world.change_user(ids["hal"], **EVERYBODY, mail="hal@fjord.example", manager_id=ids["bea"])
    await world.change_user(ids["cid"], manager_id=ids["bea"], department=None, mobile="11 22 33 44")
    await world.change_user(ids["dan"], manager_id=None)
    await world.remove_member(ids["Team"], ids["cid"])
    await world.add_member(ids["Team"], ids["dan"])
    await world.add_member(ids["Nobody"], ids["cid"])

    def rename(connection: Any, now: str) -> None:
        group = groups.group_by_id(connection, ids["Crew & Co"])
        groups.update_group(connection, type(group)(**{**as_fields(group), "display_name": "Crew"}), now)

    await world.directory.change(rename)


def as_fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


async def let_go(world: World, ids: Mapping[str, str]) -> None:
    """One is disabled, one unassigned, one deleted in the directory; so is a group."""
    await world.change_user(ids["bea"], account_enabled=False)
    await world.unassign(ids["fay"])
    await world.directory.change(lambda c, now: users.delete_user(c, ids["gus"], now))
    await world.directory.change(lambda c, now: groups.delete_group(c, ids["Nobody"], now))


@pytest.mark.parametrize(("target", "kind"), KINDS.items(), ids=KINDS, indirect=["target"])
async def test_a_probe_finds_out_what_an_application_needs(target: Target, kind: Kind, tmp_path: Path) -> None:
    async with connected(tmp_path, target, kind) as side:
        report = await side.world.service.connections.probe_profile(side.world.job_id)
        assert report.left_behind == []
        assert changed_profile({}, report.changes) == kind.profile
        assert (await side.held("/Users"), await side.held("/Groups")) == ([], [])


@pytest.mark.req("REQ-C-006", "REQ-C-017", "REQ-C-028", "REQ-C-038", "REQ-P-055")
@pytest.mark.parametrize(
    ("target", "kind", "profile"),
    [
        *((name, kind, kind.profile) for name, kind in KINDS.items()),
        *((name, kind, {"updates": "put", "pageSize": 2}) for name, kind in KINDS.items() if not kind.profile),
    ],
    ids=[*KINDS, *(f"{name}-put" for name, kind in KINDS.items() if not kind.profile)],
    indirect=["target"],
)
async def test_an_application_is_kept_in_step_and_written_to_only_where_something_differs(
    target: Target, kind: Kind, profile: Mapping[str, Any], tmp_path: Path
) -> None:
    async with connected(tmp_path, target, kind) as side:
        world = side.world
        await world.service.connections.change_profile(world.job_id, profile)
        ids = await populate(world)
        written = await side.cycle()
        assert (written["POST /Users"], written["POST /Groups"]) == (9, 3)
        await side.holds()
        teams = {"Team": {"ada", "bea", "cid", "hal"}, "Crew & Co": {"dan", "eve", "o'hara"}, "Nobody": set()}
        assert await side.members() == teams
        await side.is_at_rest()

        await change(world, ids)
        written = await side.cycle()
        assert not [name for name in written if name.startswith(("POST", "DELETE"))]
        await side.holds()
        teams = {"Team": {"ada.berg", "bea", "dan", "hal"}, "Crew": {"dan", "eve", "o'hara"}, "Nobody": {"cid"}}
        assert await side.members() == teams
        await side.is_at_rest()

        await let_go(world, ids)
        written = await side.cycle()
        assert written.pop("DELETE /Groups") == 1
        assert [name for name in written if not name.endswith("/Users")] == []
        await side.holds(inactive={"bea", "fay", "gus", "cid"})
        assert (await side.members()).keys() == {"Team", "Crew"}
        await side.is_at_rest()

        await world.change_user(ids["bea"], account_enabled=True)
        await world.assign(ids["fay"])
        await world.directory.change(lambda c, now: users.purge_user(c, ids["gus"], now))
        assert (await side.cycle())["DELETE /Users"] == 1
        await side.holds(inactive={"cid"})
        # The application may have dropped Bea from her group meanwhile: a restart writes the membership once more.
        await world.service.restart(world.job_id, None)
        [again] = await side.cycle()
        assert again in ("PATCH /Groups", "PUT /Groups")
        assert await side.members() == {"Team": {"ada.berg", "bea", "dan", "hal"}, "Crew": {"dan", "eve", "o'hara"}}
        await side.is_at_rest()
