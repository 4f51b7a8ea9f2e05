"""Hostile bulk requests: whatever is sent, each operation is planned once and has one result, or all is refused."""

from typing import Any

import orjson
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from joiner.scim.bulk import METHODS, parse_bulk
from joiner.scim.bulk_run import BulkRun
from joiner.scim.errors import ResourceNotFoundError, ScimError
from tests.fuzzing import LONG, check_sendable, json_values

BULK_IDS = ("a", "b", "c", "\x00", "bulkId:a", "é" * 200)
NAMES = st.sampled_from(["members", "manager", "value", "$ref", "path", "Operations", "op", "userName", "urn:x:2.0:Y"])
VALUES = st.one_of(
    json_values(NAMES),
    st.sampled_from([f"bulkId:{each}" for each in BULK_IDS]),
    st.sampled_from(['members[value eq "bulkId:a"]', "members[value eq 'bulkId:b'", "/Users/bulkId:c", "bulkId:"]),
)
DATA = st.dictionaries(NAMES, st.one_of(VALUES, st.lists(st.dictionaries(NAMES, VALUES, max_size=2), max_size=3)))
OPERATIONS = st.one_of(
    st.fixed_dictionaries(
        {
            "method": st.sampled_from([*METHODS, "post", "GET", "", None]),
            "path": st.sampled_from(
                ["/Users", "/Groups/", "/Users/1", "/Groups/bulkId:a", "/Users/%00", "/Bulk", "", 1]
            ),
        },
        optional={
            "bulkId": st.one_of(st.sampled_from(BULK_IDS), st.none(), st.integers()),
            "data": st.one_of(DATA, VALUES),
            "version": VALUES,
        },
    ),
    st.dictionaries(st.sampled_from(["method", "METHOD", "path", "Path", "data", "bulkid"]), VALUES),
    VALUES,
)
REQUESTS = st.one_of(
    st.fixed_dictionaries(
        {"Operations": st.lists(OPERATIONS, max_size=8)},
        optional={"failOnErrors": st.sampled_from([1, 2, 0, -1, "1", True, 1e300, None]), "schemas": VALUES},
    ),
    VALUES,
)


@pytest.mark.req("REQ-S-300", "REQ-S-304", "REQ-S-306", "REQ-S-313")
@LONG
@given(body=REQUESTS, succeeds=st.lists(st.booleans(), min_size=16, max_size=16))
def test_no_bulk_request_fails_in_any_other_way(body: Any, succeeds: list[bool]) -> None:
    try:
        body = orjson.loads(orjson.dumps(body))
    except TypeError:
        reject()
    for strict in (False, True):
        try:
            request = parse_bulk(body, most_operations=8, strict=strict)
        except ScimError as error:
            check_sendable(error)
            continue
        run = BulkRun(request, "https://app.example/scim")
        for number, step in enumerate(run.steps()):
            try:
                operation = run.resolve(step)
                if not succeeds[number]:
                    raise ResourceNotFoundError("it is not there")
                run.succeeded(step, f"id{operation.index}", 200, "https://app.example/scim/Users/1")
            except ScimError as error:
                run.failed(step, error)
        results = orjson.loads(orjson.dumps(run.response()))["Operations"]
        if request.fail_on_errors is None:
            assert len(results) == len(request.operations)
        assert [each.get("bulkId") for each in results] == [each.bulk_id for each in request.operations][: len(results)]
        assert all("response" in each for each in results if int(each["status"]) >= 400)
