"""Initial cycles that read the target's lists instead of asking about each object."""

import pytest

from joiner.provisioning.cycle import census, census_reading, objects, sources
from joiner.provisioning.job import cycles
from tests.census import (
    Body,
    begin,
    begin_with_one_page,
    census_states,
    finish,
    gets,
    list_in_parts,
    looked_up,
    others,
    people,
    prefetch,
    uncounted,
)
from tests.world import Falsify, World, code_of

REDUNDANT = "other skipped"


@pytest.fixture
async def world(world: World) -> World:
    await prefetch(world, "on")
    return world


async def test_who_is_in_nobodys_list_is_created_without_a_query(world: World) -> None:
    await people(world, "ada", "bea")
    team = await world.add_group("Team", await world.add_user("cid"))
    await world.assign(team)
    assert await world.run() == dict.fromkeys(("ada", "bea", "cid", "Team"), "create success")
    assert looked_up(world) == []
    assert await world.held_groups() == {"Team": {"cid"}}


@pytest.mark.req("REQ-P-067", "REQ-P-070")
async def test_an_account_is_matched_by_any_matching_attribute_of_the_list(world: World) -> None:
    ada, _ = await people(world, "ada", "bea")
    by_id = await world.application_add(userName="other@fjord.example", externalId=ada)
    by_name = await world.application_add(userName="bea@fjord.example", active=False)
    assert await world.run() == {"ada": "update success", "bea": "update success"}
    # The first account of the list is read once, to see whether lists show everything.
    assert looked_up(world) == [f"/Users/{by_id}"]
    accounts = await world.accounts()
    assert {name: account["id"] for name, account in accounts.items()} == {"ada": by_id, "bea": by_name}
    assert accounts["bea"]["active"] is True


@pytest.mark.req("REQ-P-058")
async def test_linked_accounts_are_read_from_the_list_and_differences_are_found(world: World) -> None:
    await people(world, "ada", "bea", "cid")
    await world.run()
    accounts = await world.accounts()
    await world.application_change(accounts["bea"]["id"], displayName="Somebody")
    await world.application_delete(accounts["cid"]["id"])
    await world.service.restart(world.job_id, None)
    world.asked.clear()
    assert await world.run() == {"ada": REDUNDANT, "bea": "update success", "cid": "other failure"} | {
        "cid": "update failure"
    }
    # Who is not in the list is asked about before it is said to be gone.
    assert looked_up(world)[1:] == [f"/Users/{accounts['cid']['id']}"]
    assert code_of(world.entries()["cid"]) == "InvalidAnchor"
    assert (await world.accounts())["bea"]["displayName"] == "Bea"


async def test_names_in_another_case_are_left_to_the_filter_of_the_application(world: World) -> None:
    await people(world, "ada")
    id_ = await world.application_add(userName="ADA@fjord.example")
    await world.run()
    assert any('userName eq "ada@fjord.example"' in path for path in looked_up(world))
    assert [account["id"] for account in (await world.accounts()).values()] == [id_]


@pytest.mark.req("REQ-P-104")
async def test_groups_are_listed_without_members(world: World) -> None:
    await world.assign(await world.add_group("Team"))
    await world.run()
    lists = [path for path in gets(world) if "/Groups" in path and "startIndex" in path]
    assert lists
    assert all("excludedAttributes=members" in path for path in lists)


async def test_an_account_made_since_the_list_was_read_is_found_when_its_create_is_refused(world: World) -> None:
    await people(world, "ada")
    cycle_id, fence = await begin(world)
    id_ = await world.application_add(userName="ada@fjord.example")
    await finish(world, cycle_id, fence)
    assert [account["id"] for account in (await world.accounts()).values()] == [id_]
    assert world.cycle().state == "succeeded"
    assert (await world.accounts())["ada"]["displayName"] == "Ada"


async def test_an_account_deleted_since_the_list_was_read_is_created_anew(world: World) -> None:
    await people(world, "ada")
    id_ = await world.application_add(userName="ada@fjord.example")
    cycle_id, fence = await begin(world)
    await world.application_delete(id_)
    await finish(world, cycle_id, fence)
    accounts = await world.accounts()
    assert accounts["ada"]["id"] != id_
    assert world.cycle().state == "succeeded"


