"""Dynamic groups: their members follow their rules, and applications follow the members."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from joiner.clock import system_clock
from joiner.directory import groups, rule_evaluation, users
from joiner.directory.dynamic_groups import DynamicMembershipError
from joiner.directory.model import Group, User
from joiner.directory.rules.grammar import compile_rule
from joiner.directory.store import MIGRATIONS, DirectoryStore
from joiner.errors import InvalidValueError
from joiner.storage.sqlite import Database
from tests.waiting import wait_until
from tests.world import World

SALES = 'user.department -eq "Sales"'


class Tenant:
    """A directory in which somebody changes things by hand."""

    def __init__(self, path: Path) -> None:
        self.db = Database(path, {"directory": MIGRATIONS})
        self.store = DirectoryStore(self.db, system_clock)

    async def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self.store.change(lambda connection, now: function(connection, *arguments, now))

    async def add(self, id_: str, manager: str | None = None, **attributes: Any) -> None:
        user = User(
            id=id_,
            user_principal_name=f"{id_}@fjord.example",
            account_enabled=True,
            manager_id=manager,
            attributes={"displayName": id_, **attributes},
            created_at="",
        )
        await self.do(users.add_user, user)

    async def change(self, id_: str, **fields: Any) -> None:
        user = users.user_by_id(self.store.reader, id_)
        own = {name: fields.pop(name) for name in tuple(fields) if name in User.__struct_fields__}
        attributes = {name: value for name, value in {**user.attributes, **fields}.items() if value is not None}
        await self.do(users.update_user, msgspec.structs.replace(user, attributes=attributes, **own))

    async def group(self, id_: str, rule: str | None = None, **fields: Any) -> None:
        await self.do(groups.add_group, team(id_, rule, **fields))
        await self.store.evaluate_rules()

    async def set_rule(self, id_: str, rule: str | None, **fields: Any) -> None:
        await self.do(groups.update_group, team(id_, rule, **fields))

    def members(self, id_: str) -> set[str]:
        return {member for member, _ in groups.members_of(self.store.reader, id_, "", 10_000)}


def team(id_: str, rule: str | None, **fields: Any) -> Group:
    return Group(
        id=id_,
        display_name=id_,
        security_enabled=True,
        attributes={},
        created_at="",
        membership_rule=rule,
        **fields,
    )


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    tenant = Tenant(tmp_path / "directory.db")
    for number, department in enumerate(("Sales", "Sales", "Supply", "Legal"), start=1):
        await tenant.add(f"u{number}", department=department)
    yield tenant
    tenant.db.close()


async def test_a_new_rule_finds_its_members_and_every_change_of_a_user_moves_them(tenant: Tenant) -> None:
    await tenant.group("g", SALES)
    assert tenant.members("g") == {"u1", "u2"}
    await tenant.change("u1", department="Legal")
    await tenant.change("u3", department="SALES")
    await tenant.add("u5", department="Sales")
    assert tenant.members("g") == {"u2", "u3", "u5"}
    await tenant.change("u2", department=None)
    assert tenant.members("g") == {"u3", "u5"}


async def test_memberships_that_follow_a_rule_are_changes_like_any_other(tenant: Tenant) -> None:
    await tenant.group("g", SALES)
    start = tenant.store.feed_position()
    await tenant.change("u1", department="Legal")
    await tenant.change("u4", department="Sales")
    window = start, tenant.store.feed_position()
    assert set(tenant.store.changed_memberships(window)) == {("g", "u1"), ("g", "u4")}


async def test_only_rules_that_look_at_a_changed_property_are_asked(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tenant.group("g", SALES)
    await tenant.group("in Brno", 'user.city -eq "Brno"')
    asked: list[str] = []

    def noting(text: str) -> Any:
        asked.append(text)
        return compile_rule(text)

    monkeypatch.setattr("joiner.directory.dynamic_groups.compile_rule", noting)
    await tenant.change("u1", jobTitle="Boss")
    assert asked == []
    await tenant.change("u1", city="Brno", jobTitle=None)
    assert asked == ['user.city -eq "Brno"']


async def test_a_changed_rule_is_asked_about_everybody(tenant: Tenant) -> None:
    await tenant.group("g", SALES)
    await tenant.set_rule("g", 'user.department -in ["Supply", "Sales"] -and user.objectId -ne "u1"')
    # Until it has been asked, the members are those of the old one: nobody loses access in between.
    assert tenant.members("g") == {"u1", "u2"}
    await tenant.store.evaluate_rules()
    assert tenant.members("g") == {"u2", "u3"}


async def test_asking_about_everybody_goes_on_where_a_dead_process_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_evaluation, "USERS_AT_ONCE", 2)
    tenant = Tenant(tmp_path / "directory.db")
    for number in range(1, 8):
        await tenant.add(f"u{number}", department="Sales")
    await tenant.do(groups.add_group, team("g", SALES))
    await tenant.do(rule_evaluation.evaluate_some)
    assert tenant.members("g") == {"u1", "u2"}
    tenant.db.close()
    again = Tenant(tmp_path / "directory.db")
    # What has been asked is not asked again, or this hand-made gap would be closed.
    await again.db.write(lambda connection: connection.execute("DELETE FROM membership WHERE member_id = 'u1'"))
    await again.store.evaluate_rules()
    assert again.members("g") == {f"u{number}" for number in range(2, 8)}
    assert not rule_evaluation.is_pending(again.store.reader)
    again.db.close()


async def test_an_evaluation_may_stop_when_its_time_is_over_and_go_on_later(tenant: Tenant) -> None:
    await tenant.do(groups.add_group, team("g", SALES))
    await tenant.store.evaluate_rules(seconds=0)
    assert tenant.members("g") == set()
    await tenant.store.evaluate_rules()
    assert tenant.members("g") == {"u1", "u2"}


async def test_a_paused_rule_moves_nobody_until_it_is_on_again(tenant: Tenant) -> None:
    await tenant.group("g", SALES)
    await tenant.set_rule("g", SALES, rule_processing="Paused")
    await tenant.change("u1", department="Legal")
    await tenant.add("u5", department="Sales")
    await tenant.store.evaluate_rules()
    assert tenant.members("g") == {"u1", "u2"}
    await tenant.set_rule("g", SALES)
    await tenant.store.evaluate_rules()
    assert tenant.members("g") == {"u2", "u5"}


async def test_an_assigned_group_becomes_dynamic_and_a_dynamic_one_assigned(tenant: Tenant) -> None:
    await tenant.group("n")
    await tenant.group("g")
    for member in ("u1", "u4", "n"):
        await tenant.do(groups.add_member, "g", member)
    await tenant.set_rule("g", SALES)
    await tenant.store.evaluate_rules()
    assert tenant.members("g") == {"u1", "u2"}
    await tenant.set_rule("g", None)
    await tenant.change("u1", department="Legal")
    await tenant.do(groups.remove_member, "g", "u2")
    assert tenant.members("g") == {"u1"}


async def test_hands_cannot_change_the_members_of_a_dynamic_group(tenant: Tenant) -> None:
    await tenant.group("g", SALES)
    with pytest.raises(DynamicMembershipError, match="'g' is dynamic"):
        await tenant.do(groups.add_member, "g", "u4")
    with pytest.raises(DynamicMembershipError):
        await tenant.do(groups.remove_member, "g", "u1")
    assert tenant.members("g") == {"u1", "u2"}


async def test_direct_reports_follow_their_manager(tenant: Tenant) -> None:
    await tenant.add("boss")
    await tenant.change("u1", manager_id="boss")
    await tenant.group("g", 'Direct Reports for "boss"')
    assert tenant.members("g") == {"u1"}
    await tenant.add("u5", "boss")
    await tenant.change("u1", manager_id="u5")
    assert tenant.members("g") == {"u5"}
    await tenant.do(users.delete_user, "boss")
    await tenant.do(users.purge_user, "boss")
    assert tenant.members("g") == set()


async def test_a_group_takes_its_members_from_others_and_follows_them(tenant: Tenant) -> None:
    await tenant.group("hand")
    await tenant.group("rule", SALES)
    await tenant.group("all", "user.memberOf -any (group.objectId -in ['hand', 'rule'])")
    assert tenant.members("all") == {"u1", "u2"}
    await tenant.do(groups.add_member, "hand", "u2")
    await tenant.do(groups.add_member, "hand", "u3")
    assert tenant.members("all") == {"u1", "u2", "u3"}
    await tenant.change("u1", department="Legal")
    await tenant.change("u2", department="Legal")
    await tenant.add("u5", department="Sales")
    assert tenant.members("all") == {"u2", "u3", "u5"}
    await tenant.do(groups.remove_member, "hand", "u2")
    assert tenant.members("all") == {"u3", "u5"}
    await tenant.do(groups.delete_group, "rule")
    await tenant.store.evaluate_rules()
    assert tenant.members("all") == {"u3"}


async def test_rules_that_are_asked_together_agree_about_groups_that_feed_each_other(tenant: Tenant) -> None:
    await tenant.group("b", SALES)
    await tenant.group("a", "user.memberOf -any (group.objectId -in ['b'])")
    await tenant.group("c", "user.memberOf -any (group.objectId -in ['b'])")
    for id_, rule in (("a", None), ("b", 'user.department -eq "Legal"'), ("c", None)):
        await tenant.set_rule(id_, rule or "user.memberOf -any (group.objectId -in ['b', 'b'])")
    await tenant.store.evaluate_rules()
    assert tenant.members("a") == tenant.members("b") == tenant.members("c") == {"u4"}


@pytest.mark.parametrize(
    ("id_", "sources", "problem"),
    [
        ("x", "'nowhere'", "no group 'nowhere'"),
        ("x", "'all'", "'all' takes its members from groups itself"),
        ("hand", "'rule'", "takes its members from this one"),
        ("rule", "'rule'", "'rule' takes its members from groups itself"),
    ],
)
async def test_groups_that_would_feed_each_other_in_a_chain_are_refused(
    tenant: Tenant, id_: str, sources: str, problem: str
) -> None:
    await tenant.group("hand")
    await tenant.group("rule", SALES)
    await tenant.group("all", "user.memberOf -any (group.objectId -in ['hand'])")
    change = groups.add_group if id_ == "x" else groups.update_group
    with pytest.raises(InvalidValueError, match=problem):
        await tenant.do(change, team(id_, f"user.memberOf -any (group.objectId -in [{sources}])"))


async def test_a_user_of_the_recycle_bin_keeps_memberships_and_is_asked_about_when_restored(tenant: Tenant) -> None:
    await tenant.group("g", SALES)
    await tenant.do(users.delete_user, "u1")
    await tenant.set_rule("g", 'user.department -ne "Sales"')
    await tenant.store.evaluate_rules()
    assert tenant.members("g") == {"u1", "u3", "u4"}
    await tenant.do(users.restore_user, "u1")
    assert tenant.members("g") == {"u3", "u4"}


async def test_a_bad_rule_changes_nothing(tenant: Tenant) -> None:
    await tenant.group("g", SALES)
    with pytest.raises(InvalidValueError, match="did you mean 'department'"):
        await tenant.set_rule("g", 'user.departmnt -eq "Sales"')
    stored = groups.group_by_id(tenant.store.reader, "g")
    assert (stored.membership_rule, tenant.members("g")) == (SALES, {"u1", "u2"})


async def test_a_change_that_is_rolled_back_moves_nobody(tenant: Tenant) -> None:
    await tenant.group("g", SALES)

    def work(connection: sqlite3.Connection, now: str) -> None:
        user = users.user_by_id(connection, "u1")
        users.update_user(connection, msgspec.structs.replace(user, attributes={"displayName": "x"}), now)
        raise InvalidValueError("something else is wrong")

    with pytest.raises(InvalidValueError):
        await tenant.store.change(work)
    assert tenant.members("g") == {"u1", "u2"}


# Applications


@pytest.mark.req("REQ-P-036")
async def test_losing_a_dynamic_membership_deprovisions_and_getting_it_back_provisions_again(world: World) -> None:
    ana = await world.add_user("ana", department="Sales")
    ben = await world.add_user("ben", department="Supply")
    team_id = await world.add_group("sales", membership_rule=SALES)
    await world.assign(team_id)
    await world.run()
    assert {name: account["active"] for name, account in (await world.accounts()).items()} == {"ana": True}
    assert await world.held_groups() == {"sales": {"ana"}}
    await world.change_user(ana, department="Legal")
    await world.change_user(ben, department="sales")
    outcome = await world.run()
    assert (outcome["ana"], outcome["ben"]) == ("disable success", "create success")
    assert {name: account["active"] for name, account in (await world.accounts()).items()} == {
        "ana": False,
        "ben": True,
    }
    await world.change_user(ana, department="Sales")
    outcome = await world.run()
    assert outcome["ana"] == "update success"
    assert (await world.accounts())["ana"]["active"] is True


@pytest.mark.req("REQ-P-036")
async def test_a_changed_rule_deprovisions_who_it_leaves_out(world: World) -> None:
    for name, department in (("ana", "Sales"), ("ben", "Supply")):
        await world.add_user(name, department=department)
    team_id = await world.add_group("team", membership_rule='user.department -in ["Sales", "Supply"]')
    await world.assign(team_id)
    assert {name for name, done in (await world.run()).items() if done == "create success"} == {"ana", "ben", "team"}
    group = groups.group_by_id(world.db.reader, team_id)
    changed = msgspec.structs.replace(group, membership_rule=SALES)
    await world.directory.change(lambda connection, now: groups.update_group(connection, changed, now))
    await world.directory.evaluate_rules()
    outcome = await world.run()
    assert outcome["ben"] == "disable success"
    assert "ana" not in outcome


async def test_a_server_that_starts_asks_what_the_last_one_has_left(world: World) -> None:
    await world.add_user("ana", department="Sales")
    await world.directory.change(lambda connection, now: groups.add_group(connection, team("g", SALES), now))
    await world.side.start()
    await asyncio.to_thread(wait_until, lambda: groups.members_of(world.db.reader, "g", "", 9))
    assert not rule_evaluation.is_pending(world.db.reader)
