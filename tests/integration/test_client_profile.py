"""Targets that can do less, and finding that out: PUT only, no filters, one member at a time."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from joiner.net.addresses import checked_addresses
from joiner.provisioning.client.authentication import bearer
from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.client.http import open_exchange
from joiner.provisioning.client.probe import ProbeReport, probe_target
from joiner.provisioning.client.profile import TargetProfile, changed_profile
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.decisions.wire import Dialect
from joiner.scim.core import GROUPS, USERS
from joiner.scim.messages import Operation, parse_patch
from joiner.scim.patches import apply_patch
from tests.local_server import served
from tests.scripted_target import Reply, Script, empty, json, listed, talking_to
from tests.world import World, opened

EQUAL = re.compile(r'(.+) eq "(.*)"')


@dataclass
class SmallTarget:
    """A SCIM target in memory that lacks what its fields say."""

    patches: bool = True
    patches_users: bool = True
    puts_members: bool = True
    """Without it a PUT leaves the members of a group as they are."""
    removes_by: str = "filter and value"
    drops: tuple[str, ...] = ()
    """Attributes that it does not keep."""
    pathless: bool = True
    filters: tuple[str, ...] = ("userName", "externalId", "displayName", 'emails[type eq "work"].value')
    soft_deletes: bool = True
    most_members: int = 1000
    mixes: bool = True
    excludes: bool = True
    paging: str = "index"
    config: dict[str, Any] | None = None
    token: str = "t0ken"
    held: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"/Users": {}, "/Groups": {}})
    calls: list[str] = field(default_factory=list)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix("/scim")
        self.calls.append(f"{request.method} {path}")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return error(401)
        body = orjson.loads(await request.read() or b"null")
        endpoint, _, id_ = path[1:].partition("/")
        if f"/{endpoint}" not in self.held:
            if path == "/ServiceProviderConfig" and self.config is not None:
                return web.json_response(self.config)
            return error(404)
        held = self.held[f"/{endpoint}"]
        body = body and {name: value for name, value in body.items() if name not in self.drops}
        if request.method == "POST":
            made = {**body, "id": str(sum(map(len, self.held.values())) + 1)}
            held[made["id"]] = made
            return web.json_response(made, status=201)
        if not id_:
            return self.list(list(held.values()), request)
        if id_ not in held:
            return error(404)
        verbs = {"GET": self.do_get, "PUT": self.do_put, "PATCH": self.do_patch, "DELETE": self.do_delete}
        return verbs[request.method](f"/{endpoint}", held, id_, body, request)

    def list(self, resources: list[dict[str, Any]], request: web.BaseRequest) -> web.StreamResponse:
        wanted = request.query.get("filter")
        if wanted is not None:
            found = EQUAL.fullmatch(wanted)
            assert found
            if found[1] not in self.filters:
                return error(400, "invalidFilter")
            name, value = found[1].partition("[")[0], found[2]
            resources = [
                each for each in resources if value in (each.get(name), *(e["value"] for e in each.get("emails", ())))
            ]
        start = int(request.query.get("startIndex", 1)) - 1
        if self.paging == "index":
            page = resources[start : start + int(request.query.get("count", 100))]
            return web.json_response(listed(*page, totalResults=len(resources)))
        if self.paging == "cursor":
            start = int(request.query.get("cursor") or 0)
            end = start + int(request.query.get("count", 100))
            following = {"nextCursor": str(end)} if end < len(resources) else {}
            return web.json_response({"resources": resources[start:end], **following})
        return web.json_response(listed(*resources))

    def do_get(self, endpoint: str, held: Any, id_: str, body: Any, request: web.BaseRequest) -> web.StreamResponse:
        excluded = request.query.get("excludedAttributes") if self.excludes else None
        return web.json_response({name: value for name, value in held[id_].items() if name != excluded})

    def do_put(self, endpoint: str, held: Any, id_: str, body: Any, request: web.BaseRequest) -> web.StreamResponse:
        kept = {} if self.puts_members else {"members": held[id_].get("members", [])}
        held[id_] = {**body, **kept, "id": id_}
        return web.json_response(held[id_])

    def do_patch(self, endpoint: str, held: Any, id_: str, body: Any, request: web.BaseRequest) -> web.StreamResponse:
        operations = parse_patch(body)
        if not self.patches or (endpoint == "/Users" and not self.patches_users):
            return error(405)
        if any(self.refuses_removal(each) for each in operations):
            return error(400, "invalidPath")
        if not self.pathless and any(operation.path is None for operation in operations):
            return error(400, "invalidSyntax")
        added = sum(len(each.value) for each in operations if each.verb == "add" and each.path == "members")
        if added > self.most_members or (not self.mixes and len({each.verb for each in operations}) > 1):
            return error(400, "tooMany")
        plain = {name: value for name, value in held[id_].items() if name not in ("id", "schemas")}
        after = apply_patch(USERS if endpoint == "/Users" else GROUPS, plain, operations).resource
        if not self.soft_deletes:
            after.pop("active", None)
        held[id_] = {**after, "id": id_, "schemas": held[id_].get("schemas")}
        return web.Response(status=204)

    def refuses_removal(self, operation: Operation) -> bool:
        if operation.verb != "remove" or not (operation.path or "").startswith("members"):
            return False
        return ("value" if operation.path == "members" else "filter") not in self.removes_by

    def do_delete(self, endpoint: str, held: Any, id_: str, body: Any, request: web.BaseRequest) -> web.StreamResponse:
        del held[id_]
        return web.Response(status=204)


def error(status: int, scim_type: str | None = None) -> web.Response:
    return web.json_response({"status": str(status), "scimType": scim_type, "detail": "no"}, status=status)


@asynccontextmanager
async def talking(small: SmallTarget, **profile: Any) -> AsyncIterator[ScimTarget]:
    addresses = checked_addresses(allow_loopback=True, allow_private=False)
    async with (
        served(small.serve) as port,
        open_exchange(f"http://127.0.0.1:{port}/scim", addresses) as exchange,
    ):
        yield ScimTarget(exchange, authentication=bearer("t0ken"), profile=TargetProfile(**profile))


# A target that can do less


async def test_a_target_that_knows_only_put_is_read_merged_and_written() -> None:
    held = {"id": "1", "userName": "ann", "shoeSize": 38, "meta": {"version": 'W/"1"'}}
    script = Script(json(held), json(held))
    async with talking_to(script, profile=TargetProfile(updates="put")) as target:
        await target.modify("/Users", "1", {"Operations": [{"op": "add", "path": "title", "value": "Cook"}]})
    assert [(seen.method, seen.path) for seen in script.requests] == [
        ("GET", "/scim/Users/1"),
        ("PUT", "/scim/Users/1"),
    ]
    assert script.requests[1].headers["If-Match"] == 'W/"1"'
    assert script.requests[1].body == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "1",
        "userName": "ann",
        "shoeSize": 38,
        "title": "Cook",
    }


async def test_a_put_that_comes_too_late_is_made_anew_from_what_is_there_now() -> None:
    before, after = ({"id": "1", "userName": "ann", "nickName": name} for name in ("a", "b"))
    script = Script(json(before), empty(412), json(after), json(after))
    async with talking_to(script, profile=TargetProfile(updates="put")) as target:
        await target.modify("/Users", "1", {"Operations": [{"op": "add", "path": "title", "value": "Cook"}]})
    assert script.requests[3].body["nickName"] == "b"
    script = Script(json(before), empty(412), json(after), empty(412))
    async with talking_to(script, profile=TargetProfile(updates="put")) as target:
        with pytest.raises(TargetError) as refused:
            await target.modify("/Users", "1", {"Operations": []})
    assert refused.value.is_without_effect
    # The first try may have been what the second one found written.
    script = Script(json(before), empty(503), empty(412), json(after), empty(400))
    async with talking_to(script, profile=TargetProfile(updates="put")) as target:
        with pytest.raises(TargetError) as refused:
            await target.modify("/Users", "1", {"Operations": []})
    assert not refused.value.is_without_effect


async def test_without_filters_accounts_are_found_by_reading_all_of_them_once() -> None:
    small = SmallTarget(filters=())
    small.held["/Users"] = {
        str(number): {"id": str(number), "userName": f"U{number}", "emails": [{"type": "work", "value": f"m{number}"}]}
        for number in range(5)
    }
    async with talking(small, filters=False, page_size=2) as target:
        assert [u["id"] for u in await target.query("/Users", "userName", "u3", case_exact=False)] == ["3"]
        assert await target.query("/Users", "userName", "u3", case_exact=True) == []
        assert [u["id"] for u in await target.query("/Users", WORK, "m4", case_exact=True)] == ["4"]
        assert small.calls == ["GET /Users"] * 3
        made = await target.create("/Users", {"userName": "new"})
        assert [u["id"] for u in await target.query("/Users", "userName", "new", case_exact=True)] == [made]
        await target.modify("/Users", made, {"Operations": [{"op": "replace", "path": "userName", "value": "newer"}]})
        assert await target.query("/Users", "userName", "new", case_exact=True) == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(empty(503), id="an error"),
        pytest.param(lambda: web.Response(status=201, text='{"id": "1", "userN'), id="half an answer"),
        pytest.param(empty(201), id="no id"),
    ],
)
async def test_without_filters_what_a_create_of_unknown_outcome_has_made_is_found(answer: Reply) -> None:
    made = {"id": "1", "userName": "a"}
    script = Script(json({"totalResults": 0}), answer, json({"totalResults": 1, "Resources": [made]}))
    async with talking_to(script, profile=TargetProfile(filters=False)) as target:
        assert await target.query("/Users", "userName", "a", case_exact=True) == []
        with pytest.raises(TargetError):
            await target.create("/Users", {"userName": "a"})
        assert await target.query("/Users", "userName", "a", case_exact=True) == [made]


WORK = 'emails[type eq "work"].value'


async def test_filters_are_used_where_they_work() -> None:
    small = SmallTarget(filters=("userName",))
    small.held["/Users"] = {"1": {"id": "1", "userName": "ann", "externalId": "x"}}
    async with talking(small, filterable=("username",)) as target:
        for attribute, value in (("userName", "ann"), ("externalId", "x")):
            assert len(await target.query("/Users", attribute, value, case_exact=True)) == 1


# Probing


async def probed(small: SmallTarget, dialect: Dialect = Dialect.RFC) -> tuple[dict[str, Any], ProbeReport]:
    async with talking(small) as target:
        report = await probe_target(target, dialect)
    assert small.held == {"/Users": {}, "/Groups": {}}, "everything that was made is deleted again"
    return changed_profile({}, report.changes), report


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ({}, {}),
        ({"patches": False}, {"updates": "put"}),
        ({"pathless": False}, {"pathlessPatch": False}),
        ({"filters": ("userName", "displayName")}, {"filterable": ["userName", "displayName"]}),
        ({"filters": ()}, {"filters": False}),
        ({"soft_deletes": False}, {"softDelete": False}),
        ({"most_members": 1}, {"membersAddedPerPatch": 1, "membersRemovedPerPatch": 1, "mixedMemberChanges": False}),
        ({"mixes": False}, {"mixedMemberChanges": False}),
        ({"excludes": False}, {"excludesAttributes": False}),
        ({"patches_users": False}, {"updates": "put", "memberUpdates": "patch"}),
        ({"patches_users": False, "puts_members": False}, {"updates": "put", "memberUpdates": "patch"}),
        ({"removes_by": "value"}, {"removesMembersBy": "value"}),
        (
            {"patches_users": False, "removes_by": "value"},
            {"updates": "put", "memberUpdates": "patch", "removesMembersBy": "value"},
        ),
        ({"paging": "cursor"}, {"paging": "cursor"}),
        ({"paging": "none"}, {"paging": "none"}),
    ],
)
async def test_a_probe_finds_out_what_a_target_lacks(lacking: dict[str, Any], expected: dict[str, Any]) -> None:
    changes, report = await probed(SmallTarget(**lacking))
    assert changes == expected
    assert report.left_behind == []


async def test_what_was_seen_counts_more_than_what_a_target_says_of_itself() -> None:
    config = {
        "patch": {"supported": False},
        "filter": {"supported": True},
        "pagination": {"index": True, "maxPageSize": 50},
    }
    changes, report = await probed(SmallTarget(config=config))
    assert changes == {"pageSize": 50}
    told = {finding.about: finding for finding in report.findings}
    assert told["ServiceProviderConfig"].outcome == "assumed"
    assert told["Schemas"].outcome == "unknown"
    assert told["PATCH"].outcome == "found"


@pytest.mark.parametrize(("removes_by", "expected"), [("value", {}), ("filter", {"removesMembersBy": "filter"})])
async def test_a_probe_for_a_job_in_the_entra_dialect_tries_its_way_to_remove_members(
    removes_by: str, expected: dict[str, Any]
) -> None:
    assert (await probed(SmallTarget(removes_by=removes_by), Dialect.ENTRA))[0] == expected


async def test_elements_without_a_value_are_not_sent_back_in_a_put() -> None:
    held = {"id": "1", "userName": "ann", "emails": [{"value": "", "primary": True}, {"value": "a@x"}], "tags": [""]}
    script = Script(json(held), json(held))
    async with talking_to(script, profile=TargetProfile(updates="put")) as target:
        await target.modify("/Users", "1", {"Operations": [{"op": "add", "path": "title", "value": "Cook"}]})
    assert (script.requests[1].body["emails"], script.requests[1].body["tags"]) == ([{"value": "a@x"}], [""])


async def test_a_probe_names_the_attributes_that_are_not_kept() -> None:
    changes, report = await probed(SmallTarget(drops=("title", "phoneNumbers")))
    told = {finding.about: finding for finding in report.findings}["attributes"]
    assert (changes, told.outcome) == ({}, "found")
    assert 'not kept as written: title, phoneNumbers[type eq "work"].value;' in told.explanation


async def test_a_probe_sees_that_members_cannot_be_written_at_all() -> None:
    changes, report = await probed(SmallTarget(patches=False, puts_members=False))
    assert changes == {"updates": "put"}
    told = {finding.about: finding.explanation for finding in report.findings}
    assert told["members by PUT"] == "it was accepted, and the group has 0 of 2 members"


async def test_a_probe_says_what_it_could_not_delete() -> None:
    small = SmallTarget()

    def keep(*arguments: Any) -> web.StreamResponse:
        return error(403)

    small.do_delete = keep  # type: ignore[method-assign,assignment] # this target keeps everything
    async with talking(small) as target:
        report = await probe_target(target)
    assert len(report.left_behind) == len(small.held["/Users"]) + len(small.held["/Groups"]) == 4
    assert all("403" in item for item in report.left_behind)


async def test_a_probe_with_refused_credentials_ends_at_once() -> None:
    small = SmallTarget(token="another")
    async with talking(small) as target:
        with pytest.raises(TargetUnusableError):
            await probe_target(target)
    assert len(small.calls) == 1


async def test_our_own_endpoint_needs_nothing_in_its_profile(tmp_path: Any) -> None:
    async with opened(tmp_path) as world:
        report = await world.service.connections.probe_profile(world.job_id)
        assert changed_profile({}, report.changes) == {}
        assert await world.accounts() == {}
        assert {finding.outcome for finding in report.findings} <= {"found", "assumed"}


# Whole cycles into targets that can do less


@pytest.mark.req("REQ-C-016")
@pytest.mark.parametrize(
    ("lacking", "profile"),
    [
        ({"patches": False}, {"updates": "put"}),
        ({"filters": ()}, {"filters": False}),
        ({"most_members": 1, "mixes": False}, {"membersAddedPerPatch": 1, "mixedMemberChanges": False}),
        ({"patches_users": False, "puts_members": False}, {"updates": "put", "memberUpdates": "patch"}),
        ({"removes_by": "value"}, {"removesMembersBy": "value"}),
        ({"paging": "cursor", "excludes": False}, {"paging": "cursor", "excludesAttributes": False}),
    ],
)
async def test_a_cycle_leads_to_the_same_in_a_target_that_can_do_less(
    tmp_path: Any, lacking: dict[str, Any], profile: dict[str, Any]
) -> None:
    small = SmallTarget(**{"filters": ("userName", "externalId", "displayName"), **lacking})
    async with opened(tmp_path) as world, served(small.serve) as port:
        await world.service.connections.put_credentials(
            world.principal_id, [("BaseAddress", f"http://127.0.0.1:{port}/scim"), ("SecretToken", "t0ken")]
        )
        await world.service.connections.change_profile(world.job_id, profile)
        ada = await world.add_user("ada")
        bea = await world.add_user("bea", manager=ada)
        cid = await world.add_user("cid")
        team = await world.add_group("Team", ada, bea)
        await world.assign(team, cid)
        await run_without_failure(world)
        assert members(small) == {"ada", "bea"}
        await world.remove_member(team, ada)
        await world.add_member(team, cid)
        await world.change_user(ada, jobTitle="Director")
        await world.change_user(bea, account_enabled=False)
        await run_without_failure(world)
        assert members(small) == {"bea", "cid"}
        users = {each["userName"].partition("@")[0]: each for each in small.held["/Users"].values()}
        assert (users["bea"]["active"], len(users)) == (False, 3)
        assert users["cid"]["active"] is True
        calls = len(small.calls)
        await run_without_failure(world)
        assert [call for call in small.calls[calls:] if not call.startswith("GET")] == []


async def run_without_failure(world: World) -> None:
    outcomes = await world.run()
    assert world.cycle().state == "succeeded", world.entries()
    assert not [text for text in outcomes.values() if "failure" in text]


def members(small: SmallTarget) -> set[str]:
    [group] = small.held["/Groups"].values()
    names = {each["id"]: each["userName"].partition("@")[0] for each in small.held["/Users"].values()}
    return {names[member["value"]] for member in group.get("members", ())}
