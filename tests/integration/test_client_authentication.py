"""How the SCIM client proves who it is, over real sockets: tokens, signed assertions, certificates."""

import base64
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from joiner.errors import ForbiddenTargetError, InvalidValueError
from joiner.net.addresses import checked_addresses
from joiner.provisioning.client.connection import connection_of
from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.client.pool import TargetPool, over_sockets
from joiner.provisioning.client.profile import DEFAULT_PROFILE
from joiner.provisioning.client.target import ScimTarget
from tests.certificates import Authority, pem_of
from tests.local_server import served
from tests.world import StillClock

EMPTY = {"totalResults": 0, "Resources": []}
NONE: Mapping[str, str] = {}


class Identity:
    """A token endpoint and a SCIM endpoint that takes its latest token; counts what it is asked."""

    def __init__(self) -> None:
        self.grants: list[tuple[dict[str, str], str | None]] = []
        self.asked_at: list[str] = []
        self.refused = 0
        self.lifetime: Any = 3600
        self.answer: Callable[[], web.Response | None] = lambda: None
        self.valid = ""
        self.revoked: set[str] = set()

    async def token(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.grants.append((form, request.headers.get("Authorization")))
        self.asked_at.append(request.raw_path)
        answer = self.answer()
        if answer is not None:
            return answer
        self.valid = f"access-{len(self.grants)}"
        return web.json_response({"access_token": self.valid, "token_type": "bearer", "expires_in": self.lifetime})

    async def scim(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given != self.valid or given in self.revoked:
            self.refused += 1
            return web.json_response({"detail": "expired"}, status=401)
        if request.method == "POST":
            return web.json_response({"id": "1"}, status=201)
        return web.json_response(EMPTY)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        return await (self.scim if request.path.startswith("/scim/") else self.token)(request)


@asynccontextmanager
async def pool(
    clock: StillClock | None = None, resolver: Callable[[str], list[str]] | None = None
) -> AsyncIterator[TargetPool]:
    still = clock or StillClock()
    options: dict[str, Any] = {} if resolver is None else {"resolver": resolver}
    addresses = checked_addresses(allow_loopback=True, allow_private=False, **options)
    made = TargetPool(over_sockets(addresses), still, still.sleep, lambda: 1.0)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def talking(
    identity: Identity, values: Mapping[str, str] = NONE, clock: StillClock | None = None
) -> AsyncIterator[ScimTarget]:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served(identity.serve))
        given = {
            "BaseAddress": f"http://127.0.0.1:{port}/scim",
            "Oauth2TokenExchangeUri": f"http://127.0.0.1:{port}/token",
            "Oauth2ClientId": "client:1",
            "Oauth2ClientSecret": "s&cret",
            **values,
        }
        connection = connection_of({key: value for key, value in given.items() if value})
        targets = await stack.enter_async_context(pool(clock))
        yield await stack.enter_async_context(targets.lend(connection, DEFAULT_PROFILE))


async def ask(target: ScimTarget) -> None:
    assert await target.query("/Users", "userName", "a", case_exact=True) == []


@pytest.mark.req("REQ-C-032")
async def test_an_access_token_is_fetched_once_and_renewed_before_it_ends() -> None:
    identity, clock = Identity(), StillClock()
    async with talking(identity, {"joiner.Oauth2Scope": "scim"}, clock) as target:
        await ask(target)
        await ask(target)
        form, header = identity.grants[0]
        assert form == {"grant_type": "client_credentials", "scope": "scim"}
        assert header == "Basic " + base64.b64encode(b"client%3A1:s%26cret").decode()
        clock.move(clock.now.resolution * 3_299_000_000)
        await ask(target)
        assert len(identity.grants) == 1
        clock.move(clock.now.resolution * 2_000_000)
        await ask(target)
    assert (len(identity.grants), identity.refused) == (2, 0)


@pytest.mark.req("REQ-C-032")
async def test_the_client_secret_may_go_in_the_body() -> None:
    identity = Identity()
    async with talking(identity, {"joiner.SecretPlacement": "body"}) as target:
        await ask(target)
    form, header = identity.grants[0]
    assert (form["client_id"], form["client_secret"], header) == ("client:1", "s&cret", None)


@pytest.mark.req("REQ-C-020", "REQ-C-032")
async def test_a_refused_access_token_is_renewed_once_and_the_request_sent_again() -> None:
    identity = Identity()
    async with talking(identity) as target:
        await ask(target)
        identity.revoked.add("access-1")
        assert await target.create("/Users", {"userName": "a"}) == "1"
        assert len(identity.grants) == 2
        identity.revoked.update(f"access-{number}" for number in range(10))
        with pytest.raises(TargetUnusableError, match="refused the access token") as caught:
            await ask(target)
    assert caught.value.code == "Unauthorized"
    assert len(identity.grants) == 3


@pytest.mark.req("REQ-C-032")
@pytest.mark.parametrize("place", ["/token?api-version=2", "/oauth2/token/", "/t%C3%B6ken%2F?x=%20", "/", ""])
async def test_the_token_endpoint_is_asked_at_exactly_its_address(place: str) -> None:
    identity = Identity()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served(identity.serve))
        values = {"BaseAddress": f"http://127.0.0.1:{port}/scim", "Oauth2ClientId": "c", "Oauth2ClientSecret": "s"}
        connection = connection_of({**values, "Oauth2TokenExchangeUri": f"http://127.0.0.1:{port}{place}"})
        targets = await stack.enter_async_context(pool())
        await ask(await stack.enter_async_context(targets.lend(connection, DEFAULT_PROFILE)))
    assert identity.asked_at == [place or "/"]


