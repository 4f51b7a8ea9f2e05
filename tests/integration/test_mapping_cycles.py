"""What mappings make a cycle send, from a real directory over a real socket."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from joiner.directory.model import AppRole
from joiner.errors import InvalidStateError
from joiner.provisioning.job import cycles
from tests.mappings import ENTERPRISE, FLOW_NULL, add_mappings, mapping, open_gates
from tests.world import World, code_of, joined

CLERK = AppRole(id="06b07648-5ee6-4b8c-8a5b-0a2a2f4b1c01", display_name="The clerks", value="Clerk")
BUYER = AppRole(id="06b07648-5ee6-4b8c-8a5b-0a2a2f4b1c02", display_name="Buyer", value="Buyer")
REDUNDANT = "other skipped"
ROLES = {"multivalued": True}


async def with_mappings(world: World, *mappings: Mapping[str, Any], **definitions: Mapping[str, Any]) -> None:
    await world.set_schema(lambda document: add_mappings(document, *mappings, **definitions))


def object_mapping(number: int, **members: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["synchronizationRules"][0]["objectMappings"][number].update(members)

    return change


def operations(world: World) -> list[Mapping[str, Any]]:
    """Those of the latest PATCH."""
    found: list[Mapping[str, Any]] = [sent for sent in world.sent if sent.method == "PATCH"][-1].body["Operations"]
    return found


# Kinds, defaults, flow types


@pytest.mark.req("REQ-P-010", "REQ-P-011", "REQ-P-012")
async def test_defaults_and_create_only_mappings_are_sent_by_creates_and_not_by_updates(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await with_mappings(
        world,
        mapping("title", "[jobTitle]", defaultValue="Newcomer"),
        mapping("nickName", '"fixed"'),
        mapping("userType", None, defaultValue="Employee"),
        mapping("locale", 'Append([displayName], "-once")', flowType="ObjectAddOnly"),
        nickName={}, userType={}, locale={},
    )  # fmt: skip
    await world.run()
    account = (await world.accounts())["ada"]
    held = [account[name] for name in ("title", "nickName", "userType", "locale")]
    assert held == ["Newcomer", "fixed", "Employee", "Ada-once"]
    await world.application_change(account["id"], title="Boss", userType="Guest")
    await world.change_user(ada, displayName="Ada D.")
    assert await world.run() == {"ada": "update success"}
    assert operations(world) == [{"op": "replace", "path": "displayName", "value": "Ada D."}]
    account = (await world.accounts())["ada"]
    assert [account[name] for name in ("title", "userType", "locale")] == ["Boss", "Guest", "Ada-once"]


@pytest.mark.req("REQ-P-010")
async def test_a_mapping_of_kind_none_fills_what_is_empty(world: World) -> None:
    await world.application_add(userName="ada@fjord.example", displayName="Ada", active=True)
    await world.assign(await world.add_user("ada"))
    await with_mappings(world, mapping("userType", None, defaultValue="Employee"), userType={})
    await world.run()
    assert (await world.accounts())["ada"]["userType"] == "Employee"


@pytest.mark.req("REQ-P-010")
async def test_a_mapping_that_always_flows_is_written_at_every_evaluation(world: World) -> None:
    ada = await world.add_user("ada", jobTitle="Boss")
    await world.assign(ada)
    await with_mappings(world, mapping("title", "[jobTitle]", flowBehavior="FlowAlways"))
    await world.run()
    await world.service.restart(world.job_id, None)
    assert await world.run() == {"ada": "update success"}
    assert operations(world) == [{"op": "replace", "path": "title", "value": "Boss"}]


@pytest.mark.req("REQ-P-014")
async def test_a_value_that_the_directory_loses_is_cleared_if_both_gates_are_open(world: World) -> None:
    ada = await world.add_user("ada", jobTitle="Boss", department="D")
    await world.assign(ada)

    def change(document: dict[str, Any]) -> None:
        department = f"{ENTERPRISE}:department"
        add_mappings(document, mapping("title", "[jobTitle]", **FLOW_NULL), mapping(department, "[department]"))
        open_gates(document, "jobTitle", "department")

    await world.set_schema(change)
    await world.run()
    await world.change_user(ada, jobTitle=None, department=None)
    assert await world.run() == {"ada": "update success"}
    assert operations(world) == [{"op": "remove", "path": "title"}]
    account = (await world.accounts())["ada"]
    assert "title" not in account
    assert account[ENTERPRISE]["department"] == "D"
    (cleared,) = world.entries()["ada"]["modifiedProperties"]
    assert (cleared["displayName"], cleared["oldValue"], cleared["newValue"]) == ("title", "Boss", None)


async def test_a_custom_extension_is_written_and_compared(world: World) -> None:
    urn = "urn:ietf:params:scim:schemas:extension:Acme:2.0:User"
    await world.assign(await world.add_user("ada", employeeId="7"))
    await with_mappings(world, mapping(f"{urn}:badge", "[employeeId]"), **{f"{urn}:badge": {}})
    await world.run()
    body = world.sent[0].body
    assert body[urn] == {"badge": "7"}
    assert urn not in body["schemas"]
    pairs = [("ListExtensionSchemas", "True")]
    await world.service.connections.put_credentials(world.principal_id, pairs)
    await world.assign(await world.add_user("bea", employeeId="8"))
    await world.run()
    assert urn in world.sent[-1].body["schemas"]


@pytest.mark.req("REQ-P-019")
async def test_a_guest_is_created_and_matched_by_the_name_of_its_home(world: World) -> None:
    guest = await world.add_user("dana_north.example#EXT#")
    await world.assign(guest)
    await world.run()
    assert world.sent[0].body["userName"] == "dana@north.example"
    await world.service.restart(world.job_id, "Full")
    (outcome,) = (await world.run()).values()
    assert (outcome, len(await world.accounts())) == (REDUNDANT, 1)


@pytest.mark.req("REQ-C-011")
async def test_the_rfc_dialect_suits_an_application_that_keeps_to_the_rfc(world: World) -> None:
    await world.application.connections.change("default", {"profile": "strict"})
    await world.declare_roles(CLERK, BUYER)
    ada = await world.add_user("ada")
    bea = await world.add_user("bea")
    await world.assign(ada, bea, role=CLERK.id)
    path = 'roles[primary eq "True"].value'
    await with_mappings(world, mapping(path, "SingleAppRoleAssignment([appRoleAssignments])"), **{path: {}})
    await world.run()
    await world.change_user(ada, mobile="1", city="Oslo", country="NO", department="D", manager_id=bea)
    await world.unassign(ada, CLERK.id)
    await world.assign(ada, role=BUYER.id)
    await world.change_user(bea, account_enabled=False)
    assert await world.run() == {"ada": "update success", "bea": "disable success"}
    account = (await world.accounts())["ada"]
    assert account["phoneNumbers"] == [{"type": "mobile", "value": "1"}]
    assert account["addresses"] == [{"type": "work", "locality": "Oslo", "region": "NO"}]
    assert account["roles"] == [{"primary": True, "type": "WindowsAzureActiveDirectoryRole", "value": "Buyer"}]
    assert account[ENTERPRISE]["department"] == "D"
    assert account[ENTERPRISE]["manager"]["value"] == (await world.accounts())["bea"]["id"]


# Flow types of the object


@pytest.mark.req("REQ-P-021")
async def test_without_create_the_known_are_updated_and_nobody_is_created(world: World) -> None:
    await world.application_add(userName="ada@fjord.example", displayName="A", active=True)
    await world.assign(await world.add_user("ada"), await world.add_user("bea"))
    await world.set_schema(object_mapping(0, flowTypes="Update,Delete"))
    assert await world.run() == {"ada": "update success", "bea": "create skipped"}
    assert set(await world.accounts()) == {"ada"}


@pytest.mark.req("REQ-P-022")
async def test_without_update_no_patch_is_sent_neither_to_disable_nor_for_references(world: World) -> None:
    ada = await world.add_user("ada")
    bea = await world.add_user("bea", manager=ada)
    await world.assign(ada, bea, await world.add_group("Team", ada, bea))
    for number in (0, 1):
        await world.set_schema(object_mapping(number, flowTypes="Add, Delete"))
    await world.run()
    await world.change_user(ada, displayName="Other", account_enabled=False)
    await world.run()
    assert {sent.method for sent in world.sent} == {"POST"}
    assert (await world.accounts())["ada"]["active"] is True


@pytest.mark.req("REQ-P-022", "REQ-P-090")
async def test_who_leaves_without_update_is_not_managed_any_more(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.set_schema(object_mapping(0, flowTypes="Add, Delete"))
    await world.run()
    await world.unassign(ada)
    assert await world.run() == {"ada": "disable skipped"}
    await world.change_user(ada, displayName="Other")
    assert await world.run() == {"ada": REDUNDANT}
    assert len(world.sent) == 1


@pytest.mark.req("REQ-P-023")
async def test_without_delete_a_group_that_is_unassigned_stays(world: World) -> None:
    team = await world.add_group("Team")
    await world.assign(team)
    await world.set_schema(object_mapping(1, flowTypes="Add, Update"))
    await world.run()
    await world.unassign(team)
    assert await world.run() == {"Team": "delete skipped"}
    assert set(await world.held_groups()) == {"Team"}


# Matching


@pytest.mark.req("REQ-P-110")
async def test_a_group_without_a_matching_value_is_not_provisioned_nor_are_its_members_written(world: World) -> None:
    def by_mail_nickname(document: dict[str, Any]) -> None:
        flows = document["synchronizationRules"][0]["objectMappings"][1]["attributeMappings"]
        (flow,) = (flow for flow in flows if flow["targetAttributeName"] == "displayName")
        flow["source"] = {"type": "Attribute", "name": "mailNickname", "expression": "[mailNickname]", "parameters": []}

    await world.set_schema(by_mail_nickname)
    team = await world.add_group("Team", await world.add_user("ada"))
    await world.assign(team)
    assert await world.run() == {"ada": "create success", "Team": "other skipped"}
    assert code_of(world.entries()["Team"]) == "ImportSkipped"
    assert [sent for sent in world.sent if sent.path.startswith("/Groups")] == []


@pytest.mark.req("REQ-P-067", "REQ-P-063")
async def test_who_lacks_the_first_matching_value_is_matched_by_the_second(world: World) -> None:
    await world.application_add(userName="ada@fjord.example", externalId="x", displayName="Ada", active=True)
    await world.assign(await world.add_user("ada"))
    await with_mappings(world, mapping("externalId", "[employeeId]", matchingPriority=1))
    assert await world.run() == {"ada": "update success"}
    assert len(await world.accounts()) == 1


# Mappings that are off


@pytest.mark.req("REQ-P-024")
async def test_with_the_group_mapping_off_members_are_provisioned_and_no_group_is(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(await world.add_group("Team", ada))
    await world.set_schema(lambda document: switch(document, groups=False))
    assert await world.run() == {"ada": "create success"}
    assert not [asked.path for asked in world.asked if asked.path.startswith("/Groups")]


def switch(document: dict[str, Any], *, users: bool = True, groups: bool = True) -> None:
    """Turns the mappings on or off."""
    for number, is_on in enumerate((users, groups)):
        document["synchronizationRules"][0]["objectMappings"][number]["enabled"] = is_on


async def test_with_the_group_mapping_off_groups_stay_linked_and_as_they_are(world: World) -> None:
    _, bea, team = await joined(world)
    await world.set_schema(lambda document: switch(document, groups=False))
    await world.remove_member(team, bea)
    await world.unassign(team)
    world.asked.clear()
    await world.run()
    await world.service.restart(world.job_id, None)
    await world.run()
    assert not [asked.path for asked in world.asked if asked.path.startswith("/Groups")]
    assert await world.held_groups() == {"Team": {"ada", "bea"}}
    await world.assign(team)
    await world.set_schema(switch)
    await world.service.restart(world.job_id, None)
    assert (await world.run())["Team"] == "update success"
    assert await world.held_groups() == {"Team": {"ada"}}


async def test_with_the_user_mapping_off_no_member_and_no_manager_is_written(world: World) -> None:
    ada, bea, team = await joined(world)
    await world.set_schema(lambda document: switch(document, users=False))
    await world.remove_member(team, bea)
    await world.change_user(ada, manager_id=bea)
    world.sent.clear()
    await world.run()
    assert world.sent == []
    await world.set_schema(switch)
    await world.service.restart(world.job_id, None)
    await world.run()
    assert await world.held_groups() == {"Team": {"ada"}}
    assert (await world.accounts())["ada"][ENTERPRISE]["manager"]["value"] == (await world.accounts())["bea"]["id"]


# Failures


async def test_a_mapping_that_fails_names_itself_and_nothing_of_the_object_is_written(world: World) -> None:
    ada = await world.add_user("ada", jobTitle="Boss")
    await world.assign(ada)
    await with_mappings(world, mapping("title", "Item([jobTitle], [employeeId])"))
    assert await world.run() == {"ada": "create failure"}
    error = world.entries()["ada"]["provisioningStatusInfo"]["errorInformation"]
    assert error["errorCode"] == "InternalError"
    assert "the mapping of title failed: " in error["reason"]
    assert "Item([jobTitle], [employeeId])" in error["reason"]
    assert world.sent == []
    # It is tried again by itself, and at once when its source changes.
    assert await world.run() == {"ada": "create failure"}
    await world.change_user(ada, employeeId="1")
    assert await world.run() == {"ada": "create success"}
    assert (await world.accounts())["ada"]["title"] == "Boss"
    await world.change_user(ada, employeeId="9", displayName="Other")
    assert await world.run() == {"ada": "update failure"}
    assert (await world.accounts())["ada"]["displayName"] == "Ada"


async def test_a_value_that_does_not_fit_its_type_names_value_and_type(world: World) -> None:
    await world.assign(await world.add_user("ada", jobTitle="Boss"))
    await with_mappings(world, mapping("title", "[jobTitle]"), title={"type": "Integer"})
    await world.run()
    reason = world.entries()["ada"]["provisioningStatusInfo"]["errorInformation"]["reason"]
    assert reason == "the mapping of title failed: 'Boss' is not an Integer, in [jobTitle]"


async def test_a_required_attribute_without_value_fails_a_create_and_not_an_update(world: World) -> None:
    await world.application_add(userName="bea@fjord.example", displayName="B", active=True)
    await world.assign(await world.add_user("ada"), await world.add_user("bea"))
    await with_mappings(world, mapping("title", "[jobTitle]"), title={"required": True})
    assert await world.run() == {"ada": "create failure", "bea": "update success"}
    assert code_of(world.entries()["ada"]) == "MandatoryFieldsMissing"


async def test_an_object_filter_leaves_objects_alone(world: World) -> None:
    await world.assign(await world.add_user("ada", jobTitle="Robot"), await world.add_user("bea"))
    filtering = mapping("objectFilter", 'IIF([jobTitle] = "Robot", IgnoreObjectFlow, IgnoreAttributeFlow)')
    await with_mappings(world, filtering)
    assert await world.run() == {"ada": "create skipped", "bea": "create success"}
    assert "objectFilter" not in world.sent[0].body


# Unique values


async def test_objects_of_one_page_never_get_the_same_unique_value(world: World) -> None:
    rival = await world.application_add(userName="x@fjord.example", nickName="DAHL", displayName="X", active=True)
    names = 'SelectUniqueValue(ToLower([surname]), Append([surname], "2"), Append([surname], "3"))'
    unique = mapping("nickName", names, flowType="ObjectAddOnly")
    await with_mappings(world, unique, nickName={})
    for name in ("ada", "bea", "cid"):
        await world.assign(await world.add_user(name))
    outcome = await world.run()
    assert sorted(outcome.values()) == ["create failure", "create success", "create success"]
    accounts = await world.accounts()
    assert sorted(account["nickName"] for account in accounts.values()) == ["DAHL", "Dahl2", "Dahl3"]
    (loser,) = (name for name, result in outcome.items() if result == "create failure")
    reason = world.entries()[loser]["provisioningStatusInfo"]["errorInformation"]["reason"]
    assert "every value that it may take exists in the target already: 'dahl', 'Dahl2', 'Dahl3'" in reason
    await world.application_delete(rival)
    assert await world.run() == {loser: "create success"}
    assert (await world.accounts())[loser]["nickName"] == "dahl"


# Roles


@pytest.mark.req("REQ-P-034")
async def test_roles_of_all_assignments_arrive_in_their_order_and_stay_when_they_are_only_added(world: World) -> None:
    await world.declare_roles(CLERK, BUYER)
    ada = await world.add_user("ada")
    team = await world.add_group("Team", ada)
    await world.assign(team, role=BUYER.id)
    await world.assign(ada, role=CLERK.id)
    await with_mappings(world, mapping("roles", "AppRoleAssignmentsComplex([appRoleAssignments])"), roles=ROLES)
    await world.run()
    assert [role["value"] for role in world.sent[0].body["roles"]] == ["Buyer", "Clerk"]
    await world.unassign(ada, CLERK.id)
    assert (await world.run())["ada"] == REDUNDANT
    assert [role["value"] for role in (await world.accounts())["ada"]["roles"]] == ["Buyer", "Clerk"]


@pytest.mark.req("REQ-P-034")
async def test_asserted_roles_are_taken_away_again(world: World) -> None:
    await world.declare_roles(CLERK, BUYER)
    ada = await world.add_user("ada")
    await world.assign(ada, role=CLERK.id)
    await world.assign(ada, role=BUYER.id)
    await with_mappings(
        world, mapping("roles", "AssertiveAppRoleAssignmentsComplex([appRoleAssignments])"), roles=ROLES
    )
    await world.run()
    await world.unassign(ada, BUYER.id)
    assert await world.run() == {"ada": "update success"}
    (operation,) = operations(world)
    assert (operation["op"], operation["path"]) == ("replace", "roles")
    assert [role["value"] for role in (await world.accounts())["ada"]["roles"]] == ["Clerk"]


@pytest.mark.req("REQ-P-034", "REQ-P-111")
async def test_in_the_entra_dialect_a_role_is_json_in_a_text_and_not_sent_twice(world: World) -> None:
    token, _ = await world.application.tokens.create()
    await world.service.connections.put_credentials(
        world.principal_id,
        [("BaseAddress", f"{world.url}/scim/?AzureAdScimPatch2017"), ("SecretToken", token)],
    )
    await world.declare_roles(CLERK, BUYER)
    ada = await world.add_user("ada")
    await world.assign(ada, role=CLERK.id)
    await with_mappings(world, mapping("roles", "AppRoleAssignmentsComplex([appRoleAssignments])"), roles=ROLES)
    await world.run()
    await world.assign(ada, role=BUYER.id)
    assert await world.run() == {"ada": "update success"}
    text = orjson.dumps({"id": BUYER.id, "value": "Buyer", "displayName": "Buyer"}).decode()
    assert operations(world) == [{"op": "Add", "path": "roles", "value": [{"value": text}]}]
    await world.service.restart(world.job_id, None)
    assert await world.run() == {"ada": REDUNDANT}


async def test_a_single_role_follows_its_assignment(world: World) -> None:
    await world.declare_roles(CLERK, BUYER)
    ada = await world.add_user("ada")
    await world.assign(ada, role=CLERK.id)
    path = 'roles[primary eq "True"].value'
    await with_mappings(world, mapping(path, "SingleAppRoleAssignment([appRoleAssignments])"), **{path: {}})
    await world.run()
    assert world.sent[0].body["roles"] == [
        {"primary": True, "value": "The clerks", "type": "WindowsAzureActiveDirectoryRole"}
    ]
    await world.unassign(ada, CLERK.id)
    await world.assign(ada, role=BUYER.id)
    assert await world.run() == {"ada": "update success"}
    assert [role["value"] for role in (await world.accounts())["ada"]["roles"]] == ["Buyer"]


@pytest.mark.req("REQ-P-033")
async def test_role_functions_and_sync_all_do_not_go_together(world: World) -> None:
    await world.declare_roles(CLERK)
    await world.assign(await world.add_user("ada"), role=CLERK.id)
    await with_mappings(world, mapping("roles", "AppRoleAssignmentsComplex([appRoleAssignments])"), roles=ROLES)
    await world.run()
    await world.service.connections.put_credentials(world.principal_id, [("SyncAll", "true")])
    for begin in (world.service.start, world.service.run_now):
        with pytest.raises(InvalidStateError, match="app roles"):
            await begin(world.job_id)
    # A cycle that begins all the same has no roles to read.
    await world.add_user("bea")
    position = world.directory.feed_position()
    cycle = await world.db.write(lambda c: cycles.begin_cycle(c, world.job_id, position, world.clock()))
    await world.engine.run(cycle.id)
    await world.engine.wait(cycle.id)
    accounts = await world.accounts()
    assert "roles" not in accounts["bea"]
    assert [role["value"] for role in accounts["ada"]["roles"]] == ["Clerk"]


# References


async def test_managers_that_no_mapping_writes_are_left_alone(world: World) -> None:
    boss = await world.add_user("boss")
    await world.assign(boss, await world.add_user("ada", manager=boss))

    def change(document: dict[str, Any]) -> None:
        users = document["synchronizationRules"][0]["objectMappings"][0]
        users["attributeMappings"] = [
            each for each in users["attributeMappings"] if not each["targetAttributeName"].endswith(":manager")
        ]

    await world.set_schema(change)
    await world.run()
    assert world.cycle().state == "succeeded"
    assert {sent.method for sent in world.sent} == {"POST"}


@pytest.mark.req("REQ-P-111")
async def test_the_entra_dialect_writes_a_manager_by_its_bare_id(world: World) -> None:
    token, _ = await world.application.tokens.create()
    await world.service.connections.put_credentials(
        world.principal_id,
        [("BaseAddress", f"{world.url}/scim/?AzureAdScimPatch2017"), ("SecretToken", token)],
    )
    boss = await world.add_user("boss")
    await world.assign(boss, await world.add_user("ada", manager=boss))
    await world.run()
    accounts = await world.accounts()
    assert operations(world) == [{"op": "Add", "path": f"{ENTERPRISE}:manager", "value": accounts["boss"]["id"]}]
    assert accounts["ada"][ENTERPRISE]["manager"]["value"] == accounts["boss"]["id"]
