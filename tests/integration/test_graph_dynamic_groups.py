"""Dynamic groups as Graph's clients make, read and change them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.graph_client import ORIGIN, Graph, opened_graph

SALES = 'user.department -eq "Sales"'
DYNAMIC: dict[str, Any] = {"groupTypes": ["DynamicMembership"], "membershipRule": SALES}


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[Graph]:
    async with opened_graph(tmp_path) as graph:
        yield graph


async def members(graph: Graph, group_id: str) -> list[str]:
    return [member["displayName"] for member in (await graph.get(f"/groups/{group_id}/members"))["value"]]


async def test_a_dynamic_group_has_its_members_when_the_answer_comes(graph: Graph) -> None:
    await graph.add_user("ana", department="Sales")
    await graph.add_user("ben", department="Legal")
    id_ = await graph.add_group("Sellers", mailEnabled=False, mailNickname="s", securityEnabled=True, **DYNAMIC)
    shown = await graph.get(f"/groups/{id_}", select="groupTypes,membershipRule,membershipRuleProcessingState")
    assert shown == {"id": id_, **DYNAMIC, "membershipRuleProcessingState": "On"}
    assert await members(graph, id_) == ["ana"]
    await graph.ask("PATCH", "/users/ben@fjord.example", {"department": "Sales"}, 204)
    assert sorted(await members(graph, id_)) == ["ana", "ben"]
    await graph.ask("PATCH", f"/groups/{id_}", {"membershipRule": 'user.department -ne "Sales"'}, 204)
    assert await members(graph, id_) == []


async def test_an_assigned_group_shows_that_it_has_no_rule(graph: Graph) -> None:
    shown = await graph.get(f"/groups/{await graph.add_group('Team')}")
    assert shown["groupTypes"] == []
    assert (shown["membershipRule"], shown["membershipRuleProcessingState"]) == (None, None)


async def test_processing_is_paused_and_turned_on_again(graph: Graph) -> None:
    id_ = await graph.add_group("Sellers", **DYNAMIC, membershipRuleProcessingState="Paused")
    await graph.add_user("ana", department="Sales")
    assert await members(graph, id_) == []
    await graph.ask("PATCH", f"/groups/{id_}", {"membershipRuleProcessingState": "On"}, 204)
    assert await members(graph, id_) == ["ana"]


async def test_a_group_changes_between_dynamic_and_assigned(graph: Graph) -> None:
    await graph.add_user("ana", department="Sales")
    ben = await graph.add_user("ben", department="Legal")
    id_ = await graph.add_group("Team", **{"members@odata.bind": [f"{ORIGIN}/v1.0/users/{ben}"]})
    await graph.ask("PATCH", f"/groups/{id_}", DYNAMIC, 204)
    assert await members(graph, id_) == ["ana"]
    await graph.ask("PATCH", f"/groups/{id_}", {"groupTypes": []}, 204)
    assert await members(graph, id_) == ["ana"]
    await graph.ask("POST", f"/groups/{id_}/members/$ref", {"@odata.id": f"{ORIGIN}/v1.0/users/{ben}"}, 204)
    assert (await graph.get(f"/groups/{id_}"))["membershipRule"] is None


async def test_members_of_a_dynamic_group_are_not_changed_by_hand(graph: Graph) -> None:
    ana = await graph.add_user("ana", department="Sales")
    ben = await graph.add_user("ben")
    id_ = await graph.add_group("Sellers", **DYNAMIC)
    url = f"{ORIGIN}/v1.0/directoryObjects/{ben}"
    for method, path, body in (
        ("POST", f"/groups/{id_}/members/$ref", {"@odata.id": url}),
        ("PATCH", f"/groups/{id_}", {"members@odata.bind": [url]}),
        ("DELETE", f"/groups/{id_}/members/{ana}/$ref", None),
    ):
        error = (await graph.ask(method, path, body, 403))["error"]
        assert error["code"] == "Authorization_RequestDenied"
        assert "'Sellers' is dynamic" in error["message"]
    assert await members(graph, id_) == ["ana"]
    body = {"displayName": "New", **DYNAMIC, "members@odata.bind": [url]}
    await graph.ask("POST", "/groups", body, 403)
    assert len((await graph.get("/groups"))["value"]) == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"groupTypes": ["DynamicMembership"]}, "required for property 'membershipRule'"),
        ({"membershipRule": SALES}, "for groups whose 'groupTypes' holds DynamicMembership"),
        ({"groupTypes": ["Unified"]}, "'groupTypes' may hold DynamicMembership"),
        ({"groupTypes": "DynamicMembership"}, "'groupTypes' may hold DynamicMembership"),
        ({**DYNAMIC, "membershipRule": 5}, "'membershipRule' must be text"),
        ({**DYNAMIC, "membershipRuleProcessingState": "Off"}, "must be On or Paused"),
        ({**DYNAMIC, "membershipRule": "user.department -eq"}, "expected a text in quotation marks, not the end"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_by_name(graph: Graph, body: dict[str, Any], problem: str) -> None:
    error = (await graph.ask("POST", "/groups", {"displayName": "x", **body}, 400))["error"]
    assert error["code"] == "Request_BadRequest"
    assert problem in error["message"]
    id_ = await graph.add_group("Team")
    await graph.ask("PATCH", f"/groups/{id_}", body, 400)


async def test_dynamic_groups_are_found_by_their_type(graph: Graph) -> None:
    await graph.add_group("Team")
    await graph.add_group("Sellers", **DYNAMIC)
    found = await graph.get("/groups", filter="groupTypes/any(t:t eq 'DynamicMembership')")
    assert [group["displayName"] for group in found["value"]] == ["Sellers"]
