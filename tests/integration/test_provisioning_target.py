"""The SCIM client against a real socket that answers what a test tells it to."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pytest
from aiohttp import web

from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.client.retries import LONGEST_WAIT
from tests.scripted_target import NOW, Script, empty, json, listed, talking_to


@pytest.mark.req("REQ-P-069")
async def test_special_characters_of_a_matching_value_are_escaped() -> None:
    value = 'o\'brien "the\\second" ünï'
    script = Script(json(listed({"id": "1", "userName": value})))
    async with talking_to(script) as target:
        found = await target.query("/Users", "userName", value, case_exact=False)
    assert [resource["id"] for resource in found] == ["1"]
    assert script.requests[0][2]["filter"] == 'userName eq "o\'brien \\"the\\\\second\\" ünï"'


@pytest.mark.req("REQ-P-104")
async def test_excluded_attributes_are_asked_for_in_queries_and_reads() -> None:
    script = Script(json(listed()), json({"id": "g1"}))
    async with talking_to(script) as target:
        assert await target.query("/Groups", "displayName", "x", case_exact=False, exclude=("members",)) == []
        await target.read("/Groups", "g1", exclude=("members",))
    assert [query["excludedAttributes"] for _, _, query, _ in script.requests] == ["members", "members"]


async def test_a_target_that_ignores_filters_is_caught_instead_of_matched() -> None:
    script = Script(json(listed({"id": "1", "userName": "somebody.else"})))
    async with talking_to(script) as target:
        with pytest.raises(TargetError, match="does not match") as caught:
            await target.query("/Users", "userName", "wanted", case_exact=False)
    assert caught.value.code == "SystemForCrossDomainIdentityManagementServiceIncompatible"


WORK_MAIL = 'emails[type eq "work"].value'


@pytest.mark.parametrize(
    ("attribute", "read"),
    [
        ("externalId", {"id": "1", "userName": "a", "externalId": "Wanted"}),
        (WORK_MAIL, {"id": "1", "userName": "a", "emails": [{"value": "home"}, {"value": "wanted", "type": "WORK"}]}),
    ],
)
async def test_a_match_that_the_list_does_not_prove_is_read(attribute: str, read: dict[str, Any]) -> None:
    script = Script(json(listed({"id": "1", "userName": "a"})), json(read))
    async with talking_to(script) as target:
        # What was read is what is compared with the mappings' values.
        assert await target.query("/Users", attribute, "wanted", case_exact=False) == [read]
    assert [path for _, path, _, _ in script.requests] == ["/scim/Users", "/scim/Users/1"]


@pytest.mark.parametrize(
    ("attribute", "read", "told"),
    [
        ("externalId", json({"id": "1", "userName": "a", "externalId": "another"}), "does not match"),
        ("externalId", json({"id": "1", "userName": "a"}), "does not show"),
        (WORK_MAIL, json({"id": "1", "emails": [{"value": "another", "type": "work"}]}), "does not match"),
        ("externalId", json({"detail": "gone"}, 404), "does not have"),
    ],
)
async def test_a_match_that_a_read_does_not_prove_either_is_none(
    attribute: str, read: Callable[[], web.StreamResponse], told: str
) -> None:
    """A target that ignores the filter would give somebody else's account away."""
    async with talking_to(Script(json(listed({"id": "1", "userName": "a"})), read)) as target:
        with pytest.raises(TargetError, match=told):
            await target.query("/Users", attribute, "wanted", case_exact=False)


@pytest.mark.parametrize(
    "body",
    [
        {"resources": [{"id": "1", "userName": "A"}]},
        {"totalResults": 1, "Resources": [{"id": "1", "username": "a"}]},
        {"id": "1", "userName": "a"},
    ],
)
@pytest.mark.req("REQ-C-028")
async def test_list_answers_are_read_tolerantly(body: dict[str, Any]) -> None:
    async with talking_to(Script(json(body))) as target:
        found = await target.query("/Users", "userName", "a", case_exact=False)
    assert [resource["id"] for resource in found] == ["1"]