@pytest.mark.req("REQ-P-065")
async def test_what_the_cycle_itself_created_is_known_to_its_next_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (objects, sources):
        monkeypatch.setattr(module, "OBJECTS_PER_PAGE", 1)
    await world.set_schema(same_external_id)
    first = await world.add_user("ada", employeeId="7")
    second = await world.add_user("bea", employeeId="7")
    await world.assign(first, second)
    outcome = await world.run()
    assert sorted(outcome.values()) == ["create success", "other failure"]
    assert len(await world.accounts()) == 1


def same_external_id(document: Body) -> None:
    for mapping in document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]:
        if mapping["targetAttributeName"] == "externalId":
            mapping["source"] = {
                "expression": "[employeeId]", "name": "employeeId", "type": "Attribute", "parameters": []
            }  # fmt: skip


def repeated(body: Body) -> Body:
    return {**body, "Resources": [*body["Resources"], *body["Resources"][:1]]}


def incomplete(body: Body) -> Body:
    return {**body, "Resources": body["Resources"][1:]}


def abbreviated(body: Body) -> Body:
    kept = ("id", "userName", "displayName")
    return {**body, "Resources": [{name: each[name] for name in kept if name in each} for each in body["Resources"]]}


def stranger(body: Body) -> Body:
    return {**body, "Resources": [{**each, "id": f"no-{each['id']}"} for each in body["Resources"]]}


def refused(body: Body) -> int:
    return 501


@pytest.mark.parametrize("falsify", [repeated, incomplete, uncounted, abbreviated, stranger, refused])
async def test_a_list_that_cannot_be_trusted_is_given_up_for_queries(world: World, falsify: Falsify) -> None:
    ada, _ = await people(world, "ada", "bea")
    id_ = await world.application_add(userName="x@fjord.example", externalId=ada)
    await world.application_add(userName="y@fjord.example", externalId="y")
    world.falsify = falsify
    cycle_id, fence = await begin(world)
    assert census_states(world)["User"] == "given up"
    await finish(world, cycle_id, fence)
    assert world.cycle().state == "succeeded"
    assert any('externalId eq "' in path for path in looked_up(world))
    accounts = await world.accounts()
    assert (set(accounts), accounts["ada"]["id"]) == ({"ada", "bea", "y"}, id_)


async def test_a_list_that_changes_while_it_is_read_is_given_up(world: World) -> None:
    await list_in_parts(world, 2)
    await people(world, "ada")
    for number in range(5):
        await world.application_add(userName=f"u{number}@fjord.example")
    totals = iter((5, 6, 6, 6))

    def growing(body: Body) -> Body:
        return {**body, "totalResults": next(totals)} if "userName" in str(body) else body

    world.falsify = growing
    await begin(world)
    assert census_states(world)["User"] == "given up"


async def test_nobody_is_overlooked_where_an_account_that_was_listed_is_deleted_and_another_is_made(
    world: World,
) -> None:
    await list_in_parts(world, 3)
    strangers = await others(world, 3)
    ids = await people(world, *(f"p{number}" for number in range(6)))
    accounts = [await world.application_add(userName=f"other{at}", externalId=id_) for at, id_ in enumerate(ids)]
    cycle_id, fence = await begin_with_one_page(world)
    # p0 moves from the first place behind the part to the last within it; the number of all stays as it was.
    await world.application_delete(strangers[0])
    await others(world, 1)
    await finish(world, cycle_id, fence)
    assert (await world.accounts()).keys() == {"u0", "u1", "u2", *(f"p{number}" for number in range(6))}
    assert {(await world.accounts())[f"p{at}"]["id"] for at in range(6)} == set(accounts)
    assert not [sent for sent in world.asked if sent.method == "POST"]


