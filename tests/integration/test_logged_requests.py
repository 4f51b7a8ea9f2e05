"""The provisioning log keeps what was said to the application: how much of it, and never a secret."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from joiner.provisioning.log.exchanges import ITEMS_KEPT, MOST
from tests.job_api import opened_api
from tests.mappings import add_mappings, mapping
from tests.world import World

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"


def said(world: World, name: str) -> list[dict[str, Any]]:
    """What the latest cycle said about the object."""
    found: list[dict[str, Any]] = world.entries()[name]["joiner.requests"]
    return found


def lines(exchanges: list[dict[str, Any]]) -> list[str]:
    """`METHOD path status`, ids as they are."""
    return [f"{each['method']} {each['path']} {each['status']}" for each in exchanges]


@pytest.mark.req("REQ-C-034")
async def test_an_entry_has_the_requests_that_wrote_with_their_answers(world: World) -> None:
    ada = await world.add_user("ada")
    bea = await world.add_user("bea", manager=ada)
    await world.assign(ada, bea)
    await world.run()
    ids = {name: account["id"] for name, account in (await world.accounts()).items()}
    created, managed = said(world, "bea")
    assert lines([created, managed]) == ["POST /Users 201", f"PATCH /Users/{ids['bea']} 200"]
    assert created["request"]["userName"] == "bea@fjord.example"
    assert created["answer"] == {"id": ids["bea"]}, "what it repeats of the request is left out"
    assert managed["request"]["Operations"][0]["value"] == {"value": ids["ada"]}
    await world.change_user(bea, jobTitle="Director")
    await world.run()
    [updated] = said(world, "bea")
    assert (updated["method"], updated["request"]["Operations"][0]["value"]) == ("PATCH", "Director")
    await world.run()
    await world.service.restart(world.job_id, None)
    await world.run()
    assert said(world, "bea") == [], "reads that succeed are no changes"


@pytest.mark.req("REQ-C-034")
async def test_of_what_fails_the_entry_has_every_request(world: World) -> None:
    await world.assign(await world.add_user("ada"))
    world.fail(lambda method, path: 500 if method == "POST" else None)
    await world.run()
    told = said(world, "ada")
    assert [line.partition("?")[0].split()[0] for line in lines(told)] == ["GET", "GET", "POST"]
    assert 'userName eq "ada@fjord.example"' in told[1]["path"]
    assert (told[-1]["status"], told[-1]["answer"]) == (500, {"detail": "made to fail"})


@pytest.mark.req("REQ-C-034")
async def test_a_setting_says_how_much_is_kept(world: World) -> None:
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.configure(LogRequests="all")
    await world.run()
    told = said(world, "ada")
    assert [each["method"] for each in told] == ["GET", "GET", "POST"]
    assert told[0]["answer"]["totalResults"] == 0
    assert told[2]["answer"]["userName"] == "ada@fjord.example"
    await world.configure(LogRequests="off")
    await world.change_user(ada, jobTitle="Director")
    await world.run()
    assert said(world, "ada") == []


@pytest.mark.req("REQ-C-033", "REQ-C-034")
async def test_passwords_redacted_values_and_tokens_are_nowhere_in_the_log(world: World) -> None:
    await world.set_schema(
        lambda document: add_mappings(
            document,
            mapping("nickName", "Redact([employeeId])"),
            mapping("password", 'Append("S3cret!", "pass")'),
            nickName={"name": "nickName", "type": "String"},
            password={"name": "password", "type": "String"},
        )
    )
    ada = await world.add_user("ada", employeeId="31415926")
    await world.assign(ada)
    await world.configure(LogRequests="all")
    await world.run()
    assert (await world.accounts())["ada"]["nickName"] == "31415926"
    told = said(world, "ada")
    assert (told[-1]["request"]["nickName"], told[-1]["request"]["password"]) == ("*", "*")
    await world.change_user(ada, employeeId="27182818")
    await world.run()
    rows = [each["joiner.requests"] for each in world.entries().values()]
    text = orjson.dumps([told, rows]).decode()
    for secret in ("31415926", "27182818", "S3cret!pass", "Bearer", "Authorization"):
        assert secret not in text


async def test_a_redacted_value_that_a_refusal_repeats_is_not_in_the_log(world: World) -> None:
    hidden = mapping("nickName", "Redact([extensionAttribute1])")
    nick_name = {"name": "nickName", "type": "String"}
    await world.set_schema(lambda document: add_mappings(document, hidden, nickName=nick_name))
    await world.assign(await world.add_user("ada", extensionAttribute1="made to"))
    world.fail(lambda method, path: 400 if method == "POST" else None)
    await world.run()
    error = world.entries()["ada"]["provisioningStatusInfo"]["errorInformation"]
    assert error["reason"] == "the application answered HTTP 400: * fail"
    assert b"made to" not in orjson.dumps(world.entries())


@pytest.mark.req("REQ-C-034")
async def test_long_lists_are_shortened_and_of_many_requests_the_first_and_last_are_kept(world: World) -> None:
    people = [await world.add_user(f"user{number:03}") for number in range(2 * (MOST + 5))]
    await world.service.connections.change_profile(world.job_id, {"membersAddedPerPatch": 2})
    await world.assign(await world.add_group("Team", *people))
    await world.run()
    told = said(world, "Team")
    assert len(told) == MOST
    assert [each["method"] for each in told[:2]] == ["POST", "PATCH"]
    await world.service.connections.change_profile(world.job_id, {"membersAddedPerPatch": 100})
    await world.assign(await world.add_group("Everybody", *people))
    await world.run()
    members = said(world, "Everybody")[-1]["request"]["Operations"][0]["value"]
    assert (len(members), members[-1]) == (ITEMS_KEPT + 1, f"… {len(people) - ITEMS_KEPT} more")


@pytest.mark.req("REQ-C-034")
async def test_the_api_and_an_explanation_show_them_without_asking_the_application(tmp_path: Path) -> None:
    async with opened_api(tmp_path) as api:
        world = api.world
        ada = await world.add_user("ada")
        await world.assign(ada)
        await world.run()
        [entry] = (await api.ask("GET", "/auditLogs/provisioning"))["value"]
        assert lines(entry["joiner.requests"]) == ["POST /Users 201"]
        asked = len(world.asked)
        told = await world.side.explanations.explain(world.job(), "User", ada, live=False)
        assert told["log"][0]["joiner.requests"] == entry["joiner.requests"]
        assert len(world.asked) == asked
