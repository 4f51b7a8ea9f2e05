"""Import files as tables: encodings, separators, headings, and lines that cannot be read."""

from io import BytesIO

import pytest

from joiner.directory.columns import group_columns, user_columns
from joiner.directory.tables import ImportFileError, Problem, Row, open_table


def read(content: bytes) -> tuple[list[Row], list[Problem]]:
    """The rows of a users file, and the lines that cannot be read."""
    lines = list(open_table(BytesIO(content), "users", user_columns))
    return [line for line in lines if isinstance(line, Row)], [line for line in lines if isinstance(line, Problem)]


@pytest.mark.parametrize(
    ("heading", "column"),
    [
        ("USERPRINCIPALNAME", "userPrincipalName"),
        ("User principal name", "userPrincipalName"),
        ("User name [userPrincipalName] Required", "userPrincipalName"),
        ("Object ID", "id"),
        ("objectId", "id"),
        ("Employee ID", "employeeId"),
        ("Fax number", "facsimileTelephoneNumber"),
        ("faxNumber", "facsimileTelephoneNumber"),
        ("officeLocation", "physicalDeliveryOfficeName"),
        ("businessPhones", "telephoneNumber"),
        ("mobilePhone", "mobile"),
        ("directorySynced", "dirSyncEnabled"),
        ("On-premises sync enabled", "dirSyncEnabled"),
        ("extensionAttribute7", "extensionAttribute7"),
        ("extension_5b8d_shoeSize", "extension_5b8d_shoeSize"),
        (" costCenter ", "costCenter"),
    ],
)
def test_a_heading_means_the_attribute_in_every_spelling_of_the_portal(heading: str, column: str) -> None:
    assert user_columns([heading]) == [column]


def test_id_and_display_name_are_the_members_only_beside_a_column_for_the_group() -> None:
    assert group_columns(["id", "displayName"]) == ["groupId", "groupName"]
    headings = ["Group", "Object ID", "User principal name", "Display name"]
    assert group_columns(headings) == ["groupName", "memberId", "memberName", "memberDisplayName"]


def test_a_line_break_inside_quotes_belongs_to_the_cell_and_lines_are_counted_as_an_editor_does() -> None:
    rows, problems = read(b'upn,street\r\na@x,"1 Road\r\nYard"\r\nb@x\r\nc@x,2\r\n')
    assert [(row.line, row.cells["userPrincipalName"]) for row in rows] == [(2, "a@x"), (5, "c@x")]
    assert [str(problem) for problem in problems] == ["line 4: has 1 fields, but there are 2 columns"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_accents_survive_every_encoding_and_separator(encoding: str, separator: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = f"{mark}upn{separator}city\nžofie@x{separator}Århus, north; side\t\n"
    text = text.replace("Århus, north; side\t", '"Århus, north; side"')
    rows, _ = read(text.encode(encoding))
    assert [dict(row.cells) for row in rows] == [{"userPrincipalName": "žofie@x", "city": "Århus, north; side"}]


def test_utf_16_without_its_mark_is_refused_as_no_text() -> None:
    with pytest.raises(ImportFileError, match="line 1: contains NUL"):
        read("upn\na@x\n".encode("utf-16-le"))


def test_the_line_of_a_wrong_byte_is_named() -> None:
    with pytest.raises(ImportFileError, match="line 3: byte 0x9E is not UTF-8"):
        read("upn\na@x\nž@x\n".encode("cp1250"))


def test_a_message_shows_the_first_lines_and_counts_the_rest() -> None:
    error = ImportFileError("users", read(b"upn,city\n" + b"x\n" * 25)[1])
    assert len(error.problems) == 25
    assert str(error).endswith("and 5 more lines")
    assert "line 21:" in str(error)
    assert "line 22:" not in str(error)


def test_a_file_is_not_read_further_than_is_asked_for() -> None:
    source = BytesIO(b"upn\n" + b"x@x\n" * 1_000_000)
    lines = iter(open_table(source, "users", user_columns))
    assert next(lines) == Row(2, {"userPrincipalName": "x@x"})
    assert source.tell() < 100_000


def test_the_line_of_a_wrong_byte_is_named_far_down_in_the_file() -> None:
    content = b"upn\n" + b"a@x\n" * 99_998 + b"b\xff@x\n" + b"c@x\n"
    with pytest.raises(ImportFileError, match="line 100000: byte 0xFF is not UTF-8"):
        read(content)


def test_a_table_can_be_read_again() -> None:
    table = open_table(BytesIO(b"upn\na@x\nb@x\n"), "users", user_columns)
    assert list(table) == list(table) == [Row(2, {"userPrincipalName": "a@x"}), Row(3, {"userPrincipalName": "b@x"})]