async def test_a_list_that_moves_between_parts_that_are_read_side_by_side_is_given_up(world: World) -> None:
    await list_in_parts(world, 3)
    await people(world, "ada")
    everybody = await others(world, 12)

    def moved(body: Body) -> Body:
        if body["startIndex"] < 5 or "userName" not in str(body):
            return body
        follows = everybody[body["startIndex"] - 1 + len(body["Resources"]) :][:1] or ["made since"]
        return {**body, "Resources": [*body["Resources"][1:], {"id": follows[0], "userName": "somebody"}]}

    world.falsify = moved
    await begin(world)
    assert census_states(world)["User"] == "given up"


async def test_a_worker_that_takes_over_goes_on_reading_where_the_last_one_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await list_in_parts(world, 3)
    monkeypatch.setattr(census_reading, "REQUESTS_PER_PAGE", 2)
    await people(world, "ada")
    for number in range(9):
        await world.application_add(userName=f"u{number}@fjord.example")
    cycle = await world.db.write(
        lambda c: cycles.begin_cycle(c, world.job_id, world.directory.feed_position(), world.clock())
    )
    for _ in range(2):
        fence = await world.side.runner.take(cycle.id)
        await world.side.runner.run_page(cycle.id, fence)
    fence = await world.side.runner.take(cycle.id)
    await finish(world, cycle.id, fence)
    starts = [path for path in gets(world) if "/Users" in path and "startIndex" in path]
    # Each part begins with the last object of the one before.
    assert [path.partition("startIndex=")[2].partition("&")[0] for path in starts] == ["1", "3", "5", "7"]
    assert set(await world.accounts()) == {"ada", *(f"u{number}" for number in range(9))}
    assert not any('userName eq "ada' in path for path in looked_up(world))


@pytest.mark.req("REQ-P-054")
async def test_a_create_that_was_cut_off_is_looked_for_in_the_application_and_not_in_the_list(world: World) -> None:
    ada, _ = await people(world, "ada", "bea")
    cycle_id, fence = await begin(world)
    world.db.write_now(lambda c: c.execute(POWER_CUT).rowcount)
    with pytest.raises(Exception, match="power cut"):
        await world.side.runner.run_page(cycle_id, fence)
    world.db.write_now(lambda c: c.execute("DROP TRIGGER power_cut").rowcount)
    assert set(await world.accounts()) == {"ada", "bea"}
    before = len(world.sent)
    await finish(world, cycle_id, await world.side.runner.take(cycle_id))
    assert len(world.sent) == before
    assert any(f'externalId eq "{ada}"' in path for path in looked_up(world))
    assert {name: f"{e['provisioningAction']}" for name, e in world.entries().items()} == {
        "ada": "create",
        "bea": "create",
    }


POWER_CUT = "CREATE TRIGGER power_cut BEFORE INSERT ON link BEGIN SELECT RAISE(ABORT, 'power cut'); END"


async def test_by_itself_a_list_is_read_only_where_that_takes_less_than_asking(world: World) -> None:
    await prefetch(world, "auto")
    await people(world, "ada")
    await world.run()
    assert not any("startIndex" in path for path in gets(world))
    await people(world, *(f"u{number}" for number in range(20)))
    await world.service.restart(world.job_id, None)
    world.asked.clear()
    await world.run()
    assert any("startIndex" in path for path in gets(world))
    # The account that is linked is the first of the list, which is read to see whether lists show everything.
    assert len(looked_up(world)) == 1


async def test_a_list_much_longer_than_the_scope_is_not_read_to_its_end(world: World) -> None:
    await prefetch(world, "auto")
    await list_in_parts(world, 2)
    await people(world, *(f"u{number}" for number in range(6)))
    for number in range(12):
        await world.application_add(userName=f"other{number}@fjord.example")
    await begin(world)
    assert census_states(world) == {"User": "given up"}
    assert sum("startIndex" in path for path in gets(world)) == 1


async def test_nothing_is_listed_where_that_is_switched_off(world: World) -> None:
    await prefetch(world, "off")
    await people(world, *(f"u{number}" for number in range(20)))
    await world.run()
    assert not any("startIndex" in path for path in gets(world))


