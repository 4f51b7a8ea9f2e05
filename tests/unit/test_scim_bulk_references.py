"""References between bulk operations: where they are found, how they are resolved, what can be put off."""

from typing import Any

import pytest

from joiner.scim.bulk import BulkOperation
from joiner.scim.bulk_references import References, defer, references_of, resolve
from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.errors import ConflictError, InvalidAttributeError, InvalidPathError, InvalidSyntaxError

IDS = {"u1": "2819", "u2": "77", 'odd "one"\\': "5", "failed": None}


def operation(method: str, data: Any, id_: str | None = None) -> BulkOperation:
    return BulkOperation(0, method, "/Groups", id_, "g1" if method == "POST" else None, None, data)


def resolved(value: Any) -> Any:
    return resolve(operation("PUT", {"it": value}), IDS).data["it"]


def patched(path: str) -> str:
    data = {"Operations": [{"op": "remove", "path": path}]}
    found: str = resolve(operation("PATCH", data), IDS).data["Operations"][0]["path"]
    return found


@pytest.mark.req("REQ-S-302")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bulkId:u1", "2819"),
        ('bulkId:odd "one"\\', "5"),
        ({"members": [{"value": "bulkId:u1"}, {"value": "9"}]}, {"members": [{"value": "2819"}, {"value": "9"}]}),
        ({"members": ["bulkId:u1", "bulkId:u2"]}, {"members": ["2819", "77"]}),
        ({ENTERPRISE_URN: {"manager": {"value": "bulkId:u2"}}}, {ENTERPRISE_URN: {"manager": {"value": "77"}}}),
        ({"$ref": "bulkId:u1"}, {"$ref": "2819"}),
        ({"$REF": "https://app.example/scim/Users/bulkId:u1"}, {"$REF": "https://app.example/scim/Users/2819"}),
        ({"$ref": "../Users/bulkId:u1"}, {"$ref": "../Users/2819"}),
    ],
)
def test_a_reference_is_replaced_by_the_id_wherever_an_id_can_stand(value: Any, expected: Any) -> None:
    assert resolved(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "see bulkId:u1",
        "BULKID:u1",
        {"$ref": "https://app.example/bulkId:u1/photo"},
        {"path": 'a "bulkId:u1"'},
        {"bulkId:u1": 1},
        ["", None, True, 4.5, {}],
    ],
)
def test_what_only_looks_like_a_reference_is_left_alone_and_not_copied(value: Any) -> None:
    assert references_of(operation("PUT", {"it": value})) in (None, References())
    assert resolved(value) is value


@pytest.mark.req("REQ-S-302", "REQ-S-312")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ('members[value eq "bulkId:u1"]', 'members[value eq "2819"]'),
        (
            'members[value eq "bulkId:u1" or (value eq "bulkId:u2")].display',
            'members[value eq "2819" or (value eq "77")].display',
        ),
        ("members[value eq 'bulkId:u1']", 'members[value eq "2819"]'),
        ("members[value eq bulkId:u1]", 'members[value eq "2819"]'),
        ('members[value eq "bulkId:odd \\"one\\"\\\\"]', 'members[value eq "5"]'),
        ('members[display eq "the bulkId:u1"]', 'members[display eq "the bulkId:u1"]'),
        ('members[value eq "bulkId:u1', 'members[value eq "bulkId:u1'),
        ("members", "members"),
    ],
)
def test_a_reference_in_the_path_of_a_patch_is_replaced_as_a_literal(path: str, expected: str) -> None:
    assert patched(path) == expected


@pytest.mark.req("REQ-S-302")
def test_a_reference_in_the_path_of_the_operation_is_replaced() -> None:
    delete = operation("DELETE", None, "bulkId:u1")
    assert references_of(delete) == References(frozenset({"u1"}))
    assert resolve(delete, IDS).id == "2819"