@pytest.mark.req("REQ-C-032")
async def test_a_token_endpoint_that_fails_for_a_moment_is_asked_again() -> None:
    identity = Identity()
    answers = iter([web.Response(status=503), web.Response(status=429)])
    identity.answer = lambda: next(answers, None)
    async with talking(identity) as target:
        await ask(target)
    assert len(identity.grants) == 3


@pytest.mark.req("REQ-C-032")
async def test_a_token_is_used_to_its_end_while_the_token_endpoint_fails() -> None:
    identity, clock = Identity(), StillClock()
    async with talking(identity, clock=clock) as target:
        await ask(target)
        identity.answer = lambda: web.Response(status=503)
        clock.move(timedelta(seconds=3301))
        await ask(target)
        tried = len(identity.grants)
        await ask(target)
        assert len(identity.grants) == tried, "it is left alone for a while"
        clock.move(timedelta(seconds=299))
        with pytest.raises(TargetError, match="token endpoint gave no access token"):
            await ask(target)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda: web.json_response({"error": "invalid_client"}, status=401), TargetUnusableError, "invalid_client"),
        (
            lambda: web.json_response({"error": "x", "error_description": "is s&cret"}, status=400),
            TargetUnusableError,
            r"is \*",
        ),
        (lambda: web.json_response({"token_type": "Bearer"}), TargetUnusableError, "no access token"),
        (lambda: web.json_response({"access_token": "t", "token_type": "mac"}), TargetUnusableError, "type 'mac'"),
        (lambda: web.Response(text="<html>"), TargetUnusableError, "no access token"),
        (lambda: web.json_response({"access_token": "t\r\nX: y"}), TargetUnusableError, "no access token"),
        (lambda: web.Response(status=302, headers={"Location": "https://x.example"}), TargetUnusableError, "HTTP 302"),
        (lambda: web.Response(status=503), TargetError, "HTTP 503"),
    ],
)
async def test_a_token_endpoint_that_gives_no_token_is_named(
    answer: Callable[[], web.Response], error: type[TargetError], text: str
) -> None:
    identity = Identity()
    identity.answer = answer
    async with talking(identity) as target:
        with pytest.raises(TargetError, match=text) as caught:
            await ask(target)
    assert type(caught.value) is error
    assert "s&cret" not in str(caught.value)


async def test_a_token_endpoint_at_a_forbidden_address_is_not_called() -> None:
    async with talking(Identity(), {"Oauth2TokenExchangeUri": "https://169.254.169.254/token"}) as target:
        with pytest.raises(TargetUnusableError, match=r"token endpoint: .*never called"):
            await ask(target)


@pytest.mark.req("REQ-C-032")
async def test_a_client_may_sign_assertions_instead_of_sending_a_secret() -> None:
    identity, clock = Identity(), StillClock()
    key = ec.generate_private_key(ec.SECP256R1())
    values = {"Oauth2ClientSecret": "", "joiner.AssertionKey": pem_of(key), "joiner.AssertionKeyId": "key-1"}
    identity.lifetime = 1
    async with talking(identity, values, clock) as target:
        await ask(target)
        clock.move(clock.now.resolution * 2_000_000)
        await ask(target)
    claims = []
    for form, header in identity.grants:
        assert header is None
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        token = jwt.decode(form["client_assertion"], ECKey.import_key(pem_of(key)), algorithms=["ES256"])
        assert token.header["kid"] == "key-1"
        claims.append(token.claims)
    assert [(each["iss"], each["sub"]) for each in claims] == [("client:1", "client:1")] * 2
    assert claims[0]["aud"].endswith("/token")
    assert claims[0]["jti"] != claims[1]["jti"]
    assert 0 < claims[0]["exp"] - claims[0]["iat"] <= 300


async def test_a_key_that_cannot_sign_is_refused() -> None:
    async with pool() as targets:
        connection = connection_of(
            {
                "BaseAddress": "http://127.0.0.1:9/scim",
                "Oauth2TokenExchangeUri": "http://127.0.0.1:9/token",
                "Oauth2ClientId": "c",
                "joiner.AssertionKey": "no key",
            }
        )
        with pytest.raises(InvalidValueError, match="private key in PEM form"):
            async with targets.lend(connection, DEFAULT_PROFILE):
                pass


