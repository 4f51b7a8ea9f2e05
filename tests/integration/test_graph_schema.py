"""Schema documents through the Graph-shaped API: read, replaced, restored, rolled back, discovered, tried out."""

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from joiner.provisioning.document.text import read_document, write_document
from tests.job_api import opened_api
from tests.world import World

RULE = "synchronizationRules[0].objectMappings[0]"


class Api:
    """A world, and its API from the job's schema on."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self.world = world
        self.http = http
        self.base = f"/servicePrincipals/{world.principal_id}/synchronization"
        self.schema = f"{self.base}/jobs/{world.job_id}/schema"

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        content = body if isinstance(body, str | None) else json.dumps(body)
        answer = await self.http.request(method, path, content=content)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def text(self) -> str:
        return (await self.http.get(self.schema)).text

    async def document(self) -> dict[str, Any]:
        return read_document(await self.text())

    async def change(self, edit: Any, status: int = 204) -> Any:
        """PUTs the document after `edit(its user mapping)`."""
        document = await self.document()
        edit(document["synchronizationRules"][0]["objectMappings"][0])
        return await self.ask("PUT", self.schema, write_document(document), status)

    async def run(self) -> str:
        """Runs a cycle; its kind."""
        cycle = await self.world.service.run_now(self.world.job_id)
        await self.world.engine.wait(cycle.id)
        return cycle.kind


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened_api(tmp_path) as it:
        yield Api(it.world, it.http)


def titles(mapping: dict[str, Any]) -> dict[str, Any]:
    """The mapping to `title`."""
    return next(flow for flow in mapping["attributeMappings"] if flow["targetAttributeName"] == "title")


def set_title(expression: str) -> Any:
    def edit(mapping: dict[str, Any]) -> None:
        titles(mapping)["source"] = {"type": "Function", "expression": expression}

    return edit


@pytest.mark.req("REQ-P-142", "REQ-P-143")
async def test_importing_the_exported_document_changes_neither_the_document_nor_the_target(api: Api) -> None:
    ada = await api.world.add_user("ada")
    await api.world.assign(ada)
    await api.run()
    before, accounts = await api.text(), await api.world.accounts()
    await api.ask("PUT", api.schema, before, 204)
    assert await api.text() == before
    assert await api.run() == "initial"
    assert await api.world.accounts() == accounts
    assert len((await api.ask("GET", f"{api.schema}/joiner.versions"))["value"]) == 1


async def test_a_document_with_foreign_members_and_numbers_comes_back_as_it_was_sent(api: Api) -> None:
    document = await api.document()
    document["@odata.context"] = "https://graph.microsoft.com/v1.0/$metadata#x"
    document["directories"][0]["objects"][0]["attributes"][0]["apiExpressions"] = [{"key": "a", "value": "$.b"}]
    document["synchronizationRules"][0]["objectMappings"][0]["apiExpression"] = None
    text = write_document(document)[:-1] + ',"numbers":[1.50,1E3,12345678901234567890123,-0]}'
    await api.ask("PUT", api.schema, text, 204)
    stored = await api.text()
    assert stored == text.replace('"version":"v1.0"', '"version":"v1.1"', 1)
    await api.ask("PUT", api.schema, stored, 204)
    assert await api.text() == stored


@pytest.mark.req("REQ-P-017", "REQ-P-047", "REQ-P-143")
async def test_several_edits_cause_one_initial_cycle(api: Api) -> None:
    assert [await api.run(), await api.run()] == ["initial", "incremental"]
    await api.change(set_title("ToUpper([jobTitle])"))
    await api.change(set_title("ToLower([jobTitle])"))
    assert [await api.run(), await api.run()] == ["initial", "incremental"]
    assert (await api.document())["version"] == "v1.2"


@pytest.mark.req("REQ-P-047")
async def test_a_new_filter_disables_linked_users_who_do_not_pass_it(api: Api) -> None:
    ada, bea = await api.world.add_user("ada", city="Oslo"), await api.world.add_user("bea", city="Bergen")
    await api.world.assign(ada, bea)
    await api.run()
    clause = {"sourceOperandName": "city", "operatorName": "EQUALS", "targetOperand": {"values": ["Oslo"]}}
    await api.change(lambda mapping: mapping.update(scope={"groups": [{"name": "Oslo", "clauses": [clause]}]}))
    assert await api.run() == "initial"
    accounts = await api.world.accounts()
    assert (accounts["ada"]["active"], accounts["bea"]["active"]) == (True, False)


@pytest.mark.req("REQ-P-143")
async def test_a_cycle_that_runs_ends_on_the_old_document_and_the_next_one_is_initial(api: Api) -> None:
    ada = await api.world.add_user("ada", jobTitle="Chief")
    await api.world.assign(ada)
    cycle = await api.world.service.run_now(api.world.job_id)
    # The cycle's task has not had its first turn yet.
    await api.change(set_title('Append([jobTitle], "!")'))
    await api.world.engine.wait(cycle.id)
    assert (await api.world.accounts())["ada"]["title"] == "Chief"
    assert [await api.run(), await api.run()] == ["initial", "incremental"]
    assert (await api.world.accounts())["ada"]["title"] == "Chief!"


@pytest.mark.req("REQ-P-144")
async def test_an_invalid_document_is_refused_as_a_whole_with_every_problem(api: Api) -> None:
    before = await api.text()

    def spoil(mapping: dict[str, Any]) -> None:
        set_title("Upper([jobTitle])")(mapping)
        mapping["attributeMappings"][0]["flowType"] = "Sometimes"
        mapping["attributeMappings"][1]["targetAttributeName"] = "nosuch"

    error = (await api.change(spoil, 400))["error"]
    assert error["code"] == "InvalidSchema"
    assert [detail["target"] for detail in error["details"]] == [
        f"{RULE}.attributeMappings",
        f"{RULE}.attributeMappings[0].flowType",
        f"{RULE}.attributeMappings[1].targetAttributeName",
        f"{RULE}.attributeMappings[4].source.expression",
    ]
    assert "did you mean 'ToUpper'" in error["details"][3]["message"]
    assert await api.text() == before
    assert await api.run() == "initial"
    for body in ("[]", "{", '"x"', '{"a": "\\ud800"}'):
        await api.ask("PUT", api.schema, body, 400)
    await api.ask("PUT", api.schema, '{"a":"' + "x" * 8 * 1024 * 1024 + '"}', 413)
    await api.ask("PUT", api.schema, '{"a":' * 500 + "1" + "}" * 500, 400)
    assert await api.text() == before


@pytest.mark.req("REQ-P-015", "REQ-P-016")
async def test_the_rules_of_mappings_are_kept(api: Api) -> None:
    def without(name: str) -> Any:
        def edit(mapping: dict[str, Any]) -> None:
            flows = mapping["attributeMappings"]
            mapping["attributeMappings"] = [flow for flow in flows if flow["targetAttributeName"] != name]

        return edit

    def to_id(mapping: dict[str, Any]) -> None:
        titles(mapping)["targetAttributeName"] = "id"

    long = (await api.change(set_title(f'Append([jobTitle], "{"x" * 10_000}")'), 400))["error"]["message"]
    assert "10,000 characters" in long
    assert "requires the mapping to 'active'" in (await api.change(without("active"), 400))["error"]["message"]
    assert "'id' is the anchor" in (await api.change(to_id, 400))["error"]["message"]
    await api.change(without("title"))


async def test_flags_that_clients_cannot_send_keep_their_stored_value(api: Api) -> None:
    def only_adds(mapping: dict[str, Any]) -> None:
        mapping["flowTypes"] = "Add"

    def without_flags(mapping: dict[str, Any]) -> None:
        del mapping["flowTypes"]

    await api.change(only_adds)
    await api.change(without_flags)
    assert (await api.document())["synchronizationRules"][0]["objectMappings"][0]["flowTypes"] == "Add"
    await api.ask("PATCH", api.schema, await api.document(), 204)


async def test_the_text_of_a_source_wins_and_its_tree_is_built_anew(api: Api) -> None:
    def edit(mapping: dict[str, Any]) -> None:
        titles(mapping)["source"]["expression"] = 'Append([jobTitle], "!")'
        mapping["attributeMappings"][5]["source"] = {"type": "Attribute", "name": "mail", "own": 1}

    untouched = (await api.document())["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][2]
    await api.change(edit)
    flows = (await api.document())["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    assert flows[4]["source"]["name"] == "Append"
    assert [parameter["key"] for parameter in flows[4]["source"]["parameters"]] == ["source", "suffix"]
    assert flows[5]["source"] == {"type": "Attribute", "name": "mail", "own": 1, "expression": "[mail]"}
    assert flows[2] == untouched


@pytest.mark.req("REQ-P-018")
async def test_restoring_the_defaults_resets_mappings_and_filters(api: Api) -> None:
    template = await api.ask("GET", f"{api.base}/templates/alvaoScim/schema")

    def edit(mapping: dict[str, Any]) -> None:
        set_title("ToUpper([jobTitle])")(mapping)
        clause = {"sourceOperandName": "city", "operatorName": "IS NOT NULL"}
        mapping["scope"] = {"groups": [{"name": "a", "clauses": [clause]}]}

    await api.change(edit)
    await api.run()
    await api.ask("DELETE", api.schema, status=204)
    restored = await api.document()
    assert restored["synchronizationRules"] == template["synchronizationRules"]
    assert restored["id"] == api.world.job_id
    assert await api.run() == "initial"


async def test_an_earlier_version_can_be_read_and_become_the_present_one(api: Api) -> None:
    first = await api.document()
    await api.change(set_title("ToUpper([jobTitle])"))
    versions = (await api.ask("GET", f"{api.schema}/joiner.versions"))["value"]
    assert [(each["version"], each["reason"]) for each in versions] == [("v1.1", "replaced"), ("v1.0", "template")]
    assert await api.ask("GET", f"{api.schema}/joiner.versions/v1.0") == first
    await api.ask("POST", f"{api.schema}/joiner.rollBack", {"version": "v1.0"}, 204)
    assert await api.document() == {**first, "version": "v1.2"}
    await api.ask("POST", f"{api.schema}/joiner.rollBack", {"version": "v9.9"}, 404)
    await api.ask("POST", f"{api.schema}/joiner.rollBack", {}, 400)


async def test_a_document_is_checked_without_being_saved(api: Api) -> None:
    document = await api.document()
    before = await api.text()
    mapping = document["synchronizationRules"][0]["objectMappings"][0]
    set_title("ToUpper([jobTilte])")(mapping)
    result = await api.ask("POST", f"{api.schema}/joiner.check", document)
    assert result["errors"] == []
    assert [problem["path"] for problem in result["warnings"]] == [f"{RULE}.attributeMappings[4].source.expression"]
    assert "did you mean 'jobTitle'" in result["warnings"][0]["message"]
    assert [(each["kind"], each["what"], each["before"], each["after"]) for each in result["changes"]] == [
        ("changed", "mapping to title", "[jobTitle]", "ToUpper([jobTilte])")
    ]
    assert await api.text() == before


@pytest.mark.req("REQ-P-033")
async def test_role_functions_and_the_scope_of_everybody_exclude_each_other(api: Api) -> None:
    roles = set_title("SingleAppRoleAssignment([appRoleAssignments])")
    sync_all = {"value": [{"key": "SyncAll", "value": "true"}]}
    await api.ask("PUT", f"{api.base}/secrets", sync_all, 204)
    assert "there are none" in (await api.change(roles, 400))["error"]["message"]
    await api.ask("PUT", f"{api.base}/secrets", {"value": [{"key": "SyncAll", "value": "false"}]}, 204)
    await api.change(roles)
    await api.ask("PUT", f"{api.base}/secrets", sync_all, 204)
    await api.ask("POST", f"{api.base}/jobs/{api.world.job_id}/start", status=409)


async def test_a_mapping_with_a_function_of_another_service_is_kept_and_not_carried_out(api: Api) -> None:
    ada = await api.world.add_user("ada", jobTitle="Chief")
    await api.world.assign(ada)
    await api.change(set_title("DNComponent([jobTitle], 1)"))
    assert titles((await api.document())["synchronizationRules"][0]["objectMappings"][0])["source"]["expression"] == (
        "DNComponent([jobTitle], 1)"
    )
    await api.run()
    account = (await api.world.accounts())["ada"]
    assert "title" not in account
    assert account["displayName"] == "Ada"


async def test_directories_show_the_attributes_of_both_sides(api: Api) -> None:
    source, target = (await api.ask("GET", f"{api.schema}/directories"))["value"]
    assert (source["name"], target["name"]) == ("Azure Active Directory", "ALVAO")
    assert await api.ask("GET", f"{api.schema}/directories/{target['id']}") == target
    await api.ask("GET", f"{api.schema}/directories/nothing", status=404)


@pytest.mark.req("REQ-C-030")
async def test_discovering_adds_what_the_target_has_and_takes_nothing_away(api: Api) -> None:
    source, target = (await api.ask("GET", f"{api.schema}/directories"))["value"]
    await api.run()
    found = await api.ask("POST", f"{api.schema}/directories/{target['id']}/discover")
    users = found["objects"][0]["attributes"]
    known = target["objects"][0]["attributes"]
    assert users[: len(known)] == known
    added = {attribute["name"]: attribute for attribute in users[len(known) :]}
    assert added["nickName"]["type"] == "String"
    assert 'emails[type eq "home"].value' in added
    assert "name.middleName" in added
    assert "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division" in added
    assert not {"id", "meta", "password", "userName", "manager"} & added.keys()
    assert found["discoveryDateTime"].startswith("2024-05-06")
    assert await api.ask("GET", f"{api.schema}/directories/{target['id']}") == found
    assert await api.run() == "incremental", "attribute lists alone change nothing for anybody"
    again = await api.ask("POST", f"{api.schema}/directories/{target['id']}/discover")
    assert len(again["objects"][0]["attributes"]) == len(users)
    await api.ask("POST", f"{api.schema}/directories/{source['id']}/discover", status=409)
    await api.world.revoke_tokens()
    error = await api.ask("POST", f"{api.schema}/directories/{target['id']}/discover", status=400)
    assert error["error"]["code"] == "DiscoveryFailed"


async def test_operators_and_functions_are_listed_with_what_they_take(api: Api) -> None:
    for base in (api.schema, f"{api.base}/templates/alvaoScim/schema"):
        operators = {each["id"]: each for each in (await api.ask("GET", f"{base}/filterOperators"))["value"]}
        assert len(operators) == 14
        assert operators["IS NULL"]["arity"] == "Unary"
        assert operators["Greater_Than"] == {
            "id": "Greater_Than",
            "name": "Greater_Than",
            "arity": "Binary",
            "multivaluedComparisonType": "All",
            "supportedAttributeTypes": ["Integer"],
        }
        functions = {each["name"]: each for each in (await api.ask("GET", f"{base}/functions"))["value"]}
        assert functions["Append"]["parameters"][1] == {
            "name": "suffix",
            "required": True,
            "allowMultipleOccurrences": False,
            "type": "String",
        }


@pytest.mark.parametrize("base", ["{api.schema}", "{api.base}/templates/alvaoScim/schema"])
async def test_an_expression_is_parsed_and_evaluated_for_test_attributes(api: Api, base: str) -> None:
    path = f"{base.format(api=api)}/parseExpression"

    async def attempt(expression: str, target: Any = None, **properties: Any) -> dict[str, Any]:
        pairs = [{"key": key, "value": value, "value@odata.type": "#String"} for key, value in properties.items()]
        body = {
            "expression": expression,
            "targetAttributeDefinition": target,
            "testInputObject": {"definition": None, "properties": pairs},
        }
        answer: dict[str, Any] = await api.ask("POST", path, body)
        return answer

    answer = await attempt('Switch([IsSoftDeleted], , "False", "True", "True", "False")', IsSoftDeleted="false")
    assert (answer["parsingSucceeded"], answer["evaluationSucceeded"], answer["error"]) == (True, True, None)
    assert answer["evaluationResult"] == ["True"], "the source's Boolean, given as text"
    assert answer["parsedExpression"]["parameters"][0]["key"] == "source"
    roles = await attempt("SingleAppRoleAssignment([appRoleAssignments])", appRoleAssignments=["User"])
    assert roles["evaluationResult"] == ["User"]
    assert (await attempt('Split("a,b", ",")'))["evaluationResult"] == ["a", "b"]
    assert (await attempt("[nothing]"))["evaluationResult"] == []
    assert (await attempt('"1"', {"name": "x", "type": "Boolean"}))["evaluationResult"] == ["True"]
    wrong = await attempt('"perhaps"', {"name": "x", "type": "Boolean"})
    assert (wrong["parsingSucceeded"], wrong["evaluationSucceeded"]) == (True, False)
    assert "is not a Boolean" in wrong["error"]["message"]
    assert len((await attempt("Guid()"))["evaluationResult"][0]) == 36
    assert (await attempt("Now()"))["evaluationSucceeded"]
    broken = await attempt("Append([a]")
    assert (broken["parsingSucceeded"], broken["parsedExpression"]) == (False, None)
    unread = await api.ask("POST", path, {"expression": "[a]"})
    assert (unread["parsingSucceeded"], unread["evaluationSucceeded"], unread["evaluationResult"]) == (True, False, [])
    await api.ask("POST", path, {}, 400)
    await api.ask("POST", path, {"expression": "[a]", "testInputObject": {"properties": [5]}}, 400)
    await api.ask("POST", path, {"expression": "[a]", "targetAttributeDefinition": {"type": "x"}}, 400)


async def test_schemas_of_jobs_of_other_applications_are_not_found(api: Api) -> None:
    other = await api.ask("POST", "/applicationTemplates/alvao/instantiate", {"displayName": "Second"}, 201)
    foreign = f"/servicePrincipals/{other['servicePrincipal']['id']}/synchronization/jobs/{api.world.job_id}/schema"
    for method, path in (("GET", foreign), ("PUT", foreign), ("DELETE", foreign), ("GET", f"{foreign}/directories")):
        await api.ask(method, path, copy.deepcopy({}), 404)
