"""What a plan has been told to write, as later questions see it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from joiner.provisioning.planning.planned_writes import PlannedWrites


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
