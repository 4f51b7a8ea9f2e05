"""Importing into a directory that is not empty: what a file changes, what it leaves, and who is who."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from joiner.clock import system_clock
from joiner.directory import groups, users
from joiner.directory.csv_import import ImportReport, import_directory
from joiner.directory.model import User
from joiner.directory.store import MIGRATIONS, DirectoryStore
from joiner.directory.tables import ImportFileError
from joiner.storage.sqlite import Database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    db = Database(tmp_path / "directory.db", {"directory": MIGRATIONS})
    yield DirectoryStore(db, system_clock)
    db.close()


async def load(
    store: DirectoryStore, users_csv: str | None = None, groups_csv: str | None = None, **options: Any
) -> ImportReport:
    files = [BytesIO(text.encode()) if text is not None else None for text in (users_csv, groups_csv)]
    return await import_directory(store, files[0], files[1], **options)


def names(store: DirectoryStore) -> dict[str, str]:
    return {user.id: user.user_principal_name for user in store.users_page("", 100) if user.deleted_at is None}


def user(store: DirectoryStore, id_: str) -> User:
    return store.users_by_id([id_])[id_]


async def test_attributes_without_a_column_stay_and_empty_cells_clear(store: DirectoryStore) -> None:
    await load(
        store,
        "upn,id,displayName,city,department,accountEnabled,manager\n"
        "a@x,1,Ada,Oslo,R&D,false,b@x\n"
        "b@x,2,Bo,Bergen,,true,\n",
    )
    report = await load(store, "upn,city,jobTitle\na@x,,Engineer\n")
    assert (report.users_updated, report.warnings) == (1, [])
    ada = user(store, "1")
    assert ada.attributes == {"displayName": "Ada", "department": "R&D", "jobTitle": "Engineer"}
    assert (ada.account_enabled, ada.manager_id) == (False, "2")
    await load(store, "upn,manager\na@x,\n")
    assert user(store, "1").manager_id is None


async def test_users_without_an_id_get_the_same_one_in_every_directory(tmp_path: Path, store: DirectoryStore) -> None:
    other = Database(tmp_path / "other.db", {"directory": MIGRATIONS})
    second = DirectoryStore(other, system_clock)
    for directory in (store, second):
        await load(directory, "upn\nAda@x.example\n", "group,member\nTeam,ada@x.example\n")
    assert names(store).keys() == names(second).keys()
    assert [group.id for group in store.groups_page("", 9)] == [group.id for group in second.groups_page("", 9)]
    other.close()


async def test_two_users_exchange_their_names(store: DirectoryStore) -> None:
    await load(store, "upn,id\na@x,1\nb@x,2\n")
    report = await load(store, "upn,id\nb@x,1\na@x,2\n")
    assert report.users_updated == 2
    assert names(store) == {"1": "b@x", "2": "a@x"}
    assert users.user_by_id(store.reader, "B@x").id == "1"


async def test_a_new_user_takes_the_name_that_a_renamed_one_gives_up(store: DirectoryStore) -> None:
    await load(store, "upn,id\nnovak@x,1\n")
    report = await load(store, "upn,id\nnovak@x,\nnovak.old@x,1\n")
    assert (report.users_added, report.users_updated) == (1, 1)
    assert sorted(names(store).values()) == ["novak.old@x", "novak@x"]
    assert names(store)["1"] == "novak.old@x"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("upn,id\nnew@x,8\na@x,9\n", 3, "'a@x' belongs to another user, with the id 1"),
        ("upn,id\na@x,9\nB@x,1\n", 3, "'B@x' belongs to another user, with the id 2"),
        ("upn,id\nc@x,a/b\n", 2, "characters that an id cannot have"),
        ("upn,directorySynced\nc@x,perhaps\n", 2, "dirSyncEnabled is 'perhaps'"),
        (
            "upn,id\nc@x,AAAAAAAA-0000-0000-0000-000000000000\nd@x,aaaaaaaa-0000-0000-0000-000000000000\n",
            3,
            "stands in",
        ),
    ],
)
async def test_a_name_that_would_belong_to_two_users_is_refused_with_its_line(
    store: DirectoryStore, content: str, line: int, reason: str
) -> None:
    await load(store, "upn,id\na@x,1\nb@x,2\n")
    position = store.feed_position()
    with pytest.raises(ImportFileError, match=f"line {line}: .*{reason}"):
        await load(store, content)
    assert store.feed_position() == position


async def test_a_skipped_line_keeps_its_name_from_the_lines_that_counted_on_it(store: DirectoryStore) -> None:
    await load(store, "upn,id\na@x,1\nb@x,2\n")
    # Line 2 wants the name of user 2, whose own new name is taken by nobody but fails for another reason.
    report = await load(store, "upn,id,accountEnabled\nb@x,1,true\nc@x,2,perhaps\nd@x,3,true\n", skip_bad_rows=True)
    assert names(store) == {"1": "a@x", "2": "b@x", "3": "d@x"}
    assert [line.partition(":")[0] for line in report.left_out] == ["users line 2", "users line 3"]


async def test_a_user_of_the_recycle_bin_is_restored_with_a_warning(store: DirectoryStore) -> None:
    await load(store, "upn\na@x\n")
    [id_] = names(store)
    await store.change(lambda connection, now: users.delete_user(connection, id_, now))
    report = await load(store, "upn,city\na@x,Oslo\n")
    assert (report.users_added, report.users_updated) == (0, 1)
    assert report.warnings == ["users line 2: 'a@x' was in the recycle bin and has been restored"]
    assert names(store) == {id_: "a@x"}
    assert user(store, id_).attributes["city"] == "Oslo"


async def test_a_deleted_users_name_can_belong_to_somebody_new(store: DirectoryStore) -> None:
    await load(store, "upn,id\na@x,1\n")
    await store.change(lambda connection, now: users.delete_user(connection, "1", now))
    report = await load(store, "upn,id\na@x,2\n")
    assert (report.users_added, names(store)) == (1, {"2": "a@x"})


async def test_managers_in_a_circle_are_a_warning_told_once(store: DirectoryStore) -> None:
    report = await load(store, "upn,id,manager\na@x,1,b@x\nb@x,2,c@x\nc@x,3,a@x\nd@x,4,a@x\n")
    assert report.warnings == ["users line 2: managers go round in a circle: a@x → b@x → c@x → a@x; imported as it is"]
    assert user(store, "3").manager_id == "1"


async def test_the_portals_files_of_groups_and_of_members_both_work(store: DirectoryStore) -> None:
    await load(store, "upn,id\na@x,1\n")
    report = await load(store, None, "id,displayName,description,groupType\ng1,Team,All of us,Security\n")
    assert report.groups_added == 1
    report = await load(
        store,
        None,
        "Object ID,User principal name,Display name,Member type,group\n"
        "1,a@x,Ada,User,Team\n,,Crew,Group,Team\n,,,,Crew\n",
    )
    assert (report.groups_added, report.groups_unchanged, report.members_added) == (1, 1, 2)
    team = groups.group_by_id(store.reader, "g1")
    assert (team.display_name, team.attributes) == ("Team", {"description": "All of us"})


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("groupId,group,member\ng1,Team,a@x\ng1,Crew,a@x\n", 3, "calls the group g1 'Crew', line 2 'Team'"),
        ("group,securityEnabled\nTeam,maybe\n", 2, "securityEnabled is 'maybe'"),
        ("group,memberId\nTeam,9\n", 2, "'9' is neither a user nor a group"),
    ],
)
async def test_a_groups_file_that_contradicts_itself_is_refused(
    store: DirectoryStore, content: str, line: int, reason: str
) -> None:
    await load(store, "upn,id\na@x,1\n")
    with pytest.raises(ImportFileError, match=f"line {line}: .*{reason}"):
        await load(store, None, content)
    assert store.count_groups() == 0


async def test_of_a_membership_that_is_skipped_the_group_is_kept(store: DirectoryStore) -> None:
    await load(store, "upn,id\na@x,1\n")
    content = "group,member\nTeam,ghost@x\nTeam,a@x\nCrew,nobody\nAll,Crew\n"
    report = await load(store, None, content, skip_bad_rows=True)
    assert (report.groups_added, report.members_added, len(report.left_out)) == (3, 2, 2)


async def test_a_deleted_user_is_nobody_to_a_groups_file(store: DirectoryStore) -> None:
    await load(store, "upn,id\na@x,1\n")
    await store.change(lambda connection, now: users.delete_user(connection, "1", now))
    with pytest.raises(ImportFileError, match="neither a user nor a group"):
        await load(store, None, "group,member\nTeam,1\n")


async def test_a_changed_import_notes_each_changed_user_once(store: DirectoryStore) -> None:
    await load(store, "upn,id,city\na@x,1,Oslo\nb@x,2,Oslo\n")
    start = store.feed_position()
    await load(store, "upn,id,city\na@x,1,Bergen\nb@x,2,Oslo\n")
    rows = store.reader.execute("SELECT object_id, change FROM change WHERE position > ?", (start,)).fetchall()
    assert [tuple(row) for row in rows] == [("1", "updated")]
    changed = msgspec.structs.replace(user(store, "1"), attributes={"displayName": "a", "city": "Bergen"})
    assert not await store.change(lambda connection, now: users.update_user(connection, changed, now))


async def test_a_groups_file_makes_dynamic_groups_with_their_members(store: DirectoryStore) -> None:
    await load(store, "upn,id,department\na@x,1,Sales\nb@x,2,Legal\n")
    report = await load(
        store,
        None,
        "group,groupId,member,membershipRule,membershipRuleProcessingState\n"
        "All,all,,\"user.memberOf -any (group.objectId -in ['sellers', 'hand'])\",\n"
        'Sellers,sellers,,"user.department -eq ""Sales""",On\n'
        "Hand,hand,b@x,,\n"
        "Later,later,,user.objectId -ne null,Paused\n",
    )
    assert (report.groups_added, report.members_added) == (4, 1)
    held = {id_: {m for m, _ in groups.members_of(store.reader, id_, "", 9)} for id_ in ("all", "sellers", "later")}
    assert held == {"all": {"1", "2"}, "sellers": {"1"}, "later": set()}
    await load(store, "upn,department\na@x,Legal\n")
    assert {m for m, _ in groups.members_of(store.reader, "all", "", 9)} == {"2"}
    # Without the column rules stay, with it they are what it says.
    await load(store, None, "groupId,description\nsellers,Who sells\n")
    assert groups.group_by_id(store.reader, "sellers").membership_rule == 'user.department -eq "Sales"'
    report = await load(store, None, "groupId,member,membershipRule\nsellers,b@x,\n")
    assert (groups.group_by_id(store.reader, "sellers").membership_rule, report.members_added) == (None, 1)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("group,membershipRule\nTeam,user.x -eq 1\n", 2, "membershipRule: user.x is no property"),
        ("group,membershipRule,membershipRuleProcessingState\nTeam,user.city -eq null,Off\n", 2, "On or Paused"),
        ("group,member,membershipRule\nTeam,,user.city -eq null\nTeam,a@x,\n", 3, "its members follow its rule"),
        ("groupId,member\nsellers,a@x\n", 2, "its members follow its rule"),
    ],
)
async def test_a_groups_file_cannot_say_what_rules_say(
    store: DirectoryStore, content: str, line: int, reason: str
) -> None:
    await load(store, "upn,id\na@x,1\n", "groupId,membershipRule\nsellers,user.city -ne null\n")
    with pytest.raises(ImportFileError, match=f"line {line}: .*{reason}"):
        await load(store, None, content)


async def test_imported_users_join_and_leave_dynamic_groups(store: DirectoryStore) -> None:
    await load(
        store,
        "upn,id\nboss@x,1\n",
        'group,groupId,membershipRule\nReports,r,"Direct Reports for ""1"""\nSales,s,"user.department -eq ""Sales"""\n',
    )
    await load(store, "upn,id,manager,department\na@x,2,3,Sales\nb@x,3,boss@x,\nc@x,4,boss@x,Sales\n")

    def members(id_: str) -> set[str]:
        return {member for member, _ in groups.members_of(store.reader, id_, "", 9)}

    assert (members("r"), members("s")) == ({"3", "4"}, {"2", "4"})
    await load(store, "upn,manager,department\na@x,boss@x,Legal\nc@x,,Sales\n")
    assert (members("r"), members("s")) == ({"2", "3"}, {"4"})


async def test_two_spellings_of_one_id_are_one_user(store: DirectoryStore) -> None:
    content = "upn,id\na@x,{AAAAAAAA-0000-0000-0000-000000000000}\nb@x,aaaaaaaa000000000000000000000000\n"
    with pytest.raises(ImportFileError, match=r"line 3: id 'aaaaaaaa0.*' stands in line 2 already"):
        await load(store, content)
