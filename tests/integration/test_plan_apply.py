"""Carrying out plans: exactly what was planned, nothing that is not as it was, and never twice."""

from typing import Any

import pytest

from joiner.errors import InvalidStateError, NotFoundError
from joiner.provisioning.job import cycles
from joiner.provisioning.log import audit
from joiner.provisioning.planning import overlay
from joiner.provisioning.planning.overlay import Variation
from joiner.provisioning.plans import applying
from tests.mappings import add_mappings, mapping
from tests.planning import ADA, Requests, apply, items, make_plan
from tests.world import World


async def team_of(world: World) -> tuple[str, str, str]:
    """Ada and Bea, her report, of the group Team; nothing is provisioned yet."""
    ada = await world.add_user("ada", jobTitle="Engineer")
    bea = await world.add_user("bea", manager=ada)
    team = await world.add_group("Team", ada, bea)
    await world.assign(team)
    return ada, bea, team


def refused(report: dict[str, Any]) -> dict[str, str]:
    return {row["name"].partition("@")[0]: row["reason"] for row in report["refused"]}


async def test_applying_a_plan_sends_exactly_what_was_planned_and_the_next_cycle_finds_nothing_to_do(
    world: World,
) -> None:
    ada, bea, team = await team_of(world)
    plan = await make_plan(world)
    requests = Requests(world)
    assert (await apply(world, plan.number))["states"] == {"sent": 3}
    requests.learn()
    assert requests.planned(plan.number) == requests.sent(world.sent)
    assert await world.held_groups() == {"Team": {"ada", "bea"}}
    before = len(world.sent)
    await world.run()
    assert world.cycle().kind == "initial"
    assert len(world.sent) == before

    await world.change_user(ada, jobTitle="Director")
    await world.change_user(bea, account_enabled=False)
    await world.remove_member(team, bea)
    dan = await world.add_user("dan", manager=ada)
    await world.add_member(team, dan)
    plan = await make_plan(world)
    before = len(world.sent)
    assert (await apply(world, plan.number))["states"] == {"sent": 4}
    requests.learn()
    assert requests.planned(plan.number) == requests.sent(world.sent[before:])
    before = len(world.sent)
    await world.run()
    assert len(world.sent) == before


async def test_a_link_to_an_account_that_is_gone_is_given_up_with_what_points_to_it(world: World) -> None:
    await world.configure(parity_rematchMissing="on")
    ada, _, _ = await team_of(world)
    await world.run()
    await world.application_delete((await world.accounts())["ada"]["id"])
    await world.change_user(ada, account_enabled=False)
    plan = await make_plan(world)
    released = items(world, plan.number)["ada"]
    assert released["action"] == "release"
    assert {"kind": "target", "text": "its account in the application is gone"} in released["causes"]
    requests, before = Requests(world), len(world.sent)
    await apply(world, plan.number)
    requests.learn()
    sent = requests.sent(world.sent[before:])
    assert sent
    assert requests.planned(plan.number) == sent
    before = len(world.sent)
    await world.run()
    assert len(world.sent) == before


async def test_an_applied_plan_moves_no_watermark_and_cannot_be_applied_again(world: World) -> None:
    await team_of(world)
    plan = await make_plan(world)
    await apply(world, plan.number)
    job = world.job()
    assert job.watermark is None
    with pytest.raises(InvalidStateError, match="was applied at"):
        await apply(world, plan.number)


async def test_what_has_changed_since_the_plan_is_refused_item_by_item_with_the_reason(world: World) -> None:
    ids = {name: await world.add_user(name, jobTitle="Clerk") for name in ("ada", "bea", "cid", "dan", "eve")}
    await world.assign(*ids.values())
    await world.run()
    for id_ in ids.values():
        await world.change_user(id_, jobTitle="Director")
    plan = await make_plan(world)
    accounts = await world.accounts()
    await world.change_user(ids["ada"], department="Sales")
    await world.unassign(ids["bea"])
    await world.application_change(accounts["cid"]["id"], title="Boss")
    await world.application_delete(accounts["dan"]["id"])
    before = len(world.sent)
    report = await apply(world, plan.number)
    assert refused(report) == {
        "ada": "it has changed in the directory since the plan was made",
        "bea": "its assignment or its roles have changed since the plan was made",
        "cid": "its account in the application has changed since the plan was made",
        "dan": "its account in the application has changed since the plan was made",
    }
    assert report["states"] == {"refused": 4, "sent": 1}
    assert [sent.path for sent in world.sent[before:]] == [f"/scim/Users/{accounts['eve']['id']}"]


