"""Whom the administrator trusts to sign tokens, as values; `assertions` judges by them."""

import msgspec

from joiner.errors import JoinerError


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens open a connection."""

    issuer: str
    """`iss`, for Entra `https://sts.windows.net/{tenant}/`."""
    audience: str
    """`aud`: what the tokens must be made for."""
    jwks_uri: str
    """Where the issuer's public keys are."""
    connection_id: int
    subject: str | None = None
    """`sub`. None: any, but of a client's assertion the client's id (RFC 7523 §3)."""
    client_id: str | None = None
    """The OAuth client that such a token authenticates at the token endpoint. None: it is a bearer token itself."""

    @property
    def expected_subject(self) -> str | None:
        return self.subject if self.subject is not None else self.client_id


class RefusedTokenError(JoinerError):
    """The token is not accepted. The text is the same whatever the reason; the log has it."""

    def __init__(self) -> None:
        super().__init__("the token is not accepted")