@pytest.mark.parametrize(
    "answer",
    [
        json(["x"]),
        json({"hello": 1}),
        empty(200),
        json({"Resources": [{"x": 1}]}),
        json({"Resources": [{"id": {"value": "1"}, "userName": "a"}]}),
    ],
)
async def test_what_is_no_list_answer_is_refused(answer: Callable[[], web.StreamResponse]) -> None:
    async with talking_to(Script(answer)) as target:
        with pytest.raises(TargetError):
            await target.query("/Users", "userName", "a", case_exact=False)


@pytest.mark.req("REQ-P-075", "REQ-P-076")
@pytest.mark.parametrize(("status", "code"), [(401, "Unauthorized"), (404, "WebExceptionProtocolError")])
async def test_refused_credentials_and_a_wrong_address_make_the_target_unusable(status: int, code: str) -> None:
    async with talking_to(Script(json({"detail": "no"}, status))) as target:
        with pytest.raises(TargetUnusableError) as caught:
            await target.query("/Users", "userName", "a", case_exact=False)
    assert caught.value.code == code


@pytest.mark.req("REQ-P-138")
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, {}, "InsufficientRights"),
        (404, {}, "InvalidAnchor"),
        (404, {"scimType": "noTarget"}, "InvalidAnchor"),
        (405, {}, "MethodNotAllowed"),
        (409, {}, "Conflict"),
        (409, {"scimType": "uniqueness"}, "Conflict"),
        (400, {}, "UnprocessableEntity"),
        (400, {"scimType": "uniqueness"}, "Conflict"),
        (400, {"scimType": "invalidPath"}, "SchemaAttributeNotFound"),
        (400, {"scimType": "noTarget"}, "SchemaAttributeNotFound"),
        (400, {"scimType": "invalidValue", "detail": "attribute 'x' is required"}, "MandatoryFieldsMissing"),
        (400, {"detail": "Missing userName"}, "MandatoryFieldsMissing"),
        (400, {"scimType": "invalidSyntax", "detail": "missing brace"}, "UnprocessableEntity"),
        (400, {"scimType": "invalidValue", "detail": "too long"}, "UnprocessableEntity"),
        (408, {}, "Timeout"),
        (410, {}, "InvalidAnchor"),
        (422, {}, "UnprocessableEntity"),
        (429, {}, "TooManyRequests"),
        (500, {}, "InternalServerError"),
        (501, {}, "NotImplemented"),
        (502, {}, "InternalServerError"),
        (503, {}, "InternalServerError"),
        (504, {}, "Timeout"),
        (505, {}, "InternalServerError"),
    ],
)
async def test_a_refusal_has_the_error_code_of_the_provisioning_log(
    status: int, body: dict[str, Any], code: str
) -> None:
    async with talking_to(Script(*[json(body, status)] * 20)) as target:
        with pytest.raises(TargetError) as caught:
            await target.modify("/Users", "u1", {})
    assert (caught.value.code, caught.value.status) == (code, status)


@pytest.mark.req("REQ-P-089", "REQ-C-022")
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Mon, 06 May 2024 07:08:39 GMT", 30.0),
        ("Monday, 06-May-24 07:08:39 GMT", 30.0),
        ("Mon May  6 07:08:39 2024", 30.0),
        ("99999", LONGEST_WAIT),
        ("-3", 0.0),
    ],
)
async def test_retry_after_is_honoured_as_seconds_and_as_a_date(header: str, seconds: float) -> None:
    script = Script(empty(429, **{"Retry-After": header}), json({"id": "new"}, 201))
    async with talking_to(script) as target:
        assert await target.create("/Users", {"userName": "a"}) == "new"
    assert sum(script.slept) == pytest.approx(seconds)


async def test_server_errors_are_tried_again_with_growing_waits_and_then_reported() -> None:
    script = Script(empty(503), empty(500), empty(502))
    async with talking_to(script) as target:
        with pytest.raises(TargetError) as caught:
            await target.delete("/Users", "u1")
    assert caught.value.code == "InternalServerError"
    assert script.slept == [0.5, 1.0]


