"""A client's own signed statement in place of a secret: `private_key_jwt` (RFC 7523 §2.2, §3)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from joiner.clock import Clock
from joiner.errors import InvalidValueError
from joiner.ids import new_id
from joiner.provisioning.client.oauth import Grant

LIFETIME: Final = timedelta(minutes=5)
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "Ed25519"}

Key = RSAKey | ECKey | OKPKey


def signed_assertions(
    client_id: str, private_key: str, *, audience: str, key_id: str | None, scope: str, clock: Clock
) -> Callable[[], Grant]:
    """Makes grants, each with an assertion of its own. `private_key`: PEM. `key_id`: what the token endpoint knows the
    key by; by default its thumbprint (RFC 7638).

    Raises InvalidValueError for a key that cannot sign.
    """
    key = _imported(private_key)
    algorithm = _algorithm(key)
    header = {"alg": algorithm, "typ": "JWT", "kid": key_id or key.thumbprint()}

    def grant() -> Grant:
        now = clock()
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": new_id(),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
        }
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode(header, claims, key, algorithms=[algorithm]),
            **({"scope": scope} if scope else {}),
        }
        return Grant(form, {})

    return grant


def _imported(pem: str) -> Key:
    kinds: tuple[type[Key], ...] = (RSAKey, ECKey, OKPKey)
    for kind in kinds:
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if not key.is_private:
            break
        return key
    raise InvalidValueError("the key for signed assertions must be a private key in PEM form without a password")


def _algorithm(key: Key) -> str:
    if isinstance(key, RSAKey):
        return "RS256"
    curve = str(key.as_dict(private=False).get("crv"))
    if curve not in CURVES:
        raise InvalidValueError(f"the curve {curve} of the key for signed assertions is not supported")
    return CURVES[curve]
