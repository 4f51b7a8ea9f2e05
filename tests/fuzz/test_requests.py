"""Hostile requests to an endpoint on each database: never an error of the server's own."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.endpoints import Endpoint, running_endpoint
from tests.fuzz.test_patch_bodies import BODIES, PATCHES, PATHS, USER, received
from tests.fuzzing import FRAGMENTS, LONG, VALID_FILTERS, mutated
from tests.services import PostgreSQL

NUMBERS = count()
SHORTER = settings(LONG, max_examples=LONG.max_examples // 3)
FILTERS = st.one_of(
    mutated(VALID_FILTERS), st.sampled_from(VALID_FILTERS), st.lists(st.sampled_from(FRAGMENTS)).map("".join)
)
NUMBERS_IN_URLS = st.one_of(
    st.integers(-3, 5).map(str), st.sampled_from(["", "x", "1e3", "-", "9" * 18, "9" * 30, "١"])
)
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "filter": FILTERS,
        "sortBy": PATHS,
        "sortOrder": st.sampled_from(["ascending", "descending", "", "sideways"]),
        "startIndex": NUMBERS_IN_URLS,
        "count": NUMBERS_IN_URLS,
        "cursor": st.one_of(st.just(""), st.text(max_size=20), st.sampled_from(FRAGMENTS)),
        "attributes": st.lists(PATHS, max_size=3).map(",".join),
        "excludedAttributes": st.lists(PATHS, max_size=3).map(",".join),
    },
)
QUERY_PIECES = (
    *(
        b"filter=",
        b"sortBy=",
        b"count=",
        b"startIndex=",
        b"cursor=",
        b"attributes=",
        b"excludedAttributes=",
        b"&",
        b"=",
    ),
    *(
        b"%",
        b"%0",
        b"%00",
        b"%zz",
        b"%ff",
        b"%ED%A0%80",
        b"+",
        b";",
        b"#",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"9" * 30,
    ),
    *(
        b"userName",
        b"%20eq%20",
        b"%22a%22",
        b"emails[",
        b"]",
        b"(",
        b"pr",
        b"-1",
        b"name.familyName",
        b",",
        b"a" * 3000,
    ),
)
PATH_PIECES = (
    *(
        "Users",
        "Groups",
        "Schemas",
        "ResourceTypes",
        "Bulk",
        ".search",
        "Me",
        "ServiceProviderConfig",
        "v2",
        "v3",
        "V2",
    ),
    *("/", "//", "..", ".", "\x00", "\ufffd", "é", "%", "?", "'", '"', "\r\n", " ", "u" * 5000, "bulkId:a", "*"),
)
HEADERS = (
    *(b"host", b"authorization", b"accept", b"if-match", b"if-none-match", b"prefer", b"content-type"),
    *(b"content-length", b"content-encoding", b"x-forwarded-host"),
)
HEADER_PIECES = (
    *(
        b'W/"1"',
        b'"',
        b"W/",
        b"*",
        b",",
        b";",
        b" ",
        b"\t",
        b"=",
        b"\xff",
        b"\x01",
        b"1",
        b"9" * 400,
        b"return=minimal",
    ),
    *(
        b"Bearer ",
        b"Basic ",
        b".",
        b"e30",
        b"eyJhbGciOiJSUzI1NiJ9",
        b"application/scim+json",
        b"gzip",
        b"text/",
        b"q=0",
    ),
    *(b"app.example", b":", b"80", b"[::1]", b"/", b"@", b"identity", b"\xed\xa0\x80"),
)
CONTAINERS = st.sampled_from(["/Users", "/Groups", "/", "/Schemas", "/ResourceTypes"])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    if request.param == "sqlite":
        with running_endpoint(tmp_path_factory.mktemp("fuzz") / "application.db") as opened:
            yield opened
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.new_database() as url, running_endpoint(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def paths(endpoint: Endpoint) -> dict[str, str]:
    """One resource of each type, on which everything is tried."""
    user = endpoint.made(endpoint.lenient, "/Users", {**USER, "userName": "victim"})
    group = endpoint.made(endpoint.lenient, "/Groups", {"displayName": "victims", "members": [{"value": user["id"]}]})
    return {"Users": f"/Users/{user['id']}", "Groups": f"/Groups/{group['id']}"}


@pytest.mark.req("REQ-S-343", "REQ-S-053")
@SHORTER
@given(body=PATCHES)
def test_no_patch_makes_the_server_fail(endpoint: Endpoint, paths: dict[str, str], body: Any) -> None:
    body = received(body)
    for path in paths.values():
        endpoint.send(endpoint.lenient, "PATCH", path, body)
        endpoint.found(endpoint.lenient, path)


@pytest.mark.req("REQ-S-343", "REQ-S-053")
@SHORTER
@given(body=BODIES)
def test_no_body_makes_the_server_fail(endpoint: Endpoint, paths: dict[str, str], body: Any) -> None:
    body = received(body)
    named = {"userName": f"u{next(NUMBERS)}", "displayName": f"d{next(NUMBERS)}"}
    for container, path in paths.items():
        for each in (body, {**body, **named}):
            created = endpoint.send(endpoint.lenient, "POST", f"/{container}", each)
            if created.status_code == 201:
                endpoint.send(endpoint.lenient, "DELETE", f"/{container}/{created.json()['id']}")
        endpoint.send(endpoint.lenient, "PUT", path, {**body, **named})
        endpoint.found(endpoint.lenient, path)


@pytest.mark.req("REQ-S-157", "REQ-S-158", "REQ-S-053", "REQ-S-343")
@SHORTER
@given(path=CONTAINERS, query=QUERIES)
def test_no_query_makes_the_server_fail(endpoint: Endpoint, paths: dict[str, str], path: str, query: Any) -> None:
    try:
        "".join(query.values()).encode()
    except UnicodeEncodeError:
        reject()
    for client in (endpoint.lenient, endpoint.strict):
        endpoint.send(client, "GET", path, params=query)
    endpoint.send(endpoint.lenient, "GET", paths["Users"], params=query)


@pytest.mark.req("REQ-S-048", "REQ-S-050", "REQ-S-053")
@SHORTER
@given(
    path=CONTAINERS,
    query=st.one_of(
        st.binary(max_size=60),
        st.lists(st.sampled_from(QUERY_PIECES), max_size=12).map(b"".join),
        st.lists(st.one_of(st.sampled_from(QUERY_PIECES), st.binary(max_size=4)), max_size=12).map(b"".join),
    ),
)
def test_no_bytes_of_a_query_make_the_server_fail(endpoint: Endpoint, path: str, query: bytes) -> None:
    endpoint.send_bytes("GET", path, query, [endpoint.credential])


@pytest.mark.req("REQ-S-045", "REQ-S-046", "REQ-S-053")
@SHORTER
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "X"]),
    path=st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.lists(st.sampled_from(PATH_PIECES), max_size=8).map("".join),
    ),
)
def test_no_path_makes_the_server_fail(endpoint: Endpoint, method: str, path: str) -> None:
    endpoint.send_bytes(method, f"/{path}", headers=[endpoint.credential], body=b'{"schemas": []}')


@pytest.mark.req("REQ-S-042", "REQ-S-060", "REQ-S-285", "REQ-S-053")
@SHORTER
@given(
    method=st.sampled_from(["GET", "PUT", "PATCH", "DELETE"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from(HEADERS),
            st.one_of(st.binary(max_size=12), st.lists(st.sampled_from(HEADER_PIECES), max_size=6).map(b"".join)),
        ),
        max_size=4,
    ),
    authorised=st.booleans(),
)
def test_no_header_makes_the_server_fail(
    endpoint: Endpoint, paths: dict[str, str], method: str, headers: list[tuple[bytes, bytes]], authorised: bool
) -> None:
    sendable = [(name, value.translate(None, b"\r\n\x00")) for name, value in headers]
    target = f"{paths['Users']}{'x' if method == 'DELETE' else ''}"
    endpoint.send_bytes(method, target, headers=[*sendable, *([endpoint.credential] if authorised else [])], body=b"{}")


@pytest.mark.req("REQ-S-157", "REQ-S-194", "REQ-S-053")
@SHORTER
@given(path=st.sampled_from(["/.search", "/Users/.search", "/Groups/.search"]), query=QUERIES, odd=BODIES)
def test_no_search_makes_the_server_fail(endpoint: Endpoint, path: str, query: Any, odd: Any) -> None:
    message = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}
    for body in ({**message, **query}, {**message, **odd}, odd):
        endpoint.send(endpoint.lenient, "POST", path, received(body))


@pytest.mark.req("REQ-S-313", "REQ-S-053")
@SHORTER
@given(
    operations=st.lists(
        st.one_of(
            st.builds(
                lambda method, path, data, more: {"method": method, "path": path, "data": data, **more},
                st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "GET", 5]),
                st.sampled_from(
                    [
                        "/Users",
                        "/Groups",
                        "/Users/x",
                        "/Groups/bulkId:a",
                        "/Users/bulkId:b",
                        "/Bulk",
                        "",
                        None,
                        "/Users/%00",
                    ]
                ),
                st.one_of(BODIES, PATCHES, st.sampled_from([{"userName": "bulkId:a"}, {"members": ["bulkId:b"]}])),
                st.dictionaries(st.sampled_from(["bulkId", "version"]), st.sampled_from(["a", "b", "c", None, 1])),
            ),
            BODIES,
        ),
        max_size=5,
    ),
    limit=st.sampled_from([None, 0, 1, "2", -1]),
)
def test_no_bulk_request_makes_the_server_fail(endpoint: Endpoint, operations: Any, limit: Any) -> None:
    endpoint.send(endpoint.lenient, "POST", "/Bulk", received({"Operations": operations, "failOnErrors": limit}))
