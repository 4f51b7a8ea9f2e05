"""Bulk messages: what is wrong with a request, what with one operation, and the form of the response."""

import re
from typing import Any

import pytest

from joiner.scim.bulk import BulkOperation, BulkRequest, BulkResult, bulk_response, parse_bulk
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidSyntaxError,
    PreconditionFailedError,
    ScimError,
    TooLargeError,
)

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
POST = {"method": "POST", "path": "/Users", "bulkId": "u1", "data": {"userName": "kim"}}


def parsed(*operations: Any, **members: Any) -> BulkRequest:
    return parse_bulk({"schemas": [BULK], "Operations": list(operations), **members}, most_operations=10)


def only(operation: dict[str, Any]) -> BulkOperation:
    [found] = parsed(operation).operations
    return found


def error_of(operation: dict[str, Any]) -> ScimError:
    error = only(operation).error
    assert error is not None
    return error


@pytest.mark.req("REQ-S-300", "REQ-S-309")
def test_operations_are_read_with_their_paths_taken_apart() -> None:
    request = parsed(
        POST,
        {"method": "put", "path": "/Users/1", "version": 'W/"2"', "data": {"userName": "kim"}},
        {"method": "Patch", "path": "Groups/a%20b/", "data": {"Operations": []}},
        {"method": "DELETE", "path": "//Users//2", "bulkId": "d", "data": {"ignored": True}},
    )
    assert request.fail_on_errors is None
    assert request.operations == (
        BulkOperation(0, "POST", "/Users", None, "u1", None, {"userName": "kim"}),
        BulkOperation(1, "PUT", "/Users", "1", None, 'W/"2"', {"userName": "kim"}),
        BulkOperation(2, "PATCH", "/Groups", "a b", None, None, {"Operations": []}),
        BulkOperation(3, "DELETE", "/Users", "2", "d", None, None),
    )


def test_names_may_be_in_any_case_and_the_exact_one_wins() -> None:
    operation = {"METHOD": "POST", "Path": "/Users", "bulkid": "lower", "bulkId": "exact", "DATA": {}, "more": 1}
    request = parse_bulk({"operations": [operation], "failonerrors": "2"}, most_operations=1)
    assert request.fail_on_errors == 2
    assert request.operations == (BulkOperation(0, "POST", "/Users", None, "exact", None, {}),)


@pytest.mark.req("REQ-S-301")
@pytest.mark.parametrize(
    "operations",
    [
        [{**POST, "bulkId": None}],
        [{**POST, "bulkId": ""}],
        [{**POST, "bulkId": 1}],
        [{key: value for key, value in POST.items() if key != "bulkId"}],
        [POST, POST],
        [POST, {"method": "DELETE", "path": "/Users/1", "bulkId": "u1"}],
        ["POST"],
        "POST",
        None,
    ],
)
def test_a_request_whose_operations_cannot_be_told_apart_is_refused_as_a_whole(operations: Any) -> None:
    with pytest.raises(InvalidSyntaxError) as caught:
        parse_bulk({"Operations": operations}, most_operations=10)
    assert (caught.value.status, caught.value.scim_type) == (400, "invalidSyntax")


def test_the_urn_of_the_message_is_demanded_in_the_strict_profile_only() -> None:
    assert parse_bulk({"Operations": []}, most_operations=1) == BulkRequest(None, ())
    for schemas in (None, BULK, [], [1], ["urn:other"]):
        with pytest.raises(InvalidSyntaxError, match="BulkRequest"):
            parse_bulk({"schemas": schemas, "Operations": []}, most_operations=1, strict=True)
    assert parse_bulk({"schemas": [BULK.upper()], "Operations": []}, most_operations=1, strict=True).operations == ()
    with pytest.raises(InvalidSyntaxError):
        parse_bulk([], most_operations=1)