def test_what_has_no_reference_is_not_copied() -> None:
    untouched = {"value": "9"}
    data: dict[str, Any] = {"members": [untouched, {"value": "bulkId:u1"}], "name": {"formatted": "x"}}
    after = resolve(operation("PUT", data), IDS).data
    assert after["members"][0] is untouched
    assert after["name"] is data["name"]
    assert data["members"][1] == {"value": "bulkId:u1"}, "the request itself is not changed"


@pytest.mark.req("REQ-S-305")
@pytest.mark.parametrize("place", [{"value": "bulkId:{}"}, {"$ref": "/Users/bulkId:{}"}, ["bulkId:{}"]])
def test_a_bulk_id_that_no_post_has_is_told_from_one_whose_post_failed(place: Any) -> None:
    def with_id(bulk_id: str) -> Any:
        if isinstance(place, list):
            return [place[0].format(bulk_id)]
        return {key: value.format(bulk_id) for key, value in place.items()}

    with pytest.raises(InvalidAttributeError, match="no POST of this request has the bulkId 'nobody'") as unknown:
        resolved(with_id("nobody"))
    assert (unknown.value.status, unknown.value.scim_type) == (400, "invalidValue")
    with pytest.raises(ConflictError, match="'failed'") as failed:
        resolved(with_id("failed"))
    assert (failed.value.status, failed.value.scim_type) == (409, None)


def test_references_that_can_be_added_later_are_told_from_those_that_cannot() -> None:
    data = {
        "Members": [{"value": "bulkId:a"}, {"$ref": "/Users/bulkId:b"}],
        ENTERPRISE_URN: {"manager": "bulkId:c", "costCenter": "bulkId:d"},
        "externalId": "bulkId:a",
    }
    assert references_of(operation("POST", data)) == References(frozenset("ad"), frozenset("bc"))
    assert references_of(operation("PUT", data, "1")) == References(frozenset("abcd"))


def test_what_was_written_with_escapes_is_found() -> None:
    patch = {"Operations": [{"op": "add", "path": "members", "value": [{"value": "\u0062ulkId:é"}]}]}
    assert references_of(operation("PATCH", patch, "1")) == References(frozenset("é"))


@pytest.mark.req("REQ-S-304")
def test_what_is_put_off_is_taken_out_of_the_create_and_added_by_a_patch() -> None:
    data = {
        "displayName": "Team",
        "members": [{"value": "bulkId:late"}, {"value": "9"}, {"value": "bulkId:soon"}],
        ENTERPRISE_URN: {"manager": {"value": "bulkId:late"}, "department": "R"},
    }
    created, completing = defer(operation("POST", data), {"late"})
    assert created.data == {
        "displayName": "Team",
        "members": [{"value": "9"}, {"value": "bulkId:soon"}],
        ENTERPRISE_URN: {"department": "R"},
    }
    assert (completing.method, completing.endpoint, completing.id) == ("PATCH", "/Groups", "bulkId:g1")
    assert completing.data == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            {"op": "add", "path": "members", "value": [{"value": "bulkId:late"}]},
            {"op": "add", "path": f"{ENTERPRISE_URN}:manager", "value": {"value": "bulkId:late"}},
        ],
    }
    assert data["members"] == [{"value": "bulkId:late"}, {"value": "9"}, {"value": "bulkId:soon"}]


def test_an_attribute_from_which_nothing_is_left_goes() -> None:
    created, completing = defer(operation("POST", {"displayName": "T", "members": "bulkId:late"}), {"late"})
    assert created.data == {"displayName": "T"}
    assert completing.data["Operations"] == [{"op": "add", "path": "members", "value": "bulkId:late"}]


@pytest.mark.parametrize("depth", [70, 300])
def test_data_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    value: Any = "bulkId:u1"
    for _ in range(depth):
        value = [value]
    with pytest.raises(InvalidSyntaxError, match="nested deeper than 64"):
        references_of(operation("PUT", {"it": value}))


def test_a_path_is_searched_only_up_to_a_sensible_length() -> None:
    data = {"Operations": [{"op": "remove", "path": 'members[value eq "bulkId:u1' + '\\"' * 500_000}]}
    with pytest.raises(InvalidPathError, match="2048"):
        references_of(operation("PATCH", data, "1"))
