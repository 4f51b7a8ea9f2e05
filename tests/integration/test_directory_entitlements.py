"""Who is entitled to an application, and what the change feed shows of everything that could change that."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from joiner.clock import system_clock
from joiner.directory import applications, groups, users
from joiner.directory.applications import GALLERY_ROLES, USER_ROLE
from joiner.directory.gallery import gallery
from joiner.directory.model import DEFAULT_ACCESS, Group, User
from joiner.directory.store import MIGRATIONS, DirectoryStore
from joiner.errors import AlreadyExistsError, InvalidValueError, NotFoundError
from joiner.storage.sqlite import Database

OTHER_ROLE = GALLERY_ROLES[1].id


class Tenant:
    """A directory with the users u1 to u4, the groups g (u1, u2, the group n) and n (u3), and one application."""

    def __init__(self, store: DirectoryStore, app: str) -> None:
        self.store = store
        self.app = app

    async def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self.store.change(lambda connection, now: function(connection, *arguments, now))

    async def assign(self, principal_id: str, role: str = USER_ROLE) -> str:
        assignment: str = (await self.do(applications.assign, self.app, principal_id, role)).id
        return assignment

    def entitled(self) -> dict[str, list[str]]:
        found = self.store.entitlements(self.app, ["u1", "u2", "u3", "u4"])
        return {user_id: [role.display_name for role in roles] for user_id, roles in sorted(found.items())}

    async def seen_after(self, *changes: Any) -> tuple[list[str], list[str]]:
        """The users and groups that a cycle would look at after the changes."""
        start = self.store.feed_position()
        for change in changes:
            await change
        window = start, self.store.feed_position()
        seen_users = self.store.changed_user_ids(window, self.app, "", 100)
        seen_groups = self.store.changed_group_ids(window, self.app, "", 100)
        assert self.store.count_changed_users(window, self.app) == len(seen_users)
        assert self.store.count_changed_groups(window, self.app) == len(seen_groups)
        return seen_users, seen_groups


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[Tenant]:
    db = Database(tmp_path / "directory.db", {"directory": MIGRATIONS})
    store = DirectoryStore(db, system_clock)

    def work(connection: Any, now: str) -> str:
        for number in range(1, 5):
            users.add_user(connection, person(f"u{number}"), now)
        for id_ in ("g", "n"):
            groups.add_group(connection, team(id_), now)
        for group_id, member_id in (("g", "u1"), ("g", "u2"), ("g", "n"), ("n", "u3")):
            groups.add_member(connection, group_id, member_id, now)
        return applications.add_service_principal(connection, "template", "App", now).id

    yield Tenant(store, await store.change(work))
    db.close()


def person(id_: str, **fields: Any) -> User:
    return msgspec.structs.replace(
        User(
            id=id_,
            user_principal_name=f"{id_}@fjord.example",
            account_enabled=True,
            manager_id=None,
            attributes={"displayName": id_},
            created_at="",
        ),
        **fields,
    )


def team(id_: str, **fields: Any) -> Group:
    return msgspec.structs.replace(
        Group(id=id_, display_name=id_, security_enabled=True, attributes={}, created_at=""), **fields
    )


@pytest.mark.req("REQ-P-025")
@pytest.mark.req("REQ-P-026")
async def test_direct_assignees_and_direct_members_are_entitled_and_nested_members_are_not(tenant: Tenant) -> None:
    await tenant.assign("g")
    await tenant.assign("u4")
    assert tenant.entitled() == {"u1": ["User"], "u2": ["User"], "u4": ["User"]}
    assert tenant.store.assigned_group_ids(tenant.app, ["g", "n"]) == {"g"}


@pytest.mark.req("REQ-P-029")
async def test_roles_are_the_union_of_all_paths_and_the_last_path_counts(tenant: Tenant) -> None:
    direct = await tenant.assign("u1", OTHER_ROLE)
    through_group = await tenant.assign("g", USER_ROLE)
    assert tenant.entitled() == {"u1": ["msiam_access", "User"], "u2": ["User"]}
    await tenant.do(applications.unassign, tenant.app, direct)
    assert tenant.entitled()["u1"] == ["User"]
    await tenant.do(applications.unassign, tenant.app, through_group)
    assert tenant.entitled() == {}


@pytest.mark.req("REQ-P-030")
async def test_default_access_is_a_role_like_any_other(tenant: Tenant) -> None:
    await tenant.assign("u1", DEFAULT_ACCESS)
    assert tenant.entitled() == {"u1": ["Default Access"]}
    [role] = tenant.store.entitlements(tenant.app, ["u1"])["u1"]
    assert (role.id, role.value) == (DEFAULT_ACCESS, None)


async def test_only_security_groups_entitle_and_their_members_are_looked_at_when_that_changes(tenant: Tenant) -> None:
    await tenant.assign("g")
    seen = await tenant.seen_after(tenant.do(groups.update_group, team("g", security_enabled=False)))
    assert seen == (["u1", "u2"], ["g"])
    assert tenant.entitled() == {}


async def test_a_renamed_group_does_not_bring_its_members_into_view(tenant: Tenant) -> None:
    await tenant.assign("g")
    assert await tenant.seen_after(tenant.do(groups.update_group, team("g", display_name="G2"))) == ([], ["g"])


async def test_members_are_seen_with_their_group_when_they_come_and_go(tenant: Tenant) -> None:
    seen = await tenant.seen_after(tenant.do(groups.add_member, "g", "u4"), tenant.do(groups.remove_member, "g", "u1"))
    assert seen == (["u1", "u4"], ["g"])
    window = 0, tenant.store.feed_position()
    assert ("g", "u4") in list(tenant.store.changed_memberships(window))
    assert await tenant.seen_after(tenant.do(groups.add_member, "g", "u4")) == ([], [])


async def test_members_of_a_deleted_group_are_seen_and_no_longer_entitled(tenant: Tenant) -> None:
    await tenant.assign("g")
    assert await tenant.seen_after(tenant.do(groups.delete_group, "g")) == (["u1", "u2"], ["g"])
    assert tenant.entitled() == {}
    assert tenant.store.groups_by_id(["g"]) == {}


async def test_an_assignment_to_another_application_is_not_this_ones_business(tenant: Tenant) -> None:
    other = await tenant.do(applications.add_service_principal, "template", "Other")
    assert await tenant.seen_after(tenant.do(applications.assign, other.id, "g", USER_ROLE)) == ([], [])


async def test_what_an_application_leaves_behind_is_seen(tenant: Tenant) -> None:
    await tenant.assign("g")
    await tenant.assign("u4")
    seen = await tenant.seen_after(tenant.do(applications.delete_service_principal, tenant.app))
    assert seen == (["u1", "u2", "u4"], ["g"])
    assert tenant.store.reader.execute("SELECT count(*) FROM app_role_assignment").fetchone()[0] == 0


@pytest.mark.req("REQ-P-102")
async def test_a_deleted_user_keeps_memberships_for_30_days_and_a_purged_one_nothing(tenant: Tenant) -> None:
    await tenant.assign("u1")
    await tenant.do(users.update_user, person("u2", manager_id="u1"))
    assert await tenant.seen_after(tenant.do(users.delete_user, "u1")) == (["u1"], [])
    await tenant.do(users.restore_user, "u1")
    assert tenant.entitled() == {"u1": ["User"]}
    await tenant.do(users.delete_user, "u1")
    assert await tenant.store.purge_recycle_bin() == 0
    late = DirectoryStore(tenant.store.db, lambda: system_clock() + timedelta(days=30, minutes=1))
    assert await late.purge_recycle_bin() == 1
    assert tenant.store.users_by_id(["u1", "u2"]).keys() == {"u2"}
    assert tenant.store.users_by_id(["u2"])["u2"].manager_id is None
    assert groups.members_of(tenant.store.reader, "g", "", 10) == [("n", "Group"), ("u2", "User")]
    assert tenant.store.reader.execute("SELECT count(*) FROM app_role_assignment").fetchone()[0] == 0


async def test_a_purge_shows_the_user_the_groups_and_the_reports(tenant: Tenant) -> None:
    await tenant.do(users.update_user, person("u4", manager_id="u1"))
    await tenant.do(users.delete_user, "u1")
    assert await tenant.seen_after(tenant.do(users.purge_user, "u1")) == (["u1", "u4"], ["g"])


async def test_changed_ids_come_in_pages(tenant: Tenant) -> None:
    start = tenant.store.feed_position()
    for number in (3, 1, 2):
        await tenant.do(users.delete_user, f"u{number}")
    window = start, tenant.store.feed_position()
    first = tenant.store.changed_user_ids(window, tenant.app, "", 2)
    assert first == ["u1", "u2"]
    assert tenant.store.changed_user_ids(window, tenant.app, first[-1], 2) == ["u3"]
    # A window ends where it was opened: what comes later belongs to the next one.
    await tenant.do(users.delete_user, "u4")
    assert tenant.store.changed_user_ids(window, tenant.app, "u3", 2) == []


async def test_a_write_that_fails_leaves_no_trace_in_the_feed(tenant: Tenant) -> None:
    start = tenant.store.feed_position()
    with pytest.raises(AlreadyExistsError):
        await tenant.do(users.add_user, person("u9", user_principal_name="U1@FJORD.example"))
    with pytest.raises(InvalidValueError, match="own manager"):
        await tenant.do(users.update_user, person("u1", manager_id="u1"))
    with pytest.raises(InvalidValueError, match="not in the directory"):
        await tenant.do(users.update_user, person("u1", manager_id="nobody"))
    with pytest.raises(NotFoundError):
        await tenant.do(groups.add_member, "g", "nobody")
    with pytest.raises(InvalidValueError):
        await tenant.do(groups.add_member, "g", "g")
    with pytest.raises(NotFoundError):
        await tenant.do(applications.assign, tenant.app, "nobody", USER_ROLE)
    assert tenant.store.feed_position() == start


async def test_the_engine_sees_its_own_attribute_names(tenant: Tenant) -> None:
    user = person("u1", manager_id="u2", attributes={"telephoneNumber": "1", "mail": "a@x"})
    assert tenant.store.source_attributes(user) == {
        "objectId": "u1",
        "userPrincipalName": "u1@fjord.example",
        "accountEnabled": True,
        "manager": "u2",
        "telephoneNumber": "1",
        "mail": "a@x",
    }
    assert tenant.store.source_attributes(team("g", attributes={"description": "d"})) == {
        "objectId": "g",
        "displayName": "g",
        "securityEnabled": True,
        "description": "d",
    }


@pytest.mark.req("REQ-P-001")
async def test_every_entry_of_the_gallery_becomes_an_application_of_its_own(tenant: Tenant) -> None:
    for template in gallery().values():
        made = await tenant.do(applications.add_service_principal, template.id, template.display_name)
        assert made.application_template_id == template.id
        assert [role.id for role in made.app_roles] == [role.id for role in GALLERY_ROLES]
    found = applications.service_principals(tenant.store.reader)
    assert len({id_ for item in found for id_ in (item.id, item.app_id, item.application_id)}) == 3 * len(found)
    with pytest.raises(AlreadyExistsError):
        await tenant.do(applications.add_service_principal, "template", "app")


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        (users.BY_ID_OR_NAME, 2),
        (applications.ENTITLEMENTS.format(marks="?, ?"), 6),
        ("SELECT 1 FROM user WHERE upn_key = ? AND deleted_at IS NULL AND id <> ?", 2),
        (f"SELECT {groups.COLUMNS} FROM grp WHERE display_name = ? COLLATE NOCASE ORDER BY id", 1),
    ],
)
async def test_what_is_asked_for_each_object_never_looks_at_all_of_them(
    tenant: Tenant, sql: str, parameters: int
) -> None:
    plan = tenant.store.reader.execute(f"EXPLAIN QUERY PLAN {sql}", ("x",) * parameters).fetchall()
    steps = [row["detail"] for row in plan]
    assert any("USING" in step for step in steps)
    assert [step for step in steps if step.startswith("SCAN") and not step.startswith("SCAN (")] == []
