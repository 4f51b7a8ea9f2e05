"""The client credentials grant (RFC 6749 §4.4): a client proves who it is and gets an access token.

It proves it by a secret, or by a JWT that an issuer signed whom the administrator trusts (RFC 7523).
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final, Literal, Protocol
from urllib.parse import unquote_plus

import msgspec

from joiner.application.access.failure_limit import FailureLimit
from joiner.application.access.oauth_clients import OAuthClient, OAuthClients, Scope
from joiner.application.access.trust import RefusedTokenError, TrustedIssuer
from joiner.clock import Clock
from joiner.errors import JoinerError

ErrorCode = Literal[
    "invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope", "temporarily_unavailable"
]
JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT_TYPE: Final = "client_credentials"


class OAuthError(JoinerError):
    """Why no token is given. The text becomes `error_description`; it repeats nothing of what was sent."""

    def __init__(self, code: ErrorCode, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        """Seconds."""


class Grant(msgspec.Struct, frozen=True):
    """A successful answer (RFC 6749 §5.1)."""

    access_token: str
    expires_in: int
    """Seconds."""
    scope: Scope
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the kind of token, not a token


class Secret(msgspec.Struct, frozen=True):
    """`client_secret_basic` or `client_secret_post`."""

    client_id: str
    secret: str


class Assertion(msgspec.Struct, frozen=True):
    """A signed JWT of a trusted issuer."""

    client_id: str
    token: str


class Judge(Protocol):
    """Who judges signed tokens."""

    async def verify(self, text: str, client_id: str | None = None) -> TrustedIssuer:
        """The trust that the token relies on. Raises RefusedTokenError."""


class ClientCredentials:
    """The grant. `assertions` judges the JWTs of clients; without it they are refused."""

    def __init__(self, clients: OAuthClients, clock: Clock, assertions: Judge | None = None) -> None:
        self._clients = clients
        self._assertions = assertions
        self._limit = FailureLimit(clock)

    async def grant(self, form: Mapping[str, str], authorization: str | None) -> Grant:
        """The token for a request's form and its Authorization header. Raises OAuthError."""
        grant_type = form.get("grant_type")
        if not grant_type:
            raise OAuthError("invalid_request", "grant_type is missing")
        if grant_type != GRANT_TYPE:
            raise OAuthError("unsupported_grant_type", f"grant_type must be {GRANT_TYPE}")
        client = await self._authenticated(_credentials(form, authorization))
        scope = _scope(form.get("scope"), client.scope)
        issued = await self._clients.issue(client, scope)
        if issued is None:
            raise _unknown_client()
        text, seconds = issued
        return Grant(text, seconds, scope)

    async def _authenticated(self, credentials: Secret | Assertion) -> OAuthClient:
        seconds = self._limit.wait(credentials.client_id)
        if seconds:
            raise OAuthError("temporarily_unavailable", "too many failures of this client; wait", seconds)
        if isinstance(credentials, Secret):
            client = await self._clients.with_secret(credentials.client_id, credentials.secret)
        else:
            client = await self._asserted(credentials)
        if client is None:
            self._limit.note(credentials.client_id)
            raise _unknown_client()
        return client

    async def _asserted(self, assertion: Assertion) -> OAuthClient | None:
        if self._assertions is None:
            return None
        try:
            trusted = await self._assertions.verify(assertion.token, assertion.client_id)
        except RefusedTokenError:
            return None
        client = await self._clients.active(assertion.client_id)
        return client if client is not None and client.connection_id == trusted.connection_id else None


def _unknown_client() -> OAuthError:
    return OAuthError("invalid_client", "the client is not known, or its credentials are wrong or have ended")


def _credentials(form: Mapping[str, str], authorization: str | None) -> Secret | Assertion:
    """How the client proves who it is; exactly one way (RFC 6749 §2.3)."""
    client_id, secret, assertion = form.get("client_id"), form.get("client_secret"), form.get("client_assertion")
    if sum(bool(way) for way in (authorization, secret, assertion)) > 1:
        raise OAuthError("invalid_request", "a client may authenticate in one way only")
    if authorization:
        basic = _basic(authorization)
        if client_id and client_id != basic.client_id:
            raise OAuthError("invalid_request", "client_id is not the one of the Authorization header")
        return basic
    if not secret and not assertion:
        raise OAuthError("invalid_client", "the client does not authenticate")
    if not client_id:
        raise OAuthError("invalid_request", "client_id is missing")
    if secret:
        return Secret(client_id, secret)
    if form.get("client_assertion_type") != JWT_BEARER:
        raise OAuthError("invalid_request", f"client_assertion_type must be {JWT_BEARER}")
    return Assertion(client_id, str(assertion))


def _basic(authorization: str) -> Secret:
    """Id and secret are form-encoded inside of Basic (RFC 6749 §2.3.1)."""
    scheme, _, encoded = authorization.strip().partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8") if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        text = ""
    client_id, colon, secret = text.partition(":")
    if not colon or not client_id or not secret:
        raise OAuthError("invalid_client", "the Authorization header must be Basic, with the client's id and secret")
    return Secret(unquote_plus(client_id), unquote_plus(secret))


def _scope(wanted: str | None, allowed: Scope) -> Scope:
    """The scope of the token: what is asked for if the client may have it, else all that it may have."""
    names = set((wanted or allowed).split())
    if not names or not names <= {"scim", "scim.read"} or ("scim" in names and allowed != "scim"):
        raise OAuthError("invalid_scope", f"this client may have the scope {allowed}")
    return "scim" if "scim" in names else "scim.read"
