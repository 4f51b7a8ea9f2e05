"""Importing CSV files: what is understood, and what is refused with the line and the reason."""

import asyncio
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from joiner.clock import system_clock
from joiner.directory import applications, groups, users
from joiner.directory.csv_import import ImportReport, import_directory
from joiner.directory.example import example_files
from joiner.directory.store import MIGRATIONS, DirectoryStore
from joiner.directory.tables import ImportFileError
from joiner.storage.sqlite import Database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    db = Database(tmp_path / "directory.db", {"directory": MIGRATIONS})
    yield DirectoryStore(db, system_clock)
    db.close()


async def load(
    store: DirectoryStore, users_csv: str | bytes | None = None, groups_csv: str | None = None, **options: Any
) -> ImportReport:
    content = users_csv.encode() if isinstance(users_csv, str) else users_csv
    files = [None if each is None else BytesIO(each) for each in (content, groups_csv.encode() if groups_csv else None)]
    return await import_directory(store, files[0], files[1], **options)


def names(store: DirectoryStore) -> set[str]:
    return {user.user_principal_name for user in store.users_page("", 1000)}


async def test_the_portals_columns_fill_the_engines_attributes(store: DirectoryStore) -> None:
    await load(
        store,
        "userPrincipalName,displayName,surname,mail,givenName,id,userType,jobTitle,department,accountEnabled,"
        "usageLocation,streetAddress,state,country,physicalDeliveryOfficeName,city,postalCode,telephoneNumber,mobile,"
        "directorySynced,shoeSize\n"
        'a@x.example,"Ada, L.",L,a@x.example,Ada,id-1,Member,Eng,R&D,False,NO,"1 Road\nBack yard",'
        "S,C,O,City,1,2,3,True,44\n",
    )
    user = store.users_by_id(["id-1"])["id-1"]
    assert (user.user_principal_name, user.account_enabled) == ("a@x.example", False)
    assert user.attributes["displayName"] == "Ada, L."
    assert user.attributes["streetAddress"] == "1 Road\nBack yard"
    assert user.attributes["physicalDeliveryOfficeName"] == "O"
    assert user.attributes["dirSyncEnabled"] is True
    assert user.attributes["shoeSize"] == "44"


@pytest.mark.parametrize(
    "content",
    [
        b"DISPLAYNAME,UserPrincipalName,OfficeLocation\nAda,a@x.example,Oslo\n",
        "displayName;userPrincipalName;officeLocation\r\nAda;a@x.example;Oslo\r\n".encode("utf-8-sig"),
        "displayName\tuserPrincipalName\tofficeLocation\nAda\ta@x.example\tOslo\n".encode("utf-16"),
        b"userPrincipalName,displayName,physicalDeliveryOfficeName\n a@x.example , Ada , Oslo \n\n,,\n",
    ],
)
async def test_separators_encodings_case_and_order_are_free(store: DirectoryStore, content: bytes) -> None:
    assert (await load(store, content)).users_added == 1
    [user] = store.users_page("", 10)
    assert user.user_principal_name == "a@x.example"
    assert (user.attributes["displayName"], user.attributes["physicalDeliveryOfficeName"]) == ("Ada", "Oslo")


HEAD = "userPrincipalName,displayName,id,accountEnabled\n"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"displayName\nAda\n", 1, "no column userPrincipalName"),
        (b"", 1, "no column headings"),
        (b"upn,userPrincipalName\na,b\n", 1, "two columns mean 'userPrincipalName'"),
        (HEAD.encode() + b"a@x,A,1,true\nb@x,B\n", 3, "has 2 fields, but there are 4 columns"),
        (HEAD.encode() + b"a@x,A,1,true\nb@x,B,1,true\n", 3, "id '1' stands in line 2 already"),
        (HEAD.encode() + b"a@x,A,1,true\nA@X,B,2,true\n", 3, "userPrincipalName 'A@X' stands in line 2 already"),
        (HEAD.encode() + b"a@x,A,1,perhaps\n", 2, "accountEnabled is 'perhaps'"),
        (HEAD.encode() + b",A,1,true\n", 2, "userPrincipalName is empty"),
        (HEAD.encode() + b"a@x,A,1,true\nb@x,\xe9,2,true\n", 3, "byte 0xE9 is not UTF-8"),
        (HEAD.encode() + b"a@x,A\x00,1,true\n", 2, "NUL"),
        (HEAD.encode() + b'a@x,"A,1,true\n', 2, "cannot be read"),
    ],
)
async def test_a_bad_users_file_is_refused_as_a_whole_with_line_and_reason(
    store: DirectoryStore, content: bytes, line: int, reason: str
) -> None:
    with pytest.raises(ImportFileError, match=f"line {line}: .*{reason}"):
        await load(store, content)
    assert names(store) == set()
    assert store.feed_position() == 0