async def test_a_plan_made_with_other_mappings_is_refused_as_a_whole(world: World) -> None:
    await team_of(world)
    plan = await make_plan(world)
    await world.set_schema(lambda document: add_mappings(document, mapping("title", '"Member"')))
    report = await apply(world, plan.number)
    assert set(refused(report).values()) == {
        "the job's mappings, filters, settings or address have changed since the plan was made"
    }
    assert world.sent == []
    other = await make_plan(world, Variation(schema=world.side.schemas.text(world.job_id)))
    with pytest.raises(InvalidStateError, match="save that first"):
        await apply(world, other.number)


async def test_a_value_that_depends_on_time_is_not_sent_when_time_has_passed(world: World) -> None:
    await world.set_schema(lambda document: add_mappings(document, mapping("title", "Now()")))
    await team_of(world)
    plan = await make_plan(world)
    world.clock.now = world.clock.now.replace(hour=9)
    assert refused(await apply(world, plan.number)) == dict.fromkeys(
        ("ada", "bea"), "its mappings give other values now than when the plan was made; they depend on time or chance"
    )


async def test_single_items_can_be_applied_and_the_others_later(world: World) -> None:
    await team_of(world)
    plan = await make_plan(world)
    report = await apply(world, plan.number, "BEA@fjord.example")
    assert report["states"] == {"sent": 1, "planned": 2}
    assert set(await world.accounts()) == {"bea"}
    with pytest.raises(NotFoundError, match="'nobody'"):
        await apply(world, plan.number, "nobody")
    assert (await apply(world, plan.number))["states"] == {"sent": 3}
    assert set(await world.accounts()) == {"ada", "bea"}
    assert await world.held_groups() == {"Team": {"ada", "bea"}}


async def test_an_apply_that_was_cut_off_in_a_page_goes_on_and_sends_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await team_of(world)
    plan = await make_plan(world)
    job = world.job()
    runner = world.side.runner
    begun = await world.db.write(
        lambda c: applying.begin(c, job, plan.number, None, ADA, world.clock.now, allow_deletes=False)
    )
    fence = await runner.take(begun.id)

    def die(*_: Any, **__: Any) -> bool:
        raise RuntimeError("the process dies before it can write down what it has sent")

    with monkeypatch.context() as patched:
        patched.setattr(runner.outbound, "_commit_page", die)
        with pytest.raises(RuntimeError):
            await runner.run_page(begun.id, fence)
    assert [each.method for each in world.sent] == ["POST", "POST"]
    fence = await runner.take(begun.id)
    while await runner.run_page(begun.id, fence):
        pass
    assert [each.method for each in world.sent].count("POST") == 3
    assert world.side.planning.report(world.job_id, plan.number)["states"] == {"sent": 3}
    assert cycles.cycle_by_id(world.db.reader, begun.id).state == "succeeded"
    assert await world.held_groups() == {"Team": {"ada", "bea"}}


async def test_what_the_guard_would_hold_back_is_planned_so_and_applied_only_when_allowed(world: World) -> None:
    await world.configure(QuarantineTooManyDeletesThreshold="1", NotificationEmail="ops@fjord.example")
    ids = {name: await world.add_user(name) for name in ("ada", "bea", "cid")}
    await world.assign(*ids.values())
    await world.run()
    await world.unassign(ids["ada"])
    await world.unassign(ids["bea"])
    await world.change_user(ids["cid"], jobTitle="New")
    plan = await make_plan(world)
    assert plan.summary is not None
    assert plan.summary["held"] == 2
    before = len(world.sent)
    assert (await apply(world, plan.number))["states"] == {"held": 2, "sent": 1}
    assert len(world.sent) == before + 1
    assert {name for name, account in (await world.accounts()).items() if account["active"]} == {"ada", "bea", "cid"}
    assert (await apply(world, plan.number, allow_deletes=True))["states"] == {"sent": 3}
    assert {name for name, account in (await world.accounts()).items() if account["active"]} == {"cid"}
    entry = world.entries()["ada"]
    assert (entry["provisioningAction"], entry["initiatedBy"]["displayName"]) == ("disable", ADA.name)


