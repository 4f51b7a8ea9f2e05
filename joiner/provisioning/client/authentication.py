"""How requests prove who sends them: a static credential, or access tokens that are fetched and kept for a while."""

import base64
from collections.abc import Mapping, Sequence
from typing import Protocol

Headers = Mapping[str, str]


class Authentication(Protocol):
    """Gives the headers that go with a request."""

    @property
    def name(self) -> str:
        """What it is, as errors call it: `the secret token`."""

    @property
    def secrets(self) -> Sequence[str]:
        """Texts that no error, log or recording may show; the same object while they are the same."""

    async def headers(self) -> Headers:
        """Raises TargetError if there is nothing to authenticate with at the moment, TargetUnusableError if there
        will not be until an administrator does something."""

    async def renew(self, refused: Headers) -> bool:
        """After a 401 to a request with these headers: whether others are worth a try. Raises as `headers` does."""


def is_token(text: str) -> bool:
    """Whether the text can follow `Bearer` in a header: no other characters are in a token (RFC 6750 §2.1)."""
    return text.isascii() and text.isprintable() and bool(text) and " " not in text


class StaticAuthentication:
    """The same headers with every request."""

    def __init__(self, name: str, headers: Headers, secrets: Sequence[str] = ()) -> None:
        self.name = name
        self.secrets = secrets
        self._headers = headers

    async def headers(self) -> Headers:
        return self._headers

    async def renew(self, refused: Headers) -> bool:
        return False


def bearer(token: str) -> StaticAuthentication:
    """A bearer token (RFC 6750 §2.1)."""
    return StaticAuthentication("the secret token", {"Authorization": f"Bearer {token}"}, (token,))


def basic(user_name: str, password: str) -> StaticAuthentication:
    """HTTP Basic (RFC 7617), in UTF-8."""
    pair = base64.b64encode(f"{user_name}:{password}".encode()).decode()
    return StaticAuthentication("the user name and password", {"Authorization": f"Basic {pair}"}, (password, pair))


NO_AUTHENTICATION = StaticAuthentication("a request without credentials", {})
"""Also of targets that know us by our client certificate."""