@pytest.mark.req("REQ-C-023")
async def test_a_create_whose_outcome_is_unknown_is_not_repeated() -> None:
    script = Script(empty(500))
    async with talking_to(script) as target:
        with pytest.raises(TargetError):
            await target.create("/Users", {"userName": "a"})
    assert len(script.requests) == 1


@pytest.mark.req("REQ-P-101", "REQ-C-019")
async def test_deleting_what_is_gone_is_success() -> None:
    script = Script(empty(404))
    async with talking_to(script) as target:
        await target.delete("/Users", "u/1?")
    assert script.requests[0][:2] == ("DELETE", "/scim/Users/u/1?")


async def test_reading_what_is_gone_gives_none() -> None:
    async with talking_to(Script(empty(404))) as target:
        assert await target.read("/Users", "u1") is None


@pytest.mark.parametrize("updates", ["patch", "put"])
async def test_a_read_that_gives_somebody_else_is_refused(updates: Literal["patch", "put"]) -> None:
    script = Script(json({"id": "u2", "userName": "b"}))
    async with talking_to(script, profile=TargetProfile(updates=updates)) as target:
        with pytest.raises(TargetError, match="read of 'u1' with the object 'u2'"):
            await (target.read("/Users", "u1") if updates == "patch" else target.modify("/Users", "u1", {}))
    assert len(script.requests) == 1


async def test_a_redirect_is_not_followed_because_the_token_would_go_with_it() -> None:
    script = Script(empty(302, Location="https://elsewhere.example/"))
    async with talking_to(script) as target:
        with pytest.raises(TargetError, match=r"redirects to 'https://elsewhere\.example/'"):
            await target.read("/Users", "u1")
    assert len(script.requests) == 1


async def test_an_address_where_nobody_listens_is_reported_as_unreachable() -> None:
    async with talking_to(Script(), base_url="http://127.0.0.1:9/scim") as target:
        with pytest.raises(TargetError, match="cannot be reached") as caught:
            await target.read("/Users", "u1")
    assert caught.value.code == "WebExceptionProtocolError"


async def test_retry_dates_in_the_past_do_not_wait() -> None:
    past = (NOW - timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    script = Script(empty(503, **{"Retry-After": past}), empty(204))
    async with talking_to(script) as target:
        await target.modify("/Users", "u1", {})
    assert script.slept == []


@pytest.mark.parametrize("header", ["soon", "", "Mon, 06 May 99999999999999999999 07:08:39 GMT"])
async def test_what_says_no_time_to_come_again_counts_as_nothing_said(header: str) -> None:
    script = Script(*[empty(503, **{"Retry-After": header})] * 2, json({"id": "u1"}))
    async with talking_to(script) as target:
        await target.read("/Users", "u1")
        assert script.slept == [0.5, 1.0]
    script = Script(empty(503, **{"Retry-After": header}))
    async with talking_to(script) as target:
        with pytest.raises(TargetError):
            await target.create("/Users", {"userName": "a"})


@pytest.mark.parametrize("status", [429, 503])
async def test_who_is_told_to_come_again_at_once_and_refused_again_waits_longer_and_longer(status: int) -> None:
    script = Script(*[empty(status, **{"Retry-After": "0"})] * 4, json({"id": "new"}, 201))
    async with talking_to(script) as target:
        assert await target.create("/Users", {"userName": "a"}) == "new"
    assert script.slept == [2.0, 4.0, 8.0]


@pytest.mark.req("REQ-C-023")
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 507, 520, 529])
async def test_all_that_may_pass_is_tried_again_and_a_create_is_not(status: int) -> None:
    script = Script(empty(status), json({"id": "u1"}), empty(status))
    async with talking_to(script) as target:
        await target.read("/Users", "u1")
        assert script.slept == [0.5]
        with pytest.raises(TargetError) as caught:
            await target.create("/Users", {"userName": "a"})
    assert not caught.value.is_without_effect