async def test_who_is_not_among_the_deletions_that_a_plan_lets_through_stays_held_back(world: World) -> None:
    await world.configure(QuarantineTooManyDeletesThreshold="1")
    ids = {name: await world.add_user(name) for name in ("ada", "bea")}
    await world.assign(*ids.values())
    await world.run()
    for id_ in ids.values():
        await world.unassign(id_)
    await world.run()
    plan = await make_plan(world)
    told = await apply(world, plan.number, "ada@fjord.example", allow_deletes=True)
    assert told["states"] == {"held": 1, "sent": 1}
    await world.run()
    assert {name for name, account in (await world.accounts()).items() if account["active"]} == {"bea"}


async def test_memberships_that_the_guard_would_hold_back_are_in_the_plan_and_left_out_until_allowed(
    world: World,
) -> None:
    people = {name: await world.add_user(name) for name in ("ada", "bea", "cid", "dan")}
    team = await world.add_group("Team", *people.values())
    await world.assign(team, *people.values())
    await world.run()
    await world.configure(QuarantineTooManyDeletesThreshold="1")
    for name in ("ada", "bea"):
        await world.remove_member(team, people[name])
    eve = await world.add_user("eve")
    await world.assign(eve)
    plan = await make_plan(world)
    item = items(world, plan.number)["Team"]
    assert (item["action"], item["isHeld"], item["referenceCounts"]) == ("update", True, {"members": {"held": 2}})
    assert {each["name"].partition("@")[0] for each in item["references"]} == {"ada", "bea"}
    assert plan.summary is not None
    assert (plan.summary["held"], plan.summary["requests"]) == (1, {"POST": 1})
    assert (await apply(world, plan.number))["states"] == {"held": 1, "sent": 1}
    assert await world.held_groups() == {"Team": {"ada", "bea", "cid", "dan"}}

    await world.add_member(team, eve)
    plan = await make_plan(world)
    item = items(world, plan.number)["Team"]
    assert (item["isHeld"], item["referenceCounts"]) == (False, {"members": {"add": 1, "held": 2}})
    await apply(world, plan.number)
    assert await world.held_groups() == {"Team": {"ada", "bea", "cid", "dan", "eve"}}, "of one group, only additions"

    plan = await make_plan(world)
    assert (await apply(world, plan.number, allow_deletes=True))["states"] == {"sent": 1}
    assert await world.held_groups() == {"Team": {"cid", "dan", "eve"}}
    done = await world.run()
    assert done.get("Team", "") != "update success"
    assert world.status()["code"] != "Quarantine"


async def test_the_audit_log_says_who_carried_out_a_plan_and_which_part_of_it(world: World) -> None:
    await team_of(world)
    plan = await make_plan(world)
    await apply(world, plan.number, "ada@fjord.example")
    [entry] = [row for row in audit.documents(world.db.reader, 2**62, False, 10) if "plan" in row[1]["resultReason"]]
    assert entry[1]["resultReason"] == "plan 1 (initial plan) is carried out: 1 objects chosen"
    assert entry[1]["initiatedBy"]["user"]["displayName"] == ADA.name
    told = {each["key"]: each["value"] for each in entry[1]["additionalDetails"]}
    assert told["Items"] == "ada@fjord.example"


async def test_what_was_allowed_and_is_refused_because_it_has_changed_stays_held_back(world: World) -> None:
    await world.configure(QuarantineTooManyDeletesThreshold="0", NotificationEmail="ops@fjord.example")
    ada = await world.add_user("ada")
    await world.assign(ada)
    await world.run()
    await world.change_user(ada, account_enabled=False)
    assert await world.run() == {"ada": "stagedDelete skipped"}
    plan = await make_plan(world)
    await world.change_user(ada, jobTitle="New")
    assert (await apply(world, plan.number, allow_deletes=True))["states"] == {"refused": 1}
    assert await world.run() == {"ada": "stagedDelete skipped"}
    assert (await world.accounts())["ada"]["active"]


async def test_every_table_of_jobs_is_copied_for_a_plan_or_known_not_to_be_needed(world: World) -> None:
    found = world.db.reader.execute(
        "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND c.name = 'job_id'"
    )
    assert {row[0] for row in found} == {*overlay.COPIED, *overlay.NOT_COPIED}
