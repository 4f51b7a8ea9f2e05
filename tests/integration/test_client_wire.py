"""What really goes over the wire in each dialect, seen between the engine and its sockets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.scripted_target import Script, empty, json, listed, talking_to
from tests.world import Asked, World, opened

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
FLAGS = {"entra": "?AzureAdScimPatch2017", "entra-compliant": "?aadOptscim062020", "rfc": ""}


async def changed(folder: Path, flag: str, **profile: Any) -> tuple[Sequence[Asked], Sequence[Asked], Sequence[Asked]]:
    """The requests of a create of users and a group, of a change of all of them, and of a cycle without changes."""
    async with opened(folder) as world:
        token, _ = await world.application.tokens.create()
        address = f"{world.url}/scim/{flag}"
        await world.service.put_credentials(world.principal_id, [("BaseAddress", address), ("SecretToken", token)])
        await world.service.change_profile(world.job_id, profile)
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
    assert all("excludedAttributes=members" in each for each in queries if each.startswith("/Groups"))
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
        results = await world.service.test_connection(world.principal_id, "alvaoScim", None)
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
