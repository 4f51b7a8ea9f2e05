"""Hostile targets, headers and bodies on the sockets of a real process, on each database: refused in SCIM with the
right status, and nothing is changed."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.processes import joiner
from tests.raw_http import Header, Service, serving_scim
from tests.services import PostgreSQL

WRITES = [("POST", "/scim/Users"), ("PUT", "/scim/Users/{kim}"), ("PATCH", "/scim/Users/{kim}"), ("POST", "/scim/Bulk")]
BODIES = [*WRITES, ("POST", "/scim/Groups"), ("PATCH", "/scim/Groups/{team}"), ("POST", "/scim/Users/.search")]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("requests")
    if request.param == "sqlite":
        with serving_scim(folder) as service:
            yield service
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.new_database() as url, serving_scim(folder, "--database-url", url) as service:
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """The server, which afterwards lives, holds what it held, and has logged no trouble."""
    before = running.held()
    yield running
    assert running.held() == before
    assert running.trouble() is None


def named(service: Service, target: str) -> str:
    return target.replace("{kim}", service.kim).replace("{team}", service.team)


# Bodies


@pytest.mark.req("REQ-S-044", "REQ-S-342", "REQ-S-343")
@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        pytest.param(b"", "invalidSyntax", id="empty"),
        pytest.param(b'{"userName"', "invalidSyntax", id="broken"),
        pytest.param(b"userName=kim", "invalidSyntax", id="form"),
        pytest.param(b'{"userName": "\xff\xfe"}', "invalidSyntax", id="no UTF-8"),
        pytest.param(b'{"userName": "\xc0\xaf"}', "invalidSyntax", id="overlong UTF-8"),
        pytest.param('{"userName": "é"}'.encode("utf-16"), "invalidSyntax", id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"userName": "ann"}', "invalidSyntax", id="byte order mark"),
        pytest.param(b'{"userName": "a\x00"}', "invalidSyntax", id="NUL as it is"),
        pytest.param(b"\x00" * 1000, "invalidSyntax", id="zeros"),
        pytest.param(rb'{"userName": "\ud800"}', "invalidValue", id="high surrogate"),
        pytest.param(rb'{"userName": "\udc00\ud800"}', "invalidValue", id="surrogates in the wrong order"),
        pytest.param(rb'{"a\udfff": 1, "userName": "ann"}', "invalidValue", id="surrogate in a name"),
        pytest.param(b'{"userName": "\xed\xa0\x80"}', "invalidValue", id="surrogate as CESU-8"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "invalidSyntax", id="nested arrays"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "invalidSyntax", id="nested objects"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, "invalidSyntax", id="nested a little"),
        pytest.param(b'{"userName": 1e999}', "invalidSyntax", id="infinite"),
        pytest.param(b'{"userName": ' + b"9" * 400 + b"}", "invalidSyntax", id="long number"),
        pytest.param(b'{"userName": NaN}', "invalidSyntax", id="no number"),
        pytest.param(b'{"userName": "ann"} {}', "invalidSyntax", id="two values"),
        pytest.param(b"[]", "invalidSyntax", id="list"),
        pytest.param(b'"userName"', "invalidSyntax", id="text"),
        pytest.param(b"1", "invalidSyntax", id="number"),
        pytest.param(b"null", "invalidSyntax", id="null"),
    ],
)
def test_a_body_that_is_no_object_of_texts_is_refused(service: Service, body: bytes, scim_type: str) -> None:
    for method, target in BODIES:
        service.refused(service.ask(method, named(service, target), body=body), 400, scim_type)


@pytest.mark.req("REQ-S-342", "REQ-S-343")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"' + b"a" * 1_000_000 + b'": 1}', id="a name of a million characters"),
        pytest.param(rb'{"userName": "\u0000"}', id="NUL"),
        pytest.param(b'{"userName": "ann", "userName": []}', id="a name twice"),
        pytest.param(b'{"userName": {"a": 1}, "USERNAME": "ann"}', id="a name in two cases"),
        pytest.param(b'{"userName": "' + "\u202e".encode() * 10 + b'", "emails": [{"primary": 2}]}', id="other types"),
    ],
)
def test_an_object_that_is_no_user_is_refused(service: Service, body: bytes) -> None:
    for method, target in WRITES[:2]:
        service.refused(service.ask(method, named(service, target), body=body), 400, "invalidValue")


@pytest.mark.req("REQ-S-343")
def test_as_many_values_as_fit_into_a_body_are_refused_at_once(service: Service) -> None:
    """Comparing each with each would take minutes."""
    values = [{"value": f"v{number}"} for number in range(50_000)]
    user = {"userName": "ann", "emails": values}
    add: dict[str, Any] = {"Operations": [{"op": "add", "path": "emails", "value": values}]}
    remove: dict[str, Any] = {"Operations": [{"op": "remove", "path": "emails", "value": values}]}
    for method, body in (("POST", user), ("PUT", user), ("PATCH", add), ("PATCH", remove)):
        target = "/scim/Users" if method == "POST" else f"/scim/Users/{service.kim}"
        answer = service.ask(method, target, body=json.dumps(body).encode())
        assert "1000 values" in service.refused(answer, 400, "invalidValue").json["detail"]


@pytest.mark.req("REQ-S-040", "REQ-S-043")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Content-Type", "text/xml")], 415),
        ([("Content-Type", "application/x-www-form-urlencoded")], 415),
        ([("Content-Type", "multipart/form-data; boundary=a")], 415),
        ([("Content-Type", "application/jsonp")], 415),
        ([("Content-Type", "\xff\xfe")], 415),
        ([("Content-Type", "a" * 50_000)], 415),
        ([("Content-Type", "application/json"), ("Content-Type", "text/xml")], 400),
        ([("Content-Encoding", "gzip")], 415),
        ([("Content-Encoding", "br, gzip")], 415),
        ([("Content-Type", "")], 201),
        ([("Content-Type", "APPLICATION/SCIM+JSON ; charset=utf-8")], 201),
        ([("Content-Encoding", "identity")], 201),
        ([], 201),
    ],
    ids=str,
)
def test_only_json_as_it_is_is_taken(service: Service, headers: list[Header], status: int) -> None:
    body = b'{"userName": "ann"}'
    if ("Content-Encoding", "gzip") in headers:
        body = gzip.compress(body)
    answer = service.ask("POST", "/scim/Users", *headers, body=body)
    assert answer.status == status
    if status == 201:
        assert service.ask("DELETE", f"/scim/Users/{answer.json['id']}").status == 204


@pytest.mark.req("REQ-S-313", "REQ-S-342")
@pytest.mark.parametrize(
    "path",
    [
        *(
            "/Users/%00",
            "/Users/a\x00",
            "/Groups/%00%00",
            "/Users/bulkId:%00",
            "/Users/" + "a" * 10_000,
            "/Users/%ED%A0%80",
        ),
        *("/Users/%27%20OR%201=1--", "/Users/../Groups/x", "//", "/Users/a/b", "/%00/a", "/Users/%2F%2F", "?", "\x00"),
    ],
)
def test_an_operation_of_a_bulk_request_with_a_hostile_path_fails_alone(service: Service, path: str) -> None:
    operations = [
        {"method": "DELETE", "path": path},
        {"method": "PUT", "path": path, "data": {"userName": "ann", "displayName": "ann"}},
        {"method": "PATCH", "path": path, "data": {"Operations": [{"op": "replace", "path": "title", "value": "a"}]}},
        {"method": "POST", "path": path, "bulkId": "\x00", "data": {"userName": "ann"}},
    ]
    body = json.dumps({"Operations": operations}).encode()
    results = service.ask("POST", "/scim/Bulk", body=body).json["Operations"]
    assert {result["status"] for result in results} <= {"400", "404"}
    assert len(results) == 4


# Targets


@pytest.mark.req("REQ-S-045")
@pytest.mark.parametrize(
    "path",
    [
        *(
            "/Users/../../etc/passwd",
            "/Users/..",
            "/Users/%2e%2e",
            "/Users/%2e%2e/%2e%2e/etc/passwd",
            "/Users/..%2f..%2fetc",
        ),
        *(
            "/Users/a%2Fb",
            "/Users/%00",
            "/Users/{kim}%00",
            "/%00",
            "/Users/%c0%ae%c0%ae",
            "/Users/%ED%A0%80",
            "/Users/%",
        ),
        *(
            "/Users/%zz",
            "/Users/%0d%0aSet-Cookie:%20a=b",
            "/Users/%E2%80%AE",
            "/Users/%C3%A9",
            "/Users/" + "a" * 10_000,
        ),
        *(
            "/Users/'",
            "/Users/%22",
            "/Users/'%20OR%20'1'='1",
            "/Users/1;DROP%20TABLE%20resource",
            "/Users/%25%73",
            "/Users/$1",
        ),
        *(
            "/Users/?1",
            "/Users;a=b",
            "/Users%3Fcount=1",
            "/Users/{kim}/emails",
            "/Groups/{kim}",
            "/Users/{team}",
            "/none",
        ),
        *(
            "/Schemas/%00",
            "/Schemas/" + "a" * 9_000,
            "/ResourceTypes/%7F",
            "/v2/v2/Users",
            "/v2x/Users",
            "/ServiceProviderConfig/a",
        ),
    ],
)
def test_an_address_of_nothing_is_not_found(service: Service, path: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = None if method in ("GET", "DELETE") else b'{"userName": "ann", "displayName": "ann", "Operations": []}'
        answer = service.ask(method, f"/scim{named(service, path)}", body=body)
        if path.startswith("/Users/?"):
            assert answer.status == (200 if method == "GET" else 405)
        else:
            discovery = path.startswith(("/Schemas", "/ResourceTypes", "/ServiceProvider")) and "%00" not in path
            service.refused(answer, 405 if discovery and method != "GET" else 404)


@pytest.mark.req("REQ-S-046")
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PURGE", "M-SEARCH", "SOURCE"])
def test_a_method_that_nothing_has_is_405_wherever_there_is_something(service: Service, method: str) -> None:
    for target, allowed in (
        ("/scim/Users", "GET, POST"),
        ("/scim/Users/{kim}", "GET, PUT, PATCH, DELETE"),
        ("/scim/Groups/{kim}", "GET, PUT, PATCH, DELETE"),
        ("/scim/Bulk", "POST"),
        ("/scim/.search", "POST"),
        ("/scim/Schemas", "GET"),
        ("/scim/", "GET"),
    ):
        answer = service.send(service.head(method, named(service, target)), method)
        assert service.refused(answer, 405).headers["allow"] == allowed
    service.refused(service.send(service.head(method, "/scim/none"), method), 404)


@pytest.mark.req("REQ-S-047")
def test_what_is_not_offered_says_so(service: Service) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        service.refused(service.ask(method, "/scim/Me", body=b'{"userName": "ann"}'), 501)


@pytest.mark.req("REQ-S-157", "REQ-S-158", "REQ-S-180", "REQ-S-173")
@pytest.mark.parametrize(
    ("query", "scim_type"),
    [
        ("filter=", "invalidFilter"),
        ("filter=%", "invalidFilter"),
        ("filter=%ff", "invalidFilter"),
        ("filter=%ED%A0%80", "invalidFilter"),
        ("filter=userName%20eq%20%22%00%22", "invalidFilter"),
        (r"filter=userName%20eq%20%22\u0000%22", "invalidFilter"),
        (r"filter=userName%20eq%20%22\ud800%22", "invalidFilter"),
        ("filter=userName%20eq%20%22a", "invalidFilter"),
        ("filter=userName%20eq%20%22" + "a" * 2040 + "%22", "invalidFilter"),
        ("filter=" + "(" * 11 + "active%20eq%20true" + ")" * 11, "invalidFilter"),
        ("filter=" + "not(" * 11 + "active%20eq%20true" + ")" * 11, "invalidFilter"),
        ("filter=" + "%20and%20".join(["title%20pr"] * 101), "invalidFilter"),
        ("filter=%27%20OR%201=1--", "invalidFilter"),
        ("filter=password%20sw%20%22a%22", "invalidFilter"),
        ("filter=userName%20pr&filter=(", "invalidFilter"),
        ("count=x", "invalidValue"),
        ("count=1.5", "invalidValue"),
        ("count=1e3", "invalidValue"),
        ("count=%00", "invalidValue"),
        ("count=--1", "invalidValue"),
        ("count=" + "9" * 30, "invalidValue"),
        ("startIndex=" + "9" * 30, "invalidValue"),
        ("startIndex=%2B", "invalidValue"),
        ("cursor=%ff", "invalidCursor"),
        ("cursor=%00", "invalidCursor"),
        ("cursor=AAAA", "invalidCursor"),
        ("cursor=" + "A" * 30_000, "invalidCursor"),
        ("sortBy=%00", "invalidPath"),
        ("sortBy=userName;DROP", "invalidPath"),
        ("sortBy=" + "a" * 3_000, "invalidPath"),
        ("sortBy=userName&sortOrder=sideways", "invalidValue"),
        ("attributes=userName&excludedAttributes=name", "invalidValue"),
        ("attributes=" + "a," * 5_000, "invalidValue"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_query_that_means_nothing_is_refused(service: Service, query: str, scim_type: str) -> None:
    for container in ("/scim/Users", "/scim/v2/Users/", "/scim"):
        service.refused(service.ask("GET", f"{container}?{query}"), 400, scim_type)


@pytest.mark.req("REQ-S-048", "REQ-S-050")
@pytest.mark.parametrize(
    "query",
    [
        *(
            "count=-5&count=1",
            "startIndex=-5",
            "startIndex=0&count=1",
            "startIndex=+1",
            "%00=%00",
            "%zz=%zz",
            "&&&=&=",
            "?",
        ),
        *(
            "a=b&" * 15_000,
            "attributes=%00",
            "attributes=" + "," * 8_000,
            "excludedAttributes=%ff",
            "count=",
            "COUNT=1",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_query_that_can_be_taken_is_taken(service: Service, query: str) -> None:
    assert service.ask("GET", f"/scim/Users?{query}").json["totalResults"] == 1


def test_a_count_or_start_beyond_everything_is_an_empty_page(service: Service) -> None:
    for query in ("startIndex=" + "9" * 18, "count=-" + "9" * 17, "count=0"):
        listed = service.ask("GET", f"/scim/Users?{query}").json
        assert (listed["totalResults"], listed["itemsPerPage"]) == (1, 0)
    assert service.ask("GET", "/scim/Users?count=" + "9" * 18).json["itemsPerPage"] == 1


# Headers


def locations(service: Service, answer: Any) -> set[str]:
    """Where an answer to a read of Kim says that she is, without what follows the base."""
    return {
        text.removesuffix(f"/scim/Users/{service.kim}")
        for text in (answer.json["meta"]["location"], answer.headers["location"])
    }


@pytest.mark.req("REQ-S-009")
@pytest.mark.parametrize(
    "host",
    [
        *(
            "a b",
            "a\tb",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "user@evil.example",
            'a"b',
            "<a>",
            "javascript:alert(1)",
            "https://a",
        ),
        *(
            "a:b",
            "a:1:2",
            "a,b",
            "a:999999",
            "[::1",
            "[evil.example]",
            "\xff\xfe",
            "é",
            "a" * 300,
            "%41",
            "${a}",
            "a%0d%0ab",
        ),
    ],
)
def test_a_host_that_is_none_is_refused(service: Service, host: str) -> None:
    request = service.head("GET", f"/scim/Users/{service.kim}", ("Host", host.encode().decode("latin-1")), host=False)
    answer = service.refused(service.send(request), 400, "invalidSyntax")
    assert host not in answer.json["detail"]


@pytest.mark.req("REQ-S-009")
def test_locations_begin_with_the_host_that_the_client_has_named(service: Service) -> None:
    for host in ("app.example", "app.example:8443", "127.0.0.1:80", "[::1]:80", "a-b_c.example."):
        request = service.head("GET", f"/scim/Users/{service.kim}", ("Host", host), host=False)
        assert locations(service, service.send(request)) == {f"http://{host}"}
    for request in (
        service.head("GET", f"/scim/Users/{service.kim}", ("Host", ""), host=False),
        service.head("GET", f"/scim/Users/{service.kim}", host=False).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        assert locations(service, service.send(request)) == {service.server.url}


@pytest.mark.req("REQ-S-009")
@pytest.mark.parametrize("target", ["https://evil.example", "ftp://evil.example:99", "http://user:secret@evil.example"])
def test_a_target_with_a_host_does_not_decide_where_things_are(service: Service, target: str) -> None:
    answer = service.ask("GET", f"{target}/scim/Users/{service.kim}")
    assert locations(service, answer) == {"http://app.example"}


@pytest.mark.req("REQ-S-009", "REQ-S-071")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-Port", "99"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("Forwarded", "for=1.2.3.4;host=evil.example;proto=https"),
        ("X-Original-URL", "/scim/Groups"),
        ("X-Rewrite-URL", "/scim/Groups"),
        ("X-HTTP-Method-Override", "DELETE"),
    ],
)
def test_what_only_a_proxy_may_say_is_not_believed(service: Service, name: str, value: str) -> None:
    answer = service.ask("GET", f"/scim/Users/{service.kim}", (name, value))
    assert locations(service, answer) == {"http://app.example"}


@pytest.mark.req("REQ-S-060")
def test_a_header_that_must_be_alone_is_refused_beside_another(service: Service) -> None:
    target = f"/scim/Users/{service.kim}"
    for header in (
        ("Authorization", f"Bearer {service.token}"),
        ("Authorization", "Bearer no"),
        ("Host", "evil.example"),
    ):
        service.refused(service.ask("GET", target, header), 400, "invalidSyntax")


@pytest.mark.req("REQ-S-060", "REQ-S-067")
@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "Bearer",
            "Bearer ",
            "Bearer \xff\xfe",
            "Basic \xff",
            "Bearer a.b.c",
            "Bearer ..",
            "Bearer " + "." * 50_000,
        ),
        *("Bearer " + "a" * 60_000, "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer bnVsbA.bnVsbA.x", "Bearer W1tbW10.MQ.x"),
        *("Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhXHUwMDAwYiJ9.x", "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOnt9fQ.x"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_credential_that_is_none_is_refused(service: Service, value: str) -> None:
    for method, target in WRITES:
        answer = service.ask(
            method, named(service, target), ("Authorization", value), body=b'{"userName": "ann"}', authorised=False
        )
        assert service.refused(answer, 401).headers["www-authenticate"].startswith("Bearer")


@pytest.mark.req("REQ-S-285")
@pytest.mark.parametrize(
    "value",
    ["", "garbage", "\xff", '"*"', "W/", '""', '"1', '1"', '"1" "1"', "W/*", '*, "1', 'w/"1"', "a" * 50_000, ",,,"],
)
def test_a_version_that_is_none_matches_nothing(service: Service, value: str) -> None:
    target, header = f"/scim/Users/{service.kim}", ("If-Match", value)
    service.refused(service.ask("DELETE", target, header), 412)
    service.refused(service.ask("PUT", target, header, body=b'{"userName": "ann"}'), 412)
    replace = b'{"Operations": [{"op": "replace", "path": "title", "value": "ann"}]}'
    service.refused(service.ask("PATCH", target, header, body=replace), 412)
    assert service.ask("GET", target, ("If-None-Match", value)).status == 200


@pytest.mark.req("REQ-S-042")
@pytest.mark.parametrize(
    ("value", "status"),
    [("garbage", 406), ("\xff", 406), (";;;", 406), ("a" * 50_000, 406), ("", 200), ("text/html, */*;q=0.1", 200)],
    ids=lambda value: str(value)[:20],
)
def test_an_accept_header_of_any_kind_is_answered(service: Service, value: str, status: int) -> None:
    assert service.ask("GET", "/scim/Users?count=0", ("Accept", value)).status == status


def test_other_headers_may_hold_any_bytes(service: Service) -> None:
    for name in ("User-Agent", "Prefer", "Cookie", "X-Anything", "Accept-Language", "Range", "If-Modified-Since"):
        assert service.ask("GET", "/scim/Users", (name, "\xff\xfe\x80 \t;,=\"'")).status == 200


# Public address


@pytest.mark.req("REQ-S-009")
def test_the_public_address_is_the_only_one_that_is_shown_where_it_is_set(tmp_path: Path) -> None:
    (tmp_path / "joiner.toml").write_text('public_url = "https://scim.example.com"\n')
    with serving_scim(tmp_path) as service:
        for host in ("evil.example", "a b", "\xff", ""):
            request = service.head(
                "GET", f"/scim/Users/{service.kim}", ("Host", host), ("X-Forwarded-Host", "evil"), host=False
            )
            assert locations(service, service.send(request)) == {"https://scim.example.com"}
        assert service.trouble() is None


# Tenants


@pytest.mark.req("REQ-S-053", "REQ-S-068")
def test_whoever_names_what_another_connection_has_learns_nothing(service: Service) -> None:
    """Every answer is searched for what the other connection holds; a refusal repeats at most the id that was sent."""
    name, title, ring, spy_id, *_ = service.foreign
    quoted = [quote(f'{attribute} eq "{text}"') for attribute, text in (("userName", name), ("title", title))]
    for query in (*quoted, quote(f'displayName eq "{ring}"')):
        assert service.ask("GET", f"/scim?filter={query}").json["totalResults"] == 0
    assert service.ask("GET", "/scim?filter=id%20eq%20%22" + spy_id + "%22").json["totalResults"] == 0
    created = service.ask(
        "POST", "/scim/Users", body=json.dumps({"userName": f"{name}@other.example".upper()}).encode()
    )
    assert created.status == 201
    assert service.ask("DELETE", f"/scim/Users/{created.json['id']}").status == 204


# Limits of a connection


@pytest.mark.req("REQ-S-055")
def test_more_requests_than_agreed_are_told_when_to_come_again(service: Service) -> None:
    data = service.server.data
    limited = replace(service, token=joiner("token", "create", "--connection", "limited", data=data).strip())
    joiner("connection", "set", "limited", "requestsPerSecond=25", data=data)
    with limited.connect() as connection:
        connection.send(limited.head("GET", "/scim/Users?count=0") * 200)
        answers = [limited.checked(connection.answer()) for _ in range(200)]
    refused = [answer for answer in answers if answer.status != 200]
    assert len(refused) < len(answers)
    assert refused
    for answer in refused:
        assert int(limited.refused(answer, 429).headers["retry-after"]) >= 1
    assert service.ask("GET", "/scim/Users").status == 200
