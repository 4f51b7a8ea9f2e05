"""Fetching key sets over real sockets: from the address that was checked, within limits, and without detours."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from joiner.application.access import key_fetch as module
from joiner.application.access.key_fetch import MOST_BYTES, key_fetch
from joiner.application.access.key_sets import Fetch, KeyDocument, KeysUnavailableError
from tests.local_server import served


def local_fetch() -> Fetch:
    return key_fetch(allow_loopback=True, allow_private=False)


async def failure(fetch: Fetch, url: str) -> str:
    with pytest.raises(KeysUnavailableError) as caught:
        await fetch(url)
    return str(caught.value)


@pytest.mark.req("REQ-S-065")
@pytest.mark.parametrize(
    ("cache_control", "max_age"),
    [
        (None, None),
        ("public", None),
        ("public, max-age=600", timedelta(minutes=10)),
        ("MAX-AGE=1", timedelta(seconds=1)),
        ("max-age=600, no-store", timedelta(0)),
        ("max-age=" + "9" * 40, None),
        ("max-age=-1", None),
    ],
)
async def test_the_document_comes_with_the_time_it_may_be_kept(
    cache_control: str | None, max_age: timedelta | None
) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        assert "Authorization" not in request.headers
        headers = {} if cache_control is None else {"Cache-Control": cache_control}
        return web.Response(body=b'{"keys": []}', headers=headers)

    async with served(answer) as port:
        assert await local_fetch()(f"http://localhost:{port}/keys") == KeyDocument(b'{"keys": []}', max_age)


async def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.headers["Host"])

    def resolver(host: str) -> list[str]:
        """Gives another address to whoever asks twice."""
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    async with served(answer) as port:
        fetch = key_fetch(allow_loopback=True, allow_private=False, resolver=resolver)
        document = await fetch(f"http://rebinding.example:{port}/keys")
    assert document.body == f"rebinding.example:{port}".encode()
    assert asked == ["rebinding.example"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/keys", "this machine"),
        ("https://127.0.0.1:1/keys", "this machine"),
        ("https://[::ffff:127.0.0.1]:1/keys", "this machine"),
        ("https://10.0.0.1/keys", "private"),
        ("https://169.254.169.254/keys", "never called"),
        ("http://93.184.215.14/keys", "not encrypted"),
        ("ftp://issuer.example/keys", "https"),
        ("https://user:secret@issuer.example/keys", "user name or password"),
        ("https://[/keys", "URL"),
        ("", "https"),
    ],
)
async def test_addresses_that_must_not_be_called_are_not(url: str, reason: str) -> None:
    assert reason in await failure(key_fetch(allow_loopback=False, allow_private=False), url)


async def test_plain_http_is_for_this_machine_only_whatever_else_is_allowed() -> None:
    fetch = key_fetch(allow_loopback=True, allow_private=True)
    assert "https only" in await failure(fetch, "http://10.0.0.1/keys")
    mixed = key_fetch(allow_loopback=True, allow_private=True, resolver=lambda host: ["127.0.0.1", "10.0.0.1"])
    assert "https only" in await failure(mixed, "http://both.example/keys")


async def test_a_redirect_is_not_followed_and_other_answers_are_no_keys() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/keys":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        return web.Response(status=500, text="{}")

    async with served(answer) as port:
        assert "302" in await failure(local_fetch(), f"http://localhost:{port}/keys")
        assert "500" in await failure(local_fetch(), f"http://localhost:{port}/other")


async def test_an_answer_is_read_up_to_its_limit_only() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/fits":
            return web.Response(body=b"x" * MOST_BYTES)
        response = web.StreamResponse()
        await response.prepare(request)
        # Never ends: only the limit stops it.
        while True:
            try:
                await response.write(b"x" * 65536)
            except ConnectionError:
                return response

    async with served(answer) as port:
        assert len((await local_fetch()(f"http://localhost:{port}/fits")).body) == MOST_BYTES
        assert str(MOST_BYTES) in await failure(local_fetch(), f"http://localhost:{port}/endless")


async def test_an_issuer_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    gone = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.Response:
        await gone.wait()
        return web.Response()

    async with served(answer) as port:
        assert "no answer within" in await failure(local_fetch(), f"http://localhost:{port}/keys")
        gone.set()


async def test_a_host_that_cannot_be_found_or_does_not_listen_is_a_failure_like_any_other() -> None:
    def resolver(host: str) -> list[str]:
        raise OSError("unknown host")

    fetch = key_fetch(allow_loopback=False, allow_private=False, resolver=resolver)
    assert "unknown host" in await failure(fetch, "https://none.example/keys")
    async with served(lambda request: asyncio.sleep(0, web.Response())) as port:
        pass
    assert await failure(local_fetch(), f"http://localhost:{port}/keys")


async def test_a_server_whose_name_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        raise AssertionError("the request must not be sent")

    async with served(answer, self_signed(tmp_path)) as port:
        assert "certificate" in await failure(local_fetch(), f"https://localhost:{port}/keys")


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate for localhost that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context
