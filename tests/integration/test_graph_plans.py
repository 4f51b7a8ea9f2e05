"""Plans through the API, and who may make and apply them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from joiner.directory.api_keys import ApiKeys, Principal
from joiner.graph.endpoint import graph_routes
from joiner.graph.plans import PlanRoutes
from tests.world import World, opened

ROLES = {"Bearer root": Principal("root", "admin"), "Bearer eye": Principal("eye", "reader")}


class Api:
    """A world, and its API from the job on."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self.world = world
        self.http = http
        self.job = f"/servicePrincipals/{world.principal_id}/synchronization/jobs/{world.job_id}"

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, key: str = "root") -> Any:
        content = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {key}"}
        answer = await self.http.request(method, f"{self.job}/{path}", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def plan(self, body: Any = None, path: str = "joiner.plan") -> dict[str, Any]:
        begun = await self.ask("POST", path, body or {}, 202)
        await self.world.side.planning.wait()
        found: dict[str, Any] = await self.ask("GET", f"joiner.plans/{begun['number']}")
        return found


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path) as world:
        side = world.side
        plans = PlanRoutes(world.service, side.planning, side.drift_checks, side.schemas)
        routes = graph_routes(world.directory, ApiKeys(world.db, world.clock), lambda h: ROLES[h or ""], plans.routes())
        transport = httpx.ASGITransport(app=Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="https://graph.example/v1.0") as http:
            yield Api(world, http)


async def test_a_plan_is_made_listed_paged_compared_applied_and_deleted(api: Api) -> None:
    people = [await api.world.add_user(name) for name in ("ada", "bea", "cid")]
    await api.world.assign(*people)
    first = await api.plan()
    assert (first["number"], first["state"], first["hasChanges"]) == (1, "ready", True)
    assert first["madeBy"]["displayName"] == "root"
    page = await api.ask("GET", "joiner.plans/1/items?$top=2&$filter=action eq 'create'")
    rest = await api.http.get(page["@odata.nextLink"], headers={"Authorization": "Bearer root"})
    assert sorted(item["objectId"] for item in page["value"] + rest.json()["value"]) == sorted(people)
    await api.world.change_user(people[0], jobTitle="Engineer")
    await api.world.unassign(people[1])
    second = await api.plan({"kind": "initial"})
    comparison = await api.ask("GET", f"joiner.plans/{second['number']}/comparison/1")
    told = {name: [item["name"][:3] for item in comparison[name]["items"]] for name in ("new", "gone", "different")}
    assert told == {"new": [], "gone": ["bea"], "different": ["ada"]}
    begun = await api.ask("POST", "joiner.apply", {"plan": 2, "items": ["ada@fjord.example"]}, 202)
    await api.world.engine.wait(begun["cycleId"])
    report = await api.ask("GET", "joiner.plans/2/report")
    assert report == {"states": {"planned": 1, "sent": 1}, "refused": []}
    assert (await api.ask("GET", "joiner.plans/2"))["appliedBy"]["displayName"] == "root"
    assert [each["number"] for each in (await api.ask("GET", "joiner.plans"))["value"]] == [2, 1]
    await api.ask("DELETE", "joiner.plans/2", status=204)
    await api.ask("GET", "joiner.plans/2", status=404)
    assert (await api.plan())["number"] == 3


async def test_saving_a_schema_can_be_planned_without_saving_it(api: Api) -> None:
    world = api.world
    await world.assign(await world.add_user("ada", department="Sales"), await world.add_user("bea", department="IT"))
    await world.run()
    document = json.loads(world.side.schemas.text(world.job_id))
    clause = {"sourceOperandName": "department", "operatorName": "EQUALS", "targetOperandValue": None}
    clause["targetOperand"] = {"values": ["IT"]}  # type: ignore[assignment] # JSON
    document["synchronizationRules"][0]["objectMappings"][0]["scope"] = {
        "groups": [{"name": "IT only", "clauses": [clause]}]
    }
    before = world.side.schemas.text(world.job_id)
    plan = await api.plan(document, "schema/joiner.plan")
    assert plan["summary"]["counts"]["User"] == {"disable": 1}
    assert plan["summary"]["causes"][0]["text"].startswith("the filter is not passed: IT only department EQUALS")
    assert plan["schemaVersion"] is None
    assert world.side.schemas.text(world.job_id) == before
    error = await api.ask("POST", "joiner.apply", {"plan": plan["number"]}, 409)
    assert "save that first" in error["error"]["message"]
    document["synchronizationRules"] = []
    await api.ask("POST", "schema/joiner.plan", document, 400)


async def test_going_back_to_a_version_or_to_the_template_can_be_planned(api: Api) -> None:
    world = api.world
    await world.assign(await world.add_user("ada", jobTitle="Engineer"))
    await world.run()
    document = json.loads(world.side.schemas.text(world.job_id))
    mappings = document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    next(each for each in mappings if each["targetAttributeName"] == "title")["source"] = {
        "expression": '"Boss"', "name": "Boss", "type": "Constant", "parameters": [],
    }  # fmt: skip
    await world.side.schemas.replace(world.job_id, document)
    await world.run()
    before = world.side.schemas.text(world.job_id)
    for option in ("joiner.version=v1.0", "joiner.template=true"):
        plan = await api.plan(None, f"schema/joiner.plan?{option}")
        item = (await api.ask("GET", f"joiner.plans/{plan['number']}/items"))["value"][0]
        assert item["changes"] == [{"displayName": "title", "oldValue": "Boss", "newValue": "Engineer"}]
    assert world.side.schemas.text(world.job_id) == before
    await api.ask("POST", "schema/joiner.plan?joiner.version=v9.9", {}, 404)


async def test_another_scope_can_be_planned_without_changing_it(api: Api) -> None:
    world = api.world
    await world.service.connections.put_credentials(world.principal_id, [("SyncAll", "true")])
    await world.assign(await world.add_user("ada"))
    await world.add_user("bea")
    await world.run()
    plan = await api.plan({"scope": "assigned"})
    assert plan["summary"]["counts"]["User"] == {"disable": 1}
    error = await api.ask("POST", "joiner.apply", {"plan": plan["number"]}, 409)
    assert "save that first" in error["error"]["message"]
    assert (await api.plan({"kind": "initial"}))["hasChanges"] is False
    await api.ask("POST", "joiner.plan", {"scope": "some"}, 400)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "joiner.plan", {}), ("POST", "joiner.apply", {"plan": 1}), ("DELETE", "joiner.plans/1", None)],
)
async def test_readers_look_at_plans_and_make_none(api: Api, method: str, path: str, body: Any) -> None:
    await api.plan()
    await api.ask(method, path, body, 403, key="eye")
    await api.ask("GET", "joiner.plans/1", key="eye")


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("joiner.plan", {"kind": "both"}, "kind must be"),
        ("joiner.plan", {"kind": ["initial"]}, "kind must be"),
        ("joiner.apply", {"plan": "1"}, "plan must be the number"),
        ("joiner.apply", {"plan": 2**63}, "plan must be the number"),
        ("joiner.apply", {"plan": 1, "items": "ada"}, "items must be a list"),
        ("joiner.apply", {"plan": 1, "allowDeletes": "yes"}, "allowDeletes must be"),
    ],
)
async def test_what_cannot_be_understood_is_refused_in_words(api: Api, path: str, body: Any, told: str) -> None:
    assert told in (await api.ask("POST", path, body, 400))["error"]["message"]
