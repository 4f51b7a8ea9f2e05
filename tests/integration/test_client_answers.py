"""What targets really answer: pages of all kinds, odd spellings, half answers, pages for people."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from joiner.provisioning.client import http
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.client.recorder import MOST_SAID, Said, listen
from tests.scripted_target import Reply, Script, empty, json, listed, talking_to

INCOMPATIBLE = "SystemForCrossDomainIdentityManagementServiceIncompatible"


def people(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": str(number), "userName": f"u{number}"} for number in numbers]


async def ids(script: Script, **profile: Any) -> list[str]:
    async with talking_to(script, profile=TargetProfile(**profile)) as target:
        return [resource["id"] async for resource in target.every("/Users")]


# Pages


@pytest.mark.req("REQ-C-029")
async def test_all_pages_are_read_by_index_until_the_total_is_reached() -> None:
    script = Script(
        json(listed(*people(1, 2), totalResults=5)),
        json(listed(*people(3), totalResults=5)),
        json(listed(*people(4, 5), totalResults=5)),
    )
    assert await ids(script, page_size=2) == ["1", "2", "3", "4", "5"]
    # Where a page was shorter than asked for, the next one begins behind what came.
    assert [seen.query["startIndex"] for seen in script.requests] == ["1", "3", "4"]
    assert {seen.query["count"] for seen in script.requests} == {"2"}


@pytest.mark.req("REQ-C-029")
async def test_all_pages_are_read_by_cursor() -> None:
    script = Script(
        json(listed(*people(1, 2), totalResults=3, nextCursor="a/b=")), json(listed(*people(3), totalResults=3))
    )
    assert await ids(script, paging="cursor", page_size=2) == ["1", "2", "3"]
    assert [seen.query for seen in script.requests] == [
        {"cursor": "", "count": "2"},
        {"cursor": "a/b=", "count": "2"},
    ]


@pytest.mark.req("REQ-C-029")
@pytest.mark.parametrize("paging", ["index", "none"])
async def test_a_cursor_that_nobody_asked_for_is_followed(paging: str) -> None:
    script = Script(
        json({"resources": people(1), "nextCursor": "x"}),
        json({"resources": [], "nextCursor": "y"}),
        json({"resources": people(2), "nextCursor": None}),
    )
    assert await ids(script, paging=paging) == ["1", "2"]
    assert [seen.query.get("cursor") for seen in script.requests] == [None, "x", "y"]
    assert "startIndex" not in script.requests[1].query


async def test_a_match_may_stand_on_a_later_page() -> None:
    script = Script(json({"Resources": [], "nextCursor": "x"}), json(listed(*people(1), totalResults=None)))
    async with talking_to(script) as target:
        assert await target.query("/Users", "userName", "u1", case_exact=True) == people(1)
    assert script.requests[1].query == {"filter": 'userName eq "u1"', "cursor": "x"}


async def test_a_search_that_does_not_end_is_broken_off() -> None:
    pages = (json({"Resources": [], "nextCursor": str(number)}) for number in range(1000))
    script = Script(*pages)
    async with talking_to(script) as target:
        with pytest.raises(TargetError, match="does not come to its end"):
            await target.query("/Users", "userName", "u1", case_exact=True)
    assert len(script.requests) < 200


async def test_a_list_that_goes_in_circles_is_broken_off() -> None:
    script = Script(*[json({"Resources": people(1), "nextCursor": "x"})] * 2)
    with pytest.raises(TargetError, match="same nextCursor"):
        await ids(script)


async def test_without_a_total_the_pages_end_with_one_that_is_not_full() -> None:
    assert await ids(Script(json({"Resources": people(1, 2)}))) == ["1", "2"]
    script = Script(json({"Resources": people(1, 2)}), json({"Resources": people(3)}))
    assert await ids(script, page_size=2) == ["1", "2", "3"]
    assert script.requests[1].query["startIndex"] == "3"
    # The whole list, whatever is asked for.
    assert await ids(Script(*[json({"Resources": people(1, 2)})] * 2), page_size=2) == ["1", "2"]


@pytest.mark.req("REQ-C-003")
async def test_a_second_match_may_be_only_counted_on_the_first_page() -> None:
    both = [{"id": number, "userName": "a"} for number in ("1", "2")]
    script = Script(json(listed(both[0], totalResults=2)), json(listed(both[1], totalResults=2)))
    async with talking_to(script) as target:
        assert await target.query("/Users", "userName", "a", case_exact=True) == both
    assert script.requests[1].query == {"filter": 'userName eq "a"', "startIndex": "2"}


@pytest.mark.parametrize("filters", [True, False])
async def test_a_match_is_one_in_whatever_form_its_letters_are_written(filters: bool) -> None:
    script = Script(json(listed({"id": "1", "userName": "Jos\u00e9"})))
    async with talking_to(script, profile=TargetProfile(filters=filters)) as target:
        [found] = await target.query("/Users", "userName", "jose\u0301", case_exact=False)
    assert found["id"] == "1"


async def test_matches_that_are_counted_and_not_listed_are_not_taken_for_nobody() -> None:
    async with talking_to(Script(json(listed(totalResults=1)))) as target:
        with pytest.raises(TargetError, match=r"1 objects match .* lists none"):
            await target.query("/Users", "userName", "u1", case_exact=True)


# Spellings


@pytest.mark.req("REQ-C-028")
@pytest.mark.parametrize(
    "body",
    [
        {"RESOURCES": people(1), "TotalResults": "1"},
        {"Resources": [{"id": 1, "userName": "u1"}], "totalResults": 1},
        {"resources": people(1)},
        {"Resources": people(1)[0], "totalResults": 1},
        people(1)[0],
    ],
)
async def test_a_match_is_found_in_any_spelling_of_a_list(body: Any) -> None:
    async with talking_to(Script(json(body))) as target:
        [found] = await target.query("/Users", "userName", "u1", case_exact=True)
    assert found["id"] == "1"


@pytest.mark.req("REQ-C-028")
@pytest.mark.parametrize(
    "answer",
    [
        json({"id": "1"}, 201),
        json({"id": "1"}, 200),
        json({"id": 1}, 201),
        empty(201, Location="https://x.example/scim/Users/1"),
        empty(201, Location="/scim/users/1/"),
        lambda: web.Response(status=201, text="Created", headers={"Location": "/scim/Users/1"}),
        json({"schemas": []}, 201, Location="https://x.example/scim/Users/1?x=y"),
    ],
)
async def test_the_id_of_what_was_created_is_found(answer: Reply) -> None:
    async with talking_to(Script(answer)) as target:
        assert await target.create("/Users", {"userName": "a"}) == "1"


@pytest.mark.parametrize("answer", [empty(201), json({"id": ""}, 201), empty(201, Location="https://x.example/other")])
async def test_a_create_without_an_id_is_an_error(answer: Reply) -> None:
    async with talking_to(Script(answer)) as target:
        with pytest.raises(TargetError, match="without an id"):
            await target.create("/Users", {"userName": "a"})


@pytest.mark.req("REQ-C-028")
@pytest.mark.parametrize("answer", [empty(204), json({"id": "1"}, 200), empty(200), empty(202)])
async def test_a_patch_succeeds_with_and_without_a_body(answer: Reply) -> None:
    script = Script(answer)
    async with talking_to(script) as target:
        await target.modify("/Users", "1", {"Operations": []})
    [sent] = script.requests
    assert (sent.method, sent.path, sent.body) == ("PATCH", "/scim/Users/1", {"Operations": []})


@pytest.mark.req("REQ-C-028")
@pytest.mark.parametrize("status", ["409", 409])
async def test_an_error_is_read_whether_its_status_is_a_number_or_text(status: Any) -> None:
    body = {"status": status, "scimType": "uniqueness", "detail": "taken"}
    async with talking_to(Script(json(body, 409))) as target:
        with pytest.raises(TargetError, match="taken") as caught:
            await target.create("/Users", {})
    assert caught.value.code == "Conflict"


@pytest.mark.req("REQ-P-138")
async def test_a_read_that_gives_several_objects_has_a_code_of_its_own() -> None:
    async with talking_to(Script(json(listed(*people(1, 2))))) as target:
        with pytest.raises(TargetError) as caught:
            await target.read("/Users", "1")
    assert caught.value.code == "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse"


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "no such group", "message": "Bad Request"},
        {"Detail": "no such group", "status": 400},
        {"error": {"code": 400, "message": "no such group"}},
        {"error": "invalid", "error_description": "no such group"},
        {"Errors": [{"description": "no such group", "code": "400"}]},
        {"message": "no such group"},
    ],
)
async def test_what_an_error_says_is_told_wherever_it_stands(body: dict[str, Any]) -> None:
    async with talking_to(Script(json(body, 400))) as target:
        with pytest.raises(TargetError, match=r"HTTP 400: no such group$"):
            await target.modify("/Groups", "1", {"Operations": []})


async def test_an_error_may_be_plain_text() -> None:
    async with talking_to(Script(lambda: web.Response(status=400, text="no such\ngroup"))) as target:
        with pytest.raises(TargetError, match=r"HTTP 400: 'no such group'$"):
            await target.modify("/Groups", "1", {"Operations": []})


async def test_a_byte_order_mark_before_an_answer_is_skipped() -> None:
    def marked() -> web.Response:
        return web.Response(body=b'\xef\xbb\xbf{"id": "1"}', content_type="application/json")

    async with talking_to(Script(marked)) as target:
        assert await target.read("/Users", "1") == {"id": "1"}


async def test_a_version_that_no_header_can_carry_is_not_sent() -> None:
    script = Script(json({"id": "1", "userName": "u1", "meta": {"version": "a\nb"}}), empty(200))
    async with talking_to(script, profile=TargetProfile(updates="put")) as target:
        await target.modify("/Users", "1", {"Operations": [{"op": "replace", "path": "title", "value": "Cook"}]})
    assert "If-Match" not in script.requests[1].headers


# No SCIM at all


def page(status: int) -> Reply:
    text = "<html><head><title>\n Sign in </title></head></html>"
    return lambda: web.Response(status=status, text=text, content_type="text/html")


async def test_a_page_for_people_is_named_in_the_error() -> None:
    async with talking_to(Script(page(200))) as target:
        with pytest.raises(TargetError, match=r"an HTML page \('Sign in'\) instead of JSON") as caught:
            await target.query("/Users", "userName", "a", case_exact=True)
    assert caught.value.code == INCOMPATIBLE
    async with talking_to(Script(page(400))) as target:
        with pytest.raises(TargetError, match="HTTP 400: 'Sign in'") as caught:
            await target.modify("/Users", "1", {})


@pytest.mark.req("REQ-C-033")
async def test_what_a_target_repeats_of_our_secret_is_masked_in_the_error() -> None:
    async with talking_to(Script(json({"detail": "bad header: Bearer s3cr3t-t0ken"}, 400)), "s3cr3t-t0ken") as target:
        with pytest.raises(TargetError, match=r"bad header: Bearer \*") as caught:
            await target.modify("/Users", "1", {})
    assert "s3cr3t" not in str(caught.value)


async def test_what_a_redirect_carries_in_its_query_is_not_told() -> None:
    async with talking_to(Script(empty(302, Location="https://sso.example/login?state=s3cr3t"))) as target:
        with pytest.raises(TargetError, match=r"redirects to 'https://sso\.example/login'"):
            await target.read("/Users", "1")


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw(speak: Speak) -> AsyncIterator[str]:
    """A server over bare sockets; gives its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await speak(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/scim"


@pytest.mark.req("REQ-C-023")
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/scim+json\r\nContent-Length: 100\r\n\r\n{"totalResults": 0',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"to',
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
)
async def test_a_half_answer_counts_as_none_is_asked_for_again_and_a_create_is_not(sent: bytes) -> None:
    connections = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(sent)
        await writer.drain()

    script = Script()
    async with raw(speak) as base_url, talking_to(script, base_url=base_url) as target:
        with pytest.raises(TargetError) as caught:
            await target.query("/Users", "userName", "a", case_exact=True)
        assert caught.value.code == "WebExceptionProtocolError"
        assert script.slept == [0.5, 1.0]
        assert connections >= 3
        connections = 0
        with pytest.raises(TargetError):
            await target.create("/Users", {"userName": "a"})
        assert connections == 1


@pytest.mark.req("REQ-P-138")
async def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw(speak) as base_url, talking_to(Script(), base_url=base_url, profile=QUICK) as target:
        with pytest.raises(TargetError, match="no answer within") as caught:
            await target.create("/Users", {})
    assert caught.value.code == "Timeout"


QUICK = TargetProfile(timeout_seconds=1)


def compressed(content: bytes, coding: str) -> Reply:
    return lambda: web.Response(body=content, headers={"Content-Encoding": coding}, content_type="application/json")


async def test_answers_are_read_compressed_though_nobody_asked_for_it() -> None:
    body = b'{"totalResults":1,"Resources":[{"id":"1"}]}'
    for content, coding in ((gzip.compress(body), "gzip"), (zlib.compress(body), "deflate"), (body, "identity")):
        script = Script(compressed(content, coding))
        assert await ids(script) == ["1"]
        assert script.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_an_answer_that_cannot_be_decompressed_is_no_scim(coding: str) -> None:
    with pytest.raises(TargetError) as caught:
        await ids(Script(compressed(b"{}", coding)))
    assert caught.value.code == INCOMPATIBLE


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch, is_compressed: bool) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 100_000)
    content = b" " * 100_001
    reply = compressed(gzip.compress(content), "gzip") if is_compressed else lambda: web.Response(body=content)
    with pytest.raises(TargetError, match="longer than 100000 bytes"):
        await ids(Script(reply))


