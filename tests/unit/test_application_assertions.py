"""JWTs of trusted issuers: what is accepted, what is refused, and whose they are. Keys and signatures are real."""

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from structlog.testing import capture_logs

from joiner.application.access.assertions import Assertions
from joiner.application.access.key_sets import KeyDocument, KeySets
from joiner.application.access.trust import RefusedTokenError, TrustedIssuer
from joiner.errors import InvalidValueError
from tests.world import StillClock

TENANT = "https://sts.windows.net/8d1f0000-0000-4000-8000-000000000001/"
AUDIENCE = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
URL = "https://login.example/keys"
RSA = RSAKey.generate_key(2048)
OTHER = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")
ENTRA = TrustedIssuer(issuer=TENANT, audience=AUDIENCE, jwks_uri=URL, connection_id=1)
FEDERATED = TrustedIssuer(
    issuer=TENANT, audience="api://joiner", jwks_uri=URL, connection_id=2, subject="principal", client_id="client"
)


def key_set() -> bytes:
    """Also holds what no key set should: a shared secret, a weak key, a key for encryption, and nonsense."""
    listed = [
        {**RSA.as_dict(private=False), "kid": "rsa", "use": "sig", "x5c": ["ignored"], "issuer": TENANT},
        {**EC.as_dict(private=False), "kid": "ec"},
        {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"},
        {**RSA.as_dict(private=False), "kid": "enc", "use": "enc"},
        {**RSA.as_dict(private=False), "kid": "weak", "n": "sXch"},
        {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "p384"},
        {"kty": "RSA", "kid": "half", "n": 1},
        {**EC.as_dict(private=False), "kid": "off", "x": "AAAA"},
        {"kty": ["RSA"], "kid": "odd"},
        "key",
    ]
    return json.dumps({"keys": listed}).encode()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def assertions(clock: StillClock) -> Assertions:
    async def fetch(url: str) -> KeyDocument:
        assert url == URL
        return KeyDocument(key_set(), None)

    return Assertions([ENTRA, FEDERATED], KeySets(fetch, clock), clock)


def claims(clock: StillClock, **changes: Any) -> dict[str, Any]:
    now = int(clock().timestamp())
    made = {"iss": TENANT, "aud": AUDIENCE, "sub": "anyone", "exp": now + 3600, "nbf": now, "iat": now, **changes}
    return {name: value for name, value in made.items() if value is not None}


def signed(content: dict[str, Any], key: RSAKey | ECKey = RSA, **header: Any) -> str:
    made = {"alg": "RS256", "kid": "rsa", **header}
    return jwt.encode({k: v for k, v in made.items() if v is not None}, content, key, algorithms=[made["alg"]])


def encoded(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def refused(assertions: Assertions, token: str, client_id: str | None = None) -> str:
    """The reason in the log; the caller is told the same whatever it is."""
    with capture_logs() as logs, pytest.raises(RefusedTokenError, match=r"^the token is not accepted$"):
        await assertions.verify(token, client_id)
    assert token not in repr(logs) or not token
    return str(logs[-1]["reason"])


@pytest.mark.req("REQ-S-066")
@pytest.mark.parametrize(
    ("algorithm", "key_id", "key"), [("RS256", "rsa", RSA), ("PS256", "rsa", RSA), ("ES256", "ec", EC)]
)
async def test_a_token_of_the_tenant_opens_its_connection(
    assertions: Assertions, clock: StillClock, algorithm: str, key_id: str, key: RSAKey | ECKey
) -> None:
    token = signed(claims(clock), key, alg=algorithm, kid=key_id)
    assert await assertions.verify(token) == ENTRA


@pytest.mark.req("REQ-S-066")
async def test_an_audience_in_a_list_and_unknown_header_parameters_are_understood(
    assertions: Assertions, clock: StillClock
) -> None:
    token = signed(claims(clock, aud=["other", AUDIENCE]), x5t="abc")
    assert await assertions.verify(token) == ENTRA
    header, body = {"alg": "RS256", "kid": "rsa", "extra": 1}, claims(clock)
    assert await assertions.verify(raw_signed(header, body)) == ENTRA


def raw_signed(header: dict[str, Any], content: Any) -> str:
    """A token with a right signature over whatever header."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    assert RSA.private_key is not None
    text = f"{encoded(header)}.{encoded(content)}"
    return f"{text}.{encoded(RSA.private_key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.mark.req("REQ-S-067")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://sts.windows.net/other/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": ["a"]}, "issuer"),
        ({"aud": "api://other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": {"a": 1}}, "audience"),
        ({"exp": None}, "exp"),
        ({"exp": "9999999999"}, "exp"),
        ({"exp": True}, "exp"),
        ({"nbf": "now"}, "nbf"),
    ],
)
async def test_wrong_claims_are_refused(
    assertions: Assertions, clock: StillClock, changes: dict[str, Any], reason: str
) -> None:
    assert reason in await refused(assertions, signed(claims(clock, **changes)))


@pytest.mark.req("REQ-S-067")
async def test_times_are_held_to_the_minute(assertions: Assertions, clock: StillClock) -> None:
    now = clock().timestamp()
    assert await assertions.verify(signed(claims(clock, exp=now - 59))) == ENTRA
    assert await refused(assertions, signed(claims(clock, exp=now - 60))) == "expired"
    for name in ("nbf", "iat"):
        assert await assertions.verify(signed(claims(clock, **{name: now + 60}))) == ENTRA
        assert await refused(assertions, signed(claims(clock, **{name: now + 61}))) == "not yet valid"
    token = signed(claims(clock))
    clock.move(timedelta(hours=2))
    assert await refused(assertions, token) == "expired"


@pytest.mark.req("REQ-S-067")
async def test_no_signature_and_signatures_by_anyone_else_are_refused(
    assertions: Assertions, clock: StillClock
) -> None:
    content = claims(clock)
    for algorithm in ("none", "None", "NONE", "", None, ["RS256"], "RS384", "EdDSA"):
        unsigned = f"{encoded({'alg': algorithm, 'kid': 'rsa'})}.{encoded(content)}."
        assert "algorithm" in await refused(assertions, unsigned)
    assert "signature" in await refused(assertions, signed(content, OTHER))
    head, body, signature = signed(content).split(".")
    assert "signature" in await refused(assertions, f"{head}.{encoded({**content, 'sub': 'root'})}.{signature}")
    assert "signature" in await refused(assertions, f"{head}.{body}.")


@pytest.mark.req("REQ-S-067")
@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
async def test_the_public_key_is_no_shared_secret(assertions: Assertions, clock: StillClock, algorithm: str) -> None:
    for secret in (RSA.as_pem(private=False), RSA.as_der(private=False), key_set()):
        text = f"{encoded({'alg': algorithm, 'kid': 'rsa'})}.{encoded(claims(clock))}"
        token = f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha' + algorithm[2:]))}"
        assert "algorithm" in await refused(assertions, token)


@pytest.mark.req("REQ-S-067")
@pytest.mark.parametrize("key_id", ["unknown", "oct", "enc", "weak", "p384", "half", "off", "odd"])
async def test_keys_that_are_not_there_or_not_for_this_are_not_used(
    assertions: Assertions, clock: StillClock, key_id: str
) -> None:
    assert await refused(assertions, signed(claims(clock), kid=key_id)) == "the issuer has no such key"


@pytest.mark.req("REQ-S-067")
async def test_a_key_is_used_only_with_algorithms_of_its_kind(assertions: Assertions, clock: StillClock) -> None:
    assert "no such key" in await refused(assertions, signed(claims(clock), kid="ec"))
    assert "no such key" in await refused(assertions, signed(claims(clock), EC, alg="ES256"))
    assert "no kid" in await refused(assertions, signed(claims(clock), kid=None))


@pytest.mark.req("REQ-S-067")
async def test_an_extension_that_must_be_understood_and_is_not_is_refused(
    assertions: Assertions, clock: StillClock
) -> None:
    extensions: list[dict[str, Any]] = [{"crit": ["b64"], "b64": False}, {"crit": ["x"], "x": 1}, {"crit": None}]
    for extension in extensions:
        header = {"alg": "RS256", "kid": "rsa", **extension}
        assert "extension" in await refused(assertions, raw_signed(header, claims(clock)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d.e",
        "é.é.é",
        "=.=.=",
        "bnVsbA.bnVsbA.x",
        "W10.e30.x",
        f"{'[' * 2000}.e30.x",
        encoded(b"[" * 5000) + ".e30.x",
        "e30.e30." + "x" * 20_000,
        encoded({"alg": "RS256", "kid": "rsa"}) + "." + encoded({"iss": TENANT}) + ".é",
        encoded({"alg": "RS256", "kid": "rsa"}) + "." + encoded({"iss": TENANT}) + ".!",
        encoded({"alg": "RS256", "kid": "rsa", "crit": 1}) + "." + encoded({"iss": TENANT}) + ".AAAA",
        encoded({"alg": "RS256", "kid": "rsa", "typ": 1}) + "." + encoded({"iss": TENANT}) + ".AAAA",
    ],
)
async def test_what_is_no_token_is_refused_in_the_same_way(assertions: Assertions, text: str) -> None:
    await refused(assertions, text)


@pytest.mark.req("REQ-S-065")
async def test_an_assertion_is_for_its_client_and_its_subject_only(assertions: Assertions, clock: StillClock) -> None:
    token = signed(claims(clock, aud="api://joiner", sub="principal"))
    assert await assertions.verify(token, "client") == FEDERATED
    for client_id in (None, "other", ""):
        assert "do not fit" in await refused(assertions, token, client_id)
    for subject in ("client", "someone", None, 1):
        assert "do not fit" in await refused(
            assertions, signed(claims(clock, aud="api://joiner", sub=subject)), "client"
        )
    assert "do not fit" in await refused(assertions, signed(claims(clock)), "client")


@pytest.mark.req("REQ-S-065")
async def test_without_a_configured_subject_an_assertion_must_be_about_the_client_itself(clock: StillClock) -> None:
    async def fetch(url: str) -> KeyDocument:
        return KeyDocument(key_set(), None)

    trusted = TrustedIssuer(issuer=TENANT, audience="a", jwks_uri=URL, connection_id=1, client_id="client")
    assertions = Assertions([trusted], KeySets(fetch, clock), clock)
    assert await assertions.verify(signed(claims(clock, aud="a", sub="client")), "client") == trusted
    assert "do not fit" in await refused(assertions, signed(claims(clock, aud="a", sub="x")), "client")


@pytest.mark.req("REQ-S-066", "REQ-S-068")
async def test_the_nearest_trust_decides_the_connection_and_doubt_opens_none(clock: StillClock) -> None:
    async def fetch(url: str) -> KeyDocument:
        return KeyDocument(key_set(), None)

    def trust(audience: str, connection_id: int, subject: str | None = None) -> TrustedIssuer:
        return TrustedIssuer(
            issuer=TENANT, audience=audience, jwks_uri=URL, connection_id=connection_id, subject=subject
        )

    anyone, one, elsewhere = trust("a", 1), trust("a", 2, "one"), trust("b", 3)
    assertions = Assertions([anyone, one, elsewhere], KeySets(fetch, clock), clock)
    assert await assertions.verify(signed(claims(clock, aud="a", sub="one"))) == one
    assert await assertions.verify(signed(claims(clock, aud="a", sub="two"))) == anyone
    assert "several" in await refused(assertions, signed(claims(clock, aud=["a", "b"], sub="two")))
    with pytest.raises(InvalidValueError, match="two trusted issuers"):
        Assertions([anyone, trust("a", 9)], KeySets(fetch, clock), clock)