@pytest.mark.req("REQ-S-310")
def test_too_many_operations_are_refused_with_the_limit_in_the_text() -> None:
    listed = [{**POST, "bulkId": str(number)} for number in range(4)]
    assert len(parse_bulk({"Operations": listed[:3]}, most_operations=3).operations) == 3
    with pytest.raises(TooLargeError, match=r"may have 3 operations .* has 4") as caught:
        parse_bulk({"Operations": listed}, most_operations=3)
    assert caught.value.status == 413


@pytest.mark.req("REQ-S-306")
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "x", "", [], "9" * 5000, "²"])
def test_a_fail_on_errors_that_is_no_positive_number_is_refused(value: Any) -> None:
    with pytest.raises(InvalidAttributeError, match="failOnErrors"):
        parsed(failOnErrors=value)


@pytest.mark.req("REQ-S-313")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "GET"}, "method"),
        ({"method": None}, "method"),
        ({"method": ["POST"]}, "method"),
        ({"path": "/Bulk"}, "inside another"),
        ({"path": "/bulk/1", "method": "PUT"}, "inside another"),
        ({"path": None}, "path"),
        ({"path": ""}, "path"),
        ({"path": "/"}, "path"),
        ({"path": "/Users/1"}, "must be such as /Users, not '/Users/1'"),
        ({"path": "/Users/.search"}, "must be such as /Users"),
        ({"path": "/Users?attributes=id"}, "must be such as /Users"),
        ({"path": "https://app.example/scim/Users"}, "must be such as /Users"),
        ({"method": "DELETE"}, r"must be such as /Users/\{id\}"),
        ({"method": "PATCH", "path": "/Users/1/name"}, r"must be such as /Users/\{id\}"),
        ({"data": None}, "POST needs 'data'"),
        ({"data": "{}"}, "POST needs 'data'"),
        ({"method": "PUT", "path": "/Users/1", "data": []}, "PUT needs 'data'"),
        ({"version": 3}, "version"),
    ],
)
def test_what_is_wrong_with_one_operation_stays_with_it(change: dict[str, Any], reason: str) -> None:
    wrong, right = parsed({**POST, **change}, {**POST, "bulkId": "other"}).operations
    assert wrong.error is not None
    assert wrong.error.status == 400
    assert re.search(reason, str(wrong.error))
    assert (wrong.bulk_id, right.error) == ("u1", None)


@pytest.mark.req("REQ-S-313")
def test_an_endpoint_that_may_not_exist_is_left_to_whoever_knows_the_endpoints() -> None:
    assert only({**POST, "path": "/Printers"}) == BulkOperation(0, "POST", "/Printers", None, "u1", None, POST["data"])


def test_the_text_of_an_error_repeats_only_the_beginning_of_what_was_sent() -> None:
    assert len(str(error_of({**POST, "path": "/x/" * 100_000}))) < 300
    assert only({**POST, "method": "X" * 100_000}).method == "X" * 100


@pytest.mark.req("REQ-S-300", "REQ-S-308")
def test_the_response_has_the_order_of_the_request_and_texts_as_statuses() -> None:
    post, put, delete = parsed(
        POST,
        {"method": "PUT", "path": "/Users/2", "data": {}},
        {"method": "DELETE", "path": "/Users/3", "bulkId": "gone"},
    ).operations
    stale = PreconditionFailedError("the resource has changed")
    body = bulk_response(
        [
            BulkResult(delete, 204, "https://app.example/Users/3"),
            BulkResult(post, 201, "https://app.example/Users/1", 'W/"1"'),
            BulkResult(put, 412, "https://app.example/Users/2", error=stale),
        ]
    )
    assert body == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],
        "Operations": [
            {
                "method": "POST",
                "bulkId": "u1",
                "location": "https://app.example/Users/1",
                "version": 'W/"1"',
                "status": "201",
            },
            {
                "method": "PUT",
                "location": "https://app.example/Users/2",
                "status": "412",
                "response": {
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
                    "status": "412",
                    "detail": "the resource has changed",
                },
            },
            {"method": "DELETE", "bulkId": "gone", "location": "https://app.example/Users/3", "status": "204"},
        ],
    }
