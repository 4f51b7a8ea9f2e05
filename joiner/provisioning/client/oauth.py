"""Access tokens by the client credentials grant: fetched when needed, kept until shortly before they end (RFC 6749
§4.4, RFC 7523 §2.2; REQ-C-032)."""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus, urlencode

import orjson

from joiner.clock import Clock, seconds
from joiner.errors import JoinerError
from joiner.provisioning.client.answers import json_of
from joiner.provisioning.client.authentication import Headers, is_token
from joiner.provisioning.client.exchange import Answer, Exchange
from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.client.gate import Sleep
from joiner.provisioning.client.retries import TRANSIENT, TRIES, backoff

ASSUMED_LIFETIME: Final = 3600.0
"""Seconds, when the token endpoint does not say."""
EARLY: Final = 300.0
"""Seconds before its end at which a token is no longer used, but at most a fifth of its life."""
AGAIN: Final = 15.0
"""Seconds after which another token is asked for again, while the one that is held can still be used."""
LATER: Final = TRANSIENT | {429}
SHOWN: Final = 300

OpenExchange = Callable[[], AbstractAsyncContextManager[Exchange]]


class Grant(NamedTuple):
    """What a token request says: how it authenticates is part of it."""

    form: Mapping[str, str]
    headers: Headers


def secret_in_basic(client_id: str, secret: str, scope: str) -> Grant:
    """The client's secret in the header (`client_secret_basic`, RFC 6749 §2.3.1)."""
    # Both are form-encoded first, so that a colon in them does not divide.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return Grant(_form(scope), {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})


def secret_in_body(client_id: str, secret: str, scope: str) -> Grant:
    """The client's secret in the form (`client_secret_post`)."""
    return Grant({**_form(scope), "client_id": client_id, "client_secret": secret}, {})


def _form(scope: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}


class AccessTokens:
    """The authentication. `grant` makes each token request anew: an assertion is used once."""

    name = "the access token"

    def __init__(
        self,
        open_exchange: OpenExchange,
        grant: Callable[[], Grant],
        secrets: Sequence[str],
        *,
        clock: Clock,
        sleep: Sleep,
        jitter: Callable[[], float],
    ) -> None:
        self._open_exchange = open_exchange
        self._grant = grant
        self._own_secrets = tuple(secrets)
        self.secrets: Sequence[str] = self._own_secrets
        self._now = seconds(clock)
        self._sleep = sleep
        self._jitter = jitter
        self._headers: Headers | None = None
        self._until = 0.0
        self._end = 0.0
        self._fetching = asyncio.Lock()

    async def headers(self) -> Headers:
        if self._headers is not None and self._now() < self._until:
            return self._headers
        async with self._fetching:
            # Whoever waited here finds what the first one has fetched.
            if self._headers is None or self._now() >= self._until:
                self._headers = await self._another()
            return self._headers

    async def renew(self, refused: Headers) -> bool:
        if self._headers is refused:
            self._headers = None
        await self.headers()
        return True

    async def _another(self) -> Headers:
        try:
            return await self._fetch()
        except TargetUnusableError:
            raise
        except TargetError:
            if self._headers is None or self._now() >= self._end:
                raise
            self._until = min(self._now() + AGAIN, self._end)
            return self._headers

    async def _fetch(self) -> Headers:
        answer = await self._answered()
        document = _document(answer)
        token = document.get("access_token")
        if answer.status != 200 or not isinstance(token, str) or not is_token(token):
            raise self._refusal(answer, document)
        kind = str(document.get("token_type") or "Bearer")
        if kind.lower() != "bearer":
            raise TargetUnusableError("Unauthorized", f"the token endpoint gives tokens of the type '{kind[:40]}'")
        lifetime = _seconds(document.get("expires_in"))
        self.secrets = (*self._own_secrets, token)
        self._end = self._now() + lifetime
        self._until = self._end - min(EARLY, lifetime / 5)
        return {"Authorization": f"Bearer {token}"}

    async def _answered(self) -> Answer:
        """The answer to the last try: as many as make sense."""
        failures = 0
        while True:
            failures += 1
            try:
                answer = await self._asked()
            except TargetUnusableError:
                raise
            except TargetError:
                if failures == TRIES:
                    raise
            else:
                if answer.status not in LATER or failures == TRIES:
                    return answer
            await self._sleep(backoff(failures, self._jitter()))

    async def _asked(self) -> Answer:
        grant = self._grant()
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            **grant.headers,
        }
        try:
            async with self._open_exchange() as exchange:
                return await exchange.send("POST", "", headers, urlencode(grant.form).encode())
        except TargetError as error:
            raise TargetError(error.code, f"the token endpoint: {error.reason}") from None
        except JoinerError as error:
            # Its address must not be called, or is none.
            raise TargetUnusableError("WebExceptionProtocolError", f"the token endpoint: {error}") from None

    def _refusal(self, answer: Answer, document: Mapping[str, Any]) -> TargetError:
        told = " ".join(str(document[key]) for key in ("error", "error_description") if document.get(key))[:SHOWN]
        for secret in self._own_secrets:
            told = told.replace(secret, "*")
        text = f"the token endpoint gave no access token (HTTP {answer.status}){f': {told}' if told else ''}"
        if answer.status in LATER:
            # Without a status: the target itself has refused nothing.
            return TargetError("InternalServerError", text)
        return TargetUnusableError("Unauthorized", text, answer.status)


def _document(answer: Answer) -> Mapping[str, Any]:
    try:
        document = json_of(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(value: Any) -> float:
    try:
        return max(float(value), 0.0)
    except (TypeError, ValueError):
        return ASSUMED_LIFETIME
