"""Bearer tokens: 256 random bits behind a recognisable prefix, kept only as a hash.

A fast hash is right here: the tokens are random, so there is nothing to guess from a dictionary (REQ-S-062).
"""

import hashlib
import hmac
import secrets


def generate_token(prefix: str) -> str:
    """A new token such as `joiner_scim_…`; shown once, never stored."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    """The SHA-256 of the token in hexadecimal: what is stored and looked up."""
    return hashlib.sha256(token.encode()).hexdigest()


def tokens_equal(left: str, right: str) -> bool:
    """Compares without telling by its duration how much of the token was right."""
    return hmac.compare_digest(left.encode(), right.encode())


def bearer_token(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header (RFC 6750 §2.1), or None."""
    if authorization is None:
        return None
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None