async def test_an_old_list_is_not_believed(world: World) -> None:
    await people(world, "ada")
    cycle_id, fence = await begin(world)
    world.clock.move(census.FRESH * 2)
    await finish(world, cycle_id, fence)
    assert any('userName eq "ada@fjord.example"' in path for path in looked_up(world))


async def test_nothing_of_the_list_is_left_when_the_cycle_has_ended(world: World) -> None:
    await people(world, "ada")
    await world.application_add(userName="x@fjord.example")
    await world.run()
    for table in ("census", "census_object", "census_value"):
        assert world.db.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


def list_starts(world: World, endpoint: str) -> list[int]:
    asked = [path for path in gets(world) if f"{endpoint}?" in path and "startIndex" in path]
    return [int(path.partition("startIndex=")[2].partition("&")[0]) for path in asked]


async def test_a_part_is_read_while_the_one_before_is_committed_and_none_is_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await list_in_parts(world, 3)
    monkeypatch.setattr(census_reading, "REQUESTS_PER_PAGE", 2)
    ids = await people(world, "ada", "bea")
    await world.application_add(userName="x@fjord.example", externalId=ids[1])
    for number in range(10):
        await world.application_add(userName=f"u{number}@fjord.example")
    assert await world.run() == {"ada": "create success", "bea": "update success"}
    assert sorted(list_starts(world, "/Users")) == [1, 3, 5, 7, 9]
    assert not any("userName eq" in path and "@fjord" in path for path in looked_up(world))


async def test_a_part_that_is_shorter_than_was_asked_for_is_followed_from_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await list_in_parts(world, 3)
    monkeypatch.setattr(census_reading, "REQUESTS_PER_PAGE", 2)
    await people(world, "ada")
    for number in range(11):
        await world.application_add(userName=f"u{number}@fjord.example")
    parts = iter(range(1, 100))

    def cut(body: Body) -> Body:
        is_third_part = "userName" in str(body) and "Resources" in body and next(parts) == 3
        return {**body, "Resources": body["Resources"][:2]} if is_third_part else body

    world.falsify = cut
    assert await world.run() == {"ada": "create success"}
    starts = list_starts(world, "/Users")
    assert starts[:3] == [1, 3, 5]
    assert 6 in starts or 4 in starts
    assert not any('userName eq "ada' in path for path in looked_up(world))


@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
async def test_a_list_is_given_up_also_when_its_next_part_is_expected_already(
    world: World, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    await list_in_parts(world, 3)
    monkeypatch.setattr(census_reading, "REQUESTS_PER_PAGE", 1)
    ada, team = *(await people(world, "ada")), await world.add_group("Team")
    await world.assign(team)
    for number in range(9):
        if endpoint == "/Users":
            await world.application_add(userName=f"u{number}@fjord.example")
        else:
            await world.application_add("Groups", displayName=f"g{number}")
    totals = iter((9, 9, 10))

    def growing(body: Body) -> Body:
        is_listed = body.get("totalResults") == 9
        return {**body, "totalResults": next(totals, 9)} if is_listed else body

    world.falsify = growing
    assert await world.run() == {"ada": "create success", "Team": "create success"}
    assert list_starts(world, endpoint) == [1, 3, 5]
    looked_for = f'externalId eq "{ada}"' if endpoint == "/Users" else 'eq "Team"'
    assert any(looked_for in path for path in looked_up(world))


async def test_what_was_listed_is_dropped_in_portions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "DROPPED_AT_ONCE", 2)
    await people(world, "ada", "bea", "cid")
    for number in range(5):
        await world.application_add(userName=f"u{number}@fjord.example")
    await world.run()
    for table in census.KEYS:
        assert world.db.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


async def test_what_a_crash_left_of_a_list_is_dropped_later(world: World) -> None:
    await people(world, "ada")
    await world.application_add(userName="x@fjord.example")
    cycle_id, fence = await begin(world)
    await finish(world, cycle_id, fence)
    count = "SELECT (SELECT count(*) FROM census_object) + (SELECT count(*) FROM census_value)"
    assert world.db.reader.execute(count).fetchone()[0] > 0
    while await world.db.write(census.drop_some_leftovers):
        pass
    assert world.db.reader.execute(count).fetchone()[0] == 0
