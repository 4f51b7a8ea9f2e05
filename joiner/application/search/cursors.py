"""Cursors (RFC 9865): where the next page of a query begins, signed, so that nothing has to be kept for a walk.

A cursor is bound to its connection, its query and its page size, and expires.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from joiner.scim.errors import ExpiredCursorError, InvalidCountError, InvalidCursorError

LIFETIME: Final = timedelta(hours=1)
SIGNATURE_BYTES: Final = 16


class Place(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor says."""

    connection_id: int
    query: bytes
    count: int
    issued: int
    """Seconds since 1970, UTC."""
    value: str | int | float | None
    """The sort value of the last resource shown."""
    number: int


def digest(*parts: Any) -> bytes:
    """A short name of a query: everything that must not change from page to page."""
    return hashlib.sha256(msgspec.json.encode(parts)).digest()[:12]


def write_cursor(key: bytes, place: Place) -> str:
    """Only unreserved characters of URIs (REQ-S-182)."""
    content = msgspec.msgpack.encode(place)
    return base64.urlsafe_b64encode(_sign(key, content) + content).decode().rstrip("=")


def read_cursor(key: bytes, text: str, connection_id: int, query: bytes, count: int, now: datetime) -> Place:
    """Raises InvalidCursorError (the same for forged and foreign ones), ExpiredCursorError, InvalidCountError."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        signature, content = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _sign(key, content)):
            raise ValueError
        place = msgspec.msgpack.decode(content, type=Place)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise InvalidCursorError("the cursor is not one of this service") from None
    if place.connection_id != connection_id or place.query != query:
        raise InvalidCursorError("the cursor is not one of this service")
    if place.count != count:
        raise InvalidCountError(f"'count' was {place.count} on the first page and cannot change")
    if now.timestamp() - place.issued > LIFETIME.total_seconds():
        raise ExpiredCursorError("the cursor has expired; begin again without it")
    return place


def _sign(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()[:SIGNATURE_BYTES]
