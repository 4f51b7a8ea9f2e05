"""The public keys of trusted issuers: parsed from their JSON Web Key Sets (RFC 7517), kept, and fetched again when a
new one is asked for. How they are fetched is given."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from joiner.clock import Clock
from joiner.errors import JoinerError

LONGEST_KEPT: Final = timedelta(hours=24)
KEPT_BY_DEFAULT: Final = timedelta(hours=1)
"""Where the issuer does not say how long its keys may be kept."""
FETCHED_EVERY: Final = timedelta(minutes=1)
"""Keys are fetched at most so often, whoever asks for whatever key."""
SHORTEST_MODULUS: Final = 342
"""2048 bits in base64."""
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

PublicKey = RSAKey | ECKey

log = structlog.get_logger(__name__)


class KeysUnavailableError(JoinerError):
    """An issuer's keys could not be fetched."""


class KeyDocument(msgspec.Struct, frozen=True):
    """What an issuer answered."""

    body: bytes
    max_age: timedelta | None
    """How long it may be kept, if the issuer says so."""


Fetch = Callable[[str], Awaitable[KeyDocument]]
"""Gets the document at a URL. Raises KeysUnavailableError."""


class _Kept:
    """The keys of one URL."""

    def __init__(self) -> None:
        self.keys: dict[str, PublicKey] = {}
        self.fresh_until = LONG_AGO
        self.tried_at = LONG_AGO
        self.fetching = asyncio.Lock()


class KeySets:
    """The keys of any number of issuers."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def find(self, url: str, key_id: str) -> PublicKey | None:
        """The key of this `kid` in the set at `url`, None if the issuer has none.

        Fetches the set when it is too old or has no such key, at most once a minute. Keys that cannot be fetched anew
        stay in use: an issuer's outage must not lock its clients out.
        """
        kept = self._kept.setdefault(url, _Kept())
        if self._clock() >= kept.fresh_until or key_id not in kept.keys:
            async with kept.fetching:
                now = self._clock()
                outdated = now >= kept.fresh_until or key_id not in kept.keys
                if outdated and now - kept.tried_at >= FETCHED_EVERY:
                    kept.tried_at = now
                    await self._refresh(url, kept, now)
        return kept.keys.get(key_id)

    async def _refresh(self, url: str, kept: _Kept, now: datetime) -> None:
        # The request may have begun outside a task, which the time limits of a fetch need.
        await asyncio.sleep(0)
        try:
            document = await self._fetch(url)
            keys = parse_keys(document.body)
        except KeysUnavailableError as error:
            log.warning("keys not fetched", url=url, reason=str(error))
            return
        kept.keys = keys
        max_age = KEPT_BY_DEFAULT if document.max_age is None else document.max_age
        kept.fresh_until = now + min(max_age, LONGEST_KEPT)


def parse_keys(body: bytes) -> dict[str, PublicKey]:
    """`kid` → key of the signature keys that are usable: RSA from 2048 bits and P-256. Others are left out.

    Raises KeysUnavailableError if there is none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise KeysUnavailableError("the key set is not JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = {}
    for item in listed if isinstance(listed, list) else ():
        key_id = item.get("kid") if isinstance(item, dict) else None
        if isinstance(key_id, str) and item.get("use", "sig") == "sig":
            key = _public_key(item)
            if key is not None:
                keys[key_id] = key
    if not keys:
        raise KeysUnavailableError("the key set has no usable key")
    return keys


def _public_key(item: dict[str, Any]) -> PublicKey | None:
    """Only the public numbers are read: a secret or a private key in a public set is nobody's signature key."""
    names = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}.get(str(item.get("kty")), ())
    numbers: dict[str, Any] = {name: item.get(name) for name in names}
    if not numbers or not all(isinstance(value, str) for value in numbers.values()):
        return None
    try:
        if item["kty"] == "EC":
            return ECKey.import_key(numbers) if item["crv"] == "P-256" else None
        return RSAKey.import_key(numbers) if len(item["n"].rstrip("=")) >= SHORTEST_MODULUS else None
    except (JoseError, ValueError):
        return None