async def test_bad_rows_can_be_skipped_and_are_listed(store: DirectoryStore) -> None:
    content = HEAD + "a@x,A,1,true\nb@x,B\nc@x,C,1,true\nd@x,D,4,no\n"
    report = await load(store, content, skip_bad_rows=True)
    assert names(store) == {"a@x", "d@x"}
    assert report.left_out == [
        "users line 3: has 2 fields, but there are 4 columns",
        "users line 4: id '1' stands in line 2 already",
    ]


async def test_a_second_import_of_the_same_files_writes_nothing(store: DirectoryStore) -> None:
    await load(store, *example_text())
    position = store.feed_position()
    report = await load(store, *example_text())
    assert (report.users_unchanged, report.users_added, report.users_updated) == (68, 0, 0)
    assert (report.groups_unchanged, report.members_added) == (8, 0)
    assert store.feed_position() == position


async def test_a_changed_row_updates_one_user_and_a_missing_one_stays(store: DirectoryStore) -> None:
    await load(store, HEAD + "a@x,A,,true\nb@x,B,,true\n")
    position = store.feed_position()
    report = await load(store, HEAD + "A@x,Ada,,true\n")
    assert (report.users_updated, report.users_added) == (1, 0)
    assert names(store) == {"A@x", "b@x"}
    assert store.feed_position() == position + 1


async def test_managers_by_name_or_id_may_stand_further_down_and_unknown_ones_are_a_warning(
    store: DirectoryStore,
) -> None:
    report = await load(store, "userPrincipalName,id,manager\na@x,1,c@x\nb@x,2,1\nc@x,3,ghost@x\nd@x,4,d@x\n")
    managers = {user.id: user.manager_id for user in store.users_page("", 10)}
    assert managers == {"1": "3", "2": "1", "3": None, "4": None}
    assert [warning.partition(":")[0] for warning in report.warnings] == ["users line 4", "users line 5"]


async def test_groups_with_members_by_name_id_and_group(store: DirectoryStore) -> None:
    await load(store, "userPrincipalName,id\na@x,1\nb@x,2\n")
    report = await load(
        store,
        None,
        "groupId,groupDisplayName,memberId,userPrincipalName,displayName\n"
        "g1,Team,1,a@x,A\ng1,Team,,B@X,\ng2,Crew,g1,,Team\ng3,Empty,,,\n",
    )
    assert (report.groups_added, report.members_added) == (3, 3)
    assert groups.members_of(store.reader, "g1", "", 10) == [("1", "User"), ("2", "User")]
    assert groups.members_of(store.reader, "g2", "", 10) == [("g1", "Group")]


async def test_the_portals_list_of_one_groups_members_takes_the_groups_name_from_outside(store: DirectoryStore) -> None:
    await load(store, "userPrincipalName,id\na@x,1\nb@x,2\n")
    members = "id,userPrincipalName,displayName,objectType,userType,isUser,isGroup,isGuest\n"
    members += "1,a@x,Ada,User,Member,True,False,False\n2,b@x,Bea,User,Member,True,False,False\n"
    with pytest.raises(ImportFileError, match="no column for the group"):
        await load(store, None, members)
    report = await load(store, None, members, only_group="Sales")
    assert (report.groups_added, report.members_added) == (1, 2)
    [group] = store.groups_page("", 10)
    assert group.display_name == "Sales"
    assert groups.members_of(store.reader, group.id, "", 10) == [("1", "User"), ("2", "User")]
    assert (await load(store, None, members, only_group="SALES")).members_unchanged == 2


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("userPrincipalName\na@x\n", 1, "no column for the group"),
        ("group,member\nTeam,ghost@x\n", 2, "'ghost@x' is neither a user nor a group"),
        ("group,member\nTeam,a@x\n,a@x\n", 3, "names no group"),
        ("group,member\nTeam,Team\n", 2, "cannot be its own member"),
    ],
)
async def test_a_bad_groups_file_undoes_the_users_file_too(
    store: DirectoryStore, content: str, line: int, reason: str
) -> None:
    with pytest.raises(ImportFileError, match=f"line {line}: .*{reason}"):
        await load(store, "userPrincipalName\na@x\n", content)
    assert names(store) == set()