# Listening


@pytest.mark.req("REQ-C-033", "REQ-C-034")
async def test_who_listens_is_told_every_request_with_its_answer_and_no_credentials() -> None:
    taken: list[Said] = []
    script = Script(
        json({"id": "1"}), json({"id": "1"}, 201), empty(503), json({"detail": "no t0ken/x"}, 400), empty(204)
    )
    async with talking_to(script, "t0ken/x") as target:
        await target.read("/Users", "1")
        listen(taken)
        await target.create("/Users", {"userName": "a"})
        with pytest.raises(TargetError):
            await target.modify("/Users", "1", {"Operations": []})
        listen(None)
        await target.delete("/Users", "1")
    assert [(each.method, each.path, each.status) for each in taken] == [
        ("POST", "/Users", 201),
        ("PATCH", "/Users/1", 503),
        ("PATCH", "/Users/1", 400),
    ]
    assert (taken[0].request, taken[0].answer) == (b'{"userName":"a"}', b'{"id": "1"}')
    assert taken[2].answer == b'{"detail": "no *"}'


async def test_of_very_many_requests_and_very_long_bodies_little_is_kept_in_memory() -> None:
    taken: list[Said] = []
    script = Script(*(json({"id": str(number), "note": "x" * 70_000}) for number in range(200)))
    async with talking_to(script) as target:
        listen(taken)
        for number in range(200):
            await target.read("/Users", str(number))
    assert len(taken) == MOST_SAID
    assert (taken[0].path, taken[-1].path) == ("/Users/0", "/Users/199")
    assert all(len(each.answer or b"") < 100 for each in taken)