@pytest.mark.parametrize(
    ("values", "header"),
    [
        ({"SecretToken": "t"}, "Bearer t"),
        ({"UserName": "änn", "Password": "p:w"}, "Basic " + base64.b64encode("änn:p:w".encode()).decode()),
        ({"AuthenticationType": "none"}, None),
    ],
)
async def test_static_credentials_go_with_every_request(values: dict[str, str], header: str | None) -> None:
    seen = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.json_response(EMPTY)

    async with served(answer) as port, pool() as targets:
        connection = connection_of({"BaseAddress": f"http://127.0.0.1:{port}/scim?tenant=7", **values})
        async with targets.lend(connection, DEFAULT_PROFILE) as target:
            await ask(target)
            await ask(target)
    assert seen == [header, header]


# TLS and addresses


def resolving(host: str) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def over_tls(
    context: ssl.SSLContext, host: str, values: Mapping[str, str] = NONE, seen: list[Any] | None = None
) -> AsyncIterator[ScimTarget]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if seen is not None and request.transport is not None:
            seen.append(request.transport.get_extra_info("peercert"))
        return web.json_response(EMPTY)

    async with served(answer, context) as port, pool(resolver=resolving) as targets:
        connection = connection_of(
            {"BaseAddress": f"https://{host}:{port}/scim", "AuthenticationType": "none", **values}
        )
        async with targets.lend(connection, DEFAULT_PROFILE) as target:
            yield target


@pytest.mark.req("REQ-C-031")
async def test_a_certificate_is_accepted_only_of_a_known_authority_and_for_the_right_name(tmp_path: Path) -> None:
    authority = Authority()
    context = authority.server(tmp_path, "scim.example")
    own = {"joiner.CertificateAuthority": authority.pem}
    async with over_tls(context, "scim.example", own) as target:
        await ask(target)
    for host, values in (("scim.example", NONE), ("other.example", own)):
        async with over_tls(context, host, values) as target:
            with pytest.raises(TargetError, match="certificate is not accepted") as caught:
                await ask(target)
        assert caught.value.code == "WebExceptionProtocolError"


@pytest.mark.req("REQ-C-031")
async def test_a_server_that_speaks_only_an_old_tls_is_refused(tmp_path: Path) -> None:
    authority = Authority()
    context = authority.server(tmp_path, "scim.example")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with over_tls(context, "scim.example", {"joiner.CertificateAuthority": authority.pem}) as target:
        with pytest.raises(TargetError, match=r"no encrypted connection|does it speak TLS 1\.2") as caught:
            await ask(target)
    assert caught.value.code == "WebExceptionProtocolError"


async def test_a_client_certificate_proves_who_we_are(tmp_path: Path) -> None:
    authority = Authority()
    context = authority.server(tmp_path, "scim.example")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    own = authority.certify("joiner of tests")
    values = {"joiner.CertificateAuthority": authority.pem}
    certified = {**values, "joiner.ClientCertificate": own.certificate, "joiner.ClientKey": own.key}
    seen: list[Any] = []
    async with over_tls(context, "scim.example", certified, seen) as target:
        await ask(target)
    assert seen[0]["subject"] == ((("commonName", "joiner of tests"),),)
    async with over_tls(context, "scim.example", values) as target:
        with pytest.raises(TargetError):
            await ask(target)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"joiner.ClientCertificate": "no certificate", "joiner.ClientKey": "no key"}, "client certificate"),
        ({"joiner.CertificateAuthority": "no certificate"}, "certificate authority"),
    ],
)
async def test_certificates_that_cannot_be_read_are_refused(values: dict[str, str], reason: str) -> None:
    async with pool(resolver=resolving) as targets:
        connection = connection_of({"BaseAddress": "https://scim.example/scim", "SecretToken": "t", **values})
        with pytest.raises(InvalidValueError, match=reason):
            async with targets.lend(connection, DEFAULT_PROFILE):
                pass


async def test_a_name_is_looked_up_once_and_only_the_address_that_was_checked_is_called() -> None:
    looked_up = []

    def rebinding(host: str) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["169.254.169.254"]

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.json_response(EMPTY)
        response.force_close()
        return response

    async with served(answer) as port, pool(resolver=rebinding) as targets:
        connection = connection_of({"BaseAddress": f"http://app.example:{port}/scim", "SecretToken": "t"})
        for _ in range(3):
            async with targets.lend(connection, DEFAULT_PROFILE) as target:
                await ask(target)
    assert looked_up == ["app.example"]


@pytest.mark.parametrize(
    "address", ["https://169.254.169.254/scim", "https://[64:ff9b::a00:1]/scim", "http://8.8.8.8/s"]
)
async def test_addresses_that_must_not_be_called_are_not(address: str) -> None:
    async with pool() as targets:
        connection = connection_of({"BaseAddress": address, "SecretToken": "t"})
        with pytest.raises(ForbiddenTargetError):
            async with targets.lend(connection, DEFAULT_PROFILE):
                pass


async def test_a_target_stays_open_from_page_to_page_and_is_opened_anew_for_other_credentials() -> None:
    connections = set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        connections.add(request.transport.get_extra_info("peername"))
        return web.json_response(EMPTY)

    async with served(answer) as port, pool() as targets:
        for token in ("a", "a", "b", "a"):
            connection = connection_of({"BaseAddress": f"http://127.0.0.1:{port}/scim", "SecretToken": token})
            async with targets.lend(connection, DEFAULT_PROFILE) as target:
                await ask(target)
    assert len(connections) == 2
