"""What a plan has been told to write, as later questions see it; and plans that an earlier version has kept."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from joiner.directory.store import MIGRATIONS as DIRECTORY_MIGRATIONS
from joiner.provisioning import side
from joiner.provisioning.planning import plans
from joiner.provisioning.planning.fingerprint import Fingerprint
from joiner.provisioning.planning.planned_writes import PlannedWrites
from joiner.storage.migrations import migrate


@pytest.fixture
def writes(tmp_path: Path) -> Iterator[PlannedWrites]:
    with closing(PlannedWrites(tmp_path)) as writes:
        yield writes


def test_who_is_created_has_the_name_whatever_its_case(writes: PlannedWrites) -> None:
    new = writes.new_id()
    writes.note("/Users", new, [("userName", "Ada@fjord.example"), ("title", "Boss")], is_new=True)
    assert writes.holder("/Users", "userName", "ADA@fjord.example") == new
    assert not writes.has_lost("/Users", "userName", "ada@fjord.example", new)
    assert writes.holder("/Groups", "userName", "ada@fjord.example") is None
    assert writes.holder("/Users", "title", "Boss") is None


def test_everybody_of_many_is_found_again(writes: PlannedWrites) -> None:
    ids = {f"person{number}": writes.new_id() for number in range(5000)}
    for name, new in ids.items():
        writes.note("/Users", new, [("userName", name)], is_new=True)
    assert {name: writes.holder("/Users", "userName", name) for name in ids} == ids
    assert writes.holder("/Users", "userName", "person5000") is None


def test_who_is_renamed_loses_the_former_name(writes: PlannedWrites) -> None:
    writes.note("/Users", "7", [("USERNAME", "grace@fjord.example")], is_new=False)
    assert writes.holder("/Users", "userName", "grace@fjord.example") == "7"
    assert writes.has_lost("/Users", "userName", "ada@fjord.example", "7")
    assert not writes.has_lost("/Users", "userName", "Grace@fjord.example", "7")


def test_what_is_asked_for_once_is_noted_from_then_on(writes: PlannedWrites) -> None:
    writes.watch("/Groups", "displayName")
    writes.note("/Groups", "8", [("displayName", "Harbour"), ("externalId", "x")], is_new=True)
    assert writes.holder("/Groups", "displayname", "harbour") == "8"
    assert writes.holder("/Groups", "externalId", "x") is None


def test_whole_objects_are_kept_as_they_would_be(writes: PlannedWrites) -> None:
    assert writes.whole("/Users", "7") is None
    writes.keep_whole("/Users", "7", {"id": "7", "title": "Boss"})
    writes.keep_whole("/Users", "7", {"id": "7", "title": "Chair"})
    assert writes.whole("/Users", "7") == {"id": "7", "title": "Chair"}


def test_plans_of_an_earlier_version_are_kept(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for file in side.MIGRATIONS.glob("000[1-7]_*.sql"):
        shutil.copy(file, earlier)
    fingerprint = Fingerprint("1", "2", "3", "4", "5")
    detail = {
        "changes": [{"displayName": "title", "oldValue": None, "newValue": 'Head "of" sales'}],
        "causes": [{"kind": "mapping", "text": "title ← [jobTitle]"}],
        "problem": None,
        "fingerprint": {name: getattr(fingerprint, name) for name in Fingerprint.__struct_fields__},
        "references": {"members": {"add": 2}},
        "missing": "m-1",
    }
    problem = {"code": "A", "reason": "b"}
    bare: dict[str, Any] = {
        "changes": [], "causes": [], "problem": problem, "fingerprint": None, "references": {}
    }  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "engine.db", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        migrate(connection, "directory", DIRECTORY_MIGRATIONS)
        migrate(connection, "provisioning", earlier)
        for position, document in enumerate((detail, bare), start=1):
            connection.execute(
                "INSERT INTO plan_item VALUES ('j', 1, ?, ?, 'User', 'Ada', 'update', 0, 't', ?, 'planned', NULL)",
                (position, f"s-{position}", orjson.dumps(document).decode()),
            )
        connection.execute("INSERT INTO plan_request VALUES ('j', 1, 's-1', 1, 'DELETE', '/Users/t', NULL)")
        migrate(connection, "provisioning", side.MIGRATIONS)
        first, second = plans.items_page(connection, "j", 1, 0, 10)
        assert first.changes == [("title", None, 'Head "of" sales')]
        assert first.causes == [("mapping", "title ← [jobTitle]")]
        assert (first.problem, first.fingerprint, first.missing_id) == (None, fingerprint, "m-1")
        assert first.reference_counts == {"members": {"add": 2}}
        assert (second.changes, second.problem) == ([], problem)
        assert (second.fingerprint, second.missing_id, second.reference_counts) == (None, None, {})
        assert plans.requests_of(connection, "j", 1, "s-1") == [{"method": "DELETE", "path": "/Users/t", "body": None}]
