"""From an application's credentials to how it is connected: address, authentication, TLS. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from joiner.errors import InvalidValueError
from joiner.provisioning.client.authentication import is_token
from joiner.provisioning.client.tenant_url import parse_tenant_url
from joiner.provisioning.client.tls import TlsMaterial
from joiner.provisioning.decisions.wire import Dialect


class _Secretive(msgspec.Struct, frozen=True):
    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Nothing(_Secretive, frozen=True):
    """No credentials in requests; the client certificate may tell who we are."""


class BearerToken(_Secretive, frozen=True):
    """A static bearer token."""

    token: str


class BasicCredentials(_Secretive, frozen=True):
    """HTTP Basic."""

    user_name: str
    password: str


class ClientCredentials(_Secretive, frozen=True):
    """OAuth 2.0 client credentials: by secret, or by a key that signs assertions."""

    token_url: str
    client_id: str
    scope: str
    secret: str | None
    is_in_body: bool
    """The secret goes in the form instead of the Authorization header."""
    private_key: str | None
    key_id: str | None
    audience: str


Credentials = Nothing | BearerToken | BasicCredentials | ClientCredentials


class TargetConnection(msgspec.Struct, frozen=True):
    """All that a connection to one target depends on."""

    base_url: str
    query: str
    """What goes with every request."""
    credentials: Credentials
    tls: TlsMaterial
    flagged: Dialect | None = None
    """The dialect that a flag in the Tenant URL asks for."""


class IncompleteConnectionError(InvalidValueError):
    """Something is still missing."""


def connection_of(values: Mapping[str, str]) -> TargetConnection:
    """The connection that these values of the secrets collection describe.

    Raises IncompleteConnectionError that names what is missing, InvalidValueError that names what cannot be.
    """
    address = values.get("BaseAddress", "")
    if not address.strip():
        raise IncompleteConnectionError("there is no Tenant URL (BaseAddress)")
    tenant = parse_tenant_url(address)
    tls = TlsMaterial(
        values.get("joiner.ClientCertificate"),
        values.get("joiner.ClientKey"),
        values.get("joiner.CertificateAuthority"),
    )
    if (tls.certificate is None) is not (tls.key is None):
        raise IncompleteConnectionError(
            "joiner.ClientCertificate and joiner.ClientKey belong together; one of them is missing"
        )
    return TargetConnection(tenant.base_url, tenant.query, _credentials(values), tls, tenant.dialect)


def _credentials(values: Mapping[str, str]) -> Credentials:
    named = values.get("AuthenticationType")
    if named is None:
        kind = next((kind for key, kind in TELLING if key in values), None)
        if kind is None:
            raise IncompleteConnectionError(
                "there is no Secret Token (SecretToken); if the application wants none, say AuthenticationType=none"
            )
    else:
        kind = SPELLINGS.get("".join(named.lower().split()).replace("_", "").replace("-", ""))
        if kind is None:
            raise InvalidValueError(f"AuthenticationType is '{named}'; it can be {', '.join(KINDS)}")
    return KINDS[kind](values)


def _bearer(values: Mapping[str, str]) -> Credentials:
    token = _needed(values, "there is no Secret Token (SecretToken)", "SecretToken")
    if not is_token(token):
        raise InvalidValueError("the Secret Token has characters that no token has; was it copied with a line break?")
    return BearerToken(token)


def _basic(values: Mapping[str, str]) -> Credentials:
    name = _needed(values, "Basic authentication needs a UserName", "UserName")
    if ":" in name:
        raise InvalidValueError("a UserName for Basic authentication cannot have a colon in it")
    return BasicCredentials(name, _needed(values, "Basic authentication needs a Password", "Password"))


def _client_secret(values: Mapping[str, str]) -> Credentials:
    return _oauth(
        values, secret=_needed(values, "OAuth needs an Oauth2ClientSecret", "Oauth2ClientSecret", "ClientSecret")
    )


def _private_key(values: Mapping[str, str]) -> Credentials:
    return _oauth(
        values, private_key=_needed(values, "signed assertions need a joiner.AssertionKey", "joiner.AssertionKey")
    )


def _oauth(values: Mapping[str, str], *, secret: str | None = None, private_key: str | None = None) -> Credentials:
    token_url = _needed(values, "OAuth needs an Oauth2TokenExchangeUri, the address of the token endpoint", TOKEN_URL)
    placement = values.get("joiner.SecretPlacement", "basic").lower()
    if placement not in ("basic", "body"):
        raise InvalidValueError(f"joiner.SecretPlacement is '{placement}'; it can be basic or body")
    return ClientCredentials(
        token_url=token_url.strip(),
        client_id=_needed(values, "OAuth needs an Oauth2ClientId", "Oauth2ClientId", "ClientIdentifier"),
        scope=values.get("joiner.Oauth2Scope", ""),
        secret=secret,
        is_in_body=placement == "body",
        private_key=private_key,
        key_id=values.get("joiner.AssertionKeyId"),
        audience=values.get("joiner.AssertionAudience") or token_url.strip(),
    )


def _mutual_tls(values: Mapping[str, str]) -> Credentials:
    _needed(values, "mutual TLS needs a joiner.ClientCertificate", "joiner.ClientCertificate")
    return Nothing()


def _nothing(values: Mapping[str, str]) -> Credentials:
    return Nothing()


def _needed(values: Mapping[str, str], otherwise: str, *keys: str) -> str:
    for key in keys:
        if values.get(key):
            return values[key]
    raise IncompleteConnectionError(otherwise)


TOKEN_URL: Final = "Oauth2TokenExchangeUri"  # noqa: S105 - the name of a key
KINDS: Final[Mapping[str, Callable[[Mapping[str, str]], Credentials]]] = {
    "bearer": _bearer,
    "oauth2ClientCredentials": _client_secret,
    "privateKeyJwt": _private_key,
    "mutualTls": _mutual_tls,
    "basic": _basic,
    "none": _nothing,
}
"""`AuthenticationType` → what it needs."""
SPELLINGS: Final = {
    **{name.lower(): name for name in KINDS},
    "bearertoken": "bearer",
    "secrettoken": "bearer",
    "basicauthentication": "basic",
    "clientcredentials": "oauth2ClientCredentials",
    "oauth2clientcredentialsgrant": "oauth2ClientCredentials",
    "clientassertion": "privateKeyJwt",
    "clientcertificate": "mutualTls",
}
TELLING: Final = (
    ("SecretToken", "bearer"),
    ("joiner.AssertionKey", "privateKeyJwt"),
    (TOKEN_URL, "oauth2ClientCredentials"),
    ("Password", "basic"),
    ("joiner.ClientCertificate", "mutualTls"),
)
"""The key that tells the kind where `AuthenticationType` is not given; the first that is there."""