async def test_the_example_company_is_as_large_and_varied_as_it_says(store: DirectoryStore) -> None:
    report = await load(store, *example_text())
    people = store.users_page("", 1000)
    assert len(people) >= 60
    assert report.warnings == []
    assert sum("#EXT#" in user.user_principal_name for user in people) >= 3
    assert sum(not user.account_enabled for user in people) >= 3
    assert sum(user.manager_id is None for user in people) >= 1
    assert len({user.attributes.get("country") for user in people} - {None}) >= 4
    assert len({user.attributes.get("department") for user in people} - {None}) >= 5
    assert report.groups_added == 8
    nested = store.reader.execute("SELECT count(*) FROM membership WHERE member_type = 'Group'").fetchone()[0]
    assert nested == 1


def example_text() -> tuple[str, str]:
    users_csv, groups_csv = example_files()
    return users_csv.decode(), groups_csv.decode()


# The feed


async def test_every_write_has_its_position_and_parallel_writers_leave_no_gap(store: DirectoryStore) -> None:
    await load(store, "userPrincipalName,id\n" + "".join(f"u{n}@x,{n}\n" for n in range(50)))
    start = store.feed_position()
    await asyncio.gather(*(store.change(lambda c, now, n=n: users.delete_user(c, str(n), now)) for n in range(50)))  # type: ignore[misc] # binds n
    seen = store.changed_user_ids((start, store.feed_position()), "sp", "", 100)
    assert seen == sorted(str(n) for n in range(50))
    rows = store.reader.execute("SELECT position FROM change WHERE position > ?", (start,)).fetchall()
    assert [row[0] for row in rows] == list(range(start + 1, start + 51))


async def test_an_assigned_group_brings_its_direct_members_into_view(store: DirectoryStore) -> None:
    await load(store, "userPrincipalName,id\na@x,1\nb@x,2\n", "groupId,group,memberId\ng,Team,1\nn,Nested,2\n")
    await store.change(lambda c, now: groups.add_member(c, "g", "n", now))
    principal = await store.change(lambda c, now: applications.add_service_principal(c, "t", "App", now))
    start = store.feed_position()
    await store.change(lambda c, now: applications.assign(c, principal.id, "g", applications.USER_ROLE, now))
    window = start, store.feed_position()
    assert store.changed_user_ids(window, principal.id, "", 10) == ["1"]
    assert store.changed_group_ids(window, principal.id, "", 10) == ["g"]
    assert store.changed_user_ids(window, "another", "", 10) == []
    assert set(store.entitlements(principal.id, ["1", "2"])) == {"1"}
    assert store.count_changed_users(window, principal.id) == 1


async def test_ten_thousand_users_are_imported_in_one_transaction(store: DirectoryStore) -> None:
    rows = "".join(f"u{n}@x.example,User {n},{n},true\n" for n in range(10_000))
    report = await load(store, HEAD + rows)
    assert report.users_added == store.count_users() == 10_000


@pytest.mark.slow
async def test_the_memory_of_an_import_does_not_grow_with_the_file(store: DirectoryStore) -> None:
    peaks = []
    for number in (2_000, 8_000):
        people = "".join(
            f"{n:06d}-{number}@x.example,User {n},,true,{(n * 7) % number:06d}-{number}@x.example\n"
            for n in range(number)
        )
        members = "".join(f"Team,{n:06d}-{number}@x.example\n" for n in range(number))
        files = BytesIO(f"{HEAD.strip()},manager\n{people}".encode()), BytesIO(f"group,member\n{members}".encode())
        del people, members
        tracemalloc.start()
        report = await import_directory(store, *files)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (report.users_added, report.members_added) == (number, number)
    assert peaks[1] < 1.3 * peaks[0]


async def test_an_import_leaves_no_files_behind(store: DirectoryStore) -> None:
    before = set(store.db.path.parent.iterdir())
    await load(store, "upn\na@x\n")
    with pytest.raises(ImportFileError):
        await load(store, "upn\nb@x\nb@x\n")
    assert set(store.db.path.parent.iterdir()) == before
