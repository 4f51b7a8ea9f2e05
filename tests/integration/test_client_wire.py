"""What really goes over the wire in each dialect, seen between the engine and its sockets."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from joiner.clock import system_clock
from joiner.net.addresses import checked_addresses
from joiner.provisioning.client.connection import connection_of
from joiner.provisioning.client.pool import TargetPool, over_sockets
from joiner.provisioning.client.profile import DEFAULT_PROFILE
from tests.local_server import served
from tests.scripted_target import Script, empty, json, listed, talking_to
from tests.world import Asked, World, code_of, opened

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
FLAGS = {"entra": "?AzureAdScimPatch2017", "entra-compliant": "?aadOptscim062020", "rfc": ""}


async def changed(folder: Path, flag: str, **profile: Any) -> tuple[Sequence[Asked], Sequence[Asked], Sequence[Asked]]:
    """The requests of a create of users and a group, of a change of all of them, and of a cycle without changes."""
    async with opened(folder) as world:
        token, _ = await world.application.tokens.create()
        address = f"{world.url}/scim/{flag}"
        await world.service.connections.put_credentials(
            world.principal_id, [("BaseAddress", address), ("SecretToken", token)]
        )
        await world.service.connections.change_profile(world.job_id, profile)
        ada = await world.add_user("ada", department="Research", mail="ada@fjord.example")
        bea = await world.add_user("bea", manager=ada)
        team = await world.add_group("Team", ada, bea)
        await world.assign(team)
        created = await sent(world)
        await world.change_user(ada, department="Sales", mail="a.dahl@fjord.example", jobTitle="Cook")
        await world.change_user(bea, account_enabled=False, manager_id=None)
        await world.remove_member(team, bea)
        return created, await sent(world), await sent(world)


async def sent(world: World) -> Sequence[Asked]:
    """What one cycle sends."""
    before = len(world.asked)
    await world.run()
    assert world.cycle().state == "succeeded"
    return world.asked[before:]


def operations(requests: Sequence[Asked], endpoint: str) -> list[dict[str, Any]]:
    return [
        operation
        for request in requests
        if request.method == "PATCH" and request.path.startswith(endpoint)
        for operation in request.body["Operations"]
    ]


def operation_on(listed: list[dict[str, Any]], path: str) -> dict[str, Any]:
    [found] = [operation for operation in listed if operation.get("path") == path]
    return found


@pytest.mark.parametrize("dialect", FLAGS)
async def test_creates_of_entra_say_their_type_and_name_its_own_schema_of_groups(tmp_path: Path, dialect: str) -> None:
    created, _, _ = await changed(tmp_path, FLAGS[dialect])
    bodies = {each.path: each.body for each in created if each.method == "POST"}
    own = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
    assert [bodies[path].get("meta") for path in ("/Users", "/Groups")] == (
        [None, None] if dialect == "rfc" else [{"resourceType": "User"}, {"resourceType": "Group"}]
    )
    assert (own in bodies["/Groups"]["schemas"]) is (dialect != "rfc")
    assert own not in bodies["/Users"]["schemas"]


@pytest.mark.parametrize("dialect", FLAGS)
async def test_the_media_type_is_written_as_in_the_dialect(dialect: str) -> None:
    seen = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers["Content-Type"])
        return web.json_response({"id": "1"}, status=201)

    addresses = checked_addresses(allow_loopback=True, allow_private=False)
    pool = TargetPool(over_sockets(addresses), system_clock, asyncio.sleep, lambda: 1.0)
    async with served(answer) as port, contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        address = f"http://127.0.0.1:{port}/scim/{FLAGS[dialect]}"
        connection = connection_of({"BaseAddress": address, "SecretToken": "t"})
        target = await stack.enter_async_context(pool.lend(connection, DEFAULT_PROFILE))
        await target.create("/Users", {"userName": "a"})
    assert seen == ["application/scim+json" + ("" if dialect == "rfc" else "; charset=utf-8")]


@pytest.mark.req("REQ-C-009", "REQ-C-012", "REQ-C-013")
async def test_entra_writes_capital_verbs_booleans_as_text_and_one_operation_an_attribute(tmp_path: Path) -> None:
    _, changes, _ = await changed(tmp_path, FLAGS["entra"])
    users, groups = operations(changes, "/Users"), operations(changes, "/Groups")
    assert {each["op"] for each in users + groups} <= {"Add", "Replace", "Remove"}
    assert all(each.get("path") for each in users)
    assert operation_on(users, "active")["value"] == "False"
    assert operation_on(users, 'emails[type eq "work"].value')["value"] == "a.dahl@fjord.example"
    assert operation_on(users, f"{ENTERPRISE}:department")["value"] == "Sales"
    removal = operation_on(groups, "members")
    assert removal["op"] == "Remove"
    assert len(removal["value"]) == 1


@pytest.mark.req("REQ-C-010", "REQ-C-012", "REQ-C-013")
async def test_the_compliant_dialect_writes_objects_without_path_and_removes_members_by_filter(tmp_path: Path) -> None:
    _, changes, _ = await changed(tmp_path, FLAGS["entra-compliant"])
    users, groups = operations(changes, "/Users"), operations(changes, "/Groups")
    assert {each["op"] for each in users + groups} <= {"add", "replace", "remove"}
    together = {name: value for each in users if "path" not in each for name, value in each["value"].items()}
    assert together["active"] is False
    assert together[f"{ENTERPRISE}:department"] == "Sales"
    assert operation_on(users, 'emails[type eq "work"].value')["value"] == "a.dahl@fjord.example"
    [removal] = groups
    assert removal["path"].startswith('members[value eq "')


@pytest.mark.req("REQ-C-011", "REQ-C-012", "REQ-C-013")
async def test_the_rfc_dialect_writes_a_valid_path_for_every_operation(tmp_path: Path) -> None:
    created, changes, _ = await changed(tmp_path, FLAGS["rfc"])
    users = operations(changes, "/Users")
    assert all(each["op"] in ("add", "replace", "remove") and each["path"] for each in users)
    assert operation_on(users, "active")["value"] is False
    [ada] = [each.body for each in created if each.method == "POST" and "ada" in str(each.body)]
    assert [each["value"] for each in ada["emails"] if each["type"] == "work"] == ["ada@fjord.example"]
    assert ada[ENTERPRISE]["department"] == "Research"


@pytest.mark.req("REQ-C-002", "REQ-C-006", "REQ-C-014", "REQ-C-015", "REQ-C-016")
@pytest.mark.parametrize("dialect", FLAGS)
async def test_objects_are_asked_for_created_and_then_referred_to(tmp_path: Path, dialect: str) -> None:
    created, changes, nothing = await changed(tmp_path, FLAGS[dialect])
    queries = [each.path for each in created if each.method == "GET"]
    assert any(each.startswith("/Users?filter=") and " eq " in each for each in queries)
    of_groups = [each for each in queries if each.startswith("/Groups")]
    assert of_groups
    assert all("excludedAttributes=members" in each for each in of_groups)
    posts = [each for each in created if each.method == "POST"]
    assert len(posts) == 3
    assert not any("members" in each.body or "manager" in each.body.get(ENTERPRISE, {}) for each in posts)
    last_post = max(created.index(each) for each in posts)
    references = [created.index(each) for each in created if each.method == "PATCH"]
    assert references
    assert min(references) > last_post
    assert [each for each in nothing if each.method != "GET"] == []
    for request in (*created, *changes, *nothing):
        assert "aadOptscim062020" not in request.path
        assert "AzureAdScimPatch2017" not in request.path


async def test_the_dialect_may_stand_in_the_profile_where_the_tenant_url_has_no_flag(tmp_path: Path) -> None:
    _, changes, _ = await changed(tmp_path, "", dialect="entra")
    assert operation_on(operations(changes, "/Users"), "active")["value"] == "False"


async def test_parameters_of_the_tenant_url_go_with_every_request_once() -> None:
    script = Script(json(listed()), json({"id": "1"}), empty(204))
    async with talking_to(script, query="tenant=fjord&region=eu%20north") as target:
        await target.query("/Users", "userName", "a", case_exact=True)
        await target.read("/Users", "1")
        await target.modify("/Users", "1", {})
    own = "tenant=fjord&region=eu%20north"
    assert [each.raw_query for each in script.requests] == [f"filter=userName%20eq%20%22a%22&{own}", own, own]


@pytest.mark.req("REQ-C-001", "REQ-P-004")
async def test_test_connection_asks_for_a_user_and_a_group_that_cannot_exist(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        results = await world.service.connections.test_connection(world.principal_id, "alvaoScim", None)
        assert [(each.name.partition(" (")[0], each.problem) for each in results] == [
            ("connection", None),
            ("credentials", None),
            ("query for a user", None),
            ("query for a group", None),
        ]
        users, groups = (request.path for request in world.asked)
        assert users.startswith("/Users?filter=")
        assert groups.startswith("/Groups?filter=displayName eq ")
        assert groups.endswith("&excludedAttributes=members")


# From matching to creating


@pytest.mark.req("REQ-C-003", "REQ-C-004", "REQ-C-007", "REQ-C-008")
async def test_who_is_not_found_is_created_who_is_found_is_updated_and_then_read_by_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        held = await world.application_add(userName="bea@fjord.example", externalId="bea", active=True)
        ada, bea = await world.add_user("ada"), await world.add_user("bea")
        await world.assign(ada, bea)
        first = await sent(world)
        [post] = [each for each in first if each.method == "POST"]
        assert post.body["userName"] == "ada@fjord.example"
        assert None not in post.body.values()
        assert "" not in post.body.values()
        assert "title" not in post.body, "the directory has none"
        assert [each.path for each in first if each.method == "PATCH"] == [f"/Users/{held}"]
        await world.change_user(bea, jobTitle="Cook")
        second = await sent(world)
        # The first two ask for nobody, to find out whether the credentials still work.
        assert [(each.method, each.path) for each in second[2:]] == [
            ("GET", f"/Users/{held}"),
            ("PATCH", f"/Users/{held}"),
        ]
        [operation] = second[3].body["Operations"]
        assert (operation["path"], operation["value"]) == ("title", "Cook")


@pytest.mark.req("REQ-C-003")
async def test_nothing_is_written_for_whom_several_are_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        ada = await world.add_user("ada", mailNickname="ada")
        for number in (1, 2):
            await world.application_add(userName=f"ada{number}@fjord.example", externalId=ada)
        await world.set_schema(lambda document: match_by(document, "externalId", "[objectId]"))
        await world.assign(ada)
        assert await world.run() == {"ada": "other failure"}
        assert {each.method for each in world.asked} == {"GET"}
        assert world.entries()["ada"]["provisioningStatusInfo"]["errorInformation"]["errorCode"] == (
            "DuplicateTargetEntries"
        )


def match_by(document: dict[str, Any], target: str, source: str) -> None:
    """Lets users be matched by one attribute alone."""
    for flow in document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]:
        flow["matchingPriority"] = int(flow["targetAttributeName"] == target)
        if flow["targetAttributeName"] == target:
            flow["source"] = {**flow["source"], "expression": source, "name": source.strip("[]"), "type": "Attribute"}


@pytest.mark.req("REQ-C-028")
async def test_what_a_create_made_is_looked_for_where_the_answer_does_not_tell(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        world.created = b""
        ada = await world.add_user("ada")
        team = await world.add_group("Team", ada)
        await world.assign(ada, team)
        assert await world.run() == {"ada": "create success", "Team": "create success"}
        assert await world.held_groups() == {"Team": {"ada"}}
        posted = [number for number, each in enumerate(world.asked) if each.method == "POST"]
        assert all(" eq " in world.asked[number + 1].path for number in posted)


async def test_a_create_that_is_answered_with_somebody_elses_account_is_an_error_of_the_object(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        world.created = b'{"id": "7"}'
        ada, bea = await world.add_user("ada"), await world.add_user("bea")
        await world.assign(ada, bea)
        outcomes = await world.run()
        assert sorted(outcomes.values()) == ["create failure", "create success"]
        [failed] = [name for name, outcome in outcomes.items() if "failure" in outcome]
        assert code_of(world.entries()[failed]) == "DuplicateSourceEntries"
        cid = await world.add_user("cid")
        await world.assign(cid)
        assert (await world.run())["cid"] == "create failure"


@pytest.mark.req("REQ-P-068")
async def test_who_is_gone_from_the_application_is_created_anew_only_once_links_are_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        ada = await world.add_user("ada")
        await world.assign(ada)
        await world.run()
        old = (await world.accounts())["ada"]["id"]
        await world.application_delete(old)
        await world.change_user(ada, jobTitle="Cook")
        before = len(world.asked)
        assert await world.run() == {"ada": "update failure"}
        assert [(each.method, each.path) for each in world.asked[before + 2 :]] == [("GET", f"/Users/{old}")]
        await world.service.restart(world.job_id, "Full")
        asked = (await sent(world))[2:]
        assert asked[0].path.startswith("/Users?filter=")
        assert asked[-1].method == "POST"
        assert (await world.accounts())["ada"]["id"] != old


@pytest.mark.req("REQ-C-026")
async def test_a_conflict_is_reported_and_matched_anew_in_the_next_cycle_without_a_loop(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        # Matched by another attribute, the account is not found, and its name is taken.
        await world.set_schema(lambda document: match_by(document, "externalId", "[objectId]"))
        held = await world.application_add(userName="ada@fjord.example", externalId="by hand")
        ada = await world.add_user("ada")
        await world.assign(ada)
        assert await world.run() == {"ada": "create failure"}
        assert world.entries()["ada"]["provisioningStatusInfo"]["errorInformation"]["errorCode"] == "Conflict"
        assert [each.method for each in world.asked].count("POST") == 1
        await world.application_change(held, externalId=ada)
        assert await world.run() == {"ada": "update success"}
        assert [each.method for each in world.asked].count("POST") == 1


@pytest.mark.req("REQ-C-027")
async def test_an_incremental_cycle_asks_only_for_what_changed_and_a_restart_for_everybody(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        people = [await world.add_user(name) for name in ("ada", "bea", "cid")]
        await world.assign(*people)
        await sent(world)
        await world.change_user(people[1], jobTitle="Cook")
        incremental = await sent(world)
        assert len([each for each in incremental[2:] if each.method == "GET"]) == 1
        await world.service.restart(world.job_id, None)
        again = await sent(world)
        assert len([each for each in again[2:] if each.method == "GET"]) == 3
        assert {each.method for each in again} == {"GET"}
