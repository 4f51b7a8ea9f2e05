"""Tokens that others issue: signed JWTs (RFC 7519) of issuers that the administrator trusts, as credentials of the SCIM
endpoint (REQ-S-066) or of a client at the token endpoint (RFC 7523, REQ-S-065)."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry, deserialize_compact

from joiner.application.access.key_sets import KeySets
from joiner.application.access.trust import RefusedTokenError, TrustedIssuer
from joiner.clock import Clock
from joiner.errors import InvalidValueError

ALGORITHMS: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
"""Those that are accepted, with the type of their keys; neither `none` nor a shared secret is one (REQ-S-067)."""
LONGEST: Final = 16 * 1024
LEEWAY: Final = 60
"""Seconds by which clocks may differ."""

Claims = Mapping[str, Any]

log = structlog.get_logger(__name__)


class _RefusalError(Exception):
    """Why, for the log."""


class Assertions:
    """The judge over tokens of `issuers`. Raises InvalidValueError if two of them cannot be told apart."""

    def __init__(self, issuers: Sequence[TrustedIssuer], keys: KeySets, clock: Clock) -> None:
        told_apart = {(item.issuer, item.audience, item.expected_subject, item.client_id) for item in issuers}
        if len(told_apart) != len(issuers):
            raise InvalidValueError("two trusted issuers have the same issuer, audience, subject and client")
        self._issuers = tuple(issuers)
        self._keys = keys
        self._clock = clock

    async def verify(self, text: str, client_id: str | None = None) -> TrustedIssuer:
        """The trust that the token relies on, among those of this client, or for None among those of bearer tokens.

        Raises RefusedTokenError.
        """
        try:
            return self._match(await self._verified_claims(text), client_id)
        except _RefusalError as refusal:
            log.info("token refused", reason=str(refusal))
            raise RefusedTokenError from None

    async def _verified_claims(self, text: str) -> Claims:
        """The claims, once the signature and the times are right.

        Nothing here depends on the client: how long it takes must not tell which clients there are.
        """
        if len(text) > LONGEST or text.count(".") != 2 or not text.isascii():
            raise _RefusalError("not a JWT")
        head, body, _ = text.split(".")
        header, claims = _json_object(head), _json_object(body)
        algorithm, key_id, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise _RefusalError("the algorithm is not allowed")
        if "crit" in header:
            # An extension that must be understood (RFC 7515 §4.1.11); a JWT has none that we know (RFC 7797 §7).
            raise _RefusalError("the header demands an extension")
        if not isinstance(key_id, str):
            raise _RefusalError("there is no kid")
        urls = dict.fromkeys(item.jwks_uri for item in self._issuers if item.issuer == issuer)
        if not urls:
            raise _RefusalError("the issuer is not trusted")
        for url in urls:
            key = await self._keys.find(url, key_id)
            if key is not None and key.key_type == ALGORITHMS[algorithm]:
                break
        else:
            raise _RefusalError("the issuer has no such key")
        try:
            # Other unknown header parameters are ignored (RFC 7515 §4).
            registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
            deserialize_compact(text, key, [algorithm], registry)
        except (JoseError, ValueError, TypeError) as error:
            raise _RefusalError(f"the signature is wrong: {type(error).__name__}") from None
        _check_times(claims, self._clock().timestamp())
        return claims

    def _match(self, claims: Claims, client_id: str | None) -> TrustedIssuer:
        audience, subject = claims.get("aud"), claims.get("sub")
        audiences = audience if isinstance(audience, list) else [audience]
        fitting = [
            item
            for item in self._issuers
            if item.issuer == claims["iss"]
            and item.audience in audiences
            and item.client_id == client_id
            and item.expected_subject in (None, subject)
        ]
        # A trust in one subject goes before a trust in all of them.
        nearest = [item for item in fitting if item.expected_subject is not None] or fitting
        if len(nearest) != 1:
            raise _RefusalError("audience, subject or client do not fit" if not nearest else "several trusts fit")
        return nearest[0]


def _json_object(segment: str) -> dict[str, Any]:
    try:
        value = orjson.loads(base64.b64decode(segment + "=" * (-len(segment) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _RefusalError("not a JWT") from None
    if not isinstance(value, dict):
        raise _RefusalError("not a JWT")
    return value


def _check_times(claims: Claims, now: float) -> None:
    """`exp` is demanded; `nbf` and `iat` must not lie in the future (RFC 7519 §4.1)."""
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if (value is not None or name == "exp") and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise _RefusalError(f"{name} is not a number")
    if now >= claims["exp"] + LEEWAY:
        raise _RefusalError("expired")
    if any(claims.get(name) is not None and claims[name] > now + LEEWAY for name in ("nbf", "iat")):
        raise _RefusalError("not yet valid")
